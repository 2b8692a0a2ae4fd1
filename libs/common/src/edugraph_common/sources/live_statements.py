"""Statements in messages. A row of a message has a statement and the students whom it names.

The students stand in the fields that records have for them, so an erasure, an export and a restriction find a
statement like a record, although a statement names its people in other places.
"""

from collections.abc import Mapping
from typing import Any

from edugraph_common.contracts.messages import STATEMENT_ROW
from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal, shorten
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.rows import NotRelevant
from edugraph_common.sources.xapi import people_of_statement, read_statement


def statement_row(statement: dict[str, Any], platforms: Platforms) -> dict[str, Any]:
    """Return the row of a message for a statement."""
    people = people_of_statement(statement, platforms)
    students = [{"student_id": student_id} for student_id in sorted(people.ids)]
    if people.ids:
        # Without any id all texts of the statement count as names, and they are in the row already.
        students += [{"student_name": name} for name in sorted(set(people.names))]
    return {"type": STATEMENT_ROW, "students": students, "data": statement}


def read_statement_row(row: Any, platforms: Mapping[str, str]) -> Record | Withdrawal | NotRelevant:
    """Return the content of a row of a message. `platforms` has the prefix of each platform.

    Raises InvalidRecord.
    """
    if not isinstance(row, dict) or "data" not in row:
        raise InvalidRecord("data", "a statement", shorten(row), "is missing")
    return read_statement(row["data"], Platforms(platforms))
