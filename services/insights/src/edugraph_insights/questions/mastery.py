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
from edugraph_insights.mastery import mean_mastery, probabilities
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
    for point, attempts in practice.tried.items():
        of_students = {student: practice.mastery[student][point.id] for student in sorted(attempts)}
        mastered = frozenset(
            student for student, each in of_students.items() if each.state == "mastered"
        )
        middle, low, high = mean_mastery(list(of_students.values()))
        row = PointMastery(
            point=point.id,
            name=point.name,
            mastery=middle,
            low=low,
            high=high,
            mastered=len(mastered),
            students=len(of_students),
            evidence=asked.records(point=point.id),
        )
        about = (asked.course, point.id)
        figures: dict[str, Figure] = {
            "mastery": mean_of(statistic("mastery", *about), probabilities(of_students)),
            "mastered": number_of(statistic("mastered", *about), mastered),
            "students": number_of(statistic("tried", *about), of_students),
        }
        # The mastery of a student depends on the answers of others, so the tries of the student are compared.
        tries_of = {student: len(tries) for student, tries in attempts.items()}
        rows.append(Measured(row, frozenset(of_students), figures, tries_of))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "first attempts": Counter(each.student for each in practice.first),
        },
    )


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
)
