"""`isthmus ic-db status`: the health of the databases, their members and the proxy.

Registered by `isthmus.cli.ic_db.run`. Run on the host of a member.
"""

from dataclasses import asdict, dataclass

import typer

from isthmus.authz.status import ProxyStatus, proxy_status
from isthmus.cli.common.output import Output, OutputOption, print_json, print_lines, print_problems
from isthmus.cli.ic_db.options import MemberOptions, TimeoutOption
from isthmus.icdb.admin.status import DatabaseStatus, MemberStatus, database_status
from isthmus.icdb.errors import IcDbError
from isthmus.inspect.layout import table
from isthmus.model.problems import Problem


@dataclass(frozen=True, kw_only=True)
class StatusOptions(MemberOptions):
    """Options of `status`."""

    timeout: TimeoutOption = 3.0
    output: OutputOption = Output.TEXT


def status(options: StatusOptions) -> None:
    """Show the health of both databases: members, roles, logs, clients, weaknesses; the proxy.

    The exit status is 0 if both are healthy. It is 1 if a member is missing, there is no leader or
    no majority, or the local servers or the authorizing proxy do not run. Refused requests of zones
    do not change it.
    """
    client = options.client()
    found: list[DatabaseStatus] = []
    failed: list[Problem] = []
    for server in options.servers():
        try:
            found.append(database_status(server, client))
        except IcDbError as error:
            failed += error.problems
    remotes = [remote for database in found for remote in database.remotes]
    proxy = proxy_status(options.run_dir.absolute(), remotes)
    healthy = not failed and all(database.healthy for database in found)
    healthy = healthy and not (proxy and proxy.problems)
    if options.output is Output.JSON:
        databases = [{**asdict(database), "healthy": database.healthy} for database in found]
        answer = {"healthy": healthy, "databases": databases, "errors": list(map(str, failed))}
        print_json({**answer, "guard": proxy.as_json() if proxy else None})
    else:
        for database in found:
            _print_database(database)
        _print_proxy(proxy)
        print_problems(failed)
    if not healthy:
        raise typer.Exit(1)


def _print_database(database: DatabaseStatus) -> None:
    kind = f"cluster {database.cid}" if database.cid else database.model
    print_lines(f"{database.database}: {'healthy' if database.healthy else 'NOT HEALTHY'}, {kind}")
    columns = ["MEMBER", "SID", "ROLE", "TERM", "INDEX", "LAG", "CLIENTS", "SIZE", "SCHEMA"]
    rows = [_cells(member) for member in database.members]
    if any(member.certificate_expires for member in database.members):
        columns.append("CERTIFICATE UNTIL")
        for row, member in zip(rows, database.members, strict=True):
            row.append(member.certificate_expires)
    print_lines(*table(columns, rows))
    for problem in database.problems:
        print_lines(f"  problem: {problem}")
    for weakness in database.weaknesses:
        print_lines(f"  weakness: {weakness}")


def _cells(member: MemberStatus) -> list[str]:
    name = f"{member.address} (here)".strip() if member.local else member.address
    numbers = (member.term, member.index, member.lag, member.clients, member.size)
    return [
        name,
        member.sid[:4],
        member.role,
        *("-" if number is None else str(number) for number in numbers),
        member.schema or "-",
    ]


def _print_proxy(proxy: ProxyStatus | None) -> None:
    if proxy is None:
        print_lines(
            "authorizing proxy: none; any authenticated client can write any zone's rows (ic-db run"
            " --authorize)"
        )
        return
    state = "ready" if proxy.ready else "NOT READY" if proxy.running else "not running"
    names = ", ".join(sorted(proxy.clients)) or "no one"
    print_lines(f"authorizing proxy: {state}; connected: {names}")
    for problem in proxy.problems:
        print_lines(f"  problem: {problem}")
    for zone, quotas in sorted(proxy.quotas.items()):
        used = [f"{name} {used} of {most}" for name, (used, most) in quotas.items() if used]
        print_lines(f"  quotas: zone {zone}: {', '.join(used)}")
    for zone, refused in proxy.refused.items():
        what = " ".join(part for part in (refused.operation, refused.table) if part)
        times = "once" if refused.count == 1 else f"{refused.count} times"
        print_lines(f"  refused: zone {zone}, {times}, last at {refused.time}:")
        print_lines(f"    {what}: {refused.why}".removesuffix(": "))
        if refused.bounds:
            counts = (f"{name} {count}" for name, count in sorted(refused.bounds.items()))
            print_lines(f"    bounds met: {', '.join(counts)}")
