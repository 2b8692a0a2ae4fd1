"""The ledger's rows go when nothing else is kept of their job, and what comes after that is refused."""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import neo4j
import pytest
from rooms import Room
from threads import at_once

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.findings import ErrorFinding, Origin, RecordFinding
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record, Withdrawal, parse_record
from edugraph_importer.graph import Graph, RecordBatch, RecordRetention, apply, retention
from edugraph_importer.graph.apply import ENDED_JOB

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEPT = timedelta(days=30)
ORIGIN = Origin(analyser="offline", model="lexicon", prompt_version="1")
WRONG = Reject(line=9, field="type", expected="one", found="Ada Lovelace", reason="is wrong")
ROWS = "MATCH (b) WHERE b:ImportBatch OR b:FindingsPack RETURN b.id AS id ORDER BY id"
COUNTS = """
MATCH (j:ImportJob) WHERE j.closed IS NOT NULL
RETURN j.id AS id, j.batches AS batches, j.packs AS packs, j.read AS read, j.written AS written, j.findings AS findings
ORDER BY id
"""


def mistake(number: int) -> Record:
    data = {"student_id": f"s{number}", "course_id": "c", "error_text": "1+1=3"}
    return parse_record(
        {
            "type": "error_record",
            "timestamp": "2026-01-01T00:00:00Z",
            "record_id": f"e{number}",
            "data": data,
        }
    )


def batch(job: str, number: int, *records: Record, rejects: Sequence[Reject] = ()) -> RecordBatch:
    read = len(records) + len(rejects)
    return RecordBatch(job, number, list(enumerate(records, start=1)), rejects, read)


def pack(job: str, number: int) -> Findings:
    finding = ErrorFinding(confidence=0.5, difficulty="beginner")
    found = RecordFinding(record=mistake(number).to_json(), finding=finding, origin=ORIGIN)
    return Findings(job_id=job, pack=f"error-{number}", findings=(found,))


@dataclass
class Keeper:
    """Compacts the ledger of a room, as often as it is asked to, at a time that passes between."""

    room: Room
    over: set[str] = field(default_factory=set)
    now: datetime = NOW

    def round(
        self, after: timedelta = timedelta(hours=1), go_on: Callable[[], bool] = lambda: True
    ) -> int:
        self.now += after
        with closing(
            Graph(self.room.settings, RecordRetention(0, 0, 90, KEPT.days, lambda: self.now))
        ) as graph:
            return graph.compact_ledger(self.of, go_on).rows

    def of(self, job_ids: Collection[str]) -> set[str]:
        return self.over.intersection(job_ids)

    def close(self, *jobs: str) -> None:
        self.over |= {*jobs}
        self.round()
        self.round(KEPT)

    def rows(self) -> list[str]:
        return [row["id"] for row in self.room.query(ROWS)]


@pytest.fixture
def keeper(graph: Graph, room: Room) -> Keeper:
    """An import of two batches and a pack, an analysis of one pack, and an import that goes on."""
    graph.write_batch(batch("old", 0, mistake(1), mistake(2), rejects=[WRONG]))
    graph.write_batch(batch("old", 1, mistake(3)))
    for job, number in (("old", 1), ("texts", 2)):
        graph.write_findings(pack(job, number))
    graph.write_batch(batch("runs", 0, mistake(4)))
    return Keeper(room)


OLD_ROWS = ["old:0", "old:1", "old:error-1", "texts:error-2"]
OLD_COUNTS = [
    {"id": "old", "batches": 2, "packs": 1, "read": 4, "written": 3, "findings": 1},
    {"id": "texts", "batches": None, "packs": 1, "read": None, "written": None, "findings": 1},
]


def test_rows_go_once_their_job_was_over_for_a_while(keeper: Keeper) -> None:
    """Out: `kept` in `compact`, or CLOSING."""
    digest, whole = keeper.room.digest(), [*OLD_ROWS[:3], "runs:0", OLD_ROWS[3]]
    keeper.over = {"old", "texts"}
    assert (keeper.round(), keeper.round(KEPT - timedelta(minutes=1)), keeper.rows()) == (
        0,
        0,
        whole,
    )
    assert keeper.room.query(COUNTS) == []
    # The round that closes the jobs leaves the rows to a later one.
    assert (
        keeper.round(timedelta(hours=1)),
        keeper.round(timedelta(seconds=1)),
        keeper.rows(),
    ) == (0, 0, whole)
    assert (keeper.round(), keeper.rows(), keeper.round()) == (4, ["runs:0"], 0)
    assert keeper.room.query(COUNTS) == OLD_COUNTS
    assert "Ada" not in str(keeper.room.query("MATCH (j:ImportJob) RETURN properties(j) AS all"))
    assert keeper.room.digest() == digest


COUNTED = ("read", "written", "replaced", "unchanged", "older", "taken_back", "rejected", "unknown")


def test_each_count_of_the_rows_that_go_is_kept(keeper: Keeper, graph: Graph) -> None:
    """Out: a name in `_FOLDED`."""
    later = mistake(1).model_copy(update={"timestamp": NOW})
    withdrawn = [
        (line, Withdrawal(record_id=each, timestamp=NOW))
        for line, each in ((5, "e3"), (6, "unknown"))
    ]
    graph.write_batch(
        replace(
            batch("late", 0, later, mistake(2), mistake(5), rejects=[WRONG]),
            withdrawn=withdrawn,
            read=6,
        )
    )
    graph.write_batch(batch("late", 1, mistake(1), mistake(3)))
    keeper.close("late")
    assert keeper.round() == 2
    [kept] = keeper.room.query("MATCH (j:ImportJob {id: 'late'}) RETURN properties(j) AS p")
    assert {name: kept["p"][name] for name in COUNTED} == {
        "read": 8,
        "written": 3,  # one record and two withdrawals
        "replaced": 1,
        "unchanged": 1,
        "older": 1,
        "taken_back": 1,
        "rejected": 1,
        "unknown": 1,
    }
    assert kept["p"]["batches"] == 2


def test_a_job_that_comes_back_has_its_time_anew(keeper: Keeper) -> None:
    """Out: the step of `compact` that takes back since when a job is over."""
    keeper.over = {"old"}
    keeper.round()
    keeper.over = set()
    keeper.round(KEPT)
    keeper.over = {"old"}
    keeper.round()
    keeper.round(KEPT - timedelta(hours=2))
    assert keeper.room.query(COUNTS) == []
    keeper.round(timedelta(hours=4))
    assert [row["id"] for row in keeper.room.query(COUNTS)] == ["old"]


def test_what_comes_of_a_closed_job_is_answered_by_its_row_or_refused(
    keeper: Keeper, graph: Graph
) -> None:
    """What the job wrote is gone meanwhile, so that whoever wrote it again would bring it back. Out: `job` in `begin`."""
    graph.remove("course", "c", lambda: True)
    digest = keeper.room.digest()
    keeper.close("old", "texts")
    # The answer is that of the row, and nothing is written.
    assert graph.write_batch(batch("old", 1, mistake(3))).written == 1
    with pytest.raises(Rejected, match="ended long ago"):
        graph.write_batch(batch("old", 7, mistake(3)))
    keeper.round()
    for write in (
        lambda: graph.write_batch(batch("old", 1, mistake(3))),
        lambda: graph.write_findings(pack("old", 1)),
        lambda: graph.write_findings(pack("texts", 2)),
    ):
        with pytest.raises(Rejected) as refused:
            write()
        assert refused.value.reason == ENDED_JOB["closed"]
    assert (keeper.rows(), keeper.room.digest()) == (["runs:0"], digest)
    assert graph.write_batch(batch("new", 0, mistake(3))).written == 1


def test_of_a_job_that_was_undone_nothing_more_is_written(keeper: Keeper, graph: Graph) -> None:
    """A letter of it that was dead meanwhile would else bring a part of it back. Out: `j.undone` in `begin`."""
    graph.begin_undo("old")
    assert graph.write_batch(batch("old", 1, mistake(3))).written == 1
    with pytest.raises(Rejected, match="undone"):
        graph.write_batch(batch("old", 7, mistake(5)))
    keeper.close("old")
    keeper.round()
    with pytest.raises(Rejected, match="undone"):
        graph.write_batch(batch("old", 1, mistake(3)))


def test_what_a_closed_job_wrote_is_not_told_as_nothing(keeper: Keeper, graph: Graph) -> None:
    """Out: the question in `written_batches`: undoing it would say that all of it was taken back."""
    assert graph.written_batches("old") == {0, 1}
    keeper.close("old")
    with pytest.raises(Rejected, match="ended long ago"):
        graph.written_batches("old")


def test_each_row_is_counted_once_wherever_it_breaks_off(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the transaction that counts rows and deletes them, such as counts that are written by another one."""
    monkeypatch.setattr("edugraph_importer.graph.retention.RECORDS_AT_ONCE", 1)
    keeper.over = {"old", "texts"}
    run, dies_at = neo4j.Transaction.run, -1

    def die(tx: neo4j.Transaction, *args: Any, **parameters: Any) -> neo4j.Result:
        nonlocal dies_at
        dies_at -= 1
        if dies_at == 0:
            raise KeyboardInterrupt
        return run(tx, *args, **parameters)

    monkeypatch.setattr(neo4j.Transaction, "run", die)
    deaths = 0
    for wait in (timedelta(hours=1), KEPT, timedelta(hours=1)):
        keeper.now += wait
        for statements in range(1, 100):
            dies_at = statements
            try:
                keeper.round(timedelta(0))
            except KeyboardInterrupt:
                deaths += 1
            else:
                break
    assert deaths > 20
    assert (keeper.rows(), keeper.room.query(COUNTS)) == (["runs:0"], OLD_COUNTS)


def test_rows_that_two_take_at_once_are_counted_once(keeper: Keeper, graph: Graph) -> None:
    """Out: `SET j.id = id` in `lock_closed_jobs`."""
    for number in range(2, 40):
        graph.write_batch(batch("old", number))
    keeper.close("old")
    at = keeper.now + timedelta(hours=1)
    pair = [Keeper(keeper.room, keeper.over, at) for _ in range(2)]
    assert sum(at_once(partial(each.round, timedelta(0)) for each in pair)) == 41
    assert keeper.room.query(COUNTS)[0]["batches"] == 40


def test_a_batch_that_is_under_way_when_its_job_closes_is_written_once(
    keeper: Keeper, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two deliveries have begun, and the first one is through when its job is closed. Out: CLOSING."""
    begin, first = apply.begin, True

    def late(*args: Any) -> Any:
        nonlocal first
        begun, is_first, first = begin(*args), first, False
        if is_first and args[1:3] == ("ImportBatch", "old:2"):
            with closing(Graph(keeper.room.settings)) as other:
                other.write_batch(batch("old", 2, mistake(5)))
            keeper.close("old")
            keeper.round(timedelta(seconds=60))
        return begun

    monkeypatch.setattr(apply, "begin", late)
    assert graph.write_batch(batch("old", 2, mistake(5))).written == 1
    keeper.round()
    counted = keeper.room.query(COUNTS)[0]
    assert (counted["batches"], counted["written"]) == (3, 4)


def test_it_stops_when_it_is_told_to_and_goes_on(keeper: Keeper) -> None:
    keeper.close("old", "texts")
    assert keeper.round(go_on=lambda: False) == 0
    assert keeper.round() == 4


def test_a_graph_without_a_retention_keeps_its_ledger(keeper: Keeper, graph: Graph) -> None:
    assert graph.compact_ledger(set, lambda: True) == retention.Compacted(0, finished=True)
    assert len(keeper.rows()) == 5
