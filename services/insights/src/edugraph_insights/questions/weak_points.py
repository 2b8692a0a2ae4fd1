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
from edugraph_insights.facts import Facts, numbers_of
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.statistics import mean, wilson_lower


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
    tried = facts.first_tries(asked.course)
    rows = []
    for point, of_students in tried.at_points.items():
        wrong_of = {student: tries.wrong for student, tries in of_students.items()}
        wrong = mean(list(wrong_of.values()))
        tries_of = numbers_of(of_students)
        row = WeakPoint(
            point=point.id,
            name=point.name,
            wrong=wrong,
            wrong_at_least=wilson_lower(wrong or 0.0, len(of_students)),
            students=len(of_students),
            first_attempts=sum(tries_of.values()),
            evidence=asked.records(point=point.id),
        )
        about = (asked.course, point.id)
        figures: dict[str, Figure] = {
            "wrong": mean_of(statistic("right", *about), wrong_of, is_mirrored=True),
            "students": number_of(statistic("tried", *about), of_students),
            "first_attempts": Amount(statistic("first attempts", *about), tries_of),
        }
        rows.append(Measured(row, frozenset(of_students), figures))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": frozenset(tried.of_students),
            "first attempts": Counter(tried.numbers),
        },
        left_out={"first attempts at items of no known point": tried.without_point},
    )


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
)
