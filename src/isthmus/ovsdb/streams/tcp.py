"""Connections by host name and by address: the `tcp:` method, and the basis of `ssl:`.

Replaces the `ovs` package's stream, which resolves names only with a library that it does not
install, uses one address of a name, and opens an IPv6 socket for IPv4 addresses of names. Here a
name is resolved for every connection, in the background, and its addresses are tried in turn.
"""

import errno
import itertools
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import ovs.poller
import ovs.socket_util
import ovs.stream

from isthmus.model.text import failure_text
from isthmus.ovsdb.streams.addresses import host_and_port, is_ip_address
from isthmus.ovsdb.streams.name_resolution import UNANSWERED, Addresses, resolution
from isthmus.ovsdb.wakeup import Wakeup


class _Server:
    """What one connection attempt leaves for the next one to the same "HOST:PORT".

    Attributes:
        is_name: whether the host is not an IP address.
        fault: why the name has no address, to continue "the name NAME …"; empty if it has.
        tried: its addresses, with the number of the last attempt to connect to each.
    """

    _attempts = itertools.count(1)

    def __init__(self, target: str) -> None:
        self.host, self.port = host_and_port(target)
        self.is_name = not is_ip_address(self.host)
        self.fault = ""
        self.tried: dict[str, int] = {}
        self._resolution: Future[Addresses] | None = None

    def resolution(self) -> "Future[Addresses]":
        """The resolution for a new connection.

        A result for which the last attempt did not wait long enough is used by this one. Otherwise
        no connection would be made while name servers are slow.
        """
        if self._resolution is None:
            self._resolution = resolution(self.host)
        return self._resolution

    def addresses(self, found: "Future[Addresses]") -> list[str]:
        """The addresses that were found, those that were tried longest ago first."""
        self._resolution = None
        try:
            addresses = found.result()
        except OSError as error:
            self.fault = failure_text(error)
            return []
        self.tried = {address: self.tried.get(address, 0) for address in addresses}
        return sorted(addresses, key=self.tried.__getitem__)

    def trying(self, address: str) -> None:
        """Note an attempt, so that the next connection tries the other addresses first."""
        self.tried[address] = next(self._attempts)


_servers: dict[str, _Server] = {}
"""By "HOST:PORT"."""


class _Connector:
    """In place of a stream's socket until that is connected.

    Args:
        server: where to.
        dscp: of the packets.
        prepare: makes the socket that the stream uses from the connected one.
    """

    def __init__(
        self, server: _Server, dscp: int, prepare: Callable[[socket.socket], socket.socket]
    ) -> None:
        self._server, self._dscp, self._prepare = server, dscp, prepare
        self._addresses: list[str] = []
        self._resolved = False
        self._socket: socket.socket | None = None
        self._resolution: Future[Addresses] | None = server.resolution()
        self._wakeup = wakeup = Wakeup()
        self._resolution.add_done_callback(lambda _: wakeup.set())

    def progress(self) -> int:
        """Continue; 0 when connected, EAGAIN while waiting for something, else an errno."""
        if self._resolution is not None:
            if not self._resolution.done():
                return errno.EAGAIN
            self._addresses = self._server.addresses(self._resolution)
            self._resolved, self._resolution = bool(self._addresses), None
        error = errno.EDESTADDRREQ
        if self._socket is not None:
            error = ovs.socket_util.check_connection_completion(self._socket)
        while self._addresses and error not in {0, errno.EAGAIN}:
            error = self._connect(self._addresses.pop(0))
        return error

    def _connect(self, address: str) -> int:
        self._server.trying(address)
        target = (address, self._server.port)
        family, plain = ovs.socket_util.inet_create_socket_active(socket.SOCK_STREAM, target)
        if plain is None:
            return int(family)
        if self._socket is not None:
            self._socket.close()
        error = ovs.socket_util.inet_connect_active(plain, target, family, self._dscp)
        self._socket = None if error else plain
        return error or errno.EAGAIN

    def wait(self, poller: Any) -> None:
        """Wake when `progress` has something to do."""
        if self._socket is None:
            poller.fd_wait(self._wakeup.fileno(), ovs.poller.POLLIN)
        else:
            poller.fd_wait(self._socket, ovs.poller.POLLOUT)

    def take(self) -> socket.socket:
        """The connected socket, which is the caller's from now on.

        Raises:
            OSError: the connection broke.
        """
        assert self._socket is not None  # noqa: S101 - `progress` returned 0
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        taken, self._socket = self._prepare(self._socket), None
        self.close()
        return taken

    def close(self) -> None:
        """Give up; a resolution continues for the next attempt.

        Only now is it known whether the name was at fault, so that a problem changes once.
        """
        self._wakeup.close()
        if self._resolved:
            self._server.fault, self._resolved = "", False
        elif self._resolution is not None and not self._resolution.done():
            self._server.fault = self._server.fault or UNANSWERED
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class TcpStream(ovs.stream.TCPStream):
    """A connection over TCP; `ssl:` adds TLS to it."""

    socket: Any
    """The socket; before that is connected, a `_Connector`."""

    @classmethod
    def _open(cls, suffix: str, dscp: int) -> tuple[int, Any]:
        return 0, cls._connector(suffix, dscp, lambda plain: plain)

    @staticmethod
    def _connector(
        target: str, dscp: int, prepare: Callable[[socket.socket], socket.socket]
    ) -> _Connector:
        server = _servers.get(target) or _servers.setdefault(target, _Server(target))
        return _Connector(server, dscp, prepare)

    @staticmethod
    def check_connection_completion(connector: _Connector) -> int:
        """The state of a connection that is being made, as an errno."""
        return connector.progress()

    def connect(self) -> int:
        """Continue with the connection; 0 when it is made, else an errno."""
        error: int = super().connect()
        if not error and isinstance(self.socket, _Connector):
            try:
                self.socket = self.socket.take()
            except OSError as failure:
                return failure.errno or errno.EPROTO
        return error

    def wait(self, poller: Any, wait: int) -> None:
        """Wait for the name's addresses or the socket."""
        if isinstance(self.socket, _Connector):
            self.socket.wait(poller)
        else:
            super().wait(poller, wait)


def server_count(remotes: Iterable[str]) -> int:
    """How many servers there are to try, as far as names have been resolved.

    An IPv4 and an IPv6 address of a name are taken for those of one server.
    """
    servers = (_servers.get(remote.partition(":")[2]) for remote in remotes)
    tried = [server.tried if server else () for server in servers]
    ipv6 = [sum(":" in address for address in addresses) for addresses in tried]
    return sum(
        max(1, six, len(addresses) - six) for six, addresses in zip(ipv6, tried, strict=True)
    )


def ip_addresses(remotes: Iterable[str]) -> str:
    """The IP addresses of names, to continue "cannot be reached"; may be empty."""
    servers = filter(None, (_servers.get(remote.partition(":")[2]) for remote in remotes))
    names = {f"{s.host} is {', '.join(sorted(s.tried))}" for s in servers if s.tried and s.is_name}
    return f" ({'; '.join(sorted(names))})" if names else ""


def fault(remotes: Iterable[str]) -> tuple[str, str] | None:
    """Which names of these addresses have not been resolved, and the remedy; None if all have."""
    targets = [remote.partition(":")[2] for remote in remotes]
    servers = [_servers[target] for target in targets if target in _servers]
    faults = {f"the name {server.host} {server.fault}" for server in servers if server.fault}
    if not faults:
        return None
    remedy = "correct the name or its DNS record, check this host's DNS, or write an IP address"
    return f"cannot be reached: {'; '.join(sorted(faults))}", remedy


ovs.stream.Stream.register_method("tcp", TcpStream)
