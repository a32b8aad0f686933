"""Where private prefixes are kept from other clusters: in the global list, or on router ports.

The global list, `NB_Global.options:ic-route-blacklist`, is Kube-OVN's, and all versions of
`ovn-ic` heed it; but it holds for every router. So private prefixes of custom VPCs are on the deny
lists of those VPCs' router ports; and as soon as there are custom VPCs, which may well use the
addresses of the default one's private subnets, those go to its router ports as well. A prefix that
moves is on both for a moment, never on none. An engine that may not heed lists of ports is given
all in the global list, which then keeps some prefix of another VPC from being exchanged rather
than show a private one. Used by `NbGlobalOptions` and `RouterPorts`.
"""

from collections.abc import Iterable

from isthmus.controller.connections import Lookup
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.reconcilers.port_options import denied_by, entries, listed
from isthmus.model.prefixes import Network

BLACKLIST = "ic-route-blacklist"
"""The key of the global list."""


class PrivateLists:
    """Which list holds which private prefix."""

    def __init__(self, inputs: Inputs, lookup: Lookup) -> None:
        self._inputs, self._lookup = inputs, lookup

    def everywhere(self) -> tuple[str, ...]:
        """The entries that the global list should have."""
        private = self._inputs.private_prefixes(self._inputs.vpc) | self._unlisted()
        moving = self._moved()
        moved = listed(moving)
        held = self._global()
        waiting = [entry for entry in moved if entry in held and not self._on_all_ports(entry)]
        wanted = [*listed(private - moving if moving else private), *waiting]
        # A subnet whose manifest could not be read since the start may be private: until it
        # can be, entries are only added.
        return (*wanted, *self._unknown(held, {*wanted, *moved}))

    def on_port(self, vpc: str, held: Iterable[str]) -> tuple[str, ...]:
        """The entries that the deny lists of a VPC's router port should have.

        Args:
            vpc: the VPC.
            held: our entries on the port's lists.
        """
        held = list(held)
        if vpc != self._inputs.vpc:
            wanted = listed(self._inputs.private_prefixes(vpc))
            return (*wanted, *self._unknown(held, wanted))
        private, moved = listed(self._inputs.private_prefixes(vpc)), listed(self._moved())
        known = self._global()
        waiting = [entry for entry in private if entry in held and entry not in known]
        wanted = tuple(dict.fromkeys([*moved, *waiting]))
        return (*wanted, *self._unknown(held, {*wanted, *private}))

    def _moved(self) -> frozenset[Network]:
        """What of the default VPC is on its router ports.

        Nodes' addresses stay in the global list: no subnet of any VPC lies inside one address.
        """
        config = self._inputs.config
        if config is None or not config.vpcs or not self._inputs.port_lists:
            return frozenset()
        private = self._inputs.private_prefixes(self._inputs.vpc)
        return private - self._inputs.node_addresses()

    def _unlisted(self) -> frozenset[Network]:
        """What of custom VPCs an engine would not find on their router ports."""
        config = self._inputs.config
        if config is None or self._inputs.port_lists:
            return frozenset()
        return frozenset().union(*map(self._inputs.private_prefixes, config.vpcs))

    def _global(self) -> list[str]:
        row = self._lookup.nb_global()
        return entries(row.options.get(BLACKLIST, "")) if row is not None else []

    def _on_all_ports(self, entry: str) -> bool:
        ports = self._lookup.router_ports(self._inputs.vpc)
        return all(entry in denied_by(port.options) for port in ports)

    def _unknown(self, held: Iterable[str], known: Iterable[str]) -> list[str]:
        """What a list holds for reasons that are not known yet."""
        if self._inputs.complete:
            return []
        known = frozenset(known)
        return [entry for entry in dict.fromkeys(held) if entry not in known]
