"""The environment of Kube-OVN's `start-ic-db.sh`, so that only the image has to be replaced.

Called by the command line. Pure. `LOCAL_IP`, `NODE_IPS` and `LEADER_IP` are read as flags; the
other variables are parsed here.
"""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network

from isthmus.icdb.transit_switches.spec import TransitSwitchSpec, parse_transit_switches
from isthmus.model.prefixes import Network
from isthmus.model.problems import Problem, Subject
from isthmus.model.text import failure_text

TS_KEYS = ("TS_NAME", "TS_CIDR", "TS_NUM", "PROTOCOL")
MOST = 100
"""Most transit switches that a number can ask for; each allows one more gateway per zone."""

_WITHOUT_EFFECT = {
    "ENABLE_OVN_LEADER_CHECK": "the servers are always supervised",
    "OVN_LEADER_PROBE_INTERVAL": "the servers are always supervised",
    "PROBE_INTERVAL": "each client sets its own interval",
    "ENABLE_COMPACT": "the servers compact their files themselves",
    "ENABLE_BIND_LOCAL_IP": "--listen sets the address",
    "DEBUG_WRAPPER": "the servers are not run by another program",
}
"""Variables of Kube-OVN's scripts and charts that are not needed here, and why."""

_PROTOCOLS = {"ipv4": (4,), "ipv6": (6,), "dual": (4, 6)}
_FIRST = 100
"""The number in the subnet of the first transit switch: 169.254.100.0/24, fe80:a9fe:64::/112."""


def ssl_disabled(environment: Mapping[str, str]) -> bool | Problem:
    """Whether `ENABLE_SSL` asks for plain TCP; it does not if it is unset."""
    text = environment.get("ENABLE_SSL", "").strip().lower()
    if text in {"", "true", "false"}:
        return text == "false"
    return _problem("ENABLE_SSL", text, "is neither true nor false", "write ENABLE_SSL=true")


def without_effect(environment: Mapping[str, str]) -> list[Problem]:
    """The variables of Kube-OVN that are set and have no effect."""
    found = [(key, environment.get(key, ""), why) for key, why in _WITHOUT_EFFECT.items()]
    return [
        _problem(key, value, f"has no effect, because {why}", "remove the variable")
        for key, value, why in found
        if value.strip()
    ]


def transit_switches(
    environment: Mapping[str, str],
) -> tuple[tuple[TransitSwitchSpec, ...], list[Problem]]:
    """The transit switches that `TS_NAME`, `TS_CIDR`, `TS_NUM` and `PROTOCOL` ask for.

    The first has the given name, the others have a number appended: ts, ts1, ts2. Without a subnet
    they get Kube-OVN's; with one, the subnets of the same size that follow it. Returns what is
    wrong, too; without any of the variables, there are no transit switches.
    """
    given = {key: environment.get(key, "").strip() for key in TS_KEYS}
    if not any(given.values()):
        return (), []
    name, protocol = given["TS_NAME"] or "ts", (given["PROTOCOL"] or "ipv4").lower()
    problems = []
    if protocol not in _PROTOCOLS:
        remedy = f"write one of {', '.join(_PROTOCOLS)}"
        problems.append(_problem("PROTOCOL", protocol, "is not a protocol", remedy))
    number = given["TS_NUM"] or "1"
    if not number.isdecimal() or not 1 <= int(number) <= MOST:
        message = "is not a number of transit switches"
        problems.append(_problem("TS_NUM", number, message, f"write 1 to {MOST}"))
    firsts = _networks(given["TS_CIDR"])
    if isinstance(firsts, Problem):
        return (), [*problems, firsts]
    families = tuple(sorted(network.version for network in firsts))
    if firsts and not problems and given["PROTOCOL"] and families != _PROTOCOLS[protocol]:
        message = f"does not have the address families of PROTOCOL={protocol}"
        remedy = "give one subnet for each family, such as 169.254.100.0/24,fe80:a9fe:64::/112"
        problems.append(_problem("TS_CIDR", given["TS_CIDR"], message, remedy))
    if problems:
        return (), problems
    return _specs(name, int(number), firsts, _PROTOCOLS[protocol])


def _specs(
    name: str, number: int, firsts: tuple[Network, ...], families: tuple[int, ...]
) -> tuple[tuple[TransitSwitchSpec, ...], list[Problem]]:
    try:
        texts = [
            f"{name}{index or ''}={_subnets(firsts, families, index)}" for index in range(number)
        ]
    except ValueError:  # There are no more addresses.
        message = f"is not followed by room for {number} subnets of its size"
        cidr = ",".join(map(str, firsts))
        return (), [_problem("TS_CIDR", cidr, message, "give another subnet, or a smaller TS_NUM")]
    specs, problems = parse_transit_switches(texts)
    return specs, [replace(problem, key="TS_NAME, TS_CIDR") for problem in problems]


def _subnets(firsts: tuple[Network, ...], families: tuple[int, ...], index: int) -> str:
    """The subnets of a transit switch, by its number."""
    if not firsts:
        return ",".join(_default(family, index) for family in families)
    return ",".join(
        f"{first.network_address + index * first.num_addresses}/{first.prefixlen}"
        for first in firsts
    )


def _default(family: int, index: int) -> str:
    number = _FIRST + index
    return f"169.254.{number}.0/24" if family == 4 else f"fe80:a9fe:{number:x}::/112"


def _networks(text: str) -> tuple[Network, ...] | Problem:
    try:
        return tuple(ip_network(cidr) for cidr in text.replace(",", " ").split())
    except ValueError as error:
        remedy = "write e.g. 169.254.100.0/24, or 169.254.100.0/24,fe80:a9fe:64::/112"
        return _problem("TS_CIDR", text, f"is not a subnet: {failure_text(error)}", remedy)


def _problem(key: str, value: str, message: str, remedy: str) -> Problem:
    return Subject("IC databases", key, value).problem(message, remedy)
