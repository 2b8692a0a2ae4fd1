"""What a question or a query is asked with, as the text of an address."""

from collections.abc import Iterable, Mapping
from datetime import datetime

Parameter = str | float | datetime | None | Iterable[str]


def as_query(parameters: Mapping[str, Parameter]) -> dict[str, str | list[str]]:
    """Return the parameters as text, without those that are None.

    `from_` is `from`, which is no name in Python. Several values stand in a list.
    """
    return {
        name.removesuffix("_"): _text(value) if _is_one(value) else [_text(each) for each in value]  # type: ignore[union-attr]
        for name, value in parameters.items()
        if value is not None
    }


def _is_one(value: Parameter) -> bool:
    return isinstance(value, str | int | float | datetime)


def _text(value: Parameter) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)
