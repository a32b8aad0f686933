"""A joined fleet of two zones for random bad edits: its daemons, what is alive, and its repair."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from isthmus.controller.inputs.inputs import CONFIG_MAP
from isthmus.controller.inputs.snapshot import Manifest
from isthmus.engine.transactions import Transaction
from isthmus.model.operations import Delete, Insert, Mutate, NewRef, Ref, Update, Value
from isthmus.model.problems import Problem
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Gateway,
    GatewayChassis,
    IcDatapathBinding,
    IcPortBinding,
    IcRoute,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    Nat,
    NbGlobal,
    Row,
    RowId,
    SbEncap,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map
from support.fakes.northd import northd
from support.fakes.ovsdb import MakeDatabase
from support.harm.paths import Path, working

TRANSIT_SWITCHES: Mapping[str, Mapping[str, str]] = {
    "ts": {"subnet": "169.254.100.0/24", "vendor": "kube-ovn"},
    "blue": {"subnet": "169.254.200.0/24", "vendor": "isthmus", "isthmus-network": "blue"},
}
SUBNET_PORTS = ("ovn-default", "v-apps")
OWN: tuple[tuple[type[Row], tuple[str, ...]], ...] = (
    (NbGlobal, ("name",)),
    (LogicalSwitch, ("name",)),
    (LogicalSwitchPort, ("name", "type", "addresses", "options")),
    (LogicalRouterPort, ("name", "mac", "networks", "options")),
    (GatewayChassis, ("name", "chassis_name", "priority")),
    (LogicalRouterStaticRoute, ("ip_prefix", "nexthop", "options")),
    (LogicalRouterPolicy, ("match", "priority", "action", "external_ids")),
    (Chassis, ("name", "hostname", "other_config")),
    (AvailabilityZone, ("name",)),
    (Gateway, ("name", "hostname")),
    (IcDatapathBinding, ("transit_switch",)),
    (IcPortBinding, ("logical_port", "transit_switch", "address", "gateway", "tunnel_key")),
    (IcRoute, ("transit_switch", "ip_prefix", "nexthop", "origin")),
    (TransitSwitch, ("name",)),
)
"""What is compared after the repair: everything but UUIDs, and what refers to them."""


class Intent(NamedTuple):
    """What an operator means to close, until it ends.

    Args:
        name: of the intent, once per zone.
        closes: whether it closes a path.
        config: the keys of the ConfigMap to change, as for `config_map`.
        manifest: an object to write.
        after: what is written in its place when the intent ends; None if it is deleted.
    """

    name: str
    closes: Callable[[Path], bool]
    config: Mapping[str, Any] = {}
    manifest: Manifest | None = None
    after: Manifest | None = None


class World:
    """Two zones, joined over a transit switch for the default VPCs and one for VPC `v`.

    Args:
        seed: of everything random.
        make: makes the databases, which are fake ones by default.

    Attributes:
        down: the zones whose daemons do not run.
        cut: the paths that an edit cut by itself, before any daemon could do anything.
        withdrawn: the prefixes whose routes were deleted from IC-SB.
        baseline: the paths that worked before the first edit.
        interruptions: what a transaction of a daemon cut, if only for a moment.
        restored: whether IC-SB is that of a backup, in which the gateways may be old ones.
        intents: what operators mean at present, by the zone's first name and the intent's name.
    """

    def __init__(self, seed: int, make: MakeDatabase | None = None) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.down: set[str] = set()
        self.cut: set[Path] = set()
        self.withdrawn: set[str] = set()
        self.intents: dict[tuple[str, str], Intent] = {}
        self.fleet = ControlledFleet("az1", "az2", make=make)
        ids = dict(TRANSIT_SWITCHES["blue"])
        self.fleet.ic_nb.transact([Insert(TransitSwitch, {"name": "blue", "external_ids": ids})])
        for number, zone in enumerate(self.fleet.zones, start=1):
            zone.random.seed(seed)
            zone.add_chassis(f"gw2-{zone.name}", f"192.0.2.{number + 100}", hostname="gw2")
            _add_vpc(zone, f"10.{number + 100}.0.1/16")
            zone.join(vpcs="v=blue")
        self.settle()
        self._manifests = [dict(zone.manifests) for zone in self.fleet.zones]
        self._alive = {
            zone.cluster: {
                row["name"]: (row["hostname"], ip)
                for row, ip in ((r, _ip(zone, r)) for r in zone.all(Chassis))
                if "is-remote" not in row["other_config"]
            }
            for zone in self.fleet.zones
        }
        self._configs = {zone.cluster: zone.inputs.config for zone in self.fleet.zones}
        self.baseline = working(self.fleet)
        self.contents = self.dump()
        self.snapshot = self.fleet.ic_sb.backup()
        self.interruptions: list[str] = []
        self.restored = False
        self._works = self.baseline
        for zone in self.fleet.zones:
            zone.on_commit = partial(self._committed, zone)

    # -- what is meant -------------------------------------------------------------------------

    def begin(self, zone: ControlledZone, intent: Intent) -> None:
        """Write what means to close paths."""
        self.intents[zone.cluster, intent.name] = intent
        zone.apply(*self._config(zone, intent), *(m for m in [intent.manifest] if m))

    def end(self, zone: ControlledZone, name: str) -> None:
        """Undo it; what it has closed must open again."""
        self.cut |= {path for path in self.baseline - self._works if self._is_closed(path)}
        intent = self.intents.pop((zone.cluster, name))
        if intent.manifest is not None and intent.after is None:
            zone.manifests.pop(intent.manifest.key, None)
        zone.apply(*self._config(zone, intent), *(m for m in [intent.after] if m))

    def _config(self, zone: ControlledZone, intent: Intent) -> tuple[Manifest, ...]:
        return (self._meant_config(zone),) if intent.config else ()

    def _meant_config(self, zone: ControlledZone) -> Manifest:
        meant = [i.config for (cluster, _), i in self.intents.items() if cluster == zone.cluster]
        return config_of(zone, **{k: v for changes in meant for k, v in changes.items()})

    def _is_closed(self, path: Path) -> bool:
        return any(intent.closes(path) for intent in self.intents.values())

    # -- what works ----------------------------------------------------------------------------

    def edited(self) -> None:
        """Note what the last edit cut by itself."""
        for zone in self.fleet.zones:
            northd(zone.nb, zone.sb, zone.dead)
        worked, self._works = self._works, working(self.fleet)
        self.cut |= (self.baseline | worked) - self._works

    def _committed(self, zone: ControlledZone, transaction: Transaction) -> None:
        """Compare the paths before and after a transaction, and after what OVN does then.

        What an edit cut by itself is restored in several transactions, in any order. A zone that
        is renamed gives its ports new names, and OVN binds them a moment later.
        """
        tables = {operation.table.TABLE for operation in transaction.operations}
        if "Logical_Router_Port" not in tables:
            self._compare(zone, transaction, tables)
        for each in self.fleet.zones:
            northd(each.nb, each.sb, each.dead)
        self._compare(zone, transaction, tables)

    def _compare(self, zone: ControlledZone, transaction: Transaction, tables: set[str]) -> None:
        works = working(self.fleet)
        lost = {p for p in self._works - works - self.cut if p.prefix not in self.withdrawn}
        lost = {path for path in lost if not self._is_closed(path)}
        lost -= working(self.fleet, self.down) if lost else set()
        if lost and not self._is_momentary(zone, tables, lost):
            self.interruptions.append(f"{zone.cluster} {transaction} cut {lost}")
        self._works = works

    def _is_momentary(self, zone: ControlledZone, tables: set[str], lost: set[Path]) -> bool:
        """Whether paths are lost by design, until the next transactions.

        If only other zones' paths to this one are lost: OVN moves a port to another gateway at
        once, and the others follow when that is published; and a zone cannot see when the others
        have learned routes over the transit switch that replaces another. If a renamed zone's port
        is replaced by one with its new name, that has to be bound. A backup of IC-SB may name an
        old gateway of another zone, until that zone has corrected it.
        """
        if "Logical_Switch_Port" in tables or (
            self.restored and tables <= {"Port_Binding", "Chassis", "Encap"}
        ):
            return True
        return tables & {"Gateway_Chassis", "Logical_Switch"} != set() and all(
            path.zone != zone.cluster for path in lost
        )

    def lost(self) -> set[Path]:
        """The paths that worked, and that a daemon has cut or failed to restore.

        What an edit has cut must be restored only if nothing is missing for that. A path to a
        gateway that OVN has moved works again when the zones that are down have started.
        """
        works = working(self.fleet)
        self.cut -= works
        if not self.down and all(zone.inputs.wanted for zone in self.fleet.zones):
            self.withdrawn.clear()
        if not self.down and self._is_intact():
            self.cut.clear()
        lost = self.baseline - working(self.fleet, self.down) - self.cut
        return {p for p in lost if p.prefix not in self.withdrawn and not self._is_closed(p)}

    def kept_open(self) -> set[Path]:
        """The paths that work, although they are meant to be closed."""
        return set(filter(self._is_closed, working(self.fleet)))

    def _is_intact(self) -> bool:
        rows = {r["name"]: r["external_ids"] for r in self.fleet.ic_nb.rows(TransitSwitch)}
        switches = TRANSIT_SWITCHES.items()
        marked = all(ids.items() <= rows.get(name, {}).items() for name, ids in switches)
        alone = {row["name"] for row in self.fleet.ic_sb.rows(AvailabilityZone)} <= {"az1", "az2"}
        return (marked and alone) and all(
            zone.inputs.config == self._configs[zone.cluster]
            and zone.inputs.complete
            and not zone.all(Nat)
            and {"gw", "gw2"} <= _hosts(zone)
            and _knows_its_ports(zone)
            for zone in self.fleet.zones
        )

    def settle(self, limit: int = 60) -> None:
        """Run northd everywhere, and the daemons that are up, until nothing is left to do."""
        for _ in range(limit):
            worked = [
                northd(zone.nb, zone.sb, zone.dead) if zone.cluster in self.down else zone.work()
                for zone in self.fleet.zones
            ]
            if not any(worked):
                self.restored = False
                return
        raise AssertionError("not settled")

    def check_again(self) -> None:
        """A minute later, all daemons that are up read their manifests and check everything."""
        for zone in self.fleet.zones:
            if zone.cluster not in self.down:
                zone.now += 60
                zone.hand_over(zone.snapshot)
                zone.engine.recompute("check")
        self.settle()

    def start(self, zone: ControlledZone) -> None:
        """Start a daemon: the first one, after a crash, or a standby that takes over."""
        self.down.discard(zone.cluster)
        zone.start()

    def dump(self) -> dict[str, list[str]]:
        """The contents to be compared."""
        found: dict[str, list[str]] = {}
        for zone in self.fleet.zones:
            for kind, columns in OWN:
                name = f"{zone.cluster} {kind.DATABASE} {kind.TABLE}"
                rows = ({column: row[column] for column in columns} for row in zone.all(kind))
                found[name] = sorted(str({k: _plain(v) for k, v in row.items()}) for row in rows)
        return found

    def problems(self) -> list[Problem]:
        """The problems of all zones."""
        return [problem for zone in self.fleet.zones for problem in zone.problems()]

    # -- the repair ----------------------------------------------------------------------------

    def repair(self) -> None:
        """Undo by hand what no daemon can know, and start all daemons; what is meant stays."""
        self._repair_transit_switches()
        for zone, manifests in zip(self.fleet.zones, self._manifests, strict=True):
            self._repair_chassis(zone)
            _remove_strangers(zone)
            zone.manifests = dict(manifests)
            zone.manifests[CONFIG_MAP] = self._meant_config(zone)
            meant = [i.manifest for (name, _), i in self.intents.items() if name == zone.cluster]
            zone.manifests |= {manifest.key: manifest for manifest in meant if manifest}
            if zone.cluster in self.down:
                self.start(zone)
            else:
                zone.apply()

    def _repair_transit_switches(self) -> None:
        known = {row["name"]: row for row in self.fleet.ic_nb.rows(TransitSwitch)}
        for name, row in known.items():
            if name not in TRANSIT_SWITCHES:
                self.fleet.ic_nb.transact([Delete(TransitSwitch, row["_uuid"])])
        for name, ids in TRANSIT_SWITCHES.items():
            if name not in known:
                row = {"name": name, "external_ids": dict(ids)}
                self.fleet.ic_nb.transact([Insert(TransitSwitch, row)])
                continue
            have = known[name]["external_ids"]
            claims = {k: v for k, v in have.items() if k.startswith("isthmus-address-")}
            columns = {"external_ids": {**claims, **ids}}
            self.fleet.ic_nb.transact([Update(TransitSwitch, known[name]["_uuid"], columns)])

    def _repair_chassis(self, zone: ControlledZone) -> None:
        alive = self._alive[zone.cluster]
        for row in zone.all(Chassis):
            if "is-remote" not in row["other_config"] and row["name"] not in alive:
                zone.write(Delete(Chassis, RowId(row["_uuid"])))
        zone.dead.clear()
        for name, (hostname, ip) in alive.items():
            rows = zone.all(Chassis, name=name)
            if rows and _ip(zone, rows[0]) != ip:
                zone.write(Delete(Chassis, RowId(rows[0]["_uuid"])))
                rows = []
            if not rows:
                _free(zone, ip)
                zone.add_chassis(name, ip, hostname=hostname)
            else:
                config: Value = {"is-interconn": "true"}
                zone.update(Chassis, rows[0]["_uuid"], hostname=hostname, other_config=config)


def _knows_its_ports(zone: ControlledZone) -> bool:
    """Whether each router port has its marks, or a switch port that shows what it is for."""
    used = {row["options"].get("router-port") for row in zone.all(LogicalSwitchPort)}
    return all(
        row["external_ids"] or row["name"] in {*used, *SUBNET_PORTS, "foreign"}
        for row in zone.all(LogicalRouterPort)
    )


def _hosts(zone: ControlledZone) -> set[str]:
    """The names of the nodes that take part in interconnection, and are alive."""
    rows = (row for row in zone.all(Chassis) if row["name"] not in zone.dead)
    return {row["hostname"] for row in rows if "is-interconn" in row["other_config"]}


def _remove_strangers(zone: ControlledZone) -> None:
    """Delete the rows that no daemon recognizes as ours, because they have lost their marks."""
    for kind, column, child, ours in (
        (LogicalRouter, "static_routes", LogicalRouterStaticRoute, "ic-learned-route"),
        (LogicalRouter, "policies", LogicalRouterPolicy, "vendor"),
        (LogicalRouter, "ports", LogicalRouterPort, "vendor"),
    ):
        strangers = {
            row["_uuid"]
            for row in zone.all(child)
            if ours not in row["external_ids"] and row.get("name") not in SUBNET_PORTS
        }
        for parent in zone.all(kind):
            if gone := frozenset(Ref(RowId(u)) for u in strangers.intersection(parent[column])):
                zone.write(Mutate(kind, RowId(parent["_uuid"]), ((column, "delete", gone),)))
    for switch in zone.all(LogicalSwitch):
        if "interconn-ts" not in switch["other_config"]:
            zone.write(Delete(LogicalSwitch, RowId(switch["_uuid"])))


def _add_vpc(zone: ControlledZone, network: str) -> None:
    port = NewRef()
    row: dict[str, Value] = {"name": "v-apps", "mac": "0a:00:00:00:00:02"}
    router: dict[str, Value] = {"name": "v", "ports": frozenset({port})}
    zone.write(
        Insert(LogicalRouterPort, {**row, "networks": frozenset({network})}, port),
        Insert(LogicalRouter, router),
    )


def _ip(zone: ControlledZone, chassis: Mapping[str, Any]) -> str:
    return next(str(r["ip"]) for r in zone.all(SbEncap) if r["_uuid"] in chassis["encaps"])


def _free(zone: ControlledZone, ip: str) -> None:
    """Delete the remote chassis that took a tunnel IP while its node had another one."""
    for row in zone.all(Chassis):
        if "is-remote" in row["other_config"] and _ip(zone, row) == ip:
            zone.write(Delete(Chassis, RowId(row["_uuid"])))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(value.items())
    return sorted(value) if isinstance(value, frozenset) else value


def config_of(zone: ControlledZone, **changes: Any) -> Manifest:
    """The zone's ConfigMap with other values."""
    return config_map(**{"az_name": zone.cluster, "vpcs": "v=blue", **changes})


def configured(zone: ControlledZone, **changes: Any) -> None:
    """Write the zone's ConfigMap with other values."""
    zone.apply(config_of(zone, **changes))
