"""A mapping says which column of a table is which field of a record.

type: course_record               # or map a column to the field type
columns: {学号: student_id, 备注: null}   # null: the import leaves the column out
constants: {timestamp: "2026-07-03T17:00:00+08:00"}
values: {difficulty: {高级: advanced}}    # the value that a cell stands for
date_formats: ["%Y/%m/%d", excel] # without a format, dates are ISO 8601; excel: days as Excel counts them, 45291.625
time_zone: Asia/Shanghai          # of dates that name none; without it, they are UTC
decimal: ","                      # 85,5 is a number and 85.5 is none; without it, the other way round
list_separator: ";"
delimiter: ","                    # detected if it is not given
encoding: gb18030                 # detected if it is not given
ignore_other_columns: true        # without it, a column that is not named here is an error
changed_at: import                # the file is the newest state, also where its timestamps are earlier than before
sheets: [Term 1, Term 2]          # of a workbook; without it, each sheet that has the columns

A wide table has a column for each item, and a row for each student. Each cell of these columns is an attempt:

type: attempt_record
columns: {学号: student_id}
constants: {timestamp: "2026-07-03"}
items:
  columns: ["Q*", Essay]          # names, or patterns of names
  item_id: "midterm/{column}"     # also {sheet}; without it, the name of the column
  ids: {Essay: essay-3}           # by column, where the ids are others
  scale: 10                       # points for an answer that is all right; or by column: {Q1: 5, Essay: 20}
  not_tried: ["-", absent]        # beside empty cells
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
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import ChangeTime
from edugraph_common.contracts.records import DATA_OF_TYPE, ONE_OF, RecordType
from edugraph_common.sources.ndjson import MalformedFile

ENVELOPE = ("type", "timestamp", "record_id", "withdrawn", "consent", "changed_at")
EXCEL = "excel"
_DELIMITERS = set(string.punctuation + "\t |") - set("\"'\\")


def _text(value: object) -> object:
    """Return as text what YAML read as a date or a number: a table holds only text."""
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


class Items(ContractModel):
    """Which columns of a wide table are items, and what their cells mean."""

    columns: tuple[str, ...] = Field(min_length=1)
    item_id: str = Field(default="{column}", min_length=1)
    ids: dict[str, str] = {}
    scale: Points | dict[str, Points] | None = None
    not_tried: tuple[Annotated[str, BeforeValidator(_text)], ...] = ()
    not_students: tuple[Annotated[str, BeforeValidator(_text)], ...] = ()
    one_attempt: bool = False

    @field_validator("item_id")
    @classmethod
    def _names_the_column(cls, value: str) -> str:
        left = value.replace("{sheet}", "")
        if "{column}" not in left or set(left.replace("{column}", "")) & set("{}"):
            raise ValueError("needs {column}, may have {sheet}, and no other braces")
        return value

    def has(self, column: str) -> bool:
        """Say whether a column is an item. A name counts as it stands before it counts as a pattern."""
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
        """Take `date_format` for one format, `date_formats` for several."""
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
                # A date that does not match is a wrong row; a format that Python cannot read is a wrong mapping.
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
    """Read a mapping file, YAML or JSON. Raises MalformedFile, with one sentence that says what is wrong."""
    try:
        return Mapping.model_validate(yaml.safe_load(text))
    except yaml.MarkedYAMLError as error:
        where = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise MalformedFile(f"the mapping is not valid YAML{where}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise MalformedFile("the mapping is not valid YAML in UTF-8") from None
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        # A sentence of ours may begin with what the mapping says, which is repeated as it is written there.
        message = detail["msg"].removeprefix("Value error, ")
        told = message if message != detail["msg"] else message[0].lower() + message[1:]
        raise MalformedFile(f"the mapping cannot be used: {where + ': ' if where else ''}{told}") from None


def _refuse(verb: str, names: Sequence[str], subject: str) -> None:
    if names:
        raise ValueError(f"{subject} {verb} {', '.join(names)}")
