"""Keys and values with a meaning to OVN or Kube-OVN, each defined once.

Keys of `options`, `other_config` and `external_ids` columns; ovn-nb(5), ovn-sb(5) and
ovn-architecture(7) describe them. Isthmus' own keys are in `isthmus.model.external_ids`.
"""

from collections.abc import Mapping

from isthmus.model.rows import Chassis, LogicalSwitch

INTERCONN_TS = "interconn-ts"
"""In `Logical_Switch.other_config`: the transit switch that this switch is a copy of."""

INTERCONN_TR = "interconn-tr"
"""In `Logical_Router.options`: the transit router that this router is a copy of."""

REQUESTED_TNL_KEY = "requested-tnl-key"
"""In options: the tunnel key that northd must use."""

VXLAN_MODE = "ic-vxlan_mode"
"""In `Logical_Switch.other_config` of copies: whether tunnel keys must fit into VXLAN."""

IC_LEARNED_ROUTE = "ic-learned-route"
"""In `Logical_Router_Static_Route.external_ids`: the UUID of the IC-SB route that was learned."""

SRC_IP = "src-ip"
"""In `Logical_Router_Static_Route.policy`: the prefix is one of source addresses."""

ADVERTISE, LEARN = "ic-route-adv", "ic-route-learn"
"""In `NB_Global.options`: "true" if routes are advertised, and if they are learned."""

ROUTER_PORT = "router-port"
"""In `Logical_Switch_Port.options`: the router port that the switch port connects to."""

REDIRECT = "cr-"
"""In front of a router port's name in SB: the binding to the chassis that serves as its gateway."""

GATEWAY_ROUTER = "chassis"
"""In `Logical_Router.options`: the chassis of a gateway router."""

RESIDE_ON_REDIRECT = "reside-on-redirect-chassis"
"""In `Logical_Router_Port.options`: whether the router's gateway chassis serves the port."""

NORTHD_VERSION = "northd_internal_version"
"""In `NB_Global.options`: northd's release and the versions of its schema, e.g. "23.03.1-20.27"."""

ROUTER_ID = "router-id"
"""In `external_ids` of an IC-SB `Port_Binding`: the UUID in NB of the router (or, for a port that
connects to another switch, of that switch) behind the port."""

GLOBAL_KEYS = range((1 << 24) - (1 << 16) + 1, 1 << 24)
"""The part of the 24-bit space of tunnel keys that OVN keeps for interconnection."""

VXLAN_KEYS = range(1 << 10, 1 << 12)
"""The tunnel keys of datapaths where tunnels are VXLAN, which leaves them 12 bits."""

TRANSIT_SWITCH, TRANSIT_ROUTER = "transit-switch", "transit-router"
"""In `type` of an IC-SB `Datapath_Binding`, in newer schemas."""

TRANSIT_SWITCH_PORT, TRANSIT_ROUTER_PORT = "transit-switch-port", "transit-router-port"
"""In `type` of an IC-SB `Port_Binding`, in newer schemas."""

IS_REMOTE = "is-remote"
"""In `Chassis.other_config`: "true" if the chassis belongs to another zone."""

_IS_INTERCONN = "is-interconn"
_MOST_DIGITS = len(str(GLOBAL_KEYS.stop))


def is_remote(row: Chassis) -> bool:
    """Whether a chassis belongs to another zone."""
    return row.other_config.get(IS_REMOTE) == "true"


def is_interconn(row: Chassis) -> bool:
    """Whether a chassis of this cluster takes part in interconnection as a gateway."""
    return row.other_config.get(_IS_INTERCONN) == "true" and not is_remote(row)


def interconn_ts(row: LogicalSwitch) -> tuple[str, ...]:
    """The name of the transit switch that a switch is a copy of; empty for any other switch.

    A copy that has lost its mark is recognized by the VXLAN mode, which newer versions of OVN write
    and only copies have; a tunnel key does not show it. Copies have the names of their switches.
    """
    unmarked = row.name if VXLAN_MODE in row.other_config else ""
    name = row.other_config.get(INTERCONN_TS) or unmarked
    return (name,) if name else ()


def transit_switch_named(row: LogicalSwitch) -> str | None:
    """The name in `interconn_ts`, or None."""
    return next(iter(interconn_ts(row)), None)


def requested_key(options: Mapping[str, str]) -> int:
    """The tunnel key that a row in NB asks northd for; 0 for none."""
    text = options.get(REQUESTED_TNL_KEY, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 0
