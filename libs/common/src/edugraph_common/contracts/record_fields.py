"""The types of single fields of records: what each may hold, and the form in which it is kept."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

LONGEST_TEXT = 100_000  # characters

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ISO_DATE = re.compile(r"\s*+\d{4}-\d\d-\d\d")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def _no_control(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("control characters are not allowed here")
    return value


def _storable(value: str) -> str:
    """A NUL or half a surrogate pair cannot be stored in the graph."""
    if _UNSTORABLE.search(value):
        raise ValueError("must not hold NUL or lone surrogates")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank")
    return value


def _utc(value: datetime) -> datetime:
    """Return the moment in UTC; a timestamp without a zone means UTC (docs/data-model.md)."""
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is before the year 1 or after the year 9999 in UTC") from None


def _iso_text(value: object) -> object:
    """Pydantic would take a bare number, such as a date of Excel, for seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and not _ISO_DATE.match(value)):
        raise ValueError("not an ISO 8601 date and time")
    return value


Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, strip_whitespace=True),
    AfterValidator(_no_control),
    AfterValidator(_storable),
]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True), AfterValidator(_storable)
]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_storable)]
RequiredText = Annotated[Text, AfterValidator(_not_blank)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Reading = Annotated[int, Field(ge=0, le=1_000_000)]
Timestamp = Annotated[datetime, BeforeValidator(_iso_text), AfterValidator(_utc)]
# A negative score, as xAPI has it for penalties, counts as 0.
Score = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False), AfterValidator(lambda score: max(score, 0.0))]
Level = Literal["beginner", "intermediate", "advanced"]
Severity = Literal["low", "medium", "high"]
