"""A man in the middle between one zone's daemon and the IC databases, who lies on request.

The daemon's `ic-db-host` leads here, and the certificate is a member's: the relay is what a
compromised member could be. It passes on all messages, until an attack makes it lie or break.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

from isthmus.model.rows import Database
from isthmus.ovsdb.json_stream import MessageDecoder
from isthmus.ovsdb.streams.tls import Tls
from isthmus.pki.files import TlsFiles
from isthmus_lab.system.netns import enter
from support.hostile.answers import AFTERWARDS, ANYWHERE, AT_STEPS
from support.hostile.ovsdb_server import Answer, step_of

STEPS = ("get_schema", "get_schema _Server", "monitor_cond _Server", "monitor_cond_since",
         "transact", "lock", "set_db_change_aware")  # fmt: skip

Message = dict[str, Any]
Writers = set[asyncio.StreamWriter]


class Relay:
    """The relay, in a thread of its own.

    Args:
        netns: its namespace.
        address: its own address.
        files: with which it serves.
        upstream: the address of the databases.
        tls: the certificate for them.
        ports: of both databases, here and there.

    Attributes:
        lies: what it answers to a step in place of the true answer.
        hangs: whether it passes nothing on.
        cut: after how many characters of the next message it hangs up; None for never.
    """

    def __init__(
        self, netns: str, address: str, files: TlsFiles, upstream: str, tls: Tls,
        ports: Mapping[Database, int],
    ) -> None:  # fmt: skip
        self._netns, self._address, self._upstream = netns, address, upstream
        self._ports, self._client = ports, tls
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.load_cert_chain(files.certificate, files.private_key)
        self.lies: Mapping[str, Answer] = {}
        self.hangs = False
        self.cut: int | None = None
        self._writers: Writers = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def __enter__(self) -> "Relay":
        """Start to listen."""
        self._thread.start()
        assert self._ready.wait(10), "the relay does not listen"
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def inject(self, data: bytes) -> None:
        """Send bytes to the daemon, between two messages."""
        self._for_all(lambda writer: writer.write(data))

    def hang_up(self) -> None:
        """Break all connections."""
        self._for_all(lambda writer: writer.transport.abort())

    def _for_all(self, do: Callable[[asyncio.StreamWriter], None]) -> None:
        def act() -> None:
            for writer in tuple(self._writers):
                do(writer)

        self._loop.call_soon_threadsafe(act)

    def _run(self) -> None:
        enter(self._netns)
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _listen(self) -> None:
        for port in self._ports.values():

            async def serve(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port
            ) -> None:
                with suppress(OSError, asyncio.CancelledError):
                    await self._pass_on(reader, writer, port)
                writer.transport.abort()

            await asyncio.start_server(serve, self._address, port, ssl=self._server)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        up_reader, up_writer = await asyncio.open_connection(
            self._upstream, port, ssl=self._client.context()
        )
        asked: dict[str, Message] = {}
        self._writers.add(writer)
        try:
            both = [
                asyncio.ensure_future(_until_closed(self._requests(reader, up_writer, asked))),
                asyncio.ensure_future(_until_closed(self._answers(up_reader, writer, asked))),
            ]
            _, other = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in other:
                task.cancel()
        finally:
            self._writers.discard(writer)
            up_writer.transport.abort()

    async def _requests(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, asked: dict[str, Message]
    ) -> None:
        decoder = MessageDecoder()
        while data := await reader.read(1 << 16):
            for request in decoder.feed(data):
                if "method" in request:
                    asked[json.dumps(request.get("id"))] = request
            to.write(data)
            await to.drain()

    async def _answers(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, asked: dict[str, Message]
    ) -> None:
        decoder = MessageDecoder()
        while data := await reader.read(1 << 16):
            for answer in decoder.feed(data):
                while self.hangs:
                    await asyncio.sleep(0.05)
                text = self._true_or_not(answer, asked)
                cut, self.cut = self.cut, None
                to.write(text if cut is None else text[:cut])
                await to.drain()
                if cut is not None:
                    return

    def _true_or_not(self, answer: Message, asked: dict[str, Message]) -> bytes:
        request = asked.pop(json.dumps(answer.get("id")), None)
        lie = request and self.lies.get(step_of(request))
        if request is None or not lie:
            return json.dumps(answer).encode()
        return lie(request)


async def _until_closed(passing: Coroutine[Any, Any, None]) -> None:
    """Pass on, until one side closes its connection or sends invalid JSON."""
    with suppress(OSError, ValueError):
        await passing


def lying(choices: Random) -> Mapping[str, Answer]:
    """Wrong answers to one or more steps."""
    found = {}
    for step in choices.sample(STEPS, choices.choice([1, 1, 2, len(STEPS)])):
        answers = {**ANYWHERE, **AT_STEPS.get(step, {})}
        found[step] = answers[choices.choice(sorted(answers))]
    return found


def wrong_answers(choices: Random, relay: Relay, stop: threading.Event) -> None:
    """Wrong answers to new connections."""
    relay.lies = lying(choices)
    relay.hang_up()
    stop.wait(choices.uniform(0.5, 5.0))
    relay.lies = {}
    relay.hang_up()


def wrong_messages(choices: Random, relay: Relay, stop: threading.Event) -> None:
    """Messages that no one has asked for, on connections that work."""
    for _ in range(choices.randrange(1, 5)):
        relay.inject(choices.choice(list(AFTERWARDS.values())))
        stop.wait(choices.uniform(0.1, 1.0))


def long_message(choices: Random, relay: Relay, stop: threading.Event) -> None:
    """A text or a list that does not end, and then the end of the connection."""
    begin, more = choices.choice([(b'{"x":"', b"x" * 3), (b'{"x":[', b"[],"), (b'{"x":[', b"[[[")])
    relay.inject(begin)
    for _ in range(choices.randrange(1, 40)):
        relay.inject(more * (1 << 18))
        stop.wait(0.05)
    relay.hang_up()


def hangs(choices: Random, relay: Relay, stop: threading.Event) -> None:
    """Nothing comes for a while."""
    relay.hangs = True
    stop.wait(choices.uniform(0.5, 12.0))
    relay.hangs = False


def hang_ups(choices: Random, relay: Relay, stop: threading.Event) -> None:
    """Connections break, also in the middle of a message."""
    for _ in range(choices.randrange(1, 6)):
        relay.cut = choices.choice([None, 0, 1, choices.randrange(2000)])
        relay.hang_up()
        stop.wait(choices.uniform(0.0, 1.5))
    relay.cut = None


RelayAttack = Callable[[Random, Relay, threading.Event], None]
LIES: Mapping[str, RelayAttack] = {
    attack.__name__: attack
    for attack in (wrong_answers, wrong_messages, long_message, hangs, hang_ups)
}


@contextmanager
def honest_again(relay: Relay) -> Iterator[None]:
    """Make the relay honest at the end, whatever happened."""
    try:
        yield
    finally:
        relay.lies, relay.hangs, relay.cut = {}, False, None
        relay.hang_up()
