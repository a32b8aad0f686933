"""A Debian root directory whose systemd runs as process 1 of namespaces of its own.

It gets a network, a PID and a mount namespace and a control group, as in a container engine, so
that its units run as on a host. All of its processes end with the test.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.ovn.servers import wait_until

LIMIT = 120.0

_BOOT = r"""
echo $$ > "$1/cgroup.procs"
exec unshare --mount --pid --cgroup --net --uts --ipc --fork --kill-child sh -ec '
mount --make-rprivate /
mount --bind "$0" "$0"
cd "$0"
mount -t proc p proc
mount -t sysfs -o ro s sys
mount -t cgroup2 c sys/fs/cgroup
mount -t tmpfs -o mode=755 t run
mount -t tmpfs t tmp
mount -t tmpfs -o mode=755 t dev
for node in null zero full random urandom tty; do
    touch dev/$node
    mount --bind /dev/$node dev/$node
done
mkdir dev/pts dev/shm
ln -s pts/ptmx dev/ptmx
mkdir -p mnt
pivot_root . mnt
umount -l /mnt
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd \
    --unit=multi-user.target --show-status=no
' "$0"
"""


class Booted:
    """A running system.

    Args:
        init: its process 1, as this system numbers it.
    """

    def __init__(self, init: int) -> None:
        self._init = init

    def run(self, script: str) -> str:
        """The output of a shell script within the system, which must succeed."""
        command = ["nsenter", f"--target={self._init}", "--all", "sh", "-ec", script]
        path = {"PATH": "/opt/isthmus/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=LIMIT, env=path
        )
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}{self._journal()}"
        return done.stdout

    def _journal(self) -> str:
        command = ["nsenter", f"--target={self._init}", "--all", "journalctl", "--no-pager", "-n50"]
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout


@contextmanager
def booted(root: Path) -> Iterator[Booted]:
    """Boot a root directory with systemd and stop it at the end."""
    groups = _control_groups()
    for left_behind in groups.glob("isthmus-test-*"):
        _remove(left_behind)
    group = Path(tempfile.mkdtemp(prefix="isthmus-test-", dir=groups))
    command = ["setpriv", "--pdeathsig", "KILL", "sh", "-ec", _BOOT, str(root), str(group)]
    process = subprocess.Popen(command)
    try:
        init = group / "init.scope" / "cgroup.procs"
        wait_until(lambda: init.exists() and init.read_text(), "systemd runs", LIMIT)
        system = Booted(int(init.read_text().split()[0]))
        wait_until(lambda: _is_up(system), "it has booted", LIMIT)
        yield system
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(LIMIT)
        wait_until(lambda: _remove(group), "its processes have ended", LIMIT)


def _is_up(system: Booted) -> bool:
    # Units that do not fit in namespaces may fail, which is "degraded".
    return system.run("systemctl is-system-running || true").strip() in {"running", "degraded"}


def _control_groups() -> Path:
    """Where control groups of version 2 are mounted, alone or next to version 1."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        where, _, kind = line.partition(" - ")
        if kind.split()[0] == "cgroup2":
            return Path(where.split()[4])
    raise AssertionError("no control groups of version 2, which systemd needs, are mounted")


def _remove(group: Path) -> bool:
    """Remove a control group with those in it; False while it has processes."""
    try:
        for directory, _, _ in os.walk(group, topdown=False):
            Path(directory).rmdir()
    except OSError:
        return False
    return True
