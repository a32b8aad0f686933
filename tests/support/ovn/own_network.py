"""A private network for a test: a loopback interface with extra addresses, and host names.

Needs root. Processes in it have their own `/etc/hosts`.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.ovn.servers import die_with_parent

IS_ROOT = os.geteuid() == 0

_SCRIPT = """
ip link set lo up
for address in $ADDRESSES; do ip address add "$address" dev lo nodad; done
mount --bind "$HOSTS" /etc/hosts
echo ready
exec sleep infinity
"""


@contextmanager
def own_network(
    directory: Path, addresses: Iterable[str] = (), names: Mapping[str, str] | None = None
) -> Iterator[tuple[str, ...]]:
    """Namespaces for network and mounts, which end with the context or the test.

    Args:
        directory: for the hosts file.
        addresses: of the loopback interface, with prefix lengths, in addition to 127.0.0.0/8.
        names: addresses of host names.

    Yields:
        A function that runs a command there.
    """
    hosts = directory / "hosts"
    lines = [f"{address} {name}" for name, address in (names or {}).items()]
    hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-ec", _SCRIPT],
        env={**os.environ, "ADDRESSES": " ".join(addresses), "HOSTS": str(hosts)},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - the test has one thread here
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        inside = f"/proc/{holder.pid}/ns"
        yield "nsenter", f"--net={inside}/net", f"--mount={inside}/mnt"
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
