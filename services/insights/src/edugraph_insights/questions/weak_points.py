"""Question 1: which points is this class weak in?"""

from collections import Counter
from typing import ClassVar

from edugraph_insights.answers import (
    Amount,
    Count,
    Evidence,
    Figure,
    Found,
    Measured,
    Name,
    Noise,
    Row,
    Share,
    mean_of,
    number_of,
    statistic,
)
from edugraph_insights.facts import Facts
from edugraph_insights.practice import PointTries, TriedPoint
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.statistics import wilson_lower


class WeakPoint(Row):
    """One point. `wrong` is the mean over students, so students with many attempts do not count more."""

    identity: ClassVar[tuple[str, ...]] = ("point",)

    point: Name
    name: Name
    wrong: Share
    wrong_at_least: Share
    students: Count
    first_attempts: Count
    evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: Parameters) -> Found[WeakPoint]:
    tries = facts.point_tries(asked.course)
    rows = []
    for point in tries.tried_points():
        wrong = float(point.wrong.mean())
        row = WeakPoint(
            point=point.id,
            name=point.name,
            wrong=wrong,
            wrong_at_least=wilson_lower(wrong, len(point.rows)),
            students=len(point.rows),
            first_attempts=int(point.number.sum()),
            evidence=asked.records(point=point.id),
        )
        measured = Measured(row)
        if facts.in_cells:
            measured = _in_cells(row, asked.course, tries, point)
        rows.append(measured)
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": frozenset(tries.numbers),
            "first attempts": Counter(tries.numbers),
        },
        left_out={"first attempts at items of no known point": tries.without_point},
    )


def _in_cells(
    row: WeakPoint, course: str, tries: PointTries, point: TriedPoint
) -> Measured[WeakPoint]:
    """Return the row with what each student adds to its figures."""
    students = tries.ids(point.students)
    wrong_of = dict(zip(students, point.wrong.tolist(), strict=True))
    tries_of = dict(zip(students, point.number.tolist(), strict=True))
    about = (course, point.id)
    figures: dict[str, Figure] = {
        "wrong": mean_of(statistic("right", *about), wrong_of, is_mirrored=True),
        "students": number_of(statistic("tried", *about), students),
        "first_attempts": Amount(statistic("first attempts", *about), tries_of),
    }
    return Measured(row, frozenset(students), figures)


def derived(row: WeakPoint) -> WeakPoint:
    if row.wrong is None or not row.students:
        return row
    return row.model_copy(update={"wrong_at_least": wilson_lower(row.wrong, row.students)})


QUESTION = Question(
    name="weak-points",
    title="Which points is this class weak in?",
    computed_by="Of each student, the share of first attempts at the items of a point that went wrong; its mean"
    " over the students; ranked by the lower end of Wilson's 95 % interval with n = students.",
    parameters=Parameters,
    row=WeakPoint,
    find=find,
    order=lambda row: (-(row.wrong_at_least or 0.0), row.point),
    derived=derived,
    from_columns=True,
)
