"""Findings of the analyzer in the text of one record; frozen contracts, version 1.

A finding travels with its record, because it may arrive before the import of the record. Then the importer writes the
record first (exactly once, as always) and the finding after it.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.record_fields import Level, Name, Sentence, Severity
from edugraph_common.contracts.records import (
    AttemptRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
)

Share = Annotated[float, Field(ge=0, le=1)]
Kind = Literal["interaction", "error", "knowledge_points"]
# The purpose of a paid request to a model.
Purpose = Kind | Literal["draft", "question"]
Sentiment = Literal["positive", "neutral", "negative"]
Importance = Literal["core", "supplementary"]


class Subject(StrEnum):
    """The names of the kinds in addresses and commands."""

    INTERACTIONS = "interactions"
    ERRORS = "errors"
    KNOWLEDGE_POINTS = "knowledge-points"


KIND_OF_SUBJECT: dict[Subject, Kind] = {
    Subject.INTERACTIONS: "interaction",
    Subject.ERRORS: "error",
    Subject.KNOWLEDGE_POINTS: "knowledge_points",
}


class Origin(MessageModel):
    """The origin and the cost of a finding."""

    analyser: Literal["model", "offline"]
    model: str
    prompt_version: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = Field(default=0.0, description="in the currency of the price table")
    cached: bool = False


class Quoting(MessageModel):
    """The base class of findings with quotes from the text in `evidence`.

    `evidence_found` is False if none of the quotes is in the text. Then the finding is kept, but its confidence is
    capped. It is None if nobody checked the quotes.
    """

    confidence: Share
    evidence: tuple[str, ...] = ()
    evidence_found: bool | None = None


class InteractionFinding(Quoting):
    """The mood and the topics of a message.

    `topics` are knowledge points of the course, or topics that the record states. `other_topics` are in no list. They
    are proposals for reviewers, and are in the graph only after one of them accepted them.
    """

    kind: Literal["interaction"] = "interaction"
    sentiment: Sentiment | None
    topics: tuple[Name, ...] = ()
    other_topics: tuple[Name, ...] = ()


class FoundErrorType(MessageModel):
    name: Name
    confidence: Share


class LinkedPoint(MessageModel):
    """A knowledge point behind a mistake. `strength` is the share of the mistake that it explains."""

    name: Name
    strength: Share
    confidence: Share


class ErrorFinding(Quoting):
    """A diagnosis of a mistake.

    `other_error_types` are kinds that the list of the school does not have. They are proposals for reviewers, and are
    in the graph only after one of them accepted them.

    `what_went_wrong` is a sentence of a model about what the student did or seems to think, in the language of the
    school. It names nobody, and is general, so that it can be the same for the same mistake of several students. A
    number or a quoted passage in it stands in the text.
    It is None if the text does not show a mistake, or if no model read it.
    """

    kind: Literal["error"] = "error"
    what_went_wrong: Sentence | None = None
    error_types: tuple[FoundErrorType, ...] = ()
    other_error_types: tuple[FoundErrorType, ...] = ()
    knowledge_points: tuple[LinkedPoint, ...] = ()
    difficulty: Level | None = None
    severity: Severity | None = None


class FoundPoint(MessageModel):
    """A knowledge point in a course text. `order` is its position among the points of the text, from 1."""

    name: Name
    description: str | None = None
    category: Name | None = None
    importance: Importance = "supplementary"
    order: int | None = Field(default=None, ge=1)


IMPLIED_CONFIDENCE = 0.3
"""The highest confidence of a prerequisite without a quote."""


def confidence_of_claim(confidence: float, quote: str | None) -> float:
    """Return how sure a text is of a prerequisite that it claims. Without a quote it is implied, and less sure."""
    if quote:
        return confidence
    return min(confidence, IMPLIED_CONFIDENCE)


class Prerequisite(MessageModel):
    """`point` depends on `requires`.

    `quote` has the words of the text that say so, in the spelling of the text. Without them the prerequisite is
    implied: nobody can check it, so it does not count as said by the text.
    """

    point: Name
    requires: Name
    confidence: Share
    quote: str | None = None


class ContentFinding(Quoting):
    kind: Literal["knowledge_points"] = "knowledge_points"
    knowledge_points: tuple[FoundPoint, ...] = ()
    prerequisites: tuple[Prerequisite, ...] = ()


Finding = Annotated[InteractionFinding | ErrorFinding | ContentFinding, Field(discriminator="kind")]


class RecordFinding(MessageModel):
    """A finding with its record. `record` is the JSON of `Record.to_json`."""

    record: dict[str, Any]
    finding: Finding
    origin: Origin


KIND_OF_TYPE: dict[str, Kind] = {
    "student_interaction": "interaction",
    "teacher_interaction": "interaction",
    "error_record": "error",
    "course_content": "knowledge_points",
    "attempt_record": "error",
    "post_record": "interaction",
}


def kind_of_finding(record: Record) -> Kind | None:
    """Return the kind of finding that a record can have, or None.

    A model never reads right answers. It reads an answer without an outcome as it reads a post.
    """
    data = record.data
    if isinstance(data, AttemptRecord) and not data.has_outcome:
        return "interaction"
    if isinstance(data, AttemptRecord) and not data.is_mistake:
        return None
    return KIND_OF_TYPE.get(record.type)


def kind_to_read(record: Record) -> Kind | None:
    """Return the kind of analysis for the record's text, or None if there is nothing to read."""
    data = record.data
    if isinstance(data, StudentInteraction | TeacherInteraction) and not (data.text or "").strip():
        return None
    # A question alone does not show a mistake: without a response there is nothing to read.
    if isinstance(data, AttemptRecord) and not (data.response or "").strip():
        return None
    return kind_of_finding(record)
