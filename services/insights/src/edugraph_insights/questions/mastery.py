"""Mastery: how well is each point mastered?"""

from collections import Counter
from typing import ClassVar

from edugraph_insights.answers import (
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
from edugraph_insights.practice import Practice, TriedPoint
from edugraph_insights.questions.question import Parameters, Question


class PointMastery(Row):
    """One point. `mastery` is the mean over the `students` who tried it; `mastered` of them mastered it.

    `low` and `high` are the ends of the 95 % interval of the mean.
    """

    identity: ClassVar[tuple[str, ...]] = ("point",)

    point: Name
    name: Name
    mastery: Share
    low: Share
    high: Share
    mastered: Count
    students: Count
    evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: Parameters) -> Found[PointMastery]:
    practice = facts.practice(asked.course)
    rows = []
    for point in practice.tries.tried_points():
        middle, low, high = practice.mean(point.rows)
        row = PointMastery(
            point=point.id,
            name=point.name,
            mastery=middle,
            low=low,
            high=high,
            mastered=len(practice.mastered(point.rows)),
            students=len(point.rows),
            evidence=asked.records(point=point.id),
        )
        measured = Measured(row)
        if facts.in_cells:
            measured = _in_cells(row, asked.course, practice, point)
        rows.append(measured)
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "first attempts": Counter(practice.tries.numbers),
        },
    )


def _in_cells(
    row: PointMastery, course: str, practice: Practice, point: TriedPoint
) -> Measured[PointMastery]:
    """Return the row with what each student adds to its figures."""
    tries = practice.tries
    students = tries.ids(point.students)
    mastered = tries.ids(tries.counts.students[practice.mastered(point.rows)])
    about = (course, point.id)
    figures: dict[str, Figure] = {
        "mastery": mean_of(statistic("mastery", *about), practice.probabilities(point.rows)),
        "mastered": number_of(statistic("mastered", *about), mastered),
        "students": number_of(statistic("tried", *about), students),
    }
    # The mastery of a student depends on the answers of others, so the tries of the student are compared.
    tries_of = dict(zip(students, point.number.tolist(), strict=True))
    return Measured(row, frozenset(students), figures, tries_of)


QUESTION = Question(
    name="mastery",
    title="How well is each point mastered?",
    computed_by="Of each point, the mean over the students who tried it of the probability of a right answer, by a "
    "Bayesian estimate from all their first attempts, with its 95 % interval; mastered from 0.75 on, if half the "
    "width of the student's interval is at most 0.25 and the last attempt is no more than 180 days ago.",
    parameters=Parameters,
    row=PointMastery,
    find=find,
    order=lambda row: (row.mastery or 0.0, row.point),
    from_columns=True,
)
