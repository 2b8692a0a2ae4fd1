"""What single facts of the graph mean, on rows as its statements give them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.runtime.shared_state.callers import ANYBODY
from edugraph_insights.access import roster, rule_for, students_of_course
from edugraph_insights.facts import MOST_TERMS, Claim, Facts
from edugraph_insights.questions.question import Parameters

from .said_graph import SaidGraph, in_one_list, students

point = st.sampled_from("abc")
needs = st.lists(st.tuples(point, point, st.sampled_from([None, 0.25, 0.5, 1.0])), max_size=8)


@given(needs)
def test_a_point_needs_another_once_and_as_surely_as_any_of_those_that_are_the_same(
    rows: list[Any],
) -> None:
    """Else the map of a course has the same arrow twice. To take the guard out: keep the last one."""
    said = [{"point": a, "needs": b, "name": b.upper(), "confidence": sure} for a, b, sure in rows]
    graph: Any = SaidGraph(prerequisites=said)
    found = Facts(graph, (), None, datetime(2026, 6, 1, tzinfo=UTC)).direct_needs("cab")
    assert graph.asked == [("prerequisites", {"points": ["a", "b", "c"]})]
    expected = {
        (a, b): max(sure or 0.0 for c, d, sure in rows if (c, d) == (a, b))
        for a, b, _ in rows
        if a != b
    }
    assert len(found) == len(expected)
    assert {(need.point, need.needs.id): need.confidence for need in found} == expected
    assert all(need.needs.name == need.needs.id.upper() for need in found)


def test_who_is_in_a_course_is_told_by_one_rule_for_the_whole_of_it_and_for_a_group() -> None:
    """Of a group of whom only answers are known: in it only where nobody stands in the course by a record.

    To take the guard out: let `_in_course` ask for the answers alone.
    """
    group = students("a", "b")
    rule = rule_for(ANYBODY, "roster")
    now = datetime(2026, 6, 1, tzinfo=UTC)
    for of_course in (["other"], []):
        graph: Any = SaidGraph(
            students_of_course=in_one_list(*of_course),
            students_with_answers=in_one_list("a"),
            students_of_group=group,
            first_course_record=[],
            first_answers=[{"student": "a", "at": now}],
        )
        whole = students_of_course(graph, "C")[0]
        assert whole == tuple(of_course or "a")
        found = roster(graph, ANYBODY, rule, Parameters(course="C", group="g"), now)
        assert {*found.students} == {"a", "b"} & {*whole}
        assert found.outsiders == (2 if of_course else 1)


@pytest.mark.parametrize(
    ("in_past", "in_cells", "statement"),
    [
        (False, False, "latest_progress"),
        (True, False, "latest_progress_until"),
        (False, True, "latest_progress_until"),
    ],
)
def test_progress_is_that_of_a_past_day_and_of_a_closed_week(
    in_past: bool, in_cells: bool, statement: str
) -> None:
    """Out: either of the two."""
    graph = SaidGraph(latest_progress=[{"students": [], "progress": []}], latest_progress_until=[])
    facts = Facts(
        graph, (), None, datetime(2026, 6, 1, tzinfo=UTC), in_past=in_past, in_cells=in_cells
    )
    facts.latest_progress("C")
    assert [asked for asked, _ in graph.asked] == [statement]


days = st.tuples(st.integers(0, 40), st.integers(1, 40))


@given(st.lists(days, max_size=6))
def test_terms_of_cells_do_not_overlap(intervals: list[tuple[int, int]]) -> None:
    """Two terms that overlap can differ by one student, whose share would be the difference of two rows.

    Out, each alone: `in_cells`, `overlaps`, the order by length. A term that is left out overlaps a shorter one.
    """
    rows = []
    for number, (first, length) in enumerate(intervals):
        starts = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=first)
        ends = starts + timedelta(days=length)
        rows.append({"id": f"t{number}", "name": "", "starts": starts, "ends": ends})
    graph: Any = SaidGraph(terms_to_choose=rows)
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert len(Facts(graph, (), None, now).dated_terms()) == len(rows)
    assert graph.asked == [("terms_to_choose", {"limit": MOST_TERMS})]
    shown = Facts(graph, (), None, now, in_cells=True).dated_terms()
    days_of: dict[str, set[int]] = {}
    for number, (first, length) in enumerate(intervals):
        days_of[f"t{number}"] = set(range(first, first + length))
    kept = [days_of[term.id] for term in shown]
    assert sum(map(len, kept)) == len(set[int]().union(*kept))
    for name in days_of.keys() - {term.id for term in shown}:
        shorter = [each for each in kept if len(each) <= len(days_of[name])]
        assert any(each & days_of[name] for each in shorter)


def test_nobody_is_sure_of_what_no_words_of_a_text_say() -> None:
    """Out: in `claims`, the cap, or `is_text`."""
    head = {"point": "a", "requires": ["b", "c"]}
    rows = [
        {**head, "title": "T1", "confidence": [0.5, 0.9], "quotes": ["so", ""], "is_text": True},
        # An earlier release stored no quotes.
        {**head, "title": "T2", "confidence": [0.2, 0.9], "quotes": None, "is_text": True},
        {**head, "title": "p", "requires": ["c"], "confidence": [1.0], "quotes": None}
        | {"is_text": False},
    ]
    graph: Any = SaidGraph(claims_of_points=rows)
    assert Facts(graph, (), None, datetime(2026, 6, 1, tzinfo=UTC)).claims("a") == {
        ("a", "b"): [Claim("T1", 0.5, "so"), Claim("T2", 0.2)],
        ("a", "c"): [Claim("T1", 0.3), Claim("T2", 0.3), Claim("p", 1.0)],
    }
