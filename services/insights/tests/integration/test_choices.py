"""A caller is offered the courses, groups and terms about which they may ask, and no others."""

from typing import Any

import pytest
from rooms import Room

from edugraph_common.contracts.permissions import Scope
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_insights.available import Choices, available
from edugraph_insights.insights import Insights
from edugraph_insights.questions import QUESTIONS

from .schools import School, asked, at, written


def group(name: str, who: dict[str, str], **more: str) -> dict[str, Any]:
    return {"type": "membership_record", "data": {"group_id": name, **who, **more}}


@pytest.fixture
def school(room: Room) -> None:
    """Teacher t leads a group of course C and a home room, and led one of D that ended long ago; u leads one of E."""
    values = [
        {
            "type": "course_record",
            "data": {"student_id": who, "course_id": course, "course_name": f"Course {course}"},
        }
        for who, course in (("s1", "C"), ("s1", "D"), ("s2", "F"), ("s3", "E"))
    ]
    values += [
        group("of-c", {"teacher_id": "t"}, course_id="C", group_name="Group of C"),
        group("of-c", {"student_id": "s1"}, course_id="C"),
        group("home", {"teacher_id": "t"}),
        group("home", {"student_id": "s2"}),
        group("home", {"student_id": "s3"}, ends=at(-24 * 60)),  # left long before now
        group("past", {"teacher_id": "t"}, course_id="D", starts=at(-24 * 200), ends=at(-24)),
        group("of-e", {"teacher_id": "u"}, course_id="E"),
        group("of-e", {"student_id": "s3"}, course_id="E"),
        {
            "type": "term_record",
            "data": {"term": "spring", "name": "Spring", "starts": at(0), "ends": at(24 * 90)},
        },
        {"type": "term_record", "data": {"term": "open"}},
    ]
    records = [
        parse_record({**each, "timestamp": at(1), "record_id": f"r{n}"})
        for n, each in enumerate(values)
    ]
    written(room, School(records, []))


def offered(insights: Insights, *roles: Any, person: str | None = None) -> Choices:
    return available(insights, Caller("key", (), roles, person))


def ids(of: Any) -> list[str]:
    return [each.id for each in of]


@pytest.mark.usefixtures("school")
def test_a_teacher_is_offered_what_their_groups_show(insights: Insights) -> None:
    """Out: the times or the teacher of `groups_led`, or the times of `courses_of_groups`."""
    found = offered(insights, "teacher", person="t")
    assert ids(found.groups) == ["home", "of-c"]
    assert [(each.name, each.courses) for each in found.groups] == [
        ("home", ()),
        ("Group of C", ("C",)),
    ]
    assert [(each.id, each.name) for each in found.courses] == [
        ("C", "Course C"),
        ("F", "Course F"),
    ]
    assert ids(found.terms) == ["spring"]  # one without dates cannot be asked about
    assert found.sees == "own groups"


@pytest.mark.usefixtures("school")
def test_others_are_offered_what_their_role_shows(insights: Insights) -> None:
    analyst = offered(insights, "analyst")
    assert (ids(analyst.courses), analyst.groups, analyst.terms) == (["C", "D", "E", "F"], (), ())
    student = offered(insights, "student", person="s1")
    assert (ids(student.courses), student.groups, student.person) == (["C", "D"], (), "s1")
    for everybody in (available(insights, ANYBODY), offered(insights, "counsellor")):
        assert ids(everybody.courses) == ["C", "D", "E", "F"]
        assert ids(everybody.groups) == ["home", "of-c", "of-e", "past"]


@pytest.mark.usefixtures("school")
@pytest.mark.parametrize("role", [None, "officer", "teacher", "student"])
def test_who_has_no_role_or_no_person_is_offered_nothing(insights: Insights, role: Any) -> None:
    with pytest.raises(Refusal) as refused:
        offered(insights, *([role] if role else []))
    assert refused.value.status == 403


@pytest.mark.usefixtures("school")
@pytest.mark.parametrize("role", [None, "officer", "counsellor"])
@pytest.mark.parametrize("scope", ["privacy", "erase"])
def test_who_protects_data_needs_no_question(insights: Insights, role: Any, scope: Any) -> None:
    """Out: `_rows_of`, or `nobody` of `_courses_and_groups`."""
    roles = (role,) if role else ()
    found = available(insights, Caller("key", (scope,), roles, None))
    assert found.privacy
    asks = role == "counsellor"
    assert found.sees == ("everybody" if asks else "nobody")
    assert bool(found.courses) == bool(found.groups) == bool(found.terms) == asks
    assert not available(insights, Caller("key", ("read",), ("counsellor",), None)).privacy


@pytest.mark.usefixtures("school")
def test_a_teacher_may_ask_about_all_that_is_offered(insights: Insights) -> None:
    teacher = Caller("key", (), ("teacher",), "t")
    for course in offered(insights, "teacher", person="t").courses:
        assert asked(insights, "roster", teacher, course=course.id).of_how_many["students"] == 1
    assert "roster" in QUESTIONS


@pytest.mark.usefixtures("school")
def test_who_is_restricted_adds_no_course(room: Room, insights: Insights) -> None:
    """Out: `restricted` of `courses_of_groups`."""
    room.graph.restrict_student("s2", restricted=True)
    assert ids(offered(insights, "teacher", person="t").courses) == ["C"]


@pytest.mark.usefixtures("school")
@pytest.mark.parametrize("scope", ["submit", "roster", "review", None])
def test_who_may_import_or_review_is_told(insights: Insights, scope: Any) -> None:
    scopes = (scope,) if scope else ()
    found = available(insights, Caller("key", scopes, ("teacher",), "t"))
    assert found.imports == (scope in ("submit", "roster"))
    assert found.reviews == (scope == "review")


@pytest.mark.usefixtures("school")
@pytest.mark.parametrize(
    ("scopes", "may"),
    [(("read:own",), False), (("read:own", "personal"), True), (("submit", "personal"), False)],
)
def test_who_may_have_drafts_written_is_told(
    insights: Insights, scopes: tuple[Scope, ...], *, may: bool
) -> None:
    """The gateway asks for these scopes. Out: either scope in `available`."""
    found = available(insights, Caller("key", scopes, ("teacher",), "t"))
    assert found.drafts == may
