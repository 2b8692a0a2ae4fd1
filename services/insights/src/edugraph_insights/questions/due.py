"""What is due for repetition?"""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, NamedTuple

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Facts, Repetition
from edugraph_insights.questions.question import Parameters, Question, RecordsAtPoints
from edugraph_insights.school_days import DAY, day_of

# Days until the next repetition, by box. The pause doubles from box to box.
PAUSE_DAYS = (1, 2, 4, 8, 16, 32)

Text = Annotated[str, Mark.PERSONAL]
Number = Annotated[int, Mark.PERSONAL]
Day = Annotated[date, Mark.PERSONAL]


class Due(Row):
    """A point that a student should repeat. `box` is from 1 to 6, and `days_overdue` is 0 on the day `due_on`."""

    student: Text
    student_name: Annotated[str | None, Mark.PERSONAL]
    point: Text
    name: Text
    tries: Number
    box: Number
    last_practised: Day
    due_on: Day
    days_overdue: Number
    evidence: Evidence = None


class Box(NamedTuple):
    """The box of one student at one point, after the last day of practice."""

    number: int
    last_practised: date

    @property
    def due_on(self) -> date:
        return self.last_practised + DAY * PAUSE_DAYS[self.number - 1]


def find(facts: Facts, asked: Parameters) -> Found[Due]:
    names = facts.names()
    today = day_of(facts.until, facts.zone)
    practised, made = facts.repetitions(asked.course)
    records = RecordsAtPoints(asked)
    rows = []
    for (point, student), repetitions in practised.items():
        box = box_of(repetitions)
        if box.due_on > today:
            continue
        row = Due(
            student=student,
            student_name=names.get(student),
            point=point.id,
            name=point.name,
            tries=sum(each.tries for each in repetitions),
            box=box.number,
            last_practised=box.last_practised,
            due_on=box.due_on,
            days_overdue=(today - box.due_on).days,
            evidence=records.of(student, point.id),
        )
        rows.append(Measured(row, frozenset({student})))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": made.students,
            "points of students": len(practised),
        },
        left_out={
            "points of students that are not due yet": len(practised) - len(rows),
            "tries at items of no known point": made.without_point,
        },
    )


def box_of(repetitions: Sequence[Repetition]) -> Box:
    """Return the box after at least one repetition of a point. They come in the order of their days.

    A right repetition leads to the next box, a wrong one back to the first.
    """
    number = 0
    for repetition in repetitions:
        if repetition.is_right:
            number = min(number + 1, len(PAUSE_DAYS))
        else:
            number = 1
    return Box(number, repetitions[-1].day)


QUESTION = Question(
    name="due",
    title="What is due for repetition?",
    computed_by="The boxes of Leitner (1972) with doubled pauses. For each student and each point, the attempts of a "
    "day at the items of the point are one repetition, which is right if their mean outcome is 0.5 or more. A right "
    "one leads to the next of six boxes, a wrong one back to the first. A point is due 1, 2, 4, 8, 16 or 32 days "
    "after the last repetition, by its box. A point that is not due yet has no row.",
    parameters=Parameters,
    row=Due,
    find=find,
    order=lambda row: (-row.days_overdue, row.box, row.student, row.point),
    quotes=True,
)
