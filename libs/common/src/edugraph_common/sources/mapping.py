"""Mappings: they assign the columns of a table to the fields of a record.

type: course_record               # or map a column to the field type
columns: {学号: student_id, 备注: null}   # null: the import leaves the column out
                                  # several columns may be student_name or teacher_name: they are joined in this order
constants: {timestamp: "2026-07-03T17:00:00+08:00"}
values: {difficulty: {高级: advanced}}    # the value that a cell stands for
date_formats: ["%Y/%m/%d", excel] # without a format, dates are ISO 8601; excel: days as Excel counts them, 45291.625;
                                  # google forms: 2026/05/04 3:07:15 PM GMT+8
time_zone: Asia/Shanghai          # of dates that name none; without it, they are UTC
decimal: ","                      # 85,5 is a number and 85.5 is not; without it, 85.5 is a number and 85,5 is not
list_separator: ";"
delimiter: ","                    # detected if it is not given
encoding: gb18030                 # detected if it is not given
ignore_other_columns: true        # without it, a column that is not in the mapping is an error
changed_at: import                # the file is the newest state, also where its timestamps are earlier than before
sheets: [Term 1, Term 2]          # of a workbook; without it, each sheet that has the columns

A wide table has a column for each item, and a row for each student. Each cell of these columns is an attempt:

type: attempt_record
columns: {学号: student_id}
constants: {timestamp: "2026-07-03"}
items:
  columns: ["Q*", Essay]          # names, or patterns of names
  item_id: "midterm/{column}"     # also {sheet} and {course}; without it, the name of the column
  ids: {Essay: essay-3}           # ids of columns that do not follow the pattern; also with {course} and {sheet}
  scale: 10                       # points for an answer that is all right; or by column: {Q1: 5, Essay: 20}, never ?
  points_in: {Mark: Out of}       # in place of a scale: the column that has the points of each row
  not_tried: ["-", absent]        # in addition to empty cells, in whatever case
  not_tried_if: {Absent: ["yes"]}   # words of other columns: the row has no attempt
  one_attempt: true               # a later file's mark replaces an earlier one; without it, it is a second try
  not_students: [mean, 平均]      # in the place of an id or a name, in whatever case: rows of all students together

A table with one item column may map columns to item_id, item_title and record_id. Then `{column}` of the pattern is
the item_id of the row.

A cell such as 85 % or 7/10 states its own points. A word in `values: {score: {A: 0.95}}` is worth that share.
Without a scale the cells say whether the answer was right: 1, 0, true, false, or `values: {correct: {√: true}}`.
"""

import codecs
import re
import string
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.data_sources import SourceSettings
from edugraph_common.contracts.messages import ChangeTime
from edugraph_common.contracts.records import DATA_OF_TYPE, ONE_OF, RecordType, shorten
from edugraph_common.sources.ndjson import MalformedFile

ENVELOPE = ("type", "timestamp", "record_id", "withdrawn", "consent", "changed_at")
EXCEL = "excel"
GOOGLE = "google forms"
_TIMES = frozenset({"timestamp", "changed_at"})
_COURSE_FIELDS = ("course_id", "course_ids")
# A suggested mapping has it in place of a value that the file does not state. No import takes it.
UNKNOWN = "?"
_PLACEHOLDER = re.compile(r"\{(?:sheet|course|column)\}")
_LINE_BREAK = re.compile(r"\s*[\r\n]+\s*")
_DELIMITERS = set(string.punctuation + "\t |") - set("\"'\\")


def _text(value: object) -> object:
    """Return a value as text. YAML reads some texts as dates or numbers, but a table holds only text."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _texts(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): item for key, item in value.items()}
    return value


Constant = Annotated[str | bool | list[str], BeforeValidator(_text)]
Cells = Annotated[dict[str, Constant], BeforeValidator(_texts)]


ITEM_FIELDS = frozenset({"record_id", "item_id", "item_title", "correct", "score", "max_score"})
"""What differs between the attempts of one row of a wide table, so that no column or constant may give it."""
# A table may have the first name and the family name in columns of their own. They are joined in the mapping's order.
NAMES_IN_PARTS = frozenset({"student_name", "teacher_name"})
# With one attempt in a row, columns may give these.
_FIELDS_OF_ONE_ITEM = frozenset({"record_id", "item_id", "item_title"})

Points = Annotated[float, Field(gt=0, le=1_000_000)]
_POINTS_BY_COLUMN = TypeAdapter(dict[str, Points])


class Items(ContractModel):
    """The columns of a wide table that are items, and the meaning of their cells."""

    columns: tuple[str, ...] = Field(min_length=1)
    item_id: str = Field(default="{column}", min_length=1)
    ids: dict[str, str] = {}
    scale: Points | dict[str, Points] | None = None
    points_in: dict[str, str] = {}
    not_tried: tuple[Annotated[str, BeforeValidator(_text)], ...] = ()
    not_tried_if: dict[str, tuple[Annotated[str, BeforeValidator(_text)], ...]] = {}
    not_students: tuple[Annotated[str, BeforeValidator(_text)], ...] = ()
    one_attempt: bool = False

    @field_validator("scale", mode="before")
    @classmethod
    def _has_points(cls, value: object) -> object:
        by_column = {"each item": value}
        if isinstance(value, dict):
            by_column = value
        unknown = [str(column) for column, points in by_column.items() if points == UNKNOWN]
        if unknown:
            names = shorten(", ".join(unknown))
            raise ValueError(
                f"say how many points a right answer has, in place of the ? of {names}"
            )
        return value

    @field_validator("item_id")
    @classmethod
    def _names_the_column(cls, value: str) -> str:
        left = value.replace("{sheet}", "").replace("{course}", "")
        if "{column}" not in left or set(left.replace("{column}", "")) & set("{}"):
            raise ValueError("needs {column}, may have {sheet} and {course}, and no other braces")
        return value

    @field_validator("ids")
    @classmethod
    def _are_known(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = [
            column
            for column, item_id in value.items()
            if UNKNOWN in (item_id, item_id.rsplit("/")[-1])
        ]
        if unknown:
            raise ValueError(f"name the item of {shorten(', '.join(unknown))}, in place of the ?")
        return value

    @property
    def names_the_course(self) -> bool:
        """Whether an id of an item has the course in it."""
        return any("{course}" in pattern for pattern in (self.item_id, *self.ids.values()))

    @property
    def other_columns(self) -> set[str]:
        """The columns that are read beside the items: those with points, and those that say who was absent."""
        return {*self.points_in.values(), *self.not_tried_if}

    def has(self, column: str) -> bool:
        """Return whether a column is an item."""
        return is_named(column, self.columns)

    def id_of(
        self, column: str, sheet: str | None, course: str = "", own_id: str | None = None
    ) -> str:
        """Return the id of the item in a column. `own_id` is the id that the row states for its only item."""
        pattern = self.ids.get(column) or self.item_id
        name = own_id or one_line(column)
        parts = {"{sheet}": sheet or "", "{course}": course.strip(), "{column}": name.strip()}
        # One pass, because the name of a column may have braces, too.
        return _PLACEHOLDER.sub(lambda found: parts[found[0]], pattern)

    def points_of(self, column: str) -> float | None:
        """Return the points for an answer to this item that is all right. None where cells say right or wrong."""
        if isinstance(self.scale, dict):
            return self.scale.get(column)
        return self.scale


class Mapping(ContractModel):
    """A mapping file. It is stored as part of the read plan."""

    type: RecordType | None = None
    columns: Annotated[dict[str, str | None], BeforeValidator(_texts)] = Field(min_length=1)
    constants: dict[str, Constant] = {}
    values: dict[str, Cells] = {}
    date_formats: tuple[str, ...] = ()
    time_zone: str | None = None
    decimal: Literal[".", ","] = "."
    list_separator: str = Field(default=";", min_length=1)
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str | None = None
    ignore_other_columns: bool = False
    changed_at: ChangeTime = "record"
    sheets: tuple[Annotated[str, BeforeValidator(_text)], ...] = ()
    items: Items | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_format(cls, value: Any) -> Any:
        """Accept `date_format` for one format in place of `date_formats`."""
        if isinstance(value, dict) and "date_format" in value:
            one = value["date_format"]
            value = {key: item for key, item in value.items() if key != "date_format"}
            value.setdefault("date_formats", [one])
        return value

    @field_validator("delimiter")
    @classmethod
    def _one_byte(cls, value: str | None) -> str | None:
        if value is not None and value not in _DELIMITERS:
            raise ValueError("is no delimiter; use one such as , ; | or a tab")
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"{value} is no known text encoding") from None
        return codecs.lookup(value).name.removesuffix("-sig")

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str | None) -> str | None:
        try:
            if value is None:
                return None
            return ZoneInfo(value).key
        except (OSError, ValueError, KeyError):
            raise ValueError(
                f"{value} is no known time zone; use a name such as Asia/Shanghai"
            ) from None

    @field_validator("date_formats")
    @classmethod
    def _readable(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for date_format in formats:
            if date_format == UNKNOWN:
                raise ValueError(
                    "say whether the day or the month comes first: %d/%m/%Y or %m/%d/%Y in place of ?"
                )
            if date_format in (EXCEL, GOOGLE):
                continue
            try:
                datetime.strptime("", date_format)  # noqa: DTZ007 - nothing is read
            except ValueError as error:
                # A date that does not match only makes a row wrong. A format that Python cannot read is a wrong
                # mapping.
                if "does not match" not in str(error):
                    raise ValueError(f"{date_format} is no date format ({error})") from None
        return formats

    @field_validator("constants")
    @classmethod
    def _ids_are_known(cls, value: dict[str, Constant]) -> dict[str, Constant]:
        # A time is checked in each row. An id may be any text, so this one would be taken.
        unknown = [
            field for field, given in value.items() if given == UNKNOWN and field not in _TIMES
        ]
        if unknown:
            raise ValueError(f"say what {', '.join(unknown)} is, in place of the ?")
        return value

    @field_validator("values")
    @classmethod
    def _have_meanings(cls, value: dict[str, Cells]) -> dict[str, Cells]:
        for field, meanings in value.items():
            unknown = [word for word, meaning in meanings.items() if meaning == UNKNOWN]
            if unknown:
                raise ValueError(
                    f"say which {field} is meant by {shorten(', '.join(unknown))}, in place of the ?"
                )
        return value

    @model_validator(mode="after")
    def _fits_the_type(self) -> Self:
        given = self.fields
        unknown = {*given, *self.values} - _fields_of(self.type)
        _refuse("has no field named", sorted(unknown), self.type or "a record")
        twice = {field for field in given if given.count(field) > 1}
        in_parts = NAMES_IN_PARTS - self.constants.keys()
        _refuse("gets more than one column for", sorted(twice - in_parts), "the mapping")
        if self.type is None and "type" not in given:
            raise ValueError("it names no type, and no column that holds one")
        required = {"timestamp"}
        if self.type:
            fields = DATA_OF_TYPE[self.type].model_fields
            required |= {name for name, field in fields.items() if field.is_required()}
        one_of = ONE_OF.get(self.type or "", ())
        if one_of and not set(one_of) & set(given):
            required.add(one_of[0])
        if self.items:
            if self.type != "attempt_record":
                raise ValueError("it has items, so its type must be attempt_record")
            has_one_item = len(self.items.columns) == 1 and not set("*?[") & set(
                self.items.columns[0]
            )
            differs = ITEM_FIELDS
            if has_one_item:
                differs = ITEM_FIELDS - _FIELDS_OF_ONE_ITEM
            _refuse(
                "gives by items what a column or constant gives too:",
                sorted(differs & {*given}),
                "it",
            )
            required -= ITEM_FIELDS
            if self.items.names_the_course:
                required.add("course_id")
        _refuse("needs", sorted(required - set(given)), self.type or "a record")
        return self

    @property
    def fields(self) -> list[str]:
        """Return all fields that get a value, from columns and constants."""
        return [*(field for field in self.columns.values() if field), *self.constants]


def _fields_of(record_type: RecordType | None) -> set[str]:
    """Return the names of the fields that a record of this type may have, or for None a record of any type."""
    data_models: Iterable[type[ContractModel]] = DATA_OF_TYPE.values()
    if record_type:
        data_models = [DATA_OF_TYPE[record_type]]
    fields = set(ENVELOPE)
    for data in data_models:
        fields.update(data.model_fields)
    return fields


def mapping_of_source(text: str | bytes, source: SourceSettings | None) -> Mapping:
    """Return a mapping of a table, which takes from its source the course and the time zone that it does not name.

    Raises MalformedFile with a sentence that says what is wrong.
    """
    if source is None:
        return parse_mapping(text)
    mapping = parse_mapping(text, source.default_course)
    if mapping.time_zone is None:
        return mapping.model_copy(update={"time_zone": source.time_zone})
    return mapping


def parse_mapping(text: str | bytes, default_course: str | None = None) -> Mapping:
    """Return the mapping in a YAML or JSON text. All rows of a table without a course are of `default_course`.

    Raises MalformedFile with a sentence that says what is wrong.
    """
    value = load_mapping(text)
    if default_course is not None:
        value = _with_course(value, default_course)
    try:
        return Mapping.model_validate(value)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        # Our sentence may begin with a text of the mapping, which must be quoted unchanged.
        message = detail["msg"].removeprefix("Value error, ")
        if message == detail["msg"]:
            message = message[0].lower() + message[1:]
        if where:
            message = f"{where}: {message}"
        raise MalformedFile(f"the mapping cannot be used: {message}") from None


def _with_course(value: Any, course_id: str) -> Any:
    """Return the content of a mapping with a course, unless it names one or its records have none.

    The `?` of a suggested mapping does not name a course. A table whose rows are of several types names its courses
    itself, because some types have none.
    """
    if not isinstance(value, dict) or "course_id" not in _fields_of_type(value.get("type")):
        return value
    columns = value.get("columns")
    constants = value.get("constants") or {}
    if not isinstance(columns, dict) or not isinstance(constants, dict):
        return value
    for field in _COURSE_FIELDS:
        if field in columns.values() or constants.get(field, UNKNOWN) != UNKNOWN:
            return value
    return {**value, "constants": {**constants, "course_id": course_id}}


def _fields_of_type(record_type: object) -> Iterable[str]:
    """Return the fields of the data of a type of records. A type that does not exist has none."""
    if not isinstance(record_type, str) or record_type not in DATA_OF_TYPE:
        return ()
    return DATA_OF_TYPE[record_type].model_fields


def with_points(text: str, points: str) -> str:
    """Return the text of a mapping with these points of its items: a JSON object of numbers by column.

    Raises MalformedFile, with one sentence that says what is wrong.
    """
    try:
        given = _POINTS_BY_COLUMN.validate_json(points)
    except ValidationError:
        raise MalformedFile(
            "the points are not a JSON object of numbers above 0, by column"
        ) from None
    value = load_mapping(text)
    items = None
    if isinstance(value, dict):
        items = value.get("items")
    if not isinstance(items, dict):
        raise MalformedFile("the mapping has no items, so no column of it has points")
    if not isinstance(items.get("scale"), dict):
        items["scale"] = {}
    for column, number in given.items():
        items["scale"][column] = number
        if number.is_integer():
            items["scale"][column] = int(number)
    return mapping_text(value)


def mapping_text(value: object) -> str:
    """Return a mapping as YAML. Raises MalformedFile for one that is nested too deeply.

    Some characters, such as the line breaks of other systems, become spaces unless they are escaped. Then all letters
    that are not ASCII are escaped, too, because YAML cannot be asked for less.
    """
    try:
        text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
        if yaml.load(text, yaml.CSafeLoader) == value:
            return text
        return yaml.safe_dump(value, sort_keys=False)
    except RecursionError:
        raise MalformedFile("the mapping is nested too deeply") from None


def load_mapping(text: str | bytes) -> Any:
    """Return what the text of a mapping says, which nobody has checked: YAML or JSON. Raises MalformedFile.

    The loader in C takes a tenth of the time, and refuses what is nested more than 1,000 deep.
    """
    try:
        return yaml.load(text, yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        where = ""
        if error.problem_mark:
            # An error at the end of the text stands in the line behind the last one.
            line_feeds = text.count("\n") if isinstance(text, str) else text.count(b"\n")
            last_line = line_feeds + 1
            where = f" (line {min(error.problem_mark.line + 1, last_line)})"
        raise MalformedFile(f"the mapping is not valid YAML{where}") from None
    except (yaml.YAMLError, UnicodeError, RecursionError):
        raise MalformedFile("the mapping is not valid YAML in UTF-8") from None


def _refuse(verb: str, names: Sequence[str], subject: str) -> None:
    if names:
        raise ValueError(f"{subject} {verb} {', '.join(names)}")


def is_named(column: str, names: Iterable[str]) -> bool:
    """Return whether one of these names or patterns means the column. A name is compared literally first."""
    return any(column == name or fnmatchcase(column, name) for name in names)


def one_line(column: str) -> str:
    """Return the name of a column without its line breaks, which spreadsheets have in narrow columns."""
    return _LINE_BREAK.sub(" ", column)


def may_be_a_first_name(text: str) -> bool:
    """Return whether a text such as "Max", which is also the label of a row, may be the first name of a student."""
    return text.isascii() and text.isalpha()
