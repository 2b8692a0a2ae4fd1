"""Question 2: which earlier gap is behind these mistakes?"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, ClassVar

from pydantic import Field

from edugraph_insights.answers import (
    Contrast,
    Count,
    Difference,
    Evidence,
    Figure,
    Found,
    FromCatalogue,
    Mark,
    Measured,
    Name,
    Noise,
    Row,
    Share,
    mean_of,
    number_of,
    share_of,
    statistic,
)
from edugraph_insights.facts import Attempt, Facts, wrong_share
from edugraph_insights.mastery import Mastery, is_shown, mean_mastery, probabilities
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

    @property
    def fixed_in_cells(self) -> tuple[str, ...]:
        return ("min_confidence",)


class EarlierGap(Row):
    """A point and one of its direct or indirect prerequisites, `gap`. `score` is null if too few students tried both.

    `class_mastery` is the mean mastery of the gap over the students who tried both. It is null if half the width of
    its 95 % interval is over 0.25.

    `way` are the points from the direct prerequisite of `point` up to the gap, `way_names` their names.
    """

    identity: ClassVar[tuple[str, ...]] = ("point", "gap")

    point: Name
    name: Name
    gap: Name
    gap_name: Name
    score: Difference
    confidence: FromCatalogue
    class_mastery: Share
    difference: Difference
    students: Count
    way: Names = ()
    way_names: Names = ()
    evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: OfGaps) -> Found[EarlierGap]:
    practice = facts.practice(asked.course)
    of_point = {point.id: of_students for point, of_students in practice.tried.items()}
    names = {point.id: point.name for point in practice.tried}
    rows = []
    for need in facts.needs_before(of_point, asked.min_confidence):
        gap = need.needs.id
        at_point = of_point[need.point]
        at_gap = of_point.get(gap, {})
        both = at_point.keys() & at_gap.keys()
        wrong_gap = _wrong_at(at_gap, both)
        wrong = _wrong_at(at_point, both)
        right_gap = both - wrong_gap
        level = None
        levels: dict[str, Mastery] = {}
        # The mastery of a student depends on the answers of others, so the tries of the student are compared.
        tries: dict[str, tuple[int, int]] = {}
        for student in sorted(both):
            levels[student] = practice.mastery[student][gap]
            tries[student] = (len(at_point[student]), len(at_gap[student]))
        if both:
            estimates = list(levels.values())
            middle, low, high = mean_mastery(estimates)
            if is_shown(low, high):
                level = middle
        difference = None
        if len(both) >= ENOUGH_FOR_NUMBER and wrong_gap and right_gap:
            wrong_after_wrong = len(wrong & wrong_gap) / len(wrong_gap)
            wrong_after_right = len(wrong & right_gap) / len(right_gap)
            difference = wrong_after_wrong - wrong_after_right
        parts = (wrong_gap, right_gap)
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
        figures = _figures(row, asked.course, wrong, parts, levels)
        rows.append(Measured(row, frozenset(both), figures, tries))
    without_number = sum(each.row.score is None for each in rows)
    left_out = facts.waiting_in(asked.course)
    left_out["gaps without a number: too few students"] = without_number
    return Found(
        tuple(rows),
        of_how_many={"students": frozenset(facts.students), "points with attempts": len(of_point)},
        left_out=left_out,
    )


def _wrong_at(tries: Mapping[str, list[Attempt]], students: AbstractSet[str]) -> set[str]:
    """Return those of the students who are mostly wrong in these first attempts."""
    found = set()
    for student in students:
        share = wrong_share(tries[student])
        if share > MOSTLY_WRONG:
            found.add(student)
    return found


def _figures(
    row: EarlierGap,
    course: str,
    wrong: AbstractSet[str],
    parts: tuple[AbstractSet[str], AbstractSet[str]],
    levels: Mapping[str, Mastery],
) -> dict[str, Figure]:
    """Return the figures of a row. `parts` are the students who are wrong at the gap, and those who are right."""
    wrong_gap, right_gap = parts
    about = (course, row.point, row.gap)
    wrong_name = statistic("wrong after wrong", *about)
    right_name = statistic("wrong after right", *about)
    after_wrong = share_of(wrong_name, wrong, sorted(wrong_gap))
    after_right = share_of(right_name, wrong, sorted(right_gap))

    figures: dict[str, Figure] = {}
    students_name = statistic("tried both", *about)
    figures["students"] = number_of(students_name, levels)
    mastery_name = statistic("mastery", course, row.gap)
    figures["class_mastery"] = mean_of(mastery_name, probabilities(levels))
    figures["difference"] = Contrast(after_wrong, after_right)
    return figures


def derived(row: EarlierGap) -> EarlierGap:
    score = None
    if row.difference is not None and row.class_mastery is not None:
        confidence = row.confidence or 0.0
        score = confidence * (1 - row.class_mastery) * row.difference
    return row.model_copy(update={"score": score})


QUESTION = Question(
    name="earlier-gaps",
    title="Which earlier gap is behind these mistakes?",
    computed_by="Of each point with attempts and each point that it needs (up to 4 steps): stated confidence of "
    "the surest way × (1 − mean mastery of the gap) × (share wrong of those who are wrong at the gap − "
    "of those who are right there), over students who tried both, from 10 on.",
    parameters=OfGaps,
    row=EarlierGap,
    find=find,
    order=lambda row: (row.score is None, -(row.score or 0.0), row.point, row.gap),
    derived=derived,
)
