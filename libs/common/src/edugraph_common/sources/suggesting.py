"""A mapping for a table that comes without one: a guess from the names of its columns and from its first rows."""

import unicodedata
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any, cast

import yaml

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.records import DATA_OF_TYPE, RECORD_TYPES, RecordType
from edugraph_common.sources.cells import DATES

_FORMATS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y年%m月%d日",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
)


class Suggestion(Frozen):
    """`mapping` is the text of a mapping file; `open_points` is what it leaves to its reader, a sentence each."""

    mapping: str
    type: RecordType
    open_points: tuple[str, ...]


def suggest_mapping(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Suggestion:
    """`header`: the names of the columns. `rows`: the cells of the first few rows."""
    kind = max(RECORD_TYPES, key=lambda each: _fitness(each, header))
    columns = _columns(kind, header)
    cells = {field: _cells(header.index(column), rows) for column, field in columns.items() if field}
    suggested: dict[str, Any] = {"type": kind, "columns": columns}
    suggested |= {"values": values} if (values := _values(cells)) else {}
    suggested |= {"date_formats": formats} if (formats := _date_formats(cells)) else {}
    missing = _missing(kind, cells)
    if missing:
        suggested["constants"] = dict.fromkeys(missing, "?")
    text = yaml.safe_dump(suggested, allow_unicode=True, sort_keys=False)
    return Suggestion(mapping=text, type=kind, open_points=tuple(_open_points(columns, missing)))


def _fitness(kind: RecordType, header: Sequence[str]) -> tuple[int, int]:
    """First how many of the required fields have a column, less those that have none; then how many fields in all."""
    found = {field for field in _columns(kind, header).values() if field}
    required = _required(kind)
    return len(found & required) - len(required - found), len(found)


def _columns(kind: RecordType, header: Sequence[str]) -> dict[str, str | None]:
    """Each column's field, or None; a field has one column, the first that fits."""
    found: dict[str, str | None] = {}
    fields = ("timestamp", "record_id", *DATA_OF_TYPE[kind].model_fields)
    for column in header:
        taken = set(found.values())
        fitting = (field for field in fields if _plain(column) in _names()[field] and field not in taken)
        found[column] = next(fitting, None)
    return found


def _required(kind: RecordType) -> set[str]:
    fields = DATA_OF_TYPE[kind].model_fields
    extra = {"course_id"} if kind == "error_record" else set[str]()
    return {name for name, field in fields.items() if field.is_required()} | extra


def _missing(kind: RecordType, given: AnyMapping[str, Any]) -> list[str]:
    return sorted((_required(kind) | {"timestamp"}) - set(given))


def _cells(place: int, rows: Sequence[Sequence[str]]) -> list[str]:
    return [row[place].strip() for row in rows if place < len(row) and row[place].strip()]


def _values(cells: AnyMapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    words = _data("cell_values")
    found = {
        field: {cell: words[field][cell] for cell in sorted(set(seen)) if cell in words[field]}
        for field, seen in cells.items()
        if field in words
    }
    return {field: values for field, values in found.items() if values}


def _date_formats(cells: AnyMapping[str, Sequence[str]]) -> list[str]:
    """Of each column of dates the first format that all of its cells have; none for ISO 8601."""
    columns = [seen for field, seen in cells.items() if field in DATES and seen and not all(map(_is_iso, seen))]
    found = (next((form for form in _FORMATS if all(_fits(cell, form) for cell in seen)), None) for seen in columns)
    return list(dict.fromkeys(form for form in found if form))


def _is_iso(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        return False
    return True


def _fits(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)  # noqa: DTZ007 - nothing is kept
    except ValueError:
        return False
    return True


def _open_points(columns: AnyMapping[str, str | None], missing: Sequence[str]) -> list[str]:
    left = [column for column, field in columns.items() if field is None]
    points = [f"{field} has no column: give one, or a constant in place of the ?" for field in missing]
    if left:
        points.append(f"no field was found for {', '.join(left)}: they are left out (null)")
    return points


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if char.isalnum())


@cache
def _names() -> dict[str, frozenset[str]]:
    return {field: frozenset(map(_plain, [field, *names])) for field, names in _data("column_names").items()}


@cache
def _data(name: str) -> dict[str, Any]:
    text = resources.files("edugraph_common.sources").joinpath(f"{name}.yaml").read_text("utf-8")
    return cast("dict[str, Any]", yaml.safe_load(text))
