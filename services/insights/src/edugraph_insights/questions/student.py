"""Question 6: one student on one page."""

from collections import Counter
from datetime import datetime
from typing import Annotated

from pydantic import Field

from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Facts, Point
from edugraph_insights.mastery import UNKNOWN
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.usefulness import shown_mistakes

Text = Annotated[str, Mark.PERSONAL]
Number = Annotated[int, Mark.PERSONAL]
Estimate = Annotated[float | None, Mark.PERSONAL]


class OfStudent(Parameters):
    """Parameters of a question about one student in a course."""

    student: Id = Field(description="the student")


class PointOfStudent(Row):
    """One point. Findings of `mistakes` name it.

    `probability` is that of a right answer, `low` and `high` are the ends of its 95 % interval. All three are null
    without a first attempt.
    """

    point: Text
    name: Text
    state: Text
    probability: Estimate
    low: Estimate
    high: Estimate
    right: Number
    wrong: Number
    mistakes: Number
    last: Annotated[datetime | None, Mark.PERSONAL]
    evidence: Evidence = None


def find(facts: Facts, asked: OfStudent) -> Found[PointOfStudent]:
    practice = facts.practice(asked.course)
    tried = {Point(each.id, each.name): each for each in practice.tries.tried_points()}
    states = practice.mastery_of(asked.student)
    all_mistakes, hidden = shown_mistakes(facts, asked.course)
    found = [row for row in all_mistakes if row["point"] is not None]
    # Two points of one mistake may be synonyms, so a mistake counts once for each canonical point.
    of_points = {(Point(row["point"], row["name"]), row["record"]) for row in found}
    mistakes = Counter(point for point, _ in of_points)
    alone = frozenset({asked.student})
    rows = []
    for point in tried.keys() | mistakes.keys():
        right = 0
        wrong = 0
        ends = [row["at"] for row in found if row["point"] == point.id]
        if point in tried:
            right = practice.tries.right(tried[point])
            wrong = int(tried[point].number.sum()) - right
            ends.append(tried[point].last_of_all)
        mastery = states.get(point.id, UNKNOWN)
        row = PointOfStudent(
            point=point.id,
            name=point.name,
            state=mastery.state,
            probability=mastery.probability,
            low=mastery.low,
            high=mastery.high,
            right=right,
            wrong=wrong,
            mistakes=mistakes[point],
            last=max(ends, default=None),
            evidence=asked.records(point=point.id),
        )
        rows.append(Measured(row, alone))
    return Found(
        tuple(rows),
        of_how_many={
            "first attempts": practice.tries.number,
            "mistakes": len({row["record"] for row in all_mistakes}),
        },
        left_out={
            "first attempts at items of no known point": practice.tries.without_point,
            "mistakes of no known point": sum(row["point"] is None for row in all_mistakes),
            **hidden.left_out,
        },
    )


QUESTION = Question(
    name="student",
    title="One student on one page",
    computed_by="Of each point, first attempts at the items that test it and mistakes whose finding names it. "
    "The probability of a right answer is a Bayesian estimate from all first attempts until then, with its 95 % "
    "interval; too few for an estimate: half the width of the interval is over 0.25; mastered: 0.75 or more; "
    "long ago: no attempt for 180 days.",
    parameters=OfStudent,
    row=PointOfStudent,
    find=find,
    order=lambda row: (row.probability is None, row.probability or 0.0, -row.mistakes, row.point),
    quotes=True,
)
