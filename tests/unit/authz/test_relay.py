"""The relay of a server's answers."""

import asyncio
import json

import pytest

from isthmus.authz.relay import SHORT, ServerBarrier, relay
from isthmus.ovsdb.json_stream import encode


class _Receiver:
    """Records what is written to it."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        """Record it."""
        self.written += data

    async def drain(self) -> None:
        """It accepts everything at once."""


@pytest.mark.parametrize("cut", range(1, 140, 7))
def test_the_answer_to_the_proxys_own_echo_is_not_passed_on(cut: int) -> None:
    """Other messages arrive whole, wherever the server's stream is cut."""

    async def passed() -> bytes:
        server, client = _Receiver(), _Receiver()
        barrier = ServerBarrier(server)  # type: ignore[arg-type]
        waiting = asyncio.ensure_future(barrier.wait())
        await asyncio.sleep(0)
        mark = json.loads(server.written)["id"]
        answer = encode({"id": mark, "result": [], "error": None})
        whole = b'{"id":1}' + answer + b'{"id":2,"x":"' + b"x" * SHORT + b'"}'
        reader = asyncio.StreamReader()
        relaying = asyncio.ensure_future(
            relay(reader, client, asyncio.Lock(), barrier.is_answer, client.drain)  # type: ignore[arg-type]
        )
        for part in (whole[:cut], whole[cut:]):
            reader.feed_data(part)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        reader.feed_eof()
        await relaying
        await asyncio.wait_for(waiting, 5)
        assert client.written == whole.replace(answer, b"")
        return client.written

    assert asyncio.run(passed())
