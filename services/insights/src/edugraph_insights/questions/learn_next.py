"""Question 4: what should this student learn next, to reach a point?"""

from collections import defaultdict
from typing import Annotated

from pydantic import Field

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.runtime.service.problems import Problem
from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import MAX_POINTS_BEFORE, Facts
from edugraph_insights.mastery import UNKNOWN, learning_path
from edugraph_insights.questions.question import PointId, Question
from edugraph_insights.questions.student import OfStudent

Text = Annotated[str, Mark.PERSONAL]
Estimate = Annotated[float | None, Mark.PERSONAL]


class ToGoal(OfStudent):
    """Parameters of a question about the way of one student to a point."""

    goal: PointId = Field(description="the point to reach: its id or its name")
    min_confidence: float = Field(
        default=0.0, ge=0, le=1, description="the smallest confidence of a prerequisite that counts"
    )


class NextPoint(Row):
    """One point to learn. `action` is learn or check first.

    Points of one `step` may be learned in any order; all points of step 1 can be learned now. `needed_for` are the
    points between this one and the goal that need it directly. It is empty for the goal.
    """

    step: Annotated[int, Mark.PERSONAL]
    point: Text
    name: Text
    action: Text
    state: Text
    probability: Estimate
    low: Estimate
    high: Estimate
    first_attempts: Annotated[int, Mark.PERSONAL]
    needed_for: Annotated[tuple[str, ...], Mark.PERSONAL] = ()
    evidence: Evidence = None


def find(facts: Facts, asked: ToGoal) -> Found[NextPoint]:
    goal = facts.point_called((asked.goal, canonical_name(asked.goal)))
    if goal is None:
        raise Problem(
            404,
            "not-found",
            "There is no knowledge point that has the goal's id or name; check it.",
        )
    needs, complete = facts.all_needs(goal, asked.min_confidence)
    practice = facts.practice(asked.course)
    states = practice.mastery_of(asked.student)
    number_at = {point.id: int(point.number.sum()) for point in practice.tries.tried_points()}
    names = {goal.id: goal.name} | {need.needs.id: need.needs.name for need in needs}
    pairs = {(need.point, need.needs.id) for need in needs}
    needed_for: dict[str, set[str]] = defaultdict(set)
    for point, needed in pairs:
        needed_for[needed].add(names[point])
    rows = []
    path = learning_path(goal.id, pairs, {point: each.state for point, each in states.items()})
    for step, points in enumerate(path, start=1):
        for point in points:
            state = states.get(point, UNKNOWN)
            row = NextPoint(
                step=step,
                point=point,
                name=names[point],
                action="learn" if state.state == "not mastered" else "check first",
                state=state.state,
                probability=state.probability,
                low=state.low,
                high=state.high,
                first_attempts=number_at.get(point, 0),
                needed_for=tuple(sorted(needed_for[point])),
                evidence=asked.records(point=point),
            )
            rows.append(Measured(row, frozenset({asked.student})))
    cut = f"points that are needed from further away than the first {MAX_POINTS_BEFORE}: at least"
    return Found(
        tuple(rows),
        of_how_many={
            "points on the way": len(names),
            "first attempts": practice.tries.number,
        },
        left_out={
            "mastered points": len(names) - len(rows),
            cut: not complete,
            **facts.waiting(names),
        },
    )


QUESTION = Question(
    name="next",
    title="What should this student learn next, to reach a point?",
    computed_by="The goal and the points that it needs by DEPENDS_ON, without those that are mastered (estimated "
    "probability of 0.75 or more, with half the width of its 95 % interval at most 0.25, the last attempt within 180 "
    "days), in topological order. A point with too few attempts for an estimate, or without one for 180 days, is to "
    "be checked first.",
    parameters=ToGoal,
    row=NextPoint,
    find=find,
    order=lambda row: (row.step, row.point),
    quotes=True,
)
