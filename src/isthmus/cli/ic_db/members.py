"""`isthmus ic-db status|join|leave|kick|move-leader|compact`: looking after the members.

Registered with the app of `isthmus.cli.ic_db.run`. Run on the host of a member: the local servers
are asked by their control sockets, the others by the addresses that the cluster knows.
"""

import os
import shlex
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.table import Table

from isthmus.authz.status import ProxyStatus, proxy_status
from isthmus.cli.common.errors import CommandError, raise_if_any, unconfirmed
from isthmus.cli.common.output import Output, OutputOption, console, print_json, print_problems
from isthmus.cli.ic_db import transit_switches as ic_db_transit
from isthmus.cli.options.environment import CA_CERT, CERTIFICATE, PRIVATE_KEY
from isthmus.cli.options.tls import tls_in, tls_of
from isthmus.icdb.admin import membership_changes as maintenance
from isthmus.icdb.admin.server_control import Place
from isthmus.icdb.admin.status import DatabaseStatus, Member, database_status
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.ovsdb_tools import ClientTool, Credentials
from isthmus.icdb.raft.membership import bracketed, normal_host
from isthmus.icdb.server.plan import NB_PORT, NB_RAFT_PORT, SB_PORT, SB_RAFT_PORT, default_dirs
from isthmus.model.problems import Problem, Subject
from isthmus.ovsdb.tls import Tls

DATA_DIR, RUN_DIR = map(Path, default_dirs(os.environ))
SCHEMA_DIR = Path("/usr/share/ovn")

DataDirOption: TypeAlias = Annotated[
    Path, typer.Option(help="Directory of the database files.", show_default="as ic-db run has it")
]
RunDirOption: TypeAlias = Annotated[
    Path, typer.Option(help="Directory of the sockets.", show_default="as ic-db run has it")
]
SchemaDirOption: TypeAlias = Annotated[
    Path, typer.Option(help="Directory of OVN's database schemas.")
]
NbPortOption: TypeAlias = Annotated[
    int, typer.Option(min=1, max=65535, help="Port of the northbound database on all members.")
]
SbPortOption: TypeAlias = Annotated[
    int, typer.Option(min=1, max=65535, help="Port of the southbound database on all members.")
]
TlsDirOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        envvar="ISTHMUS_TLS_DIR",
        help="Directory of tls.crt, tls.key and ca.crt (or cert, key, cacert), for TLS.",
    ),
]
LimitOption: TypeAlias = Annotated[
    float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long to wait.")
]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do it.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    for verb in (status, join, leave, kick, compact):
        app.command()(telling(verb))
    app.command("move-leader")(telling(move_leader))
    app.add_typer(ic_db_transit.app, name="transit-switch")


def telling(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb whose `IcDbError` is shown like any other problem."""

    @wraps(verb)
    def told(*arguments: object, **options: object) -> None:
        try:
            verb(*arguments, **options)
        except IcDbError as error:
            raise CommandError(*error.problems) from error

    return told


def places(
    data_dir: Path,
    run_dir: Path,
    nb_port: int = NB_PORT,
    sb_port: int = SB_PORT,
    schema_dir: Path = SCHEMA_DIR,
) -> tuple[Place, Place]:
    """The local servers of both databases."""
    dirs = (data_dir.absolute(), run_dir.absolute(), schema_dir.absolute())
    return Place("nb", nb_port, *dirs), Place("sb", sb_port, *dirs)


def client_tool(tls_dir: Path | None, limit: float = 5.0) -> ClientTool:
    """Requests with the certificates of a directory, or those that the environment names.

    Raises:
        CommandError: a file is missing or bad.
    """
    if tls_dir is not None:
        tls: Tls | None = tls_in(tls_dir)
    else:
        names = (PRIVATE_KEY, CERTIFICATE, CA_CERT)
        tls = tls_of("isthmus", *(os.environ.get(name, "") for name in names))
    if tls is None:
        return ClientTool(int(limit))
    raise_if_any(tls.faults())
    return ClientTool(int(limit), Credentials(tls.private_key, tls.certificate, tls.ca_cert))


def status(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    data_dir: DataDirOption = DATA_DIR,
    run_dir: RunDirOption = RUN_DIR,
    nb_port: NbPortOption = NB_PORT,
    sb_port: SbPortOption = SB_PORT,
    tls_dir: TlsDirOption = None,
    timeout: LimitOption = 3.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show both databases: members, roles, terms, logs, connections, sizes, weaknesses; the guard.

    What zones were refused is no fault of the databases, and changes no exit status. It is 0 if
    both are healthy; 1, a member is missing, there is no leader or no majority, or the local
    servers or the guard before them do not run.
    """
    client = client_tool(tls_dir, timeout)
    found: list[DatabaseStatus] = []
    failed: list[Problem] = []
    for place in places(data_dir, run_dir, nb_port, sb_port):
        try:
            found.append(database_status(place, client))
        except IcDbError as error:
            failed += error.problems
    remotes = [remote for database in found for remote in database.remotes]
    guard = proxy_status(run_dir.absolute(), remotes)
    healthy = not failed and all(database.healthy for database in found)
    healthy = healthy and not (guard and guard.problems)
    if output is Output.JSON:
        databases = [{**asdict(database), "healthy": database.healthy} for database in found]
        said = {"healthy": healthy, "databases": databases, "errors": list(map(str, failed))}
        print_json({**said, "guard": asdict(guard) if guard else None})
    else:
        for database in found:
            _print(database)
        _print_guard(guard)
        print_problems(failed)
    if not healthy:
        raise typer.Exit(1)


def join(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    members: Annotated[list[str], typer.Argument(help="Addresses of members of the cluster.")],
    address: Annotated[str, typer.Option(help="This host's own address.")],
    data_dir: DataDirOption = DATA_DIR,
    tls: Annotated[bool, typer.Option("--tls", help="The members speak TLS.")] = False,
    nb_raft_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Raft's port, northbound.")
    ] = NB_RAFT_PORT,
    sb_raft_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Raft's port, southbound.")
    ] = SB_RAFT_PORT,
) -> None:
    """Prepare this host to become a member; `isthmus ic-db run --members … --address …` then joins.

    Not needed where `ic-db run` is given all members: it joins by itself.
    """
    own = _host("--address", address)
    named = dict.fromkeys(_host("MEMBERS", member) for member in members)
    others = [host for host in named if host != own]
    if not others:
        raise CommandError(_nobody_to_join(own))
    method, ports = "ssl" if tls else "tcp", (nb_raft_port, sb_raft_port)
    maintenance.prepare_joins(
        [
            (place, _raft(method, own, port), [_raft(method, host, port) for host in others])
            for place, port in zip(places(data_dir, RUN_DIR), ports, strict=True)
        ]
    )
    command = ["isthmus", "ic-db", "run", "--members", ",".join([*others, own])]
    command += ["--address", own, *_differing(data_dir, ports)]
    command += ["--tls-dir", "DIR"] if tls else ["--insecure"]
    console().print(f"prepared in {data_dir}; start `{shlex.join(command)}` on this host")


def _host(flag: str, text: str) -> str:
    host = normal_host(text)
    if not host:
        message = "is neither an IP address nor a host name"
        remedy = "write e.g. 192.0.2.1, fd00::1 or ic-1.example.org, without a port"
        raise CommandError(Subject("IC databases", flag, text).problem(message, remedy))
    return host


def _nobody_to_join(own: str) -> Problem:
    message = "is this host's own address; a member is joined that is there already"
    remedy = "name a member that runs, or more"
    return Subject("IC databases", "MEMBERS", own).problem(message, remedy)


def _raft(method: str, host: str, port: int) -> str:
    return f"{method}:{bracketed(host)}:{port}"


def _differing(data_dir: Path, ports: tuple[int, int]) -> Iterable[str]:
    """The options that `ic-db run` needs, too, since they are not the defaults."""
    nb, sb = ports
    options = (
        ("--data-dir", str(data_dir), str(DATA_DIR)),
        ("--nb-raft-port", str(nb), str(NB_RAFT_PORT)),
        ("--sb-raft-port", str(sb), str(SB_RAFT_PORT)),
    )
    return (word for flag, given, usual in options if given != usual for word in (flag, given))


def leave(
    data_dir: DataDirOption = DATA_DIR,
    run_dir: RunDirOption = RUN_DIR,
    timeout: LimitOption = 30.0,
    yes: YesOption = False,
) -> None:
    """Take this host's servers out of their clusters for good; leadership is handed over first.

    Refused if no majority of the members would be left.
    """
    both = places(data_dir, run_dir)
    if not yes:
        raise CommandError(
            unconfirmed("this member", "leaving is for good: it comes back as a new, empty member")
        )
    # One is left only if the other can be; where it was broken off, it goes on.
    member_of = [place for place in both if maintenance.still_in(place)]
    for place in member_of:
        maintenance.check_leaving(place)
    for place in both:
        if place in member_of:
            maintenance.leave(place, timeout)
        console().print(f"{place.database}: this member has left the cluster")
    console().print(
        f"stop `isthmus ic-db run` here; to have it join anew, move its files in {data_dir} away"
    )


def kick(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    member: Annotated[str, typer.Argument(help="Its address, or four digits of its server id.")],
    data_dir: DataDirOption = DATA_DIR,
    run_dir: RunDirOption = RUN_DIR,
    nb_port: NbPortOption = NB_PORT,
    sb_port: SbPortOption = SB_PORT,
    tls_dir: TlsDirOption = None,
    timeout: LimitOption = 30.0,
    yes: YesOption = False,
) -> None:
    """Remove a member that does not come back from both clusters.

    One that is there is removed only with --yes. Refused if no majority would be left.
    """
    client, found = client_tool(tls_dir), []
    for place in places(data_dir, run_dir, nb_port, sb_port):
        server = maintenance.settled_member(place, member, timeout)
        if server is None:
            continue
        if server.itself:
            raise CommandError(_is_itself(member))
        if not yes and maintenance.answers(place, server, client):
            raise CommandError(unconfirmed(f"member {server.address}", "it is alive"))
        maintenance.check_without(place, server)
        found.append((place, server))
    if not found:
        raise CommandError(_no_member(member))
    for place, server in found:
        maintenance.kick(place, server, timeout)
        console().print(f"{place.database}: removed {server.sid} at {server.address}")


def move_leader(
    data_dir: DataDirOption = DATA_DIR,
    run_dir: RunDirOption = RUN_DIR,
    timeout: LimitOption = 10.0,
) -> None:
    """Have another member lead, where this host's servers do: before the host goes down."""
    for place in places(data_dir, run_dir):
        leader = maintenance.move_leader(place, timeout)
        said = f"{leader} leads now" if leader else "this member does not lead"
        console().print(f"{place.database}: {said}")


def compact(data_dir: DataDirOption = DATA_DIR, run_dir: RunDirOption = RUN_DIR) -> None:
    """Replace this host's logs by snapshots; the servers also do it by themselves."""
    for place in places(data_dir, run_dir):
        before, after = maintenance.compact(place)
        console().print(f"{place.database}: {before} bytes before, {after} after")


def _print(database: DatabaseStatus) -> None:
    out = console()
    kind = f"cluster {database.cid}" if database.cid else database.model
    out.print(f"{database.database}: {'healthy' if database.healthy else 'NOT HEALTHY'}, {kind}")
    columns = ("MEMBER", "SID", "ROLE", "TERM", "INDEX", "LAG", "CLIENTS", "SIZE", "SCHEMA")
    table = Table(box=None, pad_edge=False)
    expiry = any(member.certificate_expires for member in database.members)
    for heading in (*columns, *(("CERTIFICATE UNTIL",) if expiry else ())):
        table.add_column(heading, no_wrap=True)
    for member in database.members:
        table.add_row(*_cells(member), *([member.certificate_expires] if expiry else []))
    out.print(table)
    for problem in database.problems:
        out.print(f"  problem: {problem}")
    for weakness in database.weaknesses:
        out.print(f"  weakness: {weakness}")


def _print_guard(guard: ProxyStatus | None) -> None:
    out = console()
    if guard is None:
        out.print(
            "authorizing proxy: none; any authenticated client can write any zone's rows (ic-db run"
            " --authorize)"
        )
        return
    state = "ready" if guard.ready else "NOT READY" if guard.running else "not running"
    names = ", ".join(sorted(guard.clients)) or "nobody"
    out.print(f"authorizing proxy: {state}; connected: {names}")
    for problem in guard.problems:
        out.print(f"  problem: {problem}")
    for refused in guard.refused:
        what = " ".join(part for part in (refused.operation, refused.table) if part)
        times = "once" if refused.count == 1 else f"{refused.count} times"
        out.print(f"  refused: zone {refused.zone}, {times}, last at {refused.at}:")
        out.print(f"    {what}: {refused.why}".removesuffix(": "))


def _cells(member: Member) -> list[str]:
    name = f"{member.address} (here)".strip() if member.local else member.address
    numbers = (member.term, member.index, member.lag, member.clients, member.size)
    return [
        name,
        member.sid[:4],
        member.role,
        *("-" if number is None else str(number) for number in numbers),
        member.schema or "-",
    ]


def _is_itself(member: str) -> Problem:
    return Subject("IC databases", "MEMBER", member).problem(
        "is this host's own server", "use `isthmus ic-db leave` to take it out"
    )


def _no_member(member: str) -> Problem:
    return Subject("IC databases", "MEMBER", member).problem(
        "no member has that address or server id",
        "take one of those that `isthmus ic-db status` shows",
    )
