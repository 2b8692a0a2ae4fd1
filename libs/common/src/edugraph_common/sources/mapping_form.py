"""A mapping as a form, for people who do not write YAML: each column with two of its cells and its field.

The page of imports shows the form, and sends what a person answers. Answers change the text of the mapping, so that
form and text always say the same.
"""

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from itertools import islice
from typing import Any

from pydantic import Field, ValidationError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.records import DATA_OF_TYPE, RECORD_TYPES, RecordType
from edugraph_common.sources.cells import DATES
from edugraph_common.sources.mapping import (
    ENVELOPE,
    ITEM_FIELDS,
    NAMES_IN_PARTS,
    UNKNOWN,
    is_named,
    load_mapping,
    mapping_text,
)
from edugraph_common.sources.mapping_suggestion import (
    DATE_FORMATS,
    cells_by_column,
    date_formats_of,
)
from edugraph_common.sources.ndjson import MalformedFile

_SAMPLES = 2
_LENGTH_OF_A_SAMPLE = 80
_DAY_FIRST = "%d/"
_MONTH_FIRST = "%m/"


class ColumnOfForm(ContractModel):
    """A column of a table. `samples` are its first two cells that are not empty.

    `field` is the field of a record that the column gives, or None if the import leaves the column out. `is_item`
    says that each cell of the column is a mark.
    """

    column: str
    samples: tuple[str, ...]
    field: str | None
    is_item: bool


class MappingForm(ContractModel):
    """A mapping of a table as a form.

    `fields` are the fields that a column may give. `constants` are values that all rows have; a question mark stands
    where a person must say the value. `asks_day_first` says that dates such as 3/4/2026 can be read in two ways.
    """

    type: RecordType
    columns: tuple[ColumnOfForm, ...]
    fields: tuple[str, ...]
    constants: dict[str, str]
    asks_day_first: bool


class MappingAnswers(ContractModel):
    """The answers of a person to the form.

    `columns`: column -> field, or None to leave the column out. `constants`: field -> the value of all rows.
    `not_tried`: cells of marks that stand for an answer that was not handed in. `values`: field -> cell -> the value
    that the cell stands for.
    """

    columns: dict[str, str | None] = {}
    constants: dict[str, str] = {}
    day_first: bool | None = None
    not_tried: tuple[str, ...] = Field(default=(), max_length=100)
    values: dict[str, dict[str, str]] = {}


def mapping_form(
    text: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> MappingForm | None:
    """Return the form of a mapping's text for a table with these columns and first rows.

    Return None for a mapping that only its text can show: one without one type of records, or one that names columns
    of another table. Raises MalformedFile for a text that is not YAML.
    """
    value = load_mapping(text)
    if not isinstance(value, dict):
        return None
    record_type = _type_of(value)
    fields = value.get("columns")
    if record_type is None or not isinstance(fields, dict) or not fields.keys() <= set(header):
        return None
    items = _item_columns(value)
    columns = []
    rows_of_students = _rows_of_students(value, rows)
    for column in dict.fromkeys(header):
        field = fields.get(column)
        is_item = column not in fields and is_named(column, items)
        columns.append(
            ColumnOfForm(
                column=column,
                samples=_samples(header, rows_of_students, column),
                field=field if isinstance(field, str) else None,
                is_item=is_item,
            )
        )
    constants = value.get("constants")
    if not isinstance(constants, dict):
        constants = {}
    return MappingForm(
        type=record_type,
        columns=tuple(columns),
        fields=_fields_of_columns(record_type, has_items=bool(items)),
        constants={str(field): str(given) for field, given in constants.items()},
        asks_day_first=UNKNOWN in _list_of(value.get("date_formats")),
    )


def with_answers(
    text: str, answers: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """Return the text of a mapping, changed by `answers`: the JSON of a `MappingAnswers`.

    `header` and `rows` are the columns and the first rows of the table. The formats of a column that becomes a date
    are found in its cells. A field has one column, so a column that had the field before is left out. The parts of a
    name may have several. Raises MalformedFile, with one sentence that says what is wrong.
    """
    try:
        given = MappingAnswers.model_validate_json(answers)
    except ValidationError:
        raise MalformedFile("the answers are not those of the form of a mapping") from None
    value = load_mapping(text)
    if not isinstance(value, dict) or not isinstance(value.get("columns"), dict):
        raise MalformedFile("the mapping has no columns")
    for column, field in given.columns.items():
        _set_field(value, column, field)
        if field in DATES:
            _add_date_formats(value, field, cells_by_column(header, rows).get(column, []))
    if given.constants:
        value["constants"] = {**_dict_of(value.get("constants")), **given.constants}
    if given.day_first is not None:
        _set_day_first(value, is_first=given.day_first)
    if given.not_tried:
        _add_not_tried(value, given.not_tried)
    if given.values:
        values = _dict_of(value.get("values"))
        for field, meanings in given.values.items():
            values[field] = {**_dict_of(values.get(field)), **meanings}
        value["values"] = values
    return mapping_text(value)


def _set_field(value: dict[str, Any], column: str, field: str | None) -> None:
    """Give a column another field. The form asks for a field that a record needs and no column gives any more."""
    columns = value["columns"]
    _leave_out_item(value, column)
    before = columns.get(column)
    if field is not None and field not in NAMES_IN_PARTS:
        for other, its_field in columns.items():
            if its_field == field:
                columns[other] = None
    columns[column] = field
    constants = _dict_of(value.get("constants"))
    if field is not None:
        constants.pop(field, None)
    if isinstance(before, str) and _is_required(_type_of(value), before):
        is_given = before in columns.values() or before in constants
        if not is_given:
            constants[before] = UNKNOWN
    value["constants"] = constants


def _leave_out_item(value: dict[str, Any], column: str) -> None:
    """Let the cells of a column be no marks. A mapping without a column of marks has no items."""
    items = value.get("items")
    if not isinstance(items, dict) or column not in _item_columns(value):
        return
    items["columns"] = [each for each in _item_columns(value) if each != column]
    for by_column in ("scale", "ids", "points_in"):
        if isinstance(items.get(by_column), dict):
            items[by_column].pop(column, None)
    if not items["columns"]:
        del value["items"]


def _set_day_first(value: dict[str, Any], *, is_first: bool) -> None:
    """Read the dates that could be read in two ways by the day or by the month first."""
    formats = [each for each in _list_of(value.get("date_formats")) if each != UNKNOWN]
    beginning = _MONTH_FIRST
    if is_first:
        beginning = _DAY_FIRST
    chosen = [each for each in DATE_FORMATS if each.startswith(beginning)]
    value["date_formats"] = [*formats, *chosen]


def _add_date_formats(value: dict[str, Any], field: str, cells: Sequence[str]) -> None:
    """Let the mapping read the dates of these cells. A format that a person must choose is a question mark."""
    known = _list_of(value.get("date_formats"))
    found, _ = date_formats_of({field: cells})
    added = [each for each in found if each not in known]
    if added:
        value["date_formats"] = [*known, *added]


def _add_not_tried(value: dict[str, Any], cells: Sequence[str]) -> None:
    items = value.get("items")
    if not isinstance(items, dict):
        raise MalformedFile(
            "the mapping has no items, so no cell of it says that nothing was handed in"
        )
    items["not_tried"] = list(dict.fromkeys([*_list_of(items.get("not_tried")), *cells]))


def _fields_of_columns(record_type: RecordType, *, has_items: bool) -> tuple[str, ...]:
    """Return the fields that a column may give, those of the data first."""
    own = DATA_OF_TYPE[record_type].model_fields
    fields = [*own, *(field for field in ENVELOPE if field != "type")]
    if has_items:
        fields = [field for field in fields if field not in ITEM_FIELDS]
    return tuple(dict.fromkeys(fields))


def _type_of(value: AnyMapping[str, Any]) -> RecordType | None:
    """Return the type of the records of a mapping that nobody has checked, or None if it is not one type."""
    for record_type in RECORD_TYPES:
        if value.get("type") == record_type:
            return record_type
    return None


def _is_required(record_type: RecordType | None, field: str) -> bool:
    if field == "timestamp":
        return True
    if record_type is None:
        return False
    own = DATA_OF_TYPE[record_type].model_fields.get(field)
    return own is not None and own.is_required()


def _rows_of_students(
    value: AnyMapping[str, Any], rows: Sequence[Sequence[str]]
) -> list[Sequence[str]]:
    """Return the rows without those of all students together, such as the points or the mean of each column."""
    not_students = set()
    if isinstance(value.get("items"), dict):
        not_students = {str(each).lower() for each in _list_of(value["items"].get("not_students"))}
    kept = []
    for row in rows:
        cells = {cell.strip().lower() for cell in row}
        if not cells & not_students:
            kept.append(row)
    return kept


def _samples(header: Sequence[str], rows: Sequence[Sequence[str]], column: str) -> tuple[str, ...]:
    place = header.index(column)
    filled = (row[place].strip() for row in rows if place < len(row) and row[place].strip())
    return tuple(cell[:_LENGTH_OF_A_SAMPLE] for cell in islice(filled, _SAMPLES))


def _item_columns(value: AnyMapping[str, Any]) -> list[str]:
    """Return the names and patterns of the columns with marks."""
    items = value.get("items")
    if not isinstance(items, dict):
        return []
    return [str(each) for each in _list_of(items.get("columns"))]


def _list_of(value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    return []


def _dict_of(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return dict(value)
    return {}
