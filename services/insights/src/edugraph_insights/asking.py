"""The way of a question: who asks, of whom, what the graph says, what may be published of it."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from edugraph_common.platform import metrics
from edugraph_common.platform.callers import Caller
from edugraph_common.platform.problems import Problem
from edugraph_insights.access import Roster, Rule, refuse_detail, roster, rule_for
from edugraph_insights.answer_cache import key_of
from edugraph_insights.answers import Answer
from edugraph_insights.facts import Facts, as_term
from edugraph_insights.insights import Insights
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.sentences import said
from edugraph_insights.settings import HelpThresholds
from edugraph_insights.small_groups import publish

# Names of counts in `left_out`.
OUTSIDERS = "students who are not in the course"
OTHER_OUTSIDERS = "students of the other group who are not in the course"
_LAST_MOMENT = timedelta(microseconds=1)  # before the end of a term or a day, which is no part of it


def ask(
    insights: Insights, caller: Caller, question: Question[Any, Any], asked: Parameters, purpose: str = ""
) -> Answer[Any]:
    """Answer a question, or give an answer that was computed a short while ago of the same students and records.

    What is shown of a person is written into the audit log before, also of an answer that was kept.

    Raises Refusal 403 and 404, Problem 404 without such a course, TooLarge, Busy, and Retryable.
    """
    now, rule = insights.now(), rule_for(caller, question.name)
    asked = asked.completed(insights.settings.help_thresholds.get(asked.course, HelpThresholds()))
    # Before the graph is read: an answer that is kept is at least as new as its epochs.
    epochs = insights.answers.epochs(asked.courses) if insights.answers else ()
    permitted, facts = facts_of(insights, caller, rule, asked, now)
    if asked.beside is not None:
        _, other = facts_of(insights, caller, rule, asked.beside, now)
        facts = replace(facts, beside=other)
    key = key_of(question.name, asked.model_dump(), epochs, permitted.in_cells, *read_by(facts))
    kept = insights.answers.find(key) if insights.answers else None
    if kept is None:
        students = len(facts.students) + (len(facts.beside.students) if facts.beside else 0)
        with insights.large.place(students):
            # Whoever waited may find what they ask for: several people open one course when a lesson begins.
            kept = insights.answers.find(key) if insights.answers else None
            if kept is None:
                answer = computed(question, asked, facts, in_cells=permitted.in_cells)
                if insights.answers:
                    insights.answers.keep(key, answer.model_dump_json().encode())
    if kept is not None:
        answer = Answer[question.row].model_validate_json(kept)  # type: ignore[name-defined]
    metrics.ANSWERS_KEPT.add(came_from="graph" if kept is None else "cache")
    if answer.exact and (question.quotes or asked.person is not None):
        of = ("student", asked.person) if asked.person else ("course", asked.course)
        insights.note_shown(caller, f"insight {question.name}", of, purpose)
    return answer


def read_by(facts: Facts) -> tuple[object, ...]:
    """Return of whom and in which time the facts of an answer are: what a caller may see is in nothing else."""
    beside = read_by(facts.beside) if facts.beside else ()
    return (facts.students, facts.outsiders, facts.since, facts.term, *beside)


def computed(question: Question[Any, Any], asked: Parameters, facts: Facts, *, in_cells: bool) -> Answer[Any]:
    """Return what may be published of the exact answer.

    Raises Problem 404 without such a course, TooLarge, Busy, and Retryable.
    """
    if facts.course_name(asked.course) is None:
        raise Problem(404, "not-found", f"There is no course {asked.course}; check the id.")
    found = question.find(facts, asked)
    outsiders = {OUTSIDERS: facts.outsiders}
    if facts.beside is not None:
        outsiders[OTHER_OUTSIDERS] = facts.beside.outsiders
    found = replace(found, left_out={**found.left_out, **outsiders})
    shown = publish(found) if in_cells else found
    return Answer[question.row](  # type: ignore[name-defined]
        question=said("title", question.name, question.title, asked.language),
        computed_by=said("computed", question.name, question.computed_by, asked.language),
        as_of=facts.until,
        parameters=asked.given(),
        exact=not in_cells,
        of_how_many={
            said("count", name, name, asked.language): number if isinstance(number, int) else len(number)
            for name, number in shown.of_how_many.items()
        },
        left_out={
            said("count", name, name, asked.language): number for name, number in shown.left_out.items() if number
        },
        rows=tuple(sorted((each.row for each in shown.rows), key=question.order)),
        links={"self": f"/v1/insights/{question.name}", "how": "docs/insights.md"},
    )


def facts_of(
    insights: Insights, caller: Caller, rule: Rule, asked: Parameters, now: datetime
) -> tuple[Roster, Facts]:
    """Return of whom and in which time may be read: from, to and the term, whichever is narrower.

    As of a day, and of two groups that are compared, the members at the end of the time count: those of a group of
    last year are in it no more. Raises what `roster` raises, Problem 404 without such a term, and Retryable.
    """
    refuse_detail(caller, rule, asked)  # before a term is looked up: that it is there is an answer, too
    since, until, term = asked.since, min(asked.until or now, now), None
    if asked.as_of is not None:
        until = min(until, datetime.combine(asked.as_of, time.max, UTC))
    if asked.term is not None:
        found = next(iter(insights.graph.read("term", term=asked.term)), None)
        if found is None:
            raise Problem(404, "not-found", f"There is no term {asked.term}; check the id.")
        term = as_term(found)
        since = max(filter(None, (since, term.starts)), default=None)
        until = min(until, term.ends - _LAST_MOMENT) if term.ends else until
    members_at = now if asked.beside is None and asked.as_of is None else until
    permitted = roster(insights.graph, caller, rule, asked, now, members_at=members_at)
    in_past = asked.as_of is not None
    facts = Facts(
        insights.graph,
        permitted.students,
        since,
        until,
        insights.coefficients,
        term,
        in_past=in_past,
        outsiders=permitted.outsiders,
    )
    return permitted, facts
