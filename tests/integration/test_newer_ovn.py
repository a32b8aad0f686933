"""What only newer OVN has, beside the ovn-ic of the same version (make test-ovn-matrix)."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn import INSTALLATION, RealFleet, fleet_in, wait_until

pytestmark = pytest.mark.ovn


def needs(schema: str, table: str, column: str = "") -> None:
    """Skip unless the schema under test has a table, and a column of it."""
    tables = json.loads((INSTALLATION.schemas / f"{schema}.ovsschema").read_text())["tables"]
    if table not in tables or (column and column not in tables[table]["columns"]):
        pytest.skip(f"this OVN's {schema} has no {table} {column}")


def two_zones(directory: Path, daemon: str) -> Iterator[RealFleet]:
    """Two joined zones that run one kind of daemon."""
    with fleet_in(directory) as fleet:
        fleet.add_ts("ts")
        for number, name in enumerate(("az1", "az2"), start=1):
            zone = fleet.add_zone(name)
            options = [f"options:ic-route-{what}=true" for what in ("adv", "learn")]
            zone.nbctl("set", "NB_Global", ".", *options)
            zone.start_daemon(daemon)
            zone.join("ts", f"169.254.100.{number}/24")
        yield fleet


def test_transit_routers_are_those_of_ovn_ic(tmp_path: Path) -> None:
    """Routers, ports, and what is published of them are the same; all goes with the router."""
    needs("ovn-ic-nb", "Transit_Router")
    results = {}
    for daemon in ("ovn-ic", "isthmus"):
        for fleet in two_zones(tmp_path / daemon, daemon):
            ic = partial(fleet.ic.ctl, "ovn-ic-nbctl", Database.IC_NB)
            ic("tr-add", "tr")
            ic("trp-add", "tr", "p1", "0a:00:00:00:09:01", "172.31.0.1/24", "chassis=az1-gw")
            ic("trp-add", "tr", "p2", "0a:00:00:00:09:02", "172.31.1.1/24", "chassis=az2-gw")
            wait_until(partial(_has_ports, fleet), f"{daemon} has made the ports everywhere")
            results[daemon] = _transit_router(fleet)
            ic("tr-del", "tr")
            wait_until(partial(_has_nothing, fleet), f"{daemon} has removed it all")
    assert results["isthmus"] == results["ovn-ic"]


def _has_ports(fleet: RealFleet) -> bool:
    bound = ("--bare", "--columns=logical_port", "find", "Port_Binding", "type=remote")
    return all(
        {"p1", "p2"} <= set(zone.nbctl("--bare", "--columns=name", "list", "Logical_Router_Port").split())
        and {"p1", "p2"} & set(zone.sbctl(*bound).split())
        for zone in fleet.zones
    )


def _has_nothing(fleet: RealFleet) -> bool:
    rows = ("--bare", "--columns=_uuid", "find", "Datapath_Binding", "type=transit-router")
    return not fleet.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *rows).strip() and not any(
        "(tr)" in zone.nbctl("lr-list") for zone in fleet.zones
    )


def _transit_router(fleet: RealFleet) -> list[str]:
    """All that is of the router, without UUIDs and keys."""
    columns = "--columns=logical_port,transit_switch,type,address,gateway"
    lines = fleet.ic.ctl(
        "ovn-ic-sbctl", Database.IC_SB, "--format=csv", columns, "list", "Port_Binding"
    ).splitlines()
    for zone in fleet.zones:
        for column in ("mac", "networks", "options:interconn-tr", "options:requested-chassis"):
            lines += [zone.nbctl("get", "Logical_Router_Port", p, column) for p in ("p1", "p2")]
        lines.append(zone.nbctl("get", "Logical_Router", "tr", "options:interconn-tr"))
        keys = zone.sbctl(
            "--bare", "--columns=tunnel_key", "find", "Port_Binding", "logical_port=p1"
        )
        lines.append(str(bool(keys.strip())))
        types = ("--bare", "--columns=logical_port,type", "find", "Port_Binding", "logical_port=p2")
        lines.append(zone.sbctl(*types))
    return sorted(lines)


@pytest.mark.parametrize("daemon", ["ovn-ic", "isthmus"])
def test_a_client_can_wait_for_all_zones(tmp_path: Path, daemon: str) -> None:
    """ovn-ic-nbctl --wait=sb sync returns when every zone has followed."""
    needs("ovn-ic-nb", "IC_NB_Global", "nb_ic_cfg")
    for fleet in two_zones(tmp_path, daemon):
        waited = ("--timeout=30", "--wait=sb", "ts-add", "late")
        fleet.ic.ctl("ovn-ic-nbctl", Database.IC_NB, *waited)
        for zone in fleet.zones:
            assert "late" in zone.nbctl("ls-list")
