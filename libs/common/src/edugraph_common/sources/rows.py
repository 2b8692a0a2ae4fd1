"""Rows: what a row of a source becomes, and how a wrong row is kept apart from its neighbours."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from billiard.exceptions import SoftTimeLimitExceeded

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal, as_json, escaped, iso, parse_row
from edugraph_common.sources.chunking import Chunk

RowT = TypeVar("RowT")

Line = int
"""The number of a line in its file, from 1."""

Span = tuple[int, int]
"""Where a row begins and ends in a text, without what separates it from the next row."""

# These exceptions may come between two lines of any code, and say nothing of the row that was being read.
_FAULTS_OF_THE_PROCESS = (MemoryError, SoftTimeLimitExceeded)
MAX_FUTURE = timedelta(days=1)
_NOT_A_LINE_END = re.compile(rb"[^\r\n]")


@dataclass(frozen=True)
class NotRelevant:
    """A row that is well formed, but holds nothing that the graph keeps. Such rows are counted by `name`."""

    name: str


Row = tuple[Line, Record | Withdrawal | Reject | NotRelevant]
"""The line of the file on which a row starts, and what the row is."""


class Source(Protocol):
    """A format of files. All texts are UTF-8; a row is in exactly one chunk, which is read without the others."""

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[Chunk]:
        """Cut a text, which comes in blocks of any size, into chunks of whole rows.

        Raises MalformedFile for what makes the whole file unusable.
        """
        ...

    def rows(self, text: bytes, first_line: Line, latest: datetime | None = None) -> Iterator[Row]:
        """Read the rows of a chunk. A wrong row becomes one Reject, whose `raw` is the row as it came.

        So does a record whose timestamp is after `latest`.
        """
        ...

    def students(self, raw: bytes) -> frozenset[str]:
        """Return the ids of the students that a row names, whatever else is wrong with it.

        Raises InvalidRecord for a row that cannot be decoded.
        """
        ...

    def blank(self, text: bytes, chosen: Callable[[bytes], bool]) -> bytes:
        """Put blanks in the place of the chosen rows of a chunk. All other bytes stay where they are."""
        ...


def latest_timestamp(accepted_at: float | None) -> datetime | None:
    """Return the latest timestamp that a record of a job may have, if the job says when it was accepted.

    The latest record of a node gives its values, so one that is dated into the far future would win for ever. A day
    is more than any two clocks and time zones differ.
    """
    return datetime.fromtimestamp(accepted_at, UTC) + MAX_FUTURE if accepted_at is not None else None


def check_timestamp(row: RowT, latest: datetime | None) -> RowT:
    """Return the row. Raises InvalidRecord for a record or a withdrawal that is dated or changed after `latest`."""
    if latest is None or not isinstance(row, Record | Withdrawal):
        return row
    for field, moment in (("timestamp", row.timestamp), ("changed_at", row.changed_at)):
        if moment is not None and moment > latest:
            reason = "lies in the future of the moment at which the job was accepted"
            raise InvalidRecord(field, f"at most {iso(latest)}", iso(moment), reason)
    return row


def parse_rows(
    rows: Iterable[tuple[Line, Any]], latest: datetime | None = None
) -> Iterator[tuple[Line, Record | Withdrawal | Reject]]:
    """Read the records of a message, which are decoded already. A wrong one never touches its neighbours."""
    for line, value in rows:
        try:
            yield line, check_timestamp(parse_row(value), latest)
        except Exception as fault:  # noqa: BLE001 - the boundary of the row
            yield line, make_reject(line, escaped(as_json(value)).encode(), as_invalid_record(fault))


def as_invalid_record(fault: Exception) -> InvalidRecord:
    """Say what is wrong with the row in which `fault` was raised.

    The text of the exception is left out, since it may hold the row's. An exception that is no fault of the row is
    raised again.
    """
    if isinstance(fault, InvalidRecord):
        return fault
    if isinstance(fault, _FAULTS_OF_THE_PROCESS):
        raise fault
    return InvalidRecord("(row)", "a row that can be read", "", f"cannot be read ({type(fault).__name__})")


def make_reject(line: Line, raw: bytes, problem: InvalidRecord) -> Reject:
    """Return the reject of a row. `raw` is the row as it came."""
    return Reject(
        line=line,
        field=problem.field or "(no name)",  # JSON allows "" as the name of a field
        expected=problem.expected,
        found=problem.found,
        reason=problem.reason,
        raw=raw.decode(errors="replace"),
    )


def blank_row(row: bytes) -> bytes:
    """Return as many blanks as the row has bytes, with its line ends."""
    return _NOT_A_LINE_END.sub(b" ", row)


def blank_spans(text: bytes, spans: Iterable[Span], fill: Callable[[bytes], bytes] = blank_row) -> bytes:
    """Put blanks in the place of rows, so that every other byte keeps its place and every line its number.

    Ranges of the file that are kept elsewhere, in an index or in a dead letter, stay right (docs/adr/0008). `fill`
    returns as many bytes as it is given.
    """
    spans = list(spans)
    if not spans:
        return text
    changed = bytearray(text)
    for begin, end in spans:
        changed[begin:end] = fill(text[begin:end])
    return bytes(changed)
