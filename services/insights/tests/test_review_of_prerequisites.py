"""On how many students' ways a prerequisite is, compared with a look at each student alone."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edugraph_insights.facts import Need, Point
from edugraph_insights.questions.review_points import (
    PointsToReview,
    order,
    students_on_ways,
)

points = st.sampled_from("abcdef")
states_ = st.dictionaries(
    st.sampled_from(["s1", "s2", "s3"]),
    st.dictionaries(points, st.sampled_from(["mastered", "not mastered", "too few"]), max_size=4),
)


@given(states_, st.sets(st.tuples(points, points), max_size=10))
def test_a_point_is_on_the_way_of_who_lacks_it_or_what_needs_it(
    said: dict[str, dict[str, str]], edges: set[tuple[str, str]]
) -> None:
    """Out: in `students_on_ways`, the points that are reached in two steps."""
    not_mastered: dict[str, set[str]] = {}
    for student, of_student in said.items():
        for point, state in of_student.items():
            if state == "not mastered":
                not_mastered.setdefault(point, set()).add(student)
    needs: dict[str, list[Need]] = {}
    for point, needed in sorted(edges):
        needs.setdefault(point, []).append(Need(point, Point(needed, needed), 1.0))
    found = students_on_ways(not_mastered, needs)

    expected: dict[str, set[str]] = {}
    for student, of_student in said.items():
        way = {point for point, state in of_student.items() if state == "not mastered"}
        for _ in range(6):
            way |= {needed for point, needed in edges if point in way}
        for point in way:
            expected.setdefault(point, set()).add(student)
    assert found == expected


def test_prerequisites_on_the_ways_of_most_students_come_first() -> None:
    """Out: in `order`, the students."""

    def row(key: str, kind: str, students: int | None, confidence: float) -> PointsToReview:
        names = {"point": "p", "name": "P", "other": "q", "other_name": "Q"}
        numbers: dict[str, Any] = {"students": students, "confidence": confidence}
        return PointsToReview(key=key, kind=kind, **names, **numbers)

    rows = [
        row("same", "same", None, 0.1),
        row("most", "followed", 9, 0.2),
        row("sure", "proposed", 3, 0.9),
        row("unsure", "excluded", 3, 0.8),
        row("none", "proposed", 0, 1.0),
    ]
    last_first = rows[::-1]
    assert sorted(last_first, key=order) == rows
