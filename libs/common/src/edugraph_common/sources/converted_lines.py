"""Lines into which the split converts a file: rows of tables, or points of curricula.

Each line is a JSON object with the number of its `row`, and with its `sheet`, which is a part of the file of a
curriculum. A line with `left_out` is not a learning record, and a line with `wrong` is a malformed row. table_rows.py
and curriculum.py show all forms.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal
from edugraph_common.sources.json_source import decode_json
from edugraph_common.sources.rows import (
    Content,
    NotRelevant,
    as_invalid_record,
    check_timestamp,
    make_reject,
)


def read_converted_line(
    line: int,
    raw: bytes,
    record_of: Callable[[dict[str, Any]], Record | Withdrawal],
    latest: datetime | None,
) -> Content:
    """Return the content of a line. `line` is the number of the line in this text.

    A reject has the number of the row in its sheet. A record whose timestamp is after `latest` is a reject as well.
    """
    value: dict[str, Any] = {"row": line}
    row: Content
    try:
        value = decode_json(raw)
        if "left_out" in value:
            row = NotRelevant(value["left_out"])
        elif "wrong" in value:
            problem = InvalidRecord(*value["wrong"])
            row = make_reject(value["row"], value.get("raw", "").encode(), problem)
        else:
            row = check_timestamp(record_of(value), latest)
    except Exception as fault:  # noqa: BLE001 - the boundary of the row
        row = make_reject(value["row"], raw, as_invalid_record(fault))
    if isinstance(row, Reject):
        row = row.model_copy(update={"sheet": value.get("sheet")})
    return row
