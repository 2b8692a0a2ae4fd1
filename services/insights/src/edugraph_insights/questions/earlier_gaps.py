"""Question 2: which earlier gap is behind these mistakes?"""

from typing import Annotated

from pydantic import Field

from edugraph_insights.answers import (
    Count,
    Difference,
    Evidence,
    Found,
    Mark,
    Measured,
    Name,
    Row,
    Share,
)
from edugraph_insights.facts import Facts, wrong_share
from edugraph_insights.mastery import is_shown, mean_mastery
from edugraph_insights.questions.question import Parameters, Question

# With fewer students a row has no score.
ENOUGH_FOR_NUMBER = 10
# A student with a larger share of wrong first attempts at a point counts as wrong at it.
MOSTLY_WRONG = 0.5


Names = Annotated[tuple[str, ...], Mark.NAME]


class OfGaps(Parameters):
    """Parameters of a question about the prerequisites of the points of a course."""

    min_confidence: float = Field(
        default=0.0, ge=0, le=1, description="the smallest confidence of a prerequisite that counts"
    )


class EarlierGap(Row):
    """A point and one of its direct or indirect prerequisites, `gap`. `score` is null if too few students tried both.

    `class_mastery` is the mean mastery of the gap over the students who tried both. It is null if half the width of
    its 95 % interval is over 0.25.

    `way` are the points from the direct prerequisite of `point` up to the gap, `way_names` their names.
    """

    point: Name
    name: Name
    gap: Name
    gap_name: Name
    score: Difference
    confidence: Share
    class_mastery: Share
    difference: Difference
    students: Count
    way: Names = ()
    way_names: Names = ()
    evidence: Evidence = None


def find(facts: Facts, asked: OfGaps) -> Found[EarlierGap]:
    practice = facts.practice(asked.course)
    of_point = {point.id: of_students for point, of_students in practice.tried.items()}
    names = {point.id: point.name for point in practice.tried}
    rows = []
    for need in facts.needs_before(of_point, asked.min_confidence):
        gap = need.needs.id
        both = of_point[need.point].keys() & of_point.get(gap, {}).keys()
        wrong_gap = {s for s in both if wrong_share(of_point[gap][s]) > MOSTLY_WRONG}
        wrong = {s for s in both if wrong_share(of_point[need.point][s]) > MOSTLY_WRONG}
        right_gap = both - wrong_gap
        level = None
        if both:
            middle, low, high = mean_mastery([practice.mastery[s][gap] for s in sorted(both)])
            if is_shown(low, high):
                level = middle
        difference = None
        if len(both) >= ENOUGH_FOR_NUMBER and wrong_gap and right_gap:
            wrong_after_wrong = len(wrong & wrong_gap) / len(wrong_gap)
            wrong_after_right = len(wrong & right_gap) / len(right_gap)
            difference = wrong_after_wrong - wrong_after_right
        score = None
        if difference is not None and level is not None:
            score = need.confidence * (1 - level) * difference
        row = EarlierGap(
            point=need.point,
            name=names[need.point],
            gap=gap,
            gap_name=need.needs.name,
            score=score,
            confidence=need.confidence,
            class_mastery=level,
            difference=difference,
            students=len(both),
            way=tuple(each.id for each in need.way),
            way_names=tuple(each.name for each in need.way),
            evidence=asked.records(point=gap),
        )
        parts = (frozenset(wrong_gap), frozenset(right_gap))
        rows.append(Measured(row, frozenset(both), parts))
    return Found(
        tuple(rows),
        of_how_many={"students": frozenset(facts.students), "points with attempts": len(of_point)},
        left_out={
            "gaps without a number: too few students": sum(r.row.score is None for r in rows)
        },
    )


QUESTION = Question(
    name="earlier-gaps",
    title="Which earlier gap is behind these mistakes?",
    computed_by="Of each point with attempts and each point that it needs (up to 4 steps): confidence of the "
    "surest way × (1 − mean mastery of the gap) × (share wrong of those who are wrong at the gap − "
    "of those who are right there), over students who tried both, from 10 on.",
    parameters=OfGaps,
    row=EarlierGap,
    find=find,
    order=lambda row: (row.score is None, -(row.score or 0.0), row.point, row.gap),
)
