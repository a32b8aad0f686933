"""Connections to names, with a fake resolver and real sockets."""

import errno
import gc
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session
from isthmus.ovsdb.streams.tcp import TcpStream, fault, ip_addresses, server_count
from support.fakes.resolver import FakeResolver

NAME = "ic-db.example"


class Listeners:
    """Servers on addresses of the loopback interface, all with one port."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}
        self.port = 0

    def open(self, *addresses: str) -> "Listeners":
        """Listen on addresses."""
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            server = socket.socket(family)
            server.bind((address, self.port))
            server.listen()
            self.port = server.getsockname()[1]
            self._sockets[address] = server
        return self

    def close(self, *addresses: str) -> None:
        """Stop listening; on all addresses if none is given."""
        for address in addresses or tuple(self._sockets):
            self._sockets.pop(address).close()


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    """Servers, closed at the end."""
    found = Listeners()
    yield found
    found.close()


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeResolver]:
    """A resolver, and no memory of other tests' connections."""
    monkeypatch.setattr("isthmus.ovsdb.streams.tcp._servers", {})
    found = FakeResolver(monkeypatch)
    yield found
    found.stop()


def opened(host: str, port: int) -> Any:
    """A stream that is being connected."""
    error, stream = TcpStream.open(f"tcp:{host}:{port}")
    assert error == 0
    return stream


def outcome(stream: Any) -> int:
    """Wait for the connection, as the loop does; the errno with which the attempt ends."""
    while (error := stream.connect()) == errno.EAGAIN:
        poller = Poller()
        stream.connect_wait(poller.raw)
        poller.block()
    return int(error)


def failure(host: str, port: int) -> int:
    """The errno with which an attempt fails, at once or later."""
    error, stream = TcpStream.open(f"tcp:{host}:{port}")
    return error or outcome(stream)


def peer(host: str, port: int) -> str:
    """The address that a connection to a host reaches."""
    stream = opened(host, port)
    assert outcome(stream) == 0
    address = str(stream.socket.getpeername()[0])
    stream.close()
    return address


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("host", [NAME, "IC-DB.Example", "ic-db.example."])
def test_a_name_with_addresses_of_one_family(
    host: str, address: str, resolver: FakeResolver, listeners: Listeners
) -> None:
    """IPv4 alone and IPv6 alone; in upper case, and with a final dot."""
    resolver.answers[host] = [address]
    assert peer(host, listeners.open(address).port) == address


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]"])
def test_an_ip_address_asks_no_name_server(
    host: str, resolver: FakeResolver, listeners: Listeners
) -> None:
    """IPv6 addresses with and without brackets."""
    address = host.strip("[]")
    assert peer(host, listeners.open(address).port) == address
    assert resolver.asked == []


def test_a_final_dot_that_etc_hosts_lacks(resolver: FakeResolver, listeners: Listeners) -> None:
    """A name in /etc/hosts is found with a final dot, too."""
    resolver.answers[NAME] = ["127.0.0.1"]
    assert peer(f"{NAME}.", listeners.open("127.0.0.1").port) == "127.0.0.1"
    assert resolver.asked == [f"{NAME}.", NAME]


def test_the_next_address_is_tried_after_a_refusal(
    resolver: FakeResolver, listeners: Listeners
) -> None:
    """In the same attempt; IPv6 and IPv4."""
    resolver.answers[NAME] = ["::1", "127.0.0.2", "127.0.0.1"]
    assert peer(NAME, listeners.open("127.0.0.1").port) == "127.0.0.1"


def test_the_next_attempt_tries_another_address(
    resolver: FakeResolver, listeners: Listeners
) -> None:
    """An address that does not answer, or is not the leader's, is the last of the next attempt."""
    addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    resolver.answers[NAME] = addresses
    port = listeners.open(*addresses).port
    assert [peer(NAME, port) for _ in range(4)] == [*addresses, "127.0.0.1"]


def test_a_name_that_changes_its_address(resolver: FakeResolver, listeners: Listeners) -> None:
    """Each connection resolves the name."""
    port = listeners.open("127.0.0.1", "127.0.0.2").port
    for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
        resolver.answers[NAME] = [address]
        assert peer(NAME, port) == address
    assert len(resolver.asked) == 3


@pytest.mark.parametrize(
    ("addresses", "count"),
    [
        (["127.0.0.1"], 1),
        (["::1", "127.0.0.1"], 1),
        (["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"], 3),
    ],
)
def test_a_name_stands_for_as_many_servers_as_it_has_addresses(
    addresses: list[str], count: int, resolver: FakeResolver, listeners: Listeners
) -> None:
    """As soon as they are known; both families of one server count once."""
    resolver.answers[NAME] = addresses
    remotes = [f"tcp:{NAME}:{listeners.open('127.0.0.1').port}", "tcp:192.0.2.1:6645", "unix:/x"]
    session = Session(Database.IC_SB, ",".join(remotes[:1]))
    assert server_count(remotes) == 3
    peer(NAME, listeners.port)
    assert server_count(remotes) == count + 2
    session.set_probe_interval(None)
    assert session._schema is not None
    expected = 1000 if count > 1 else 5000
    assert session._schema._session.reconnect.get_probe_interval() == expected
    session.close()


def test_nothing_listens_at_any_address(resolver: FakeResolver, listeners: Listeners) -> None:
    """The last refusal is the error; the name is not at fault, but its addresses are shown."""
    resolver.answers[NAME] = ["127.0.0.1", "127.0.0.2"]
    port = listeners.open("127.0.0.1").port
    listeners.close()
    assert failure(NAME, port) == errno.ECONNREFUSED
    assert failure("127.0.0.1", port) == errno.ECONNREFUSED
    remotes = [f"tcp:{NAME}:{port}", f"tcp:127.0.0.1:{port}", "unix:/x"]
    assert fault(remotes) is None
    assert ip_addresses(remotes) == f" ({NAME} is 127.0.0.1, 127.0.0.2)"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (socket.EAI_NONAME, "does not exist"),
        (socket.EAI_NODATA, "has no address"),
        (socket.EAI_AGAIN, "cannot be resolved: no name server gives an answer"),
        (socket.EAI_FAIL, "cannot be resolved: the system's text"),
    ],
)
def test_a_name_that_is_not_resolved_is_named(
    answer: int, text: str, resolver: FakeResolver, listeners: Listeners
) -> None:
    """Until it is resolved."""
    resolver.answers[NAME] = answer
    port = listeners.open("127.0.0.1").port
    remotes = [f"ssl:{NAME}:{port}", "unix:/run/ovn/nb.sock", "tcp:192.0.2.1:6641"]
    assert failure(NAME, port) == errno.EDESTADDRREQ
    message, remedy = fault(remotes) or ("", "")
    assert message == f"cannot be reached: the name {NAME} {text}"
    assert "check this host's DNS" in remedy
    resolver.answers[NAME] = ["127.0.0.1"]
    assert peer(NAME, port) == "127.0.0.1"
    assert fault(remotes) is None


def test_a_name_that_dns_cannot_have(resolver: FakeResolver, monkeypatch: Any) -> None:
    """Python refuses to encode it."""
    monkeypatch.undo()  # with the system's resolver
    assert failure("a..b", 6641) == errno.EDESTADDRREQ
    message, _ = fault(["tcp:a..b:6641"]) or ("", "")
    assert message == "cannot be reached: the name a..b is not a valid host name"


def test_name_servers_that_do_not_answer_block_nothing(resolver: FakeResolver) -> None:
    """A session runs and waits; its problem names the name, however often it tries again."""
    resolver.answering.clear()
    session = Session(Database.NB, f"tcp:{NAME}:6641")
    for _ in range(3):
        session.run()
        session.wait(Poller())
        opened(NAME, 6641).close()
    expected = f"the name {NAME} cannot be resolved: no name server gives an answer"
    assert isinstance(session.fault, tuple)
    assert session.fault[0] == f"cannot be reached: {expected}"
    session.close()
    assert resolver.asked == [NAME]


def test_a_name_is_not_at_fault_while_it_is_being_resolved(resolver: FakeResolver) -> None:
    """Nor between the attempts to reach a server that does not listen: nothing flaps."""
    resolver.answering.clear()
    stream = opened(NAME, 6641)
    assert fault([f"tcp:{NAME}:6641"]) is None
    stream.close()


def test_a_late_answer_serves_the_next_attempt(
    resolver: FakeResolver, listeners: Listeners
) -> None:
    """Otherwise name servers slower than an attempt would make a connection impossible."""
    resolver.answers[NAME] = ["127.0.0.1"]
    port = listeners.open("127.0.0.1").port
    resolver.answering.clear()
    for _ in range(3):
        opened(NAME, port).close()
    resolver.answering.set()
    assert peer(NAME, port) == "127.0.0.1"
    assert resolver.asked == [NAME]


def test_an_answer_wakes_the_loop(resolver: FakeResolver, listeners: Listeners) -> None:
    """Without a timer."""
    resolver.answers[NAME] = ["127.0.0.1"]
    resolver.answering.clear()
    stream = opened(NAME, listeners.open("127.0.0.1").port)
    assert stream.connect() == errno.EAGAIN
    resolver.answering.set()
    assert outcome(stream) == 0
    stream.close()


def test_attempts_leave_no_file_open(resolver: FakeResolver, listeners: Listeners) -> None:
    """Given up while resolving or connecting, refused, connected."""
    resolver.answers[NAME] = ["127.0.0.2", "127.0.0.1"]
    port = listeners.open("127.0.0.1").port
    peer(NAME, port)
    gc.collect()  # what other tests have left
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        opened(NAME, port).close()
        stream = opened(NAME, port)
        stream.connect()
        stream.close()
        peer(NAME, port)
    listeners.close()
    assert failure(NAME, port) == errno.ECONNREFUSED
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1
