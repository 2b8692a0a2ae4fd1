"""Parameters of questions and queries, as the text of an address."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime

Parameter = str | float | date | datetime | None | Iterable[str]


def as_query(parameters: Mapping[str, Parameter]) -> dict[str, str | list[str]]:
    """Return the parameters as text, without those that are None.

    The suffix `_` is removed: `from` cannot be a name in Python, so callers write `from_`. Several values stand in a
    list. A day and a moment without a time zone stay as they are; insights reads them in the time
    zone of the school.
    """
    query: dict[str, str | list[str]] = {}
    for name, value in parameters.items():
        if value is None:
            continue
        if isinstance(value, str | int | float | date):
            query[name.removesuffix("_")] = _text(value)
        else:
            query[name.removesuffix("_")] = [_text(each) for each in value]
    return query


def _text(value: Parameter) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):  # a datetime is a date, too
        return value.isoformat()
    return str(value)
