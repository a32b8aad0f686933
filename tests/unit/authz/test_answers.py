"""Turns of zones that receive large answers."""

import asyncio
from contextlib import AsyncExitStack
from typing import cast

import pytest

from isthmus.authz.limits import answers
from isthmus.authz.limits.answers import AnswerTurns
from isthmus.model.bounds import ANSWERS


async def took(turns: AnswerTurns, holders: AsyncExitStack) -> "asyncio.Task[None]":
    """Let four answers begin; the task that waits for the next turn."""
    for _ in range(ANSWERS.most):
        await holders.enter_async_context(turns.turn())

    async def take() -> None:
        async with turns.turn():
            pass

    return asyncio.create_task(take())


def test_the_next_zone_waits_until_an_answer_has_been_read() -> None:
    """Four answers pass at the same time; the end of one lets the next begin."""

    async def scenario() -> None:
        turns = AnswerTurns()
        async with AsyncExitStack() as holders:
            waiting = await took(turns, holders)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(waiting), 0.05)
        await waiting

    asyncio.run(scenario())


class SlowWriter:
    """A connection whose client accepts nothing for some seconds."""

    def __init__(self, seconds: float) -> None:
        self.drain = lambda: asyncio.sleep(seconds)


def test_a_zone_that_reads_slowly_delays_others_only_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answer continues, but does not count any more, and frees its turn only once."""
    monkeypatch.setattr(answers, "TURN", 0.01)
    slow = cast("asyncio.StreamWriter", SlowWriter(0.02))

    async def scenario() -> None:
        turns = AnswerTurns()
        async with AsyncExitStack() as holders, turns.turn() as answer:
            for _ in range(ANSWERS.most - 1):
                await holders.enter_async_context(turns.turn())
            await answer.drain(slow)
            await answer.drain(slow)
            await holders.enter_async_context(turns.turn())
        async with AsyncExitStack() as holders:
            waiting = await took(turns, holders)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(waiting), 0.05)
        await waiting

    asyncio.run(scenario())


def test_a_zone_that_reads_far_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that the zone lets the proxy wait is added up."""
    monkeypatch.setattr(answers, "LIMIT", 0.05)

    async def scenario() -> None:
        async with AnswerTurns().turn() as answer:
            await answer.drain(cast("asyncio.StreamWriter", SlowWriter(0.01)))
            with pytest.raises(TimeoutError):
                await answer.drain(cast("asyncio.StreamWriter", SlowWriter(60)))

    asyncio.run(scenario())
