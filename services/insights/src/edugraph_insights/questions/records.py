"""The records behind a number: attempts and mistakes of permitted students, one by one."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from edugraph_insights.answers import Found, Mark, Measured, Row
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import Id, Parameters, PointId, Question

Personal = Annotated[str, Mark.PERSONAL]


class OfRecords(Parameters):
    """Which records of a course: of a point, of an item, or all of them."""

    point: PointId | None = None
    item: Id | None = None
    limit: int = Field(default=200, ge=1, le=5_000, description="the latest records, at most so many")


class BehindNumber(Row):
    """`outcome` is in thousandths, null of a record that only says that something was wrong."""

    record: Personal
    kind: Personal
    student: Personal
    at: Annotated[datetime, Mark.PERSONAL]
    item: Annotated[str | None, Mark.PERSONAL] = None
    outcome: Annotated[int | None, Mark.PERSONAL] = None
    question: Annotated[str | None, Mark.PERSONAL] = None
    text: Annotated[str | None, Mark.PERSONAL] = None


def find(facts: Facts, asked: OfRecords) -> Found[BehindNumber]:
    rows = facts.records(asked.course, asked.point, asked.item, asked.limit + 1)
    shown = [Measured(BehindNumber(**row), frozenset({row["student"]})) for row in rows[: asked.limit]]
    return Found(
        tuple(shown),
        of_how_many={"students": frozenset(facts.students), "records shown": len(shown)},
        left_out={"older records: ask for a shorter time, or raise `limit`": 1} if len(rows) > asked.limit else {},
    )


QUESTION = Question(
    name="records",
    title="Which records are behind a number?",
    computed_by="Attempts and mistakes of the permitted students in the course, of which an item tests the "
    "point or a finding names it; the latest first.",
    parameters=OfRecords,
    row=BehindNumber,
    find=find,
    order=lambda row: (-row.at.timestamp(), row.record),
    quotes=True,
)
