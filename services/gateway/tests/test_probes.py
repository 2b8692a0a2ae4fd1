"""Whether a server answers is asked once for all who want to know it at the same time."""

import asyncio
import threading
import time

import pytest

from edugraph_common.contracts.errors import Retryable
from edugraph_gateway.operations import readiness
from edugraph_gateway.operations.readiness import Probe


def test_whoever_asks_while_a_question_is_under_way_gets_its_answer() -> None:
    """Out: the wait for the question that is under way (an upload beside a readiness probe is refused)."""
    asked: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def ask() -> None:
        asked.append(1)
        begun.set()
        go_on.wait(2)

    async def ask_twice() -> list[bool]:
        probe = Probe(ask)
        first = asyncio.create_task(probe.answers())
        assert await asyncio.to_thread(begun.wait, 2)
        second = asyncio.create_task(probe.answers())
        await asyncio.sleep(0.05)
        go_on.set()
        return [await first, await second]

    assert asyncio.run(ask_twice()) == [True, True]
    assert len(asked) == 1


def test_a_server_that_hangs_is_waited_for_once_and_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness, "TIMEOUT_SECONDS", 0.1)
    asked: list[int] = []
    go_on = threading.Event()

    def hang() -> None:
        asked.append(1)
        go_on.wait(5)

    async def ask_thrice() -> tuple[list[bool], float]:
        probe = Probe(hang)
        first = await probe.answers()
        begun = time.monotonic()
        others = [await probe.answers() for _ in range(2)]
        seconds = time.monotonic() - begun
        go_on.set()
        return [first, *others], seconds

    answers, seconds = asyncio.run(ask_thrice())
    assert answers == [False, False, False]
    assert seconds < 0.05
    assert len(asked) == 1


def test_an_answer_holds_for_a_second_and_is_asked_for_again() -> None:
    outcomes: list[Exception | None] = [None, Retryable("away"), None]
    now = 0.0

    def ask() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    async def ask_in_turn() -> list[bool]:
        nonlocal now
        probe = Probe(ask, lambda: now)
        answers = []
        for moment in (0.0, 0.9, 1.1, 1.9, 2.2):
            now = moment
            answers.append(await probe.answers())
        return answers

    assert asyncio.run(ask_in_turn()) == [True, True, False, False, True]
