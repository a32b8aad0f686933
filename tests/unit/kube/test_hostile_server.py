"""An API server that answers with nonsense: named, bounded, and over when it answers properly."""

import gzip
import itertools
import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isthmus.controller.inputs.snapshot import ObjectKey
from isthmus.kube import client as client_module
from isthmus.kube import errors, list_watch
from isthmus.kube.client import Client
from isthmus.kube.credentials import KubeCredentials
from isthmus.kube.list_watch import Timing
from isthmus.kube.resources import Resource
from isthmus.kube.watcher import ResourceState, ResourceWatcher
from support.hostile.api_server import Answer, hostile_api_server
from support.ovn.servers import wait_until

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
SMALL = 1 << 20
"""What tests set the bounds of sizes to."""

BRISK = Timing(first=0.001, most=0.05, denied=0.05, patience=0.0)


def listing(items: Iterable[Any], token: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": "7", "continue": token}, "items": list(items)}


def node(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": "8"}}


def body(content: bytes, head: bytes = HEAD) -> Iterator[bytes]:
    yield head + b"\r\n" + content


def answer(value: object, head: bytes = HEAD) -> Iterator[bytes]:
    return body(json.dumps(value).encode(), head)


def status(head: str, **fields: Any) -> Iterator[bytes]:
    return answer(fields, f"HTTP/1.1 {head}\r\n".encode())


def endless(start: bytes) -> Iterator[bytes]:
    """The start of an answer, and what never ends."""
    return itertools.chain([start], itertools.repeat(b"x" * 65536))


def good(path: str) -> Iterator[bytes]:
    """A proper answer: one Node, and a watch without events."""
    return body(b"") if "watch=" in path else answer(listing([node("n")]))


def watched(events: Iterable[bytes]) -> Answer:
    """A good list, and a hostile watch."""
    return lambda path: itertools.chain(body(b""), events) if "watch=" in path else good(path)


ENDLESS_PAGES = itertools.count()
HOSTILE: dict[str, Answer] = {
    "an endless answer": lambda _: endless(HEAD + b"\r\n{"),
    "an endless header": lambda _: endless(HEAD + b"X: "),
    "an endless status line": lambda _: endless(b"HTTP/1.1 200 "),
    "an endless size of a chunk": lambda _: endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
    "endless headers": lambda _: itertools.chain([HEAD], itertools.repeat(b"X: y\r\n" * 1000)),
    "an endless error": lambda _: endless(b"HTTP/1.1 500 No\r\n\r\n"),
    "deep JSON": lambda _: body(b'{"a":' + b"[" * 100_000),
    "JSON that is just too deep": lambda _: body(b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
    "deep JSON in an error": lambda _: body(b'{"a":' + b"[" * 100_000, b"HTTP/1.1 500 No\r\n"),
    "a gzip bomb": lambda _: body(
        gzip.compress(b" " * (100 * SMALL)), HEAD + b"Content-Encoding: gzip\r\n"
    ),
    "a huge number": lambda _: body(b'{"a":' + b"9" * 5000 + b"}"),
    "a huge resource version": lambda _: answer(
        {"metadata": {"resourceVersion": "9" * 5000}, "items": [3]}
    ),
    "nothing": lambda _: iter(()),
    "not HTTP": lambda _: iter([b"\0\xff" * 1000]),
    "not UTF-8": lambda _: body(b"{\xff}"),
    "a list": lambda _: answer([]),
    "an object without fields": lambda _: answer({}),
    "items that are not a list": lambda _: answer({**listing([]), "items": {"a": 1}}),
    "items that are not objects": lambda _: answer(listing([3])),
    "an object without a name": lambda _: answer(listing([{"metadata": {"name": ""}}])),
    "a number as metadata": lambda _: answer({"metadata": 3}),
    "pages without end": lambda _: answer(listing([node(f"n{next(ENDLESS_PAGES)}")], "more")),
    "a wait of centuries": lambda _: status("429 No\r\nRetry-After: " + "9" * 400),
    "a wait of a huge number": lambda _: status(
        "429 No", details={"retryAfterSeconds": 10**300}, code=429
    ),
    "an unknown status": lambda _: status("799 No"),
    "a text of a megabyte": lambda _: status("403 No", message="\x1b" * (SMALL - 1000)),
    "a text that is not text": lambda _: status("403 No", message=[1], reason={}, code="x"),
    "a redirect": lambda _: status("301 Moved\r\nLocation: http://192.0.2.1/"),
    "an event without end": watched(endless(b"{")),
    "deep JSON in an event": watched([b'{"a":' + b"[" * 100_000 + b"\n"]),
    "an event that is not an object": watched([b"3\n"]),
    "an event about nothing": watched([b'{"type":"ADDED","object":3}\n']),
    "an unknown event": watched([b'{"type":3,"object":{}}\n']),
    "an error without fields": watched([b'{"type":"ERROR","object":{}}\n']),
    "an error with nonsense": watched(
        [b'{"type":"ERROR","object":{"code":true,"details":{"retryAfterSeconds":1e999}}}\n']
    ),
    "objects without end": watched(
        json.dumps({"type": "ADDED", "object": node(f"n{n}")}).encode() + b"\n"
        for n in itertools.count()
    ),
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that are soon reached."""
    for module, name, most in (
        (client_module, "KUBE_ANSWER", SMALL),
        (client_module, "KUBE_EVENT", SMALL),
        (list_watch, "KUBE_OBJECTS", 50),
        (errors, "KUBE_WAIT", 1),
    ):
        monkeypatch.setattr(module, name, replace(getattr(module, name), most=most))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_is_named_and_passes(hostile: Answer, tmp_path: Path) -> None:
    """A problem says what is wrong, what is known stays, and a good answer ends the problem."""
    with hostile_api_server(good) as server:
        client = Client(KubeCredentials(server.kubeconfig(tmp_path / "config")))
        watcher = ResourceWatcher(client, Resource("Node"), threading.Event().set, BRISK)

        def state() -> ResourceState:
            return watcher.state(time.monotonic() + 100)

        try:
            wait_until(lambda: state().listed, "the good answer is read")
            server.answer = hostile
            wait_until(lambda: state().problem is not None, "the problem is reported")
            problem = state().problem
            assert problem is not None
            assert len(str(problem)) < 5000
            assert str(problem).isprintable()
            assert ObjectKey("Node", "", "n") in state().objects
            assert len(state().objects) <= 50
            server.answer = good
            wait_until(lambda: state().problem is None, "the problem is over")
        finally:
            watcher.close()
            client.close()
