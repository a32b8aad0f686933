"""Run a command under the system call restrictions of a systemd unit, where systemd is not PID 1.

usage: python unit_sandbox.py UNIT COMMAND...

Loads a seccomp filter made from `SystemCallFilter=`, `RestrictAddressFamilies=`,
`RestrictNamespaces=` and `MemoryDenyWriteExecute=` as systemd.exec(5) describes them, and executes
the command. Users, capabilities and mounts are the caller's part.
"""

import ctypes
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EQUAL, _MASKED_EQUAL = 4, 7
_WRITE, _EXECUTE = 2, 4
_NAMESPACES = 0x7E020000  # linux/sched.h: all of CLONE_NEW*, without CLONE_NEWTIME


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def service(unit: Path) -> Iterator[tuple[str, str]]:
    """The settings of a unit, in order."""
    for line in unit.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            yield key, value


def system_calls(unit: Path) -> set[str]:
    """The names that `SystemCallFilter=` allows."""
    groups: dict[str, list[str]] = {}
    command = ["systemd-analyze", "--no-pager", "syscall-filter"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        if line.startswith("@"):
            members = groups.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.append(line.strip())

    def expanded(name: str) -> set[str]:
        return set().union(*map(expanded, groups[name])) if name in groups else {name}

    allowed: set[str] = set()
    for key, value in service(unit):
        if key == "SystemCallFilter":
            names = set().union(*map(expanded, value.removeprefix("~").split()))
            allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed


def conditions(unit: Path) -> dict[str, list[tuple[int, int, int, int]]]:
    """By system call: comparisons of arguments, one of which must hold."""
    settings = dict(service(unit))
    found: dict[str, list[tuple[int, int, int, int]]] = {}
    families = settings["RestrictAddressFamilies"].split()
    for name in ("socket", "socketpair"):
        found[name] = [(0, _EQUAL, getattr(socket, family), 0) for family in families]
    if settings["MemoryDenyWriteExecute"] == "yes":
        both = _WRITE | _EXECUTE
        found["mmap"] = [(2, _MASKED_EQUAL, both, value) for value in (0, _WRITE, _EXECUTE)]
        for name in ("mprotect", "pkey_mprotect"):
            found[name] = [(2, _MASKED_EQUAL, _EXECUTE, 0)]
    if settings["RestrictNamespaces"] == "yes":
        found |= {name: [(0, _MASKED_EQUAL, _NAMESPACES, 0)] for name in ("clone", "unshare")}
    return found


def restrict(unit: Path) -> None:
    """Load the filter into this process."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_ERRNO | errno.EPERM))
    limited = conditions(unit)

    def rule(action: int, name: str, *comparisons: tuple[int, int, int, int]) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        array = (_Comparison * len(comparisons))(*(_Comparison(*each) for each in comparisons))
        error = library.seccomp_rule_add_array(
            context, ctypes.c_uint32(action), number, len(comparisons), array
        )
        # Names of other architectures do not exist here.
        assert number < 0 or error == 0, (name, error)

    for name in system_calls(unit) - {"clone3", "setns"}:
        for comparison in limited.get(name, [None]):
            rule(_ALLOW, name, *([comparison] if comparison else []))
    rule(_ERRNO | errno.ENOSYS, "clone3")
    error = library.seccomp_load(context)
    assert error == 0, error


if __name__ == "__main__":
    restrict(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - a list of arguments is wanted
