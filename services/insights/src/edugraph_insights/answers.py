"""The form of answers: typed rows, how they are computed, totals, what was left out, and links to the records.

Each field of a row has a mark that says what the field holds. The marks decide what an analyst sees, by
small_groups.py, so a field without a mark raises an error at its definition.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_keys import source_and_id


class Mark(Enum):
    """The kind of a field. The comments say what an analyst sees of it."""

    NAME = "id or name of a course, a point or an item"  # unchanged
    CATALOGUE = (
        "number that says something of points and texts, and nothing of students"  # unchanged
    )
    COUNT = "number of students, attempts or records"  # with noise if the row has a figure of it, else not shown
    SHARE = "share or rate from 0 to 1"  # the same
    DIFFERENCE = "difference of two shares"  # the same
    NOISE = "typical error of the shares of a row by their protection"  # shown to analysts alone
    PERSONAL = "says something of one person, or quotes a record"  # not shown


Name = Annotated[str, Mark.NAME]
Count = Annotated[int | None, Mark.COUNT]
Share = Annotated[float | None, Mark.SHARE]
Difference = Annotated[float | None, Mark.DIFFERENCE]
FromCatalogue = Annotated[float | None, Mark.CATALOGUE]
Noise = Annotated[
    float | None,
    Mark.NOISE,
    Field(
        description="typical error of the shares of this row by their protection (1.5 ÷ students, and more for shares"
        " of records); null if exact"
    ),
]
Evidence = Annotated[
    str | None,
    Mark.PERSONAL,
    Field(description="address of the records behind the row; null if it is not shown"),
]


class Row(ContractModel):
    """A row of an answer. `identity` are the fields that tell it from the other rows of its answer at any time."""

    identity: ClassVar[tuple[str, ...]] = ()

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
class Amount:
    """A number of students or of their records. `by_student` is what each student adds to it.

    Amounts of one `statistic` over one course have the same noise in each question.
    """

    statistic: str
    by_student: Mapping[str, int]


@dataclass(frozen=True)
class Ratio:
    """A share: the sum of `parts` divided by the sum of `wholes`, both by student. A part is at most its whole.

    A part is at least `lowest` times its whole. Ratios of one `statistic` over the same students have the same noise
    in each question; with `is_mirrored` the share is 1 minus the one that the statistic names.
    """

    statistic: str
    parts: Mapping[str, float]
    wholes: Mapping[str, float]
    lowest: float = 0.0
    is_mirrored: bool = False


def statistic(*parts: str) -> str:
    """Return the name of a statistic: what it is, the course, and what it is about, such as a point."""
    return "\x1f".join(parts)


def mean_of(
    name: str,
    values: Mapping[str, float],
    *,
    lowest: float = 0.0,
    is_mirrored: bool = False,
) -> Ratio:
    """Return the mean over students of values between `lowest` and 1, by student."""
    return Ratio(name, values, dict.fromkeys(values, 1.0), lowest, is_mirrored)


def number_of(name: str, students: Iterable[str]) -> Amount:
    """Return the number of these students."""
    return Amount(name, dict.fromkeys(students, 1))


def share_of(name: str, some: AbstractSet[str], students: Iterable[str]) -> Ratio:
    """Return the share of these students who are among `some`."""
    return mean_of(name, {student: float(student in some) for student in students})


@dataclass(frozen=True)
class Contrast:
    """The difference of two shares."""

    of: Ratio
    less: Ratio


Figure = Amount | Ratio | Contrast


@dataclass(frozen=True)
class Measured(Generic[R]):
    """An exact row. All else is needed only for an answer in cells, and may be left out of other answers.

    `students` are those that the row is about. `figures` are the fields that an analyst sees with noise, each with
    what the students add to it. `data` says for each student on which data the row stands; two rows with the same
    data of a student have the same records of the student behind them. Without `data`, the figures say it.
    """

    row: R
    students: frozenset[str] = frozenset()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    data: Mapping[str, object] | None = None


Total = frozenset[str] | Counter[str] | int


@dataclass(frozen=True)
class Found(Generic[R]):
    """The exact answer to a question.

    A total in `of_how_many` is a set of students, the numbers of records by student, or a number of other things.
    """

    rows: tuple[Measured[R], ...]
    of_how_many: dict[str, Total]
    left_out: dict[str, int] = field(default_factory=dict)


def size_of(total: Total) -> int:
    """Return the number that a total stands for."""
    if isinstance(total, int):
        return total
    if isinstance(total, Counter):
        return total.total()
    return len(total)


class Answer(ContractModel, Generic[R]):
    """An answer. `rows` are in the order of the question. Times are in UTC."""

    question: str
    computed_by: str = Field(description="how the numbers are computed")
    as_of: datetime = Field(description="only records until this moment count")
    parameters: dict[str, str]
    exact: bool = Field(
        description="false: numbers are protected by noise, and groups of fewer than 10 students are left out"
    )
    protection: str = Field(
        default="", description="how the numbers are protected; empty if they are exact"
    )
    of_how_many: dict[str, int]
    left_out: dict[str, int]
    rows: tuple[R, ...]
    links: dict[str, str] = {}
