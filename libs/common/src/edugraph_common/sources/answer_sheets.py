"""Answer sheets of form tools, as Typeform and Tally send them by webhooks. A sheet is a table of one row.

The questions are columns with the names that they have in the form. Hidden fields and calculated values are columns
with their own names. The other columns are named as in the tables that these tools export, so that one mapping can
read a table and the sheets that come later. A question without an answer is a blank cell.

The forms of the bodies are those of the tools' documents:
https://www.typeform.com/developers/webhooks/example-payload/ and https://tally.so/help/webhooks
"""

from typing import Any

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal
from edugraph_common.sources.cells import Cell
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.table_rows import SheetRow, TableSource, table_lines

# The types of Tally's fields whose answer is several of their options.
_TAKES_SEVERAL = frozenset({"CHECKBOXES", "MULTI_SELECT", "RANKING"})
# Errors of Python for a value that has not the form of an answer sheet.
_OTHER_FORM = (AttributeError, KeyError, TypeError)

Columns = list[tuple[str, Cell]]
"""The name of each column and its cell, in the order of the form."""


def records_of_sheet(value: Any, mapping: Mapping) -> list[Record]:
    """Return the records of an answer sheet. `value` is the decoded body of a request.

    Raises MalformedFile for another body, and for a sheet that the mapping does not fit. Raises InvalidRecord for the
    first cell that cannot be read.
    """
    columns = columns_of(value)
    names = tuple(name for name, _ in columns)
    row = SheetRow(None, 1, tuple(cell for _, cell in columns))
    source = TableSource(mapping)
    records = []
    for line, text in enumerate(table_lines(names, [row], mapping), start=1):
        content = source.read(line, text)
        if isinstance(content, Reject):
            raise InvalidRecord(content.field, content.expected, content.found, content.reason)
        if isinstance(content, Withdrawal):
            raise MalformedFile("an answer sheet withdraws no record; map that column to null")
        if isinstance(content, Record):
            records.append(content)
    return records


def columns_of(value: Any) -> Columns:
    """Return the columns of an answer sheet. Raises MalformedFile for a body that is not one."""
    try:
        if "form_response" in value:
            return _typeform(value["form_response"])
        if value["eventType"] == "FORM_RESPONSE":
            return _tally(value["data"])
    except _OTHER_FORM:
        pass
    raise MalformedFile("the body is not an answer sheet of Typeform or Tally")


def _typeform(sheet: dict[str, Any]) -> Columns:
    """Return the columns of a sheet of Typeform. Raises the errors of `_OTHER_FORM`."""
    answers = {answer["field"]["id"]: answer for answer in sheet["answers"]}
    columns: Columns = [("#", _text(sheet["token"]))]
    for field in sheet["definition"]["fields"]:
        # The questions of a group stand within it.
        inner = (field.get("properties") or {}).get("fields")
        for question in inner or [field]:
            columns.append((_name(question["title"]), _typeform_cell(answers.get(question["id"]))))
    for name, hidden in (sheet.get("hidden") or {}).items():
        columns.append((_name(name), _text(hidden)))
    for variable in sheet.get("variables") or []:
        columns.append((_name(variable["key"]), _plain(variable[variable["type"]])))
    columns.append(("Submit Date (UTC)", _date_cell(sheet["submitted_at"])))
    return columns


def _date_cell(value: Any) -> Cell:
    """Return the cell of a date, which is blank if the sheet has an empty text there."""
    text = _text(value)
    if not text:
        return None
    return {"date": text}


def _typeform_cell(answer: dict[str, Any] | None) -> Cell:
    """Return the cell of an answer, whose `type` names the field with its value."""
    if answer is None:
        return None
    kind = answer["type"]
    given = answer[kind]
    match kind:
        case "choice":
            return _text(given.get("label") or given["other"])
        case "choices":
            chosen = list(given.get("labels", []))
            if given.get("other"):
                chosen.append(given["other"])
            return [_text(label) for label in chosen]
        case "date":
            return _date_cell(given)
        case "text" | "email" | "url" | "phone_number" | "number" | "boolean":
            return _plain(given)
        case _:
            return {"other": _text(kind)}


def _tally(sheet: dict[str, Any]) -> Columns:
    """Return the columns of a sheet of Tally. Raises the errors of `_OTHER_FORM`."""
    columns: Columns = [
        ("Submission ID", _text(sheet["responseId"])),
        ("Respondent ID", _text(sheet["respondentId"])),
        ("Submitted at", _date_cell(sheet["createdAt"])),
    ]
    for field in sheet["fields"]:
        columns.append((_name(field["label"]), _tally_cell(field)))
    return columns


def _tally_cell(field: dict[str, Any]) -> Cell:
    kind = field["type"]
    given = field["value"]
    if given is None:
        return None
    if "options" in field:
        texts = {option["id"]: option["text"] for option in field["options"]}
        chosen = [_text(texts[each]) for each in given]
        if kind in _TAKES_SEVERAL or len(chosen) > 1:
            return chosen
        return chosen[0] if chosen else None
    if kind == "INPUT_DATE":
        return _date_cell(given)
    if isinstance(given, str | bool | int | float):
        return _plain(given)
    return {"other": _text(kind)}


def _name(title: Any) -> str:
    """Return the name of a column as it is in the header of a table."""
    return _text(title).strip()


def _text(value: Any) -> str:
    """Return a text. Raises TypeError for another value."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _plain(value: Any) -> Cell:
    """Return a text, a number or a truth value. Raises TypeError for another value."""
    if not isinstance(value, str | bool | int | float):
        raise TypeError("not a plain value")
    return value
