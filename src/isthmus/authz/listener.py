"""Where the guard's clients come in: TLS, with certificates that are read again when they change.

Used by `guard`. Invariant: a client that is let in has shown a certificate of our authority.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from weakref import WeakValueDictionary

from isthmus.pki.certificates import ORGANIZATION, Kind
from isthmus.pki.files import TlsFiles

RELOAD = 2.0
"""Seconds between looks at whether the files have been renewed."""

HANDSHAKE_LIMIT, SHUTDOWN_LIMIT = 15.0, 5.0
"""Seconds that a client has for the TLS handshake, and to take what it was sent before the end."""

HANDSHAKES, MOST_HANDSHAKES = 32, 256
"""Unfinished handshakes at a time, with one address and with all. Each takes a third of a MB
(asyncio's buffers), and whoever begins one has shown nothing yet. Others wait for a place."""

WAITING = 2000
"""Connections that may wait for their handshake or be in the midst of it; one more is closed."""

_KEEPALIVE = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
"""Seconds, seconds and a number: a host that is gone is missed within a minute or so."""

_BACKLOG = 512

_log = logging.getLogger(__name__)

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who a client's certificate says it is.

    Args:
        name: the subject's common name; empty if there is none, or several.
        unit: what `isthmus pki` has issued it as; empty for certificates from elsewhere.
    """

    name: str
    unit: str


class _Comer(asyncio.Protocol):
    """Hands a new connection over before anything is read from it.

    Args:
        receive: takes it.
    """

    def __init__(self, receive: Callable[[asyncio.Transport], None]) -> None:
        self._receive = receive

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Someone has come."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a TCP server
        self._receive(transport)


class Entrance:
    """Listens on one port.

    Args:
        listen: an IP address; "::" is every address of both families.
        port: 1 to 65535.
        accept: serves a client.

    Raises:
        OSError: the port is in use, or the address is not this machine's.
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
        self._shaking: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(MOST_HANDSHAKES)
        self._places_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def open(self, context: ssl.SSLContext) -> None:
        """Accept clients from now on, who are shown and asked for what the context says.

        Those that come in between wait in the socket, which stays the same.
        """
        before = self._server
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Comer(lambda transport: self._receive(transport, context)),
            sock=self._socket.dup(),
            backlog=_BACKLOG,
        )
        if before is not None:
            before.close()

    def _receive(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        task = asyncio.create_task(self._shake_hands(transport, context))
        self._shaking.add(task)
        task.add_done_callback(self._shaking.discard)

    async def _shake_hands(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        # Before anything is read: what comes is for TLS.
        transport.pause_reading()
        if len(self._shaking) > WAITING:
            transport.abort()
            return
        stream = asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._accept)
        try:
            async with self._place(transport.get_extra_info("peername")), self._places:
                made = await asyncio.get_running_loop().start_tls(
                    transport,
                    stream,
                    context,
                    server_side=True,
                    ssl_handshake_timeout=HANDSHAKE_LIMIT,
                    ssl_shutdown_timeout=SHUTDOWN_LIMIT,
                )
        except OSError:
            transport.abort()
            return
        if made is not None:
            stream.connection_made(made)

    def _place(self, peer_name: tuple[str, ...] | None) -> asyncio.Semaphore:
        """What limits the handshakes with one address, as long as there are any."""
        address = (peer_name or ("",))[0]
        place = self._places_of.get(address)
        if place is None:
            place = self._places_of[address] = asyncio.Semaphore(HANDSHAKES)
        return place

    def close(self) -> None:
        """Accept nobody any more."""
        for task in self._shaking:
            task.cancel()
        if self._server is not None:
            self._server.close()
        self._socket.close()


async def keep_open(entrances: tuple[Entrance, ...], files: TlsFiles) -> None:
    """Have new clients see the certificates that are in the files, as they change.

    Raises:
        OSError: the files cannot be read, or do not fit together, at the beginning.
    """
    read = _stamp(files)
    context = _context(files)
    for entrance in entrances:
        await entrance.open(context)
    while True:
        await asyncio.sleep(RELOAD)
        with suppress(OSError):  # half-way through a renewal: looked at again soon
            now = _stamp(files)
            if now != read:
                context = _context(files)
                for entrance in entrances:
                    await entrance.open(context)
                read = now
                _log.info("new connections get the renewed certificate")


def peer(writer: asyncio.StreamWriter) -> Peer:
    """Who is at the other end."""
    return peer_of(writer.get_extra_info("peercert") or {})


def peer_of(certificate: Mapping[str, Any]) -> Peer:
    """Who a certificate, as `ssl` describes it, is of."""
    subject: dict[str, list[str]] = {}
    for key, value in (pair for part in certificate.get("subject", ()) for pair in part):
        subject.setdefault(key, []).append(str(value))
    names = subject.get("commonName", [])
    units = subject.get("organizationalUnitName", [])
    ours = subject.get("organizationName", []) == [ORGANIZATION] and len(units) == 1
    return Peer(names[0] if len(names) == 1 else "", units[0] if ours else "")


def is_operator(found: Peer) -> bool:
    """Whether `isthmus pki` says that it may do all: a member, or an operator."""
    return found.unit in {Kind.MEMBER, Kind.OPERATOR}


def watch_over(writer: asyncio.StreamWriter) -> None:
    """Have the kernel miss a client whose host is gone."""
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
