"""deploy/systemd/isthmus-ic-db.service: its exposure, and its command under its restrictions.

systemd does not run here. The command runs as a user without capabilities that may not gain any,
with a read-only file system except for the unit's directories, and with the unit's system calls.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from isthmus.ovsdb.jsonrpc import JsonRpcClient
from support.icdb import unit_sandbox
from support.icdb.run import ISTHMUS
from support.ovn.servers import wait_until

ROOT = Path(__file__).parents[4]
UNIT = ROOT / "deploy" / "systemd" / "isthmus-ic-db.service"
SANDBOX = Path(unit_sandbox.__file__)
USER = 64123
LIMIT = 60.0


@pytest.mark.ovn
def test_its_exposure_is_low() -> None:
    """`systemd-analyze security` rates it below 2.5 of 10."""
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNIT)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    [level] = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(level) < 2.5


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that belongs to the service's user and is reachable for it."""
    made = Path(tempfile.mkdtemp(dir="/var/tmp"))
    for each in (made, *(made / name for name in ("lib", "run", "log"))):
        each.mkdir(exist_ok=True)
        shutil.chown(each, USER, USER)
    yield made
    shutil.rmtree(made)


def restricted(directory: Path, *command: str) -> list[str]:
    """The command as the unit's user, with what the unit restricts."""
    python = Path(sys.base_prefix)
    closed = [str(each) for each in reversed(python.parents) if not each.stat().st_mode & 1]
    # As if Python was installed where every user can reach it.
    reach = (
        f"mount --bind {python} /mnt; mount -t tmpfs -o mode=755 t {closed[0]};"
        f" mkdir -p {python}; mount --move /mnt {python}; "
        if closed
        else ""
    )
    script = reach + (
        'for d in "$0/lib" "$0/run" "$0/log" /tmp; do mount --bind "$d" "$d"; done;'
        ' mount -o remount,bind,ro /; umask 0077; exec "$@"'
    )
    return [
        "setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--net", "sh", "-ec",
        f"ip link set lo up; {script}", str(directory),
        "setpriv", "--pdeathsig", "TERM", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
        "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs",
        sys.executable, str(SANDBOX), str(UNIT), *command,
    ]  # fmt: skip


@pytest.mark.ovn
@pytest.mark.lab
@pytest.mark.parametrize("more", [(), ("--authorize",)])
def test_its_command_works_under_its_restrictions(directory: Path, more: tuple[str, ...]) -> None:
    """The databases are created, served, written and stopped, without root and capabilities."""
    if more:
        pki = str(ISTHMUS)
        subprocess.run([pki, "pki", "init", f"{directory}/lib/ca"], check=True)
        subprocess.run(
            [pki, "pki", "issue", "member", "m", f"--ca={directory}/lib/ca",
             f"--out={directory}/lib/tls", "--address=127.0.0.1"], check=True,
        )  # fmt: skip
        subprocess.run(["chown", "-R", f"{USER}:{USER}", f"{directory}/lib"], check=True)
        more = (*more, f"--tls-dir={directory}/lib/tls")
    command = [
        str(ISTHMUS), "ic-db", "run", f"--data-dir={directory}/lib", f"--run-dir={directory}/run",
        f"--log-dir={directory}/log", "--transit-switch=ts=169.254.100.0/24", *more,
    ]  # fmt: skip
    out = directory / "out"
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    with out.open("wb") as said:
        process = subprocess.Popen(
            restricted(directory, *command), stdout=said, stderr=said, env=environment
        )
    try:
        wait_until(
            lambda: "ready: " in out.read_text() or process.poll() is not None, "ready", LIMIT
        )
        assert process.poll() is None, out.read_text()
        with JsonRpcClient.over_unix(f"{directory}/run/ovn_ic_nb_db.sock") as client:
            select = {"op": "select", "table": "Transit_Switch", "where": [], "columns": ["name"]}
            [result] = client.call("transact", Database.IC_NB, select)
            assert result["rows"] == [{"name": "ts"}]
        [status] = re.findall(r"NoNewPrivs:.*|CapEff:.*", proc_status(process.pid))[-1:]
        assert status == "NoNewPrivs:\t1"
    finally:
        process.terminate()
        process.wait(LIMIT)
    assert process.returncode == 0, out.read_text()


def proc_status(pid: int) -> str:
    """The kernel's text about a process."""
    return Path(f"/proc/{pid}/status").read_text()


@pytest.mark.ovn
@pytest.mark.lab
@pytest.mark.parametrize(
    "forbidden",
    [
        "import os; os.setuid(0)",
        "import socket; socket.socket(socket.AF_NETLINK)",
        "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
        "import os; os.unshare(os.CLONE_NEWUSER) if hasattr(os, 'unshare') else os.chroot('/')",
        "open('/var/tmp/isthmus-escape', 'w')",
        "import os; os.setpriority(os.PRIO_PROCESS, 0, -5)",
    ],
)
def test_the_restrictions_are_in_force(directory: Path, forbidden: str) -> None:
    """The sandbox of these tests does restrict: each attempt is refused."""
    command = restricted(directory, sys.executable, "-c", forbidden)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(r"PermissionError|OSError", done.stderr)
