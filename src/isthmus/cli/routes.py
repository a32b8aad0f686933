"""`isthmus routes`: what this cluster advertises and what it has learned."""

from dataclasses import asdict

from rich.table import Table

from isthmus.cli.databases import read_databases
from isthmus.cli.output import Output, OutputOption, console, print_json
from isthmus.cli.remotes import IcSbRemote, NbRemote, TimeoutOption
from isthmus.model.rows import Database
from isthmus.observe.routes import Direction, Route, Routes
from isthmus.observe.routes import routes as routes_of


def routes(
    ovnnb_db: NbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the routes of this cluster: advertised and learned, by zone and transit switch."""
    found = routes_of(read_databases({Database.NB: ovnnb_db, Database.IC_SB: ic_sb_db}, timeout))
    if output is Output.JSON:
        print_json(asdict(found))
    else:
        _print(found)


def _print(found: Routes) -> None:
    out = console()
    if not found.zone:
        out.print("this cluster takes no part: its NB_Global has no name")
    for direction in Direction:
        chosen = [route for route in found.routes if route.direction is direction]
        title = f"{found.zone}: {len(chosen)} {direction} routes"
        out.print(_table(title, chosen, learned=direction is Direction.LEARNED))


def _table(title: str, chosen: list[Route], *, learned: bool) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("PREFIX", "NEXT HOP", "VIA ZONE" if learned else "ZONE", "TRANSIT SWITCH"):
        table.add_column(heading, no_wrap=True)
    table.add_column("ORIGIN")
    tables = any(route.route_table for route in chosen)
    if tables:
        table.add_column("ROUTE TABLE")
    for route in chosen:
        cells = [route.prefix, route.nexthop, route.zone, route.transit_switch, route.origin]
        table.add_row(*cells, *([route.route_table] if tables else []))
    return table
