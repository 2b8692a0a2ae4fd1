"""The types of single fields of records: the allowed values, and the form in which a value is kept."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

LONGEST_TEXT = 100_000  # characters
LONGEST_NAME = 500  # characters
LONGEST_SENTENCE = 200  # characters

_ISO_DATE = re.compile(r"\s*+\d{4}-\d\d-\d\d")
_ISO_DAY = re.compile(r"\s*+\d{4}-\d\d-\d\d\s*+")

# Pydantic itself checks these patterns. A Python function for each field would make parsing a record a fifth slower.
# The graph can store neither NUL nor lone surrogates. Pydantic rejects lone surrogates by itself.
_NO_NUL = r"^[^\x00]*$"
_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
UNSTORABLE = "must not hold NUL or lone surrogates"
REASONS_OF_PATTERNS = {_NO_NUL: UNSTORABLE, _NO_CONTROL: "control characters are not allowed here"}


# Ranges of invisible characters: white space, format characters such as direction marks and joiners, fillers, and
# variation selectors.
_INVISIBLE_RANGES = (
    (0x09, 0x0D),
    (0x20, 0x20),
    (0x85, 0x85),
    (0xA0, 0xA0),
    (0xAD, 0xAD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x1680, 0x1680),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2000, 0x200F),
    (0x2028, 0x202F),
    (0x205F, 0x206F),
    (0x2800, 0x2800),
    (0x3000, 0x3000),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE01EF),
)
_INVISIBLE = "".join(
    chr(code) for first, last in _INVISIBLE_RANGES for code in range(first, last + 1)
)


def normal_id(value: str) -> str:
    """Return an id in the form that all parts of EduGraph compare: NFC, without invisible characters at its ends.

    Invisible characters inside an id stay, because some scripts need them.
    """
    return unicodedata.normalize("NFC", value.strip(_INVISIBLE))


def _normal_if_text(value: object) -> object:
    # This runs for each id, so it must be fast. Most ids are ASCII, and pydantic strips their white space itself.
    if not isinstance(value, str) or value.isascii():
        return value
    return normal_id(value)


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank")
    return value


def _utc(value: datetime) -> datetime:
    """Return the moment in UTC; a timestamp without a zone means UTC (docs/data-model.md)."""
    try:
        if value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is before the year 1 or after the year 9999 in UTC") from None


def _iso_text(value: object) -> object:
    """Refuse a bare number, such as a date of Excel. Pydantic would read it as seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and not _ISO_DATE.match(value)):
        raise ValueError("not an ISO 8601 date and time")
    return value


def _end_of_day(value: object) -> object:
    """Return a day as its last moment. Something that is due on a day may be handed in until its end."""
    if isinstance(value, str) and _ISO_DAY.fullmatch(value):
        return f"{value.strip()}T23:59:59.999999"
    return value


Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, strip_whitespace=True, pattern=_NO_CONTROL),
    BeforeValidator(_normal_if_text),
]
Name = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=LONGEST_NAME, strip_whitespace=True, pattern=_NO_NUL
    ),
]
Sentence = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=LONGEST_SENTENCE, strip_whitespace=True, pattern=_NO_CONTROL
    ),
]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT, pattern=_NO_NUL)]
RequiredText = Annotated[Text, AfterValidator(_not_blank)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Reading = Annotated[int, Field(ge=0, le=1_000_000)]
Timestamp = Annotated[datetime, BeforeValidator(_iso_text), AfterValidator(_utc)]
# A moment until which something may be done. A day without a time means the end of this day.
Deadline = Annotated[Timestamp, BeforeValidator(_end_of_day)]
HintCount = Annotated[int, Field(ge=0, le=1_000_000_000)]
MOST_POINTS = 1_000_000_000
MaxScore = Annotated[float, Field(gt=0, le=MOST_POINTS, allow_inf_nan=False)]
# A negative score, which xAPI allows for penalties, counts as 0.
Score = Annotated[
    float, Field(ge=-1, le=1, allow_inf_nan=False), AfterValidator(lambda score: max(score, 0.0))
]
Level = Literal["beginner", "intermediate", "advanced"]
Severity = Literal["low", "medium", "high"]
