"""`isthmus routes`: the routes that this cluster advertises, has learned, and refuses."""

import json
from dataclasses import asdict

from isthmus.cli.common.control import OptionalSocketOption, ask_daemon
from isthmus.cli.common.databases import read_databases
from isthmus.cli.common.output import Output, OutputOption, print_json, print_text
from isthmus.cli.options.remotes import IcSbRemote, NbRemote, TimeoutOption
from isthmus.inspect.routes import routes as routes_of
from isthmus.inspect.routes import routes_text
from isthmus.model.rows import Database


def routes(
    ovnnb_db: NbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    unixctl: OptionalSocketOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show this cluster's routes: advertised and learned, by zone and transit switch.

    With a daemon's control socket, also the routes that overlaps or import rules keep out.
    """
    found = routes_of(read_databases({Database.NB: ovnnb_db, Database.IC_SB: ic_sb_db}, timeout))
    refused = {}
    if unixctl is not None:
        refused["refused"] = json.loads(ask_daemon(unixctl, "engine/refused"))
    if output is Output.JSON:
        print_json({**asdict(found), **refused})
    else:
        print_text(routes_text(found, **refused))
