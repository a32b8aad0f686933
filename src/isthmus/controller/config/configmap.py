"""The ConfigMap `ovn-ic-config`: its keys, and the configuration that their values make.

`Inputs` calls `parse_config`; nothing else reads the ConfigMap. The keys before `mtu` and their
defaults are Kube-OVN's; `mtu` and the keys after it are ours and optional. Invariant: a ConfigMap
with any bad value is an `InvalidConfig` as a whole, so it is never applied in part, and an
`InvalidConfig` never makes a cluster leave.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from isthmus.controller.config import scalar_values, yaml_values
from isthmus.controller.config.errors import InvalidValueError
from isthmus.controller.config.suggestions import shortened, suggestion
from isthmus.model.bounds import (
    CONFIG_FAULTS,
    CONFIG_KEYS,
    CONFIG_VALUE,
    ROUTES,
    ROUTES_PER_ZONE,
    BoundExceededError,
)
from isthmus.model.prefixes import Network
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.route_rules import DeclaredRoute, RouteLimits, RouteRules, ZoneRule


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
    FORCE_CONNECT = "force-connect"
    MAX_ROUTES_PER_ZONE = "max-routes-per-zone"
    MAX_ROUTES = "max-routes"


KEYS: tuple[str, ...] = tuple(ConfigKey)
ALL_KEYS = frozenset(ConfigKey)

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
        auto_route: whether routes are advertised and learned; None to leave that as it is in NB
            (`auto-route`).
        mtu: of packets through our router ports, in bytes; None for no limit (`mtu`).
        vpcs: the network of each custom VPC that takes part (`vpcs`).
        accept: the rule for each zone, and for zones that are not listed (`accept`).
        advertise: the prefixes that may be advertised; None for any (`advertise`).
        routes: the declared routes (`routes`).
        force_connect: whether VPCs are connected whatever happens to NAT (`force-connect`).
        max_routes_per_zone, max_routes: how many routes of each zone, and of all zones, are
            considered for learning (`max-routes-per-zone`, `max-routes`).
        tls: whether the IC databases are reached by TLS; a flag of the daemon, not a key.
    """

    zone: str
    hosts: tuple[str, ...]
    nb_port: int
    sb_port: int
    gateways: tuple[str, ...]
    auto_route: bool | None
    mtu: int | None = DEFAULT_MTU
    vpcs: Mapping[str, str] = field(default_factory=dict)
    accept: Mapping[str, ZoneRule] = field(default_factory=dict)
    advertise: tuple[Network, ...] | None = None
    routes: tuple[DeclaredRoute, ...] = ()
    force_connect: bool = False
    max_routes_per_zone: int = ROUTES_PER_ZONE.most
    max_routes: int = ROUTES.most
    tls: bool = False

    @property
    def rules(self) -> RouteRules:
        """Which routes may be learned and advertised."""
        zones = dict(self.accept)
        others = zones.pop(yaml_values.OTHERS, ZoneRule())
        limits = RouteLimits(self.max_routes_per_zone, self.max_routes)
        return RouteRules(zones, others, self.advertise, limits)

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
    """The cluster does not take part, and nothing of it may remain.

    Args:
        reason: for messages.
        config: the other values; None if there are none, or if one is not valid.
    """

    reason: str
    config: Config | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class InvalidConfig:
    """The ConfigMap is not valid, so the configuration in force stays in force."""

    problems: tuple[Problem, ...]


_REQUIRED = object()
"""In place of a default, and of the value of a required key with a problem."""

_VALUES: Mapping[ConfigKey, tuple[str, Callable[[str], Any], Any]] = {
    ConfigKey.AZ_NAME: ("zone", scalar_values.zone, _REQUIRED),
    ConfigKey.IC_DB_HOST: ("hosts", scalar_values.hosts, _REQUIRED),
    ConfigKey.IC_NB_PORT: ("nb_port", scalar_values.port, 6645),
    ConfigKey.IC_SB_PORT: ("sb_port", scalar_values.port, 6646),
    ConfigKey.GW_NODES: ("gateways", scalar_values.gateways, _REQUIRED),
    ConfigKey.AUTO_ROUTE: ("auto_route", scalar_values.boolean, None),
    ConfigKey.MTU: ("mtu", scalar_values.mtu, DEFAULT_MTU),
    ConfigKey.VPCS: ("vpcs", scalar_values.vpcs, {}),
    ConfigKey.ACCEPT: ("accept", yaml_values.accept, {}),
    ConfigKey.ADVERTISE: ("advertise", yaml_values.advertise, None),
    ConfigKey.ROUTES: ("routes", yaml_values.routes, ()),
    ConfigKey.FORCE_CONNECT: ("force_connect", scalar_values.boolean, False),
    ConfigKey.MAX_ROUTES_PER_ZONE: (
        "max_routes_per_zone",
        scalar_values.max_routes,
        ROUTES_PER_ZONE.most,
    ),
    ConfigKey.MAX_ROUTES: ("max_routes", scalar_values.max_routes, ROUTES.most),
}
"""The attribute of `Config`, the parser and the default of each key except `enable-ic`."""


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
        fields = ((key, attribute) for key, (attribute, *_) in _VALUES.items())
        return frozenset(key for key, a in fields if getattr(old, a) != getattr(new, a))
    return frozenset() if type(before) is type(after) else ALL_KEYS


def parse_config(name: str, data: Any, default_vpc: str) -> JoinZone | LeaveZone | InvalidConfig:
    """Return what a ConfigMap requires.

    Args:
        name: the ConfigMap, for problems.
        data: its `data`, as written; not validated yet.
        default_vpc: the name of the VPC that takes part without being listed in `vpcs`.
    """
    reader = _ConfigReader(name, data)
    if reader.read(ConfigKey.ENABLE_IC, scalar_values.boolean, _REQUIRED) is False:
        # Leaving must be possible even if other values are not valid.
        return LeaveZone('enable-ic is "false"', reader.config(default_vpc))
    reader.check_keys()
    config = reader.config(default_vpc)
    if config is not None:
        return JoinZone(config, tuple(reader.warnings))
    return InvalidConfig(tuple(reader.problems + reader.warnings))


class _ConfigReader:
    """Reads the keys of one ConfigMap, and collects what is wrong with them."""

    def __init__(self, name: str, data: Any) -> None:
        self._name = name
        self._data: Mapping[Any, Any] = data if isinstance(data, dict) else {}
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        if data is not None and not isinstance(data, dict):
            message = "must be a mapping of keys to strings"
            self._bad("data", data, message, "write lines of the form key: value")

    def read(self, key: str, parse: Callable[[str], Any], default: Any) -> Any:
        """The parsed value; the default if the key is missing, or if there is a problem."""
        if key not in self._data:
            if default is _REQUIRED:
                self._bad(f"data.{key}", None, "is missing", f"add {key} to the ConfigMap's data")
            return default
        value = self._data[key]
        if not isinstance(value, str):
            remedy = f"put it in quotes: {_quoted(value)}"
            self._bad(f"data.{key}", value, "must be a string", remedy)
            return default
        try:
            CONFIG_VALUE.check(len(value))
            return parse(value)
        except BoundExceededError as error:
            self._bad(f"data.{key}", value, f"is too long: {error}", "shorten it")
            return default
        except InvalidValueError as error:
            for fault in error.faults:
                found = fault.value if fault.path else value
                self._bad(f"data.{key}{fault.path}", found, fault.message, fault.remedy)
            return default

    def config(self, default_vpc: str) -> Config | None:
        """All values; None if there is a problem."""
        found = {
            attribute: self.read(key, parse, default)
            for key, (attribute, parse, default) in _VALUES.items()
        }
        if _REQUIRED in found.values():
            return None
        config = self.checked(Config(**found), default_vpc)
        return None if self.problems else config

    def checked(self, config: Config, default_vpc: str) -> Config:
        """The configuration without duplicates; reports these and contradicting values."""
        names = config.gateways
        for name in (name for name, count in Counter(names).items() if count > 1):
            message = "is listed more than once; the first entry counts"
            self._warn(f"data.{ConfigKey.GW_NODES}", name, message, "list it once")
        default = {"", default_vpc}
        routes = (r if r.vpc not in default else replace(r, vpc="") for r in config.routes)
        config = replace(config, gateways=tuple(dict.fromkeys(names)), routes=tuple(routes))
        if default_vpc in config.vpcs:
            message = f"lists the default VPC {default_vpc}, which always takes part"
            remedy = f"remove {default_vpc} from the list"
            self._bad("data.vpcs", self._data["vpcs"], message, remedy)
        for number, route in enumerate(config.routes):
            if len(self.problems) >= CONFIG_FAULTS.most:
                break
            key = f"data.routes[{number}]"
            if route.vpc and route.vpc not in config.vpcs:
                message = "does not take part in the interconnection"
                remedy = f"add {route.vpc} to vpcs, or write another VPC"
                self._bad(f"{key}.vpc", route.vpc, message, remedy)
            if route.zone == config.zone:
                remedy = "write the zone that the route leads to"
                self._bad(f"{key}.zone", route.zone, "is this cluster's own az-name", remedy)
        return config

    def check_keys(self) -> None:
        """Report unknown keys, of which one that resembles a missing key is an error.

        A missing `auto-route` is reported, too: it is not known to be meant.
        """
        missing = [key for key in KEYS if key not in self._data]
        if len(self._data) > CONFIG_KEYS.most:
            message = f"has {len(self._data)} keys, more than the limit of {CONFIG_KEYS.most}"
            self._bad("data", None, message, "remove those that are not known")
            return
        for key in self._data:
            if key in KEYS:
                continue
            wanted = suggestion(shown := shortened(key), missing)
            if wanted is not None:
                self._bad(f"data.{shown}", None, "is not a known key", f"write {wanted}")
            else:
                message, remedy = "is not a known key, so it has no effect", ", ".join(KEYS)
                self._warn(f"data.{shown}", "", message, f"remove it; valid: {remedy}")
        if ConfigKey.AUTO_ROUTE in missing:
            message = "is missing, so routes are advertised and learned only if they were before"
            self._warn(f"data.{ConfigKey.AUTO_ROUTE}", "", message, 'write "true" or "false"')

    def _warn(self, key: str, value: str, message: str, remedy: str) -> None:
        subject = Subject(self._name, key, value)
        self.warnings.append(subject.problem(message, remedy, Reason.INEFFECTIVE))

    def _bad(self, key: str, value: Any, message: str, remedy: str) -> None:
        subject = Subject(self._name, key, "" if value is None else shortened(value))
        self.problems.append(subject.problem(message, remedy, Reason.INVALID_VALUE))


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return '"true"' if value else '"false"'
    return f'"{shortened(value)}"' if isinstance(value, int | float) else '"…"'
