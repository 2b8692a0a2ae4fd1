"""Mastery: how well is each point mastered?"""

from edugraph_insights.answers import Count, Evidence, Found, Measured, Name, Row, Share
from edugraph_insights.facts import Facts, by_point
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.statistics import mean


class PointMastery(Row):
    """One point. `mastery` is the mean over the `students` with enough attempts; `mastered` of them mastered it."""

    point: Name
    name: Name
    mastery: Share
    mastered: Count
    students: Count
    evidence: Evidence = None


def find(facts: Facts, asked: Parameters) -> Found[PointMastery]:
    first = facts.first_attempts(asked.course)
    tried = by_point(first, facts.tested_points(each.item for each in first))
    of_students = facts.mastery_by_student(tried)
    rows = []
    too_little = 0
    for point, attempts in tried.items():
        known = {
            student: level.probability
            for student in sorted(attempts)
            if (level := of_students[student][point.id]).probability is not None
        }
        too_little += not known
        mastered = frozenset(
            student for student in known if of_students[student][point.id].state == "mastered"
        )
        if known:
            row = PointMastery(
                point=point.id,
                name=point.name,
                mastery=mean(list(known.values())),
                mastered=len(mastered),
                students=len(known),
                evidence=asked.records(point=point.id),
            )
            rows.append(Measured(row, frozenset(known), (mastered,)))
    return Found(
        tuple(rows),
        of_how_many={"students": frozenset(facts.students), "first attempts": len(first)},
        left_out={"points of which too little is known of every student": too_little},
    )


QUESTION = Question(
    name="mastery",
    title="How well is each point mastered?",
    computed_by="Of each point, the mean probability by performance factors analysis (fitted coefficients, or "
    "untuned defaults) over the students with 5 first attempts or more at it; mastered from 0.75 on, if the last "
    "attempt is no more than 180 days ago.",
    parameters=Parameters,
    row=PointMastery,
    find=find,
    order=lambda row: (row.mastery or 0.0, row.point),
)
