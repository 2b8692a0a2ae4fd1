"""Reviews: what people say of what the graph holds, version 1.

All of them are kept, and the last one about a thing decides.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import AwareDatetime, Field, StringConstraints, TypeAdapter, model_validator

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.findings import Sentiment
from edugraph_common.contracts.record_fields import Id, Level, Severity
from edugraph_common.contracts.records import Record, iso

REVIEWS_AT_ONCE = 1_000

Thing = Annotated[str, StringConstraints(min_length=1, max_length=8_000)]
"""The id of a node of the graph: a stated id, or a canonical name."""
Of = Literal["error_type", "knowledge_point", "topic"]
LABEL_OF: dict[Of, str] = {"error_type": "ErrorType", "knowledge_point": "KnowledgePoint", "topic": "Topic"}
PairVerdict = Literal["same", "different", "withdrawn"]
Verdict = Literal["accepted", "rejected", "withdrawn"]
"""`withdrawn` takes back what was said of a thing before: it counts as if nobody had said anything."""
Aspect = Literal["error_type", "knowledge_point", "topic", "sentiment", "severity", "difficulty"]
# What a finding has one of, and the values that it may have.
SINGLE_VALUES: dict[str, tuple[str, ...]] = {
    "sentiment": get_args(Sentiment),
    "severity": get_args(Severity),
    "difficulty": get_args(Level),
}
# What a model reads of a record is hashed, in this order. The names are those of the record's fields and of its node.
TEXTS_OF_TYPE: dict[str, tuple[str, ...]] = {
    "student_interaction": ("text",),
    "teacher_interaction": ("subject", "text", "feedback"),
    "error_record": ("question", "error_text"),
    "attempt_record": ("question", "response"),
    "course_content": ("title", "content"),
}


def text_hash(record: Record) -> str:
    """Return the SHA-256 (hex) of the texts of a record: a JSON array, with null for what is not there."""
    given = {name: getattr(record.data, name) for name in TEXTS_OF_TYPE.get(record.type, ())}
    return hash_of_texts(record.type, given)


def hash_of_texts(record_type: str, given: Mapping[str, str | None]) -> str:
    """Return the same of the texts by their names, as they stand in the record's node."""
    texts = [given.get(name) for name in TEXTS_OF_TYPE.get(record_type, ())]
    written = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


class Said(MessageModel):
    """`at`: when it was said; `by`: by whom. The later of two decides, and of one time the greater `by`."""

    at: AwareDatetime
    by: str = Field(min_length=1, max_length=128)

    @property
    def review_id(self) -> str:
        """Equal reviews are one review."""
        content = self.model_dump(mode="json") | {"at": iso(self.at)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class FindingReview(Said):
    """Whether the text of a record shows something: a type of mistake, a point, a topic, a mood, a degree.

    It applies while the record has a text of that hash (`text_hash`), and may come before the record or the finding.
    """

    kind: Literal["finding"] = "finding"
    record_id: Id
    text_hash: str = Field(pattern="^[0-9a-f]{64}$")
    aspect: Aspect
    target: Thing = Field(description="the id of a type, point or topic, or the value of a mood or degree")
    verdict: Verdict

    @model_validator(mode="after")
    def has_a_value_of_its_aspect(self) -> Self:
        """Raises ValueError."""
        values = SINGLE_VALUES.get(self.aspect)
        if values and self.target not in values:
            raise ValueError(f"the target is none of {', '.join(values)}")
        return self


class ItemReview(Said):
    """Whether an item tests a knowledge point, whatever records say of it."""

    kind: Literal["tests"] = "tests"
    item_id: Id
    knowledge_point: Thing
    verdict: Verdict


class PairReview(Said):
    """Two ids or names of a kind mean the same, or they do not, or what was said of them before is taken back."""

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
    """Whether a knowledge point needs another one first, whatever texts and definitions claim."""

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


Review = Annotated[FindingReview | ItemReview | PairReview | PrerequisiteReview, Field(discriminator="kind")]
REVIEW: TypeAdapter[Review] = TypeAdapter(Review)
