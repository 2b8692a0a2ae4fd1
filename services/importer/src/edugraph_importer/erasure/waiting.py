"""Rows that waited on the broker while a person was erased.

No eraser reaches a message that waits. When it is read, the names of the person are known no more, and a tombstone
finds neither a name nor an id within a text. So nothing is kept of the wrong rows of such a message. A row that is
right has an id, which is compared with the tombstones.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from edugraph_common.contracts.records import Record, Withdrawal, parse_row
from edugraph_common.sources.live_statements import read_statement_row
from edugraph_common.sources.rows import read_values

# The gateway states when a job was accepted, and the importer when a person was erased. Their clocks may differ by
# this much: a gateway whose clock is ahead would else date a job that waited after the erasure. Servers that follow a
# time server differ by milliseconds. Jobs of the minute after an erasure lose values of wrong rows without need.
CLOCK_MARGIN = timedelta(minutes=1)


def has_waited(accepted_at: float | None, last_erasure: datetime | None) -> bool:
    """Return whether a person was erased since a job was accepted, or may have been.

    `accepted_at`: seconds since 1970, or None if it is not known.
    """
    if last_erasure is None:
        return False
    if accepted_at is None:
        return True
    return accepted_at <= (last_erasure + CLOCK_MARGIN).timestamp()


def letter_without_wrong_rows(body: bytes, last_erasure: datetime | None) -> bytes:
    """Return the body of a dead letter without the content of its wrong rows, if it waited during an erasure.

    Only messages of imports have rows that nobody has checked. A wrong row becomes {}, so that each row keeps its
    number, and is still wrong when the letter is sent again.
    """
    try:
        content = json.loads(body)
        emptied = _empty_wrong_rows(content, None, last_erasure)
    except (ValueError, RecursionError):
        return body  # No task can read rows in a body of another form.
    if not emptied:
        return body
    return json.dumps(content, ensure_ascii=False).encode()


def _empty_wrong_rows(value: Any, accepted_at: float | None, last_erasure: datetime | None) -> int:
    """Empty the wrong rows in each message of an import that waited. Return their number.

    The message of a batch may hold that of its whole job, and a live message has parts. `accepted_at` is that of the
    message around the value.
    """
    if isinstance(value, list):
        return sum(_empty_wrong_rows(each, accepted_at, last_erasure) for each in value)
    is_analysis = isinstance(value, dict) and "kind" in value
    if not isinstance(value, dict) or is_analysis:
        return 0
    accepted_at = value.get("accepted_at", accepted_at)
    if not isinstance(accepted_at, int | float):
        accepted_at = None
    emptied = 0
    for name, each in value.items():
        if name != "records":
            emptied += _empty_wrong_rows(each, accepted_at, last_erasure)
        elif isinstance(each, list) and has_waited(accepted_at, last_erasure):
            emptied += _empty(each, value.get("platforms"))
    return emptied


def _empty(rows: list[Any], platforms: Mapping[str, str] | None) -> int:
    """Empty the rows that are not records of an import or, with `platforms`, statements. Return their number."""
    read: Callable[[Any], Any] = parse_row
    if platforms is not None:
        read = partial(read_statement_row, platforms=platforms)
    emptied = 0
    for index, content in read_values(enumerate(rows), read):
        is_right = isinstance(content, Record | Withdrawal)
        if not is_right and rows[index]:
            rows[index] = {}
            emptied += 1
    return emptied
