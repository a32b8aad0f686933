"""Directories, ports and database files: all that must be right before a server is started.

Called by `supervisor`. Raises `IcDbError` with what to do; leaves no half-made file.
"""

import errno
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePath

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.raft.membership import bracketed
from isthmus.icdb.server.plan import Files, Program, Server
from isthmus.model.problems import Problem, Subject

PACKAGE = "ovn-ic-db"
"""The Debian package that has the IC databases' schemas; it brings ovsdb-server along."""

SPACE = 8 * 1024 * 1024
"""Bytes that should be free on a database's disk: room for a new log beside the old."""

_log = logging.getLogger(__name__)


def make_log_dir(files: Files) -> None:
    """Make the directory of logs, if it is one of its own.

    Raises:
        IcDbError: it cannot be made.
    """
    if files.log_dir is None:
        return
    try:
        Path(files.log_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IcDbError(
            Subject("IC databases", "--log-dir", str(files.log_dir)).problem(
                f"cannot be made: {error.strerror}", "give a directory that this user may write to"
            )
        ) from error


def check_logs(files: Files, programs: Iterable[Program]) -> None:
    """See that the logs can be written.

    Raises:
        IcDbError: naming the first that cannot.
    """
    for program in programs:
        try:
            Path(program.log_file).open("ab").close()
        except OSError as error:
            raise IcDbError(
                Subject(
                    "IC databases",
                    "--log-dir" if files.log_dir else "--run-dir",
                    str(program.log_file),
                ).problem(
                    f"cannot be written to: {error.strerror}",
                    "give a directory whose files this user may write to",
                )
            ) from error


def check_access(server: Server) -> None:
    """See that this user may read and write the database's file, which exists.

    OVSDB's tools say of a file that they may not read what they say of a damaged one.

    Raises:
        IcDbError: not so.
    """
    file = Path(server.database_file)
    if not os.access(file, os.R_OK | os.W_OK, effective_ids=True):
        message = "cannot be read and written by this user"
        raise IcDbError(bad_file(server, message, "give it to this user, by chown and chmod"))


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
    try:
        _try_to_listen(str(server.listen), server.port)
    except OSError as error:
        host = ("--listen", str(server.listen))
        port = (f"--{server.short}-port", server.port)
        raise IcDbError(_cannot_listen(server, host, port, error)) from error


def check_raft_port(server: Server, host: str) -> None:
    """See that this machine can listen on a host and the server's Raft port.

    Raises:
        IcDbError: the port is in use, or the host is not this machine.
    """
    try:
        _try_to_listen(host, server.raft_port)
    except OSError as error:
        port = (f"--{server.short}-raft-port", server.raft_port)
        raise IcDbError(_cannot_listen(server, ("--address", host), port, error)) from error


def _try_to_listen(host: str, port: int) -> None:
    [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()


def has_ipv6() -> bool:
    """Whether any interface of this machine has an IPv6 address."""
    try:
        return bool(Path("/proc/net/if_inet6").read_text(encoding="ascii"))
    except OSError:
        return False


def free_space(data_dir: PurePath) -> int:
    """Bytes that are free where databases are; as many as can be if it cannot be told."""
    try:
        return shutil.disk_usage(data_dir).free
    except OSError:
        return sys.maxsize


def prepare_database(server: Server) -> None:
    """Make the database file, or see that the one that exists can be served.

    A file whose schema is older than the installed one is converted, as OVN's scripts do.

    Raises:
        IcDbError: the file is damaged, clustered, or another database.
    """
    file = Path(server.database_file)
    try:
        if file.exists() and file.stat().st_size:
            check_access(server)
            if tool("db-is-clustered", file).returncode == 0:
                raise IcDbError(_clustered(server))
            check_standalone(server)
        else:
            # An empty file is what remains of a creation that was cut short.
            file.unlink(missing_ok=True)
            _create(server)
    except OSError as error:
        message = f"cannot be used: {error.strerror}"
        remedy = "give --data-dir a directory that this user may read and write"
        raise IcDbError(bad_file(server, message, remedy)) from error


def _create(server: Server) -> None:
    file = Path(server.database_file)
    # In a directory of its own, so that the database appears complete or not at all.
    workshop = file.with_suffix(".new")
    shutil.rmtree(workshop, ignore_errors=True)
    workshop.mkdir(mode=0o750)
    made = workshop / file.name
    result = tool("create", made, server.schema)
    if result.returncode:
        shutil.rmtree(workshop)
        raise IcDbError(bad_file(server, said(result), "free space, or mend the installation"))
    made.rename(file)
    shutil.rmtree(workshop)


def check_standalone(server: Server) -> None:
    """See that a stand-alone database can be served, and convert it to the installed schema.

    Raises:
        IcDbError: the file is damaged or another database.
    """
    file = server.database_file
    name = tool("db-name", file)
    if name.returncode:
        raise IcDbError(bad_file(server, f"is damaged: {said(name)}", _RESTORE))
    found = name.stdout.decode().strip()
    if found != server.database:
        message = f"holds the database {found}, not {server.database}"
        raise IcDbError(bad_file(server, message, "give --data-dir the right directory"))
    everything = tool("query", file, json.dumps([server.database]))
    if everything.returncode:
        judge_damage(server, said(everything), _RESTORE)
    _upgrade(server)


def judge_damage(server: Server, damage: str, remedy: str) -> None:
    """The server would serve what is before the damage, silently; that may be too little.

    Args:
        server: whose file.
        damage: what `ovsdb-tool` said.
        remedy: for people.

    Raises:
        IcDbError: more than the end of the last record is missing.
    """
    if "(End of file)" not in damage and not _in_last_header(server, damage):
        raise IcDbError(bad_file(server, f"is damaged: {damage}", remedy))
    _log.warning(
        "%s: the last transaction is incomplete, as after a power failure, and is dropped: %s",
        server.database_file,
        damage,
    )


def _in_last_header(server: Server, damage: str) -> bool:
    """Whether what is damaged is the line that begins the last record, and was not finished."""
    offset = re.search(r"parse error at offset (\d+) in header line", damage)
    if offset is None:
        return False
    rest = Path(server.database_file).read_bytes()[int(offset[1]) :]
    return b"\n" not in rest and (rest.startswith(_RECORD) or _RECORD.startswith(rest))


def _upgrade(server: Server) -> None:
    file, schema = server.database_file, server.schema
    has = tool("db-version", file).stdout.decode().strip()
    installed = tool("schema-version", schema).stdout.decode().strip()
    if tool("compare-versions", has, ">", installed).returncode == 0:
        _log.warning(
            "%s: its schema version, %s, is newer than the installed one, %s; it is served as it"
            " is; install the OVN version that made it",
            file,
            has,
            installed,
        )
    if tool("compare-versions", has, "<", installed).returncode:
        return
    _log.info("%s: converting from schema version %s to %s", file, has, installed)
    result = tool("convert", file, schema)
    if result.returncode:
        message = f"cannot be converted to schema version {installed}: {said(result)}"
        raise IcDbError(bad_file(server, message, "install the OVN version that made it"))


def tool(*arguments: str | PurePath) -> subprocess.CompletedProcess[bytes]:
    """Run `ovsdb-tool`."""
    return subprocess.run(
        ("ovsdb-tool", *map(str, arguments)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def said(result: subprocess.CompletedProcess[bytes]) -> str:
    """What a failed program said last."""
    lines = result.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("ovsdb-tool: ") if lines else f"exit status {result.returncode}"


_RECORD = b"OVSDB "
"""How the line before each record begins."""

_RESTORE = (
    "restore it from a backup; or move it away and start again: a new one is made, and the"
    " clusters register again"
)


def _clustered(server: Server) -> Problem:
    return bad_file(
        server,
        "is a member of a Raft cluster, and no members are given",
        "give --members and --address (or NODE_IPS and LOCAL_IP); to have it stand alone again,"
        " convert a copy with `ovsdb-tool cluster-to-standalone`",
    )


def bad_file(server: Server, message: str, remedy: str) -> Problem:
    """What is wrong with a database's file."""
    return Subject(f"database {server.database}", "file", str(server.database_file)).problem(
        message, remedy
    )


def _not_installed(what: str, message: str) -> Problem:
    return Subject(what).problem(
        message,
        (
            f"install OVN's IC databases (on Debian: apt-get install {PACKAGE}), and have"
            " /usr/sbin on PATH; or name the schemas' directory by --schema-dir"
        ),
    )


def _cannot_listen(
    server: Server, host: tuple[str, str], port: tuple[str, int], error: OSError
) -> Problem:
    """What to say; host and port come with the flags that gave them."""
    thing = f"database {server.database}"
    if isinstance(error, socket.gaierror):
        message = f"cannot be resolved: {error.strerror}"
        remedy = "mend the name in DNS or /etc/hosts, or give an IP address"
        return Subject(thing, *host).problem(message, remedy)
    if error.errno == errno.EADDRNOTAVAIL:
        message = "is not an address of this machine"
        remedy = "give one of its addresses (`ip address` lists them)"
        return Subject(thing, *host).problem(message, remedy)
    return Subject(thing, port[0], str(port[1])).problem(
        f"cannot listen on {server.method}:{bracketed(host[1])}:{port[1]}: {error.strerror}",
        "stop what listens there (`ss -ltnp` lists it), or give another port",
    )
