"""The form of answers: typed rows, how they are computed, totals, what was left out, and links to the records.

Each field of a row has a mark that says what the field holds. The marks decide how small groups are kept secret
(small_groups.py), so a field without a mark raises an error at its definition.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_keys import source_and_id


class Mark(Enum):
    """The kind of a field. The comments say what an analyst sees of it."""

    NAME = "id or name of a course, a point or an item"  # unchanged
    COUNT = "number of students, attempts or records"  # rounded to 5
    SHARE = "share or rate from 0 to 1"  # at least 0.05, at most 0.95
    DIFFERENCE = "difference of two shares"  # from -0.9 to 0.9
    PERSONAL = "says something of one person, or quotes a record"  # not shown


Name = Annotated[str, Mark.NAME]
Count = Annotated[int, Mark.COUNT]
Share = Annotated[float | None, Mark.SHARE]
Difference = Annotated[float | None, Mark.DIFFERENCE]
Evidence = Annotated[
    str | None,
    Mark.PERSONAL,
    Field(description="address of the records behind the row; null if it is not shown"),
]


class Row(ContractModel):
    """A row of an answer."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name in cls.model_fields:
            if cls.mark_of(name) is None:
                raise TypeError(
                    f"{cls.__name__}.{name} has no mark: it could tell of a small group"
                )

    @classmethod
    def mark_of(cls, name: str) -> Mark | None:
        """Return the mark of a field, or None if it has none."""
        return next(
            (each for each in cls.model_fields[name].metadata if isinstance(each, Mark)), None
        )


def as_sent(record: str | None) -> dict[str, str]:
    """Return the fields `source_name` and `sent_id` of a row about the record with this key.

    Without a record there are no fields.
    """
    if record is None:
        return {}
    source, sent_id = source_and_id(record)
    return {"source_name": source, "sent_id": sent_id}


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Measured(Generic[R]):
    """An exact row with the students behind its numbers.

    `students` are all students that the row is about. `parts` are the smaller groups that single numbers are about.
    """

    row: R
    students: frozenset[str]
    parts: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True)
class Found(Generic[R]):
    """The exact answer to a question. `of_how_many` has sets of students, or numbers of other things."""

    rows: tuple[Measured[R], ...]
    of_how_many: dict[str, frozenset[str] | int]
    left_out: dict[str, int] = field(default_factory=dict)


class Answer(ContractModel, Generic[R]):
    """An answer. `rows` are in the order of the question. Times are in UTC."""

    question: str
    computed_by: str = Field(description="how the numbers are computed")
    as_of: datetime = Field(description="only records until this moment count")
    parameters: dict[str, str]
    exact: bool = Field(
        description="false: groups of fewer than 10 students are left out, and numbers are rounded"
    )
    of_how_many: dict[str, int]
    left_out: dict[str, int]
    rows: tuple[R, ...]
    links: dict[str, str] = {}
