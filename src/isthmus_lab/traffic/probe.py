"""Pings and HTTP requests between pods, many at the same time and without starting processes.

Used by tests and the demo. Sockets are opened inside the namespaces of the pods, so packets take
the same path as those of programs in the pods.
"""

import socket
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from select import POLLIN, poll

from isthmus_lab.system.netns import inside
from isthmus_lab.topology.layout import Layout
from isthmus_lab.topology.plan import Address, PodPlan
from isthmus_lab.traffic import icmp
from isthmus_lab.traffic.pod_server import PORT

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
    sent: dict[TrafficPath, float] = {}
    poller, waiting = poll(), {}
    with ExitStack() as stack:
        for path in wanted:
            name, version = layout.netns(path.source.name), path.address.version
            link = stack.enter_context(icmp.echo_socket(name, version))
            waiting[link.fileno()] = link, path
            poller.register(link, POLLIN)
            sent[path] = time.monotonic()
            # An error, for example no route, counts as no reply.
            with suppress(OSError):
                link.sendto(icmp.request(version, _payload(path)), (str(path.address), 0))
        deadline = time.monotonic() + timeout_s
        while len(answered) < len(sent) and (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poller.poll(left * 1000):
                link, path = waiting[descriptor]
                if path not in answered and _is_reply(link, path):
                    answered[path] = time.monotonic() - sent[path]
    return answered


def _payload(path: TrafficPath) -> bytes:
    return str(path).encode().ljust(56)


def _is_reply(link: socket.socket, path: TrafficPath) -> bool:
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
