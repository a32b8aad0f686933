"""Directories, locks and database files: all that must be right before a server is started.

Called by `supervisor`. Raises `IcDbError` with what to do; leaves no half-made file.
"""

import errno
import fcntl
import json
import logging
import os
import shutil
import socket
import subprocess
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePath

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.plan import IPV4, Server
from isthmus.model.problems import Problem

PACKAGE = "ovn-ic-db"
"""The Debian package that has the IC databases' schemas; it brings ovsdb-server along."""

LEFTOVER_LIMIT = 2.0
"""Seconds for the servers of a killed supervisor to be gone; the kernel kills them with it."""

_POLL = 0.02

_log = logging.getLogger(__name__)


class DirectoryLock(AbstractContextManager["DirectoryLock"]):
    """Keeps two supervisors from using one directory.

    The servers inherit the descriptor, so the lock is free only when the last of them is gone.

    Args:
        directory: to lock; made if it does not exist.
        flag: the option that named it, for messages.
        use: "data" or "run"; both may lock the same directory.
    """

    def __init__(self, directory: PurePath, flag: str, use: str) -> None:
        self._directory = Path(directory)
        self._flag = flag
        self._file = self._directory / f".isthmus-ic-db.{use}.lock"

    def __enter__(self) -> "DirectoryLock":
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o640)
        except OSError as error:
            raise IcDbError(self._unusable(error)) from error
        try:
            self._take()
        except IcDbError:
            os.close(self._descriptor)
            raise
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        """The descriptor that holds the lock."""
        return self._descriptor

    def _take(self) -> None:
        deadline = time.monotonic() + LEFTOVER_LIMIT
        while not self._try():
            if time.monotonic() > deadline:
                raise IcDbError(self._held(os.pread(self._descriptor, 20, 0).decode()))
            time.sleep(_POLL)  # a lock has nothing to wait for with a time limit

    def _try(self) -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def _unusable(self, error: OSError) -> Problem:
        return Problem(
            object="IC databases",
            key=self._flag,
            value=str(self._directory),
            message=f"cannot be written to: {error.strerror}",
            remedy="give a directory that this user may write to",
        )

    def _held(self, holder: str) -> Problem:
        return Problem(
            object="IC databases",
            key=self._flag,
            value=str(self._directory),
            message=f"is in use by another `isthmus ic-db run` (process {holder or 'unknown'})",
            remedy="stop that one first, or give another directory",
        )


def check_programs(server: Server) -> None:
    """See that the schema and OVSDB's programs are installed.

    Raises:
        IcDbError: naming what is missing, and the package.
    """
    for program in ("ovsdb-server", "ovsdb-tool"):
        if shutil.which(program) is None:
            raise IcDbError(_not_installed(f"program {program}", "is not on PATH"))
    if not Path(server.schema).is_file():
        raise IcDbError(_not_installed(f"schema {server.schema}", "does not exist"))


def check_port(server: Server) -> None:
    """See that the server's port is free: ovsdb-server itself would only log that it is not.

    Raises:
        IcDbError: the port is in use, or the address is none of this machine.
    """
    family = socket.AF_INET if server.listen.version == IPV4 else socket.AF_INET6
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(server.listen), server.port))
            probe.listen()
        except OSError as error:
            raise IcDbError(_cannot_listen(server, error)) from error


def prepare_database(server: Server) -> None:
    """Make the database file, or see that the one that exists can be served.

    A file whose schema is older than the installed one is converted, as OVN's scripts do.

    Raises:
        IcDbError: the file is damaged, clustered, or another database.
    """
    file = Path(server.database_file)
    try:
        if file.exists() and file.stat().st_size:
            _check_database(server)
            _upgrade(server)
        else:
            # An empty file is what remains of a creation that was cut short.
            file.unlink(missing_ok=True)
            _create(server)
    except OSError as error:
        message = f"cannot be used: {error.strerror}"
        remedy = "give --data-dir a directory that this user may read and write"
        raise IcDbError(_bad_file(server, message, remedy)) from error


def _create(server: Server) -> None:
    file = Path(server.database_file)
    # In a directory of its own, so that the database appears complete or not at all.
    workshop = file.with_suffix(".new")
    shutil.rmtree(workshop, ignore_errors=True)
    workshop.mkdir(mode=0o750)
    made = workshop / file.name
    result = _tool("create", made, server.schema)
    if result.returncode:
        raise IcDbError(_bad_file(server, _said(result), "free space, or mend the installation"))
    made.rename(file)
    shutil.rmtree(workshop)


def _check_database(server: Server) -> None:
    file = server.database_file
    if _tool("db-is-clustered", file).returncode == 0:
        message = "is a member of a Raft cluster; only stand-alone databases are served"
        remedy = "convert a copy with `ovsdb-tool cluster-to-standalone`"
        raise IcDbError(_bad_file(server, message, remedy))
    name = _tool("db-name", file)
    if name.returncode:
        raise IcDbError(_damaged(server, _said(name)))
    found = name.stdout.decode().strip()
    if found != server.database:
        message = f"holds the database {found}, not {server.database}"
        raise IcDbError(_bad_file(server, message, "give --data-dir the right directory"))
    everything = _tool("query", file, json.dumps([server.database]))
    if everything.returncode:
        _judge(server, _said(everything))


def _judge(server: Server, said: str) -> None:
    """The server would serve what is before the damage, silently; that may be too little."""
    if "(End of file)" not in said:
        raise IcDbError(_damaged(server, said))
    _log.warning(
        "%s: the last transaction is incomplete, as after a power failure, and is dropped: %s",
        server.database_file,
        said,
    )


def _upgrade(server: Server) -> None:
    file, schema = server.database_file, server.schema
    has = _tool("db-version", file).stdout.decode().strip()
    installed = _tool("schema-version", schema).stdout.decode().strip()
    if _tool("compare-versions", has, "<", installed).returncode:
        return
    _log.info("%s: converting from schema version %s to %s", file, has, installed)
    result = _tool("convert", file, schema)
    if result.returncode:
        message = f"cannot be converted to schema version {installed}: {_said(result)}"
        raise IcDbError(_bad_file(server, message, "install the OVN version that made it"))


def _tool(*arguments: str | PurePath) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ("ovsdb-tool", *map(str, arguments)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def _said(result: subprocess.CompletedProcess[bytes]) -> str:
    return result.stderr.decode(errors="replace").strip().removeprefix("ovsdb-tool: ")


def _damaged(server: Server, said: str) -> Problem:
    return _bad_file(
        server,
        f"is damaged: {said}",
        "restore it from a backup; or move it away and start again: a new one is made, and the"
        " clusters register again",
    )


def _bad_file(server: Server, message: str, remedy: str) -> Problem:
    return Problem(
        object=f"database {server.database}",
        key="file",
        value=str(server.database_file),
        message=message,
        remedy=remedy,
    )


def _not_installed(what: str, message: str) -> Problem:
    return Problem(
        object=what,
        key="",
        value="",
        message=message,
        remedy=f"install OVN's IC databases (on Debian: apt-get install {PACKAGE}), and have"
        " /usr/sbin on PATH",
    )


def _cannot_listen(server: Server, error: OSError) -> Problem:
    if error.errno == errno.EADDRNOTAVAIL:
        return Problem(
            object=f"database {server.database}",
            key="--listen",
            value=str(server.listen),
            message="is not an address of this machine",
            remedy="give one of its addresses (`ip address` lists them)",
        )
    return Problem(
        object=f"database {server.database}",
        key=f"--{server.short}-port",
        value=str(server.port),
        message=f"cannot listen on {server.address}: {error.strerror}",
        remedy="stop what listens there (`ss -ltnp` lists it), or give another port",
    )
