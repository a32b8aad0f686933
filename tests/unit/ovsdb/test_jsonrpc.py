"""The blocking JSON-RPC client."""

import socket
import threading
from contextlib import suppress
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


DATABASE: dict[str, object] = {
    "name": "x", "model": "standalone", "connected": True, "leader": True, "schema": "{}",
    "cid": ["set", []], "sid": ["uuid", "8dd15b6d-5d80-4526-9a54-df560abe18bf"],
}  # fmt: skip
WRONG_VALUES: tuple[tuple[str, object], ...] = (
    ("name", 5), ("model", None), ("connected", 1), ("leader", "yes"), ("schema", {}),
    ("cid", 5), ("cid", []), ("cid", ["uuid", 5]), ("sid", ["uuid", "x"]), ("index", "1"),
)  # fmt: skip
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


def test_the_rows_of_the_servers_databases() -> None:
    """With and without a schema and an index."""
    rows = [DATABASE, DATABASE | {"schema": ["set", []], "index": 5}]
    client, thread, _ = answered(encode({"id": "transact", "result": [{"rows": rows}]}))
    with client:
        assert client.databases() == rows
    thread.join()


@pytest.mark.parametrize(
    "reply",
    [
        b"[1]",
        b'{"id":"transact","result":' + b"[" * 100_000,
        b'{"id":"transact","result":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        *(encode({"id": "transact", **reply}) for reply in WRONG),
        *(
            encode({"id": "transact", "result": [{"rows": [DATABASE | {column: value}]}]})
            for column, value in WRONG_VALUES
        ),
    ],
)
def test_an_answer_of_the_wrong_structure_is_an_error_of_the_server(reply: bytes) -> None:
    """Callers expect these two errors, and nothing else."""
    client, thread, _ = answered(reply)
    with client, pytest.raises((ConnectionResetError, RpcError)) as caught:
        client.databases()
    assert len(str(caught.value)) < 200
    thread.join()


@pytest.mark.parametrize(
    "piece", [b" ", encode({"method": "echo", "params": [], "id": "echo"})], ids=["text", "probes"]
)
def test_a_server_that_sends_a_little_again_and_again_is_bounded(piece: bytes) -> None:
    """The time limit holds for the whole answer."""
    ours, theirs = socket.socketpair()
    ended = threading.Event()

    def drip() -> None:
        with theirs, suppress(OSError):
            while not ended.wait(0.01):
                theirs.sendall(piece)

    thread = threading.Thread(target=drip)
    thread.start()
    ours.settimeout(0.2)
    try:
        with JsonRpcClient(ours) as client, pytest.raises(TimeoutError):
            client.call("list_dbs")
    finally:
        ended.set()
        thread.join()


def test_a_message_without_an_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends a text forever."""
    monkeypatch.setattr(jsonrpc, "SERVER_MESSAGE", replace(SERVER_MESSAGE, most=1000))
    client, thread, _ = answered(b'{"id":"' + b"x" * 2000)
    with client, pytest.raises(ConnectionResetError, match="at most 1000"):
        client.databases()
    thread.join()
