"""Which deny list has which private prefix: the global list, or the lists of router ports.

The global list, `NB_Global.options:ic-route-blacklist`, is Kube-OVN's and applies to all routers.
With custom VPCs, private prefixes are in the deny lists of the router ports instead, see
docs/decisions/0012-custom-vpcs.md. A prefix that moves is in both places for a moment, and never in
neither. Used by `NbGlobalOptions` and `RouterPorts`.

Privacy goes through NB, although the import policy (`isthmus.controller.import_policy`) passes the
prefixes of the same Subnets to our exchange engine directly. The lists in NB also work while
`ovn-ic` exchanges the routes, and they remain in force when Isthmus stops, is replaced by `ovn-ic`,
or starts before its manifests can be read: a private prefix is never advertised because a process
is missing. The import policy only protects this cluster from what it learns, and `ovn-ic` has no
such rule; it has to be known before the first route is added, and needs no copy in a database.
"""

from collections.abc import Iterable

from isthmus.controller.connections import Connections
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.reconcilers.port_options import denied_by, entries, listed
from isthmus.engine.view import View
from isthmus.model.prefixes import Network
from isthmus.model.rows import NbGlobal

BLACKLIST = "ic-route-blacklist"
"""The key of the global list."""


class PrivateLists:
    """The desired entries of the lists."""

    def __init__(self, view: View, inputs: Inputs, connections: Connections) -> None:
        self._view, self._inputs, self._connections = view, inputs, connections

    def everywhere(self) -> tuple[str, ...]:
        """The desired entries of the global list."""
        private = self._private(self._inputs.vpc) | self._unlisted()
        moving = self._moved()
        moved = listed(moving)
        held = self._global()
        waiting = [entry for entry in moved if entry in held and not self._on_all_ports(entry)]
        wanted = [*listed(private - moving if moving else private), *waiting]
        # A Subnet that could not be read since the start may be private: until it is read,
        # entries are only added.
        return (*wanted, *self._unknown(held, {*wanted, *moved}))

    def on_port(self, vpc: str, held: Iterable[str]) -> tuple[str, ...]:
        """The desired entries of the deny lists of a VPC's router port.

        Args:
            vpc: the VPC.
            held: our present entries in the port's lists.
        """
        held = list(held)
        if vpc != self._inputs.vpc:
            wanted = listed(self._private(vpc))
            return (*wanted, *self._unknown(held, wanted))
        private, moved = listed(self._private(vpc)), listed(self._moved())
        known = self._global()
        waiting = [entry for entry in private if entry in held and entry not in known]
        wanted = tuple(dict.fromkeys([*moved, *waiting]))
        return (*wanted, *self._unknown(held, {*wanted, *private}))

    def _private(self, vpc: str) -> frozenset[Network]:
        """The prefixes that a VPC must neither advertise nor learn."""
        return self._inputs.private_prefixes(vpc) | self._connections.node_networks(vpc)

    def _moved(self) -> frozenset[Network]:
        """The default VPC's prefixes that belong on its router ports.

        Node addresses stay in the global list: no Subnet of a VPC lies inside a single address.
        """
        config = self._inputs.config
        if config is None or not config.vpcs or not self._inputs.port_lists:
            return frozenset()
        private = self._private(self._inputs.vpc)
        return private - self._inputs.node_addresses

    def _unlisted(self) -> frozenset[Network]:
        """The prefixes of custom VPCs, if the engine does not apply lists of router ports."""
        config = self._inputs.config
        if config is None or self._inputs.port_lists:
            return frozenset()
        return frozenset().union(*map(self._private, config.vpcs))

    def _global(self) -> list[str]:
        row = self._view.single(NbGlobal)
        return entries(row.options.get(BLACKLIST, "")) if row is not None else []

    def _on_all_ports(self, entry: str) -> bool:
        ports = self._connections.router_ports(self._inputs.vpc)
        return all(entry in denied_by(port.options) for port in ports)

    def _unknown(self, held: Iterable[str], known: Iterable[str]) -> list[str]:
        """The entries of a list whose reason may not have been read yet."""
        if self._inputs.complete and self._connections.chassis_known:
            return []
        known = frozenset(known)
        return [entry for entry in dict.fromkeys(held) if entry not in known]
