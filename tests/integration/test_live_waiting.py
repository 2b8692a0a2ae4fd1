"""The oldest live row that waits is known, whatever becomes of gateways, workers and messages."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from engines import real_servers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importers import importer_on

from edugraph_common.contracts.errors import OtherVersion, Rejected, Retryable
from edugraph_common.contracts.live_days import live_batch_number, live_job_id
from edugraph_common.contracts.messages import ImportBatch, ImportRights, LiveBatch, LivePart
from edugraph_common.runtime.messaging.packed_rows import pack_rows
from edugraph_common.runtime.messaging.task_base import LONGEST_BACKOFF_SECONDS
from edugraph_common.runtime.shared_state.job_store import DELIVERIES_KEPT, Jobs, connect
from edugraph_common.runtime.shared_state.live_waiting import KEPT, LiveWaiting, WaitingBatch
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_gateway.operations.lost_batches import WITH_A_WORKER, LostBatches
from edugraph_importer.service import Importer

pytestmark = pytest.mark.real
NOW = datetime(2026, 9, 21, 10, tzinfo=UTC)
NUMBER = int(NOW.timestamp()) * 1_000_000
SECOND = 1_000_000


class WorkerDied(BaseException):
    """Stands for the end of a worker within a task."""


def live_batch(*batches: WaitingBatch, packed: str | None = None) -> LiveBatch:
    parts = []
    for batch in batches:
        rows = packed or pack_rows([{"type": "x"}])
        rights = ImportRights(source=batch.source, client="k")
        parts.append(LivePart(acceptance=batch.acceptance, rights=rights, packed=rows))
    first = batches[0]
    job_id = live_job_id(first.source, first.acceptance)
    return LiveBatch(job_id=job_id, parts=tuple(parts), accepted_at=NOW.timestamp())


@dataclass
class School:
    """Two gateways and a worker on one Redis. `queue` has the messages as the broker keeps them.

    The worker raises `fault` in place of writing a batch of the source `fails_for`, or of any source if it is empty.
    """

    gateways: tuple[LiveWaiting, LiveWaiting]
    importer: Importer
    names: tuple[str, str]
    queue: list[LiveBatch] = field(default_factory=list)
    settled: set[int] = field(default_factory=set)
    next_number: int = NUMBER
    fault: BaseException | None = None
    fails_for: str = ""

    def send(self, gateway: int, sources: int, *, is_refused: bool) -> None:
        """Do what a gateway does with one message. `sources` is the number of its sources."""
        batches = []
        for name in self.names[:sources]:
            batches.append(WaitingBatch(name, self.next_number))
            self.next_number += SECOND
        self.gateways[gateway].add(batches)
        if is_refused:
            self.gateways[gateway].remove(batches)
        else:
            self.queue.append(live_batch(*batches))

    def work(self, end: str, failing: int) -> None:
        """Take the first message. `end` says what becomes of its task, which fails at the source `failing`."""
        if not self.queue:
            return
        message = self.queue.pop(0)
        self.fails_for = ("", *self.names)[failing]
        faults: dict[str, BaseException] = {
            "tried again": Retryable("the graph is away"),
            "worker died": WorkerDied(),
            "given up": Rejected("never"),
        }
        self.fault = faults.get(end)
        try:
            self.importer.write_live(message)
        except WorkerDied:
            self.queue.insert(0, message)
        except Retryable:
            self.queue.append(message)
        except Rejected as error:
            self.importer.live_failed(message, error.reason)
        if end == "delivered twice":
            self.importer.write_live(message)

    def write(self, batch: ImportBatch) -> None:
        if self.fault is not None and self.fails_for in ("", batch.rights.source):
            raise self.fault
        self.settled.add(batch.acceptance or 0)

    def unsettled(self, batches: range) -> set[int]:
        return set(batches) - {live_batch_number(acceptance) for acceptance in self.settled}

    def waits_longest(self) -> dict[str, datetime]:
        """Return, for each source, the acceptance of the oldest batch in the queue that is not written."""
        found: dict[str, int] = {}
        for message in self.queue:
            for part in message.parts:
                name = part.rights.source
                if part.acceptance not in self.settled:
                    found[name] = min(part.acceptance, found.get(name, part.acceptance))
        begin = datetime(1970, 1, 1, tzinfo=UTC)
        return {name: begin + timedelta(microseconds=number) for name, number in found.items()}


@pytest.fixture
def new_school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], School]]:
    """Return a function that makes a school with sources of its own."""
    clients = [connect(real_servers()["EDUGRAPH_REDIS_URL"]) for _ in range(2)]
    made: list[School] = []

    def make() -> School:
        importer = importer_on(None, clients[0], Blobs(str(tmp_path)), lambda: NOW)
        names = (f"a-{uuid4().hex[:8]}", f"b-{uuid4().hex[:8]}")
        school = School((LiveWaiting(clients[0]), LiveWaiting(clients[1])), importer, names)
        made.append(school)
        return school

    # The graph and the jobs do not matter here: only what the importer notes before and after a batch.
    monkeypatch.setattr(Importer, "_open_day", lambda *_: None)
    monkeypatch.setattr(Importer, "_write", lambda _, batch: made[-1].write(batch))
    monkeypatch.setattr(Importer, "_settle", lambda *_: True)
    monkeypatch.setattr(Jobs, "unsettled", lambda _, __, batches: made[-1].unsettled(batches))
    yield make
    for school in made:
        for name in school.names:
            key = f"edugraph:live-waiting:{name}"
            clients[0].delete(key, f"{key}:again")
    for client in clients:
        client.close()


ENDS = ("written", "delivered twice", "tried again", "worker died", "given up")
STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 1), st.integers(1, 2), st.booleans()),
    st.tuples(st.just("work"), st.sampled_from(ENDS), st.integers(0, 2)),
)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, min_size=4, max_size=14))
def test_the_oldest_batch_that_waits_is_that_of_the_queue(
    new_school: Callable[[], School], steps: list[tuple[Any, ...]]
) -> None:
    """Out: `remove` in `write_live` or in `live_failed`; the question for `unsettled`."""
    school = new_school()
    for name, *arguments in steps:
        if name == "send":
            gateway, sources, is_refused = arguments
            school.send(gateway, sources, is_refused=is_refused)
        else:
            school.work(*arguments)
        expected = school.waits_longest()
        for gateway in school.gateways:
            assert gateway.oldest(school.names) == expected
            for source in school.names:
                assert gateway.oldest_of_day(source, NOW.date()) == expected.get(source)


def test_a_batch_waits_again_when_its_message_is_delivered_to_a_worker(
    new_school: Callable[[], School],
) -> None:
    """Redis has lost it. Out: `_note_waiting` in `write_live`."""
    school = new_school()
    school.send(0, 1, is_refused=False)
    name = school.names[0]
    school.gateways[0].remove([WaitingBatch(name, NUMBER)])
    school.work("tried again", 0)
    assert school.gateways[1].oldest(school.names) == {name: NOW}


def test_a_message_that_cannot_be_unpacked_waits_no_longer(
    new_school: Callable[[], School],
) -> None:
    """Out: `remove` before `batches_of` in `live_failed`."""
    school = new_school()
    batch = WaitingBatch(school.names[0], NUMBER)
    school.gateways[0].add([batch])
    message = live_batch(batch, packed="AAAA")
    with pytest.raises(Rejected):
        school.importer.write_live(message)
    school.importer.live_failed(message, "it cannot be unpacked")
    assert school.gateways[0].oldest(school.names) == {}


@dataclass
class Registry:
    names: tuple[str, ...]

    def all(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.names]


LONG_AGO = NOW - WITH_A_WORKER - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("depth", "held", "published", "is_forgotten"),
    [
        # The queue was purged, or a gateway died before it sent the message.
        (0, {}, None, True),
        # Messages that were published later were delivered already.
        (5, {}, NOW, True),
        # All waiting messages are as old, or too few were delivered to know.
        (5, {}, LONG_AGO, False),
        (5, {}, None, False),
        # The importer waits for Neo4j: the message may be in a delay queue.
        (0, {"live_records": "Neo4j is away"}, None, False),
        (0, {"llm_analysis": "the provider is away"}, None, True),
    ],
)
def test_only_a_batch_whose_message_is_lost_is_forgotten(
    new_school: Callable[[], School],
    depth: int,
    held: dict[str, str],
    published: datetime | None,
    is_forgotten: bool,
) -> None:
    """Out: each condition of `LostBatches`, or WITH_A_WORKER."""
    school = new_school()
    old, young = school.names
    waiting, jobs = school.gateways[0], school.importer.jobs
    moments = {old: LONG_AGO, young: NOW - WITH_A_WORKER + timedelta(seconds=1)}
    for name, moment in moments.items():
        waiting.add([WaitingBatch(name, int(moment.timestamp()) * SECOND)])
    jobs._redis.delete("edugraph:delivered:live_records")
    if published is not None:
        for _ in range(DELIVERIES_KEPT):
            jobs.note_delivery("j", None, "live_records", published.timestamp(), NOW)
    lost = LostBatches(
        cast("Any", Registry(school.names)),
        waiting,
        jobs,
        queue_depth=lambda _: depth,
        held_queues=lambda: held,
        now=lambda: NOW,
    )
    assert lost.forget() == int(is_forgotten)
    expected = {young: moments[young]} if is_forgotten else moments
    assert waiting.oldest(school.names) == expected


@pytest.mark.parametrize("fault", [Retryable("away"), OtherVersion("is migrated", 7)])
def test_a_batch_in_a_delay_queue_is_not_forgotten(
    new_school: Callable[[], School], fault: Retryable | OtherVersion
) -> None:
    """Out: `tried_again` in `write_live`; `is_tried_again` in `forget`; the time after which the note ends."""
    school = new_school()
    school.next_number = int((LONG_AGO - timedelta(hours=1)).timestamp()) * SECOND
    school.send(0, 1, is_refused=False)
    delayed, other = school.names
    school.fault = fault
    with pytest.raises(type(fault)):
        school.importer.write_live(school.queue[0])
    waiting = school.gateways[1]
    lost_number = int(LONG_AGO.timestamp()) * SECOND
    waiting.add([WaitingBatch(other, lost_number)])
    client = school.importer.jobs._redis
    lost = LostBatches(
        cast("Any", Registry(school.names)),
        waiting,
        school.importer.jobs,
        queue_depth=lambda _: 0,
        held_queues=dict,
        now=lambda: NOW,
    )
    assert lost.forget() == 1
    assert waiting.oldest(school.names).keys() == {delayed}
    again = f"edugraph:live-waiting:{delayed}:again"
    assert LONGEST_BACKOFF_SECONDS < client.ttl(again) <= WITH_A_WORKER.total_seconds()
    # The queue is purged after the message has come back.
    client.delete(again)
    assert lost.forget() == 1


def test_a_source_that_was_removed_changes_no_other(new_school: Callable[[], School]) -> None:
    school = new_school()
    school.send(0, 2, is_refused=False)
    kept = school.names[1]
    assert school.gateways[0].oldest([kept]) == {kept: NOW + timedelta(seconds=1)}
    client = school.importer.jobs._redis
    assert 0 < client.ttl(f"edugraph:live-waiting:{school.names[0]}") <= KEPT.total_seconds()
