"""Answer a question: find the permitted students and the period, read the graph, publish what may be published."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.access import (
    MAX_STUDENTS,
    MAX_STUDENTS_OF_COLUMNS,
    Roster,
    Rule,
    joined,
    owner_of,
    refuse_detail,
    roster,
    rule_for,
    rules_of,
)
from edugraph_insights.answer_cache import key_of
from edugraph_insights.answers import Answer, size_of
from edugraph_insights.available import courses_of, nearest
from edugraph_insights.cell_noise import CellNoise
from edugraph_insights.cells import CellsOfQuestion, Published, differ_by_few
from edugraph_insights.closed_weeks import end_of_closed_week
from edugraph_insights.facts import Facts, as_term
from edugraph_insights.graph import Graph
from edugraph_insights.insights import Insights
from edugraph_insights.own_lists import listed_students
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.school_days import end_of
from edugraph_insights.sentences import said
from edugraph_insights.settings import HelpThresholds

# Names of counts in `left_out`.
HIDDEN_COURSES = "pairs of courses whose students differ by few"
OUTSIDERS = "students who are not in the course"
NOT_OF_LIST = "students of the list who are not shown here"
OTHER_OUTSIDERS = "students of the other group who are not in the course"
PROTECTION = (
    "Protected by noise: a number of students is ± 1.5 from protection; a number of records is ± 1.5 times the "
    "records of the student with most; a share of students ± 1.5 ÷ students, and a share of records more "
    "(column noise). Rows are shown from 10 students on, shares from 25 on. A row shows the end of the last closed "
    "week by which ten or more of its students had other records than before."
)
# The end of a term is not part of the term. This is the difference to its last moment.
_LAST_MOMENT = timedelta(microseconds=1)


class NoSuchCourse(Problem):
    """The graph has no course of this id."""


def ask(
    insights: Insights,
    caller: Caller,
    question: Question[Any, Any],
    asked: Parameters,
    purpose: str = "",
) -> Answer[Any]:
    """Return the answer to a question, computed now or taken from the cache of answers.

    A cached answer is about the same students and the same records. An answer that shows persons is written into the
    audit log first, also if it comes from the cache.

    Raises Refusal 403 and 404, Problem 404 if the course does not exist, TooLarge, Busy, and Retryable.
    """
    now = insights.now()
    rule = rule_for(caller, question.name, rules_of(insights.settings.head_sees))
    asked = asked.completed(insights.settings.help_thresholds.get(asked.course, HelpThresholds()))
    asked = _about_owner(insights.graph, asked.in_zone(insights.zone))
    # The epochs are read before the graph, so that a cached answer is never older than its epochs.
    epochs: tuple[object, ...] = ()
    if insights.answers:
        epochs = insights.answers.epochs(asked.courses)
    most_students = _most_students(insights, question)
    listed = listed_students(insights, caller, asked)
    permitted, facts = facts_of(
        insights, caller, rule, asked, now, most_students=most_students, listed=listed
    )
    if asked.beside is not None:
        _, other = facts_of(insights, caller, rule, asked.beside, now, listed=listed)
        facts = replace(facts, beside=other)
    # Cells change when a week is over, also without a write.
    closed_week = facts.until if permitted.in_cells else None
    key = key_of(question.name, asked.model_dump(), epochs, closed_week, *read_by(facts))
    kept = _kept(insights, key)
    if kept is None:
        students = len(facts.students)
        if facts.beside is not None:
            students += len(facts.beside.students)
        with insights.large.place(students):
            # Several people open one course when a lesson begins: another thread may have computed the same answer
            # while this one waited.
            kept = _kept(insights, key)
            if kept is None:
                answer = _computed_or_proposals(insights, caller, question, asked, facts)
                if insights.answers:
                    insights.answers.keep(key, answer.model_dump_json().encode())
    if kept is not None:
        answer = Answer[question.row].model_validate_json(kept)  # type: ignore[name-defined]
    metrics.ANSWERS_KEPT.add(came_from="graph" if kept is None else "cache")

    shows_persons = question.quotes or asked.person is not None
    if answer.exact and shows_persons:
        about = ("course", asked.course)
        if asked.person:
            about = ("student", asked.person)
        insights.note_shown(caller, f"insight {question.name}", about, purpose)
    return answer


def _computed_or_proposals(
    insights: Insights,
    caller: Caller,
    question: Question[Any, Any],
    asked: Parameters,
    facts: Facts,
) -> Answer[Any]:
    """Return the answer from the graph. Raises what `computed` raises.

    If the course does not exist, the problem names those that the caller may have meant, among their own.
    """
    try:
        if facts.in_cells:
            return computed_in_cells(insights, question, asked, facts)
        return computed(question, asked, facts)
    except NoSuchCourse as problem:
        meant = nearest(asked.course, courses_of(insights, caller))
        if not meant:
            raise
        proposals = ", ".join(f"{choice.id} ({choice.name})" for choice in meant)
        words = f"There is no course {asked.course}; did you mean {proposals}?"
        raise NoSuchCourse(problem.status, problem.name, words) from None


def _most_students(insights: Insights, question: Question[Any, Any]) -> int:
    """Return how many students of a course an exact answer to this question may be about."""
    if question.from_columns and insights.columns is not None:
        return MAX_STUDENTS_OF_COLUMNS
    return MAX_STUDENTS


def _about_owner(graph: Graph, asked: Parameters) -> Parameters:
    """Return the question with the id at whose node the records of the student are."""
    if asked.student is None:
        return asked
    return asked.model_copy(update={"student": owner_of(graph, asked.student)})


def _kept(insights: Insights, key: bytes) -> bytes | None:
    """Return the answer in the cache, or None if there is none or if no cache is in use."""
    if not insights.answers:
        return None
    return insights.answers.find(key)


def read_by(facts: Facts) -> tuple[object, ...]:
    """Return the students and the period of these facts. An answer depends on its caller only through these."""
    beside: tuple[object, ...] = ()
    if facts.beside:
        beside = read_by(facts.beside)
    return (facts.students, facts.outsiders, facts.since, facts.term, *beside)


def computed(question: Question[Any, Any], asked: Parameters, facts: Facts) -> Answer[Any]:
    """Return the exact answer from the graph.

    Raises Problem 404 if the course does not exist, TooLarge, Busy, and Retryable.
    """
    need_course(facts, asked)
    found = question.find(facts, asked)
    name_of_outsiders = OUTSIDERS
    if asked.own_list is not None:
        name_of_outsiders = NOT_OF_LIST
    outsiders = {name_of_outsiders: facts.outsiders}
    if facts.beside is not None:
        outsiders[OTHER_OUTSIDERS] = facts.beside.outsiders
    exact = Published(
        tuple(each.row for each in found.rows),
        {name: size_of(total) for name, total in found.of_how_many.items()},
        {**found.left_out, **outsiders},
    )
    return answer_of(question, asked, facts, exact, protection="")


def computed_in_cells(
    insights: Insights,
    question: Question[Any, Any],
    asked: Parameters,
    facts: Facts,
) -> Answer[Any]:
    """Return the part of the answer that may be published, with noise.

    Raises what `computed` raises, and Problem 503 without EDUGRAPH_PRIVACY_SECRET, from which the noise comes.
    """
    need_course(facts, asked)
    secret = insights.settings.privacy_secret
    if secret is None:
        words = "Numbers of cells need EDUGRAPH_PRIVACY_SECRET, the key of their noise: the operator sets it."
        raise Problem(503, "not-set-up", words)
    protection = said("protection", "cells", PROTECTION, asked.language)
    joins = [joined(insights.graph, course) for course in asked.courses]
    # Each row is checked once more at its own state, which may be of an earlier week.
    if differ_by_few((facts.joined_cells, *joins), facts.until):
        hidden: Published[Any] = Published((), {}, {HIDDEN_COURSES: 1})
        return answer_of(question, asked, facts, hidden, protection)
    cells = CellsOfQuestion(question, asked, facts, facts.joined_cells, tuple(joins))
    published = cells.published(CellNoise(secret.get_secret_value()))
    return answer_of(question, asked, facts, published, protection)


def need_course(facts: Facts, asked: Parameters) -> None:
    """Raise Problem 404 if the course does not exist."""
    if facts.course_name(asked.course) is None:
        raise NoSuchCourse(404, "not-found", f"There is no course {asked.course}; check the id.")


def answer_of(
    question: Question[Any, Any],
    asked: Parameters,
    facts: Facts,
    shown: Published[Any],
    protection: str,
) -> Answer[Any]:
    """Return what is shown as an answer in the language of the question."""

    def count_name(name: str) -> str:
        return said("count", name, name, asked.language)

    of_how_many = {count_name(name): number for name, number in shown.of_how_many.items()}
    left_out = {}
    for name, number in shown.left_out.items():
        if number:
            left_out[count_name(name)] = number
    return Answer[question.row](  # type: ignore[name-defined]
        question=said("title", question.name, question.title, asked.language),
        computed_by=said("computed", question.name, question.computed_by, asked.language),
        as_of=facts.until,
        parameters=asked.given(),
        exact=not protection,
        protection=protection,
        of_how_many=of_how_many,
        left_out=left_out,
        rows=tuple(sorted(shown.rows, key=question.order)),
        links={"self": f"/v1/insights/{question.name}", "how": "docs/insights.md"},
    )


def facts_of(
    insights: Insights,
    caller: Caller,
    rule: Rule,
    asked: Parameters,
    now: datetime,
    *,
    most_students: int = MAX_STUDENTS,
    listed: frozenset[str] | None = None,
) -> tuple[Roster, Facts]:
    """Return the permitted students, and the facts about them in the period.

    The period is where `from` and `to`, the term, and the day `as_of` overlap. If the question is as of a day, or
    compares two groups, it is about the members at the end of the period, since the members of last year have left
    their group by now. `most_students` and `listed` are what `roster` takes.

    Raises what `roster` raises, Problem 404 if the term does not exist, and Retryable.
    """
    # The term is read afterwards, since its existence would be an answer, too.
    refuse_detail(caller, rule, asked)
    since = asked.since
    until = now
    if asked.until is not None:
        until = min(asked.until, now)
    in_past = asked.as_of is not None
    if asked.as_of is not None:
        until = min(until, end_of(asked.as_of, insights.zone))
    term = None
    if asked.term is not None:
        rows = insights.graph.read("term", term=asked.term)
        if not rows:
            raise Problem(404, "not-found", f"There is no term {asked.term}; check the id.")
        term = as_term(rows[0])
        if term.starts is not None:
            is_before_term = since is None or since < term.starts
            if is_before_term:
                since = term.starts
        if term.ends is not None:
            until = min(until, term.ends - _LAST_MOMENT)
    if rule.rows == "cells":
        until = end_of_closed_week(now, insights.zone)
    members_at = now
    is_in_cells = rule.rows == "cells"
    compares_groups = asked.beside is not None
    is_about_end_of_period = in_past or is_in_cells or compares_groups
    if is_about_end_of_period:
        members_at = until
    permitted = roster(
        insights.graph,
        caller,
        rule,
        asked,
        now,
        members_at=members_at,
        most_students=most_students,
        listed=listed,
    )
    facts = Facts(
        insights.graph,
        permitted.students,
        since,
        until,
        term,
        in_past=in_past,
        outsiders=permitted.outsiders,
        in_cells=permitted.in_cells,
        zone=insights.zone,
        joined_cells=permitted.joined,
        columns=insights.columns,
    )
    return permitted, facts
