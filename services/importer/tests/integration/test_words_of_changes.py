"""The words of transactions name every record that changes, whatever changes it, and every course that it concerns."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rooms import Room
from threads import at_once

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.graph_schema import RECORD_LABELS
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.reviews import FindingReview, text_hash
from edugraph_common.runtime.shared_state.graph_changes import ALL_COURSES, GraphChange, new_word
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.batching import read_batch
from edugraph_importer.graph import Graph
from edugraph_importer.graph.repository import RecordRetention
from edugraph_importer.graph.statements import CYPHER
from edugraph_importer.undo import read_stored_rows, undo_import

from .imports import split
from .random_imports import (
    SLOW_EXAMPLES,
    WITH_PERSONS,
    batch,
    finding_lists,
    latest_only,
    pack,
    record_lists,
    versions_of,
)

# Properties that say nothing of a record's content: they are about versions, renamings and transactions.
KEEPING = {"written", "reading", "changed_at", "accepted", "row", "history", "renamed"}
# The texts of the first days are over, and the records of none.
NOW = datetime(2026, 1, 31, tzinfo=UTC)
RETENTION = RecordRetention(
    text_days=29, record_days=0, orphan_review_days=0, ledger_days=0, now=lambda: NOW
)
# The engine of the demo has no label Record, so each label of records is asked for.
RECORDS = """
MATCH (n:{label})
OPTIONAL MATCH (n)-[r]-(m)
RETURN n.id AS id, properties(n) AS properties,
  collect([type(r), properties(r), labels(m)[0], m.id]) AS links
"""
DAYS = """
MATCH (n:ActiveDay)<-[:ACTIVE_ON]-(s)
RETURN n.id AS id, properties(n) AS properties, collect(['ACTIVE_ON', {}, 'Student', s.id]) AS links
"""


@dataclass(frozen=True)
class Content:
    """The content of a record, its label, the students whom it is about, and its courses."""

    label: str
    text: str
    students: frozenset[str]
    courses: frozenset[str]

    @classmethod
    def read(cls, label: str, row: dict[str, Any]) -> "Content":
        kept = {name: value for name, value in row["properties"].items() if name not in KEEPING}
        links = sorted(repr(link) for link in row["links"])
        students = {link[3] for link in row["links"] if link[2] == "Student"}
        courses = {link[3] for link in row["links"] if link[0] == "IN_COURSE"}
        if "hours" in kept:
            courses = {kept["course_id"]}
        text = repr((sorted(kept.items()), links))
        return cls(label, text, frozenset(students), frozenset(courses))

    def lost_by(self, later: "Content | None") -> frozenset[str]:
        """Return the students who lost this record, or a part of it that a reader of one course keeps."""
        if later is None or later.label != self.label or self.courses - later.courses:
            return self.students
        return self.students - later.students


Contents = dict[str, Content]


def contents(room: Room) -> Contents:
    found = {row["id"]: Content.read("ActiveDay", row) for row in room.query(DAYS)}
    for label in RECORD_LABELS:
        for row in room.query(RECORDS.format(label=label)):
            found[row["id"]] = Content.read(label, row)
    return found


@dataclass
class Told:
    """The changes that an importer tells, unless Redis does not answer."""

    changes: list[GraphChange] = field(default_factory=list)
    is_away: bool = False

    def tell(self, change: GraphChange) -> None:
        if self.is_away:
            raise Retryable("Redis does not answer")
        self.changes.append(change)

    def take(self) -> list[GraphChange]:
        taken, self.changes = self.changes, []
        return taken


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def graph(room: Room, blobs: Blobs, told: Told) -> Iterator[Graph]:
    """The graph of an importer that can read the rows of other imports."""
    room.empty()
    read_rows = partial(read_stored_rows, blobs)
    with closing(
        Graph(room.settings, RETENTION, read_rows=read_rows, tell_change=told.tell)
    ) as graph:
        yield graph


def students_with(room: Room, words: Sequence[str]) -> set[str]:
    query = "MATCH (s:Student) WHERE s.changed IN $words RETURN s.id AS id"
    return {row["id"] for row in room.query(query, words=words)}


def records_with(room: Room, words: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for label in (*RECORD_LABELS, "ActiveDay"):
        query = f"MATCH (n:{label}) WHERE n.written IN $words RETURN n.id AS id"
        found |= {row["id"] for row in room.query(query, words=words)}
    return found


def check(room: Room, before: Contents, after: Contents, changes: Sequence[GraphChange]) -> None:
    """Compare what changed with what the words name."""
    words = [change.word for change in changes]
    kinds = {change.kind for change in changes}
    courses = set[str]().union(*(change.courses for change in changes))
    written = records_with(room, words)
    changed_students = students_with(room, words)
    remaining = {row["id"] for row in room.query("MATCH (s:Student) RETURN s.id AS id")}
    differing = {each for each in after if before.get(each) != after[each]}
    assert differing <= written
    for record_id in differing | (before.keys() - after.keys()):
        of_record = set[str]()
        for contents_then in (before, after):
            if record_id in contents_then:
                of_record |= contents_then[record_id].courses
        assert (of_record or {ALL_COURSES}) <= courses or ALL_COURSES in courses, record_id
    if "whole" in kinds:
        return
    for record_id, content in before.items():
        for student in content.lost_by(after.get(record_id)):
            if student in remaining:
                assert student in changed_students, record_id
            else:
                assert "people" in kinds, record_id


def attempt_in(course: str, at: str = "2026-01-01", record_id: str = "r") -> Record:
    data = {"student_id": "s", "item_id": "i", "course_id": course, "correct": True}
    return parse_record(
        {"type": "attempt_record", "timestamp": at, "record_id": record_id, "data": data}
    )


def as_row(record: Record) -> dict[str, Any]:
    return json.loads(json.dumps(record.to_json()))  # type: ignore[no-any-return]


@dataclass
class School:
    """A graph that a test changes by random steps. `jobs` has the imports that may be undone."""

    graph: Graph
    blobs: Blobs
    draw: Callable[[st.SearchStrategy[Any]], Any]
    records: list[Record] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    number: int = 0

    def bring(self) -> None:
        """Import records. Some of them correct those that are there."""
        self.records = self.draw(versions_of(self.draw(record_lists(WITH_PERSONS))))
        job_id, messages = split(self.blobs, [as_row(each) for each in self.records], 5)
        for message in messages:
            self.graph.write_batch(read_batch(self.blobs, message).graph)
        self.jobs.append(job_id)

    def find(self) -> None:
        findings = latest_only(self.draw(finding_lists(self.records)))
        self.number += 1
        self.graph.write_findings(pack(findings, "found", self.number))

    def withdraw(self) -> None:
        ids = [f"r{number}" for number in self.draw(st.sets(st.integers(0, 5), min_size=1))]
        self.number += 1
        self.graph.write_batch(batch([], "back", self.number, ids))

    def undo(self) -> None:
        if self.jobs:
            undo_import(self.graph, self.blobs, self.jobs.pop())

    def erase(self) -> None:
        self.graph.erase_student(self.draw(st.sampled_from(["a", "b"])))

    def rename(self) -> None:
        of, old, new = self.draw(
            st.sampled_from(
                [
                    ("course", "c", "d"),
                    ("course", "c", "e"),
                    ("item", "i", "j"),
                    ("group", "g", "h"),
                ]
            )
        )
        self.graph.rename(of, old, new, lambda: True, merge=True)

    def remove(self) -> None:
        self.graph.remove("course", "d", lambda: True)

    def settle(self) -> None:
        self.graph.settle_persons()

    def blank(self) -> None:
        self.graph.end_old_records(lambda: True)

    def review(self) -> None:
        record = self.draw(st.sampled_from(self.records))
        aspect, target = self.draw(
            st.sampled_from([("error_type", "signerrors"), ("severity", "high")])
        )
        review = {
            "record_id": record.record_id,
            "text_hash": text_hash(record),
            "aspect": aspect,
            "target": target,
            "verdict": self.draw(st.sampled_from(["accepted", "rejected"])),
            "at": f"2026-02-01T00:00:{self.number:02}Z",
            "by": "ann",
        }
        self.number += 1
        self.graph.write_reviews([FindingReview.model_validate(review)])


STEPS = ["bring", "bring", "find", "withdraw", "undo", "erase", "rename", "remove", "settle",
         "blank", "review"]  # fmt: skip


@SLOW_EXAMPLES
@given(data=st.data())
def test_the_words_name_what_changed(
    room: Room, graph: Graph, blobs: Blobs, told: Told, data: st.DataObject
) -> None:
    """To take a guard out: `written` or `changed` in any statement, `note_kind` or `note_courses` anywhere."""
    room.empty()
    graph.prepare()
    school = School(graph, blobs, data.draw)
    school.bring()
    school.find()
    graph.tell_changes()
    told.take()
    before = contents(room)
    for step in data.draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=4)):
        getattr(school, step)()
        graph.tell_noted_changes()
        after = contents(room)
        check(room, before, after, told.take())
        before = after


def test_a_correction_that_moves_an_attempt_concerns_both_courses(graph: Graph, told: Told) -> None:
    """To take the guard out: `note_courses(tx, superseded.courses)` in `apply`."""
    graph.prepare()
    graph.write_batch(batch([attempt_in("C")], "job", 0))
    told.take()
    graph.write_batch(batch([attempt_in("D", "2026-01-02")], "correction", 0))
    [change] = told.changes
    assert change.courses == {"C", "D"}


@pytest.mark.parametrize("move", ["course", "student", "type", "name of the course"])
def test_a_record_that_moves_is_lost_by_its_student(
    graph: Graph, room: Room, told: Told, move: str
) -> None:
    """Out, each alone: the label, `Student` and `Course` in `place_of`, `changed` in `move_in_course`."""
    graph.prepare()
    other = attempt_in("C", record_id="other")
    graph.write_batch(batch([attempt_in("C"), other], "job", 0))
    graph.write_batch(batch([attempt_in("C", "2026-01-02")], "again", 0))
    words = [change.word for change in told.take()]
    assert students_with(room, words[-1:]) == set()
    row = as_row(attempt_in("D" if move == "course" else "C", "2026-01-03"))
    if move == "student":
        row["data"]["student_id"] = "t"
    if move == "type":
        row["type"] = "error_record"
        row["data"] = {"student_id": "s", "course_id": "C", "error_text": "1 + 1 = 3"}
    if move == "name of the course":
        graph.rename("course", "C", "D", lambda: True)
        graph.tell_changes()
    else:
        graph.write_batch(batch([parse_record(row)], "correction", 0))
    words = [change.word for change in told.take()]
    assert "s" in students_with(room, words)


def test_a_student_who_is_created_again_has_lost_what_was_there_before(
    graph: Graph, room: Room, told: Told
) -> None:
    """To take the guard out: `changed` in `lock_Student`. A reader may read both words at once."""
    graph.prepare()
    graph.write_batch(batch([attempt_in("C")], "job", 0))
    told.take()
    graph.write_batch(batch([], "back", 0, [attempt_in("C").record_id]))
    graph.write_batch(batch([attempt_in("C", record_id="next")], "job", 1))
    words = [change.word for change in told.changes]
    assert students_with(room, words) == {"s"}


def test_a_batch_whose_word_was_not_told_tells_it_when_it_comes_again(
    graph: Graph, room: Room, told: Told
) -> None:
    """Redis is away between the commit and the stream. Out: `change_was_in_ledger`, or the word in the ledger's row."""
    graph.prepare()
    told.take()
    attempt = attempt_in("C")
    told.is_away = True
    with pytest.raises(Retryable):
        graph.write_batch(batch([attempt], "job", 0))
    told.is_away = False
    graph.write_batch(batch([attempt], "job", 0))
    [change] = told.changes
    assert change.courses == {"C"}
    assert records_with(room, [change.word]) == {attempt.record_id}


def test_a_change_that_was_not_told_is_told_by_the_next_work(
    graph: Graph, room: Room, told: Told
) -> None:
    """To take the guard out: `leave_note`, or delete the notes in `tell_noted_changes` before the loop."""
    graph.prepare()
    graph.write_batch(batch([attempt_in("C")], "job", 0))
    graph.rename("course", "C", "D", lambda: True)
    told.take()
    told.is_away = True
    with pytest.raises(Retryable):
        graph.tell_changes()
    told.is_away = False
    graph.tell_changes()
    words = [change.word for change in told.take()]
    assert records_with(room, words) == {"r"}
    graph.tell_changes()
    assert len(told.take()) == 1


# The query that reads each kind of note, and the properties of such a note.
NOTES: dict[str, tuple[str, dict[str, Any]]] = {
    "RecordChange": ("noted_record_changes", {"kind": "records"}),
    "LeaderChange": ("leader_changes", {"at": 1, "group": "g", "person": "p", "leads": True}),
    "IdClaimChange": (
        "id_claim_changes",
        {"at": 1, "person": "p", "claimed": "q", "decides": True},
    ),
}


@pytest.mark.parametrize("label", NOTES)
def test_a_note_that_another_process_forgets_meanwhile_is_read_whole_or_not_at_all(
    room: Room, label: str
) -> None:
    """Out: the conditions of the query, which then returns notes whose properties are null."""
    room.empty()
    query, properties = NOTES[label]
    write = f"UNWIND $notes AS note CREATE (n:{label}) SET n = note"
    forget = f"UNWIND $notes AS note MATCH (n:{label} {{id: note.id}}) DELETE n"
    rounds = range(100)

    def note_and_forget() -> list[dict[str, Any]]:
        for _ in rounds:
            notes = [{**properties, "id": new_word()} for _ in range(20)]
            for statement in (write, forget):
                room.driver.execute_query(statement, notes=notes)
        return []

    def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for _ in rounds:
            found += room.query(CYPHER[query], limit=1_000)
        return found

    found_by_each = at_once([note_and_forget] * 3 + [read] * 3)
    rows = [row for found in found_by_each for row in found]
    needed = properties.keys() - {"at"}
    assert rows
    assert [row for row in rows if any(row[name] is None for name in needed)] == []
