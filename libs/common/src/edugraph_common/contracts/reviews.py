"""Reviews, version 1: people's judgements about the content of the graph.

All reviews are kept. The last review of a thing counts.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import AwareDatetime, Field, StringConstraints, TypeAdapter, model_validator

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.findings import Kind, Sentiment
from edugraph_common.contracts.record_fields import Id, Level, Severity
from edugraph_common.contracts.records import Record, iso

REVIEWS_AT_ONCE = 1_000

Thing = Annotated[str, StringConstraints(min_length=1, max_length=8_000)]
"""The id of a node of the graph: a stated id, or a canonical name."""
Of = Literal["error_type", "knowledge_point", "misconception", "topic"]
LABEL_OF: dict[Of, str] = {
    "error_type": "ErrorType",
    "knowledge_point": "KnowledgePoint",
    "misconception": "Misconception",
    "topic": "Topic",
}
PairVerdict = Literal["same", "different", "withdrawn"]
Verdict = Literal["accepted", "rejected", "withdrawn"]
"""`withdrawn` cancels the earlier reviews of a thing, as if nobody had reviewed it."""
Aspect = Literal[
    "error_type",
    "knowledge_point",
    "misconception",
    "topic",
    "sentiment",
    "severity",
    "difficulty",
]
# Aspects that have one value in a finding -> the values that are allowed.
SINGLE_VALUES: dict[str, tuple[str, ...]] = {
    "sentiment": get_args(Sentiment),
    "severity": get_args(Severity),
    "difficulty": get_args(Level),
}
# Kind of finding -> the aspects that it has.
ASPECTS_OF_KIND: Mapping[Kind, frozenset[Aspect]] = {
    "interaction": frozenset({"topic", "sentiment"}),
    "error": frozenset(
        {"error_type", "knowledge_point", "misconception", "severity", "difficulty"}
    ),
    "knowledge_points": frozenset({"knowledge_point"}),
}
# Type of record -> the texts that a model reads, in the order in which they are hashed. The names are fields of the
# record and properties of its node.
TEXTS_OF_TYPE: dict[str, tuple[str, ...]] = {
    "student_interaction": ("text",),
    "teacher_interaction": ("subject", "text", "feedback"),
    "error_record": ("question", "error_text"),
    "attempt_record": ("question", "response"),
    "course_content": ("title", "content"),
    "post_record": ("title", "text"),
}


def text_hash(record: Record) -> str:
    """Return the SHA-256 (hex) of the record's texts as a JSON array, in which a missing text is null."""
    names = TEXTS_OF_TYPE.get(record.type, ())
    given = {name: getattr(record.data, name) for name in names}
    return hash_of_texts(record.type, given)


def hash_of_texts(record_type: str, given: Mapping[str, str | None]) -> str:
    """Return the hash that `text_hash` returns. `given` has the texts by their names in the record's node."""
    texts = [given.get(name) for name in TEXTS_OF_TYPE.get(record_type, ())]
    written = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


class Said(MessageModel):
    """The base class of reviews: `at` is its time and `by` the reviewer.

    The later review counts. If two have the same time, the one with the greater `by` counts.
    """

    at: AwareDatetime
    by: str = Field(min_length=1, max_length=128)

    @property
    def review_id(self) -> str:
        """A hash of the content: equal reviews have the same id and are stored once."""
        content = self.model_dump(mode="json") | {"at": iso(self.at)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class FindingReview(Said):
    """A judgement whether the text of a record shows `target`.

    It applies as long as the record's text has this `text_hash`. It may arrive before the record or the finding.
    """

    kind: Literal["finding"] = "finding"
    record_id: Id
    text_hash: str = Field(pattern="^[0-9a-f]{64}$")
    aspect: Aspect
    target: Thing = Field(
        description="the id of a type, point or topic, or the value of a mood or degree"
    )
    verdict: Verdict

    @model_validator(mode="after")
    def has_a_value_of_its_aspect(self) -> Self:
        """Raises ValueError."""
        values = SINGLE_VALUES.get(self.aspect)
        if values and self.target not in values:
            raise ValueError(f"the target is none of {', '.join(values)}")
        return self


class ItemReview(Said):
    """A judgement whether an item tests a knowledge point. It overrides the records."""

    kind: Literal["tests"] = "tests"
    item_id: Id
    knowledge_point: Thing
    verdict: Verdict


class PairReview(Said):
    """A judgement whether two ids or names of one kind mean the same."""

    kind: Literal["pair"] = "pair"
    of: Of
    pair: tuple[Thing, Thing]
    verdict: PairVerdict

    @model_validator(mode="after")
    def is_about_two(self) -> Self:
        """Raises ValueError."""
        if self.pair[0] == self.pair[1]:
            raise ValueError("a pair is of two different ids")
        return self


class PrerequisiteReview(Said):
    """A judgement whether `point` requires the knowledge point `requires`. It overrides texts and definitions."""

    kind: Literal["prerequisite"] = "prerequisite"
    point: Thing
    requires: Thing
    verdict: Verdict

    @model_validator(mode="after")
    def is_about_two(self) -> Self:
        """Raises ValueError."""
        if self.point == self.requires:
            raise ValueError("no point needs itself first")
        return self


Review = Annotated[
    FindingReview | ItemReview | PairReview | PrerequisiteReview, Field(discriminator="kind")
]
REVIEW: TypeAdapter[Review] = TypeAdapter(Review)
