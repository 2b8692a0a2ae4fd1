"""What an answer looks like: typed rows, how they are computed, of how many, what was left out, and where from.

Each field of a row has a mark that says what it is. A small group is kept secret by the marks (small_groups.py), so a
field without one cannot be defined.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field

from edugraph_common.contracts.contract_model import ContractModel


class Mark(Enum):
    """What a field of a row is, and what an analyst is shown of it."""

    NAME = "id or name of a course, a point or an item"  # as it is
    COUNT = "number of students, attempts or records"  # rounded to 5
    SHARE = "share or rate from 0 to 1"  # at least 0.05, at most 0.95
    DIFFERENCE = "difference of two shares"  # from -0.9 to 0.9
    PERSONAL = "says something of one person, or quotes a record"  # nothing of it


Name = Annotated[str, Mark.NAME]
Count = Annotated[int, Mark.COUNT]
Share = Annotated[float | None, Mark.SHARE]
Difference = Annotated[float | None, Mark.DIFFERENCE]
Evidence = Annotated[
    str | None, Mark.PERSONAL, Field(description="address of the records behind the row; null where it is not shown")
]


class Row(ContractModel):
    """A row of an answer."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name in cls.model_fields:
            if cls.mark_of(name) is None:
                raise TypeError(f"{cls.__name__}.{name} has no mark: it could tell of a small group")

    @classmethod
    def mark_of(cls, name: str) -> Mark | None:
        return next((each for each in cls.model_fields[name].metadata if isinstance(each, Mark)), None)


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Measured(Generic[R]):
    """An exact row, and of whom it tells.

    `students` are all whom its numbers are about, `parts` those of them on whom single numbers stand.
    """

    row: R
    students: frozenset[str]
    parts: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True)
class Found(Generic[R]):
    """What a question found, exactly. `of_how_many` are sets of students, or numbers of other things."""

    rows: tuple[Measured[R], ...]
    of_how_many: dict[str, frozenset[str] | int]
    left_out: dict[str, int] = field(default_factory=dict)


class Answer(ContractModel, Generic[R]):
    """`rows` stand in the order that the question gives them. Times are in UTC."""

    question: str
    computed_by: str = Field(description="how the numbers are computed")
    as_of: datetime = Field(description="records until this moment count")
    parameters: dict[str, str]
    exact: bool = Field(description="false: groups under 10 students are left out, and numbers are rounded")
    of_how_many: dict[str, int]
    left_out: dict[str, int]
    rows: tuple[R, ...]
    links: dict[str, str] = {}
