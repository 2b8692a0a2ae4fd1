"""The cells of a table of students and points: how did each student do at each point?"""

from datetime import datetime
from typing import Annotated

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import Parameters, Question, RecordsAtPoints

Text = Annotated[str, Mark.PERSONAL]
Number = Annotated[int, Mark.PERSONAL]
PersonalShare = Annotated[float | None, Mark.PERSONAL]


class GridCell(Row):
    """One student at one point. `share` is the mean outcome of the first attempts, and null without one.

    `tries` are all attempts in the period, also repeated ones. The last of them has the outcome `last_outcome`.
    """

    student: Text
    student_name: Annotated[str | None, Mark.PERSONAL]
    point: Text
    name: Text
    tries: Number
    first_attempts: Number
    right: Number
    share: PersonalShare
    last_outcome: Annotated[float, Mark.PERSONAL]
    last: Annotated[datetime, Mark.PERSONAL]
    evidence: Evidence = None


def find(facts: Facts, asked: Parameters) -> Found[GridCell]:
    names = facts.names()
    cells, made = facts.cells(asked.course)
    records = RecordsAtPoints(asked)
    rows = []
    for point, of_students in cells.items():
        for student, cell in of_students.items():
            row = GridCell(
                student=student,
                student_name=names.get(student),
                point=point.id,
                name=point.name,
                tries=cell.tries,
                first_attempts=cell.first_attempts,
                right=cell.right,
                share=cell.share,
                last_outcome=cell.last_outcome / 1000,
                last=cell.last,
                evidence=records.of(student, point.id),
            )
            rows.append(Measured(row, frozenset({student})))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": made.students,
            "tries": made.number,
        },
        left_out={"tries at items of no known point": made.without_point},
    )


QUESTION = Question(
    name="grid",
    title="How did each student do at each point?",
    computed_by="For each student and each point that an item of theirs tests: the attempts of the period with an "
    "outcome (tries), the first attempts among them, how many of these were right (an outcome of 0.5 or more), the "
    "mean of their outcomes, and the outcome of the last try. A student without a try at a point has no row there.",
    parameters=Parameters,
    row=GridCell,
    find=find,
    order=lambda row: (row.student, row.point),
    quotes=True,
)
