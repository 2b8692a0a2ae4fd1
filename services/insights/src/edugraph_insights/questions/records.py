"""The records behind a number: answers, messages, posts and progress of permitted students, texts of the course."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import Found, Mark, Measured, Row, as_sent
from edugraph_insights.facts import Facts
from edugraph_insights.graph import Row as GraphRow
from edugraph_insights.questions.question import Parameters, PointId, Question
from edugraph_insights.usefulness import Hidden, hidden_findings

Personal = Annotated[str, Mark.PERSONAL]
Misconception = Annotated[str, Field(min_length=1, max_length=8_000)]
# The statement `records` gives these values beside the fields of a row.
_OF_FINDING = ("tested", "named", "sentences")
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
    left_out: dict[str, int] = {}
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
    if len(rows) > asked.limit:
        left_out["older records: ask for a shorter time, or raise `limit`"] = 1
    latest = rows[: asked.limit]
    if asked.kind == "answers":
        latest, hidden = _without_hidden(facts, asked, latest)
        left_out |= hidden.left_out
    shown: list[Measured[BehindNumber]] = []
    for each in latest:
        row = BehindNumber(**each, **as_sent(each["record"]))
        people = frozenset(filter(None, (row.student, row.partner)))
        shown.append(Measured(row, people))
    return Found(
        tuple(shown),
        of_how_many={"students": frozenset(facts.students), "records shown": len(shown)},
        left_out=left_out,
    )


def _without_hidden(
    facts: Facts, asked: OfRecords, answers: list[GraphRow]
) -> tuple[list[GraphRow], Hidden]:
    """Return the answers as `BehindNumber` has them, without findings that are not shown, and these findings.

    An answer that only such a finding brings to the point or to the group of mistakes is left out, as in `point`.
    """
    with_findings = {each["student"] for each in answers if each["named"] or each["sentences"]}
    hidden = hidden_findings(facts, asked.course, with_findings)
    shown: list[GraphRow] = []
    for answer in answers:
        if asked.point is not None and not _is_at_point(answer, hidden):
            continue
        groups: set[str] = set()
        spellings: list[str] = []
        for sentence_id, canonical_id, spelling in answer["sentences"]:
            if not hidden.has(answer["record"], "misconception", sentence_id):
                groups.add(canonical_id)
                spellings.append(spelling)
        if asked.misconception is not None and asked.misconception not in groups:
            continue
        row = {name: value for name, value in answer.items() if name not in _OF_FINDING}
        row["what_went_wrong"] = next(iter(spellings), None)
        shown.append(row)
    return shown, hidden


def _is_at_point(answer: GraphRow, hidden: Hidden) -> bool:
    """Return whether the item of an answer tests the point, or a finding that is shown names it."""
    if answer["tested"]:
        return True
    shown = hidden.shown(answer["record"], "knowledge_point", answer["named"])
    return bool(shown)


QUESTION = Question(
    name="records",
    title="Which records are behind a number?",
    computed_by="Attempts and mistakes of the permitted students in the course, of which an item tests the "
    "point or a finding names it; or messages between them and with teachers (in the course, or without naming one) "
    "and posts and answers without an outcome; or posts alone, records of their progress, or texts of the course; "
    "the latest first. Findings that `point` does not show are not shown here.",
    parameters=OfRecords,
    row=BehindNumber,
    find=find,
    order=lambda row: (-row.at.timestamp(), row.record),
    quotes=True,
)
