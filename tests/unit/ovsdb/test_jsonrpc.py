"""The blocking JSON-RPC client."""

import socket
import threading
from dataclasses import replace

import pytest

from isthmus.model.bounds import SERVER_MESSAGE
from isthmus.ovsdb import jsonrpc
from isthmus.ovsdb.json_stream import encode
from isthmus.ovsdb.jsonrpc import JsonRpcClient, RpcError


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


WRONG: tuple[dict[str, object], ...] = (
    {},
    {"result": None},
    {"result": 5},
    {"result": []},
    {"result": [None]},
    {"result": [[]]},
    {"result": [{}, {}]},
    {"result": [{"rows": 5}]},
    {"result": [{"rows": [5]}]},
    {"result": [{"rows": [{"name": "x"}]}]},
    {"result": [{"error": None}]},
    {"result": [{"error": [], "details": {}}]},
    {"error": [1]},
    {"error": {"error": {}, "details": []}},
    {"error": 5},
)


@pytest.mark.parametrize(
    "reply",
    [
        b"[1]",
        b'{"id":"transact","result":' + b"[" * 100_000,
        b'{"id":"transact","result":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        *(encode({"id": "transact", **reply}) for reply in WRONG),
    ],
)
def test_an_answer_of_the_wrong_structure_is_an_error_of_the_server(reply: bytes) -> None:
    """Callers expect these two errors, and nothing else."""
    client, thread, _ = answered(reply)
    with client, pytest.raises((ConnectionResetError, RpcError)) as caught:
        client.databases()
    assert len(str(caught.value)) < 200
    thread.join()


def test_a_message_without_an_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends a text forever."""
    monkeypatch.setattr(jsonrpc, "SERVER_MESSAGE", replace(SERVER_MESSAGE, most=1000))
    client, thread, _ = answered(b'{"id":"' + b"x" * 2000)
    with client, pytest.raises(ConnectionResetError, match="at most 1000"):
        client.databases()
    thread.join()
