"""Manifests and the values of the ConfigMap.

An input is read as a manifest file, and as the value of each key of an otherwise valid ConfigMap.
Promises: no input raises; a configuration that is accepted, written out again, is read as the same.
"""

from typing import Any

import yaml

from fuzz.promises import require, require_line, require_named
from isthmus.controller.config.configmap import (
    KEYS,
    Config,
    ConfigKey,
    InvalidConfig,
    JoinZone,
    parse_config,
)
from isthmus.controller.inputs.inputs import CONFIG_MAP, DEFAULT_VPC, Inputs
from isthmus.controller.inputs.snapshot import API_VERSIONS, Snapshot
from isthmus.manifests.documents import read_documents
from isthmus.model.bounds import CONFIG_NAME
from isthmus.model.route_rules import ZoneRule
from isthmus.ovsdb.streams.addresses import host_and_port, is_valid, split

WORDS = (
    *KEYS, *API_VERSIONS, "apiVersion: v1", "kubeovn.io/v1", "kind: ", "metadata", "name",
    "namespace", "kube-system", "ovn-ic-config", "data", "spec", "cidrBlock",
    "disableInterConnection", "vpc", "vlan", "provider", "status", "addresses", "conditions",
    "annotations", "prefix", "prefixes", "zone", "transit-switch", "max", "default-route", "items",
    "---", "&a ", "*a", "<<: ", "!!binary ", "!!set ", "!!timestamp ", "!!int ", "!!float ",
    "!!omap ", "!!pairs ", "!!python/name:os", "2001-01-01", ".nan", ".inf", "0x", "0o7", "1:60",
    "1_0", "true", "null", "~", "\\e", "\\u2028", "|\n", ">-\n", "? ", "%YAML 1.1",
)  # fmt: skip
"""Words that the fuzzer inserts."""

_VALID = {
    "enable-ic": "true",
    "az-name": "az1",
    "ic-db-host": "10.0.0.1",
    "gw-nodes": "node1",
    "vpcs": "blue=net",
}


def run(data: bytes) -> None:
    """Read an input in both ways."""
    _read_file(data)
    text = data.decode(errors="replace")
    for key in KEYS:
        _read_config(_VALID | {key: text})


def _read_file(data: bytes) -> None:
    content = read_documents("file.yaml", data)
    require_named(content.problems)
    snapshot = Snapshot(content.manifests, content.problems)
    inputs = Inputs()
    inputs.update(snapshot)
    require_named(inputs.problems)
    if inputs.config is not None:
        _check(inputs.config)
    before = (inputs.wanted, inputs.subnets, inputs.nodes, inputs.problems)
    inputs.update(snapshot)
    after = (inputs.wanted, inputs.subnets, inputs.nodes, inputs.problems)
    require(before == after, f"{CONFIG_MAP} or another object changed when it was read again")


def _read_config(values: dict[str, Any]) -> None:
    found = parse_config(str(CONFIG_MAP), values, DEFAULT_VPC)
    require_named(found.problems)
    if isinstance(found, JoinZone):
        _check(found.config)
    elif isinstance(found, InvalidConfig):
        require(bool(found.problems), "an invalid configuration without a problem")


def _check(config: Config) -> None:
    """Require a configuration to have sane names, and to be the same when it is read again."""
    require_line(config.zone)
    for name in (config.zone, *config.gateways, *config.vpcs, *config.vpcs.values()):
        require(0 < len(name) <= CONFIG_NAME.most, f"a name of {len(name)} characters")
    for remote, port in (
        (config.ic_nb_remote, config.nb_port),
        (config.ic_sb_remote, config.sb_port),
    ):
        addresses = split(remote)
        require(all(is_valid(each, tls=False) for each in addresses), f"bad address: {remote!r}")
        expected = [(host, port) for host in config.hosts]
        found = [host_and_port(each.removeprefix("tcp:")) for each in addresses]
        require(found == expected, f"{remote!r} is not {expected!r}")
    again = parse_config(str(CONFIG_MAP), _written(config), DEFAULT_VPC)
    require(isinstance(again, JoinZone), f"no longer valid: {list(map(str, again.problems))}")
    assert isinstance(again, JoinZone)
    require(again.config == config, f"{again.config!r} is not {config!r}")


def _written(config: Config) -> dict[str, str]:
    """A ConfigMap with this configuration."""
    values = {
        ConfigKey.ENABLE_IC: "true",
        ConfigKey.AZ_NAME: config.zone,
        ConfigKey.IC_DB_HOST: ",".join(config.hosts),
        ConfigKey.IC_NB_PORT: str(config.nb_port),
        ConfigKey.IC_SB_PORT: str(config.sb_port),
        ConfigKey.GW_NODES: ",".join(config.gateways),
        ConfigKey.MTU: "off" if config.mtu is None else str(config.mtu),
        ConfigKey.FORCE_CONNECT: _flag(config.force_connect),
        ConfigKey.MAX_ROUTES_PER_ZONE: str(config.max_routes_per_zone),
        ConfigKey.MAX_ROUTES: str(config.max_routes),
        ConfigKey.ACCEPT: _yaml({zone: _rule(rule) for zone, rule in config.accept.items()}),
        ConfigKey.ROUTES: _yaml(
            [
                {"prefix": str(route.prefix), "zone": route.zone}
                | ({"transit-switch": route.transit_switch} if route.transit_switch else {})
                | ({"vpc": route.vpc} if route.vpc else {})
                for route in config.routes
            ]
        ),
    }
    if config.auto_route is not None:
        values[ConfigKey.AUTO_ROUTE] = _flag(config.auto_route)
    if config.vpcs:
        values[ConfigKey.VPCS] = ",".join(f"{vpc}={net}" for vpc, net in config.vpcs.items())
    if config.advertise is not None:
        values[ConfigKey.ADVERTISE] = _yaml(list(map(str, config.advertise)))
    return {str(key): value for key, value in values.items()}


def _rule(rule: ZoneRule) -> dict[str, Any]:
    written: dict[str, Any] = {"default-route": rule.default_route, "max": rule.most}
    if rule.prefixes is not None:
        written["prefixes"] = list(map(str, rule.prefixes))
    return written


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, allow_unicode=True))


def _flag(value: bool) -> str:
    return "true" if value else "false"
