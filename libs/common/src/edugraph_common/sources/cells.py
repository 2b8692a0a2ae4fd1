"""The cells of one row become the JSON of one record, as the mapping says."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from edugraph_common.contracts.records import InvalidRecord, shorten
from edugraph_common.sources.mapping import ENVELOPE, Mapping
from edugraph_common.sources.people import STUDENT_FIELDS, as_id

DATES = frozenset({"timestamp", "enrollment_date", "completion_date"})
LISTS = frozenset({"topics", "course_ids"})

Reader = Callable[[str], Any]
"""Raises ValueError, with the form that was expected."""


class CellReader:
    """Made once for a table; `columns` are the names in its header."""

    def __init__(self, mapping: Mapping, columns: Sequence[str]) -> None:
        self._constants = dict(mapping.constants)
        if mapping.type:
            self._constants["type"] = mapping.type
        self._columns = {field: column for column, field in mapping.columns.items() if field}
        self._cells = [
            (columns.index(column), field, _reader(mapping, field)) for field, column in self._columns.items()
        ]

    def record(self, cells: Sequence[str]) -> dict[str, Any]:
        """The JSON of a record; a blank cell is a field that is not given. Raises InvalidRecord."""
        found = dict(self._constants)
        for place, field, read in self._cells:
            if not cells[place].strip():
                continue
            try:
                found[field] = read(cells[place])
            except ValueError as error:
                raise InvalidRecord(
                    self.name_of(field), str(error), shorten(cells[place]), "is not of the mapping's form"
                ) from None
        return _enveloped(found)

    def students(self, cells: Sequence[str]) -> Iterator[str]:
        """Ids of students in the cells and the constants, whatever the other cells hold."""
        for field, value in self._constants.items():
            if field in STUDENT_FIELDS and as_id(value):
                yield as_id(value)
        for place, field, read in self._cells:
            if field in STUDENT_FIELDS and place < len(cells) and (known := as_id(read(cells[place]))):
                yield known

    def named(self, problem: InvalidRecord) -> InvalidRecord:
        """The same problem, told by the column where it stands."""
        field = problem.field.removeprefix("data.").split(".", maxsplit=1)[0]
        return InvalidRecord(self.name_of(field, problem.field), problem.expected, problem.found, problem.reason)

    def name_of(self, field: str, path: str | None = None) -> str:
        path = path or (field if field in ENVELOPE else f"data.{field}")
        return f"{self._columns[field]} ({path})" if field in self._columns else path


def _enveloped(found: dict[str, Any]) -> dict[str, Any]:
    head = {name: found.pop(name) for name in ENVELOPE if name in found}
    return {**head, "data": found}


def _reader(mapping: Mapping, field: str) -> Reader:
    if field in mapping.values:
        return partial(_stands_for, mapping.values[field])
    if field in DATES and mapping.date_formats:
        return partial(_moment, mapping.date_formats)
    if field in LISTS:
        return partial(_items, mapping.list_separator)
    return str


def _stands_for(values: AnyMapping[str, Any], cell: str) -> Any:
    """A cell that the mapping does not name may hold the value itself."""
    return values.get(cell.strip(), cell)


@lru_cache(maxsize=4_096)
def _moment(formats: tuple[str, ...], cell: str) -> datetime:
    """Kept: reading a date costs as much as all the rest of a row, and the rows of a table share their dates."""
    for form in formats:
        try:
            moment = datetime.strptime(cell.strip(), form)  # noqa: DTZ007 - below
        except ValueError:
            continue
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    raise ValueError(f"a date like {' or '.join(formats)}")


def _items(separator: str, cell: str) -> list[str]:
    return [item.strip() for item in cell.split(separator) if item.strip()]
