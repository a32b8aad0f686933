"""`isthmus show`: zones, gateways, tunnels and ports, as the IC databases hold them."""

from dataclasses import asdict

from rich.tree import Tree

from isthmus.cli.common.databases import read_databases
from isthmus.cli.common.output import Output, OutputOption, console, print_json
from isthmus.cli.options.remotes import IcNbRemote, IcSbRemote, TimeoutOption
from isthmus.inspect.topology import GatewayInfo, Port, Topology, Zone, topology
from isthmus.model.rows import Database


def show(
    ic_nb_db: IcNbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show who takes part: zones, gateways, their tunnel IPs, ports and addresses."""
    view = read_databases({Database.IC_NB: ic_nb_db, Database.IC_SB: ic_sb_db}, timeout)
    found = topology(view)
    if output is Output.JSON:
        print_json(asdict(found))
    else:
        _print(found)


def _print(found: Topology) -> None:
    out = console()
    for zone in found.zones:
        out.print(_zone(zone))
    for switch in found.transit_switches:
        network = f" of network {switch.network}" if switch.network else ""
        out.print(
            f"transit switch {switch.name}{network}: subnet {switch.subnet or 'none'},"
            f" {switch.zones} of {len(found.zones)} zones attached",
            soft_wrap=True,
        )
    if not found.zones:
        out.print("no availability zone has joined")


def _zone(zone: Zone) -> Tree:
    tree = Tree(f"availability zone {zone.name} ({zone.routes} routes advertised)")
    for gateway in zone.gateways:
        _add_gateway(tree, gateway)
    if zone.unbound_ports:
        unbound = tree.add("ports without a live gateway")
        for port in zone.unbound_ports:
            unbound.add(_port(port))
    return tree


def _add_gateway(tree: Tree, gateway: GatewayInfo) -> None:
    branch = tree.add(f"gateway {gateway.hostname} ({gateway.name})")
    for tunnel in gateway.tunnels:
        branch.add(f"{tunnel.type} {tunnel.ip}")
    for port in gateway.ports:
        branch.add(_port(port))


def _port(port: Port) -> str:
    address = port.address or "no address yet"
    return f"port {port.name} on transit switch {port.transit_switch}: {address}"
