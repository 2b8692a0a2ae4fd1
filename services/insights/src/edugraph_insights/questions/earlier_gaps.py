"""Question 2: which earlier gap is behind these mistakes?"""

from typing import Annotated, ClassVar, NamedTuple

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
from edugraph_insights.facts import Facts
from edugraph_insights.mastery import Flags, Integers, is_shown
from edugraph_insights.practice import Practice, TriedPoint, shared
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
    tried = {point.id: point for point in practice.tries.tried_points()}
    rows = []
    for need in facts.needs_before(tried, asked.min_confidence):
        at_point = tried[need.point]
        both = _Both.of(at_point, tried.get(need.needs.id))
        level = None
        if both.students.size:
            middle, low, high = practice.mean(both.gap_rows)
            if is_shown(low, high):
                level = middle
        difference = both.difference
        score = None
        if difference is not None and level is not None:
            score = need.confidence * (1 - level) * difference
        way = [each.id for each in need.way]
        way_names = [each.name for each in need.way]
        row = EarlierGap(
            point=need.point,
            name=at_point.name,
            gap=need.needs.id,
            gap_name=need.needs.name,
            score=score,
            confidence=need.confidence,
            class_mastery=level,
            difference=difference,
            students=len(both.students),
            way=tuple(way),
            way_names=tuple(way_names),
            evidence=asked.records(point=need.needs.id),
        )
        measured = Measured(row)
        if facts.in_cells:
            measured = _in_cells(row, asked.course, practice, both)
        rows.append(measured)
    without_number = sum(each.row.score is None for each in rows)
    left_out = facts.waiting_in(asked.course)
    left_out["gaps without a number: too few students"] = without_number
    return Found(
        tuple(rows),
        of_how_many={"students": frozenset(facts.students), "points with attempts": len(tried)},
        left_out=left_out,
    )


class _Both(NamedTuple):
    """The students who tried a point and a gap, as columns: their tries, and whether these were mostly wrong."""

    students: Integers
    gap_rows: Integers
    number: Integers
    gap_number: Integers
    is_wrong: Flags
    is_gap_wrong: Flags

    @classmethod
    def of(cls, point: TriedPoint, gap: TriedPoint | None) -> "_Both":
        if gap is None:
            gap = point.without_students()
        students, in_point, in_gap = shared(point.students, gap.students)
        number = point.number[in_point]
        gap_number = gap.number[in_gap]
        gap_rows = gap.rows[in_gap]
        is_wrong = point.wrong > MOSTLY_WRONG
        is_wrong = is_wrong[in_point]
        is_gap_wrong = gap.wrong > MOSTLY_WRONG
        is_gap_wrong = is_gap_wrong[in_gap]
        return cls(students, gap_rows, number, gap_number, is_wrong, is_gap_wrong)

    @property
    def difference(self) -> float | None:
        """The share wrong at the point of those who are wrong at the gap, less that of the others.

        None if there are too few students, or none on one side.
        """
        wrong_at_gap = int(self.is_gap_wrong.sum())
        right_at_gap = len(self.students) - wrong_at_gap
        if len(self.students) < ENOUGH_FOR_NUMBER or not wrong_at_gap or not right_at_gap:
            return None
        wrong_at_both = self.is_wrong & self.is_gap_wrong
        number_wrong = int(self.is_wrong.sum())
        number_wrong_at_both = int(wrong_at_both.sum())
        wrong_after_wrong = number_wrong_at_both / wrong_at_gap
        wrong_after_right = (number_wrong - number_wrong_at_both) / right_at_gap
        return wrong_after_wrong - wrong_after_right


def _in_cells(
    row: EarlierGap, course: str, practice: Practice, both: _Both
) -> Measured[EarlierGap]:
    """Return the row with what each student adds to its figures."""
    ids = practice.tries.ids
    students = ids(both.students)
    wrong = set(ids(both.students[both.is_wrong]))
    about = (course, row.point, row.gap)
    wrong_name = statistic("wrong after wrong", *about)
    right_name = statistic("wrong after right", *about)
    wrong_at_gap = ids(both.students[both.is_gap_wrong])
    right_at_gap = ids(both.students[~both.is_gap_wrong])
    after_wrong = share_of(wrong_name, wrong, wrong_at_gap)
    after_right = share_of(right_name, wrong, right_at_gap)
    figures: dict[str, Figure] = {}
    students_name = statistic("tried both", *about)
    figures["students"] = number_of(students_name, students)
    mastery_name = statistic("mastery", course, row.gap)
    figures["class_mastery"] = mean_of(mastery_name, practice.probabilities(both.gap_rows))
    figures["difference"] = Contrast(after_wrong, after_right)
    # The mastery of a student depends on the answers of others, so the tries of the student are compared.
    number = both.number.tolist()
    gap_number = both.gap_number.tolist()
    tries: dict[str, tuple[int, int]] = {}
    for index, student in enumerate(students):
        tries[student] = (number[index], gap_number[index])
    return Measured(row, frozenset(students), figures, tries)


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
    from_columns=True,
)
