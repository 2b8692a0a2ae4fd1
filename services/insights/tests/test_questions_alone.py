"""The rules of single questions that need no graph."""

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from edugraph_insights.facts import Facts, Point
from edugraph_insights.questions.due import box_of
from edugraph_insights.questions.question import Parameters, RecordsAtPoints
from edugraph_insights.questions.together import groups_of

from .said_graph import SaidGraph, attempts_in_lists, kept

BEGINNING = datetime(2026, 3, 2, tzinfo=UTC)


@given(st.integers(3, 200))
def test_students_are_parted_into_as_few_groups_of_three_to_six_as_possible(number: int) -> None:
    students = [f"s{each:03}" for each in range(number)]
    groups = groups_of(students)
    assert [each for group in groups for each in group] == students
    sizes = [len(each) for each in groups]
    assert min(sizes) >= 3
    assert max(sizes) <= 6
    assert (len(groups) - 1) * 6 < number


@example([(24 * day, 1000) for day in range(8)], "UTC")
@given(
    st.lists(st.tuples(st.integers(0, 30 * 24), st.sampled_from([0, 400, 600, 1000])), min_size=1),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/Los_Angeles"]),
)
def test_a_box_is_one_more_than_the_right_days_since_the_last_wrong_one(
    answers: list[tuple[int, int]], zone: str
) -> None:
    """Out, each alone: the end at the last box; the way back to the first; the mean of a day."""
    clock = ZoneInfo(zone)
    moments = [(BEGINNING + timedelta(hours=hour), outcome) for hour, outcome in sorted(answers)]
    rows = []
    for number, (at, outcome) in enumerate(moments):
        row = {"student": "s", "item": "i", "record": f"r{number}", "number": number}
        rows.append({**row, "at": at, "outcome": outcome})
    graph: Any = SaidGraph(
        attempts_columns=attempts_in_lists(rows),
        errors_columns=[],
        tested_points=[{"item": "i", "point": "p", "name": "P"}],
    )
    facts = Facts(graph, ("s",), None, moments[-1][0], zone=clock, columns=kept(graph, clock))
    repetitions, made = facts.repetitions("c")
    assert made == (len(moments), 1, 0)
    days = groupby(moments, lambda each: each[0].astimezone(clock).date())
    days_right = []
    for _, of_day in days:
        outcomes = [outcome for _, outcome in of_day]
        days_right.append(sum(outcomes) >= 500 * len(outcomes))
    right_in_row = 0
    for is_right in reversed(days_right):
        if not is_right:
            break
        right_in_row += 1
    has_wrong_day = right_in_row < len(days_right)
    box = box_of(repetitions[Point("p", "P"), "s"])
    assert box.number == min(6, right_in_row + has_wrong_day)
    last_day = moments[-1][0].astimezone(clock).date()
    assert box.last_practised == last_day
    assert box.due_on == last_day + timedelta(days=2 ** (box.number - 1))


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)


@given(st.lists(st.tuples(texts, texts), max_size=6), st.sampled_from([None, BEGINNING]))
def test_addresses_of_many_rows_are_those_of_single_questions(
    rows: list[tuple[str, str]], since: datetime | None
) -> None:
    """Out: the student or the point of an address, or one of them that was asked for before."""
    asked = Parameters(course="C", group="g", since=since)
    records = RecordsAtPoints(asked)
    for student, point in [*rows, *rows[::-1]]:
        of_student = asked.model_copy(update={"student": student})
        assert records.of(student, point) == of_student.records(point=point)
