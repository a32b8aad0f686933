"""Hosts as members are named by: IPv4 and IPv6 addresses, and host names. Pure.

Used wherever a host is parsed, compared or put before a port.
"""

import re
from ipaddress import ip_address

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_NUMBERS = re.compile(r"[0-9.]+")


def bracketed(host: str) -> str:
    """A host as it is written before a port: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def unbracketed(host: str) -> str:
    """A host without the brackets of an IPv6 address."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def host_of(address: str) -> str:
    """The normal form of the host in an OVSDB address such as "tcp:[fd00::1]:6647"."""
    inner = address.partition(":")[2].rpartition(":")[0]
    return normal_host(inner) or inner


def normal_host(text: str) -> str:
    """The normal form of a host; empty if `text` is neither an IP address nor a host name.

    Addresses are in their shortest form without brackets, names in lower case without a final dot.
    """
    inner = unbracketed(text)
    try:
        return str(ip_address(inner))
    except ValueError:
        is_name = _HOST_NAME.fullmatch(inner) and not _NUMBERS.fullmatch(inner)
        return inner.lower().removesuffix(".") if is_name and len(inner) <= 253 else ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host, given in normal form."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
