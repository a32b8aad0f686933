"""`isthmus ic-db guard`: zones write only what is theirs.

Registered with the app of `isthmus.cli.ic_db.run`. It runs beside `ic-db run`, whose servers then
listen where zones cannot reach them.
"""

import asyncio
import contextlib
import datetime
import logging
import os
import resource
import signal
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from isthmus.authz.audit_log import RECORD, Record
from isthmus.authz.proxy import Guard, entries
from isthmus.authz.request import Policy
from isthmus.authz.status import SOCKET
from isthmus.cli.common.errors import CommandError, raise_if_any
from isthmus.cli.common.logs import log_to_stderr
from isthmus.cli.common.notify import notify_ready
from isthmus.icdb.server.plan import NB_PORT, SB_PORT, default_dirs, parse_listen
from isthmus.model.prefixes import Network, parse_list
from isthmus.model.problems import Problem, Subject
from isthmus.pki.files import TlsFiles, check_files

_, RUN_DIR = map(Path, default_dirs(os.environ))

OperatorOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Name in a certificate that may write all, besides those that isthmus pki issues to"
        " members and operators; repeatable.",
    ),
]
PrefixesOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ZONE=CIDR[,CIDR…]",
        help="The prefixes that a zone may announce, and nobody else; repeatable.",
        show_default="what no other zone has announced",
    ),
]
SharedOption: TypeAlias = Annotated[
    str, typer.Option(metavar="CIDR[,CIDR…]", help="Prefixes that several may announce.")
]

_log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(guard)


def guard(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    tls_dir: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Directory with tls.crt, tls.key and ca.crt."),
    ],
    listen: Annotated[str, typer.Option(metavar="ADDRESS", help="IP address to listen on.")],
    run_dir: Annotated[
        Path, typer.Option(help="Directory of the servers' sockets: that of ic-db run.")
    ] = RUN_DIR,
    nb_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port for IC-NB's clients.")
    ] = NB_PORT,
    sb_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port for IC-SB's clients.")
    ] = SB_PORT,
    operator: OperatorOption = None,
    prefixes: PrefixesOption = None,
    shared: SharedOption = "",
) -> None:
    """Stand before the IC databases' servers, and let zones write only what is theirs.

    A zone is who its certificate says (the common name); what it may write is in ARCHITECTURE.md.
    Refusals are logged, and shown by `isthmus ic-db status`. The servers are to listen where zones
    cannot reach them, and those of a cluster to believe, on their Raft ports, a CA that signs
    members alone; `isthmus ic-db run --guard` sees to that, and to this.
    """
    log_to_stderr()
    address = parse_listen(listen)
    if isinstance(address, Problem):
        raise CommandError(address)
    files = TlsFiles.in_directory(tls_dir)
    raise_if_any(check_files(files, datetime.datetime.now(datetime.UTC), serves=True))
    allow_many_connections()
    found = Guard(
        entries(run_dir, nb_port, sb_port),
        parse_policy(prefixes, shared),
        frozenset(operator or []),
        Record(run_dir / RECORD),
        run_dir / SOCKET,
    )
    try:
        asyncio.run(_serve(found, str(address), files))
    except OSError as error:
        raise CommandError(_not_served(error)) from error


def parse_policy(prefixes: list[str] | None, shared: str) -> Policy:
    """What the operator says in flags.

    Raises:
        CommandError: something is no CIDR.
    """
    named = dict(map(_zone_prefixes, prefixes or []))
    return Policy(named, _networks("--shared", shared, shared))


def policy_flags(
    operators: list[str] | None, prefixes: list[str] | None, shared: str
) -> tuple[str, ...]:
    """The same flags for another process, looked at before.

    Raises:
        CommandError: something is no CIDR.
    """
    parse_policy(prefixes, shared)
    return (
        *(f"--operator={name}" for name in operators or []),
        *(f"--prefixes={text}" for text in prefixes or []),
        *((f"--shared={shared}",) if shared else ()),
    )


def allow_many_connections() -> None:
    """Have as many descriptors as the system lets us: each client takes two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(found: Guard, listen: str, files: TlsFiles) -> None:
    def end() -> None:
        serving.cancel()

    serving = asyncio.create_task(found.serve(listen, files, end))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    until = asyncio.create_task(found.until_ready())
    until.add_done_callback(_tell_ready)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    finally:
        until.cancel()


def _tell_ready(until: "asyncio.Task[None]") -> None:
    if not until.cancelled():
        _log.info("both databases are known: zones are served")
        notify_ready()


def _zone_prefixes(text: str) -> tuple[str, tuple[Network, ...]]:
    zone, equals, cidrs = text.partition("=")
    if not zone or not equals:
        raise CommandError(_bad("--prefixes", text, "is not ZONE=CIDR[,CIDR…]"))
    return zone, _networks("--prefixes", text, cidrs)


def _networks(option: str, text: str, cidrs: str) -> tuple[Network, ...]:
    networks, bad = parse_list(cidrs)
    if bad:
        raise CommandError(_bad(option, text, f"{bad[0]!r} is not a CIDR"))
    return networks


def _bad(option: str, value: str, message: str) -> Problem:
    return Subject("IC databases' guard", option, value).problem(message, "write e.g. 10.16.0.0/16")


def _not_served(error: BaseException) -> Problem:
    return Subject("IC databases' guard").problem(
        f"cannot serve: {error}", "see that the ports are free, and the files in --tls-dir whole"
    )
