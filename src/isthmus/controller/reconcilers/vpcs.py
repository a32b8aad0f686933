"""Reports VPCs that cannot take part, because their router or transit switches are missing.

Writes nothing; `RouterPorts` makes the connections that are possible.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.controller.config.configmap import ConfigKey
from isthmus.controller.connections import renamed, transit_switches_of
from isthmus.controller.inputs.inputs import Changed
from isthmus.controller.reconcilers.base import ControllerKeyed
from isthmus.engine.reconciler import DerivedState, Watch
from isthmus.model.changes import Change
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    Database,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    TransitSwitch,
)


class VpcReports(ControllerKeyed[str], DerivedState[str, None]):
    """The problems of one VPC; the key is its name."""

    name: ClassVar[str] = "VPCs"
    needs: ClassVar[frozenset[Database]] = frozenset({Database.NB, Database.IC_NB})

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        """Routers, transit switches, and their ports, which may show what a switch lacks."""
        all_keys = self.all_keys
        return {
            TransitSwitch: all_keys,
            NbGlobal: all_keys,
            LogicalRouterPort: all_keys,
            LogicalRouter: self._of_router,
            LogicalSwitch: self._of_copy,
            LogicalSwitchPort: self._of_switch_port,
        }

    def affected(self, changed: Changed) -> Iterable[str]:
        """The configuration says which VPCs take part."""
        configured = changed.any_of(ConfigKey.AZ_NAME, ConfigKey.VPCS)
        return self.keys() if configured or changed.vpc_objects else ()

    def keys(self) -> Iterable[str]:
        """The VPCs that take part, and those with problems."""
        return {*self.inputs.vpcs, *self.problems}

    def derive(self, key: str) -> Iterable[None]:
        """Report what is missing."""
        config, row = self.inputs.config, self.view.single(NbGlobal)
        takes_part = config is not None and key in self.inputs.vpcs
        registered = row is not None and config is not None and row.name == config.zone
        self.report(key, *(self._missing(key) if takes_part and registered else ()))
        return ()

    def _missing(self, vpc: str) -> Iterator[Problem]:
        custom = vpc != self.inputs.vpc
        routers = self.connections.routers(vpc)
        for twin in routers[1:]:
            yield _twin(vpc, routers[0].uuid, twin.uuid)
        if not routers:
            unknown = custom and vpc not in self.inputs.vpc_objects
            yield self._no_vpc(vpc) if unknown else _no_router(vpc)
        if custom and not self.connections.transit_switches(vpc):
            yield self._no_transit_switch(vpc)

    def _no_vpc(self, vpc: str) -> Problem:
        return Subject(str(self.inputs.config_map), "data.vpcs", vpc).problem(
            "there is no Vpc and no logical router of this name",
            "write the name as `kubectl get vpcs` prints it, or create the Vpc",
            Reason.NO_VPC,
        )

    def _no_transit_switch(self, vpc: str) -> Problem:
        network = self.inputs.config.vpcs[vpc] if self.inputs.config is not None else ""
        return Subject(str(self.inputs.config_map), "data.vpcs", f"{vpc}={network}").problem(
            f"no transit switch serves the network {network}",
            "write a network that a transit switch serves, or start the IC databases with"
            f" --transit-switch NAME=CIDR@{network}",
            Reason.NO_TRANSIT_SWITCH,
        )

    def _of_copy(self, change: Change) -> Iterable[str]:
        return self.keys() if transit_switches_of(change) else ()

    def _of_switch_port(self, change: Change) -> Iterable[str]:
        return self.keys() if self.connections.transit_switch_of_port(change) else ()

    def _of_router(self, change: Change) -> Iterable[str]:
        names = {row.name for row in change.of(LogicalRouter)}
        return names.intersection(self.inputs.vpcs) if renamed(change) else ()


def _twin(vpc: str, used: RowId, other: RowId) -> Problem:
    return Subject(f"Logical_Router {vpc}").problem(
        f"exists more than once; {used}, which has the most ports, is used as the VPC's router",
        f"delete the other one: ovn-nbctl lr-del {other}",
        Reason.NAME_TAKEN,
    )


def _no_router(vpc: str) -> Problem:
    return Subject(f"Logical_Router {vpc}").problem(
        "does not exist, so the VPC cannot be connected",
        "check that Kube-OVN runs, that --ovnnb-db is its northbound database, and that --vpc is"
        " what its --cluster-router is, if it has that flag",
        Reason.NO_ROUTER,
    )
