"""The window of a job's analysis: whatever fails or comes twice, each pack is counted once and the job ends."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edugraph_analyzer import service as analyzer_service
from edugraph_analyzer.pipeline import PackResult, Unanswered
from edugraph_analyzer.service import AnalyzerService
from edugraph_common.contracts.errors import QueueFull, Retryable, Wait
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import (
    Analysis,
    AnalysisBatch,
    AnalysisWindow,
    ByteRange,
    Findings,
    ImportJob,
    Message,
)
from edugraph_common.contracts.outcomes import AnalysisProgress, BatchOutcome, JobReport
from edugraph_common.runtime.messaging import lost_jobs
from edugraph_common.runtime.shared_state.analysis_window import START, AnalysisWindows
from edugraph_common.runtime.shared_state.job_store import Jobs, connect, keys_of_job
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.stored_jobs import store_job

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
PACK, WINDOW = 10, 3
# Kind, batch and the number of its records: one batch fills no pack, one is exactly two, one is more than a window.
REQUESTS: tuple[tuple[Kind, int, int], ...] = (
    ("interaction", 0, 4),
    ("error", 0, 20),
    ("interaction", 1, 45),
    ("knowledge_points", 1, 5),
)
RECORDS = sum(records for _, _, records in REQUESTS)
GOLDEN = Path(__file__).parents[1] / "contract" / "golden" / "findings.v1.json"
FOUND = Findings.model_validate_json(GOLDEN.read_text(encoding="utf-8")).findings[0]


@dataclass
class World:
    """A broker that may refuse, an importer that asks, and one analyzer. What each delivery ends in is chosen."""

    server: "redis.Redis"
    blobs: Blobs
    job_id: str = field(default_factory=lambda: uuid4().hex)
    queue: list[Message] = field(default_factory=list)
    unsettled: list[Findings] = field(default_factory=list)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    after_texts: list[tuple[Kind, bool]] = field(default_factory=list)
    requests: tuple[tuple[Kind, int, int], ...] = REQUESTS
    clock: datetime = NOW
    most_in_queue: int = 0  # of course texts, or of all others
    accepts: int = 1_000_000  # messages until the broker refuses one
    generation: int = 0
    counts_findings: bool = False
    gone: int = 0  # records of each pack that its rows have no more

    def __post_init__(self) -> None:
        self.jobs, self.windows = Jobs(self.server), AnalysisWindows(self.server)
        self.service = AnalyzerService(
            app=None,  # type: ignore[arg-type]  # `send` is this world's
            pipeline=self,  # type: ignore[arg-type]
            jobs=self.jobs,
            windows=self.windows,
            members=None,  # type: ignore[arg-type]  # asked by the pipeline, which is this world
            model_permits=None,  # type: ignore[arg-type]
            blobs=self.blobs,
            now=lambda: self.clock,
            pack_size=PACK,
            packs_in_queue=WINDOW,
            findings_waiting=lambda: len(self.unsettled) if self.counts_findings else 0,
        )
        store_job(
            self.blobs, ImportJob(job_id=self.job_id, source=f"jobs/{self.job_id}/source.ndjson")
        )
        self.import_all()

    # What the service calls.

    def analyse(self, message: Analysis, *, after_texts: bool = False) -> PackResult:
        self.after_texts.append((message.kind, after_texts))
        self.asked.append((message.pack.rsplit("-", 1)[0], message.first, message.count))
        gone = min(self.gone, message.count)
        found = tuple(
            FOUND.model_copy(update={"record": {"record_id": f"{message.first + number}"}})
            for number in range(message.count - gone)
        )
        return PackResult(found, (Unanswered("(record)", "is gone"),) * gone)

    def send(
        self, _: Any, task: str, message: Message, *, task_id: str, urgent: bool = False
    ) -> str:
        assert not urgent, "packs that refer to their rows are those of large jobs"
        if self.accepts <= 0:
            raise QueueFull
        self.accepts -= 1
        if task == "begin_import_again_task":
            self.generation = max(self.generation, getattr(message, "generation", 0))
            self.import_all()
        elif task == "record_findings_task":
            assert isinstance(message, Findings)
            self.unsettled.append(message)
        else:
            self.queue.append(message)
        packs = {each.pack for each in self.queue if isinstance(each, Analysis)}
        texts = {pack for pack in packs if pack.startswith("knowledge_points")}
        self.most_in_queue = max(self.most_in_queue, len(texts), len(packs - texts))
        return task_id

    # What happens around it.

    def import_all(self) -> None:
        """As the importer does, for a new job as for one that goes on."""
        self.jobs.create(self.job_id, "import", "a.ndjson", NOW)
        self.jobs.begin(self.job_id, 2, NOW, generation=self.generation)
        for batch in range(2):
            of_batch = [each for each in self.requests if each[1] == batch]
            requests = [
                AnalysisBatch(
                    job_id=self.job_id,
                    batch=batch,
                    kind=kind,
                    rows=ByteRange(source="s", offset=0, length=1, first_line=1),
                    expected=records,
                    pack_records=4 if kind == "knowledge_points" else None,
                    generation=self.generation,
                )
                for kind, _, records in of_batch
            ]
            if requests and self.windows.ask(requests, f"batch-{batch}") == "start":
                self.queue.append(AnalysisWindow(job_id=self.job_id, generation=self.generation))
                self.windows.sent(self.job_id, f"batch-{batch}", START)
            expected = sum(records for _, _, records in of_batch)
            written = BatchOutcome(
                job_id=self.job_id,
                batch=batch,
                state="written",
                read=50,
                written=50,
                analysis_expected=expected,
            )
            self.jobs.settle_batch(written, NOW)
        self.jobs.imported(self.job_id, NOW)

    def deliver(self, which: int, accepts: int = 1_000_000, twice: bool = False) -> None:
        """Hand out one message. One that fails, since the broker takes no more, comes again."""
        message = self.queue.pop(which % len(self.queue))
        self.accepts = accepts
        try:
            if isinstance(message, Analysis):
                self.service.analyse(message)
            elif isinstance(message, AnalysisWindow):
                self.service.publish_packs(message)
        except (Wait, Retryable):
            self.queue.append(message)
        else:
            self.queue += [message] * twice
        self.accepts = 1_000_000

    def settle(self) -> None:
        message = self.unsettled.pop(0)
        progress = AnalysisProgress(done=message.done, failed=message.failed)
        self.jobs.settle_pack(self.job_id, message.pack, progress, NOW, message.error)
        self.jobs.finish_if_complete(self.job_id, NOW)

    def lose_redis(self) -> None:
        self.server.delete(*keys_of_job(self.job_id))

    def cancel_and_resume(self) -> None:
        if self.jobs.cancel(self.job_id, NOW):
            while self.queue:
                asked = len(self.asked)
                self.deliver(0)
                assert len(self.asked) == asked, "a cancelled job asks no more"
            self.generation = self.jobs.resume(self.job_id, NOW)
            self.import_all()

    def report(self) -> JobReport | None:
        return self.jobs.report(self.job_id, NOW)

    def drain(self) -> None:
        for _ in range(500):
            if self.unsettled:  # mistakes wait until what texts say is written
                self.settle()
            elif self.queue:
                self.deliver(0)
            else:
                return
        raise AssertionError("it never ends")


@pytest.fixture(scope="module")
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture(scope="module")
def new_world(
    server: "redis.Redis", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], World]]:
    """Makes a world; what the service sends goes to the one that was made last."""
    worlds: list[World] = []

    def send(*args: Any, **options: Any) -> str:
        return worlds[-1].send(*args, **options)

    def make(**given: Any) -> World:
        worlds.append(World(server, Blobs(str(tmp_path_factory.getbasetemp() / "blobs")), **given))
        return worlds[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyzer_service, "send", send)
        patch.setattr(lost_jobs, "send", send)
        yield make


EVENTS = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 9), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("deliver"), st.integers(0, 9), st.just(100), st.just(False)),
    st.tuples(st.just("settle")),
    st.tuples(st.just("lose_redis")),
    st.tuples(st.just("cancel_and_resume")),
)


@given(events=st.lists(EVENTS, max_size=30))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_record_is_counted_once_whatever_happens(
    new_world: Callable[[], World], events: list[Any]
) -> None:
    """Deliveries in any order, some of them twice; a broker that refuses after none, one or a few messages; a Redis
    that loses the job; a job that is cancelled and resumed.
    """
    world = new_world()
    for name, *arguments in events:
        if (name == "deliver" and not world.queue) or (name == "settle" and not world.unsettled):
            continue
        if name == "lose_redis" and not world.queue and not world.unsettled:
            continue  # the job has ended: nobody need know it any more
        getattr(world, name)(*arguments)
    world.drain()
    report = world.report()
    assert report is not None
    assert (report.state, report.analysis.done, report.analysis.failed) == ("succeeded", RECORDS, 0)


def test_in_peace_each_record_is_asked_once_and_the_window_is_kept(
    new_world: Callable[[], World],
) -> None:
    world = new_world()
    world.drain()
    assert world.most_in_queue == WINDOW
    asked = sorted(
        (pack, record)
        for pack, first, number in world.asked
        for record in range(first, first + number)
    )
    assert asked == sorted(
        (f"{kind}-{batch}", record)
        for kind, batch, records in REQUESTS
        for record in range(records)
    )
    # Nothing is left of the window.
    assert world.server.exists(*keys_of_job(world.job_id)[-2:]) == 0


def test_a_publish_that_is_refused_is_a_wait_and_no_loss(new_world: Callable[[], World]) -> None:
    """Out: the claim in take_packs.lua."""
    world = new_world()
    (start,) = world.queue
    assert isinstance(start, AnalysisWindow)
    world.accepts = 1
    with pytest.raises(QueueFull):
        world.service.publish_packs(start)
    world.accepts = 1_000
    world.service.publish_packs(start)
    packs = [each.pack for each in world.queue[1:] if isinstance(each, Analysis)]
    texts = ["knowledge_points-1-0", "knowledge_points-1-1"]
    assert sorted(packs) == ["error-0-0", "error-0-1", "interaction-0-0", *texts]


def test_a_pack_that_was_given_up_makes_room_for_the_next(new_world: Callable[[], World]) -> None:
    """Out: publish_packs in `pack_failed`."""
    world = new_world()
    while world.queue:
        message = world.queue.pop(0)
        if isinstance(message, Analysis):
            world.service.pack_failed(message, "the provider is away")
        else:
            assert isinstance(message, AnalysisWindow)
            world.service.publish_packs(message)
    failed = world.report()
    assert failed is not None
    assert (failed.state, failed.analysis.failed) == ("partly failed", RECORDS)
    world.generation = world.jobs.resume(world.job_id, NOW)
    world.import_all()
    world.drain()
    resumed = world.report()
    assert resumed is not None
    assert (resumed.state, resumed.analysis.done, resumed.analysis.failed) == (
        "succeeded",
        RECORDS,
        0,
    )
    # No record was asked about the first time, and all were the second time.
    assert sum(number for _, _, number in world.asked) == RECORDS


def test_packs_of_before_a_resume_are_skipped(new_world: Callable[[], World]) -> None:
    world = new_world()
    world.deliver(0)
    old = [each for each in world.queue if isinstance(each, Analysis)]
    world.jobs.cancel(world.job_id, NOW)
    world.generation = world.jobs.resume(world.job_id, NOW)
    assert {world.service.analyse(pack).state for pack in old} == {"cancelled"}
    assert world.asked == []


def test_records_that_have_no_finding_are_asked_again_when_the_job_goes_on(
    new_world: Callable[[], World],
) -> None:
    """Out: the packs that resume_job.lua forgets."""
    world = new_world()
    world.gone = 3
    world.drain()
    report = world.report()
    assert report is not None
    # One of the packs has one record.
    assert report.analysis.failed == 3 * (len(world.asked) - 1) + 1
    assert (report.state, report.analysis.done + report.analysis.failed) == (
        "partly failed",
        RECORDS,
    )
    assert report.error == "is gone"
    world.gone = 0
    world.generation = world.jobs.resume(world.job_id, NOW)
    world.import_all()
    world.drain()
    resumed = world.report()
    assert resumed is not None
    assert (resumed.state, resumed.analysis.done) == ("succeeded", RECORDS)


def test_a_batch_that_asks_twice_is_asked_once(new_world: Callable[[], World]) -> None:
    """As its task does that comes again. Out: LPOS in ask_analysis.lua."""
    world = new_world()
    world.import_all()
    world.drain()
    assert sum(number for _, _, number in world.asked) == RECORDS


def test_a_job_that_was_cancelled_or_resumed_gives_out_no_packs(
    new_world: Callable[[], World],
) -> None:
    """Out: `closed` in keys_of_job.lua."""
    world = new_world()
    request = AnalysisBatch(
        job_id=world.job_id,
        batch=0,
        kind="error",
        rows=ByteRange(source="s", offset=0, length=1, first_line=1),
        expected=1,
        generation=0,
    )
    world.jobs.cancel(world.job_id, NOW)
    for message_state in ("cancelled", "stale"):
        assert world.windows.take(world.job_id, 0, START, NOW, most=9, pack_records=PACK) == (
            message_state,
            [],
        )
        assert world.windows.ask([request], "batch-0") == message_state
        world.jobs.resume(world.job_id, NOW)
    unsaid = world.windows.take(world.job_id, None, START, NOW, most=9, pack_records=PACK)
    assert unsaid.state == "open"  # a message without a generation is never stale


TEXT_AND_MISTAKES: tuple[tuple[Kind, int, int], ...] = (
    ("knowledge_points", 0, 4),
    ("error", 0, 4),
    ("interaction", 0, 4),
)


def test_mistakes_and_messages_wait_until_the_graph_has_the_texts_that_came_before_them(
    new_world: Callable[..., World],
) -> None:
    """Out: `_after_texts` of the service, the mark in take_packs.lua, or the HDEL in settle_pack.lua; or only
    mistakes in `_after_texts`.
    """
    world = new_world(requests=TEXT_AND_MISTAKES)
    world.deliver(0)
    kinds = [each.kind for each in world.queue if isinstance(each, Analysis)]
    assert kinds == ["knowledge_points", "error", "interaction"]
    world.deliver(1)
    world.deliver(1)
    assert world.asked == []
    world.drain()
    assert world.asked[0][0] == "knowledge_points-0"
    assert ("knowledge_points", False) in world.after_texts
    assert {each for each in world.after_texts if each[1]} == {
        ("error", True),
        ("interaction", True),
    }


def test_a_text_that_is_not_read_holds_mistakes_up_for_ten_minutes(
    new_world: Callable[..., World],
) -> None:
    world = new_world(requests=TEXT_AND_MISTAKES)
    world.deliver(0)
    world.clock = NOW + timedelta(seconds=599)
    world.deliver(1)
    assert world.asked == []
    world.clock = NOW + timedelta(seconds=600)
    world.deliver(2)
    assert world.asked == [("error-0", 0, 4)]


def test_mistakes_of_a_job_without_texts_wait_for_nothing(new_world: Callable[..., World]) -> None:
    world = new_world(requests=(("error", 0, 4),))
    world.deliver(0)
    world.deliver(0)
    assert world.after_texts == [("error", False)]


def _batch_of(world: World, kind: Kind, batch: int, records: int) -> AnalysisBatch:
    return AnalysisBatch(
        job_id=world.job_id,
        batch=batch,
        kind=kind,
        rows=ByteRange(source="s", offset=0, length=1, first_line=1),
        expected=records,
        pack_records=PACK,
        generation=0,
    )


def test_texts_overtake_all_that_is_not_published_and_find_room_beside_mistakes_that_wait(
    new_world: Callable[..., World],
) -> None:
    """Out: LINSERT in ask_analysis.lua; the place after the request that has begun; the room of texts in take_packs.lua."""
    world = new_world(requests=())

    def taken(by: str) -> list[str]:
        packs = world.windows.take(world.job_id, 0, by, NOW, most=2, pack_records=PACK).packs
        for pack in packs:
            world.windows.sent(world.job_id, by, pack.pack)
        return [pack.pack for pack in packs]

    world.windows.ask(
        [_batch_of(world, "error", 0, 3 * PACK), _batch_of(world, "interaction", 0, PACK)],
        "batch-0",
    )
    assert taken(START) == ["error-0-0", "error-0-1"]
    for batch in (1, 2):
        of_batch = [
            _batch_of(world, "knowledge_points", batch, PACK),
            _batch_of(world, "error", batch, PACK),
        ]
        world.windows.ask(of_batch, f"batch-{batch}")
    assert taken(START) == [], "the request that has begun stays at the head"
    assert taken("error-0-0") == ["error-0-2", "knowledge_points-1-0", "knowledge_points-2-0"]
    assert taken("knowledge_points-1-0") == []
    assert taken("error-0-1") == ["interaction-0-0"]
    assert taken("error-0-2") == ["error-1-0"]


def test_mistakes_wait_while_their_import_may_come_upon_texts_for_two_minutes(
    new_world: Callable[..., World],
) -> None:
    """Out: `read_since`."""
    world = new_world(requests=(("error", 0, 4), ("interaction", 0, 4)))
    world.jobs.create(job_id := uuid4().hex, "import", "a.ndjson", NOW)
    world.jobs.begin(job_id, 2, NOW)
    for batch, expected in ((0, NOW.timestamp()), (1, None)):
        assert world.windows.texts(job_id).read_since == NOW.timestamp()
        outcome = BatchOutcome(job_id=job_id, batch=batch, state="written", read=1, written=1)
        world.jobs.settle_batch(outcome, NOW)
        assert world.windows.texts(job_id).read_since == expected
    world.jobs.begin(world.job_id, 3, NOW, first_batch=2)  # two are done
    world.server.hset(keys_of_job(world.job_id)[0], "imported", 0)
    world.deliver(0)
    for seconds, asked in ((0, []), (119, []), (120, [("error-0", 0, 4)])):
        world.clock = NOW + timedelta(seconds=seconds)
        world.deliver(
            next(
                place
                for place, each in enumerate(world.queue)
                if getattr(each, "kind", "") == "error"
            )
        )
        assert world.asked == asked
    world.deliver(0)
    assert world.asked[-1] == ("interaction-0", 0, 4)


def test_an_import_of_one_batch_has_asked_for_its_texts_when_its_mistakes_are_read(
    new_world: Callable[..., World],
) -> None:
    world = new_world()
    world.jobs.create(job_id := uuid4().hex, "import", "a.ndjson", NOW)
    world.jobs.begin(job_id, 1, NOW)
    assert world.windows.texts(job_id).read_since is None


def test_mistakes_that_hold_their_records_wait_for_texts_that_do(
    new_world: Callable[..., World],
) -> None:
    """Out: mark_texts.lua; its look whether the job is there; or a look at `rows` in `_after_texts`."""
    world = new_world(requests=())
    mistake = Analysis(
        job_id=world.job_id, pack="error-0-0", kind="error", records=({"record_id": "m"},)
    )
    world.windows.texts_sent(world.job_id, ["knowledge_points-0-0", "knowledge_points-0-1"], NOW)
    for number in range(2):
        with pytest.raises(Wait, match="texts of its courses"):
            world.service.analyse(mistake)
        world.jobs.settle_pack(
            world.job_id, f"knowledge_points-0-{number}", AnalysisProgress(done=1), NOW
        )
    assert world.windows.texts(world.job_id) == (True, None, None)
    world.windows.texts_sent(unknown := uuid4().hex, ["knowledge_points-0-0"], NOW)
    assert not world.server.exists(keys_of_job(unknown)[0])


def test_what_is_still_to_be_analysed_is_counted_also_where_it_is_in_no_queue(
    new_world: Callable[[], World],
) -> None:
    """Out: any of the counts in Jobs.records_to_analyse. Other tests' jobs may be there, so the change is what counts."""
    nothing = Jobs(new_world().server).records_to_analyse(NOW)
    world = new_world()
    assert world.jobs.records_to_analyse(NOW) == nothing + RECORDS
    world.gone = 1
    while world.queue:
        world.deliver(0)
        if world.unsettled:
            world.settle()
        report = world.report()
        assert report is not None
        left = RECORDS - report.analysis.done - report.analysis.failed
        assert world.jobs.records_to_analyse(NOW) == nothing + left
    assert world.jobs.records_to_analyse(NOW) == nothing
    again = new_world()
    again.jobs.cancel(again.job_id, NOW)
    assert again.jobs.records_to_analyse(NOW) == nothing


def test_no_pack_is_analysed_while_the_graph_is_far_behind(
    new_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the model is faster, findings would fill their queue. Out: `findings_waiting` in AnalyzerService.analyse."""
    monkeypatch.setattr(analyzer_service, "MOST_FINDINGS_WAITING", 2)
    world, most = new_world(), 0
    world.counts_findings = True
    while world.queue:
        before = len(world.queue), len(world.unsettled)
        world.deliver(0)
        most = max(most, len(world.unsettled))
        if (len(world.queue), len(world.unsettled)) == before and world.unsettled:
            world.settle()
    world.drain()
    assert most == 3
    report = world.report()
    assert report is not None
    assert (report.state, report.analysis.done) == ("succeeded", RECORDS)
