"""Network namespaces: enter one, and list those of a lab.

Used by all code that runs or probes something in the lab. A thread enters a namespace and leaves it
again; sockets and child processes created in between stay in that namespace.
"""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from isthmus_lab.topology.layout import NETNS_DIR, netns_prefix

_CLONE_NEWNET = 0x40000000
"""For setns(2)."""


def _setns(descriptor: int) -> None:
    # os.setns exists only from Python 3.12 on.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def enter(name: str) -> None:
    """Move the calling thread into a named namespace permanently.

    Raises:
        OSError: the namespace does not exist, or the process is not root.
    """
    descriptor = os.open(NETNS_DIR / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def inside(name: str | None) -> Iterator[None]:
    """Run the body with the calling thread in a named namespace, or where it is if None.

    Raises:
        OSError: the namespace does not exist, or the process is not root.
    """
    if name is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(name)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def listens(name: str, address: str, port: int) -> bool:
    """Whether a server accepts TCP connections at an address, as seen from a namespace."""
    with inside(name):
        try:
            socket.create_connection((address, port), timeout=1.0).close()
        except OSError:
            return False
    return True


def of_lab(lab: str) -> list[str]:
    """The names of the existing namespaces of a lab."""
    return [name for name in _all() if name.startswith(netns_prefix(lab))]


def labs() -> list[str]:
    """The names of all labs that have namespaces."""
    parts = [name.split(".") for name in _all()]
    prefix = netns_prefix("").split(".")[0]
    return sorted({part[1] for part in parts if part[0] == prefix and len(part) == 3})


def _all() -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(path.name for path in NETNS_DIR.iterdir())
    return []
