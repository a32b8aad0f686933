"""Messages in a stream of JSON-RPC, and the client that blocks."""

import socket
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.ovsdb.jsonrpc import JsonRpcClient, MessageDecoder, RpcError, encode

MESSAGES: list[dict[str, Any]] = [
    {"id": 1, "result": ["ä}{", '\\"']},
    {"method": "echo", "params": [], "id": "echo"},
    {},
]


@given(st.lists(st.integers(1, 20)))
def test_messages_are_found_however_the_stream_is_cut(sizes: list[int]) -> None:
    """Each message is returned once, also if a character or an escape is cut in two."""
    stream = "\n".join(encode(message).decode() for message in MESSAGES).encode()
    decoder = MessageDecoder()
    received: list[dict[str, Any]] = []
    for size in [*sizes, len(stream)]:
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    assert received == MESSAGES


def test_a_stream_of_something_else_is_an_error() -> None:
    """Neither a JSON array nor plain text is a message."""
    for wrong in (b"[1]", b"HTTP/1.1 400", b"{1}"):
        with pytest.raises(ValueError, match=r"."):
            list(MessageDecoder().feed(wrong))


def answered(*replies: bytes) -> tuple[JsonRpcClient, threading.Thread, list[bytes]]:
    """A client of a server that sends each reply when it has received something."""
    ours, theirs = socket.socketpair()
    received: list[bytes] = []

    def serve() -> None:
        with theirs:
            for reply in replies:
                received.append(theirs.recv(4096))
                theirs.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    ours.settimeout(10)
    return JsonRpcClient(ours), thread, received


def test_a_probe_is_answered_while_a_reply_is_awaited() -> None:
    """The server would close the connection otherwise."""
    probe = encode({"method": "echo", "params": ["x"], "id": "echo"})
    client, thread, received = answered(probe, encode({"id": "get_server_id", "result": "a"}))
    with client:
        assert client.server_id() == "a"
    thread.join()
    assert received[1] == encode({"result": ["x"], "error": None, "id": "echo"})


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ({"result": [{}, {"error": "constraint violation", "details": "x"}]}, "violation: x"),
        ({"error": {"error": "unknown database"}}, "unknown database"),
        ({"error": '"exit" takes no arguments\n'}, '"exit" takes no arguments'),
    ],
)
def test_refusals_are_raised(reply: dict[str, object], text: str) -> None:
    """An operation's, a database server's, and a control socket's, which is plain text."""
    client, thread, _ = answered(encode({"id": "transact", **reply}))
    with client, pytest.raises(RpcError, match=text):
        client.transact("OVN_IC_Northbound", {})
    thread.join()


def test_a_connection_that_ends_is_an_error() -> None:
    """Also if what the server sent before is not JSON-RPC."""
    for reply in (b"", b"garbage"):
        client, thread, _ = answered(reply)
        with client, pytest.raises(ConnectionResetError):
            client.call("echo")
        thread.join()
