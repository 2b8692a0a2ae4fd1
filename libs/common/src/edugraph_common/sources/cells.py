"""The cells of one row of a table become the JSON of one record, as the mapping says."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from edugraph_common.contracts.records import InvalidRecord, shorten
from edugraph_common.sources.mapping import ENVELOPE, Mapping
from edugraph_common.sources.students import STUDENT_FIELDS, as_id

DATES = frozenset({"timestamp", "enrollment_date", "completion_date"})
LISTS = frozenset({"topics", "course_ids"})

CellParser = Callable[[str], Any]
"""Raises ValueError, whose text is the form that was expected."""


class CellReader:
    """Reads the rows of one table. `columns` are the names in its header."""

    def __init__(self, mapping: Mapping, columns: Sequence[str]) -> None:
        self._constants = dict(mapping.constants)
        if mapping.type:
            self._constants["type"] = mapping.type
        self._columns = {field: column for column, field in mapping.columns.items() if field}
        self._cells = [
            (columns.index(column), field, _parser(mapping, field)) for field, column in self._columns.items()
        ]

    def record(self, cells: Sequence[str]) -> dict[str, Any]:
        """Return the JSON of a record. A blank cell is a field that is not given. Raises InvalidRecord."""
        fields = dict(self._constants)
        for place, field, parse in self._cells:
            if not cells[place].strip():
                continue
            try:
                fields[field] = parse(cells[place])
            except ValueError as error:
                raise InvalidRecord(
                    self.name_of(field), str(error), shorten(cells[place]), "is not of the mapping's form"
                ) from None
        envelope = {name: fields.pop(name) for name in ENVELOPE if name in fields}
        return {**envelope, "data": fields}

    def students(self, cells: Sequence[str]) -> Iterator[str]:
        """Yield the ids of students in the cells and the constants, whatever the other cells hold."""
        for field, value in self._constants.items():
            if field in STUDENT_FIELDS and as_id(value):
                yield as_id(value)
        for place, field, parse in self._cells:
            if field in STUDENT_FIELDS and place < len(cells) and (student_id := as_id(parse(cells[place]))):
                yield student_id

    def by_column(self, problem: InvalidRecord) -> InvalidRecord:
        """Return the same problem, told by the column of the field."""
        field = problem.field.removeprefix("data.").split(".", maxsplit=1)[0]
        return InvalidRecord(self.name_of(field, problem.field), problem.expected, problem.found, problem.reason)

    def name_of(self, field: str, path: str | None = None) -> str:
        """Return the name of a field for a person: its column with its path in the record."""
        path = path or (field if field in ENVELOPE else f"data.{field}")
        return f"{self._columns[field]} ({path})" if field in self._columns else path


def _parser(mapping: Mapping, field: str) -> CellParser:
    if field in mapping.values:
        values = mapping.values[field]
        # A cell that the mapping does not name may hold the value itself.
        return lambda cell: values.get(cell.strip(), cell)
    if field in DATES and mapping.date_formats:
        return partial(_parse_date, mapping.date_formats)
    if field in LISTS:
        return lambda cell: [item.strip() for item in cell.split(mapping.list_separator) if item.strip()]
    return str


@lru_cache(maxsize=4_096)
def _parse_date(date_formats: tuple[str, ...], cell: str) -> datetime:
    """Cached, since to read a date costs as much as all the rest of a row, and the rows of a table share dates."""
    for date_format in date_formats:
        try:
            moment = datetime.strptime(cell.strip(), date_format)  # noqa: DTZ007 - the next line adds the zone
        except ValueError:
            continue
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    raise ValueError(f"a date like {' or '.join(date_formats)}")
