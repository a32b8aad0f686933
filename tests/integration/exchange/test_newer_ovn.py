"""Features of newer OVN, compared with the ovn-ic of the same version (make test-ovn-matrix)."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.servers import INSTALLATION, RealFleet, RealZone, fleet_in, wait_until

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
    made = ("--bare", "--columns=name", "list", "Logical_Router_Port")
    return all(
        {"p1", "p2"} <= set(zone.nbctl(*made).split())
        and {"p1", "p2"} & set(zone.sbctl(*bound).split())
        for zone in fleet.zones
    )


def _has_nothing(fleet: RealFleet) -> bool:
    rows = ("--bare", "--columns=_uuid", "find", "Datapath_Binding", "type=transit-router")
    return not fleet.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *rows).strip() and not any(
        "(tr)" in zone.nbctl("lr-list") for zone in fleet.zones
    )


def _transit_router(fleet: RealFleet) -> list[str]:
    """All rows of the router, without UUIDs and keys."""
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


def test_health_checks_are_those_of_ovn_ic(tmp_path: Path) -> None:
    """A remote endpoint's check is requested of its zone, and the status comes back."""
    needs("ovn-ic-sb", "Service_Monitor")
    results = {}
    for daemon in ("ovn-ic", "isthmus"):
        for fleet in two_zones(tmp_path / daemon, daemon):
            one, two = fleet.zones
            _balance(fleet)
            wait_until(partial(_checks, two, "ic_learned=true"), f"{daemon}: az2 is asked")
            results[daemon] = [
                *_monitors(one.sbctl, "remote,ic_learned"),
                *_monitors(two.sbctl, "remote,ic_learned"),
                *_monitors(
                    partial(fleet.ic.ctl, "ovn-ic-sbctl", Database.IC_SB),
                    "source_availability_zone,target_availability_zone",
                ),
                _same_mac(two),
            ]
            two.sbctl("set", "Service_Monitor", "vm2", "status=online")
            wait_until(partial(_checks, one, "status=online"), f"{daemon}: the status is back")
            one.nbctl("lb-del", "lb1")
            wait_until(partial(_checks_nothing, two), f"{daemon}: the check is gone")
    assert results["isthmus"] == results["ovn-ic"]


def _balance(fleet: RealFleet) -> None:
    """A load balancer in az1 with a checked endpoint in each zone."""
    one, two = fleet.zones
    for zone, port, address in ((one, "vm1", "10.1.0.5"), (two, "vm2", "10.2.0.5")):
        zone.nbctl("ls-add", "sw", "--", "lsp-add", "sw", port)
        zone.nbctl("lsp-set-addresses", port, f"0a:00:00:00:00:55 {address}")
    one.nbctl("lb-add", "lb1", "10.50.0.1:80", "10.1.0.5:8080,10.2.0.5:8080")
    one.nbctl("lr-lb-add", "r", "lb1")
    here, there = "vm1:10.1.0.99", "vm2:10.1.0.99:az2"
    one.nbctl(
        *("set", "load_balancer", "lb1"),
        *(f'ip_port_mappings:10.1.0.5="{here}"', f'ip_port_mappings:10.2.0.5="{there}"'),
    )
    one.nbctl(
        *("--id=@hc", "create", "Load_Balancer_Health_Check", "vip=10.50.0.1\\:80"),
        *("options:interval=3", "--", "add", "Load_Balancer", "lb1", "health_check", "@hc"),
    )


def _checks(zone: RealZone, condition: str) -> bool:
    """Whether SB has the remote endpoint's check in some state."""
    columns = ("--bare", "--columns=logical_port", "find", "Service_Monitor")
    return "vm2" in zone.sbctl(*columns, condition)


def _checks_nothing(zone: RealZone) -> bool:
    """Whether another zone requests nothing any more."""
    return not _checks(zone, "ic_learned=true")


def _monitors(ctl: Callable[..., str], more: str) -> list[str]:
    columns = f"--columns=logical_port,ip,port,protocol,type,src_ip,options,{more}"
    return sorted(ctl("--format=csv", columns, "list", "Service_Monitor").splitlines())


def _same_mac(zone: RealZone) -> bool:
    """Whether a check is sent from the MAC that the zone's own northd uses."""
    columns = ("--bare", "--columns=src_mac", "find", "Service_Monitor", "ic_learned=true")
    own = zone.nbctl("get", "NB_Global", ".", "options:svc_monitor_mac").strip().strip('"')
    return zone.sbctl(*columns).strip() == own
