"""Live records are gathered into messages, and answered after the broker's confirm."""

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

import pytest
from anyio import CapacityLimiter

from edugraph_common.contracts.errors import Failure, QueueFull, Retryable
from edugraph_common.contracts.live_days import (
    end_of_day,
    is_live_job,
    live_batch_number,
    live_job_id,
)
from edugraph_common.contracts.messages import INLINE_BYTES, LiveBatch, LiveTexts, person_mark
from edugraph_common.runtime.messaging.packed_rows import rows_of
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.live_waiting import WaitingBatch
from edugraph_gateway.operations.dead_letter_operator import with_sender
from edugraph_gateway.submission.live_records import (
    MOST_WAITING_BYTES,
    LiveGatherer,
    LiveRecords,
)

NOW = datetime(2026, 9, 21, 10, tzinfo=UTC)
NUMBER = int(NOW.timestamp()) * 1_000_000
SENDER = Caller("k1", ("submit",))
OTHER = Caller("k2", ("roster",), person="T1")


class Broker:
    """Keeps messages. `confirm` may wait or raise in place of the broker."""

    def __init__(self, confirm: Callable[[], Any] = lambda: asyncio.sleep(0)) -> None:
        self.messages: list[LiveBatch] = []
        self._confirm = confirm

    async def send(self, task: str, message: Any, *, task_id: str) -> None:
        assert task == "import_live_task"
        assert task_id
        await self._confirm()
        self.messages.append(message)

    async def close(self) -> None: ...


class Numbers:
    def __init__(self) -> None:
        self.next = NUMBER

    def take(self, count: int) -> int:
        first = self.next
        self.next += count
        return first


class Waiting:
    """The acceptance numbers that wait, by source, as Redis keeps them. `is_away` stands for a Redis that is gone."""

    def __init__(self) -> None:
        self.numbers: set[WaitingBatch] = set()
        self.is_away = False

    def add(self, batches: Collection[WaitingBatch]) -> None:
        self.numbers.update(batches)

    def remove(self, batches: Collection[WaitingBatch]) -> None:
        if self.is_away:
            raise Retryable("Redis is away")
        self.numbers.difference_update(batches)


def gatherer(broker: Broker, waiting: Waiting | None = None) -> LiveGatherer:
    numbers: Any = Numbers()
    kept: Any = waiting or Waiting()
    return LiveGatherer(
        numbers, kept, broker, lambda: NOW, CapacityLimiter(1), platform_prefixes={}
    )


def records(number: int, text: str = "x", first: int = 0) -> tuple[dict[str, Any], ...]:
    return tuple({"record_id": f"r{n}", "text": text} for n in range(first, first + number))


async def all_of(gatherer: LiveGatherer, *requests: LiveRecords) -> list[Any]:
    return await asyncio.gather(*map(gatherer.send, requests), return_exceptions=True)


def test_the_requests_of_a_moment_share_a_message_with_a_part_for_each_sender() -> None:
    """Out: the gathering; the caller or the source in `sender`; a number for each part."""
    broker = Broker()

    async def run() -> list[Any]:
        return await all_of(
            gatherer(broker),
            LiveRecords(SENDER, "canvas", records(2)),
            LiveRecords(OTHER, "canvas", records(1, first=2)),
            LiveRecords(SENDER, "moodle", records(1, first=3)),
            LiveRecords(SENDER, "canvas", records(1, first=4)),
        )

    canvas, moodle = "live-canvas-2026-09-21", "live-moodle-2026-09-21"
    assert asyncio.run(run()) == [canvas, canvas, moodle, canvas]
    [message] = broker.messages
    found = []
    for part in message.parts:
        ids = [record["record_id"] for record in rows_of(part)]
        found.append((part.acceptance - NUMBER, part.rights.client, part.rights.source, ids))
    assert found == [
        (0, "k1", "canvas", ["r0", "r1", "r4"]),
        (1, "k2", "canvas", ["r2"]),
        (2, "k1", "moodle", ["r3"]),
    ]
    by_other = message.parts[1].rights
    assert (by_other.learning, by_other.roster) == (False, True)
    assert by_other.person == person_mark(canvas, "T1")
    assert (message.job_id, message.accepted_at) == (canvas, NOW.timestamp())
    assert message.deadline is not None


@pytest.mark.parametrize(
    ("requests", "sizes"),
    [
        ([records(600), records(400), records(1)], [1_000, 1]),
        ([records(600), records(401), records(1)], [600, 402]),
        ([records(1, "x" * 600_000), records(1, "x" * 600_000)], [1, 1]),
        ([records(1), records(1, "é" * 300_000), records(1)], [1, 1, 1]),  # 6 bytes for each letter
    ],
)
def test_a_message_has_at_most_a_thousand_records_and_a_mebibyte(
    requests: list[tuple[dict[str, Any], ...]], sizes: list[int]
) -> None:
    """Out: `has_room` or a part of it; the size of the body in place of the size in the message."""
    broker = Broker()

    async def run() -> list[Any]:
        sent = [LiveRecords(SENDER, "canvas", each) for each in requests]
        return await all_of(gatherer(broker), *sent)

    assert set(asyncio.run(run())) == {"live-canvas-2026-09-21"}
    assert [len(rows_of(message.parts[0])) for message in broker.messages] == sizes


def test_a_refused_message_refuses_all_its_requests_and_no_other() -> None:
    """Out: `set_exception`, which leaves the requests waiting."""
    answers: list[Failure | None] = [QueueFull(), None]

    async def confirm() -> None:
        if answer := answers.pop(0):
            raise answer

    broker = Broker(confirm)

    async def run() -> tuple[list[Any], list[Any]]:
        live = gatherer(broker)
        request = LiveRecords(SENDER, "canvas", records(1))
        async with asyncio.timeout(10):
            return await all_of(live, request, request), await all_of(live, request)

    refused, accepted = asyncio.run(run())
    assert [type(each) for each in refused] == [QueueFull, QueueFull]
    assert accepted == ["live-canvas-2026-09-21"]


def test_a_bug_leaves_nobody_waiting() -> None:
    """Out: the `finally` of `_publish`."""

    async def confirm() -> None:
        raise ZeroDivisionError

    async def run() -> list[Any]:
        async with asyncio.timeout(10):
            return await all_of(
                gatherer(Broker(confirm)), LiveRecords(SENDER, "canvas", records(1))
            )

    [answer] = asyncio.run(run())
    assert type(answer) is Retryable


def test_records_that_wait_for_the_broker_are_bounded() -> None:
    """Out: the check of `_waiting_bytes`; or its decrease, which refuses for ever."""

    async def run() -> tuple[list[Any], list[Any]]:
        answered = asyncio.Event()
        live = gatherer(Broker(answered.wait))
        large = LiveRecords(SENDER, "canvas", records(1, "x" * (INLINE_BYTES - 100)))
        requests = [large] * (MOST_WAITING_BYTES // INLINE_BYTES + 3)
        waiting = asyncio.create_task(all_of(live, *requests))
        await asyncio.sleep(0.5)
        answered.set()
        return await waiting, await all_of(live, large)

    first, later = asyncio.run(run())
    assert [type(each) for each in first].count(QueueFull) == 3
    assert later == ["live-canvas-2026-09-21"]


def test_a_client_that_goes_away_takes_no_other_with_it() -> None:
    """Out: `shield`."""
    broker = Broker()

    async def run() -> Any:
        live = gatherer(broker)
        gone = asyncio.create_task(live.send(LiveRecords(SENDER, "canvas", records(1))))
        stays = asyncio.create_task(live.send(LiveRecords(SENDER, "canvas", records(1, first=1))))
        await asyncio.sleep(0.05)
        gone.cancel()
        return await stays

    assert asyncio.run(run()) == "live-canvas-2026-09-21"
    assert len(rows_of(broker.messages[0].parts[0])) == 2


@pytest.mark.parametrize("name", ["a", "a" * 40, "live-2026-01-01"])
def test_each_number_has_one_place_in_one_day(name: str) -> None:
    midnight = int(datetime(2026, 9, 22, tzinfo=UTC).timestamp()) * 1_000_000
    places = []
    for number in (midnight - 1, midnight, midnight + 1):
        places.append((live_job_id(name, number), live_batch_number(number)))
    assert places == [
        (f"live-{name}-2026-09-21", 86_399_999_999),
        (f"live-{name}-2026-09-22", 0),
        (f"live-{name}-2026-09-22", 1),
    ]
    assert all(is_live_job(job_id) and len(job_id) <= 64 for job_id, _ in places)
    assert end_of_day(places[0][0]) == datetime(2026, 9, 22, tzinfo=UTC)
    assert not is_live_job("5e1f00c0ffee5e1f00c0ffee")


def test_a_letter_that_is_sent_again_has_the_mark_of_its_sender_in_each_part() -> None:
    """Out: `_part_with_sender`."""
    broker = Broker()

    async def run() -> None:
        live = gatherer(broker)
        for name in ("canvas", "moodle"):
            await live.send(LiveRecords(OTHER, name, records(1)))

    asyncio.run(run())
    for message, name in zip(broker.messages, ("canvas", "moodle"), strict=True):
        again = with_sender(with_sender(message.model_dump(mode="json"), "T7"), "T8")
        [part] = LiveBatch.model_validate(again).parts
        job_id = f"live-{name}-2026-09-21"
        assert part.rights.marks == tuple(person_mark(job_id, each) for each in ("T1", "T7", "T8"))
        assert rows_of(part) == rows_of(message.parts[0])
    assert with_sender({"parts": [7, {}, {"acceptance": "x"}]}, "T7")["parts"] == [
        7,
        {},
        {"acceptance": "x"},
    ]


@pytest.mark.parametrize("is_accepted", [True, False])
def test_batches_wait_from_before_they_are_sent_until_they_are_refused(is_accepted: bool) -> None:
    """Out: `add` before the message; `remove` after a refusal."""
    waiting = Waiting()
    seen_by_the_broker: list[set[WaitingBatch]] = []

    async def confirm() -> None:
        seen_by_the_broker.append(set(waiting.numbers))
        if not is_accepted:
            raise QueueFull("full")

    async def run() -> list[Any]:
        requests = [LiveRecords(SENDER, source, records(2)) for source in ("canvas", "moodle")]
        return await all_of(gatherer(Broker(confirm), waiting), *requests)

    answers = asyncio.run(run())
    both = {WaitingBatch("canvas", NUMBER), WaitingBatch("moodle", NUMBER + 1)}
    assert seen_by_the_broker == [both]
    if is_accepted:
        assert waiting.numbers == both
    else:
        assert waiting.numbers == set()
        assert all(isinstance(answer, QueueFull) for answer in answers)


def test_a_refusal_is_told_even_if_redis_is_away() -> None:
    """Out: `suppress` around `remove`: the sender would get another error than that of the broker."""
    waiting = Waiting()
    waiting.is_away = True

    async def refuse() -> None:
        raise QueueFull("full")

    async def run() -> list[Any]:
        return await all_of(
            gatherer(Broker(refuse), waiting), LiveRecords(SENDER, "canvas", records(1))
        )

    [answer] = asyncio.run(run())
    assert isinstance(answer, QueueFull)


def test_each_part_says_how_many_of_its_texts_are_analysed() -> None:
    """Out: `texts` in `sender` or in the part."""
    broker = Broker()
    texts = LiveTexts(most=5, day=NOW.date(), share_percent=20)

    async def run() -> list[Any]:
        return await all_of(
            gatherer(broker),
            LiveRecords(SENDER, "canvas", records(1), texts=texts),
            LiveRecords(SENDER, "moodle", records(1, first=1)),
            # Its settings were changed within the moment.
            LiveRecords(SENDER, "canvas", records(1, first=2)),
        )

    asyncio.run(run())
    [message] = broker.messages
    assert [(part.rights.source, part.texts) for part in message.parts] == [
        ("canvas", texts),
        ("moodle", None),
        ("canvas", None),
    ]
