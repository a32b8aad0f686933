"""Reading JSON-RPC messages from asyncio streams."""

import asyncio
import json
import socket
from typing import Any

import pytest

from isthmus.model.bounds import (
    ZONE_DEPTH,
    ZONE_MESSAGE,
    ZONE_VALUES,
    BoundExceededError,
    Limit,
)
from isthmus.ovsdb.json_stream import Piece
from isthmus.ovsdb.jsonrpc_asyncio import (
    LARGE,
    MessageLimits,
    call,
    read_messages,
    read_pieces,
)

LIMITS = MessageLimits(Limit(ZONE_MESSAGE, 1000), Limit(ZONE_DEPTH, 20), Limit(ZONE_VALUES, 100))


def stream(*parts: bytes) -> asyncio.StreamReader:
    """A stream with these contents."""
    reader = asyncio.StreamReader()
    for part in parts:
        reader.feed_data(part)
    reader.feed_eof()
    return reader


def test_messages_are_separated() -> None:
    """Braces in strings, characters of several bytes and space between messages do not matter."""
    texts = ['{"id":1,"a":"}{"}', '{"id":2,"b":"\u00e9\u4e2d"}', '{"id":3}']

    async def read() -> tuple[list[Any], list[Piece]]:
        whole = " \n".join(texts).encode()
        found = [one async for one in read_messages(stream(whole))]
        return found, [piece async for piece in read_pieces(stream(whole))]

    found, parts = asyncio.run(read())
    assert found == [json.loads(text) for text in texts]
    assert parts == [Piece(text, True, 1) for text in texts]


def test_one_large_message_is_read_at_a_time() -> None:
    """While one is being processed, reading of the next one stops at the limit."""
    large = ("{" + f'"a":"{"x" * LARGE}"' + "}").encode()

    async def read() -> None:
        one_at_a_time = asyncio.Semaphore()
        first = read_messages(stream(large), large=one_at_a_time)
        await anext(first)
        second = read_messages(stream(large), large=one_at_a_time)
        waiting = asyncio.ensure_future(anext(second))
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        await first.aclose()
        assert len((await waiting)["a"]) == LARGE
        await second.aclose()
        assert not one_at_a_time.locked()

    asyncio.run(read())


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ('{"a":"' + "x" * 1000, "zone_message"),
        ('{"a":' + "[" * 30, "zone_depth"),
        ('{"a":' + '{"a":' * 30, "zone_depth"),
        ('{"a":["]","}",' + '["]",' * 30, "zone_depth"),
        ('{"a":[' + "[]," * 100, "zone_values"),
        ('{"a":[' + "1," * 200, "zone_values"),
        ('{"a":[' + "{}," * 100, "zone_values"),
    ],
    ids=["endless", "lists", "objects", "brackets in strings", "[],", "1,", "{},"],
)
def test_a_message_beyond_a_limit_is_rejected_before_it_ends(text: str, bound: str) -> None:
    """A sender that never ends its message cannot fill the memory, and nothing is parsed."""

    async def read() -> None:
        endless = asyncio.StreamReader()
        endless.feed_data(text.encode())
        with pytest.raises(BoundExceededError) as caught:
            await anext(read_messages(endless, LIMITS))
        assert caught.value.bound.name == bound

    asyncio.run(read())


def test_a_message_that_is_never_parsed_is_paced() -> None:
    """Otherwise a sender of refused messages would be faster than one of accepted messages."""
    paced = list[tuple[int, int]]()

    async def pace(characters: int, requests: int) -> None:
        paced.append((characters, requests))

    async def read() -> None:
        whole = b'{"id":1}'
        messages = read_messages(stream(whole + b'{"a":"' + b"x" * 2000), LIMITS, pace=pace)
        assert await anext(messages) == {"id": 1}
        with pytest.raises(BoundExceededError):
            await anext(messages)

    asyncio.run(read())
    assert paced == [(8, 1), (2006, 0)]


def test_a_message_within_the_limits_passes() -> None:
    """Each limit may be reached exactly; pieces of any size make no difference."""
    depth = '{"a":' + "[" * 19 + "]" * 19 + "}"
    values = '{"a":[' + ",".join("1" * 99) + "]}"

    async def read() -> list[Any]:
        found = []
        for text in (depth, values):
            reader = asyncio.StreamReader()
            messages = read_messages(reader, LIMITS)
            waiting = asyncio.ensure_future(anext(messages))
            for character in text:
                reader.feed_data(character.encode())
                await asyncio.sleep(0)
            found.append(await waiting)
            await messages.aclose()
        return found

    assert asyncio.run(read()) == [json.loads(depth), json.loads(values)]


@pytest.mark.parametrize("text", [b"[1]", b"1 ", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"])
def test_what_is_not_an_object_is_an_error(text: bytes) -> None:
    """Also one that is nested too deeply for the parser: readers expect no other error."""

    async def read() -> None:
        with pytest.raises(ValueError, match="a message is n"):
            await anext(read_messages(stream(text)))

    asyncio.run(read())


@pytest.mark.parametrize("reply", [b"[1]", b"HTTP/1.1 400 Bad Request", b"{1}"])
def test_a_call_to_another_protocol_is_an_error(reply: bytes) -> None:
    """A reply that is not a JSON object is a `ValueError`."""
    ours, theirs = socket.socketpair()

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(sock=ours)
        theirs.sendall(reply)
        with pytest.raises(ValueError, match=r"."):
            await call(reader, writer, "list_dbs")
        writer.close()

    with theirs:
        asyncio.run(ask())
