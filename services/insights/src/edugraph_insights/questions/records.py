"""The records behind a number: answers, messages, posts and progress of permitted students, texts of the course."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import Found, Mark, Measured, Row, as_sent
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import Parameters, PointId, Question

Personal = Annotated[str, Mark.PERSONAL]
Misconception = Annotated[str, Field(min_length=1, max_length=8_000)]
Kind = Literal["answers", "messages", "posts", "progress", "texts"]


class OfRecords(Parameters):
    """Parameters of a question for records of a course: answers at a point or item, or all records of one kind."""

    kind: Kind = Field(
        default="answers",
        description="answers are attempts and mistakes; the other kinds are behind other numbers",
    )
    point: PointId | None = Field(default=None, description="for answers: only those at this point")
    item: Id | None = Field(default=None, description="for answers: only those at this item")
    misconception: Misconception | None = Field(
        default=None,
        description="for answers: only mistakes in which this went wrong, by the id that `point` gives",
    )
    of: Id | None = Field(
        default=None,
        description="for messages: only those that this student sent or received, or that answer a post of theirs",
    )
    thread: Id | None = Field(default=None, description="for posts: only those of this thread")
    limit: int = Field(
        default=200,
        ge=1,
        le=5_000,
        description="the largest number of records; the latest are shown",
    )

    @property
    def person(self) -> str | None:
        return self.student or self.of


class BehindNumber(Row):
    """One record. `record` is its key in EduGraph, and `sent_id` the id that its source gives it.

    `outcome` is in thousandths. It is null if the record only says that something was wrong, or if nobody has judged
    the answer. `progress` is in percent.
    The `student` of a message sent it, or received it from a teacher; `partner` is the other student. A text of the
    course has only its title, in `question`. A post has its title there, its `thread`, the record of the post that it
    answers, and the `mood` that an analyser found.
    """

    record: Personal
    source_name: Personal
    sent_id: Personal
    kind: Personal
    student: Annotated[str | None, Mark.PERSONAL] = None
    at: Annotated[datetime, Mark.PERSONAL]
    item: Annotated[str | None, Mark.PERSONAL] = None
    outcome: Annotated[int | None, Mark.PERSONAL] = None
    question: Annotated[str | None, Mark.PERSONAL] = None
    text: Annotated[str | None, Mark.PERSONAL] = None
    what_went_wrong: Annotated[str | None, Mark.PERSONAL] = None
    partner: Annotated[str | None, Mark.PERSONAL] = None
    progress: Annotated[float | None, Mark.PERSONAL] = None
    thread: Annotated[str | None, Mark.PERSONAL] = None
    reply_to: Annotated[str | None, Mark.PERSONAL] = None
    mood: Annotated[str | None, Mark.PERSONAL] = None


def find(facts: Facts, asked: OfRecords) -> Found[BehindNumber]:
    limit = asked.limit + 1
    match asked.kind:
        case "answers":
            rows = facts.records(
                asked.course, asked.point, asked.item, limit, misconception=asked.misconception
            )
        case "messages":
            rows = facts.message_records(asked.course, asked.of, limit)
        case "posts":
            rows = facts.post_records(asked.course, asked.thread, limit)
        case "progress":
            rows = facts.progress_records(asked.course, limit)
        case "texts":
            rows = facts.text_records(asked.course, limit)
    shown = [BehindNumber(**row, **as_sent(row["record"])) for row in rows[: asked.limit]]
    return Found(
        tuple(Measured(row, frozenset(filter(None, (row.student, row.partner)))) for row in shown),
        of_how_many={"students": frozenset(facts.students), "records shown": len(shown)},
        left_out={"older records: ask for a shorter time, or raise `limit`": 1}
        if len(rows) > asked.limit
        else {},
    )


QUESTION = Question(
    name="records",
    title="Which records are behind a number?",
    computed_by="Attempts and mistakes of the permitted students in the course, of which an item tests the "
    "point or a finding names it; or messages between them and with teachers (in the course, or without naming one) "
    "and posts and answers without an outcome; or posts alone, records of their progress, or texts of the course; "
    "the latest first.",
    parameters=OfRecords,
    row=BehindNumber,
    find=find,
    order=lambda row: (-row.at.timestamp(), row.record),
    quotes=True,
)
