"""Parsers for the ConfigMap's values that are YAML: `accept`, `advertise` and `routes`.

`isthmus.controller.config.configmap` calls them with the value as written. They raise
`InvalidValueError` with everything that is wrong, each fault with its place within the value.
"""

from collections.abc import Mapping, Sized
from ipaddress import ip_interface
from typing import Any

from isthmus.controller.config.errors import (
    TOO_LONG,
    InvalidValueError,
    ValueFault,
    invalid,
    too_many,
)
from isthmus.controller.config.strict_yaml import YamlTextError, load_yaml
from isthmus.controller.config.suggestions import shortened, suggestion
from isthmus.model.bounds import CONFIG_ENTRIES, CONFIG_FAULTS, CONFIG_NAME, CONFIG_VALUES
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
    reader.limit(value)
    for zone, rule in value.items():
        path = f".{shortened(zone)}"
        if not isinstance(zone, str) or not zone:
            reader.wrong("is not a zone name", "put it in quotes", path)
        elif len(zone) > CONFIG_NAME.most:
            reader.wrong(*TOO_LONG, path, zone)
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
    found: dict[DeclaredRoute, None] = {}
    value = _loaded(text)
    if not isinstance(value, list):
        remedy = "write e.g. - {prefix: 10.17.0.0/16, zone: az2}"
        reader.wrong("must be a list of routes", remedy)
        value = []
    reader.limit(value)
    for number, item in enumerate(value):
        route = reader.route(item, f"[{number}]")
        if route is not None and route in found:
            reader.wrong("is a duplicate", "list each route once", f"[{number}]")
        elif route is not None:
            found[route] = None
    reader.finish()
    return tuple(found)


def _loaded(text: str) -> Any:
    if not text.strip():
        raise invalid("is empty", "write a value, or remove the key")
    try:
        return load_yaml(text, CONFIG_VALUES)
    except YamlTextError as error:
        place = f" in {error.where}" if error.where else ""
        remedy = 'put "*" in quotes' if error.alias else "correct it"
        raise invalid(f"is not valid YAML{place}: {error.reason}", remedy) from error


class _ValueReader:
    """Reads the parts of a value, and collects what is wrong with them."""

    def __init__(self) -> None:
        self._faults: list[ValueFault] = []

    def wrong(self, message: str, remedy: str, path: str = "", value: Any = None) -> None:
        """Record a fault; raise an error if there are so many that others do not matter."""
        self._faults.append(ValueFault(message, remedy, path, value))
        if len(self._faults) == CONFIG_FAULTS.most:
            self.finish()

    def limit(self, items: Sized, path: str = "") -> None:
        """Raise an error if there are too many entries."""
        if len(items) > CONFIG_ENTRIES.most:
            self.wrong(*too_many(len(items)), path, items)
            self.finish()

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
        self.limit(value, path)
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
            if len(value) > CONFIG_NAME.most:
                self.wrong(*TOO_LONG, path, value)
            return value
        message = "is empty" if value is None or value == "" else "must be a string"
        self.wrong(message, "write a name; put it in quotes if it is a number", path, value)
        return ""

    def _check_keys(self, value: Mapping[Any, Any], known: tuple[str, ...], path: str) -> None:
        for key in (key for key in value if key not in known):
            wanted = suggestion(shortened(key), known)
            remedy = f"write {wanted}" if wanted else f"remove it; valid: {', '.join(known)}"
            self.wrong("is not a known key", remedy, f"{path}.{shortened(key)}")
