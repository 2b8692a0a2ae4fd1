"""Mappings: they assign the columns of a table to the fields of a record.

type: course_record               # or map a column to the field type
columns: {学号: student_id, 备注: null}   # null: the import leaves the column out
constants: {timestamp: "2026-07-03T17:00:00+08:00"}
values: {difficulty: {高级: advanced}}    # the value that a cell stands for
date_formats: ["%Y/%m/%d", excel] # without a format, dates are ISO 8601; excel: days as Excel counts them, 45291.625
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
  item_id: "midterm/{column}"     # also {sheet}; without it, the name of the column
  ids: {Essay: essay-3}           # ids of columns that do not follow the pattern
  scale: 10                       # points for an answer that is all right; or by column: {Q1: 5, Essay: 20}, never ?
  not_tried: ["-", absent]        # in addition to empty cells
  one_attempt: true               # a later file's mark replaces an earlier one; without it, it is a second try
  not_students: [mean, 平均]      # in the place of an id, in whatever case: rows of all students together

Without a scale the cells say whether the answer was right: 1, 0, true, false, or `values: {correct: {√: true}}`.
"""

import codecs
import string
from collections.abc import Sequence
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, field_validator, model_validator

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import ChangeTime
from edugraph_common.contracts.records import DATA_OF_TYPE, ONE_OF, RecordType, shorten
from edugraph_common.sources.ndjson import MalformedFile

ENVELOPE = ("type", "timestamp", "record_id", "withdrawn", "consent", "changed_at")
EXCEL = "excel"
# A suggested mapping has it where the file does not say how many points an item has. No import takes it.
UNKNOWN_POINTS = "?"
_DELIMITERS = set(string.punctuation + "\t |") - set("\"'\\")


def _text(value: object) -> object:
    """Return a value as text. YAML reads some texts as dates or numbers, but a table holds only text."""
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _texts(value: object) -> object:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else value


Constant = Annotated[str | bool | list[str], BeforeValidator(_text)]
Cells = Annotated[dict[str, Constant], BeforeValidator(_texts)]


ITEM_FIELDS = frozenset({"record_id", "item_id", "item_title", "correct", "score"})
"""What differs between the attempts of one row of a wide table, so that no column or constant may give it."""

Points = Annotated[float, Field(gt=0, le=1_000_000)]
_POINTS_BY_COLUMN = TypeAdapter(dict[str, Points])


class Items(ContractModel):
    """The columns of a wide table that are items, and the meaning of their cells."""

    columns: tuple[str, ...] = Field(min_length=1)
    item_id: str = Field(default="{column}", min_length=1)
    ids: dict[str, str] = {}
    scale: Points | dict[str, Points] | None = None
    not_tried: tuple[Annotated[str, BeforeValidator(_text)], ...] = ()
    not_students: tuple[Annotated[str, BeforeValidator(_text)], ...] = ()
    one_attempt: bool = False

    @field_validator("scale", mode="before")
    @classmethod
    def _has_points(cls, value: object) -> object:
        by_column = value if isinstance(value, dict) else {"each item": value}
        unknown = [str(column) for column, points in by_column.items() if points == UNKNOWN_POINTS]
        if unknown:
            names = shorten(", ".join(unknown))
            raise ValueError(f"say how many points a right answer has, in place of the ? of {names}")
        return value

    @field_validator("item_id")
    @classmethod
    def _names_the_column(cls, value: str) -> str:
        left = value.replace("{sheet}", "")
        if "{column}" not in left or set(left.replace("{column}", "")) & set("{}"):
            raise ValueError("needs {column}, may have {sheet}, and no other braces")
        return value

    def has(self, column: str) -> bool:
        """Return whether a column is an item. A name is compared literally first, then as a pattern."""
        return any(column == name or fnmatchcase(column, name) for name in self.columns)

    def id_of(self, column: str, sheet: str | None) -> str:
        return self.ids.get(column) or self.item_id.replace("{sheet}", sheet or "").replace("{column}", column)

    def points_of(self, column: str) -> float | None:
        """Return the points for an answer to this item that is all right. None where cells say right or wrong."""
        return self.scale.get(column) if isinstance(self.scale, dict) else self.scale


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
            return ZoneInfo(value).key if value is not None else None
        except (OSError, ValueError, KeyError):
            raise ValueError(f"{value} is no known time zone; use a name such as Asia/Shanghai") from None

    @field_validator("date_formats")
    @classmethod
    def _readable(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for date_format in formats:
            if date_format == EXCEL:
                continue
            try:
                datetime.strptime("", date_format)  # noqa: DTZ007 - nothing is read
            except ValueError as error:
                # A date that does not match only makes a row wrong. A format that Python cannot read is a wrong
                # mapping.
                if "does not match" not in str(error):
                    raise ValueError(f"{date_format} is no date format ({error})") from None
        return formats

    @model_validator(mode="after")
    def _fits_the_type(self) -> Self:
        given = self.fields
        data_models = [DATA_OF_TYPE[self.type]] if self.type else DATA_OF_TYPE.values()
        allowed = {*ENVELOPE, *(name for data in data_models for name in data.model_fields)}
        _refuse("has no field named", sorted({*given, *self.values} - allowed), self.type or "a record")
        _refuse("gets more than one column for", sorted({f for f in given if given.count(f) > 1}), "the mapping")
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
            _refuse("gives by items what a column or constant gives too:", sorted(ITEM_FIELDS & {*given}), "it")
            required -= ITEM_FIELDS
        _refuse("needs", sorted(required - set(given)), self.type or "a record")
        return self

    @property
    def fields(self) -> list[str]:
        """Return all fields that get a value, from columns and constants."""
        return [*(field for field in self.columns.values() if field), *self.constants]


def parse_mapping(text: str | bytes) -> Mapping:
    """Return the mapping in a YAML or JSON text. Raises MalformedFile with a sentence that says what is wrong."""
    value = _load(text)
    try:
        return Mapping.model_validate(value)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        # Our sentence may begin with a text of the mapping, which must be quoted unchanged.
        message = detail["msg"].removeprefix("Value error, ")
        told = message if message != detail["msg"] else message[0].lower() + message[1:]
        raise MalformedFile(f"the mapping cannot be used: {where + ': ' if where else ''}{told}") from None


def with_points(text: str, points: str) -> str:
    """Return the text of a mapping with these points of its items: a JSON object of numbers by column.

    Raises MalformedFile, with one sentence that says what is wrong.
    """
    try:
        given = _POINTS_BY_COLUMN.validate_json(points)
    except ValidationError:
        raise MalformedFile("the points are not a JSON object of numbers above 0, by column") from None
    value = _load(text)
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(items, dict):
        raise MalformedFile("the mapping has no items, so no column of it has points")
    before = items.get("scale")
    scale = before if isinstance(before, dict) else {}
    whole = {column: int(number) if number.is_integer() else number for column, number in given.items()}
    items["scale"] = {**scale, **whole}
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False)


def _load(text: str | bytes) -> Any:
    """Return what YAML or JSON says. Raises MalformedFile."""
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        where = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise MalformedFile(f"the mapping is not valid YAML{where}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise MalformedFile("the mapping is not valid YAML in UTF-8") from None


def _refuse(verb: str, names: Sequence[str], subject: str) -> None:
    if names:
        raise ValueError(f"{subject} {verb} {', '.join(names)}")
