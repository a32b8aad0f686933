"""The fleet that is attacked: three zones behind an authorizing proxy, with packets between them.

az1 and az2 are honest. So is az3's daemon, but its operator writes wrong configuration, and a relay
that lies stands between it and the proxy. az4 has a valid certificate and no daemon. The servers
also listen without TLS and without the proxy, where no zone connects.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hostile.door import NB, SB, Door
from hostile.relay import Relay
from hostile.rows import OWN_NETWORK
from isthmus.inspect.status_text import GOOD
from isthmus.model.rows import Database
from isthmus.ovsdb.jsonrpc import JsonRpcClient
from isthmus.ovsdb.streams.tls import Tls
from isthmus.ovsdb.unixctl_client import ask
from isthmus.pki.files import TlsFiles
from isthmus_lab.build import ic_certificates, network
from isthmus_lab.lab import Lab
from isthmus_lab.topology.layout import IC
from isthmus_lab.topology.plan import IC_NB_PORT, IC_SB_PORT
from isthmus_lab.waiting import wait_until
from support.lab.joined import Joined, topology
from support.lab.names import new_lab_name, remove_labs_of_the_dead
from support.lab.traffic import Flow

THREE_ZONES = """
ic: {tls: true, authorize: true}
clusters:
  - name: az1
    nodes: [{name: az1-gw, roles: [central, gateway]}]
    subnets: [{name: ovn-default, cidr: 10.16.0.0/16}, {name: apps, cidr: 10.26.0.0/16}]
    pods: [{name: az1-web, node: az1-gw}]
  - name: az2
    nodes: [{name: az2-gw, roles: [central, gateway]}]
    subnets: [{name: ovn-default, cidr: 10.17.0.0/16}]
    pods: [{name: az2-web, node: az2-gw}]
  - name: az3
    nodes: [{name: az3-gw, roles: [central, gateway]}]
    subnets: [{name: ovn-default, cidr: 10.18.0.0/16}, {name: apps, cidr: 10.28.0.0/16}]
    pods: [{name: az3-web, node: az3-gw}]
"""
FLOWS = tuple(
    Flow(f"az{one}-web", f"az{other}-web") for one, other in ((1, 2), (2, 1), (1, 3), (3, 2))
)
HONEST = FLOWS[:2]
"""The flows that must lose no packet. The link of az3 also carries what the relay sends."""
ZONES = ("az1", "az2", "az3")
ATTACKER = "az4"
LIMIT_S = 120.0
"""Seconds to wait for a state: a hundred times what an idle machine needs."""

RELAY = "192.168.65.4"
_PLAIN_PORTS = {NB: 7645, SB: 7646}
_PORTS = {NB: IC_NB_PORT, SB: IC_SB_PORT}
_SHORT = {NB: "nb", SB: "sb"}
_PREFIXES = {"az1": ("10.16.0.0/16", "10.26.0.0/16"), "az2": ("10.17.0.0/16",)}
_PREFIXES |= {"az3": ("10.18.0.0/16", "10.28.0.0/16")}
_NB_TABLES = (
    *("Logical_Switch_Port", "Logical_Router_Port"),
    *("Logical_Router_Static_Route", "Logical_Router_Policy"),
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The fleet and the ways to attack it.

    Args:
        joined: the zones.
        proxy, plain: the ways of the attackers to the databases.
        relay: between az3 and the proxy.
    """

    joined: Joined
    proxy: Door
    plain: Door
    relay: Relay

    def status(self, zone: str) -> dict[str, Any]:
        """What a zone's daemon says about itself."""
        found: dict[str, Any] = json.loads(self._ask(zone, "isthmus/conditions", "json"))
        return found

    def _ask(self, zone: str, command: str, *arguments: str) -> str:
        return ask(
            str(self.joined.lab.layout.run(f"{zone}-gw") / "isthmus.ctl"), command, *arguments
        )

    def change(self, *, closed: bool) -> None:
        """Close or open a subnet of az1, and wait until az2 knows."""
        key = {"disableInterConnection": closed}
        self.joined.cluster("az1").manifests.merge("Subnet", "apps", "spec", key)
        wait_until(
            lambda: ("10.26.0.0/16" in self.joined.learned("az2")) is not closed,
            LIMIT_S, "a change of az1 in az2", interval_s=0.1,
        )  # fmt: skip

    def clean(self) -> None:
        """Remove what the attackers wrote, as an operator would."""
        with self._operator(NB) as client:
            for row in _rows(client, NB, "Transit_Switch"):
                if row["name"] != "ts":
                    _delete(client, NB, "Transit_Switch", [row])
        with self._operator(SB) as client:
            zones = {row["_uuid"][1]: row for row in _rows(client, SB, "Availability_Zone")}
            strange = {uuid for uuid, row in zones.items() if row["name"] not in ZONES}
            names = set[str]()
            for table in ("Route", "Port_Binding", "Gateway"):
                rows = [r for r in _rows(client, SB, table) if r["availability_zone"][1] in strange]
                names |= {row["name"] for row in rows if table == "Gateway"}
                _delete(client, SB, table, rows)
            known = {row["name"] for row in _rows(client, SB, "Gateway")}
            encaps = _rows(client, SB, "Encap")
            _delete(client, SB, "Encap", [e for e in encaps if e["gateway_name"] not in known])
            _delete(client, SB, "Availability_Zone", [zones[uuid] for uuid in strange])

    @contextmanager
    def _operator(self, database: Database) -> Iterator[JsonRpcClient]:
        """A client of a server on its own host."""
        socket = f"ovn_ic_{_SHORT[database]}_db.sock"
        with JsonRpcClient.over_unix(self.joined.lab.layout.run(IC) / socket) as client:
            yield client

    def wait_until_healthy(self) -> None:
        """Wait until all is as before the attacks: rows, routes, packets, and no problems."""
        joined = self.joined
        wait_until(lambda: joined.seen() == joined.state, LIMIT_S, "the rows of before")
        wait_until(joined.all_answer, LIMIT_S, "every ping")
        for zone in ZONES:
            wait_until(lambda zone=zone: not self.unwell(zone), LIMIT_S, f"{zone} to be well")  # type: ignore[misc]

    def unwell(self, zone: str) -> list[str]:
        """What is wrong with a zone, as its daemon says."""
        status = self.status(zone)
        conditions = {one["type"]: one["status"] for one in status["conditions"]}
        wrong = [name for name, good in GOOD.items() if conditions[name] != good]
        return [*wrong, *(str(problem) for problem in status["problems"])]

    def recomputed(self) -> list[str]:
        """The rows that change when the daemons compute everything again."""
        before = self._contents()
        for zone in ZONES:
            self._ask(zone, "engine/recompute")
            wait_until(lambda zone=zone: self._settled(zone), LIMIT_S, f"{zone} to settle")  # type: ignore[misc]
        after = self._contents()
        return sorted(before ^ after)

    def _settled(self, zone: str) -> bool:
        return bool(json.loads(self._ask(zone, "engine/show", "json"))["settled"])

    def _contents(self) -> set[str]:
        """The rows of all zones' NB databases that Isthmus writes, and of IC-SB."""
        found = set[str]()
        for zone in ZONES:
            socket = self.joined.lab.layout.run(f"{zone}-gw") / "ovnnb_db.sock"
            with JsonRpcClient.over_unix(socket) as client:
                for table in _NB_TABLES:
                    found |= _texts(_rows(client, Database.NB, table), zone)
        with self._operator(SB) as client:
            for table in ("Route", "Port_Binding"):
                found |= _texts(_rows(client, SB, table), "IC-SB")
        return found


@contextmanager
def built_fleet(kept: Path) -> Iterator[Fleet]:
    """Build the fleet, and remove it at the end.

    Args:
        kept: a directory for its files and logs if the body fails.
    """
    remove_labs_of_the_dead()
    name = new_lab_name()
    try:
        lab = Lab.up(topology(THREE_ZONES).model_copy(update={"name": name}))
        try:
            with fleet_of(lab) as fleet:
                yield fleet
        except BaseException:
            sockets = shutil.ignore_patterns("run")
            shutil.copytree(lab.layout.root, kept, ignore=sockets, dirs_exist_ok=True)
            print(f"see {kept}", flush=True)
            raise
    finally:
        Lab.down(name)


@contextmanager
def fleet_of(lab: Lab) -> Iterator[Fleet]:
    """The fleet in a lab of `THREE_ZONES`, once all pods reach each other through the relay."""
    layout, address = lab.layout, str(lab.plan.ic_members[0].address)
    for database, port in _PLAIN_PORTS.items():
        control = layout.run(IC) / f"ovn_ic_{_SHORT[database]}_db.ctl"
        ask(str(control), "ovsdb-server/add-remote", f"ptcp:{port}:{address}")
    lab.run(IC, ["ip", "address", "add", f"{RELAY}/24", "dev", network.UNDERLAY_LINK])
    # Links of the lab have no rate. Without this, a burst from the databases overflows the queues
    # of the userspace switches, and pings are lost that no one has taken.
    shape = ["root", "tbf", "rate", "20mbit", "burst", "32kb", "latency", "1s"]
    lab.run(IC, ["tc", "qdisc", "add", "dev", network.UNDERLAY_LINK, *shape])
    ic_certificates.issue_member(layout, "relay", [RELAY])
    ic_certificates.issue_zone(layout, ATTACKER, ATTACKER)
    netns = layout.netns(IC)
    proxy = Door(ATTACKER, netns, address, _PORTS, _tls(lab, ATTACKER), 32 << 20)
    plain = Door(ATTACKER, netns, address, _PLAIN_PORTS, None, 1 << 20)
    files = TlsFiles.in_directory(layout.tls("relay"))
    with Relay(netns, RELAY, files, address, _tls(lab, "az3"), _PORTS) as relay:
        for zone in ZONES:
            host = RELAY if zone == "az3" else address
            lab.cluster(zone).manifests.merge(
                "ConfigMap", "ovn-ic-config", "data", {"ic-db-host": host, "accept": _accepted()}
            )
        yield Fleet(Joined.of(lab), proxy, plain, relay)


def _accepted() -> str:
    """What each zone learns: the others' subnets, and a few of strangers."""
    rules: dict[str, Any] = {zone: list(prefixes) for zone, prefixes in _PREFIXES.items()}
    return yaml.safe_dump({**rules, "*": {"prefixes": [OWN_NETWORK], "max": 100}})


def _tls(lab: Lab, owner: str) -> Tls:
    files = TlsFiles.in_directory(lab.layout.tls(owner))
    return Tls(str(files.private_key), str(files.certificate), str(files.ca_cert))


def _rows(client: JsonRpcClient, database: Database, table: str) -> list[dict[str, Any]]:
    [found] = client.transact(database, {"op": "select", "table": table, "where": []})
    rows: list[dict[str, Any]] = found["rows"]
    return rows


def _texts(rows: list[dict[str, Any]], where: str) -> set[str]:
    return {
        f"{where}: " + json.dumps({k: v for k, v in row.items() if k != "_version"}, sort_keys=True)
        for row in rows
    }


def _delete(client: JsonRpcClient, database: Database, table: str, rows: list[Any]) -> None:
    for start in range(0, len(rows), 1000):
        client.transact(database, *(
            {"op": "delete", "table": table, "where": [["_uuid", "==", row["_uuid"]]]}
            for row in rows[start : start + 1000]
        ))  # fmt: skip
