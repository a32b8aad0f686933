"""Parsers for the ConfigMap's values that are plain strings, one function for each kind.

`isthmus.controller.config.configmap` calls them with the value as written. They raise
`InvalidValueError`.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

from isthmus.controller.config.errors import TOO_LONG, invalid, too_many
from isthmus.controller.config.suggestions import shortened
from isthmus.model.bounds import CONFIG_ENTRIES, CONFIG_NAME

MOST_GATEWAYS = 100
"""Kube-OVN's gateway priorities count down from 100, and none may be below 1."""

SMALLEST_MTU, LARGEST_MTU = 576, 65535
"""What every IPv4 host must accept (RFC 791, section 3.1), and the largest IP packet."""

MOST_ROUTES = 10_000_000
"""Far more than fit into the memory of a daemon."""

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_NETWORK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def boolean(text: str) -> bool:
    """`enable-ic`, `auto-route` and `force-connect`."""
    if text in {"true", "false"}:
        return text == "true"
    hint = text.strip().lower()
    remedy = f'write "{hint}"' if hint in {"true", "false"} else 'write "true" or "false"'
    raise invalid('must be exactly "true" or "false"', remedy)


def zone(text: str) -> str:
    """`az-name`."""
    if not text.strip():
        raise invalid("is empty", "choose a name that no other cluster uses")
    if not text.isprintable() or any(character.isspace() for character in text):
        raise invalid("contains white space", "write a name without spaces, e.g. az1")
    if len(text) > CONFIG_NAME.most:
        raise invalid(*TOO_LONG)
    return text


def port(text: str) -> int:
    """`ic-nb-port` and `ic-sb-port`."""
    if (number := _number(text)) in range(1, 65536):
        return number
    raise invalid("is not a valid TCP port", "write a number from 1 to 65535")


def _number(text: str) -> int:
    """A number of at most 8 digits; -1 for any other text."""
    # White space of some kinds is accepted by `strip`, but not by `int`.
    return int(digits) if re.fullmatch(r"[0-9]{1,8}", digits := text.strip()) else -1


def _items(text: str, what: str) -> list[str]:
    """The entries of a list; extra commas, blanks and line breaks mean nothing, as in Kube-OVN."""
    items = [item for part in re.split(r"[,\n]", text) if (item := part.strip())]
    if not items:
        raise invalid("is empty", f"list at least one {what}, separated by commas")
    if len(items) > CONFIG_ENTRIES.most:
        raise invalid(*too_many(len(items)))
    return items


def hosts(text: str) -> tuple[str, ...]:
    """`ic-db-host`: addresses and host names, without brackets and duplicates."""
    return tuple(dict.fromkeys(_host(item) for item in _items(text, "host")))


def _host(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ip_address(bare)
    except ValueError:
        pass
    else:
        if isinstance(address, IPv6Address) and address.scope_id:
            raise invalid(
                f"{shortened(text)} has a zone index", "write an address that is not link-local"
            )
        return str(address)
    if _HOST_NAME.fullmatch(text) and not text.rstrip(".").rpartition(".")[2].isdigit():
        return text
    remedy = "list IPv4 or IPv6 addresses or host names, separated by commas"
    if re.search(r":\d+$", text):
        remedy = "remove the port; set it with ic-nb-port and ic-sb-port"
    raise invalid(f"{shortened(text)} is neither an IP address nor a host name", remedy)


def gateways(text: str) -> tuple[str, ...]:
    """`gw-nodes`: node names, including duplicates."""
    items = tuple(_items(text, "node name"))
    for item in items:
        if not _NODE_NAME.fullmatch(item):
            remedy = "list names as `kubectl get nodes` prints them, separated by commas"
            raise invalid(f"{shortened(item)} is not a valid node name", remedy)
    if len(set(items)) > MOST_GATEWAYS:
        remedy = f"list at most {MOST_GATEWAYS} gateways"
        raise invalid(f"lists more than {MOST_GATEWAYS} nodes", remedy)
    return items


def mtu(text: str) -> int | None:
    """`mtu`: a number of bytes; None for "off"."""
    if text == "off":
        return None
    if SMALLEST_MTU <= (number := _number(text)) <= LARGEST_MTU:
        return number
    remedy = f'write the MTU of pods, {SMALLEST_MTU} to {LARGEST_MTU}, e.g. "1400", or "off"'
    raise invalid("is not a valid MTU", remedy)


def max_routes(text: str) -> int:
    """`max-routes-per-zone` and `max-routes`."""
    if 1 <= (number := _number(text)) <= MOST_ROUTES:
        return number
    raise invalid("is not a number of routes", f"write a number from 1 to {MOST_ROUTES}")


def vpcs(text: str) -> Mapping[str, str]:
    """`vpcs`: the network of each custom VPC, "vpc1=blue, vpc2=green"."""
    found: dict[str, str] = {}
    networks: set[str] = set()
    for item in _items(text, "VPC"):
        vpc, equals, network = (part.strip() for part in item.partition("="))
        if not equals:
            raise invalid(
                f"{shortened(item)} has no network",
                f"write VPC=NETWORK, e.g. {shortened(vpc)}=blue",
            )
        if not _NODE_NAME.fullmatch(vpc):
            remedy = "write names as `kubectl get vpcs` prints them, each as VPC=NETWORK"
            raise invalid(f"{shortened(vpc or item)} is not a valid VPC name", remedy)
        if not _NETWORK_NAME.fullmatch(network) or len(network) > CONFIG_NAME.most:
            raise invalid(
                f"{shortened(network or item)} is not a valid network name",
                "write VPC=NETWORK, with the network that was given to"
                " `isthmus ic-db run --transit-switch NAME=CIDR@NETWORK`",
            )
        if vpc in found:
            raise invalid(f"lists {vpc} more than once", "give each VPC one network")
        if network in networks:
            remedy = "give each VPC of this cluster its own network"
            raise invalid(f"lists network {network} for two VPCs", remedy)
        found[vpc] = network
        networks.add(network)
    return found
