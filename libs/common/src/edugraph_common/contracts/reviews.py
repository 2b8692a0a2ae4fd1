"""Reviews: what people say of what the graph holds, version 1.

All of them are kept, and the last one about a thing decides.
"""

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.records import iso

Thing = Annotated[str, Field(min_length=1, max_length=8_000, description="the id of a node of the graph")]
Of = Literal["error_type", "knowledge_point", "topic"]
LABEL_OF: dict[Of, str] = {"error_type": "ErrorType", "knowledge_point": "KnowledgePoint", "topic": "Topic"}


class Said(MessageModel):
    """`at`: when it was said; `by`: by whom. The later of two decides, and of one time the greater `by`."""

    at: AwareDatetime
    by: str = Field(min_length=1, max_length=128)

    @property
    def review_id(self) -> str:
        """Equal reviews are one review."""
        content = self.model_dump(mode="json") | {"at": iso(self.at)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class PairReview(Said):
    """Two ids or names of a kind mean the same, or they do not."""

    kind: Literal["pair"] = "pair"
    of: Of
    pair: tuple[Thing, Thing]
    verdict: Literal["same", "different"]

    @model_validator(mode="after")
    def is_about_two(self) -> Self:
        """Raises ValueError."""
        if self.pair[0] == self.pair[1]:
            raise ValueError("a pair is of two different ids")
        return self


Review = PairReview
