"""Checks of directories, programs and ports before a server is started.

Called by `supervisor`. Raises `IcDbError` with a remedy.
"""

import errno
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_server import DatabaseServer, Directories, Program
from isthmus.icdb.local.hosts import bracketed
from isthmus.icdb.server.plan import Plan
from isthmus.model.problems import Problem, Subject
from isthmus.model.text import failure_text
from isthmus.ovsdb.streams.unix import require_private

PACKAGE = "ovn-ic-db"
"""The Debian package that has the IC databases' schemas; it depends on ovsdb-server."""


def check_environment(plan: Plan) -> None:
    """Check everything that both servers and the proxy need but the database files.

    Raises:
        IcDbError: naming the first fault.
    """
    proxy = () if plan.proxy is None else (plan.proxy,)
    _check_logs(plan.files, [*(server.program() for server in plan.servers), *proxy])
    for server in plan.servers:
        _check_programs(server)
        port = f"--{server.short}-port", server.port
        _check_port(server, ("--listen", str(server.listen)), port)
        if plan.membership is not None:
            port = f"--{server.short}-raft-port", server.raft_port
            _check_port(server, ("--address", plan.membership.own), port)


def _check_port(server: DatabaseServer, host: tuple[str, str], port: tuple[str, int]) -> None:
    """Check a port, which `ovsdb-server` would only log; host and port have their flags.

    Raises:
        IcDbError: the port is in use, or the address is not one of this machine.
    """
    try:
        _try_to_listen(host[1], port[1])
    except OSError as error:
        subject = Subject(server.subject.object, *host)
        if isinstance(error, socket.gaierror):
            message = f"cannot be resolved: {failure_text(error)}"
            remedy = "fix the name in DNS or /etc/hosts, or give an IP address"
        elif error.errno == errno.EADDRNOTAVAIL:
            message = "is not an address of this machine"
            remedy = "give one of its addresses (`ip address` lists them)"
        else:
            where = f"{server.method}:{bracketed(host[1])}:{port[1]}"
            subject = Subject(server.subject.object, port[0], str(port[1]))
            message = f"cannot listen on {where}: {failure_text(error)}"
            remedy = "stop what listens there (`ss -ltnp` lists it), or give another port"
        raise IcDbError(subject.problem(message, remedy)) from error


def has_ipv6() -> bool:
    """Whether any interface of this machine has an IPv6 address."""
    try:
        return bool(Path("/proc/net/if_inet6").read_text(encoding="ascii"))
    except OSError:
        return False


def _check_logs(files: Directories, programs: Iterable[Program]) -> None:
    for program in programs:
        try:
            log = Path(program.log_file)
            log.parent.mkdir(parents=True, exist_ok=True)
            require_private(log.parent)
            log.open("ab").close()
        except OSError as error:
            flag = "--log-dir" if files.log_dir else "--run-dir"
            message = f"cannot be written to: {failure_text(error)}"
            remedy = "give a directory whose files this user, and no other, may write to"
            subject = Subject("IC databases", flag, str(program.log_file))
            raise IcDbError(subject.problem(message, remedy)) from error


def _check_programs(server: DatabaseServer) -> None:
    for program in ("ovsdb-server", "ovsdb-tool"):
        if shutil.which(program) is None:
            raise IcDbError(_not_installed(f"program {program}", "is not on PATH"))
    if not server.schema.is_file():
        raise IcDbError(_not_installed(f"schema {server.schema}", "does not exist"))


def _try_to_listen(host: str, port: int) -> None:
    [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()


def _not_installed(what: str, message: str) -> Problem:
    return Subject(what).problem(
        message,
        f"install OVN's IC databases (on Debian: apt-get install {PACKAGE}), and have /usr/sbin on"
        " PATH; or name the directory of the schemas with --schema-dir",
    )
