"""Pings and HTTP requests between pods, many at the same time and without starting processes.

Used by tests and the demo. Sockets are opened inside the namespaces of the pods, so packets take
the same path as those of programs in the pods.
"""

import selectors
import socket
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from isthmus_lab.system.netns import inside
from isthmus_lab.topology.layout import Layout
from isthmus_lab.topology.plan import PodPlan
from isthmus_lab.traffic import icmp
from isthmus_lab.traffic.pod_server import PORT

Address: TypeAlias = IPv4Address | IPv6Address

_THREADS = 16


@dataclass(frozen=True, slots=True)
class TrafficPath:
    """From a pod to an address of another pod.

    Args:
        source: the pod that sends.
        target: the pod that responds.
        address: one of the target's addresses.
    """

    source: PodPlan
    target: PodPlan
    address: Address

    @property
    def expected_source(self) -> Address:
        """The address of the source in the same family."""
        return next(i.ip for i in self.source.addresses if i.version == self.address.version)

    def __str__(self) -> str:
        return f"{self.source.name} -> {self.target.name} ({self.address})"


def paths(sources: Iterable[PodPlan], targets: Sequence[PodPlan]) -> list[TrafficPath]:
    """All paths from a source to a target in another cluster, per common address family."""
    return [
        TrafficPath(source, target, interface.ip)
        for source in sources
        for target in targets
        if source.cluster != target.cluster
        for interface in target.addresses
        if any(own.version == interface.version for own in source.addresses)
    ]


def ping(
    layout: Layout, wanted: Sequence[TrafficPath], timeout_s: float = 0.5
) -> dict[TrafficPath, float]:
    """Send an echo request along each path at the same time.

    Args:
        layout: of the lab.
        wanted: the paths.
        timeout_s: how long to wait for replies; returns earlier when all have arrived.

    Returns:
        The round-trip time in seconds of every path with a reply.
    """
    answered: dict[TrafficPath, float] = {}
    with selectors.DefaultSelector() as selector:
        sent: dict[TrafficPath, float] = {}
        for path in wanted:
            link = icmp.echo_socket(layout.netns(path.source.name), path.address.version)
            selector.register(link, selectors.EVENT_READ, path)
            sent[path] = time.monotonic()
            _send_echo(link, path)
        deadline = time.monotonic() + timeout_s
        while len(answered) < len(sent) and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.data not in answered and _is_reply(key.fileobj, key.data):
                    answered[key.data] = time.monotonic() - sent[key.data]
        for key in list(selector.get_map().values()):
            _socket(key.fileobj).close()
    return answered


def _socket(found: object) -> socket.socket:
    if not isinstance(found, socket.socket):
        raise TypeError("only sockets are registered")
    return found


def _send_echo(link: socket.socket, path: TrafficPath) -> None:
    try:
        link.sendto(icmp.request(path.address.version, _payload(path)), (str(path.address), 0))
    except OSError:
        # For example no route: counts as no reply.
        return


def _payload(path: TrafficPath) -> bytes:
    return str(path).encode().ljust(56)


def _is_reply(found: object, path: TrafficPath) -> bool:
    link = _socket(found)
    try:
        packet, sender = link.recvfrom(2048)
    except OSError:
        return False
    # A raw socket also receives the replies to all other sockets in its namespace.
    return sender[0] == str(path.address) and (
        icmp.reply(path.address.version, packet) == _payload(path)
    )


def http(
    layout: Layout, wanted: Sequence[TrafficPath], timeout_s: float = 2.0
) -> dict[TrafficPath, str]:
    """Request the source address from the web server at the end of each path.

    Returns:
        The response or the error of every path.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = pool.map(lambda path: _get(layout, path, timeout_s), wanted)
        return dict(zip(wanted, answers, strict=True))


def _get(layout: Layout, path: TrafficPath, timeout_s: float) -> str:
    host = str(path.address)
    connection = HTTPConnection(host, PORT, timeout=timeout_s)
    try:
        with inside(layout.netns(path.source.name)):
            connection.connect()
        connection.request("GET", "/")
        return connection.getresponse().read().decode().strip()
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def sees_own_address(path: TrafficPath, answer: str) -> bool:
    """Whether a web server saw the pod's own address, so no address was translated."""
    return answer == f"{path.target.name} sees {path.expected_source}"
