"""The guard's parts: framing, who is who, and what is remembered of refusals."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.authz.audit_log import LOGGED, TABLES, Record, read
from isthmus.authz.listener import Peer, is_operator, peer_of
from isthmus.authz.request import RefusedError
from isthmus.authz.wire import LARGE, LONGEST, SHORT, Turn, encode, messages, pieces, relay


def stream(*parts: bytes) -> asyncio.StreamReader:
    """What comes in, in these pieces if they are read one by one."""
    reader = asyncio.StreamReader()
    for part in parts:
        reader.feed_data(part)
    reader.feed_eof()
    return reader


def test_messages_are_told_apart_wherever_they_are_cut() -> None:
    """Two messages in one piece, one in several, characters of several bytes, space between."""
    texts = ['{"id":1,"a":"}{"}', '{"id":2,"b":"\u00e9\u4e2d"}', '{"id":3}']

    async def told() -> tuple[list[Any], list[tuple[str, bool]]]:
        whole = " \n".join(texts).encode()
        found = [one async for one in messages(stream(whole))]
        return found, [piece async for piece in pieces(stream(whole))]

    found, parts = asyncio.run(told())
    assert found == [json.loads(text) for text in texts]
    assert parts == [(text, True) for text in texts]


def test_large_messages_of_one_sender_are_taken_one_by_one() -> None:
    """While one is in hand, the next waits with no more than the limit read of it."""
    large = ("{" + f'"a":"{"x" * LARGE}"' + "}").encode()

    async def taken() -> None:
        one_at_a_time = asyncio.Semaphore()
        first = messages(stream(large), one_at_a_time)
        await anext(first)
        second = messages(stream(large), one_at_a_time)
        waiting = asyncio.ensure_future(anext(second))
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        await first.aclose()
        assert len((await waiting)["a"]) == LARGE
        await second.aclose()
        assert not one_at_a_time.locked()

    asyncio.run(taken())


class _Client:
    """What is written to a client."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        """Take it."""
        self.written += data

    async def drain(self) -> None:
        """It takes everything at once."""


@pytest.mark.parametrize("cut", range(1, 140, 7))
def test_the_answer_to_the_guards_own_question_is_not_passed_on(cut: int) -> None:
    """However the server's messages are cut: before, in or after it; others arrive whole."""

    async def passed() -> bytes:
        server, client = _Client(), _Client()
        turn = Turn(server)  # type: ignore[arg-type]
        waiting = asyncio.ensure_future(turn.comes())
        await asyncio.sleep(0)
        mark = json.loads(server.written)["id"]
        answer = encode({"id": mark, "result": [], "error": None})
        whole = b'{"id":1}' + answer + b'{"id":2,"x":"' + b"x" * SHORT + b'"}'
        reader = asyncio.StreamReader()
        relaying = asyncio.ensure_future(
            relay(reader, client, asyncio.Lock(), turn.is_answer)  # type: ignore[arg-type]
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


def test_a_message_without_end_is_given_up() -> None:
    """A sender that never ends its message fills no memory."""

    async def taken() -> None:
        endless = asyncio.StreamReader()
        endless.feed_data(b'{"a":"' + b"x" * (LONGEST + 1))
        with pytest.raises(ValueError, match="longer than"):
            await anext(messages(endless, asyncio.Semaphore()))

    asyncio.run(taken())


@pytest.mark.parametrize(
    ("subject", "peer", "operator"),
    [
        ({"organizationName": "isthmus", "organizationalUnitName": "member", "commonName": "m1"},
         Peer("m1", "member"), True),
        ({"organizationName": "isthmus", "organizationalUnitName": "operator", "commonName": "x"},
         Peer("x", "operator"), True),
        ({"organizationName": "isthmus", "organizationalUnitName": "zone", "commonName": "az1"},
         Peer("az1", "zone"), False),
        ({"organizationName": "ACME", "organizationalUnitName": "member", "commonName": "az1"},
         Peer("az1", ""), False),
        ({"commonName": "az1"}, Peer("az1", ""), False),
        ({}, Peer("", ""), False),
    ],
)  # fmt: skip
def test_who_a_certificate_is_of(subject: dict[str, str], peer: Peer, operator: bool) -> None:
    """The name is the zone; only what isthmus pki issues to members and operators may do all."""
    found = peer_of({"subject": tuple(((key, value),) for key, value in subject.items())})
    assert found == peer
    assert is_operator(found) is operator


def test_several_names_are_none() -> None:
    """A certificate with two common names, or two units, is nobody's."""
    two = ((("commonName", "az1"),), (("commonName", "az2"),))
    assert peer_of({"subject": two}).name == ""
    units = tuple((("organizationalUnitName", unit),) for unit in ("zone", "member"))
    ours = (("organizationName", "isthmus"),)
    assert not is_operator(peer_of({"subject": (ours, *units, (("commonName", "az1"),))}))


def test_refusals_are_counted_and_come_back(tmp_path: Path) -> None:
    """Count, what was last, and how often by table, also after a restart."""
    record = Record(tmp_path / "refusals.json")
    for table in ("Route", "Route", "Gateway"):
        record.add(RefusedError("az3", "insert", table, f"is wrong in {table}"), 1000.0)
    record.save()
    again = Record(tmp_path / "refusals.json")
    again.add(RefusedError("az3", "delete", "Route", "is another's"), 2000.0)
    again.save()
    kept = read(tmp_path / "refusals.json")["az3"]
    assert (kept.count, kept.operation, kept.table, kept.at) == (4, "delete", "Route", 2000.0)
    assert kept.tables == {"Route": 3, "Gateway": 1}
    assert read(tmp_path / "none.json") == {}


def test_a_zone_cannot_flood_the_log(tmp_path: Path) -> None:
    """The same is logged once a minute, and what differs a few times; all are counted."""
    record = Record(tmp_path / "refusals.json")
    same = [record.add(RefusedError("az3", "insert", "Route", "x"), 0.0) for _ in range(5)]
    assert same == [True, False, False, False, False]
    differ = [record.add(RefusedError("az3", "insert", "Route", str(n)), 1.0) for n in range(50)]
    assert differ.count(True) == LOGGED - 1
    assert record.add(RefusedError("az4", "insert", "Route", "x"), 1.0)
    assert record.add(RefusedError("az3", "insert", "Route", "x"), 61.0)
    assert record.zones["az3"].count == 56


def test_tables_that_a_zone_invents_fill_no_record(tmp_path: Path) -> None:
    """They are counted together from a number on that no database has."""
    record = Record(tmp_path / "refused.json")
    for number in range(1000):
        record.add(RefusedError("az2", "insert", f"table {number}", ""), 0.0)
    tables = record.zones["az2"].tables
    assert len(tables) == TABLES + 1
    assert sum(tables.values()) == 1000
