"""The addresses of our router ports on transit switches, claimed in IC-NB before they are used.

A claim is a key of the transit switch's `external_ids` (isthmus.model.external_ids). A transaction
inserts it, and fails if the column has changed since it was read, so two clusters that claim at
the same moment never get the same address: one of them tries again. Zones without claims (`ovn-ic`)
hold the addresses that they publish; if such a zone publishes an address that we have claimed, we
release it, since the other zone never does. Claims carry the cluster's UUID, so they survive
restarts and changes of the zone's name.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.controller.config.configmap import ConfigKey
from isthmus.controller.connections import held_addresses, rivals_changed, transit_switches_of
from isthmus.controller.inputs.inputs import Changed
from isthmus.controller.reconcilers.address_allocation import choose, parse_subnets, usable
from isthmus.controller.reconcilers.base import ControllerReconciler
from isthmus.controller.zones import claimant, is_joined, is_registered, zone_name
from isthmus.engine.reconciler import Watch
from isthmus.model.changes import Change
from isthmus.model.external_ids import (
    SUBNET,
    TRUSTED_ZONE,
    address_claim,
    address_holder,
    claimed_address,
)
from isthmus.model.indexes import IC_PORTS_BY_ADDRESS
from isthmus.model.operations import Operation, Wait, change_map
from isthmus.model.prefixes import (
    Address,
    Network,
    parse_address,
    parse_interface,
    parse_port_address,
)
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcPortBinding,
    IcSbGlobal,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    TransitSwitch,
)
from isthmus.model.text import failure_text


class AddressClaims(ControllerReconciler[str]):
    """Our claims on one transit switch; the key is its name."""

    name: ClassVar[str] = "address claims"
    writes: ClassVar[Database] = Database.IC_NB
    needs: ClassVar[frozenset[Database]] = frozenset({Database.NB, Database.IC_NB, Database.IC_SB})

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        """What claims depend on: this cluster's zone, the addresses in use, and ports to adopt."""
        return {
            TransitSwitch: self._of_transit_switch,
            IcPortBinding: transit_switches_of,
            NbGlobal: self.all_keys,
            IcSbGlobal: self.all_keys,
            AvailabilityZone: self.all_keys,
            LogicalRouterPort: self.all_keys,
            LogicalRouter: self.of_router,
            LogicalSwitch: transit_switches_of,
            LogicalSwitchPort: self.connections.transit_switch_of_port,
        }

    def affected(self, changed: Changed) -> Iterable[str]:
        """The zone's name is in each claim, and the VPCs say which claims there are."""
        return self.keys() if changed.any_of(ConfigKey.AZ_NAME, ConfigKey.VPCS) else ()

    def keys(self) -> Iterable[str]:
        """All transit switches, also those not to be connected, where claims are released."""
        return [row.name for row in self.view.table(TransitSwitch)]

    def reconcile(self, key: str) -> Iterable[Operation]:
        """Claim and release addresses, in a transaction that fails if the row has changed."""
        self.report(key)
        row, cluster = self.connections.transit_switch(key), self.view.single(NbGlobal)
        if row is None or cluster is None or self.inputs.wanted is None:
            return
        held = held_addresses(row, cluster.uuid)
        wanted = self._wanted(row, cluster.uuid, held)
        if wanted is None or wanted == held:
            return
        yield Wait(TransitSwitch, row.uuid, {"external_ids": dict(row.external_ids)})
        yield from change_map(TransitSwitch, row.uuid, "external_ids", held, wanted)

    def _wanted(
        self, row: TransitSwitch, cluster: RowId, held: Mapping[str, str]
    ) -> Mapping[str, str] | None:
        """The claims that we should hold; None to leave them unchanged."""
        config = self.inputs.config
        if config is None:
            # The ports are removed first: until then the addresses are in use.
            in_use = is_joined(self.view) or self.connections.ports_on(row.name)
            return None if in_use else {}
        if self.connections.vpc_of(row) is None or self.connections.shadowing(row) is not None:
            return None if self.connections.ports_on(row.name) else {}
        if not is_registered(self.view, config.zone):
            return None
        try:
            subnets = parse_subnets(self.connections.subnet(row))
        except ValueError as error:
            self.report(row.name, _bad_subnet(row, error))
            return None
        mine = [address for key in held if (address := _address(key)) is not None]
        chosen: list[Address] = []
        for subnet in subnets:
            address = self._choose(row, cluster, subnet, sorted(mine, key=int))
            if address is None:
                # With one of two families, a port would seem connected and lose half the traffic.
                self.report(row.name, _full(row, subnet))
                return None
            chosen.append(address)
        holder = address_holder(config.zone, cluster)
        return {address_claim(address): holder for address in chosen}

    def _choose(
        self, row: TransitSwitch, cluster: RowId, subnet: Network, mine: Iterable[Address]
    ) -> Address | None:
        """The address that we hold, else the one that our port has, else a free one."""
        for address in mine:
            if usable(address, subnet) and not self._usurped(row.name, address, cluster):
                return address
        others = self._others(row, cluster)

        def taken(address: Address) -> bool:
            return address in others or any(self._strangers(row.name, address, cluster))

        for address in self._in_use(row.name):
            if usable(address, subnet) and not taken(address):
                return address
        return choose(subnet, f"{cluster} {row.name}", taken)

    def _others(self, row: TransitSwitch, cluster: RowId) -> set[Address]:
        """The addresses that other clusters claim, or that remote ports in our NB have."""
        mine = held_addresses(row, cluster)
        claimed = (_address(key) for key in row.external_ids if key not in mine)
        found = {address for address in claimed if address is not None}
        for switch in self.connections.copies(row.name):
            for port in self.connections.switch_ports(switch):
                if port.type == "remote":
                    for text in port.addresses:
                        found.update(i.ip for i in parse_port_address(text))
        return found

    def _strangers(self, name: str, address: Address, cluster: RowId) -> Iterator[str]:
        """The zones of other clusters that publish a port with this address.

        Our own zone is known by its row, too: someone else may have changed its name.
        """
        row = self.view.single(NbGlobal)
        ours = row.external_ids.get(TRUSTED_ZONE) if row is not None else None
        for port in self.view.all(IC_PORTS_BY_ADDRESS, (name, address)):
            zone = zone_name(self.view, port.availability_zone)
            if claimant(self.view, zone) != cluster and port.availability_zone != ours:
                yield zone

    def _usurped(self, name: str, address: Address, cluster: RowId) -> bool:
        """Whether a zone without claims publishes our address.

        A zone with claims releases an address that it does not hold, so ours stays.
        """
        zones = self._strangers(name, address, cluster)
        return any(claimant(self.view, zone) is None for zone in zones)

    def _in_use(self, name: str) -> Iterator[Address]:
        """The addresses of our router ports on the transit switch, also those of Kube-OVN."""
        for port in self.connections.ports_on(name):
            for text in sorted(port.router_port.networks if port.router_port else ()):
                interface = parse_interface(text)
                if interface is not None:
                    yield interface.ip

    def _of_transit_switch(self, change: Change) -> Iterable[str]:
        return self.keys() if rivals_changed(change) else transit_switches_of(change)


def _address(key: str) -> Address | None:
    text = claimed_address(key)
    return None if text is None else parse_address(text)


def _bad_subnet(row: TransitSwitch, error: ValueError) -> Problem:
    subnet = row.external_ids.get(SUBNET, "")
    return Subject(f"Transit_Switch {row.name}", f"external_ids:{SUBNET}", subnet).problem(
        f"is not a valid subnet: {failure_text(error)}",
        "write e.g. 169.254.100.0/24, or one IPv4 and one IPv6 subnet, separated by a comma",
        Reason.INVALID_TRANSIT_SWITCH,
    )


def _full(row: TransitSwitch, subnet: Network) -> Problem:
    return Subject(f"Transit_Switch {row.name}", f"external_ids:{SUBNET}", str(subnet)).problem(
        "has no free address for this cluster's router port",
        "give the transit switch a larger subnet, or remove a cluster from the interconnection",
        Reason.NO_FREE_ADDRESS,
    )
