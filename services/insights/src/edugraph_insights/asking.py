"""The way of a question: who asks, of whom, what the graph says, what may be published of it."""

from typing import Any

from edugraph_common.platform.callers import Caller
from edugraph_common.platform.problems import Problem
from edugraph_insights.access import roster, rule_for
from edugraph_insights.answers import Answer
from edugraph_insights.facts import Facts
from edugraph_insights.insights import Insights
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.small_groups import publish


def ask(
    insights: Insights, caller: Caller, question: Question[Any, Any], asked: Parameters, purpose: str = ""
) -> Answer[Any]:
    """Answer a question. What is shown of a person is written into the audit log before.

    Raises Refusal 403 and 404, Problem 404 without such a course, TooLarge, and Retryable.
    """
    now = insights.now()
    permitted = roster(insights.graph, caller, rule_for(caller, question.name), asked, now)
    as_of = min(asked.until or now, now)
    facts = Facts(insights.graph, permitted.students, asked.since, as_of, insights.coefficients)
    if facts.course_name(asked.course) is None:
        raise Problem(404, "not-found", f"There is no course {asked.course}; check the id.")
    found = question.find(facts, asked)
    exact = not permitted.in_cells
    shown = found if exact else publish(found)
    if exact and (question.quotes or asked.student is not None):
        of = ("student", asked.student) if asked.student else ("course", asked.course)
        insights.audit.record(
            caller.client_id,
            "personal.read",
            f"insight {question.name}",
            now,
            outcome="shown",
            of=of,
            purpose=purpose,
        )
    given = asked.given()
    return Answer[question.row](  # type: ignore[name-defined]
        question=question.title,
        computed_by=question.computed_by,
        as_of=as_of,
        parameters=given,
        exact=exact,
        of_how_many={
            name: number if isinstance(number, int) else len(number) for name, number in shown.of_how_many.items()
        },
        left_out={name: number for name, number in shown.left_out.items() if number},
        rows=tuple(sorted((each.row for each in shown.rows), key=question.order)),
        links={"self": f"/v1/insights/{question.name}", "how": "docs/insights.md"},
    )
