"""Texts of live rows: a number a day for each source, and a share of the provider's limit."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from engines import real_servers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importers import importer_on

from edugraph_analyzer.live_share import TOO_LATE, LiveShare, NoTurn
from edugraph_analyzer.service import AnalyzerService
from edugraph_common.contracts.errors import BudgetSpent, Refused, Wait
from edugraph_common.contracts.live_days import live_job_id
from edugraph_common.contracts.messages import (
    Analysis,
    AnalysisBatch,
    ImportRights,
    LiveBatch,
    LivePart,
    LiveTexts,
)
from edugraph_common.contracts.outcomes import BatchOutcome, JobReport
from edugraph_common.runtime.messaging.packed_rows import pack_rows
from edugraph_common.runtime.shared_state.analysis_window import AnalysisWindows
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_common.runtime.shared_state.live_texts import (
    KEPT_SECONDS,
    LiveTextNumbers,
    LiveTurns,
)
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.service import Importer

pytestmark = pytest.mark.real
NOW = datetime(2026, 9, 21, 10, tzinfo=UTC)
NUMBER = int(NOW.timestamp()) * 1_000_000
TODAY = NOW.date()


@pytest.fixture
def client() -> Iterator[Any]:
    found = connect(real_servers()["EDUGRAPH_REDIS_URL"])
    yield found
    found.close()


def texts(most: int, day: date = TODAY, share_percent: int = 50) -> LiveTexts:
    return LiveTexts(most=most, day=day, share_percent=share_percent)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    asked=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=10),
    most=st.integers(1, 12),
)
def test_batches_get_the_number_of_the_day_and_no_more(
    client: Any, asked: list[tuple[int, int]], most: int
) -> None:
    """A batch comes again with the same number of texts. Out: `known` or `left` in take_live_texts.lua."""
    source = f"s-{uuid4().hex[:8]}"
    numbers = LiveTextNumbers(client)
    wanted_by: dict[int, int] = {}
    given_to: dict[int, int] = {}
    for batch, wanted in asked:
        wanted_by.setdefault(batch, wanted)
        left = most - sum(given_to.values())
        expected = given_to.setdefault(batch, min(wanted_by[batch], left))
        found = numbers.take(source, texts(most), NUMBER + batch, wanted_by[batch])
        assert found == expected
    tomorrow = texts(most, TODAY + timedelta(days=1))
    assert numbers.take(source, tomorrow, NUMBER + 99, most + 1) == most
    assert numbers.take(f"{source}-b", texts(most), NUMBER, most + 1) == most
    for day in (TODAY, TODAY + timedelta(days=1)):
        key = f"edugraph:live-texts:{source}:{day.isoformat()}"
        assert client.ttl(key) > 0 or not client.exists(key)
    client.delete(*client.keys(f"edugraph:live-texts:{source}*"))


def pack(source: str, name: str, students: int = 1, share_percent: int | None = 25) -> Analysis:
    records = []
    for number in range(students):
        records.append({"data": {"student_id": f"s{number}"}})
    return Analysis(
        job_id=live_job_id(source, NUMBER),
        pack=name,
        kind="error",
        records=tuple(records),
        share_percent=share_percent,
    )


def wait_of(share: LiveShare, message: Analysis, now: datetime) -> float:
    try:
        share.await_turn(message, now)
    except BudgetSpent as busy:
        return busy.seconds
    return 0.0


def keys_of_turns(source: str) -> list[str]:
    return [f"edugraph:live-turns:{source}", f"edugraph:live-turns:{source}:begun"]


def in_turns(client: Any, source: str) -> set[str]:
    """Return the packs of a source that wait or have begun, and the names of its times."""
    found: set[str] = set()
    for key in keys_of_turns(source):
        found |= set(client.zrange(key, 0, -1))
    return found


def forget_turns(client: Any, *sources: str) -> None:
    for source in sources:
        client.delete(*keys_of_turns(source))


def test_packs_of_a_source_take_their_share_and_no_other_source_waits(client: Any) -> None:
    """60 requests a minute, a quarter of them: a request in four seconds.

    Out: `turn` or `next` in take_live_turn.lua; the students in `_requests`; `end`.
    """
    flooding = f"f-{uuid4().hex[:8]}"
    share = LiveShare(LiveTurns(client), lambda _: 60, one_student_per_pack=True)
    packs = [pack(flooding, f"error-0-{number}", 1 + number % 2) for number in range(6)]
    # Packs of one student and of two: each turn is 4 or 8 seconds after that of the pack before.
    expected = [0, 4, 12, 16, 24, 28]
    assert [wait_of(share, each, NOW) for each in packs] == expected
    # A pack that comes again has the turn that it had, whatever came in between.
    assert [wait_of(share, each, NOW) for each in reversed(packs)] == expected[::-1]
    assert wait_of(share, packs[3], NOW + timedelta(seconds=16)) == 0
    other = pack(f"{flooding}-b", "error-0-0")
    assert wait_of(share, other, NOW) == 0
    of_a_file = pack(flooding, "error-9-9", share_percent=None)
    assert wait_of(share, of_a_file, NOW) == 0
    for each in packs:
        share.end(each)
    assert in_turns(client, flooding) == {"free", "next"}
    # A share that was not used is not made up for later.
    later = NOW + timedelta(hours=1)
    assert wait_of(share, pack(flooding, "error-1-0"), later) == 0
    assert wait_of(share, pack(flooding, "error-1-1"), later) == 4
    forget_turns(client, flooding, f"{flooding}-b")


def test_a_pack_of_several_students_is_one_request_where_they_share_one(client: Any) -> None:
    source = f"f-{uuid4().hex[:8]}"
    share = LiveShare(LiveTurns(client), lambda _: 60, one_student_per_pack=False)
    assert wait_of(share, pack(source, "error-0-0", students=5), NOW) == 0
    assert wait_of(share, pack(source, "error-0-1"), NOW) == 4
    without_limit = LiveShare(LiveTurns(client), lambda _: 0, one_student_per_pack=False)
    assert wait_of(without_limit, pack(source, "error-0-2"), NOW) == 0
    forget_turns(client, source)


def with_deadline(message: Analysis, deadline: datetime) -> Analysis:
    return message.model_copy(update={"deadline": deadline.timestamp()})


def test_a_pack_that_would_wait_beyond_its_deadline_takes_no_turn(client: Any) -> None:
    """Out: `return -1` in take_live_turn.lua; `_LEFT_AFTER_TURN`; `turn > now`."""
    source = f"f-{uuid4().hex[:8]}"
    share = LiveShare(LiveTurns(client), lambda _: 60, one_student_per_pack=False)
    deadline = NOW + timedelta(hours=1, seconds=9)
    for number, seconds in enumerate((0, 4, 8)):
        in_time = with_deadline(pack(source, f"error-0-{number}"), deadline)
        assert wait_of(share, in_time, NOW) == seconds
    for number in range(3, 6):
        with pytest.raises(NoTurn):
            share.await_turn(with_deadline(pack(source, f"error-0-{number}"), deadline), NOW)
    # The packs that are too late have not taken the turns of those that come later.
    later = with_deadline(pack(source, "error-1-0"), deadline + timedelta(seconds=3))
    assert wait_of(share, later, NOW) == 12
    # The replay of a dead letter comes after its deadline. The model is free, so it need not wait.
    replayed = with_deadline(pack(source, "error-0-4"), deadline)
    assert wait_of(share, replayed, deadline + timedelta(days=1)) == 0
    forget_turns(client, source)


def test_the_turns_of_lost_packs_end_while_their_source_sends(client: Any) -> None:
    """Each half day one pack begins and one waits. Out: `ZREMRANGEBYSCORE` or `PEXPIRE` in take_live_turn.lua."""
    source = f"f-{uuid4().hex[:8]}"
    share = LiveShare(LiveTurns(client), lambda _: 60, one_student_per_pack=False)
    seen = []
    for half_days in range(40):
        now = NOW + timedelta(days=half_days / 2)
        assert wait_of(share, pack(source, f"error-{half_days}-0"), now) == 0
        assert wait_of(share, pack(source, f"error-{half_days}-1"), now) == 4
        seen.append(len(in_turns(client, source)))
    of_kept_days = 2 * (2 * KEPT_SECONDS // 86_400 + 1)
    assert max(seen) == of_kept_days + len(["next", "free"])
    for key in keys_of_turns(source):
        assert 0 < client.ttl(key) <= KEPT_SECONDS
    forget_turns(client, source)


def test_a_pack_that_begins_late_delays_no_other(client: Any) -> None:
    """Out: `now - occupied` in take_live_turn.lua."""
    source = f"f-{uuid4().hex[:8]}"
    share = LiveShare(LiveTurns(client), lambda _: 60, one_student_per_pack=False)
    packs = [pack(source, f"error-0-{number}") for number in range(3)]
    assert [wait_of(share, each, NOW) for each in packs] == [0, 4, 8]
    assert wait_of(share, packs[1], NOW + timedelta(seconds=7)) == 0
    assert wait_of(share, packs[2], NOW + timedelta(seconds=8)) == 0
    forget_turns(client, source)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    arrivals=st.lists(st.integers(0, 60), min_size=1, max_size=25),
    away=st.tuples(st.integers(0, 60), st.integers(0, 300)),
    delays=st.lists(st.integers(0, 9), min_size=1, max_size=7),
    students=st.integers(1, 3),
)
def test_no_packs_begin_together_after_nobody_could_analyse_them(
    client: Any, arrivals: list[int], away: tuple[int, int], delays: list[int], students: int
) -> None:
    """Packs come at these seconds, and again after each wait and a delay. Nobody takes them while all is away.

    Within any time, packs begin for at most its share and two packs more, and each of them begins in the end.
    Out: `has_missed_turn`, `free > now` or `begun` in take_live_turn.lua.
    """
    source = f"f-{uuid4().hex[:8]}"
    share = LiveShare(LiveTurns(client), lambda _: 60, one_student_per_pack=True)
    occupied = 4 * students
    away_from = away[0]
    away_until = away_from + away[1]
    coming: list[tuple[float, int]] = []
    for number, arrival in enumerate(arrivals):
        coming.append((float(arrival), number))
    begun: list[float] = []
    asked = 0
    while coming:
        coming.sort()
        second, number = coming.pop(0)
        if away_from <= second < away_until:
            coming.append((float(away_until), number))
            continue
        delay = delays[asked % len(delays)]
        asked += 1
        assert asked < 1_000, "a pack waits for ever"
        message = pack(source, f"error-0-{number}", students)
        wait_seconds = wait_of(share, message, NOW + timedelta(seconds=second))
        if wait_seconds == 0:
            begun.append(second)
            # A pack that comes again has begun, whatever the turns of the others are.
            assert wait_of(share, message, NOW + timedelta(seconds=second)) == 0
        else:
            coming.append((second + wait_seconds + delay, number))
    for first, earlier in enumerate(begun):
        for together, later in enumerate(begun[first:], start=1):
            assert together <= (later - earlier) / occupied + 2
    forget_turns(client, source)


@dataclass
class ModelThatRefuses:
    """Stands for the pipeline when the key of the provider is refused."""

    asked: int = 0

    def analyse(self, _message: Analysis, *, after_texts: bool) -> Any:
        assert not after_texts
        self.asked += 1
        raise Refused("the provider refuses the key")


@pytest.fixture
def analyzer(client: Any, tmp_path: Path) -> AnalyzerService:
    """Return an analyzer that gives packs of live texts a turn each four seconds."""
    model: Any = ModelThatRefuses()
    return AnalyzerService(
        app=None,  # type: ignore[arg-type]
        pipeline=model,
        jobs=Jobs(client),
        windows=AnalysisWindows(client),
        members=CourseMembers(client),
        model_permits=None,  # type: ignore[arg-type]
        blobs=Blobs(str(tmp_path)),
        now=lambda: NOW,
        pack_size=10,
        packs_in_queue=3,
        live_share=LiveShare(LiveTurns(client), lambda _: 60, one_student_per_pack=False),
    )


@pytest.fixture
def day(analyzer: AnalyzerService, client: Any) -> Iterator[str]:
    """Return a new source that has an open job of the day."""
    source = f"f-{uuid4().hex[:8]}"
    job_id = live_job_id(source, NUMBER)
    analyzer.jobs.create(job_id, "import", "live", NOW)
    yield source
    client.zrem("edugraph:jobs", job_id)
    client.delete(*analyzer.jobs.keys_of(job_id))
    forget_turns(client, source)


def test_live_texts_wait_while_the_provider_refuses_them(
    analyzer: AnalyzerService, day: str, client: Any
) -> None:
    """Out: the case of `share_percent` in `except Refused`; `_end_turn` for a cancelled job."""
    message = pack(day, "error-0-0")
    for _ in range(2):
        with pytest.raises(Wait) as wait:
            analyzer.analyse(message)
        assert (wait.value.reason, wait.value.seconds) == ("the provider refuses the key", 600)
    assert analyzer.jobs.message_state(message.job_id, None) == "open"
    # A pack of a file fails its job, which can be resumed.
    of_a_file = pack(f"{day}-b", "error-0-0", share_percent=None)
    analyzer.jobs.create(of_a_file.job_id, "analysis", "error inline", NOW)
    assert analyzer.analyse(of_a_file).state == "cancelled"
    assert analyzer.jobs.message_state(of_a_file.job_id, None) == "ended"
    client.zrem("edugraph:jobs", of_a_file.job_id)
    client.delete(*analyzer.jobs.keys_of(of_a_file.job_id))

    analyzer.jobs.cancel(message.job_id, NOW)
    assert analyzer.analyse(message).state == "cancelled"
    assert in_turns(client, day) == {"free", "next"}


def test_a_pack_without_a_turn_fails_at_once_with_its_reason(
    analyzer: AnalyzerService, day: str, client: Any
) -> None:
    """Out: `except NoTurn`: the pack would be a dead letter."""
    with pytest.raises(Wait):
        analyzer.analyse(pack(day, "error-0-0"))
    late = with_deadline(pack(day, "error-0-1", students=3), NOW + timedelta(minutes=1))
    for _ in range(2):
        outcome = analyzer.analyse(late)
        assert (outcome.state, outcome.failed) == ("analysed", 3)
    found = analyzer.jobs.report(late.job_id, NOW)
    assert found is not None
    assert found.analysis.failed == 3
    job_key = analyzer.jobs.keys_of(late.job_id)[0]
    assert client.hget(job_key, "last_pack_error") == TOO_LATE
    model: Any = analyzer.pipeline
    assert model.asked == 1


@dataclass
class GraphThatWrites:
    retries: dict[str, int] = field(default_factory=dict)
    asked_members: list[str] = field(default_factory=list)

    def prepare(self) -> None: ...

    def write_batch(self, batch: Any) -> BatchOutcome:
        number = len(batch.records)
        return BatchOutcome(
            job_id=batch.job_id, batch=batch.batch, state="written", read=number, written=number
        )

    def restricted_students(self) -> tuple[str, ...]:
        return ()

    def course_members(self, course: str, _most: int) -> dict[str, str]:
        self.asked_members.append(course.rsplit("/", 1)[-1])
        return {}

    def course_contexts(self, _courses: Any) -> tuple[()]:
        return ()

    def courses_of_points(self, _batch: Any) -> set[str]:
        return set()

    def comparison_due(self, _now: float) -> None:
        return None


@dataclass
class Worker:
    importer: Importer
    source: str
    sent: list[tuple[str, AnalysisBatch, str]]

    def write(self, acceptance: int, records: int, most: int | None, course: str = "c") -> None:
        rows = []
        for number in range(records):
            row = {
                "type": "error_record",
                "record_id": f"r{acceptance}-{number}",
                "timestamp": "2026-09-21T08:00:00Z",
                "data": {"student_id": "s", "course_id": course, "error_text": f"{number} + 1"},
            }
            rows.append(row)
        part = LivePart(
            acceptance=acceptance,
            rights=ImportRights(source=self.source, client="k"),
            packed=pack_rows(rows),
            texts=texts(most) if most else None,
        )
        job_id = live_job_id(self.source, acceptance)
        self.importer.write_live(
            LiveBatch(job_id=job_id, parts=(part,), accepted_at=NOW.timestamp())
        )

    def report(self) -> JobReport:
        found = self.importer.jobs.report(live_job_id(self.source, NUMBER), NOW)
        assert found is not None
        return found


@pytest.fixture
def worker(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    sent: list[tuple[str, AnalysisBatch, str]] = []

    def send(_app: Any, task: str, message: Any, *, task_id: str, **_: Any) -> None:
        sent.append((task, message, task_id))

    monkeypatch.setattr("edugraph_importer.service.emit", lambda *_: None)
    monkeypatch.setattr("edugraph_importer.service.send", lambda *_, **__: None)
    monkeypatch.setattr("edugraph_importer.analysis_requests.send", send)
    members = CourseMembers(client)
    members.tell_restricted((), members.epoch())
    importer = importer_on(GraphThatWrites(), client, Blobs(str(tmp_path)), lambda: NOW)
    made = Worker(importer, f"s-{uuid4().hex[:8]}", sent)
    yield made
    job_id = live_job_id(made.source, NUMBER)
    client.zrem("edugraph:jobs", job_id)
    client.delete(*Jobs(client).keys_of(job_id), f"edugraph:live-texts:{made.source}:{TODAY}")


def asked_for(worker: Worker) -> list[list[str]]:
    """Return the ids of the records of each request, without the prefix of the source."""
    found = []
    for task, message, _ in worker.sent:
        assert task == "batch_analyze_errors_task"
        assert message.share_percent == 50
        ids = [record["record_id"].rsplit("/", 1)[-1] for record in message.records or ()]
        assert message.expected == len(ids)
        found.append(ids)
    return found


def test_a_batch_asks_once_for_its_texts_and_for_none_beyond_the_number(worker: Worker) -> None:
    """Out: `_within_budget`; `over_budget` in settle_batch.lua; the answer for a known batch in the script."""
    worker.write(NUMBER, records=3, most=5)
    worker.write(NUMBER + 1, records=4, most=5)
    first = [f"r{NUMBER}-{number}" for number in range(3)]
    second = [f"r{NUMBER + 1}-{number}" for number in range(2)]
    assert asked_for(worker) == [first, second]
    assert (worker.report().analysis.expected, worker.report().over_budget) == (5, 2)

    # Both messages are delivered again: the same requests, by the same ids of tasks, and nothing is counted.
    before = [(message.model_dump_json(), task_id) for _, message, task_id in worker.sent]
    worker.write(NUMBER, records=3, most=5)
    worker.write(NUMBER + 1, records=4, most=5)
    again = [(message.model_dump_json(), task_id) for _, message, task_id in worker.sent[2:]]
    assert again == before
    assert (worker.report().analysis.expected, worker.report().over_budget) == (5, 2)

    worker.write(NUMBER + 2, records=2, most=5)
    assert len(worker.sent) == 4
    assert (worker.report().written, worker.report().over_budget) == (9, 4)


def test_members_are_asked_for_only_if_a_text_of_the_batch_is_analysed(worker: Worker) -> None:
    """Out: `if analysed` in `_write`."""
    graph: Any = worker.importer.graph
    within, beyond = f"{worker.source}-1", f"{worker.source}-2"
    worker.write(NUMBER, records=2, most=2, course=within)
    worker.write(NUMBER + 1, records=2, most=2, course=beyond)
    assert graph.asked_members == [within]


def test_a_batch_that_comes_again_with_fewer_texts_is_not_over_its_number(worker: Worker) -> None:
    """Out: `min` in `_within_budget`."""
    outcomes: list[BatchOutcome] = []
    worker.write(NUMBER, records=3, most=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Importer, "_settle_written", lambda _, __, found, ___: outcomes.append(found))
        worker.write(NUMBER, records=2, most=3)
    assert [(found.analysis_expected, found.over_budget) for found in outcomes] == [(2, 0)]


def test_without_a_number_no_live_text_is_analysed(worker: Worker) -> None:
    worker.write(NUMBER, records=3, most=None)
    assert worker.sent == []
    assert (worker.report().analysis.expected, worker.report().over_budget) == (0, 0)


def test_the_findings_of_a_day_that_redis_lost_make_no_failed_job(worker: Worker) -> None:
    """Out: `is_live_job` in `_bring_back`: the day would be a failed analysis for ever."""
    job_id = live_job_id(worker.source, NUMBER)
    worker.importer._bring_back(job_id, 0)
    assert worker.importer.jobs.report(job_id, NOW) is None
