"""Who is ready for a point, and who is not?"""

from typing import Annotated

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Facts
from edugraph_insights.questions.point import OfPoint, point_named
from edugraph_insights.questions.question import Question

STATES = ("not ready", "to check", "ready")
Names = Annotated[tuple[str, ...], Mark.PERSONAL]


class Ready(Row):
    """One student before the point. `missing`, `unsure` and `mastered` are the names of its direct prerequisites."""

    student: Annotated[str, Mark.PERSONAL]
    student_name: Annotated[str | None, Mark.PERSONAL]
    state: Annotated[str, Mark.PERSONAL]
    missing: Names = ()
    unsure: Names = ()
    mastered: Names = ()
    evidence: Evidence = None


def find(facts: Facts, asked: OfPoint) -> Found[Ready]:
    point = point_named(facts, asked.point)
    needs = [need.needs for need in facts.direct_needs([point.id])]
    states = {}
    if needs:
        practice = facts.practice(asked.course)
        states = {need.id: practice.mastery_at(need.id) for need in needs}
    names = facts.names()
    rows = []
    students = facts.students if needs else ()
    for student in students:
        missing = []
        unsure = []
        mastered = []
        for need in needs:
            known = states[need.id].get(student)
            if known is not None and known.state == "mastered":
                mastered.append(need.name)
            elif known is not None and known.state == "not mastered":
                missing.append(need.name)
            else:
                unsure.append(need.name)
        state = "ready"
        if missing:
            state = "not ready"
        elif unsure:
            state = "to check"
        row = Ready(
            student=student,
            student_name=names.get(student),
            state=state,
            missing=tuple(sorted(missing)),
            unsure=tuple(sorted(unsure)),
            mastered=tuple(sorted(mastered)),
            evidence=asked.model_copy(update={"student": student}).records(),
        )
        rows.append(Measured(row, frozenset({student})))
    return Found(
        tuple(rows),
        of_how_many={"students": frozenset(facts.students), "direct prerequisites": len(needs)},
        left_out=facts.waiting([point.id]),
    )


QUESTION = Question(
    name="ready",
    title="Who is ready for this point, and who is not?",
    computed_by="For each student, the mastery of each point that this one needs directly. Not ready: one of them is "
    "not mastered. To check: none of these, but of one nothing is known, too little, or nothing for 180 days. Ready: "
    "all are mastered. There are no rows if no prerequisite of the point is known.",
    parameters=OfPoint,
    row=Ready,
    find=find,
    order=lambda row: (STATES.index(row.state), -len(row.missing), row.student),
    quotes=True,
)
