"""Each question answers what the records say, on each engine; the reference never asks the graph."""

from math import isclose
from typing import Any

from hypothesis import given
from rooms import Room

from edugraph_insights.answers import Row
from edugraph_insights.insights import Insights

from . import insights_reference as reference
from .schools import COURSES, EXAMPLES, School, asked, schools, written


def same(found: dict[Any, Row], expected: dict[Any, dict[str, Any]]) -> None:
    """The rows of an answer by their keys, field by field; floats but for the order of their sums."""
    assert found.keys() == expected.keys()
    for key, fields in expected.items():
        for name, value in fields.items():
            shown = getattr(found[key], name)
            if isinstance(value, float) and shown is not None:
                assert isclose(shown, value, abs_tol=1e-9), (key, name, shown, value)
            else:
                assert shown == value, (key, name, shown, value)


@EXAMPLES
@given(school=schools())
def test_questions_about_a_course_equal_the_reference(room: Room, insights: Insights, school: School) -> None:
    """To take a guard out: let `first_attempts` not sort by place, or a statement not ask for the course."""
    written(room, school)
    for course in COURSES:
        if not reference.roster(school, course):
            continue
        for name in ("weak-points", "returning-mistakes", "untaught-points"):
            answer = asked(insights, name, course=course)
            expected = getattr(reference, name.replace("-", "_"))(school, course)
            same({row.point: row for row in answer.rows}, expected)
            assert answer.of_how_many["students"] == len(reference.roster(school, course))
        for row in asked(insights, "weak-points", course=course).rows:
            assert reference.is_lower_end(row.wrong_at_least, row.wrong, row.students)
        found = asked(insights, "items", course=course).rows
        same({row.item: row for row in found}, reference.items(school, course))
        found = asked(insights, "difficulty", course=course).rows
        same({row.course: row for row in found}, reference.difficulty(school, course))
        found = asked(insights, "trust", course=course).rows
        same({row.kind: row for row in found if row.kind == "mistakes"}, reference.trust(school, course))
        found = asked(insights, "earlier-gaps", course=course).rows
        same({(row.point, row.gap): row for row in found}, reference.earlier_gaps(school, course))
        found = asked(insights, "attention", course=course).rows
        same({row.student: row for row in found}, reference.attention(school, course))
        found = asked(insights, "roster", course=course).rows
        same({row.student: row for row in found}, reference.standings(school, course))
        found = asked(insights, "course-map", course=course).rows
        same({(row.point, row.needs): row for row in found}, reference.course_map(school, course))


@EXAMPLES
@given(school=schools())
def test_questions_about_a_student_and_two_courses_equal_the_reference(
    room: Room, insights: Insights, school: School
) -> None:
    written(room, school)
    for course, other in (COURSES, COURSES[::-1]):
        people = reference.roster(school, course)
        if not people or not reference.roster(school, other):
            continue
        answer = asked(insights, "travelling-weaknesses", course=course, next_course=other)
        same({row.point: row for row in answer.rows}, reference.travelling_weaknesses(school, course, other))
        for who in sorted(people)[:3]:
            answer = asked(insights, "student", course=course, student=who)
            same({row.point: row for row in answer.rows}, reference.student(school, course, who))
