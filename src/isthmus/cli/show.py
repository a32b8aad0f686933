"""`isthmus show`: zones, gateways, tunnels and ports, as the IC databases hold them."""

from dataclasses import asdict

from isthmus.cli.common.databases import read_databases
from isthmus.cli.common.output import Output, OutputOption, print_json, print_text
from isthmus.cli.options.remotes import IcNbRemote, IcSbRemote, TimeoutOption
from isthmus.inspect.topology import topology, topology_text
from isthmus.model.rows import Database


def show(
    ic_nb_db: IcNbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show zones, gateways, tunnel IPs, ports and addresses."""
    view = read_databases({Database.IC_NB: ic_nb_db, Database.IC_SB: ic_sb_db}, timeout)
    found = topology(view)
    if output is Output.JSON:
        print_json(asdict(found))
    else:
        print_text(topology_text(found))
