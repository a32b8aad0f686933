"""`isthmus ic-db authz`: the authorizing proxy, through which zones write only their own rows.

Registered by `isthmus.cli.ic_db.run`. Runs next to `ic-db run`, whose servers then listen on
sockets that zones cannot reach.
"""

import asyncio
import contextlib
import datetime
import gc
import logging
import os
import re
import resource
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from isthmus.authz.listener import handle_shortage
from isthmus.authz.proxy import AuthorizingProxy
from isthmus.authz.request import AuthorizationPolicy
from isthmus.cli.common.errors import CommandError, raise_if_any
from isthmus.cli.common.logs import log_to_stderr
from isthmus.cli.common.notify import notify_ready
from isthmus.icdb.local.database_server import NB_PORT, SB_PORT, default_dirs
from isthmus.icdb.server.plan import parse_listen
from isthmus.model.bounds import PROXY
from isthmus.model.prefixes import Network, parse_list
from isthmus.model.problems import Problem, Subject
from isthmus.model.text import failure_text, quoted
from isthmus.pki.files import TlsFiles, check_files

_, RUN_DIR = default_dirs(os.environ)
_NUMBER = re.compile("[0-9]{1,15}")
_PROXY = "authorizing proxy of the IC databases"

OperatorOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Name of a certificate that may write everything, in addition to the members and"
        " operators of isthmus pki; repeatable.",
    ),
]
PrefixesOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ZONE=CIDR[,CIDR…]",
        help="The only prefixes that a zone may advertise; no other zone may advertise them;"
        " repeatable.",
        show_default="any that no other zone has advertised",
    ),
]
SharedOption: TypeAlias = Annotated[
    str, typer.Option(metavar="CIDR[,CIDR…]", help="Prefixes that several zones may advertise.")
]
QuotaOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ZONE=BOUND:NUMBER[,…]",
        help="Limits of a zone that differ from the defaults; docs/reference/bounds.md lists them;"
        " repeatable.",
    ),
]

GatewaysOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ZONE=NAME[,NAME…]",
        help="The only chassis names of a zone's gateways; no other zone may use them; repeatable.",
        show_default="any that no other zone has used",
    ),
]
TunnelsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ZONE=CIDR[,CIDR…]",
        help="The only tunnel IPs of a zone's gateways; no other zone may use them; repeatable.",
        show_default="any that no other zone has used",
    ),
]

COLLECTOR = (100_000, 20, 20)
"""Thresholds of the cycle collector, which finds nothing in a message: with Python's, it takes most
of the time of parsing one with many values."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PolicyOptions:
    """What the operator says about zones."""

    operator: OperatorOption = None
    prefixes: PrefixesOption = None
    shared: SharedOption = ""
    quota: QuotaOption = None
    gateways: GatewaysOption = None
    tunnels: TunnelsOption = None

    def policy(self) -> AuthorizationPolicy:
        """The options' meaning.

        Raises:
            CommandError: a value is malformed.
        """
        limits: dict[str, dict[str, int]] = {}
        for zone, more in map(_zone_limits, self.quota or []):
            limits.setdefault(zone, {}).update(more)
        return AuthorizationPolicy(
            prefixes=_zone_networks("--prefixes", self.prefixes),
            shared=_networks("--shared", self.shared, self.shared),
            quotas=limits,
            gateways=_zone_names("--gateways", self.gateways),
            tunnels=_zone_networks("--tunnels", self.tunnels),
        )

    def flags(self) -> tuple[str, ...]:
        """The options for another process."""
        return (
            *(f"--operator={name}" for name in self.operator or []),
            *(f"--prefixes={text}" for text in self.prefixes or []),
            *((f"--shared={self.shared}",) if self.shared else ()),
            *(f"--quota={text}" for text in self.quota or []),
            *(f"--gateways={text}" for text in self.gateways or []),
            *(f"--tunnels={text}" for text in self.tunnels or []),
        )


@dataclass(frozen=True, kw_only=True)
class ProxyOptions(PolicyOptions):
    """Options of `authz`."""

    tls_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Directory with tls.crt, tls.key and ca.crt.")
    ]
    listen: Annotated[str, typer.Option(metavar="ADDRESS", help="IP address to listen on.")]
    run_dir: Annotated[
        Path, typer.Option(help="Directory of the servers' sockets: that of ic-db run.")
    ] = RUN_DIR
    nb_port: Annotated[int, typer.Option(min=1, max=65535, help="Port for IC-NB's clients.")] = (
        NB_PORT
    )
    sb_port: Annotated[int, typer.Option(min=1, max=65535, help="Port for IC-SB's clients.")] = (
        SB_PORT
    )


def authz(options: ProxyOptions) -> None:
    """Serve zones in front of the IC databases, and let each zone write only its own rows.

    The common name in a client's certificate is its zone. Refused requests are logged and shown by
    `isthmus ic-db status`. The servers must listen where zones cannot reach them, and those of a
    cluster must accept, on their Raft ports, only a CA that signs members alone;
    `isthmus ic-db run --authorize` arranges all of this.
    """
    log_to_stderr()
    address = parse_listen(options.listen)
    if isinstance(address, Problem):
        raise CommandError(address)
    files = TlsFiles.in_directory(options.tls_dir)
    raise_if_any(check_files(files, datetime.datetime.now(datetime.UTC), serves=True))
    raise_descriptor_limit()
    gc.set_threshold(*COLLECTOR)
    proxy = AuthorizingProxy(
        options.run_dir,
        (options.nb_port, options.sb_port),
        options.policy(),
        frozenset(options.operator or []),
    )
    try:
        asyncio.run(_serve(proxy, str(address), files))
    except OSError as error:
        remedy = "check that the ports are free and that the files in --tls-dir are complete"
        problem = Subject(_PROXY).problem(f"cannot serve: {failure_text(error)}", remedy)
        raise CommandError(problem) from error


def raise_descriptor_limit() -> None:
    """Allow as many file descriptors as the system permits: each client takes two."""
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))


async def _serve(proxy: AuthorizingProxy, listen: str, files: TlsFiles) -> None:
    def end() -> None:
        serving.cancel()

    asyncio.get_running_loop().set_exception_handler(handle_shortage(_log))
    # Otherwise a zone fills the disk: a warning for each answer to a client that has left.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    serving = asyncio.create_task(proxy.serve(listen, files, end))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    ready = asyncio.create_task(proxy.until_ready())
    ready.add_done_callback(_report_ready)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    finally:
        ready.cancel()


def _report_ready(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        _log.info("ready: both databases are complete")
        notify_ready()


def _zone_networks(option: str, texts: list[str] | None) -> dict[str, tuple[Network, ...]]:
    found: dict[str, tuple[Network, ...]] = {}
    for text in texts or []:
        zone, equals, cidrs = text.partition("=")
        if not zone or not equals:
            raise CommandError(_bad(option, text, "is not of the form ZONE=CIDR[,CIDR…]"))
        found[zone] = (*found.get(zone, ()), *_networks(option, text, cidrs))
    return found


def _zone_names(option: str, texts: list[str] | None) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for text in texts or []:
        zone, _, listed = text.partition("=")
        names = [name.strip() for name in listed.split(",")]
        if not zone or not all(names):
            problem = Subject(_PROXY, option, text).problem(
                "is not of the form ZONE=NAME[,NAME…]",
                "write the names of chassis, as `ovn-sbctl show` prints them",
            )
            raise CommandError(problem)
        found[zone] = found.get(zone, frozenset()).union(names)
    return found


def _zone_limits(text: str) -> tuple[str, dict[str, int]]:
    zone, _, listed = text.partition("=")
    limits = [limit.partition(":")[::2] for limit in listed.split(",")]
    names = [bound.name for bound in PROXY]
    for name, number in limits:
        if not zone or name not in names or not _NUMBER.fullmatch(number):
            problem = Subject(_PROXY, "--quota", text).problem(
                "is not of the form ZONE=BOUND:NUMBER[,…]",
                f"write a zone, a bound and a number; the bounds are {', '.join(names)}",
            )
            raise CommandError(problem)
    return zone, {name: int(number) for name, number in limits}


def _networks(option: str, text: str, cidrs: str) -> tuple[Network, ...]:
    networks, bad = parse_list(cidrs)
    if bad:
        raise CommandError(
            _bad(option, text, f"contains {quoted(bad[0])}, which is not a valid CIDR")
        )
    return networks


def _bad(option: str, value: str, message: str) -> Problem:
    return Subject(_PROXY, option, value).problem(message, "write CIDRs, e.g. 10.16.0.0/16")
