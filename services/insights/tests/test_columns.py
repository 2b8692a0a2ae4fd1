"""The columns of a course: which attempt is the first, who is in a question, what a refresh reads, and what goes."""

import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import hypothesis
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.shared_state.graph_changes import (
    ALL_COURSES,
    GraphChange,
    Position,
    Since,
)
from edugraph_insights import app
from edugraph_insights.columns.course import ColumnsError, MemoryIsFull, Read, Reading, _drop
from edugraph_insights.columns.load import (
    ATTEMPTS_IN_PORTION,
    MOST_CHANGES,
    STUDENTS_IN_PORTION,
    portions_of,
)
from edugraph_insights.columns.marks import Marks
from edugraph_insights.columns.store import KEPT_SECONDS, MOST_WAITING, ColumnStore
from edugraph_insights.facts import DatedTerm, Facts, Point
from edugraph_insights.graph import Graph
from edugraph_insights.insights import Insights
from edugraph_insights.problems import Busy, TooLarge
from edugraph_insights.school_days import monday
from edugraph_insights.settings import InsightsSettings
from edugraph_insights.tries import Mistakes

from .said_graph import microseconds

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
STUDENTS = ("a", "b", "c")
TESTS = {"i": ["P"], "j": ["P", "Q"], "k": []}
ZONE = ZoneInfo("Asia/Shanghai")
# The first one ends with an attempt of `attempts`, which is not in it. The second one overlaps it.
DAY = timedelta(days=1)
TERMS = (
    DatedTerm("T1", "1", NOW - 20 * DAY, NOW - timedelta(hours=9, microseconds=9)),
    DatedTerm("T2", "2", NOW - timedelta(hours=200, microseconds=200), NOW - timedelta(hours=2)),
)
FIRST = "SELECT record FROM first_attempts"
LONG = 12  # characters; here an answer is long above this number


class Tried(NamedTuple):
    """An attempt in the graph of a test. `written` is the word of the transaction that wrote it last."""

    record: str
    student: str
    item: str
    at: datetime
    number: int
    outcome: int
    course: str = "C"
    written: str = ""
    answer: str = ""

    @property
    def is_mistake(self) -> bool:
        return self.outcome < 500 and self.answer.strip() != ""


class Made(NamedTuple):
    """A mistake in the graph of a test that is not an attempt."""

    record: str
    student: str
    at: datetime
    resolved: bool
    course: str = "C"
    written: str = ""


class OwnGraph:
    """A graph of attempts and errors, and the stream of its changes. Each change of the test is one transaction.

    A change that is not told at once is in the stream after `tell`.
    """

    def __init__(self, attempts: Sequence[Tried] = ()) -> None:
        self.attempts = {each.record: each for each in attempts}
        self.errors: dict[str, Made] = {}
        self.students = set(STUDENTS)
        self.changed: dict[str, str] = {}  # student -> word
        self.words = 0
        self.numbers: dict[str, int] = {}  # student -> attempts in all courses, if not 1
        self.waiting: list[GraphChange] = []
        self.changes: list[GraphChange] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.is_trimmed = False

    def change(
        self,
        write: Sequence[Tried | Made] = (),
        remove: Sequence[str] = (),
        kind: Any = "records",
        courses: Sequence[str] = ("C", "D"),
        *,
        is_told: bool = True,
    ) -> None:
        word = f"word{self.words}"
        self.words += 1
        for record in remove:
            for gone in (self.attempts.pop(record, None), self.errors.pop(record, None)):
                if gone is not None:
                    self.changed[gone.student] = word
        for each in write:
            records: dict[str, Any] = self.attempts
            if isinstance(each, Made):
                records = self.errors
            before = records.get(each.record)
            if before is not None and before[1] + before.course != each[1] + each.course:
                self.changed[before.student] = word
            records[each.record] = each._replace(written=word)
        self.waiting.append(GraphChange(word, kind, frozenset(courses)))
        if is_told:
            self.tell()

    def tell(self) -> None:
        self.changes += self.waiting
        self.waiting = []

    def since(self, position: Position | None) -> Since:
        end = Position(str(len(self.changes)), "")
        if position is None or self.is_trimmed:
            return Since((), end, is_known=False)
        return Since(tuple(self.changes[int(position.entry) :]), end, is_known=True)

    def read(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        self.asked.append((statement, parameters))
        result: list[dict[str, Any]] = getattr(self, statement)(**parameters)
        return result

    def read_columns(
        self, statement: str, portions: Iterable[Sequence[str]], **parameters: Any
    ) -> Iterator[tuple[Sequence[str], list[dict[str, Any]]]]:
        for portion in portions:
            yield portion, self.read(statement, students=portion, **parameters)

    def attempts_columns(self, students: Sequence[str], course: str) -> list[dict[str, Any]]:
        return in_lists(
            each
            for each in self.attempts.values()
            if each.student in students and each.course == course
        )

    def attempts_of_words(self, words: Sequence[str], course: str) -> list[dict[str, Any]]:
        written = [each for each in self.attempts.values() if each.written in words]
        return in_lists(
            each if each.course == course else each._replace(outcome=-1) for each in written
        )

    def errors_columns(self, students: Sequence[str], course: str) -> list[dict[str, Any]]:
        return errors_in_lists(
            (each, int(each.resolved))
            for each in self.errors.values()
            if each.student in students and each.course == course
        )

    def errors_of_words(self, words: Sequence[str], course: str) -> list[dict[str, Any]]:
        written = [each for each in self.errors.values() if each.written in words]
        return errors_in_lists(
            (each, int(each.resolved) if each.course == course else -1) for each in written
        )

    def students_of_columns(self, students: Sequence[str]) -> list[dict[str, Any]]:
        known = [who for who in students if who in self.students]
        words = [self.changed.get(who, "") for who in known]
        numbers = [self.numbers.get(who, 1) for who in known]
        return [{"students": known, "words": words, "attempts": numbers}]

    def tested_points(self, items: Sequence[str]) -> list[dict[str, Any]]:
        found = []
        for item in items:
            for point in TESTS[item]:
                found.append({"item": item, "point": point, "name": point.lower()})
        return found


def in_lists(attempts: Any) -> list[dict[str, Any]]:
    of_students: dict[str, dict[str, Any]] = {}
    for each in attempts:
        row = of_students.setdefault(each.student, {"student": each.student})
        values = {
            "item": each.item,
            "record": each.record,
            "moment": microseconds(each.at),
            "number": each.number,
            "outcome": each.outcome,
            "is_mistake": each.is_mistake,
            "is_long": len(each.answer) > LONG,
            "answer": each.answer if len(each.answer) <= LONG else "",
        }
        for name, value in values.items():
            row.setdefault(name, []).append(value)
    return list(of_students.values())


def errors_in_lists(errors: Iterable[tuple[Made, int]]) -> list[dict[str, Any]]:
    of_students: dict[str, dict[str, Any]] = {}
    for each, resolved in errors:
        row = of_students.setdefault(each.student, {"student": each.student})
        values = {"record": each.record, "moment": microseconds(each.at), "resolved": resolved}
        for name, value in values.items():
            row.setdefault(name, []).append(value)
    return list(of_students.values())


def store_of(graph: OwnGraph, **more: Any) -> ColumnStore:
    given: Any = graph
    return ColumnStore(given, graph.since, ZONE, **more)


def tried(record: str, student: str = "a", item: str = "i", hours: int = 1) -> Tried:
    return Tried(record, student, item, NOW - timedelta(hours=hours), 0, 1000)


moments = st.sampled_from(
    [NOW - timedelta(hours=hours, microseconds=hours) for hours in (1, 9, 200)]
)
attempts = st.builds(
    Tried,
    st.sampled_from([f"r{number}" for number in range(8)]),
    st.sampled_from(STUDENTS),
    st.sampled_from("ijk"),
    moments,
    st.integers(0, 1),
    st.sampled_from([0, 500, 1000]),
    st.sampled_from("CD"),
    st.just(""),
    st.sampled_from(["", " ", "12", " 12"]),
)
errors = st.builds(
    Made,
    st.sampled_from([f"m{number}" for number in range(4)]),
    st.sampled_from(STUDENTS),
    moments,
    st.booleans(),
    st.sampled_from("CD"),
)
RECORDS = [f"r{number}" for number in range(8)] + [f"m{number}" for number in range(4)]
changes = st.tuples(
    st.lists(attempts | errors, max_size=4, unique_by=lambda each: each.record),
    st.lists(st.sampled_from(RECORDS), max_size=2),
    st.booleans(),
)


def expected_mistakes(
    graph: OwnGraph, course: str, students: Sequence[str], since: datetime
) -> dict[Any, list[int]]:
    """Return, for each week, each term and all, whether each of its mistakes is unresolved."""
    found: dict[Any, list[int]] = {}
    tried = [each for each in graph.attempts.values() if each.is_mistake]
    mistakes: list[Tried | Made] = [*tried, *graph.errors.values()]
    for mistake in mistakes:
        if mistake.course != course or mistake.student not in students or mistake.at < since:
            continue
        unresolved = 1
        if isinstance(mistake, Made):
            unresolved -= mistake.resolved
        here = [term.id for term in TERMS if term.starts <= mistake.at < term.ends]
        for key in ["all", monday(mistake.at, ZONE), *(here or ["no term"])]:
            found.setdefault(("mistakes", key), []).append(unresolved)
    return found


def expected(graph: OwnGraph, course: str, students: Sequence[str], since: datetime) -> Any:
    """The number and the sum of outcomes of first attempts, by student, and by point, week or term.

    For mistakes, their number and the number of those that are not resolved, by week and term.
    """
    first: dict[tuple[str, str], Tried] = {}
    for each in sorted(graph.attempts.values(), key=lambda one: (one.at, one.number, one.record)):
        if each.course == course and each.student in students:
            first.setdefault((each.student, each.item), each)
    totals: dict[Any, list[int]] = {}
    for each in first.values():
        if each.at < since:
            continue
        keys: list[Any] = [each.student, (monday(each.at, ZONE), each.student)]
        keys += [(Point(point, point.lower()), each.student) for point in TESTS[each.item]]
        if not TESTS[each.item]:
            keys.append("without a point")
        here = [term.id for term in TERMS if term.starts <= each.at < term.ends]
        keys += [(term, each.student) for term in here]
        if not here:
            keys.append("in no term")
        for key in keys:
            totals.setdefault(key, []).append(each.outcome)
    totals |= expected_mistakes(graph, course, students, since)
    return {key: (len(outcomes), sum(outcomes)) for key, outcomes in totals.items()}


def found(store: ColumnStore, course: str, students: Sequence[str], since: datetime) -> Any:
    nothing: Any = None
    facts = Facts(nothing, tuple(students), since, NOW, zone=ZONE, columns=store)
    tries = facts.first_tries(course)
    totals: dict[Any, Any] = dict(tries.by_student())
    at_points = facts.point_tries(course)
    assert at_points.numbers == tries.numbers
    for tried_point in at_points.tried_points():
        point = Point(tried_point.id, tried_point.name)
        sums = zip(tried_point.number.tolist(), tried_point.outcomes.tolist(), strict=True)
        for student, each in zip(at_points.ids(tried_point.students), sums, strict=True):
            totals[point, student] = each
    of_terms = facts.tries_of_terms(course, TERMS)
    by_group = [*facts.tries_of_weeks(course).items(), *of_terms.of_terms.items()]
    for group, of_group in by_group:
        for student, each in of_group.by_student().items():
            totals[group, student] = each
    mistakes: dict[Any, Mistakes] = {**facts.mistakes_of_weeks(course)}
    made_in_terms = facts.mistakes_of_terms(course, TERMS)
    mistakes |= made_in_terms.of_terms
    made = facts.mistakes_made(course)
    if made.number:
        mistakes["all"] = made
    for key, made_there in mistakes.items():
        totals["mistakes", key] = made_there[:2]
    return totals, (at_points.without_point, of_terms.in_no_term, made_in_terms.in_no_term)


def test_tries_at_points_are_kept_until_attempts_or_names_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Out, each alone: the students, the beginning or the last attempt in `part`, any call of `forget_computed`."""
    monkeypatch.setattr("edugraph_insights.columns.course.LEAST_STUDENTS_KEPT", 0)
    monkeypatch.setitem(TESTS, "j", ["P", "Q"])
    graph = OwnGraph([tried("r1"), tried("r2", "b", "j", hours=5), tried("r3", "b", "i", hours=9)])
    graph.change()
    store = store_of(graph)
    nothing: Any = None

    def numbers(who: str = "ab", since: int = 99, until: int = 0) -> Any:
        begins = NOW - timedelta(hours=since)
        ends = NOW - timedelta(hours=until)
        facts = Facts(nothing, tuple(who), begins, ends, zone=ZONE, columns=store)
        tries = facts.point_tries("C")
        found = []
        for point in tries.tried_points():
            found.append((point.name, point.number.tolist()))
        return tries, found

    kept, found_first = numbers()
    assert found_first == [("p", [1, 2]), ("q", [1])]
    assert numbers()[0] is kept
    assert numbers("a")[1] == [("p", [1])]
    assert numbers()[1] == found_first
    assert numbers(since=6)[1] == [("p", [1, 1]), ("q", [1])]
    assert numbers(until=4)[1] == [("p", [2]), ("q", [1])]
    assert numbers(until=2)[1] == numbers(until=4)[1]
    assert numbers()[1] == found_first
    graph.change([tried("r4", "a", "j")])
    assert numbers()[1] == [("p", [2, 2]), ("q", [1, 1])]
    graph.change(remove=["r4"])
    assert numbers()[1] == found_first
    TESTS["j"] = ["Q"]
    graph.change(courses=["D"])
    assert numbers()[1] == [("p", [1, 1]), ("q", [1])]
    renamed = [{"item": item, "point": "P", "name": "new"} for item in "ij"]
    monkeypatch.setattr(graph, "tested_points", lambda **_: renamed)
    graph.change(courses=["D"])
    assert numbers("a")[1] == [("new", [1])]
    renamed = [{**row, "name": "newer"} for row in renamed]
    graph.change(courses=["D"])
    assert numbers("a")[1] == [("newer", [1])]
    # A record that moves to a student while the student is loaded leaves the former one.
    graph.change([tried("r1", "c")], is_told=False)
    read(store, students=("c",))
    assert numbers("a")[1] == []


@hypothesis.settings(max_examples=8, deadline=None)
@given(
    st.lists(attempts | errors, max_size=8),
    st.lists(changes, max_size=3),
    st.sampled_from([200, 9_999]),
)
def test_kept_columns_equal_the_records_after_each_change(
    begun: list[Tried | Made], steps: list[Any], hours: int
) -> None:
    """A change that is not in the stream yet may be in the tables already. It is in them when it is in the stream.

    To take a guard out, each alone: the records or the students in `replace`, either call of `_mark_first`,
    `permitted` in either view, a part of the order of first attempts, the zone in the insert, either end in
    `TRIES_OF_TERMS`, the students or the records of errors in `replace`, either end of the period of errors.
    """
    graph = OwnGraph()
    graph.change(begun)
    store = store_of(graph)
    since = NOW - timedelta(hours=hours)
    for number, (write, remove, is_told) in enumerate([([], [], True), *steps, ([], [], True)]):
        graph.change(write, remove, is_told=is_told)
        for course in "CD":
            students = STUDENTS[number % 2 :]
            totals, left = found(store, course, students, since)
            if is_told:
                right = expected(graph, course, students, since)
                names_of_left = ("without a point", "in no term", ("mistakes", "no term"))
                assert left == tuple(right.pop(each, (0, 0))[0] for each in names_of_left)
                assert totals == right


def names(graph: OwnGraph) -> list[str]:
    asked = [name for name, _ in graph.asked]
    graph.asked.clear()
    return asked


def read(store: ColumnStore, sql: str = FIRST, course: str = "C", students: Any = STUDENTS) -> Any:
    with store.reading(course, Read(students, BEGINNING, NOW)) as reading:
        return sorted(each for (each,) in reading.rows(sql))


def test_a_refresh_reads_only_what_changed() -> None:
    """Out: `held` in `load`, or the words in `refresh`."""
    graph = OwnGraph([tried("r1"), tried("r2", "b")])
    store = store_of(graph)
    graph.change()
    assert read(store) == ["r1", "r2"]
    assert names(graph) == [
        "students_of_columns",
        "attempts_columns",
        "errors_columns",
        "tested_points",
    ]
    assert read(store) == ["r1", "r2"]
    assert names(graph) == []
    graph.change([tried("r3", "c")])
    assert read(store) == ["r1", "r2", "r3"]
    assert "attempts_columns" not in names(graph)
    graph.change(remove=["r1"])
    assert read(store) == ["r2", "r3"]
    again = [more["students"] for name, more in graph.asked if name == "attempts_columns"]
    assert again == [["a"]]
    names(graph)
    graph.change([tried("r4", "a")._replace(course="D")], courses=["D"])
    assert read(store) == ["r2", "r3"]
    assert names(graph) == ["tested_points"]


@pytest.mark.parametrize("kind", ["people", "whole"])
def test_who_is_gone_leaves_with_the_whole_course(kind: str) -> None:
    """Out: `is_somebody_gone`, or "whole" in `refresh`. An erasure leaves no node with a word."""
    graph = OwnGraph([tried("r1"), tried("r2", "b")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1", "r2"]
    del graph.attempts["r1"]
    graph.students.remove("a")
    graph.change(kind=kind, courses=[ALL_COURSES])
    assert read(store) == ["r2"]
    assert schemas(store) == 1


def test_a_later_change_of_another_course_hides_no_loss() -> None:
    """Out: compare the words of students with the words of the changes. Only the last change gives its word."""
    graph = OwnGraph([tried("r1"), tried("r2", "b"), tried("r3")._replace(course="D")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1", "r2"]
    graph.change(remove=["r1"], courses=["C"])
    graph.change(remove=["r3"], courses=["D"], is_told=False)
    assert read(store) == ["r2"]


def test_an_attempt_that_moved_and_changed_again_is_not_in_its_first_course() -> None:
    """Out: `leaving` in `refresh`. The later change concerns only the course in which the attempt is then."""
    moved = tried("r1")._replace(course="D")
    graph = OwnGraph([tried("r1"), tried("r2", "b")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1", "r2"]
    graph.change([moved])
    graph.change([moved._replace(outcome=0)], courses=["D"])
    assert read(store) == ["r2"]
    assert read(store, course="D") == ["r1"]


def test_an_attempt_that_gets_another_item_leaves_the_first_place_to_the_next_one() -> None:
    """Out, each alone: both calls of `_mark_first`."""
    graph = OwnGraph([tried("r1", hours=2), tried("r2", hours=1)])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1"]
    graph.change([tried("r1", item="j", hours=2)])
    assert read(store) == ["r1", "r2"]


def test_a_loss_between_the_words_and_the_attempts_is_found_by_the_next_refresh() -> None:
    """Out: read the words after the attempts in `load`."""
    graph = OwnGraph([tried("r1"), tried("r2", "b")])
    graph.change()
    store = store_of(graph)
    whole = graph.attempts_columns

    def then_lost(students: Sequence[str], course: str) -> list[dict[str, Any]]:
        rows = whole(students, course)
        graph.change(remove=["r1"], is_told=False)
        return rows

    graph.attempts_columns = then_lost  # type: ignore[method-assign]
    assert read(store) == ["r1", "r2"]
    graph.attempts_columns = whole  # type: ignore[method-assign]
    graph.tell()
    assert read(store) == ["r2"]


def test_a_record_that_moves_between_two_portions_counts_once() -> None:
    """Out: delete the records in `CourseColumns.add`."""
    graph = OwnGraph([tried("r1"), tried("r2", item="j")])
    graph.numbers["a"] = ATTEMPTS_IN_PORTION  # so that b is in a portion of its own
    whole = graph.attempts_columns

    def then_moved(students: Sequence[str], course: str) -> list[dict[str, Any]]:
        rows = whole(students, course)
        if "a" in students:
            graph.change([tried("r1", "b")], is_told=False)
        return rows

    graph.attempts_columns = then_moved  # type: ignore[method-assign]
    store = store_of(graph)
    moved = OwnGraph([tried("r1", "b"), tried("r2", item="j")])
    totals = expected(moved, "C", STUDENTS, BEGINNING)
    in_no_term, _ = totals.pop("in no term")
    assert found(store, "C", STUDENTS, BEGINNING) == (totals, (0, in_no_term, 0))


def test_without_terms_each_first_attempt_is_in_no_term() -> None:
    """Out: `NOT EXISTS` in TRIES_IN_NO_TERM."""
    graph = OwnGraph([tried("r1"), tried("r2", item="j"), tried("r3", hours=2)])
    graph.change()
    nothing: Any = None
    facts = Facts(nothing, ("a",), None, NOW, zone=ZONE, columns=store_of(graph))
    assert facts.tries_of_terms("C", ()) == ({}, 2)


def test_facts_in_one_state_do_not_see_what_is_written_meanwhile() -> None:
    """Out: `held` in `_reading`; in `has`, each alone: the course, the part, the terms."""
    graph = OwnGraph([tried("r1"), tried("r2", hours=700)])
    graph.change()
    nothing: Any = None
    facts = Facts(nothing, ("a", "b"), None, NOW, zone=ZONE, columns=store_of(graph))
    with facts.in_one_state("C", TERMS) as then:
        graph.change([tried("r3", "b"), Made("m1", "a", NOW, False)])
        of_terms = then.tries_of_terms("C", TERMS)
        assert then.first_tries("C").total == 1
        assert sum(each.total for each in of_terms.of_terms.values()) + of_terms.in_no_term == 1
        assert then.mistakes_made("C").number == 0
        # Another course, other students, another period or other terms are read as they are now.
        assert then.first_tries("D").total == 0
        assert then.tries_of_terms("C", TERMS[:1]).in_no_term == 2
        of_day = replace(then, since=NOW - DAY)
        assert of_day.first_tries("C").total == 1
    assert facts.first_tries("C").total == 2
    assert facts.mistakes_made("C").number == 1


def test_a_mistake_that_is_taken_back_or_changed_leaves_its_first_version() -> None:
    """Out, each alone: DELETE_ERRORS_OF_STUDENTS, DELETE_ERRORS."""
    graph = OwnGraph()
    graph.change([Made("m1", "a", NOW, False), Made("m2", "a", NOW, False)])
    store = store_of(graph)
    nothing: Any = None
    facts = Facts(nothing, STUDENTS, None, NOW, zone=ZONE, columns=store)
    assert facts.mistakes_made("C") == (2, 2, {})
    graph.change([Made("m2", "a", NOW, True)])
    assert facts.mistakes_made("C") == (2, 1, {})
    graph.change(remove=["m1"])
    assert facts.mistakes_made("C") == (1, 0, {})


def test_a_change_of_all_courses_is_a_change_of_each_one() -> None:
    """Out: ALL_COURSES in `refresh`. A change of very many courses does not name them."""
    graph = OwnGraph([tried("r1")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1"]
    graph.change([tried("r2", "b")], ["r1"], courses=[ALL_COURSES])
    assert read(store) == ["r2"]


def test_a_course_with_very_many_changes_is_read_again() -> None:
    """Out: MOST_CHANGES. Changes of other courses do not count."""
    graph = OwnGraph([tried("r1")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1"]
    for number in range(MOST_CHANGES):
        graph.change([tried(f"more{number}", item="j")])
        graph.change(courses=["D"])
    names(graph)
    assert len(read(store)) == 2
    assert "attempts_columns" not in names(graph)
    for _ in range(MOST_CHANGES + 1):
        graph.change()
    assert len(read(store)) == 2
    asked = names(graph)
    assert "attempts_columns" in asked
    assert "attempts_of_words" not in asked


def test_a_portion_has_a_limited_number_of_attempts() -> None:
    """Out, each alone: ATTEMPTS_IN_PORTION, STUDENTS_IN_PORTION."""
    half = ATTEMPTS_IN_PORTION // 2
    students = [("a", half), ("b", half), ("c", 1), ("d", 3 * half), ("e", 0)]
    assert list(portions_of(students)) == [["a", "b"], ["c"], ["d"], ["e"]]
    many = [(f"s{number}", 1) for number in range(2 * STUDENTS_IN_PORTION + 1)]
    assert [len(each) for each in portions_of(many)] == [
        STUDENTS_IN_PORTION,
        STUDENTS_IN_PORTION,
        1,
    ]
    assert list(portions_of([])) == []


def test_who_is_gone_after_a_change_of_another_course_is_gone() -> None:
    """Out: `people` in `refresh`. No node tells in which courses the person was."""
    graph = OwnGraph([tried("r1"), tried("r2", "b")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1", "r2"]
    del graph.attempts["r1"]
    graph.students.remove("a")
    graph.change(kind="people", courses=["D"])
    assert read(store) == ["r2"]


def test_the_id_of_a_person_who_left_before_the_erasure_leaves_too() -> None:
    """Out: the students who are not held in `known`."""
    graph = OwnGraph([tried("r1"), tried("r2", "b")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1", "r2"]
    graph.change(remove=["r1"])
    assert read(store, students=["b"]) == ["r2"]
    graph.students.remove("a")
    graph.change(kind="people")
    assert read(store, students=["b"]) == ["r2"]
    columns = store._courses["C"].columns
    assert columns is not None
    assert columns.students.ids == ["b"]


def test_courses_that_nobody_asks_about_leave_the_memory() -> None:
    """Out, each alone: the loop of `drop_unused`, `used_at` in `_open`."""
    graph = OwnGraph([tried("r1"), tried("r2", "b")._replace(course="D")])
    graph.change()
    now_seconds = [0.0]
    store = store_of(graph, clock=lambda: now_seconds[0])
    assert (read(store), read(store, course="D")) == (["r1"], ["r2"])
    now_seconds[0] = KEPT_SECONDS / 2
    assert read(store, course="D") == ["r2"]
    now_seconds[0] = KEPT_SECONDS + 1
    store.drop_unused()
    assert list(store._courses) == ["D"]
    assert schemas(store) == 1


def test_questions_that_fail_do_not_prolong_the_life_of_what_was_erased() -> None:
    """Out: set `used_at` before the refresh."""
    graph = OwnGraph([tried("r1")])
    graph.change()
    now_seconds = [0.0]
    store = store_of(graph, clock=lambda: now_seconds[0])
    assert read(store) == ["r1"]
    graph.change(kind="people")

    def away(students: Sequence[str]) -> list[dict[str, Any]]:
        raise Retryable(f"the graph says nothing of {len(students)} students")

    graph.students_of_columns = away  # type: ignore[method-assign]
    for minute in range(1, 11):
        now_seconds[0] = minute * 60.0
        with pytest.raises(Retryable):
            read(store)
    now_seconds[0] = KEPT_SECONDS + 60
    store.drop_unused()
    assert not store._courses
    assert schemas(store) == 0


class CountedColumns:
    """Columns that fail to drop unused courses. The second try sets `is_twice`."""

    def __init__(self) -> None:
        self.checks = 0
        self.is_twice = threading.Event()

    def drop_unused(self) -> None:
        self.checks += 1
        if self.checks == 2:
            self.is_twice.set()
        raise ValueError("S-0017")


def test_the_service_drops_unused_courses_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out, each alone: the task in `lifespan`, the loop or the `except` of `drop_unused_columns`."""
    monkeypatch.setattr(app, "DROP_COLUMNS_EVERY_SECONDS", 0.001)
    none: Any = None
    columns: Any = CountedColumns()
    settings = InsightsSettings(redis_url="redis://127.0.0.1:1", neo4j_uri="bolt://127.0.0.1:1")
    insights = Insights(
        settings, Graph(settings), none, None, none, none, none, none, none, none, columns=columns
    )
    with capture_logs() as lines, TestClient(app.make_application(insights)):
        assert columns.is_twice.wait(timeout=10)
    failed = {"event": "columns_not_dropped", "error": "ValueError", "log_level": "error"}
    assert lines[0] == failed


def test_columns_that_missed_changes_are_read_again() -> None:
    """Out: `is_known` in `_refreshed`."""
    graph = OwnGraph([tried("r1")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1"]
    del graph.attempts["r1"]
    graph.is_trimmed = True
    assert read(store) == []


def test_a_question_that_reads_sees_one_state_until_its_end() -> None:
    """Out: `begin` in `open`. A refresh and an eviction may come meanwhile."""
    graph = OwnGraph([tried("r1")])
    graph.change()
    store = store_of(graph)
    with store.reading("C", Read(STUDENTS, BEGINNING, NOW)) as reading:
        graph.change([tried("r2", "b")])
        assert read(store) == ["r1", "r2"]
        assert reading.rows(FIRST) == [("r1",)]
        graph.change(kind="whole")
        assert read(store) == ["r1", "r2"]
        assert reading.rows(FIRST) == [("r1",)]
        assert schemas(store) == 2
        del reading
    graph.change()
    read(store)
    assert schemas(store) == 1


def test_a_student_without_attempts_whom_a_question_left_behind_can_be_refreshed() -> None:
    """Out: the numbers of students in `add`. The question ended before `open` gave them."""
    graph = OwnGraph([tried("r1"), tried("r2", "c")])
    graph.change()
    store = store_of(graph)
    whole = graph.attempts_columns

    def slow(students: Sequence[str], course: str) -> list[dict[str, Any]]:
        if "c" in students:
            raise Busy("slow", "later", retry_after_seconds=1.0)
        return whole(students, course)

    graph.attempts_columns = slow  # type: ignore[method-assign]
    alone = {"a": 1, "b": 1, "c": ATTEMPTS_IN_PORTION}
    graph.numbers = alone
    with pytest.raises(Busy):
        read(store)
    graph.attempts_columns = whole  # type: ignore[method-assign]
    graph.change([tried("r3", "b")])
    assert read(store) == ["r1", "r2", "r3"]


def test_who_is_erased_and_comes_again_leaves_no_deleted_rows() -> None:
    """Out: `people` after `leaving` in `refresh`. DuckDB keeps the memory of deleted rows."""
    graph = OwnGraph([tried("r1"), tried("r2", "b")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1", "r2"]
    before = store._courses["C"].columns
    graph.change(remove=["r1"], kind="people")
    graph.change([tried("r3", item="j")])
    assert read(store) == ["r2", "r3"]
    assert store._courses["C"].columns is not before


def test_points_that_are_the_same_are_not_written_again() -> None:
    """Out: the comparison in `set_tests`."""
    graph = OwnGraph([tried("r1")])
    graph.change()
    store = store_of(graph)
    tests = "SELECT row(item, point, rowid)::VARCHAR FROM course_0.tests"
    first = read(store, tests)
    graph.change(courses=["D"])
    assert read(store, tests) == first
    graph.change([tried("r2", item="j")])
    assert len(read(store, tests)) == 3


def test_students_who_were_loaded_stay_when_the_graph_is_too_slow_for_the_others() -> None:
    """Out: adding a portion before the next one is read."""
    graph = OwnGraph([tried("r1")])
    graph.change()
    whole = graph.read_columns
    store = store_of(graph)

    def slow(
        statement: str, portions: Iterable[Sequence[str]], **parameters: Any
    ) -> Iterator[tuple[Sequence[str], list[dict[str, Any]]]]:
        one_by_one = [[student] for portion in portions for student in portion]
        yield from whole(statement, one_by_one[:2], **parameters)
        raise Busy("slow", "later", retry_after_seconds=1.0)

    graph.read_columns = slow  # type: ignore[method-assign]
    with pytest.raises(Busy):
        read(store)
    names(graph)
    with pytest.raises(Busy):
        read(store)
    assert [more["students"] for name, more in graph.asked if name == "attempts_columns"] == [["c"]]


def schemas(store: ColumnStore) -> int:
    sql = "SELECT count(*) FROM duckdb_schemas() WHERE schema_name LIKE 'course_%'"
    [(number,)] = store._database.cursor().execute(sql).fetchall()
    return int(number)


def of_many_courses(courses: str, number: int = 4_000) -> OwnGraph:
    """Return a graph in which one student has this number of attempts in each course."""
    graph = OwnGraph()
    for course in courses:
        for hours in range(number):
            record = f"{hours:032}{course}"
            graph.attempts[record] = tried(record, hours=hours)._replace(course=course)
    graph.change()
    return graph


def bytes_held(store: ColumnStore) -> int:
    return sum(kept.columns.bytes for kept in store._courses.values() if kept.columns is not None)


def duckdb_bytes(store: ColumnStore) -> int:
    sql = "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"
    [(used,)] = store._database.cursor().execute(sql).fetchall()
    return int(used)


def test_the_courses_that_were_used_last_stay_within_the_bound() -> None:
    """Out, each alone: `make_room` after a portion, its order, the error for a course that is too large alone."""
    store = store_of(of_many_courses("ABCDEF"), most_bytes=3_500_000)
    for course in ("A", "B", "C", "A", "D", "E", "F"):
        read(store, course=course)
        assert duckdb_bytes(store) <= bytes_held(store) <= 3_500_000
    assert list(store._courses) == ["A", "D", "E", "F"]
    tight = store_of(of_many_courses("A"), most_bytes=600_000)
    with pytest.raises(TooLarge, match="memory"):
        read(tight, course="A")
    assert not tight._courses
    assert schemas(tight) == 0


def test_a_refresh_makes_room_too() -> None:
    """Out: `_make_room` in `_open`."""
    graph = of_many_courses("AB", 4_000)
    store = store_of(graph, most_bytes=1_800_000)
    read(store, course="A")
    read(store, course="B")
    assert list(store._courses) == ["A", "B"]
    more = [tried(f"{hours:032}more", hours=hours)._replace(course="B") for hours in range(4_000)]
    graph.change(more, courses=["B"])
    read(store, course="B")
    assert list(store._courses) == ["B"]


def test_a_course_that_another_question_is_reading_from_the_graph_is_not_dropped() -> None:
    """Out, each alone: `locked` in `_make_room`, the error after its loop."""
    store = store_of(of_many_courses("AB"), most_bytes=1_000_000)
    read(store, course="A")
    with store._courses["A"].lock, pytest.raises(Busy):
        read(store, course="B")
    assert "A" in store._courses
    assert len(read(store, course="B")) == 1
    assert list(store._courses) == ["B"]


def test_few_questions_wait_for_one_that_reads_their_course_from_the_graph() -> None:
    """Out: MOST_WAITING. Each one that waits holds a thread, and the others are answered at once."""
    graph = OwnGraph([tried("r1")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1"]
    results: list[Any] = []
    with ThreadPoolExecutor(MOST_WAITING) as pool:
        with store._courses["C"].lock:
            results += [pool.submit(read, store) for _ in range(MOST_WAITING)]
            while store._waiting.acquire(blocking=False):
                store._waiting.release()
                time.sleep(0.001)
            begun = time.monotonic()
            with pytest.raises(Busy):
                read(store)
            assert time.monotonic() - begun < 1.0
        assert [each.result() for each in results] == [["r1"]] * MOST_WAITING


def test_a_course_that_a_question_reads_takes_no_room_from_the_others() -> None:
    """Out: the bytes of all tables that DuckDB has in place of those of each course that is held."""
    store = store_of(of_many_courses("ABCD"), most_bytes=1_800_000)
    with store.reading("A", Read(STUDENTS, BEGINNING, NOW)) as reading:
        for course in "BCD":
            assert len(read(store, course=course)) == 1
        assert "A" not in store._courses
        assert len(store._courses) == 2
        assert len(reading.rows(FIRST)) == 1


ALL = "SELECT string_agg(repeat(record, 1000)) FROM first_attempts CROSS JOIN range(1000)"


def test_a_question_without_memory_is_too_large_only_if_nothing_else_uses_it() -> None:
    """Out, each alone: OutOfMemoryException in `_errors`, the other threads or the other courses in `_no_memory`."""
    store = store_of(of_many_courses("AB", 100), memory_limit="20MB")
    assert len(read(store, course="B")) == 1
    with pytest.raises(Busy):
        read(store, ALL, course="A")
    assert list(store._courses) == ["A"]
    with store.reading("A", Read(STUDENTS, BEGINNING, NOW)), ThreadPoolExecutor() as pool:
        other = pool.submit(read, store, ALL, course="A")
        assert isinstance(other.exception(), Busy)
    # The other reading is of the same question.
    with store.reading("A", Read(STUDENTS, BEGINNING, NOW)), pytest.raises(TooLarge):
        read(store, ALL, course="A")
    with pytest.raises(TooLarge):
        read(store, ALL, course="A")
    assert not store._courses
    assert len(read(store, course="A")) == 1


def test_what_does_not_fit_into_the_memory_is_not_written_to_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: `temp_directory` in LOCKS. DuckDB would make the folder `.tmp` where the process runs."""
    monkeypatch.chdir(tmp_path)
    store = store_of(of_many_courses("A"), memory_limit="6MB")
    sort = "SELECT record FROM first_attempts CROSS JOIN range(1000000) AS more ORDER BY more.range * 7 % 1001"
    with pytest.raises(TooLarge):
        read(store, sort, course="A")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [duckdb.IOException, duckdb.OutOfMemoryException])
def test_an_error_of_duckdb_says_nothing_of_a_record(error: type[Exception]) -> None:
    """Out, each alone: IOException in `_errors`, `from None`."""

    class Failing:
        def execute(self, _sql: str) -> None:
            raise error("could not write S-0017")

    cursor: Any = Failing()
    numbers = SimpleNamespace(ids=[])
    columns: Any = SimpleNamespace(
        point_names={}, students=numbers, items=numbers, marks=Marks(), version=0
    )
    with pytest.raises(MemoryIsFull) as caught:
        Reading(cursor, columns, ((), BEGINNING, None)).rows(FIRST)
    assert "S-0017" not in "".join(traceback.format_exception(caught.value))


class BrokenDatabase:
    """A database that refuses all statements, as DuckDB does after a fault of its own."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    def cursor(self) -> "BrokenDatabase":
        return self

    def begin(self) -> None:
        raise self._error("database has been invalidated by S-0017")

    def execute(self, _sql: str) -> None:
        self.begin()

    def close(self) -> None: ...


@pytest.mark.parametrize("error", [duckdb.FatalException, duckdb.InternalException])
def test_a_fault_of_duckdb_costs_one_answer(error: type[Exception]) -> None:
    """Out: `_replace`, each error in `_errors`. Each later question failed until the process was started again."""
    graph = OwnGraph([tried("r1")])
    graph.change()
    store = store_of(graph)
    assert read(store) == ["r1"]
    [kept] = store._courses.values()
    columns: Any = kept.columns
    columns._database = BrokenDatabase(error)
    with pytest.raises(Busy) as caught:
        read(store)
    assert "S-0017" not in "".join(traceback.format_exception(caught.value))
    assert read(store) == ["r1"]


def test_tables_that_cannot_be_dropped_are_logged_by_the_type_of_the_error() -> None:
    database: Any = BrokenDatabase(duckdb.FatalException)
    with capture_logs() as lines:
        _drop(database, "course_1")
    assert lines == [
        {"event": "columns_not_dropped", "error": "FatalException", "log_level": "warning"}
    ]


def test_attempts_that_were_deleted_do_not_fill_the_memory() -> None:
    """Out: `is_mostly_deleted`."""
    graph = OwnGraph([tried("r1")])
    graph.change()
    store = store_of(graph)
    for _ in range(5):
        read(store)
        graph.change([tried("r1")])
    begun = [name for name, _ in graph.asked if name == "attempts_columns"]
    assert 1 < len(begun) < 5
    assert read(store) == ["r1"]


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/columns.csv'",
        "INSTALL httpfs",
        "SET threads = 8",
        "ATTACH '/tmp/columns.db'",
    ],
)
def test_a_query_reaches_nothing_but_the_tables(sql: str) -> None:
    """Out, each alone: the entries of CONFIGURATION and LOCKS."""
    graph = OwnGraph()
    graph.change()
    with pytest.raises(ColumnsError):
        read(store_of(graph), sql)


def test_a_wrong_statement_quotes_no_record() -> None:
    """Out: duckdb.Error in `_errors`. The conversion fails for an id of a record."""
    graph = OwnGraph([tried("S-0017")])
    graph.change()
    with pytest.raises(ColumnsError, match=r"^ConversionException$") as caught:
        read(store_of(graph), "SELECT record::INTEGER FROM first_attempts")
    assert "S-0017" not in "".join(traceback.format_exception(caught.value))
