"""A source that sends for ninety days: nothing is refused, and neither Redis nor the ledger grows."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from engines import real_servers
from importers import importer_on
from rooms import Room, opened

from edugraph_common.contracts.live_days import end_of_day, live_job_id
from edugraph_common.contracts.messages import ImportRights, LiveBatch, LivePart, LiveTexts
from edugraph_common.contracts.outcomes import BatchOutcome
from edugraph_common.runtime.messaging.packed_rows import pack_rows
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_common.runtime.shared_state.live_counts import LiveCounts
from edugraph_common.runtime.shared_state.live_waiting import LiveWaiting, WaitingBatch
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_gateway.operations.reaper import DAY_KEPT_OPEN, reap
from edugraph_importer.graph import Graph, RecordRetention

pytestmark = pytest.mark.real
FIRST = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAYS = 91
# The source sends every third day.
STEP_DAYS = 3
BATCHES_A_DAY = 2
# The days on which the graph is Neo4j. On the others it is a double, which takes no time.
IN_NEO4J = 30
JOBS_KEPT_DAYS, LEDGER_DAYS = 10, 5
# By then the first jobs, counts and rows of the ledger have gone.
STEADY_DAY = 60


@dataclass
class GraphOfOtherDays:
    retries: dict[str, int] = field(default_factory=dict)

    def prepare(self) -> None: ...

    def write_batch(self, batch: Any) -> BatchOutcome:
        return BatchOutcome(
            job_id=batch.job_id, batch=batch.batch, state="written", read=1, written=1
        )

    def restricted_students(self) -> tuple[str, ...]:
        return ()

    def course_members(self, _course: str, _most: int) -> dict[str, str]:
        return {}

    def course_contexts(self, _courses: Any) -> tuple[()]:
        return ()

    def courses_of_points(self, _batch: Any) -> set[str]:
        return set()

    def comparison_due(self, _now: float) -> None:
        return None


class Submitter:
    """A gateway as the reaper uses it. Nothing is sent."""

    def __init__(self, jobs: Jobs, school: "School") -> None:
        self.jobs = jobs
        self.publisher = self
        self._school = school

    def now(self) -> datetime:
        return self._school.now

    def new_id(self) -> str:
        return "r"

    async def send(self, *_: Any, **__: Any) -> None: ...


@dataclass
class School:
    """A gateway and an importer whose clock is `now`."""

    client: Any
    room: Room
    blobs: Blobs
    source: str
    now: datetime = FIRST
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.client, JOBS_KEPT_DAYS * 86_400)
        retention = RecordRetention(0, 0, 90, LEDGER_DAYS, lambda: self.now)
        self.graph = Graph(self.room.settings, retention)
        self.in_neo4j = self._importer(self.graph)
        self.elsewhere = self._importer(GraphOfOtherDays())

    def _importer(self, graph: Any) -> Any:
        importer = importer_on(graph, self.client, self.blobs, lambda: self.now)
        object.__setattr__(importer, "jobs", self.jobs)
        return importer

    def send(self, day: int, number: int, importer: Any) -> str:
        """Accept a batch of one record as a gateway does, and write it. Return its job."""
        acceptance = int(self.now.timestamp()) * 1_000_000 + number
        row = {
            "type": "error_record",
            "record_id": f"r{day}-{number}",
            "timestamp": self.now.isoformat(),
            "data": {"student_id": "s", "course_id": "c", "error_text": "1 + 1 = 3"},
        }
        texts = LiveTexts(most=BATCHES_A_DAY - 1, day=self.now.date(), share_percent=20)
        part = LivePart(
            acceptance=acceptance,
            rights=ImportRights(source=self.source, client="k"),
            packed=pack_rows([row]),
            texts=texts,
        )
        job_id = live_job_id(self.source, acceptance)
        LiveWaiting(self.client).add([WaitingBatch(self.source, acceptance)])
        LiveCounts(self.client).add(
            self.source, {"accepted": 1}, self.now.date(), accepted_at=self.now
        )
        message = LiveBatch(job_id=job_id, parts=(part,), accepted_at=self.now.timestamp())
        importer.write_live(message)
        return job_id

    def end_day(self, job_id: str) -> None:
        """Let the night pass: the texts are analysed, and the reaper ends the job of the day."""
        fields = self.client.hgetall(f"edugraph:job:{{{job_id}}}")
        self.client.hset(f"edugraph:job:{{{job_id}}}", "analysis_done", fields["analysis_expected"])
        self.now = end_of_day(job_id) + DAY_KEPT_OPEN + timedelta(minutes=30)
        self.client.delete("edugraph:reaping")
        submitter = cast("Any", Submitter(self.jobs, self))
        asyncio.run(reap(submitter, lambda _: 0))

    def let_keys_age(self, by: timedelta) -> None:
        """Do what Redis does while this time passes: keys come nearer to their end, or go."""
        milliseconds = round(by.total_seconds() * 1_000)
        keys = self.keys()
        pipe = self.client.pipeline()
        for key in keys:
            pipe.pttl(key)
        for key, left in zip(keys, pipe.execute(), strict=True):
            if left > milliseconds:
                pipe.pexpire(key, left - milliseconds)
            elif left >= 0:
                pipe.delete(key)
        pipe.execute()

    def keys(self) -> list[str]:
        """Return the keys of the source, and the results of its tasks."""
        return sorted(self.client.keys(f"*{self.source}*"))

    def size(self) -> tuple[int, int, int, int]:
        """Return the keys of the source, their bytes, its entries in the list of jobs, and its rows in the ledger."""
        keys = self.keys()
        number_of_bytes = sum(self.client.memory_usage(key) or 0 for key in keys)
        listed = [
            each for each in self.client.zrange("edugraph:jobs", 0, -1) if self.source in each
        ]
        rows = self.room.query("MATCH (b:ImportBatch) RETURN count(b) AS number")
        return len(keys), number_of_bytes, len(listed), rows[0]["number"]


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[School]:
    for name in ("service.emit", "service.send", "analysis_requests.send"):
        monkeypatch.setattr(f"edugraph_importer.{name}", lambda *_, **__: None)
    client = connect(real_servers()["EDUGRAPH_REDIS_URL"])
    members = CourseMembers(client)
    members.tell_restricted((), members.epoch())
    with opened("neo4j", tmp_path) as room:
        room.empty()
        made = School(client, room, Blobs(str(tmp_path)), f"s-{uuid4().hex[:8]}")
        yield made
        made.graph.close()
        room.empty()
    jobs = [each for each in client.zrange("edugraph:jobs", 0, -1) if made.source in each]
    if jobs:
        client.zrem("edugraph:jobs", *jobs)
    if made.keys():
        client.delete(*made.keys())
    client.close()


def test_a_source_sends_for_ninety_days(school: School) -> None:
    """Out: `end_day` in the reaper; `expire` in LiveCounts or take_live_texts.lua; `compact_ledger`."""
    sizes = {}
    for day in range(0, DAYS, STEP_DAYS):
        school.now = FIRST + timedelta(days=day)
        is_in_neo4j = day % IN_NEO4J == 0
        importer = school.in_neo4j if is_in_neo4j else school.elsewhere
        job_ids = {school.send(day, number, importer) for number in range(BATCHES_A_DAY)}
        [job_id] = job_ids
        report = school.jobs.report(job_id, school.now)
        assert report is not None
        assert (report.state, report.read, report.written) == ("running", 2, 2)
        assert (report.analysis.expected, report.over_budget) == (1, 1)
        assert LiveWaiting(school.client).oldest([school.source]) == {}
        school.end_day(job_id)
        ended = school.jobs.report(job_id, school.now)
        assert ended is not None
        assert (ended.state, ended.written) == ("succeeded", BATCHES_A_DAY)
        if is_in_neo4j:
            # Three rounds: a job is noted as over, closed, and its rows are folded.
            for hours in (0, 24 * LEDGER_DAYS + 1, 24 * LEDGER_DAYS + 3):
                at = school.now
                school.now = at + timedelta(hours=hours)
                school.in_neo4j.end_old_records()
                school.now = at
        school.let_keys_age(timedelta(days=STEP_DAYS))
        school.jobs.forget_expired(school.now)
        if day in (30, STEADY_DAY, 90):
            sizes[day] = school.size()

    days_in_neo4j = len(range(0, DAYS, IN_NEO4J))
    [found] = school.room.query("MATCH (n:ErrorRecord) RETURN count(n) AS number")
    assert found["number"] == days_in_neo4j * BATCHES_A_DAY
    keys, number_of_bytes, listed, rows = sizes[90]
    assert (keys, listed, rows) == (
        sizes[STEADY_DAY][0],
        sizes[STEADY_DAY][2],
        sizes[STEADY_DAY][3],
    )
    assert number_of_bytes <= 1.05 * sizes[STEADY_DAY][1]
    # A job of a day is kept for ten days, its counts for 40 days, and the numbers of texts for eight.
    assert listed <= JOBS_KEPT_DAYS / STEP_DAYS + 1
    assert keys <= (JOBS_KEPT_DAYS / STEP_DAYS + 1) * 3 + 40 / STEP_DAYS + 8 / STEP_DAYS + 3
    assert rows <= BATCHES_A_DAY, "only the rows of the last day are left"
