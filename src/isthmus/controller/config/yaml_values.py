"""Parsers for the ConfigMap's values that are YAML: `accept`, `advertise` and `routes`.

`isthmus.controller.config.configmap` calls them with the value as written. They raise
`InvalidValueError` with everything that is wrong, each fault with its place within the value.
"""

from collections.abc import Mapping
from ipaddress import ip_interface
from typing import Any

import yaml

from isthmus.controller.config.errors import InvalidValueError, ValueFault, invalid
from isthmus.controller.config.strict_yaml import StrictLoader, yaml_error
from isthmus.controller.config.suggestions import suggestion
from isthmus.model.prefixes import Network
from isthmus.model.route_rules import DeclaredRoute, ZoneRule

OTHERS = "*"
"""In `accept`: all zones that are not listed."""

_RULE_KEYS = ("prefixes", "max", "default-route")
_ROUTE_KEYS = ("prefix", "zone", "transit-switch", "vpc")


def accept(text: str) -> Mapping[str, ZoneRule]:
    """`accept`: the rule for each zone; `OTHERS` is the rule for zones that are not listed."""
    reader = _ValueReader()
    rules: dict[str, ZoneRule] = {}
    value = _loaded(text)
    if not isinstance(value, dict):
        reader.wrong("must be a mapping of zones", "write e.g. az2: [10.17.0.0/16]")
        value = {}
    for zone, rule in value.items():
        path = f".{zone}"
        if not isinstance(zone, str) or not zone:
            reader.wrong("is not a zone name", "put it in quotes", path)
        else:
            rules[zone] = reader.rule(rule, path)
    reader.finish()
    return rules


def advertise(text: str) -> tuple[Network, ...]:
    """`advertise`: a list of prefixes, also as "10.16.0.0/16, 10.17.0.0/16"."""
    reader = _ValueReader()
    value = _loaded(text)
    if isinstance(value, str):
        value = value.replace(",", " ").split()
        if not value:
            reader.wrong("is empty", "list prefixes, or remove the key")
    prefixes = reader.prefixes(value, "")
    reader.finish()
    return prefixes


def routes(text: str) -> tuple[DeclaredRoute, ...]:
    """`routes`: a list of declared routes."""
    reader = _ValueReader()
    found: list[DeclaredRoute] = []
    value = _loaded(text)
    if not isinstance(value, list):
        remedy = "write e.g. - {prefix: 10.17.0.0/16, zone: az2}"
        reader.wrong("must be a list of routes", remedy)
        value = []
    for number, item in enumerate(value):
        route = reader.route(item, f"[{number}]")
        if route is not None and route in found:
            reader.wrong("is a duplicate", "list each route once", f"[{number}]")
        elif route is not None:
            found.append(route)
    reader.finish()
    return tuple(found)


def _loaded(text: str) -> Any:
    if not text.strip():
        raise invalid("is empty", "write a value, or remove the key")
    try:
        return yaml.load(text, StrictLoader)  # noqa: S506 - derived from the safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where, reason = yaml_error(error)
        alias = "alias" in (getattr(error, "context", None) or "")
        place = f" in {where}" if where else ""
        remedy = 'put "*" in quotes' if alias else "correct it"
        raise invalid(f"is not valid YAML{place}: {reason}", remedy) from error


class _ValueReader:
    """Reads the parts of a value, and collects what is wrong with them."""

    def __init__(self) -> None:
        self._faults: list[ValueFault] = []

    def wrong(self, message: str, remedy: str, path: str = "", value: Any = None) -> None:
        """Record a fault."""
        self._faults.append(ValueFault(message, remedy, path, value))

    def finish(self) -> None:
        """Raise an error if any fault was recorded."""
        if self._faults:
            raise InvalidValueError(*self._faults)

    def rule(self, value: Any, path: str) -> ZoneRule:
        """A rule, written as a list of prefixes or as a mapping."""
        if isinstance(value, list):
            return ZoneRule(self.prefixes(value, path))
        if not isinstance(value, dict):
            remedy = "write e.g. [10.17.0.0/16], or {prefixes: [10.17.0.0/16], max: 10}"
            self.wrong("must be a list of prefixes or a mapping", remedy, path, value)
            return ZoneRule()
        self._check_keys(value, _RULE_KEYS, path)
        allowed = value.get("prefixes")
        return ZoneRule(
            None if allowed is None else self.prefixes(allowed, f"{path}.prefixes"),
            self._most(value.get("max"), f"{path}.max"),
            self._flag(value.get("default-route", False), f"{path}.default-route"),
        )

    def route(self, value: Any, path: str) -> DeclaredRoute | None:
        """A declared route; None if it is not valid."""
        if not isinstance(value, dict):
            remedy = "write e.g. {prefix: 10.17.0.0/16, zone: az2}"
            self.wrong("must be a mapping", remedy, path, value)
            return None
        self._check_keys(value, _ROUTE_KEYS, path)
        missing = [key for key in ("prefix", "zone") if key not in value]
        for key in missing:
            self.wrong("is missing", f"add {key} to the route", f"{path}.{key}")
        if missing:
            return None
        prefix = self._prefix(value["prefix"], f"{path}.prefix")
        zone, switch, vpc = (
            self._name(value.get(key, ""), f"{path}.{key}", required=key in value)
            for key in ("zone", "transit-switch", "vpc")
        )
        return None if prefix is None else DeclaredRoute(prefix, zone, switch, vpc)

    def prefixes(self, value: Any, path: str) -> tuple[Network, ...]:
        """A list of prefixes, without duplicates."""
        if not isinstance(value, list):
            self.wrong("must be a list of prefixes", "write e.g. [10.17.0.0/16]", path, value)
            return ()
        found = (self._prefix(item, f"{path}[{number}]") for number, item in enumerate(value))
        return tuple(dict.fromkeys(prefix for prefix in found if prefix is not None))

    def _prefix(self, value: Any, path: str) -> Network | None:
        try:
            interface = ip_interface(value if isinstance(value, str) else "")
        except ValueError:
            self.wrong("is not a valid prefix", "write e.g. 10.17.0.0/16", path, value)
            return None
        network = interface.network
        if "/" not in str(value):
            self.wrong("has no prefix length", f"write {network}", path, value)
        elif interface.ip != network.network_address:
            self.wrong("has host bits set", f"write {network}", path, value)
        return network

    def _most(self, value: Any, path: str) -> int | None:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value
        self.wrong("is not a number of prefixes", "write 0 or a larger number", path, value)
        return None

    def _flag(self, value: Any, path: str) -> bool:
        if isinstance(value, bool):
            return value
        self.wrong("must be true or false", "write true or false without quotes", path, value)
        return False

    def _name(self, value: Any, path: str, *, required: bool) -> str:
        if isinstance(value, str) and (value or not required):
            return value
        message = "is empty" if value is None or value == "" else "must be a string"
        self.wrong(message, "write a name; put it in quotes if it is a number", path, value)
        return ""

    def _check_keys(self, value: Mapping[Any, Any], known: tuple[str, ...], path: str) -> None:
        for key in (key for key in value if key not in known):
            wanted = suggestion(str(key), known)
            remedy = f"write {wanted}" if wanted else f"remove it; valid: {', '.join(known)}"
            self.wrong("is not a known key", remedy, f"{path}.{key}")
