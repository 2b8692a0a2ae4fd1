"""The roster: who is in a course, and how do they stand?"""

from datetime import datetime
from typing import Annotated

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import NO_WORK, Facts
from edugraph_insights.questions.question import Parameters, Question, RecordsOfStudents

Number = Annotated[int, Mark.PERSONAL]
Part = Annotated[float | None, Mark.PERSONAL]


class Standing(Row):
    """One student. `progress` is in percent, or null if no record gives it; `right` is the mean first outcome."""

    student: Annotated[str, Mark.PERSONAL]
    name: Annotated[str | None, Mark.PERSONAL]
    progress: Part
    first_attempts: Number
    right: Part
    mistakes: Number
    last: Annotated[datetime | None, Mark.PERSONAL]
    evidence: Evidence = None
    progress_evidence: Evidence = None


def find(facts: Facts, asked: Parameters) -> Found[Standing]:
    names = facts.names()
    work_of = facts.work_of_students(asked.course)
    progress_of = dict[str, float | None].fromkeys(facts.students)
    progress_of |= facts.latest_progress(asked.course)
    records = RecordsOfStudents(asked)
    records_of_progress = RecordsOfStudents(asked, kind="progress")
    rows = []
    for student, progress in progress_of.items():
        work = work_of.get(student, NO_WORK)
        right = None
        if work.first.number:
            right = work.first.right
        enrolled = Standing(
            student=student,
            name=names.get(student),
            progress=progress,
            first_attempts=work.first.number,
            right=right,
            mistakes=work.mistakes,
            last=work.last,
            evidence=records.of(student),
            progress_evidence=records_of_progress.of(student),
        )
        rows.append(Measured(enrolled))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(progress_of),
            "students with attempts": sum(each.first.number > 0 for each in work_of.values()),
            "students with mistakes": sum(each.mistakes > 0 for each in work_of.values()),
        },
        left_out={
            "students whose progress no record gives": sum(
                progress is None for progress in progress_of.values()
            ),
        },
    )


QUESTION = Question(
    name="roster",
    title="Who is in this course, and how do they stand?",
    computed_by="Of each student, the latest progress that a record gives, the mean outcome of the first attempts, "
    "the number of mistakes, and the time of the last of both.",
    parameters=Parameters,
    row=Standing,
    find=find,
    order=lambda row: row.student,
    quotes=True,
)
