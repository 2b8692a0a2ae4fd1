"""Who may ask what, and of whom: the table of roles, and the students to whom a question is narrowed, without a graph."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.permissions import ROLES
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_insights.access import (
    need_scopes,
    person_of,
    refuse_detail,
    roster,
    rule_for,
    rules_of,
    widest_rows,
)
from edugraph_insights.problems import TooLarge
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.questions.earlier_gaps import OfGaps
from edugraph_insights.questions.question import Parameters

from .said_graph import Rows, SaidGraph, in_one_list, students

NOW = datetime(2026, 6, 1, tzinfo=UTC)
# The table of docs/insights.md: of whom a role sees rows in which questions.
OF_COURSES = (
    "weak-points earlier-gaps returning-mistakes difficulty items travelling-weaknesses untaught-points trust "
    "course-map mood trend mastery spread terms"
)
OF_PERSONS = (
    "student next needs-help attention ties records roster review-queue review-points handed-in "
    "help-used grid point today together ready answers changes due practice"
)
OF_ONE = "records help-used grid point due"
TABLE: dict[str, tuple[str, str]] = {
    "analyst": ("cells", OF_COURSES),
    "head": ("everybody", f"{OF_COURSES} {OF_PERSONS} groups"),
    "teacher": ("own groups", f"{OF_COURSES} {OF_PERSONS} groups actions did-it-help"),
    "student": (
        "self",
        f"{OF_ONE} student next weak-points earlier-gaps returning-mistakes roster course-map",
    ),
    "counsellor": ("everybody", "mood ties attention roster"),
    "officer": ("nobody", ""),
}
WIDEST_FIRST = ["everybody", "own groups", "self", "groups", "cells"]


class OfTwoCourses(Parameters):
    @property
    def courses(self) -> tuple[str, ...]:
        return (self.course, "D")


def not_restricted(students: list[str]) -> Rows:
    return [{"student": who} for who in students if who != "gone"]


def in_course(*ids: str) -> dict[str, Any]:
    """What a graph says of a course that these students take, from the beginning on."""
    return {
        "students_of_course": in_one_list(*ids),
        "first_course_record": lambda students, **_: [
            {"student": who, "at": None} for who in students if who in ids
        ],
    }


def caller(*roles: Any, person: str | None = None, scopes: tuple[Any, ...] = ()) -> Caller:
    return Caller("key", scopes, roles, person)


def seen(
    graph: SaidGraph, who: Caller, question: str, asked: Parameters, **more: Any
) -> tuple[str, ...]:
    found = roster(graph, who, rule_for(who, question), asked, NOW, **more)  # type: ignore[arg-type]
    assert found.in_cells == (rule_for(who, question).rows == "cells")
    return found.students


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_the_questions_and_rows_of_the_table(role: Any) -> None:
    rows, questions = TABLE[role]
    for question in QUESTIONS:
        if question in questions.split():
            assert rule_for(caller(role), question).rows == rows
            continue
        with pytest.raises(Refusal) as refused:
            rule_for(caller(role), question)
        assert (refused.value.status, refused.value.name) == (403, "role")
        assert f"it has {role}." in refused.value.detail
        named = refused.value.detail.split("one of the roles ")[1].split(";")[0].split(", ")
        assert {*named} == {
            other for other, (_, theirs) in TABLE.items() if question in theirs.split()
        }


def test_without_a_role_no_question_is_open_and_without_authentication_each() -> None:
    with pytest.raises(Refusal, match=r"; it has none\. A role"):
        rule_for(caller(), "weak-points")
    for question in QUESTIONS:
        assert rule_for(ANYBODY, question).rows == "everybody"
    assert widest_rows(ANYBODY) == "everybody"


@given(st.lists(st.sampled_from(ROLES), unique=True), st.sampled_from(sorted(QUESTIONS)))
def test_of_several_roles_the_one_that_sees_most_counts(roles: list[Any], question: str) -> None:
    """In whatever order they stand. To take the guard out: let `rule_for` take the first."""
    rows = [TABLE[role][0] for role in roles if question in TABLE[role][1].split()]
    if rows:
        assert rule_for(caller(*roles), question).rows == min(rows, key=WIDEST_FIRST.index)
    open_to = [TABLE[role][0] for role in roles if TABLE[role][1]]
    if open_to:
        assert widest_rows(caller(*roles)) == min(open_to, key=WIDEST_FIRST.index)
    else:
        with pytest.raises(Refusal) as refused:
            widest_rows(caller(*roles))
        assert (refused.value.status, refused.value.name) == (403, "role")


@pytest.mark.parametrize(
    ("what", "scopes"),
    [
        ("digest", {"read"}),
        ("summary", {"read"}),
        ("reviews", {"read", "personal"}),
        ("export", {"read", "personal"}),
        ("check", {"operate"}),
    ],
)
def test_the_whole_graph_needs_each_of_its_scopes(what: str, scopes: set[Any]) -> None:
    need_scopes(caller(scopes=tuple(scopes)), what)
    for scope in scopes:
        with pytest.raises(Refusal, match=f"the scope {scope}") as refused:
            need_scopes(
                caller(scopes=tuple({"read", "personal", "operate", "write"} - {scope})), what
            )
        assert (refused.value.status, refused.value.name) == (403, "scope")


def test_who_must_be_somebody_says_who() -> None:
    assert person_of(caller("teacher", person="t")) == "t"
    for nobody in (None, ""):
        with pytest.raises(Refusal, match="does not say whose") as refused:
            person_of(caller("teacher", person=nobody))
        assert (refused.value.status, refused.value.name) == (403, "rows")


def test_a_whole_course_is_in_order_for_an_analyst_and_for_who_sees_everybody() -> None:
    graph = SaidGraph(students_of_course=in_one_list(*"lkjihgfedcba"))
    assert seen(graph, caller("analyst"), "weak-points", Parameters(course="C")) == tuple(
        "abcdefghijkl"
    )
    assert seen(graph, ANYBODY, "weak-points", Parameters(course="C")) == tuple("abcdefghijkl")
    whole_course = ("students_of_course", {"course": "C", "limit": 10_001})
    since_when = ("first_course_record", {"students": list("abcdefghijkl"), "course": "C"})
    assert graph.asked == [whole_course, since_when, whole_course]  # each list is read once


def test_who_joins_a_course_is_in_no_cell_until_the_week_is_closed() -> None:
    """To take the guard out: take all who have joined. Who sees everybody sees them at once."""
    was_there, joined = "abcdefghijkl", "mnopqrstu"
    monday = datetime.combine(NOW.date() - timedelta(days=NOW.weekday()), time(), UTC)
    graph = SaidGraph(
        students_of_course=in_one_list(*was_there, *joined),
        first_course_record=[{"student": who, "at": monday} for who in joined],
    )
    asked = Parameters(course="C")
    before = monday - timedelta(seconds=1)
    analyst = caller("analyst")
    assert seen(graph, analyst, "weak-points", asked, members_at=before) == tuple(was_there)
    assert seen(graph, ANYBODY, "weak-points", asked) == (*was_there, *joined)
    graph.rows["first_course_record"] = [{"student": who, "at": before} for who in joined]
    everybody = (*was_there, *joined)
    assert seen(graph, analyst, "weak-points", asked, members_at=before) == everybody


@pytest.mark.parametrize(
    ("sees", "rows", "questions"),
    [
        ("persons", "everybody", set(QUESTIONS) - {"actions", "did-it-help"}),
        ("groups", "groups", {*OF_COURSES.split(), "groups"}),
        ("cells", "cells", set(OF_COURSES.split())),
    ],
)
def test_a_head_sees_what_the_school_sets(sees: Any, rows: str, questions: set[str]) -> None:
    """To take the guard out: let `rule_for` take the rules of the default."""
    rules = rules_of(sees)
    assert widest_rows(caller("head"), rules) == rows
    for question in QUESTIONS:
        if question in questions:
            assert rule_for(caller("head"), question, rules).rows == rows
        else:
            with pytest.raises(Refusal) as refused:
                rule_for(caller("head"), question, rules)
            assert refused.value.status == 403
    assert rule_for(caller("analyst"), "weak-points", rules).rows == "cells"


def test_a_head_who_sees_groups_asks_about_no_student() -> None:
    """To take the guard out: let `refuse_detail` pass rows of groups. A group may be asked about."""
    rule = rules_of("groups")["head"]
    graph = SaidGraph(students_of_group=students("a", "b"), **in_course("a", "b"))
    asked = Parameters(course="C", group="g")
    assert roster(graph, caller("head"), rule, asked, NOW).students == ("a", "b")  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="leave out student"):
        roster(graph, caller("head"), rule, Parameters(course="C", student="a"), NOW)  # type: ignore[arg-type]


def test_thresholds_are_fixed_for_who_sees_cells() -> None:
    """To take the guard out: leave `min_confidence` out of `fixed_in_cells`."""
    rule = rule_for(caller("analyst"), "earlier-gaps")
    refuse_detail(caller("analyst"), rule, OfGaps(course="C"))
    with pytest.raises(Refusal, match="leave out min_confidence"):
        refuse_detail(caller("analyst"), rule, OfGaps(course="C", min_confidence=0.5))
    teacher = caller("teacher")
    refuse_detail(
        teacher, rule_for(teacher, "earlier-gaps"), OfGaps(course="C", min_confidence=0.5)
    )


def test_in_a_course_without_standings_who_has_answers_counts() -> None:
    """Only there: whoever has answers in a course of others is not in it."""
    graph = SaidGraph(students_of_course=in_one_list(), students_with_answers=in_one_list("b", "a"))
    assert seen(graph, ANYBODY, "records", Parameters(course="C")) == ("a", "b")
    assert graph.asked[-1] == ("students_with_answers", {"course": "C", "limit": 10_001})


@pytest.mark.parametrize("statement", ["students_of_course", "students_with_answers"])
def test_a_course_of_more_than_ten_thousand_is_too_large(statement: str) -> None:
    """Out: the comparison with the limit."""
    ids = [f"s{number:05}" for number in range(10_002)]

    def of(number: int) -> SaidGraph:
        return SaidGraph(
            **{"students_of_course": in_one_list(), statement: in_one_list(*ids[:number])}
        )

    assert len(seen(of(10_000), caller("analyst"), "weak-points", Parameters(course="C"))) == 10_000
    with pytest.raises(TooLarge, match="10,000 students") as large:
        seen(of(10_001), caller("analyst"), "weak-points", Parameters(course="C"))
    assert "one group" in large.value.more["narrower"]


@pytest.mark.parametrize(
    "detail",
    [
        {"group": "g"},
        {"student": "s"},
        {"from": NOW},
        {"to": NOW},
        {"term": "T"},
        {"as_of": NOW.date()},
        {"group": "g", "term": "T"},
    ],
)
def test_who_sees_cells_may_cut_none_smaller_and_everybody_else_may(detail: dict[str, Any]) -> None:
    """To take the guard out: let `refuse_detail` look over one of them."""
    asked = Parameters.model_validate({"course": "C", **detail})
    refuse_detail(
        caller("analyst"), rule_for(caller("analyst"), "weak-points"), Parameters(course="C")
    )
    with pytest.raises(Refusal, match=rf"leave out {', '.join(detail)}\.$") as refused:
        seen(
            SaidGraph(students_of_course=in_one_list("a")), caller("analyst"), "weak-points", asked
        )
    assert (refused.value.status, refused.value.name) == (403, "rows")
    refuse_detail(caller("teacher"), rule_for(caller("teacher"), "weak-points"), asked)


def test_a_teacher_sees_who_is_or_was_lately_in_a_group_of_theirs_that_shows_each_course() -> None:
    led = {"C": "abc", "D": "bcd"}
    graph = SaidGraph(students_led=lambda course, **_: students(*led[course]), **in_course(*"abcd"))
    teacher = caller("teacher", person="t")
    assert seen(graph, teacher, "records", Parameters(course="C", group="g")) == ("a", "b", "c")
    asked = {"person": "t", "course": "C", "group": "g", "now": NOW.isoformat()}
    since = (NOW - timedelta(days=30)).isoformat()
    assert ("students_led", {**asked, "since": since}) in graph.asked
    assert seen(graph, teacher, "records", OfTwoCourses(course="C")) == ("b", "c")
    assert seen(graph, teacher, "records", OfTwoCourses(course="C", student="c")) == ("c",)
    with pytest.raises(Refusal) as refused:
        seen(graph, teacher, "records", OfTwoCourses(course="C", student="a"))
    assert (refused.value.status, refused.value.name) == (404, "not-found")


@pytest.mark.parametrize("takes", ["", "b", "bc", "abc"])
def test_of_a_group_or_a_student_those_count_who_are_in_the_course(takes: str) -> None:
    """Out: `_in_course`, or the count of those who are not in it."""
    graph = SaidGraph(
        students_led=students(*"abc"),
        students_of_group=students(*"abc"),
        not_restricted=not_restricted,
        first_answers=lambda students, **_: [
            {"student": who, "at": NOW} for who in students if who in takes
        ],
        **in_course(*takes),
    )
    asked_by = [
        (caller("teacher", person="t"), Parameters(course="C")),
        (caller("teacher", person="t"), Parameters(course="C", group="g")),
        (ANYBODY, Parameters(course="C", group="g")),
        (ANYBODY, Parameters(course="C", student="c")),
        (caller("student", person="c"), Parameters(course="C")),
    ]
    for who, asked in asked_by:
        found = roster(graph, who, rule_for(who, "records"), asked, NOW)  # type: ignore[arg-type]
        about = {"c"} if asked.student or who.person == "c" else {*"abc"}
        assert set(found.students) == about & {*takes}
        assert found.outsiders == len(about - {*takes})


def test_as_of_a_day_who_was_in_the_course_or_group_then_is_meant() -> None:
    """A teacher still sees nobody whom they may not see now. To take the guard out: let `as_of` change nothing."""
    then = NOW - timedelta(days=200)
    graph = SaidGraph(
        students_of_course=in_one_list(*"abc"),
        first_course_record=lambda students, **_: [
            row
            for row in (
                {"student": "b", "at": then},
                {"student": "c", "at": then + timedelta(seconds=1)},
                {"student": "e", "at": None},
            )
            if row["student"] in students
        ],
        students_of_group=students(*"bcde"),
        students_led=students(*"abc"),
    )
    asked = Parameters(course="C", as_of=then.date())
    assert seen(graph, ANYBODY, "roster", asked, members_at=then) == ("a", "b")
    of_group = Parameters(course="C", as_of=then.date(), group="g")
    assert seen(graph, ANYBODY, "roster", of_group, members_at=then) == ("b", "e")
    assert seen(graph, caller("teacher", person="t"), "roster", of_group, members_at=then) == ("b",)
    assert ("students_of_group", {"group": "g", "now": then.isoformat()}) in graph.asked


def test_students_see_themselves_alone_and_nothing_when_restricted() -> None:
    graph = SaidGraph(not_restricted=not_restricted, **in_course("me"))
    me = caller("student", person="me")
    assert seen(graph, me, "records", Parameters(course="C")) == ("me",)
    assert seen(graph, me, "records", Parameters(course="C", student="me")) == ("me",)
    with pytest.raises(Refusal):
        seen(graph, me, "records", Parameters(course="C", student="other"))
    assert seen(graph, caller("student", person="gone"), "records", Parameters(course="C")) == ()


def test_who_sees_everybody_is_answered_for_whom_they_ask() -> None:
    graph = SaidGraph(
        not_restricted=not_restricted,
        students_of_group=students("b", "a"),
        **in_course(*"zcba"),
    )
    counsellor, then = caller("counsellor"), NOW - timedelta(days=200)
    assert seen(graph, counsellor, "mood", Parameters(course="C")) == ("a", "b", "c", "z")
    assert seen(graph, counsellor, "mood", Parameters(course="C", student="z")) == ("z",)
    with pytest.raises(Refusal):
        seen(graph, counsellor, "mood", Parameters(course="C", student="gone"))
    assert seen(graph, counsellor, "mood", Parameters(course="C", group="g")) == ("a", "b")
    assert ("students_of_group", {"group": "g", "now": NOW.isoformat()}) in graph.asked
    seen(graph, counsellor, "mood", Parameters(course="C", group="g"), members_at=then)
    assert ("students_of_group", {"group": "g", "now": then.isoformat()}) in graph.asked
