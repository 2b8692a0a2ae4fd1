"""The types of single fields of records: what each may hold, and the form in which it is kept."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

LONGEST_TEXT = 100_000  # characters

_ISO_DATE = re.compile(r"\s*+\d{4}-\d\d-\d\d")

# Pydantic itself searches for these: a call back into Python for each field costs a fifth of the time to parse one.
# The graph cannot store a NUL. Half a surrogate pair, which it cannot store either, is no text for pydantic.
_NO_NUL = r"^[^\x00]*$"
_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
UNSTORABLE = "must not hold NUL or lone surrogates"
REASONS_OF_PATTERNS = {_NO_NUL: UNSTORABLE, _NO_CONTROL: "control characters are not allowed here"}


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


Id = Annotated[str, StringConstraints(min_length=1, max_length=128, strip_whitespace=True, pattern=_NO_CONTROL)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True, pattern=_NO_NUL)]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT, pattern=_NO_NUL)]
RequiredText = Annotated[Text, AfterValidator(_not_blank)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Reading = Annotated[int, Field(ge=0, le=1_000_000)]
Timestamp = Annotated[datetime, BeforeValidator(_iso_text), AfterValidator(_utc)]
# A negative score, as xAPI has it for penalties, counts as 0.
Score = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False), AfterValidator(lambda score: max(score, 0.0))]
Level = Literal["beginner", "intermediate", "advanced"]
Severity = Literal["low", "medium", "high"]
