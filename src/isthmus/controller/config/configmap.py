"""The ConfigMap `ovn-ic-config`: its keys, and the configuration that their values make.

`Inputs` calls `parse_config`; nothing else reads the ConfigMap. The keys before `mtu` and their
defaults are Kube-OVN's; `mtu` and the keys after it are ours and optional. Invariant: a ConfigMap
with any bad value is an `InvalidConfig` as a whole, so it is never applied in part, and an
`InvalidConfig` never makes a cluster leave.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, TypeVar

from isthmus.controller.config import scalar_values as values
from isthmus.controller.config import yaml_values as rule_values
from isthmus.controller.config.errors import InvalidValueError
from isthmus.controller.config.suggestions import shortened, suggestion
from isthmus.model.prefixes import Network
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.route_rules import DeclaredRoute, RouteRules, ZoneRule

T = TypeVar("T")
D = TypeVar("D")


class ConfigKey(StrEnum):
    """The keys of the ConfigMap."""

    ENABLE_IC = "enable-ic"
    AZ_NAME = "az-name"
    IC_DB_HOST = "ic-db-host"
    IC_NB_PORT = "ic-nb-port"
    IC_SB_PORT = "ic-sb-port"
    GW_NODES = "gw-nodes"
    AUTO_ROUTE = "auto-route"
    MTU = "mtu"
    VPCS = "vpcs"
    ACCEPT = "accept"
    ADVERTISE = "advertise"
    ROUTES = "routes"


KEYS: tuple[str, ...] = tuple(ConfigKey)
ALL_KEYS = frozenset(ConfigKey)
DEFAULT_NB_PORT, DEFAULT_SB_PORT = 6645, 6646

DEFAULT_MTU = 1400
"""Bytes; the MTU of Kube-OVN's pods on nodes with an MTU of 1500, less 100 bytes for Geneve."""


@dataclass(frozen=True, slots=True)
class Config:
    """A valid configuration.

    Args:
        zone: the availability zone's name (`az-name`).
        hosts: the IC databases' hosts, addresses or names without brackets (`ic-db-host`).
        nb_port, sb_port: their TCP ports (`ic-nb-port`, `ic-sb-port`).
        gateways: names of the gateway nodes, the most preferred first (`gw-nodes`).
        auto_route: whether routes are advertised and learned (`auto-route`).
        mtu: of packets through our router ports, in bytes; None for no limit (`mtu`).
        vpcs: the network of each custom VPC that takes part (`vpcs`).
        rules: which routes may be learned and advertised (`accept`, `advertise`).
        routes: the declared routes (`routes`).
        tls: whether the IC databases are reached by TLS; a flag of the daemon, not a key.
    """

    zone: str
    hosts: tuple[str, ...]
    nb_port: int
    sb_port: int
    gateways: tuple[str, ...]
    auto_route: bool
    mtu: int | None = DEFAULT_MTU
    vpcs: Mapping[str, str] = field(default_factory=dict)
    rules: RouteRules = field(default_factory=RouteRules)
    routes: tuple[DeclaredRoute, ...] = ()
    tls: bool = False

    @property
    def ic_nb_remote(self) -> str:
        """The IC-NB database in the syntax of ovsdb(7), e.g. "tcp:10.0.0.1:6645,tcp:[::1]:6645"."""
        return self._remote(self.nb_port)

    @property
    def ic_sb_remote(self) -> str:
        """The IC-SB database, in the same syntax."""
        return self._remote(self.sb_port)

    def _remote(self, port: int) -> str:
        method = "ssl" if self.tls else "tcp"
        hosts = (f"[{host}]" if ":" in host else host for host in self.hosts)
        return ",".join(f"{method}:{host}:{port}" for host in hosts)


@dataclass(frozen=True, slots=True)
class JoinZone:
    """The cluster takes part in the interconnection; `problems` are warnings."""

    config: Config
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class LeaveZone:
    """The cluster does not take part, and nothing of it may remain; `reason` is for messages."""

    reason: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class InvalidConfig:
    """The ConfigMap is not valid, so the configuration in force stays in force."""

    problems: tuple[Problem, ...]


_VALUES: Mapping[ConfigKey, Callable[[Config], object]] = {
    ConfigKey.AZ_NAME: attrgetter("zone"),
    ConfigKey.IC_DB_HOST: attrgetter("hosts"),
    ConfigKey.IC_NB_PORT: attrgetter("nb_port"),
    ConfigKey.IC_SB_PORT: attrgetter("sb_port"),
    ConfigKey.GW_NODES: attrgetter("gateways"),
    ConfigKey.AUTO_ROUTE: attrgetter("auto_route"),
    ConfigKey.MTU: attrgetter("mtu"),
    ConfigKey.VPCS: attrgetter("vpcs"),
    ConfigKey.ACCEPT: attrgetter("rules.zones", "rules.others"),
    ConfigKey.ADVERTISE: attrgetter("rules.advertise"),
    ConfigKey.ROUTES: attrgetter("routes"),
}


def changed_keys(
    before: JoinZone | LeaveZone | None, after: JoinZone | LeaveZone | None
) -> frozenset[ConfigKey]:
    """Return the keys whose values differ between what was wanted and what is wanted now.

    Args:
        before, after: None if not known. When the cluster starts or stops taking part, all keys
            have changed; `ENABLE_IC` changes in no other case.
    """
    if isinstance(before, JoinZone) and isinstance(after, JoinZone):
        old, new = before.config, after.config
        return frozenset(key for key, value in _VALUES.items() if value(old) != value(new))
    return frozenset() if type(before) is type(after) else ALL_KEYS


def parse_config(name: str, data: Any, default_vpc: str) -> JoinZone | LeaveZone | InvalidConfig:
    """Return what a ConfigMap requires.

    Args:
        name: the ConfigMap, for problems.
        data: its `data`, as written; not validated yet.
        default_vpc: the name of the VPC that takes part without being listed in `vpcs`.
    """
    reader = _ConfigReader(name, data)
    if reader.read("enable-ic", values.boolean) is False:
        # Leaving must be possible even if other values are not valid.
        return LeaveZone('enable-ic is "false"')
    reader.check_keys()
    config = _config(reader, default_vpc)
    if reader.problems or config is None:
        return InvalidConfig(tuple(reader.problems + reader.warnings))
    return JoinZone(config, tuple(reader.warnings))


def _config(reader: "_ConfigReader", default_vpc: str) -> Config | None:
    """The configuration; None if a required value is missing or not valid."""
    zone = reader.read("az-name", values.zone)
    hosts = reader.read("ic-db-host", values.hosts)
    nb_port = reader.read("ic-nb-port", values.port, DEFAULT_NB_PORT)
    sb_port = reader.read("ic-sb-port", values.port, DEFAULT_SB_PORT)
    gateways = reader.read("gw-nodes", values.gateways)
    auto_route = reader.read("auto-route", values.boolean, False)
    reader.warn_missing(
        "auto-route", "no route is advertised or learned", 'write "true" or "false"'
    )
    mtu = reader.read_optional("mtu", values.mtu, DEFAULT_MTU)
    vpcs = reader.read_optional("vpcs", values.vpcs, None) or {}
    zones = reader.read_optional("accept", rule_values.accept, None) or {}
    advertise = reader.read_optional("advertise", rule_values.advertise, None)
    routes = reader.read_optional("routes", rule_values.routes, None) or ()
    if zone is None or hosts is None or nb_port is None or sb_port is None:
        return None
    if gateways is None or auto_route is None:
        return None
    config = Config(
        zone=zone,
        hosts=_unique(hosts),
        nb_port=nb_port,
        sb_port=sb_port,
        gateways=reader.once("gw-nodes", gateways),
        auto_route=auto_route,
        mtu=mtu,
        vpcs=vpcs,
        rules=_rules(zones, advertise),
        routes=tuple(
            replace(route, vpc="") if route.vpc == default_vpc else route for route in routes
        ),
    )
    reader.cross_check(config, default_vpc)
    return config


def _rules(zones: Mapping[str, ZoneRule], advertise: tuple[Network, ...] | None) -> RouteRules:
    named = {zone: rule for zone, rule in zones.items() if zone != rule_values.OTHERS}
    return RouteRules(named, zones.get(rule_values.OTHERS, ZoneRule()), advertise)


def _unique(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


class _ConfigReader:
    """Reads the keys of one ConfigMap, and collects what is wrong with them."""

    def __init__(self, name: str, data: Any) -> None:
        self._name = name
        self._data: Mapping[Any, Any] = data if isinstance(data, dict) else {}
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        if data is not None and not isinstance(data, dict):
            self._bad(
                "data",
                data,
                "must be a mapping of keys to strings",
                "write lines of the form key: value",
            )

    def read(self, key: str, parse: Callable[[str], T], default: T | None = None) -> T | None:
        """The parsed value; the default if the key is missing; None if there is a problem."""
        if key not in self._data and default is None:
            self._bad(f"data.{key}", None, "is missing", f"add {key} to the ConfigMap's data")
        return self.read_optional(key, parse, default)

    def read_optional(self, key: str, parse: Callable[[str], T], default: D) -> T | D | None:
        """The same for an optional key; the default may be None."""
        if key not in self._data:
            return default
        value = self._data[key]
        if not isinstance(value, str):
            self._bad(
                f"data.{key}", value, "must be a string", f"put it in quotes: {_quoted(value)}"
            )
            return None
        try:
            return parse(value)
        except InvalidValueError as error:
            for fault in error.faults:
                found = fault.value if fault.path else value
                self._bad(f"data.{key}{fault.path}", found, fault.message, fault.remedy)
            return None

    def cross_check(self, config: Config, default_vpc: str) -> None:
        """Report values that contradict each other."""
        if default_vpc in config.vpcs:
            self._bad(
                "data.vpcs",
                self._data["vpcs"],
                f"lists the default VPC {default_vpc}, which always takes part",
                f"remove {default_vpc} from the list",
            )
        for number, route in enumerate(config.routes):
            if route.vpc and route.vpc not in config.vpcs:
                self._bad(
                    f"data.routes[{number}].vpc",
                    route.vpc,
                    "does not take part in the interconnection",
                    f"add {route.vpc} to vpcs, or write another VPC",
                )
            if route.zone == config.zone:
                self._bad(
                    f"data.routes[{number}].zone",
                    route.zone,
                    "is this cluster's own az-name",
                    "write the zone that the route leads to",
                )

    def warn_missing(self, key: str, effect: str, remedy: str) -> None:
        """Report a missing key whose default may be unexpected."""
        if key not in self._data:
            self._warn(f"data.{key}", "", f"is missing, so {effect}", remedy)

    def check_keys(self) -> None:
        """Report unknown keys; one that resembles a missing key makes the ConfigMap invalid."""
        missing = [key for key in KEYS if key not in self._data]
        for key in self._data:
            if key in KEYS:
                continue
            wanted = suggestion(str(key), missing)
            if wanted is not None:
                self._bad(f"data.{key}", None, "is not a known key", f"write {wanted}")
            else:
                self._warn(
                    f"data.{key}",
                    "",
                    "is not a known key, so it has no effect",
                    f"remove it; valid: {', '.join(KEYS)}",
                )

    def once(self, key: str, items: tuple[str, ...]) -> tuple[str, ...]:
        """The items without duplicates; reports the duplicates."""
        for item in _unique(tuple(item for item in items if items.count(item) > 1)):
            self._warn(
                f"data.{key}",
                item,
                "is listed more than once; the first entry counts",
                "list it once",
            )
        return _unique(items)

    def _warn(self, key: str, value: str, message: str, remedy: str) -> None:
        self.warnings.append(
            Subject(self._name, key, value).problem(message, remedy, Reason.INEFFECTIVE)
        )

    def _bad(self, key: str, value: Any, message: str, remedy: str) -> None:
        text = "" if value is None else shortened(value)
        self.problems.append(
            Subject(self._name, key, text).problem(message, remedy, Reason.INVALID_VALUE)
        )


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return '"true"' if value else '"false"'
    return f'"{shortened(value)}"' if isinstance(value, int | float) else '"…"'
