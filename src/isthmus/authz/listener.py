"""The TLS listeners of the authorizing proxy, which read renewed certificates by themselves.

Used by `proxy`. Invariant: every accepted client has shown a certificate that our CA signed.
"""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from weakref import WeakValueDictionary

from isthmus.model.bounds import STRANGERS, STRANGERS_PER_ADDRESS, BoundExceededError
from isthmus.model.text import failure_text, quoted
from isthmus.ovsdb.streams.unix import SHORTAGE, ShortageLog
from isthmus.pki.certificates import ORGANIZATION, Kind
from isthmus.pki.files import TlsFiles

RELOAD_INTERVAL = 2.0
"""Seconds between two checks whether the certificate files have changed."""

HANDSHAKE_LIMIT, SHUTDOWN_LIMIT = 15.0, 5.0
"""Seconds that a client has for the TLS handshake, and for reading its last answers."""

HANDSHAKES_PER_ADDRESS, MAX_HANDSHAKES = 32, 256
"""Unfinished handshakes at a time, from one address and in total; further ones wait. Each takes a
third of a MB (asyncio's buffers), and its client has not authenticated yet."""

_KEEPALIVE = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
"""Seconds, seconds and a count: the connection of a host that is down breaks after a minute."""

_BACKLOG, _ACCEPTED_AT_ONCE = 512, 16
"""Connections that wait in the kernel, and those accepted in one turn of the loop."""

_log = logging.getLogger(__name__)

_REPORT_INTERVAL, _MAX_REPORTS = 60.0, 20
"""Seconds within which each reason to close an address's connections is logged once, and the most
that are logged."""

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """The identity in a client's certificate.

    Args:
        name: the subject's common name; empty if there is none, or several.
        unit: the kind of certificate that `isthmus pki` issued; empty for certificates of others.
    """

    name: str
    unit: str


class ClosedLog:
    """Logs why connections are closed before their client has authenticated."""

    def __init__(self) -> None:
        self._reported = set[tuple[str, str]]()
        self._until = 0.0

    def report(self, address: str, why: str, now: float) -> None:
        """Log a reason, unless it or too many others were logged recently.

        Args:
            address: the client's.
            why: to continue "connection closed".
            now: a monotonic time, in seconds.
        """
        if now >= self._until:
            self._reported.clear()
            self._until = now + _REPORT_INTERVAL
        if (address, why) not in self._reported and len(self._reported) < _MAX_REPORTS:
            self._reported.add((address, why))
            _log.warning("connection of %s closed: %s", quoted(address), why)


class _AcceptProtocol(asyncio.Protocol):
    """Hands a new connection to `receive` before anything is read from it."""

    def __init__(self, receive: Callable[[asyncio.Transport], None]) -> None:
        self._receive = receive

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection over."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a TCP server
        self._receive(transport)


class TlsListener:
    """Listens on one port.

    Args:
        listen: an IP address; "::" is every address of both families.
        port: 1 to 65535.
        accept: serves an authenticated client.

    Raises:
        OSError: the port is in use, or the address is not one of this machine.
    """

    def __init__(self, listen: str, port: int, accept: Accept) -> None:
        ipv6 = ip_address(listen).version == 6
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        both = ipv6 and ip_address(listen).is_unspecified and socket.has_dualstack_ipv6()
        self._socket = socket.create_server(
            (listen, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )
        self._accept = accept
        self._server: asyncio.Server | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._strangers: Counter[str] = Counter()
        self._closed = ClosedLog()
        self._slots = asyncio.Semaphore(MAX_HANDSHAKES)
        self._slots_by_address: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def open(self, context: ssl.SSLContext) -> None:
        """Accept clients with a TLS context, in place of the previous one.

        Clients that connect during the change wait in the listening socket, which stays open.
        """
        previous = self._server
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _AcceptProtocol(lambda transport: self._receive(transport, context)),
            sock=self._socket.dup(),
            backlog=_ACCEPTED_AT_ONCE,
        )
        self._socket.listen(_BACKLOG)
        if previous is not None:
            previous.close()

    def _receive(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        task = asyncio.create_task(self._handshake(transport, context))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _handshake(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        # Nothing may be read before TLS starts.
        transport.pause_reading()
        address = (transport.get_extra_info("peername") or ("",))[0]
        self._strangers[address] += 1
        try:
            STRANGERS_PER_ADDRESS.check(self._strangers[address])
            STRANGERS.check(len(self._handshakes))
            await self._secure(transport, context, address)
        except BoundExceededError as error:
            # Without the numbers, which change with each connection.
            self._report(address, f"too many {error.bound.what.lower()}")
            transport.abort()
        finally:
            self._strangers[address] -= 1
            if not self._strangers[address]:
                del self._strangers[address]

    async def _secure(
        self, transport: asyncio.Transport, context: ssl.SSLContext, address: str
    ) -> None:
        stream = asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._accept)
        try:
            async with self._slot_for(address), self._slots:
                secured = await asyncio.get_running_loop().start_tls(
                    transport,
                    stream,
                    context,
                    server_side=True,
                    ssl_handshake_timeout=HANDSHAKE_LIMIT,
                    ssl_shutdown_timeout=SHUTDOWN_LIMIT,
                )
        except OSError as error:
            self._report(address, f"TLS failed: {failure_text(error)}")
            transport.abort()
            return
        if secured is not None:
            stream.connection_made(secured)

    def _report(self, address: str, why: str) -> None:
        self._closed.report(address, why, asyncio.get_running_loop().time())

    def _slot_for(self, address: str) -> asyncio.Semaphore:
        """The limit of handshakes with one address; it exists while there are any."""
        slot = self._slots_by_address.get(address)
        if slot is None:
            slot = self._slots_by_address[address] = asyncio.Semaphore(HANDSHAKES_PER_ADDRESS)
        return slot

    def close(self) -> None:
        """Stop listening."""
        for task in self._handshakes:
            task.cancel()
        if self._server is not None:
            self._server.close()
        self._socket.close()


async def serve_until_cancelled(listeners: tuple[TlsListener, ...], files: TlsFiles) -> None:
    """Accept clients; new connections use the certificates that the files hold at that time.

    Raises:
        OSError: at the start, the files cannot be read or do not belong together.
    """
    used = _stamp(files)
    context = _context(files)
    for listener in listeners:
        await listener.open(context)
    while True:
        await asyncio.sleep(RELOAD_INTERVAL)
        with suppress(OSError):  # in the middle of a renewal: the next check comes soon
            now = _stamp(files)
            if now != used:
                context = _context(files)
                for listener in listeners:
                    await listener.open(context)
                used = now
                _log.info("certificates read again; new connections use them")


def peer_of(certificate: Mapping[str, Any]) -> PeerIdentity:
    """The identity in a certificate in the form of `ssl.SSLSocket.getpeercert`."""
    subject: dict[str, list[str]] = {}
    for key, value in (pair for part in certificate.get("subject", ()) for pair in part):
        subject.setdefault(key, []).append(str(value))
    names = subject.get("commonName", [])
    units = subject.get("organizationalUnitName", [])
    ours = subject.get("organizationName", []) == [ORGANIZATION] and len(units) == 1
    return PeerIdentity(names[0] if len(names) == 1 else "", units[0] if ours else "")


def is_operator(peer: PeerIdentity) -> bool:
    """Whether a client may write everything: `isthmus pki` made it a member or an operator."""
    return peer.unit in {Kind.MEMBER, Kind.OPERATOR}


def enable_keepalive(writer: asyncio.StreamWriter) -> None:
    """Make the kernel detect a client whose host is down."""
    connected = writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        connected.setsockopt(socket.IPPROTO_TCP, option, value)


def _stamp(files: TlsFiles) -> tuple[int, ...]:
    paths = (files.private_key, files.certificate, files.ca_cert)
    return tuple(path.stat().st_mtime_ns for path in paths)


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(files.ca_cert)
    context.load_cert_chain(files.certificate, files.private_key)
    return context


def handle_shortage(
    log: logging.Logger,
) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """An asyncio exception handler that reports shortages once a minute, and others as usual.

    asyncio reports every attempt of a server to accept, with a traceback, up to its backlog each
    second.
    """
    shortage = ShortageLog(log, "connections")

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in SHORTAGE:
            shortage.report(error, loop.time())
        else:
            loop.default_exception_handler(context)

    return handle
