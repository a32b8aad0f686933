"""A fake zone with a controller, configured by manifests."""

from typing import Any

from isthmus.controller.import_policy import import_rules
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.inputs.snapshot import Manifest, ObjectKey, Snapshot
from isthmus.controller.wiring import reconcilers
from isthmus.controller.zones import is_joined
from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.exchange.wiring import exchange
from isthmus.model.operations import Insert
from isthmus.model.problems import Problem
from isthmus.model.rows import (
    Chassis,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
)
from support.fakes.manifests import config_map
from support.fakes.ovsdb import FakeDatabase, MakeDatabase
from support.fakes.zone import Zone


class ControlledZone(Zone):
    """One Kube-OVN cluster with a gateway node and one Subnet.

    Args:
        name: the zone's name, also in the name of its gateway chassis (`gw-NAME`). The node is
            named `gw` in every zone.
        number: makes its addresses unique.
        ic_nb, ic_sb: shared with the other zones.
        make: makes its own databases, fake ones by default.
    """

    def __init__(
        self,
        name: str,
        number: int,
        ic_nb: FakeDatabase,
        ic_sb: FakeDatabase,
        make: MakeDatabase | None = None,
    ) -> None:
        self.manifests: dict[ObjectKey, Manifest] = {}
        super().__init__(name, ic_nb, ic_sb, make)
        self.random.seed(number)
        self.add_chassis(f"gw-{name}", f"192.0.2.{number}", hostname="gw")
        self.add_router_port("ovn-default", f"10.{number}.0.1/16")

    def initialize(self) -> None:
        """Write what Kube-OVN writes; the zone has no name yet."""
        self.write(Insert(NbGlobal, {"options": {"northd_probe_interval": "5000"}}))

    def start(self, **_: object) -> None:
        """Start the controller and the engine from nothing, as a restarted daemon does."""
        self.view = view = View()
        for database in self.databases.values():
            for kind, columns in database.columns.items():
                view.schema.learn(kind, columns)
        self.inputs = Inputs()
        self.intents = reconcilers(view, self.inputs)
        self.exchange = exchange(view, policy_follows=True)
        everything = [*self.exchange.reconcilers, *self.intents]
        self.run(Engine(view, everything, self.exchange.edges))
        if self.manifests:
            self.apply()

    # -- the operator --------------------------------------------------------------------------

    def apply(self, *manifests: Manifest, complete: bool = True) -> None:
        """Write manifests, and pass all of them to the controller."""
        self.manifests.update({m.key: m for m in manifests})
        self.hand_over(Snapshot(dict(self.manifests), (), complete))

    def delete(self, *manifests: Manifest) -> None:
        """Delete manifests, and pass the rest to the controller."""
        for gone in manifests:
            del self.manifests[gone.key]
        self.apply()

    def join(self, **changes: Any) -> None:
        """Write the ConfigMap with this zone's name and other changes."""
        self.apply(config_map(**{"az_name": self.name, **changes}))

    def hand_over(self, snapshot: Snapshot) -> None:
        """Pass a snapshot to the controller, as the daemon does."""
        self.snapshot = snapshot
        changed = self.inputs.update(snapshot, joined=is_joined(self.view))
        self.exchange.routes.policy.set_rules(import_rules(self.inputs))
        for intent in self.intents:
            intent.mark(intent.affected(changed))

    def problems(self) -> list[Problem]:
        """All problems, those of the manifests first."""
        return [*self.inputs.problems, *super().problems()]

    def traces(self) -> list[str]:
        """What interconnection has left in the cluster's own databases."""
        row = self.find(NbGlobal)
        found = [f"zone {row['name']}"] if row["name"] else []
        found += [f"options:{key}" for key in row["options"] if key.startswith("ic-")]
        found += [f"external_ids:{key}" for key in row["external_ids"]]
        for kind, kept in (
            (LogicalSwitch, {}),
            (LogicalSwitchPort, {}),
            (LogicalRouterPort, {"ovn-default"}),
            (LogicalRouterStaticRoute, {}),
            (LogicalRouterPolicy, {}),
        ):
            found += [f"{kind.TABLE} {r}" for r in self.all(kind) if r.get("name") not in kept]
        chassis = (r for r in self.all(Chassis) if "is-remote" in r["other_config"])
        return found + [f"chassis {row['name']}" for row in chassis]
