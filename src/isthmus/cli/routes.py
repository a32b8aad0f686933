"""`isthmus routes`: what this cluster advertises, what it has learned, and what it refuses."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from isthmus.cli.common.control import OptionalSocketOption, ask_daemon
from isthmus.cli.common.databases import read_databases
from isthmus.cli.common.output import Output, OutputOption, console, print_json
from isthmus.cli.options.remotes import IcSbRemote, NbRemote, TimeoutOption
from isthmus.inspect.routes import Direction, Route, Routes
from isthmus.inspect.routes import routes as routes_of
from isthmus.model.rows import Database


def routes(
    ovnnb_db: NbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    unixctl: OptionalSocketOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the routes of this cluster: advertised and learned, by zone and transit switch.

    With a daemon's control socket, also what overlaps or rules keep from being learned.
    """
    found = routes_of(read_databases({Database.NB: ovnnb_db, Database.IC_SB: ic_sb_db}, timeout))
    refused = _refused(unixctl)
    if output is Output.JSON:
        print_json({**asdict(found), **({} if refused is None else {"refused": refused})})
        return
    _print(found)
    if refused:
        console().print(_refusals(found.zone, refused))


def _refused(unixctl: Path | None) -> list[dict[str, Any]] | None:
    """What the daemon refuses; None if there is none to be asked."""
    if unixctl is None:
        return None
    refused: list[dict[str, Any]] = json.loads(ask_daemon(unixctl, "engine/refused"))
    return refused


def _refusals(zone: str, refused: list[dict[str, Any]]) -> Table:
    count = sum(entry["count"] for entry in refused)
    title = f"{zone}: {count} refused routes"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("PREFIX", "FROM ZONE", "ROUTER"):
        table.add_column(heading, no_wrap=True)
    table.add_column("RULE")
    for entry in refused:
        more = entry["count"] - len(entry["examples"])
        prefixes = "\n".join([*entry["examples"], *([f"and {more} more"] if more else [])])
        table.add_row(prefixes, entry["zone"], entry["router"], entry["rule"])
    return table


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
