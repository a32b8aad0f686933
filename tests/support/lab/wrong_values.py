"""The wrong values of `ovn-ic-config` and of Subnets: one list, for the lab and for the reference.

`tests/lab/test_wrong_values.py` writes each of them under traffic, in place of the good value.
`tests/docs/test_wrong_values.py` compares the list with the table of the reference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from isthmus.model.reasons import Reason


@dataclass(frozen=True, slots=True)
class WrongValue:
    """One wrong value.

    Args:
        key: in the ConfigMap's `data`, or in the `spec` of a Subnet.
        kind: what is wrong with it.
        value: as written; None removes the key.
        says: words of the problem.
        reason: of the problem.
        effect: what happens, for the table.
        group: values of one group and of different keys are independent, and can be written at
            once.
        subnet: whether the key is a Subnet's.
        stops: whether the value stops traffic with another cluster on purpose.
    """

    key: str
    kind: str
    value: Any
    says: str
    reason: Reason
    effect: str
    group: str = "invalid"
    subnet: bool = False
    stops: bool = False

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The cells of its row in the table, without the kind: key, effect, reason, packets."""
        key = f"Subnet `spec.{self.key}`" if self.subnet else f"`{self.key}`"
        lost = "those to the overlapping prefix" if self.stops else "0"
        return key, self.effect, f"`{self.reason}`", lost


_BOOLEAN = 'must be exactly "true" or "false"'
_PORT = "is not a valid TCP port"
_KEPT = "the previous configuration stays in force"
_LAST_FORM = "the Subnet's last valid form stays in force"
_ROUTES_STAY = "ports and routes stay, nothing is updated"
_NO_NODE = "there is no Node of this name"


def _invalid(key: str, *values: tuple[str, Any, str]) -> list[WrongValue]:
    return [WrongValue(key, *value, Reason.INVALID_VALUE, _KEPT) for value in values]


def _subnet(key: str, *values: tuple[str, Any, str]) -> list[WrongValue]:
    return [
        WrongValue(key, *value, Reason.INVALID_SUBNET, _LAST_FORM, "invalid Subnet", subnet=True)
        for value in values
    ]


WRONG_VALUES = (
    *_invalid(
        "enable-ic",
        ("missing", None, "is missing"),
        ("empty", "", _BOOLEAN),
        ("other case", "True", _BOOLEAN),
        ("another word", "yes", _BOOLEAN),
        ("not a string", True, "must be a string"),
    ),
    *_invalid(
        "az-name",
        ("missing", None, "is missing"),
        ("empty", "", "is empty"),
        ("white space", "az 1", "contains white space"),
        ("not a string", 7, "must be a string"),
    ),
    WrongValue(
        "az-name", "another cluster's", "az2", "is in use by another cluster",
        Reason.ZONE_NAME_TAKEN, "the zone keeps its name", "zone",
    ),
    *_invalid(
        "ic-db-host",
        ("missing", None, "is missing"),
        ("empty", "", "is empty"),
        ("part of an address", "192.168.65", "is neither an IP address nor a host name"),
        ("with a port", "192.168.65.3:6645", "is neither an IP address nor a host name"),
        ("link-local address", "fe80::1%eth0", "has a zone index"),
        ("not a string", ["192.168.65.3"], "must be a string"),
    ),
    WrongValue(
        "ic-db-host", "unreachable", "192.168.65.77", "cannot be reached",
        Reason.DATABASE_UNREACHABLE, _ROUTES_STAY, "host",
    ),
    WrongValue(
        "ic-db-host", "unknown name", "nowhere.invalid", "nowhere.invalid cannot be resolved",
        Reason.DATABASE_UNREACHABLE, _ROUTES_STAY, "host",
    ),
    *_invalid(
        "ic-nb-port",
        ("empty", "", _PORT),
        ("not a number", "66x5", _PORT),
        ("zero", "0", _PORT),
        ("too large", "70000", _PORT),
        ("not a string", 6645, "must be a string"),
    ),
    WrongValue(
        "ic-nb-port", "that of IC-SB", "6646", "does not serve database OVN_IC_Northbound",
        Reason.DATABASE_UNREACHABLE, _ROUTES_STAY, "port",
    ),
    WrongValue(
        "ic-nb-port", "closed", "1", "cannot be reached",
        Reason.DATABASE_UNREACHABLE, _ROUTES_STAY, "port",
    ),
    *_invalid(
        "ic-sb-port",
        ("empty", "", _PORT),
        ("hexadecimal", "0x19f6", _PORT),
        ("negative", "-1", _PORT),
        ("too large", "65536", _PORT),
        ("not a string", 6646, "must be a string"),
    ),
    WrongValue(
        "ic-sb-port", "that of IC-NB", "6645", "does not serve database OVN_IC_Southbound",
        Reason.DATABASE_UNREACHABLE, _ROUTES_STAY, "port",
    ),
    WrongValue(
        "ic-sb-port", "closed", "1", "cannot be reached",
        Reason.DATABASE_UNREACHABLE, _ROUTES_STAY, "port",
    ),
    *_invalid(
        "gw-nodes",
        ("missing", None, "is missing"),
        ("empty", "", "is empty"),
        ("not a node name", "az1_gw", "is not a valid node name"),
        ("not a string", ["az1-gw"], "must be a string"),
    ),
    WrongValue(
        "gw-nodes", "no existing node", "az1-gx", _NO_NODE,
        Reason.NO_SUCH_NODE, "the current gateways stay", "valid",
    ),
    WrongValue(
        "gw-nodes", "another cluster's node", "az2-gw", _NO_NODE,
        Reason.NO_SUCH_NODE, "the current gateways stay", "valid",
    ),
    WrongValue(
        "gw-nodes", "one of several does not exist", "az1-gw,az1-gx,az1-gw2", _NO_NODE,
        Reason.NO_SUCH_NODE, "the other nodes are used", "valid",
    ),
    WrongValue(
        "gw-nodes", "duplicate", "az1-gw,az1-gw2,az1-gw", "is listed more than once",
        Reason.INEFFECTIVE, "the first entry counts", "valid",
    ),
    *_invalid(
        "auto-route",
        ("empty", "", _BOOLEAN),
        ("another word", "on", _BOOLEAN),
        ("not a string", True, "must be a string"),
    ),
    WrongValue(
        "auto-route", "missing", None, "is missing",
        Reason.INEFFECTIVE, "routes are exchanged as before", "valid",
    ),
    *_invalid(
        "force-connect",
        ("empty", "", _BOOLEAN),
        ("another word", "always", _BOOLEAN),
        ("not a string", False, "must be a string"),
    ),
    *(
        wrong
        for key in ("max-routes-per-zone", "max-routes")
        for wrong in _invalid(
            key,
            ("empty", "", "is not a number of routes"),
            ("zero", "0", "is not a number of routes"),
            ("not a number", "many", "is not a number of routes"),
            ("too large", "100000000", "is not a number of routes"),
            ("not a string", 1000, "must be a string"),
        )
    ),
    *_invalid(
        "mtu",
        ("empty", "", "is not a valid MTU"),
        ("not a number", "big", "is not a valid MTU"),
        ("too small", "100", "is not a valid MTU"),
        ("too large", "70000", "is not a valid MTU"),
        ("not a string", 1400, "must be a string"),
    ),
    *_invalid(
        "vpcs",
        ("empty", "", "is empty"),
        ("without a network", "shop", "has no network"),
        ("one VPC twice", "shop=blue, shop=red", "lists shop more than once"),
        ("one network twice", "shop=blue, lab=blue", "lists network blue for two VPCs"),
        ("not a string", {"shop": "blue"}, "must be a string"),
    ),
    WrongValue(
        "vpcs", "the default VPC", "ovn-cluster=blue", "lists the default VPC",
        Reason.INVALID_VALUE, _KEPT, "checked",
    ),
    WrongValue(
        "vpcs", "no existing VPC", "shop=blue", "shop",
        Reason.NO_VPC, "the other VPCs stay connected", "valid",
    ),
    *_invalid(
        "accept",
        ("empty", "", "is empty"),
        ("not YAML", "az2: [", "is not valid YAML"),
        ("not a mapping", "10.17.0.0/16", "must be a mapping"),
        ("zone without a list", "az2: 10.17.0.0/16", "must be a list of prefixes or a mapping"),
        ("not a prefix", "az2: [10.17.0.0/33]", "is not a valid prefix"),
        ("host bits", "az2: [10.17.0.1/16]", "has host bits set"),
        ("negative limit", "az2: {max: -1}", "is not a number of prefixes"),
        ("misspelt key", "az2: {prefix: [10.17.0.0/16]}", "is not a known key"),
        ("star without quotes", "*: []", "is not valid YAML"),
    ),
    *_invalid(
        "advertise",
        ("empty", "", "is empty"),
        ("not YAML", "[", "is not valid YAML"),
        ("no prefix length", "10.16.0.0", "has no prefix length"),
        ("host bits", "10.16.0.1/16", "has host bits set"),
        ("not a list", "{a: b}", "must be a list of prefixes"),
    ),
    *_invalid(
        "routes",
        ("empty", "", "is empty"),
        ("not a list", "az2", "must be a list of routes"),
        ("no zone", "- {prefix: 10.99.0.0/16}", "is missing"),
        ("not a prefix", "- {prefix: 10.99.0.0/33, zone: az2}", "is not a valid prefix"),
        (
            "duplicate",
            "- {prefix: 10.99.0.0/16, zone: az2}\n- {prefix: 10.99.0.0/16, zone: az2}",
            "is a duplicate",
        ),
    ),
    WrongValue(
        "routes", "own zone", "- {prefix: 10.99.0.0/16, zone: az1}", "is this cluster's own",
        Reason.INVALID_VALUE, _KEPT, "checked",
    ),
    WrongValue(
        "routes", "a VPC that `vpcs` lacks", "- {prefix: 10.99.0.0/16, zone: az2, vpc: shop}",
        "does not take part", Reason.INVALID_VALUE, _KEPT, "checked",
    ),
    WrongValue(
        "routes", "unknown zone", "- {prefix: 10.99.0.0/16, zone: az9}", "az9",
        Reason.UNKNOWN_ZONE, "the route waits for the zone", "valid",
    ),
    WrongValue(
        "gateways", "unknown key", "az1-gw", "is not a known key",
        Reason.INEFFECTIVE, "the key is ignored", "valid",
    ),
    *_subnet(
        "cidrBlock",
        ("missing", None, "is missing"),
        ("empty", "", "must be a string"),
        ("not a CIDR", "10.26.0.0/99", "is not a valid CIDR"),
        ("not a string", 10, "must be a string"),
        ("two of one family", "10.26.0.0/16,10.27.0.0/16", "has two CIDRs of one family"),
    ),
    WrongValue(
        "cidrBlock", "another Subnet's", "10.16.128.0/17", "overlaps 10.16.0.0/16",
        Reason.OVERLAPPING_SUBNETS, "both Subnets stay in force", "overlap", subnet=True,
    ),
    WrongValue(
        "cidrBlock", "another cluster's", "10.17.4.0/24", "overlaps 10.17.0.0/16 of zone az2",
        Reason.OVERLAPPING_PREFIX, "the overlapping prefix is not learned, until that is undone",
        "overlap", subnet=True, stops=True,
    ),
    *_subnet(
        "disableInterConnection",
        ("not a boolean", "true", "must be true or false"),
        ("a number", 1, "must be true or false"),
    ),
    *_subnet("vpc", ("not a string", 5, "must be a string")),
    WrongValue(
        "vlan", "not a string", 5, "must be a string",
        Reason.INVALID_SUBNET, _LAST_FORM, "vlan", subnet=True,
    ),
    *_subnet("provider", ("not a string", 5, "must be a string")),
)  # fmt: skip
"""All of them, in the order of the table. The clusters are those of `THREE_CLUSTERS`, and the
Subnet is `apps`."""


def table() -> list[tuple[str, ...]]:
    """The rows of the table: key, kinds, effect, reason, packets lost."""
    kinds: dict[tuple[str, str, str, str], list[str]] = {}
    for wrong in WRONG_VALUES:
        kinds.setdefault(wrong.cells, []).append(wrong.kind)
    return [(key, ", ".join(found), *rest) for (key, *rest), found in kinds.items()]


def batches() -> Iterator[tuple[WrongValue, ...]]:
    """The values in sets that are written at once, each with at most one value of a key."""
    groups: dict[str, dict[str, list[WrongValue]]] = {}
    for wrong in WRONG_VALUES:
        groups.setdefault(wrong.group, {}).setdefault(wrong.key, []).append(wrong)
    for by_key in groups.values():
        for batch in zip_longest(*by_key.values()):
            yield tuple(wrong for wrong in batch if wrong is not None)
