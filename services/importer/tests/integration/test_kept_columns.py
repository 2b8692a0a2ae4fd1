"""The columns that insights keeps of a course equal what a new reader would load, whatever changes the graph."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.shared_state.graph_changes import (
    STREAM,
    GraphChange,
    GraphChanges,
    Position,
    Since,
)
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.graph import Graph
from edugraph_importer.undo import read_stored_rows
from edugraph_insights.columns.course import Read
from edugraph_insights.columns.store import ColumnStore
from edugraph_insights.facts import Facts
from edugraph_insights.graph import Graph as ReadGraph

from .random_imports import SLOW_EXAMPLES, batch
from .test_words_of_changes import RETENTION, STEPS, School, attempt_in

COURSES = "cd"
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
STUDENTS = "MATCH (s:Student) RETURN s.id AS id ORDER BY id"


class Stream:
    """The stream of changes. A change that is committed is in the stream some time later."""

    def __init__(self) -> None:
        self.committed: list[GraphChange] = []
        self.told: list[GraphChange] = []

    def tell(self, changes: Sequence[GraphChange]) -> None:
        for change in changes:
            self.committed.remove(change)
            self.told.append(change)

    def since(self, position: Position | None) -> Since:
        end = Position(str(len(self.told)), "")
        if position is None:
            return Since((), end, is_known=False)
        return Since(tuple(self.told[int(position.entry) :]), end, is_known=True)


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def graph(room: Room, blobs: Blobs, stream: Stream) -> Iterator[Graph]:
    room.empty()
    read_rows = partial(read_stored_rows, blobs)
    tell = stream.committed.append
    with closing(Graph(room.settings, RETENTION, read_rows=read_rows, tell_change=tell)) as graph:
        yield graph


def tables(store: ColumnStore, course: str, students: Sequence[str]) -> tuple[Any, ...]:
    """Return all attempts, errors and tested points in the tables of a course, with ids in place of numbers."""
    with store.reading(course, Read(students, BEGINNING, NOW)) as reading:
        columns = reading._columns
        attempts = set()
        for student, item, *values in reading.rows(f"FROM {columns._name}.attempts"):
            ids = (columns.students.ids[student], columns.items.ids[item])
            if ids[0] in students:
                attempts.add((*ids, *values))
        errors = set()
        for student, *values in reading.rows(f"FROM {columns._name}.errors"):
            if columns.students.ids[student] in students:
                errors.add((columns.students.ids[student], *values))
        tests = set()
        items = {item for _, item, *_ in attempts}
        for number, point in reading.rows("FROM tests"):
            item = columns.items.ids[number]
            if item in items:
                tests.add((item, reading.point(point), reading.point_names[reading.point(point)]))
        return attempts, errors, tests


ATTEMPTS = """
MATCH (s:Student)-[:TRIED]->(a:Attempt)-[:IN_COURSE]->(c:Course)
MATCH (a)-[:OF_ITEM]->(i:Item)
WHERE c.id = $course AND a.outcome IS NOT NULL
RETURN s.id AS student, i.id AS item, toString(a.timestamp) AS at, coalesce(a.attempt_number, 0) AS number,
  a.id AS record, a.outcome AS outcome
"""
MISTAKES = """
MATCH (s:Student)-[:MADE|TRIED]->(m)-[:IN_COURSE]->(c:Course)
WHERE c.id = $course AND (m:ErrorRecord OR m.outcome < 500)
RETURN s.id AS student, toString(m.timestamp) AS at, m:ErrorRecord AS is_error, m.question AS question,
  m.response AS response, coalesce(m.resolved, false) AS resolved
"""
TESTED = """
MATCH (i:Item)-[:TESTS]->(k:KnowledgePoint)
RETURN DISTINCT i.id AS item, coalesce(k.canonical, k.id) AS point
"""


def expected(room: Room, course: str, students: Sequence[str]) -> dict[Any, list[int]]:
    """Return the outcomes of first attempts by student, (point, student) and (week, student), from plain rows.

    The mistakes of a week have 1 for each one that is not resolved, and 0 for the others.
    """
    points: dict[str, list[str]] = {}
    for row in room.query(TESTED):
        points.setdefault(row["item"], []).append(row["point"])
    first: dict[tuple[str, str], dict[str, Any]] = {}
    rows = room.query(ATTEMPTS, course=course)
    for row in rows:
        row["moment"] = datetime.fromisoformat(row["at"])
    for row in sorted(rows, key=lambda each: (each["moment"], each["number"], each["record"])):
        if row["student"] in students:
            first.setdefault((row["student"], row["item"]), row)
    outcomes: dict[Any, list[int]] = {}
    for (student, item), row in first.items():
        day = row["moment"].astimezone(ZONE).date()
        week = day - timedelta(days=day.weekday())
        keys: list[Any] = [student, (week, student)]
        keys += [(point, student) for point in points.get(item, ())]
        if item not in points:
            keys.append("without a point")
        for key in keys:
            outcomes.setdefault(key, []).append(row["outcome"])
    for row in room.query(MISTAKES, course=course):
        has_words = (row["question"] or row["response"] or "").strip() != ""
        is_mistake = row["is_error"] or has_words
        if is_mistake and row["student"] in students:
            day = datetime.fromisoformat(row["at"]).astimezone(ZONE).date()
            week = day - timedelta(days=day.weekday())
            outcomes.setdefault(("mistakes", week), []).append(int(not row["resolved"]))
    return outcomes


def answered(kept: ColumnStore, course: str, students: Sequence[str]) -> dict[Any, Any]:
    """Return what questions read from the columns, in the form of `expected`: the numbers and sums of outcomes."""
    nothing: Any = None
    facts = Facts(nothing, tuple(students), None, NOW, zone=ZONE, columns=kept)
    found: dict[Any, Any] = dict(facts.first_tries(course).by_student())
    at_points = facts.point_tries(course)
    for point in at_points.tried_points():
        sums = zip(point.number.tolist(), point.outcomes.tolist(), strict=True)
        for student, of_student in zip(at_points.ids(point.students), sums, strict=True):
            found[point.id, student] = of_student
    for week, of_week in facts.tries_of_weeks(course).items():
        for student, each in of_week.by_student().items():
            found[week, student] = each
    for week, mistakes in facts.mistakes_of_weeks(course).items():
        found["mistakes", week] = mistakes[:2]
    if at_points.without_point:
        found["without a point"] = at_points.without_point
    return found


def check(kept: ColumnStore, stream: Stream, room: Room, read_graph: ReadGraph) -> None:
    """Compare the kept tables with new ones, and the answers with the records in the graph."""
    students = [row["id"] for row in room.query(STUDENTS)]
    new = ColumnStore(read_graph, stream.since, ZONE)
    new._marks = kept._marks  # so that equal answers have equal marks
    for course in COURSES:
        assert tables(kept, course, students) == tables(new, course, students)
        # The tables have all students, and the question is about some of them.
        some = students[::2]
        outcomes = expected(room, course, some)
        right: dict[Any, Any] = {key: (len(each), sum(each)) for key, each in outcomes.items()}
        if "without a point" in right:
            right["without a point"], _ = right["without a point"]
        assert answered(kept, course, some) == right


def records(kept: ColumnStore, course: str = "c", students: Sequence[str] = ("s",)) -> set[str]:
    attempts, _, _ = tables(kept, course, students)
    return {record for _, _, _, _, record, *_ in attempts}


@pytest.fixture
def kept(room: Room, stream: Stream) -> Iterator[ColumnStore]:
    with room.reading() as read_graph:
        yield ColumnStore(read_graph, stream.since, ZONE)


def test_an_attempt_whose_next_version_has_another_type_leaves(
    graph: Graph, stream: Stream, kept: ColumnStore
) -> None:
    """To take the guard out: the label in `place_of`."""
    graph.prepare()
    first = attempt_in("c")
    earlier = batch([first, attempt_in("c", record_id="other")], "job", 0)
    graph.write_batch(replace(earlier, accepted=2))
    stream.tell(list(stream.committed))
    assert records(kept) == {"r", "other"}
    data = {"student_id": "s", "course_id": "c", "error_text": "1 + 1 = 3"}
    mistake = {"type": "error_record", "record_id": first.record_id, "timestamp": "2026-01-02"}
    # The type that was accepted first counts, also if its batch is written later.
    outranking = batch([parse_record({**mistake, "data": data})], "accepted before", 0)
    graph.write_batch(replace(outranking, accepted=1))
    stream.tell(list(stream.committed))
    assert records(kept) == {"other"}


def test_a_loss_is_not_hidden_by_a_later_one_that_is_not_told_yet(
    graph: Graph, stream: Stream, kept: ColumnStore
) -> None:
    """Two transactions take records of one student away. The second one replaces the word of the first one, is about
    another course, and is not in the stream yet. Out: the words of the students in `refresh`.
    """
    graph.prepare()
    elsewhere = attempt_in("d", record_id="elsewhere")
    also = attempt_in("c", record_id="also")
    graph.write_batch(batch([attempt_in("c"), also, elsewhere], "job", 0))
    stream.tell(list(stream.committed))
    assert records(kept) == {"r", "also"}
    graph.write_batch(batch([attempt_in("c", record_id="more")], "back", 0, ["r"]))
    graph.write_batch(batch([], "back", 1, ["elsewhere"]))
    taken, later = stream.committed
    assert "c" not in later.courses
    stream.tell([taken])
    assert records(kept) == {"also", "more"}
    stream.tell([later])
    assert records(kept) == {"also", "more"}


@pytest.mark.parametrize("is_renamed", [True, False])
def test_an_attempt_that_moved_and_was_written_again_leaves_its_first_course(
    graph: Graph, stream: Stream, kept: ColumnStore, *, is_renamed: bool
) -> None:
    """The second transaction replaces the word of the first one, and is about the new course alone.

    Out, each alone: `Course` in `place_of`, `changed` in `move_in_course`.
    """
    graph.prepare()
    graph.write_batch(batch([attempt_in("c"), attempt_in("e", record_id="elsewhere")], "job", 0))
    stream.tell(list(stream.committed))
    assert records(kept) == {"r"}
    if is_renamed:
        graph.rename("course", "c", "d", lambda: True)
    else:
        graph.write_batch(batch([attempt_in("d", "2026-01-02")], "correction", 0))
    graph.write_batch(batch([attempt_in("d", "2026-01-03")], "correction", 1))
    graph.tell_changes()
    stream.tell(list(stream.committed))
    assert records(kept) == set()
    assert records(kept, "d") == {"r"}


def test_columns_follow_a_batch_of_very_many_courses(
    room: Room, blobs: Blobs, valkey_url: str
) -> None:
    """Out: ALL_COURSES in `refresh`. The stream does not name the courses of such a batch."""
    room.empty()
    with connect(valkey_url) as client, room.reading() as read_graph:
        client.delete(STREAM)
        changes = GraphChanges(client)
        read_rows = partial(read_stored_rows, blobs)
        writing = Graph(room.settings, RETENTION, read_rows=read_rows, tell_change=changes.append)
        with closing(writing) as graph:
            graph.prepare()
            graph.write_batch(batch([attempt_in("c")], "job", 0))
            kept = ColumnStore(read_graph, changes.since, ZONE)
            assert records(kept) == {"r"}
            many = [attempt_in(f"c{number}", record_id=f"r{number}") for number in range(51)]
            graph.write_batch(batch([*many, attempt_in("c", record_id="new")], "job", 1))
            assert records(kept) == {"r", "new"}
            graph.write_batch(batch([], "back", 0, ["r", *(each.record_id for each in many)]))
            assert records(kept) == {"new"}
        client.delete(STREAM)


@pytest.mark.timeout(900)  # a minute and a half on a quiet machine, and six beside other programs
@SLOW_EXAMPLES
@given(data=st.data())
def test_kept_columns_equal_new_ones_after_each_change(
    room: Room, graph: Graph, blobs: Blobs, stream: Stream, data: st.DataObject
) -> None:
    """The stream has some changes later and in another order, and columns are read meanwhile.

    Out, each alone: the words of the students in `refresh`, the kinds of all changes, the rows or the errors of
    `replace`, the students of `replace`, `permitted` in the view, `read_tests` in `refresh`.
    """
    room.empty()
    graph.prepare()
    stream.committed.clear()
    school = School(graph, blobs, data.draw)
    with room.reading() as read_graph:
        kept = ColumnStore(read_graph, stream.since, ZONE)
        school.bring()
        school.bring()
        school.find()
        stream.tell(list(stream.committed))
        check(kept, stream, room, read_graph)
        for step in data.draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=5)):
            getattr(school, step)()
            graph.tell_changes()
            waiting = list(stream.committed)
            if data.draw(st.booleans()):
                waiting.reverse()
            number_at_once = data.draw(st.integers(0, 4))
            stream.tell(waiting[:number_at_once])
            if stream.committed:
                for course in COURSES:
                    tables(kept, course, ["a", "b"])
            else:
                check(kept, stream, room, read_graph)
        stream.tell(list(stream.committed))
        check(kept, stream, room, read_graph)
