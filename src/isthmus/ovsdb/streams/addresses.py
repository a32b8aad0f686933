"""OVSDB connection methods (ovsdb(7)) as they are written: lists, hosts and ports. Pure."""

from ipaddress import ip_address

FORMS = ("tcp:HOST:PORT", "unix:PATH", "ssl:HOST:PORT")


def split(remote: str) -> list[str]:
    """The addresses in a list, in which commas may be superfluous and a path may have some."""
    remotes: list[str] = []
    for part in filter(None, map(str.strip, remote.split(","))):
        if remotes and ":" not in part:
            remotes[-1] += f",{part}"
        else:
            remotes.append(part)
    return remotes


def host_and_port(target: str) -> tuple[str, int]:
    """The host, without brackets, and the port in "HOST:PORT".

    Raises:
        ValueError: there is no host, or the port is not a TCP port.
    """
    host, _, port = target.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(target)
    return host, int(port)


def is_ip_address(host: str) -> bool:
    """Whether a host is an IP address, not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_valid(remote: str, *, tls: bool) -> bool:
    """Whether an address has one of `FORMS`; `ssl:` needs a certificate to be configured."""
    method, _, target = remote.partition(":")
    if method == "unix":
        return bool(target)
    try:
        host_and_port(target)
    except ValueError:
        return False
    return method == "tcp" or (method == "ssl" and tls)
