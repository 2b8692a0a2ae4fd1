"""The way of a question, without a graph: what is kept for whom, what is noted, and which time and whom it is about."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import BoundedSemaphore
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_insights.answer_cache import AnswerCache
from edugraph_insights.answers import Count, Found, Measured, Name, Row, number_of
from edugraph_insights.asking import ask
from edugraph_insights.facts import Facts
from edugraph_insights.insights import MANY_STUDENTS, LargeQuestions
from edugraph_insights.problems import Busy, TooLarge
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.settings import HelpThresholds

from .said_graph import SaidGraph, in_one_list, students

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SETTINGS = SimpleNamespace(
    help_thresholds={},
    school_name="",
    school_time_zone="UTC",
    head_sees="persons",
    privacy_secret=SecretStr("of the tests alone"),
)
DAY = timedelta(days=1)
YESTERDAY = (NOW - DAY).date()
END_OF_YESTERDAY = NOW - timedelta(microseconds=1)
TWELVE = [f"s{number:02}" for number in range(12)]
ANALYST, TEACHER, OTHER_TEACHER = (
    Caller("analyst", (), ("analyst",)),
    Caller("teacher", (), ("teacher",), "t"),
    Caller("other", (), ("teacher",), "u"),
)


class Line(Row):
    identity: ClassVar[tuple[str, ...]] = ("name",)

    name: Name
    students: Count


class Compared(Parameters):
    other: str | None = None
    other_group: str | None = None
    other_term: str | None = None
    least: int | None = None

    @property
    def courses(self) -> tuple[str, ...]:
        return (self.course, self.other) if self.other else (self.course,)

    @property
    def beside(self) -> Parameters | None:
        update = {"group": self.other_group, "term": self.other_term}
        return self.model_copy(update={**update, "other_group": None}) if self.other_group else None

    def completed(self, thresholds: HelpThresholds) -> "Compared":
        del thresholds
        return self.model_copy(update={"least": 7})


@dataclass
class Asked:
    """Insights on a graph that a test says. `found` are the facts of each answer that was computed."""

    graph: SaidGraph
    answers: AnswerCache | None = None
    found: list[Facts] = field(default_factory=list)
    noted: list[tuple[Any, ...]] = field(default_factory=list)
    settings: Any = field(default_factory=lambda: SETTINGS)
    large: LargeQuestions = field(default_factory=lambda: LargeQuestions(longest_wait_seconds=0.0))
    columns: Any = None

    zone = UTC

    def now(self) -> datetime:
        return NOW

    def note_shown(self, *what: Any) -> None:
        self.noted.append(what)

    def find(self, facts: Facts, asked: Any) -> Found[Line]:
        self.found.append(facts)
        of = frozenset(facts.students)
        figures = {"students": number_of("students", of)}
        rows = tuple(Measured(Line(name=name, students=len(of)), of, figures) for name in "ba")
        return Found(
            rows, {"students": of, "records": 3}, {"small": 0, "gone": 5, "least": asked.least}
        )

    def ask(
        self,
        who: Caller = ANYBODY,
        name: str = "weak-points",
        *,
        quotes: bool = False,
        from_columns: bool = False,
        **given: Any,
    ) -> Any:
        question = Question(
            name,
            "A question",
            "by hand",
            Compared,
            Line,
            self.find,
            lambda row: row.name,
            quotes=quotes,
            from_columns=from_columns,
        )
        return ask(
            self, who, question, Compared.model_validate({"course": "C", **given}), "class council"
        )  # type: ignore[arg-type]


def in_a_school() -> SaidGraph:
    """Two groups, two teachers with the same students but for one, and two terms; only the course C is there."""
    terms: dict[str, dict[str, Any]] = {
        "T1": {"starts": NOW - 90 * DAY, "ends": NOW - 30 * DAY, "breaks": None},
        "T2": {"starts": NOW - 20 * DAY, "ends": None, "breaks": []},
    }
    groups = {"g": TWELVE[:6], "h": TWELVE[6:], "i": TWELVE[5:]}
    return SaidGraph(
        all_courses=[{"id": "C", "name": "Maths 8"}, {"id": "D", "name": "Physics"}],
        all_groups=[],
        groups_led=[{"id": "g", "name": "Group", "courses": ["D"]}],
        courses_of_groups=[],
        courses=lambda courses: [{"id": course, "name": "Physics"} for course in courses],
        course_name=lambda course: [{"name": "Algebra"}] if course in "CD" else [],
        students_of_course=in_one_list(*TWELVE),
        students_of_group=lambda group, **_: students(*groups[group]),
        students_led=lambda person, **_: students(*(TWELVE[:6] if person == "t" else TWELVE[:7])),
        not_restricted=lambda students: [{"student": who} for who in students],
        term=lambda term: [terms[term]] if term in terms else [],
    )


@pytest.fixture
def epochs() -> dict[str, str]:
    return {}


@pytest.fixture
def school(epochs: dict[str, str]) -> Asked:
    graph = in_a_school()

    def of(courses: Sequence[str]) -> tuple[str | None, ...]:
        graph.asked.append(("epochs", {"courses": courses}))
        return tuple(epochs.get(course) for course in ("", *courses))

    return Asked(graph, AnswerCache(2**16, of))


def test_an_answer_says_what_was_found_and_nothing_of_nobody(school: Asked) -> None:
    answer = school.ask(ANYBODY, group="g", **{"from": NOW - DAY})
    assert [(row.name, row.students) for row in answer.rows] == [("a", 6), ("b", 6)]
    assert (answer.question, answer.computed_by, answer.exact) == ("A question", "by hand", True)
    assert answer.of_how_many == {"students": 6, "records": 3}
    assert answer.left_out == {"gone": 5, "least": 7}
    assert answer.as_of == NOW
    given = {"course": "C", "group": "g", "from": (NOW - DAY).isoformat()}
    assert {name: answer.parameters[name] for name in given} == given
    assert answer.links == {"self": "/v1/insights/weak-points", "how": "docs/insights.md"}


def test_who_sees_cells_gets_numbers_with_noise_of_the_last_closed_week(school: Asked) -> None:
    """To take the guard out: show what was found, or take the time of the question."""
    answer = school.ask(ANALYST)
    assert not answer.exact
    assert "noise" in answer.protection
    assert answer.as_of == datetime(2026, 5, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert len({row.students for row in answer.rows}) == 1, "the same number of the same students"
    assert all(7 <= row.students <= 17 for row in answer.rows)
    # Nobody says whose the records are, so they are not shown.
    assert answer.left_out == {"totals of small groups": 1}
    assert list(answer.of_how_many) == ["students"]
    assert school.ask(ANALYST) == answer
    school.graph.rows["students_of_course"] = in_one_list(*TWELVE[:9])
    few = Asked(school.graph).ask(ANALYST)
    assert (few.rows, few.of_how_many) == ((), {})
    assert few.left_out == {"rows of small groups": 2, "totals of small groups": 2}


def test_a_new_week_ends_an_answer_in_cells(school: Asked) -> None:
    """Out: the closed week of the key."""
    school.ask(ANALYST)
    school.now = lambda: NOW + 6 * DAY  # type: ignore[method-assign]
    school.ask(ANALYST)
    assert len({facts.until for facts in school.found}) == 1
    school.now = lambda: NOW + 7 * DAY  # type: ignore[method-assign]
    assert school.ask(ANALYST).as_of == NOW + 7 * DAY - timedelta(microseconds=1)


def test_without_a_secret_there_is_no_noise_and_so_no_answer(school: Asked) -> None:
    """Out: the refusal. Who sees persons needs no noise."""
    school.settings = SimpleNamespace(**{**vars(SETTINGS), "privacy_secret": None})
    with pytest.raises(Problem, match="EDUGRAPH_PRIVACY_SECRET") as problem:
        school.ask(ANALYST)
    assert problem.value.status == 503
    assert school.ask().exact


@pytest.mark.parametrize(
    ("others", "is_shown"),
    [
        (TWELVE, True),
        (TWELVE[1:], False),
        ([*TWELVE, *(f"t{n}" for n in range(9))], False),
        ([*TWELVE, *(f"t{n}" for n in range(10))], True),
        ([f"t{n}" for n in range(10)], True),
    ],
)
def test_two_courses_are_compared_if_their_students_differ_by_nobody_or_by_ten(
    school: Asked, others: list[str], is_shown: bool
) -> None:
    """Out: either side of the difference."""
    of = {"C": in_one_list(*TWELVE), "D": in_one_list(*others)}
    school.graph.rows["students_of_course"] = lambda course, **_: of[course]
    assert bool(school.ask(ANALYST, other="D").rows) == is_shown
    assert school.ask(other="D").rows


@pytest.mark.parametrize(
    ("who", "one", "other"),
    [
        (ANYBODY, {}, {"name": "trust"}),
        (ANYBODY, {}, {"course": "D"}),
        (ANYBODY, {}, {"who": ANALYST}),
        (ANYBODY, {"group": "g"}, {"group": "h"}),
        (ANYBODY, {"from": NOW - DAY}, {"from": NOW - 2 * DAY}),
        (ANYBODY, {"to": NOW - DAY}, {"to": NOW - 2 * DAY}),
        (ANYBODY, {"term": "T1"}, {"term": "T2"}),
        (ANYBODY, {}, {"as_of": YESTERDAY}),
        (ANYBODY, {}, {"language": "zh"}),
        (ANYBODY, {"group": "g", "other_group": "h"}, {"group": "g", "other_group": "i"}),
        (
            ANYBODY,
            {"group": "g", "other_group": "h"},
            {"group": "g", "other_group": "h", "other_term": "T1"},
        ),
        (TEACHER, {}, {"who": OTHER_TEACHER}),
    ],
)
def test_an_answer_is_kept_for_the_same_question_of_the_same_students_and_time(
    school: Asked, who: Caller, one: dict[str, Any], other: dict[str, Any]
) -> None:
    """To take the guard out: leave a part out of the key."""
    first, unlike = {"who": who, **one}, {"who": who, **one, **other}
    answers = [school.ask(**first), school.ask(**unlike), school.ask(**first), school.ask(**unlike)]
    assert len(school.found) == 2
    assert answers[:2] == answers[2:]


def test_what_was_left_out_for_one_teacher_is_not_said_to_another(school: Asked) -> None:
    """Both have the same students in the course, and one has somebody else. Out: `outsiders` of `read_by`."""
    in_course = TWELVE[:6]
    school.graph.rows["first_course_record"] = lambda students, **_: [
        {"student": who, "at": None} for who in students if who in in_course
    ]
    name = "students who are not in the course"
    for _ in range(2):
        assert name not in school.ask(TEACHER).left_out
        assert school.ask(OTHER_TEACHER).left_out[name] == 1
    assert len(school.found) == 2


def test_the_time_of_the_clock_is_in_no_key_so_that_an_answer_is_kept(school: Asked) -> None:
    """Who is in the other group, and what becomes of students and terms, is: they are read each time."""
    school.ask(TEACHER)
    school.now = lambda: NOW + timedelta(seconds=30)  # type: ignore[method-assign]
    assert school.ask(TEACHER).as_of == NOW
    school.graph.rows["students_led"] = students(*TWELVE[1:6])
    assert school.ask(TEACHER).of_how_many["students"] == 5
    assert len(school.found) == 2
    for starts in (NOW - 9 * DAY, NOW - 8 * DAY):
        school.graph.rows["term"] = [{"starts": starts, "ends": None, "breaks": None}]
        school.ask(term="T1")
    assert len(school.found) == 4
    members = {"g": TWELVE[:6], "h": TWELVE[6:]}
    school.graph.rows["students_of_group"] = lambda group, **_: students(*members[group])
    for _ in range(2):
        school.ask(group="g", other_group="h")
        members["h"] = TWELVE[7:]
    assert len(school.found) == 6


def test_a_new_epoch_of_the_course_or_of_all_ends_an_answer(
    school: Asked, epochs: dict[str, str]
) -> None:
    school.ask()
    epochs["D"] = "of another course"
    school.ask()
    assert len(school.found) == 1
    for number, course in enumerate(["C", "", "C"]):
        epochs[course] = f"new {number}"
        school.ask()
        school.ask()
        assert len(school.found) == number + 2


def test_epochs_are_read_before_the_graph(school: Asked) -> None:
    """An import that ends between the two makes an answer newer than its epochs, and never older."""
    school.ask()
    assert school.graph.asked[0] == ("epochs", {"courses": ("C",)})


def test_without_a_store_each_answer_is_computed() -> None:
    bare = Asked(in_a_school())
    assert bare.ask() == bare.ask()
    assert len(bare.found) == 2


def test_what_is_shown_of_a_person_is_noted_also_when_it_was_kept(school: Asked) -> None:
    """To take the guard out: note only what was computed, or only what quotes."""
    for _ in range(2):
        school.ask(student="s03")
        school.ask(quotes=True)
        school.ask()
        school.ask(ANALYST, quotes=True)
    one = (ANYBODY, "insight weak-points", ("student", "s03"), "class council")
    assert school.noted == [one, (*one[:2], ("course", "C"), one[3])] * 2


def test_a_course_that_is_not_there_is_no_answer(school: Asked) -> None:
    with pytest.raises(Problem, match="no course E") as problem:
        school.ask(course="E")
    assert (problem.value.status, problem.value.name) == (404, "not-found")
    assert school.found == []


@pytest.mark.parametrize(
    ("given", "caller", "meant"),
    [
        ("maths", ANALYST, "C (Maths 8)"),
        ("Math 8", ANALYST, "C (Maths 8)"),
        ("phsyics", ANALYST, "D (Physics)"),
        ("phsyics", TEACHER, "D (Physics)"),
    ],
)
def test_a_misspelt_course_is_answered_with_those_that_may_be_meant(
    school: Asked, given: str, caller: Caller, meant: str
) -> None:
    with pytest.raises(Problem) as problem:
        school.ask(caller, course=given)
    assert problem.value.detail == f"There is no course {given}; did you mean {meant}?"
    assert (problem.value.status, problem.value.name) == (404, "not-found")


@pytest.mark.parametrize("given", ["maths", "Math 8", "c"])
def test_a_course_of_others_is_not_proposed(school: Asked, given: str) -> None:
    """Out: read the courses of all callers for the proposals. The teacher leads a group of D alone."""
    with pytest.raises(Problem) as problem:
        school.ask(TEACHER, course=given)
    assert "Maths" not in problem.value.detail


@pytest.mark.parametrize(
    ("given", "since", "until"),
    [
        ({}, None, NOW),
        ({"to": NOW + DAY}, None, NOW),
        ({"to": NOW - DAY}, None, NOW - DAY),
        ({"from": NOW - DAY}, NOW - DAY, NOW),
        ({"as_of": NOW.date() + DAY}, None, NOW),
        ({"as_of": YESTERDAY}, None, END_OF_YESTERDAY),
        ({"as_of": YESTERDAY, "to": NOW - 2 * DAY}, None, NOW - 2 * DAY),
        ({"as_of": YESTERDAY, "term": "T2"}, NOW - 20 * DAY, END_OF_YESTERDAY),
        ({"term": "T2"}, NOW - 20 * DAY, NOW),
        ({"term": "T1"}, NOW - 90 * DAY, NOW - 30 * DAY - timedelta(microseconds=1)),
        (
            {"term": "T1", "from": NOW - 40 * DAY},
            NOW - 40 * DAY,
            NOW - 30 * DAY - timedelta(microseconds=1),
        ),
        (
            {"term": "T1", "from": NOW - 99 * DAY, "to": NOW - 50 * DAY},
            NOW - 90 * DAY,
            NOW - 50 * DAY,
        ),
    ],
)
def test_the_time_is_the_narrower_of_the_term_and_what_was_given(
    school: Asked, given: dict[str, Any], since: datetime | None, until: datetime
) -> None:
    assert school.ask(**given).as_of == until
    [facts] = school.found
    assert (facts.since, facts.until) == (since, until)
    assert (facts.term is not None) == ("term" in given)
    assert facts.in_past == ("as_of" in given)


def test_as_of_a_day_the_members_of_that_day_count(school: Asked) -> None:
    school.ask(group="g", as_of=YESTERDAY)
    asked = [
        parameters
        for statement, parameters in school.graph.asked
        if statement == "students_of_group"
    ]
    assert asked == [{"group": "g", "now": END_OF_YESTERDAY.isoformat()}]
    assert school.ask(group="g", as_of=YESTERDAY).parameters["as_of"] == YESTERDAY.isoformat()


def test_an_answer_speaks_the_language_that_was_asked_for(school: Asked) -> None:
    answer = school.ask(language="zh")
    assert answer.question == "班级在哪些知识点上薄弱？"
    assert "Wilson" in answer.computed_by
    assert answer.of_how_many == {"学生": 12, "records": 3}  # what has no Chinese stays
    assert answer.parameters["language"] == "zh"
    assert "language" not in school.ask(language="en").parameters
    assert school.ask(language="en") == school.ask()


def test_an_analyst_does_not_learn_which_terms_there_are(school: Asked) -> None:
    """To take the guard out: look the term up before the detail is refused."""
    with pytest.raises(Problem, match="no term T9") as problem:
        school.ask(term="T9")
    assert (problem.value.status, problem.value.name) == (404, "not-found")
    with pytest.raises(Refusal, match="leave out term"):
        school.ask(ANALYST, term="T9")


def test_of_two_groups_the_members_at_the_end_of_each_time_count(school: Asked) -> None:
    school.ask(group="g", term="T1")
    school.ask(group="g", other_group="h", term="T1", other_term="T2")
    then = (NOW - 30 * DAY - timedelta(microseconds=1)).isoformat()
    asked = [
        parameters
        for statement, parameters in school.graph.asked
        if statement == "students_of_group"
    ]
    assert [(each["group"], each["now"]) for each in asked] == [
        ("g", NOW.isoformat()),
        ("g", then),
        ("h", NOW.isoformat()),
    ]
    beside = school.found[-1].beside
    assert beside
    assert (school.found[-1].students, beside.students) == (tuple(TWELVE[:6]), tuple(TWELVE[6:]))
    assert beside.since == NOW - 20 * DAY


def test_the_records_behind_a_progress_are_of_all_days_for_it_is_the_latest() -> None:
    """Out: the condition in `Parameters.records`: the link of a progress of March opened no record in April."""
    asked = Parameters.model_validate(
        {"course": "C", "from": NOW - DAY, "to": NOW, "term": "2026-1", "student": "s"}
    )
    assert asked.records(kind="progress") == "/v1/insights/records?course=C&student=s&kind=progress"
    assert "from=" in asked.records()
    assert "term=2026-1" in asked.records(kind="messages")
    of_a_day = Parameters.model_validate({"course": "C", "as_of": YESTERDAY})
    assert (
        of_a_day.records(kind="progress")
        == "/v1/insights/records?course=C&as_of=2026-05-31&kind=progress"
    )


def test_a_question_about_many_students_has_a_place_or_an_offer_and_a_group_is_never_kept_waiting() -> (
    None
):
    """Out: `insights.large.place` in `ask`; its `finally`; the comparison with MANY_STUDENTS."""
    many = [f"s{number:03}" for number in range(MANY_STUDENTS)]
    graph = in_a_school()
    of = {"C": in_one_list(*many), "D": in_one_list(*many[1:])}
    graph.rows["students_of_course"] = lambda course, **_: of[course]
    school = Asked(graph)
    with school.large.place(MANY_STUDENTS):
        with pytest.raises(Busy, match="are being answered now") as large:
            school.ask()
        assert "one group" in large.value.more["narrower"]
        assert large.value.retry_after, "the page asks again"
        assert school.ask(group="g").rows
        assert school.ask(course="D").rows, "one student less"
    graph.rows["course_name"] = []
    with pytest.raises(Problem, match="no course"):
        school.ask()
    graph.rows["course_name"] = [{"name": "Algebra"}]
    assert school.ask().rows, "the place of the one that failed is free"
    assert len(school.found) == 3


def test_a_question_from_columns_can_be_about_more_than_ten_thousand_students() -> None:
    """Out, each alone: the higher limit, `from_columns`, and the question whether there are columns.

    Cells and a day in the past have the lower limit, since they read records of each student.
    """
    graph = in_a_school()
    school = Asked(graph, columns="of courses")
    graph.rows["students_of_course"] = in_one_list(*(f"s{n:06}" for n in range(10_001)))
    assert {row.students for row in school.ask(from_columns=True).rows} == {10_001}
    refused: list[dict[str, Any]] = [
        {"from_columns": False},
        {"from_columns": True, "who": ANALYST},
        {"from_columns": True, "as_of": NOW.date()},
    ]
    for given in refused:
        with pytest.raises(TooLarge, match="more than 10,000 students"):
            school.ask(**given)
    school.columns = None
    with pytest.raises(TooLarge, match="more than 10,000 students"):
        school.ask(from_columns=True)
    school.columns = "of courses"
    graph.rows["students_of_course"] = in_one_list(*(f"s{n:06}" for n in range(100_001)))
    with pytest.raises(TooLarge, match="more than 100,000 students"):
        school.ask(from_columns=True)


def test_who_waited_for_a_place_is_given_the_answer_that_was_found_meanwhile(school: Asked) -> None:
    """Out: the second look in `ask`: each of five teachers who open a course had it computed anew, in turn."""

    class Missing(AnswerCache):
        """Finds nothing at so many looks, as if another had not been answered yet."""

        misses = 0

        def find(self, key: bytes) -> bytes | None:
            if self.misses:
                self.misses -= 1
                return None
            return super().find(key)

    assert school.answers
    school.answers = cache = Missing(2**16, school.answers.epochs)
    first = school.ask()
    cache.misses = 1
    assert school.ask() == first
    assert (len(school.found), cache.misses) == (1, 0)


def test_few_wait_for_a_place_so_that_threads_are_left_for_questions_about_a_group() -> None:
    """Out: the queue in `place`: forty questions about whole courses held all threads of the process."""
    large = LargeQuestions(BoundedSemaphore(1), BoundedSemaphore(1), longest_wait_seconds=30.0)

    def wait() -> str:
        with large.place(MANY_STUDENTS):
            return "had its turn"

    with ThreadPoolExecutor(1) as other:
        with large.place(MANY_STUDENTS):
            waiting = other.submit(wait)
            while large.queue.acquire(blocking=False):  # until the other one waits
                large.queue.release()
                time.sleep(0.001)
            begun = time.monotonic()
            with pytest.raises(Busy, match="are being answered now"), large.place(MANY_STUDENTS):
                pass
            assert time.monotonic() - begun < 10.0, "it is told at once"
            with large.place(MANY_STUDENTS - 1):
                assert not waiting.done()
        assert waiting.result() == "had its turn"
    with large.place(MANY_STUDENTS):
        pass  # both places are free again
