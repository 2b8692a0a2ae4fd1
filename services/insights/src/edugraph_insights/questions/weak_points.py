"""Question 1: which points is this class weak in?"""

from edugraph_insights.answers import Count, Evidence, Found, Measured, Name, Row, Share
from edugraph_insights.facts import Facts, by_point, wrong_share
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.statistics import mean, wilson_lower


class WeakPoint(Row):
    """One point. `wrong` is the mean over students, so students with many attempts do not count more."""

    point: Name
    name: Name
    wrong: Share
    wrong_at_least: Share
    students: Count
    first_attempts: Count
    evidence: Evidence = None


def find(facts: Facts, asked: Parameters) -> Found[WeakPoint]:
    first = facts.first_attempts(asked.course)
    points = facts.tested_points(each.item for each in first)
    rows = []
    for point, of_students in by_point(first, points).items():
        wrong = mean([wrong_share(attempts) for attempts in of_students.values()])
        row = WeakPoint(
            point=point.id,
            name=point.name,
            wrong=wrong,
            wrong_at_least=wilson_lower(wrong or 0.0, len(of_students)),
            students=len(of_students),
            first_attempts=sum(map(len, of_students.values())),
            evidence=asked.records(point=point.id),
        )
        rows.append(Measured(row, frozenset(of_students)))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": frozenset(each.student for each in first),
            "first attempts": len(first),
        },
        left_out={
            "first attempts at items of no known point": sum(
                each.item not in points for each in first
            )
        },
    )


QUESTION = Question(
    name="weak-points",
    title="Which points is this class weak in?",
    computed_by="Of each student, the share of first attempts at the items of a point that went wrong; its mean"
    " over the students; ranked by the lower end of Wilson's 95 % interval with n = students.",
    parameters=Parameters,
    row=WeakPoint,
    find=find,
    order=lambda row: (-(row.wrong_at_least or 0.0), row.point),
)
