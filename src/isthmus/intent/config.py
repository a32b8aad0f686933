"""The ConfigMap `ovn-ic-config`: what the operator asks of this cluster.

`Inputs` calls `parse_config`; nothing else reads the ConfigMap. Keys and defaults are Kube-OVN's.
Invariant: a ConfigMap with any bad value is `Invalid` as a whole, so nothing is half applied, and
`Invalid` never means leaving.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any, TypeVar

from isthmus.intent.snapshot import Manifest
from isthmus.intent.spelling import meant, shown
from isthmus.model.problems import Problem

T = TypeVar("T")

KEYS = (
    "enable-ic",
    "az-name",
    "ic-db-host",
    "ic-nb-port",
    "ic-sb-port",
    "gw-nodes",
    "auto-route",
)
DEFAULT_NB_PORT, DEFAULT_SB_PORT = 6645, 6646

MOST_GATEWAYS = 100
"""Kube-OVN's gateway priorities count down from 100, and none may be below 1."""

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Config:
    """A valid configuration.

    Args:
        zone: the availability zone's name (`az-name`).
        hosts: the IC databases' hosts, addresses or names without brackets (`ic-db-host`).
        nb_port, sb_port: their TCP ports (`ic-nb-port`, `ic-sb-port`).
        gateways: names of the gateway nodes, the most preferred first (`gw-nodes`).
        auto_route: whether routes are advertised and learned (`auto-route`).
    """

    zone: str
    hosts: tuple[str, ...]
    nb_port: int
    sb_port: int
    gateways: tuple[str, ...]
    auto_route: bool

    @property
    def ic_nb_remote(self) -> str:
        """The IC-NB database in the syntax of ovsdb(7), e.g. "tcp:10.0.0.1:6645,tcp:[::1]:6645"."""
        return self._remote(self.nb_port)

    @property
    def ic_sb_remote(self) -> str:
        """The IC-SB database, in the same syntax."""
        return self._remote(self.sb_port)

    def _remote(self, port: int) -> str:
        return ",".join(
            f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}" for host in self.hosts
        )


@dataclass(frozen=True, slots=True)
class Join:
    """Take part in the interconnection; `problems` are warnings."""

    config: Config
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave nothing behind; `reason` is for people."""

    reason: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Invalid:
    """Go on as before, and report these problems."""

    problems: tuple[Problem, ...]


class _BadError(Exception):
    """A value that cannot be: message and remedy."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


def parse_config(manifest: Manifest) -> Join | Leave | Invalid:
    """What a ConfigMap asks for.

    Args:
        manifest: the ConfigMap, as written.
    """
    reader = _Reader(str(manifest.key), manifest.body.get("data"))
    enabled = reader.read("enable-ic", _boolean)
    if enabled is False:
        # Leaving must not depend on the other values being right.
        return Leave('enable-ic is "false"')
    reader.check_keys()
    zone = reader.read("az-name", _zone)
    hosts = reader.read("ic-db-host", _hosts)
    nb_port = reader.read("ic-nb-port", _port, DEFAULT_NB_PORT)
    sb_port = reader.read("ic-sb-port", _port, DEFAULT_SB_PORT)
    gateways = reader.read("gw-nodes", _gateways)
    auto_route = reader.read("auto-route", _boolean, False)
    reader.warn_missing(
        "auto-route", "no route is advertised or learned", 'write "true" or "false"'
    )
    if reader.problems or zone is None or hosts is None or gateways is None:
        return Invalid(tuple(reader.problems + reader.warnings))
    if nb_port is None or sb_port is None or auto_route is None:
        return Invalid(tuple(reader.problems + reader.warnings))
    config = Config(
        zone, _unique(hosts), nb_port, sb_port, reader.once("gw-nodes", gateways), auto_route
    )
    return Join(config, tuple(reader.warnings))


def _unique(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


class _Reader:
    """Reads the keys of one ConfigMap and gathers what is wrong with them."""

    def __init__(self, name: str, data: Any) -> None:
        self._name = name
        self._data: Mapping[Any, Any] = data if isinstance(data, dict) else {}
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        if data is not None and not isinstance(data, dict):
            self._bad("data", data, "must be a mapping of keys to strings", "write key: value")

    def read(self, key: str, parse: Callable[[str], T], default: T | None = None) -> T | None:
        """The parsed value; the default if the key is missing; None after a problem."""
        if key not in self._data:
            if default is None:
                self._bad(f"data.{key}", None, "is missing", f"add {key} to the ConfigMap's data")
            return default
        value = self._data[key]
        if not isinstance(value, str):
            self._bad(
                f"data.{key}", value, "must be a string", f"put it in quotes: {_quoted(value)}"
            )
            return None
        try:
            return parse(value)
        except _BadError as bad:
            self._bad(f"data.{key}", value, bad.message, bad.remedy)
            return None

    def warn_missing(self, key: str, effect: str, remedy: str) -> None:
        """Report that a key with a default is missing, where the default may surprise."""
        if key not in self._data:
            self._warn(f"data.{key}", "", f"is missing, so {effect}", remedy)

    def check_keys(self) -> None:
        """Report keys that mean nothing; fatal if one must have been meant for a missing key."""
        missing = [key for key in KEYS if key not in self._data]
        for key in self._data:
            if key in KEYS:
                continue
            wanted = meant(str(key), missing)
            if wanted is not None:
                self._bad(f"data.{key}", None, "is not known", f"write {wanted}")
            else:
                self._warn(
                    f"data.{key}",
                    "",
                    "is not known, so it has no effect",
                    f"remove it; the keys are {', '.join(KEYS)}",
                )

    def once(self, key: str, items: tuple[str, ...]) -> tuple[str, ...]:
        """The items without repetitions, which are reported."""
        for item in _unique(tuple(item for item in items if items.count(item) > 1)):
            self._warn(
                f"data.{key}", item, "is listed more than once; the first counts", "list it once"
            )
        return _unique(items)

    def _warn(self, key: str, value: str, message: str, remedy: str) -> None:
        self.warnings.append(Problem(self._name, key, value, message, remedy))

    def _bad(self, key: str, value: Any, message: str, remedy: str) -> None:
        text = "" if value is None else shown(value)
        self.problems.append(Problem(self._name, key, text, message, remedy))


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return '"true"' if value else '"false"'
    return f'"{shown(value)}"' if isinstance(value, int | float) else '"…"'


def _boolean(text: str) -> bool:
    if text in {"true", "false"}:
        return text == "true"
    hint = text.strip().lower()
    remedy = f'write "{hint}"' if hint in {"true", "false"} else 'write "true" or "false"'
    raise _BadError('must be exactly "true" or "false"', remedy)


def _zone(text: str) -> str:
    if not text.strip():
        raise _BadError("is empty", "give this cluster a name that no other cluster has")
    if not text.isprintable() or any(character.isspace() for character in text):
        raise _BadError("holds white space", "write a name without blanks, e.g. az1")
    return text


def _port(text: str) -> int:
    digits = text.strip()
    if digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) <= 65535:
        return int(digits)
    raise _BadError("is no TCP port", "write a number from 1 to 65535")


def _items(text: str, what: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if not any(items):
        raise _BadError("is empty", f"list at least one {what}, with commas in between")
    if not all(items):
        raise _BadError("has a comma too many", f"separate each {what} by one comma")
    return items


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(_host(item) for item in _items(text, "host"))


def _host(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ip_address(bare)
    except ValueError:
        pass
    else:
        if isinstance(address, IPv6Address) and address.scope_id:
            raise _BadError(f"{text} has a scope", "write an address that is valid everywhere")
        return str(address)
    if _HOST_NAME.fullmatch(text) and not text.rstrip(".").rpartition(".")[2].isdigit():
        return text
    if re.search(r":\d+$", text):
        raise _BadError(
            f"{text} is neither an IP address nor a host name",
            "leave the port out and give it as ic-nb-port and ic-sb-port",
        )
    raise _BadError(
        f"{text} is neither an IP address nor a host name",
        "list IPv4 or IPv6 addresses or host names, with commas in between",
    )


def _gateways(text: str) -> tuple[str, ...]:
    items = tuple(_items(text, "node name"))
    for item in items:
        if not _NODE_NAME.fullmatch(item):
            raise _BadError(
                f"{item} cannot be the name of a node",
                "list names as `kubectl get nodes` prints them, with commas in between",
            )
    if len(set(items)) > MOST_GATEWAYS:
        raise _BadError(
            f"lists more than {MOST_GATEWAYS} nodes", f"list at most {MOST_GATEWAYS} gateways"
        )
    return items
