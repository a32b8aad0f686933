"""Continuous traffic during changes: pings and TCP streams, and how much they lost.

`support.lab.traffic` starts and controls this program. One process sends for all flows from within
the namespaces of their pods, so that the measurement uses little CPU. The process reads lines from
standard input, writes a line of JSON for each, and ends at the end of its input, so it does not
outlive a test that was killed.

- The first line lists the flows:
  `{"pings": {LABEL: [NETNS, ADDRESS]}, "streams": {LABEL: [FROM, TO, ADDRESS]}}`.
- Every other line is a number N: continue for N intervals, then report what happened since the last
  report or the start.
"""

import gc
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Protocol

from isthmus_lab.system.netns import inside
from isthmus_lab.traffic import icmp

INTERVAL_S = 0.01
"""Time between two pings of a flow, and between two blocks of a stream."""

PATIENCE_S = 1.0
"""How long a report waits for the reply to its last ping."""

BLOCK = 1200
"""Bytes that a stream sends per interval."""

_PATTERN = bytes(range(251)) * (65536 // 251 + 2)
"""What streams send. Its period is prime, so that missing data changes the pattern."""

_TCP_INFO_SIZE, _TOTAL_RETRANS, _DSACK_DUPS = 224, 100, 216
"""Of struct tcp_info in linux/tcp.h: a size that holds the fields, and their offsets."""


@dataclass(frozen=True, slots=True)
class PingReport:
    """Losses of a flow of pings.

    Args:
        sent, lost: numbers of pings.
        outage_s: the longest time between two answered pings with unanswered ones in between.
    """

    sent: int
    lost: int
    outage_s: float


@dataclass(frozen=True, slots=True)
class StreamReport:
    """Losses and stalls of a TCP stream.

    Args:
        received: bytes that arrived.
        stall_s: the longest time in which no bytes arrived.
        lost: segments that were retransmitted and of which the receiver had no copy (RFC 2883), so
            that delays on a busy machine do not count as losses.
        error: why the stream ended; "" if it did not.
    """

    received: int
    stall_s: float
    lost: int
    error: str


class Flow(Protocol):
    """What the loop needs of each flow."""

    def tick(self) -> None:
        """Send once; called once per interval."""

    def report(self, end: float) -> PingReport | StreamReport:
        """Report on what was sent before `end` and has not been reported yet."""


class Pings:
    """One ping per interval.

    Args:
        netns: namespace of the pod that sends.
        address: of the pod that replies.
    """

    def __init__(self, netns: str, address: str) -> None:
        self._address, self._version = address, ip_address(address).version
        self.socket = icmp.echo_socket(netns, self._version)
        self._token = os.urandom(8)
        self._sent: dict[int, float] = {}
        self._answered: set[int] = set()
        self._number = 0

    def tick(self) -> None:
        """Send a ping."""
        payload = struct.pack("!8sQ", self._token, self._number).ljust(56, b".")
        self._sent[self._number] = time.monotonic()
        self._number += 1
        try:
            self.socket.sendto(icmp.request(self._version, payload), (self._address, 0))
        except OSError:
            # For example no route: counts as lost.
            return

    def receive(self) -> bool:
        """Receive one message; return True, as more may follow."""
        try:
            packet = self.socket.recv(2048)
        except OSError:
            # An ICMP error in response to a ping, which counts as lost.
            return True
        payload = icmp.reply(self._version, packet)
        if payload is not None and payload.startswith(self._token):
            self._answered.add(struct.unpack_from("!8sQ", payload)[1])
        return True

    def report(self, end: float) -> PingReport:
        """Report the pings sent before `end`."""
        numbers = [number for number, sent in self._sent.items() if sent < end]
        times = [self._sent[number] for number in numbers]
        lost, outage, last = 0, 0.0, times[0] if times else end
        pending = False
        for number, sent in zip(numbers, times, strict=True):
            if number not in self._answered:
                lost, pending = lost + 1, True
                continue
            outage = max(outage, sent - last) if pending else outage
            last, pending = sent, False
        outage = max(outage, end - last) if pending else outage
        for number in numbers:
            del self._sent[number]
        self._answered.difference_update(numbers)
        return PingReport(len(numbers), lost, outage)


class TcpStream:
    """A TCP connection between two pods that transfers a block per interval and checks every byte.

    Args:
        source, target: namespaces.
        address: of the target.
    """

    def __init__(self, source: str, target: str, address: str) -> None:
        family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
        with inside(target):
            listener = socket.create_server((address, 0), family=family)
        listener.settimeout(10.0)
        self._sender = socket.socket(family)
        with listener:
            self._sender.close()
            with inside(source):
                self._sender = socket.create_connection(listener.getsockname()[:2], timeout=10.0)
            self.socket, _ = listener.accept()
        for link in (self._sender, self.socket):
            link.setblocking(False)
        self._sent = self._received = self._reported = self._lost = 0
        self._last, self._stall, self._error = time.monotonic(), 0.0, ""

    def tick(self) -> None:
        """Send a block, or as much of it as fits into the window."""
        start = self._sent % 251
        try:
            self._sent += self._sender.send(_PATTERN[start : start + BLOCK])
        except BlockingIOError:
            # The window is full; the receiver measures the stall.
            return
        except OSError as error:
            self._error = self._error or f"sender: {error.strerror}"

    def receive(self) -> bool:
        """Receive and check data; return whether more may follow."""
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            self._error = f"receiver: {error.strerror}"
            return False
        start, now = self._received % 251, time.monotonic()
        if not data or data != _PATTERN[start : start + len(data)]:
            self._error = f"wrong or no data after {self._received} bytes"
            return False
        self._stall, self._last = max(self._stall, now - self._last), now
        self._received += len(data)
        return True

    def report(self, end: float) -> StreamReport:
        """Report what happened until now."""
        self._stall = max(self._stall, end - self._last)
        lost = self._total_lost()
        received = self._received - self._reported
        found = StreamReport(received, self._stall, lost - self._lost, self._error)
        self._stall, self._reported, self._lost = 0.0, self._received, lost
        return found

    def _total_lost(self) -> int:
        info = self._sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        again, twice = (struct.unpack_from("=I", info, n)[0] for n in (_TOTAL_RETRANS, _DSACK_DUPS))
        return int(again - twice)


class FlowLoop:
    """Runs all flows, and reports on request."""

    def __init__(self, flows: Mapping[str, Flow], selector: selectors.BaseSelector) -> None:
        self._flows, self._selector = flows, selector
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._read_request)
        self._ticks, self._end, self._due = 0, 0, 0.0
        self._over = False

    def run(self) -> None:
        """Run until standard input ends."""
        due = time.monotonic()
        while not self._over:
            now = time.monotonic()
            if now >= due:
                for flow in self._flows.values():
                    flow.tick()
                self._ticks += 1
                # Missed intervals are skipped: a burst would itself cause losses.
                due = max(due + INTERVAL_S, now)
            for key, _ in self._selector.select(max(0.0, due - time.monotonic())):
                if not key.data():
                    self._selector.unregister(key.fileobj)
            self._report(time.monotonic())

    def _read_request(self) -> bool:
        line = os.read(sys.stdin.fileno(), 64)
        self._over = not line
        self._end = self._ticks + int(line or 0)
        self._due = 0.0
        return bool(line)

    def _report(self, now: float) -> None:
        if not self._end or self._ticks < self._end:
            return
        if not self._due:
            self._due = now + PATIENCE_S
        if now >= self._due:
            end = self._due - PATIENCE_S
            found = {label: asdict(flow.report(end)) for label, flow in self._flows.items()}
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
            self._end, self._due = 0, 0.0


def main() -> None:
    """Run the flows given on standard input."""
    gc.disable()
    wanted = json.loads(_line())
    selector = selectors.DefaultSelector()
    flows: dict[str, Flow] = {}
    for label, ends in wanted["pings"].items():
        pings = Pings(*ends)
        flows[label] = pings
        _register(selector, pings.socket, pings.receive)
    for label, ends in wanted["streams"].items():
        stream = TcpStream(*ends)
        flows[label] = stream
        _register(selector, stream.socket, stream.receive)
    FlowLoop(flows, selector).run()


def _register(
    selector: selectors.BaseSelector, link: socket.socket, receive: Callable[[], bool]
) -> None:
    selector.register(link, selectors.EVENT_READ, receive)


def _line() -> bytes:
    # Unbuffered: the selector does not see data that has been read ahead.
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(sys.stdin.fileno(), 1)
        if not more:
            break
        line += more
    return line


if __name__ == "__main__":
    main()
