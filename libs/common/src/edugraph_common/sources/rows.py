"""Rows of a source: the content of a row, and the handling of wrong rows without affecting their neighbours."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Protocol, TypeVar

from billiard.exceptions import SoftTimeLimitExceeded

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import (
    InvalidRecord,
    Record,
    Withdrawal,
    as_json,
    escaped,
    iso,
    parse_row,
)
from edugraph_common.sources.chunking import RawRow, RowChunk
from edugraph_common.sources.ndjson import MAX_ROW_BYTES
from edugraph_common.sources.students import People

RowT = TypeVar("RowT")
ReadT = TypeVar("ReadT")

Line = int
"""The number of a line in its file, from 1."""

# These exceptions may occur anywhere in the code, independently of the row that is being read.
_FAULTS_OF_THE_PROCESS = (MemoryError, SoftTimeLimitExceeded)
MAX_FUTURE = timedelta(days=1)
_ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class NotRelevant:
    """A well-formed row without data for the graph. Such rows are counted by `name`."""

    name: str


Content = Record | Withdrawal | Reject | NotRelevant
"""What a row is."""

Row = tuple[Line, Content]
"""The line of the file on which a row starts, and what the row is."""


class Source(Protocol):
    """A format of files. All texts are UTF-8, but a row may contain invalid bytes."""

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[RowChunk]:
        """Cut a text, which comes in blocks of any size, into chunks of its rows. Blank rows are left out.

        Raises MalformedFile for an error that makes the whole file unusable.
        """
        ...

    def read(self, line: Line, raw: bytes, latest: datetime | None = None) -> Content:
        """Return the content of a row. A wrong row is a Reject, whose `raw` is the row as it was sent.

        A record whose timestamp is after `latest` is a Reject as well.
        """
        ...

    def people(self, raw: bytes) -> People:
        """Return the students that a row names, whatever else is wrong with it.

        Raises InvalidRecord for a row that cannot be decoded.
        """
        ...


def cut_rows(source: Source, blocks: Iterable[bytes]) -> Iterator[RawRow]:
    """Cut a text into its rows. Raises MalformedFile."""
    return chain.from_iterable(source.chunks(blocks, _ROWS_AT_ONCE))


def read_rows(
    source: Source, rows: Iterable[RawRow], latest: datetime | None = None
) -> Iterator[Row]:
    """Yield the contents of rows. A row that is too long is rejected."""
    for row in rows:
        if row.is_cut:
            yield row.line, make_reject(row.line, row.raw, too_long())
        else:
            yield row.line, source.read(row.line, row.raw, latest)


def too_long() -> InvalidRecord:
    """Return the error of a row that is too long."""
    return InvalidRecord(
        "(row)", f"at most {MAX_ROW_BYTES:,} bytes", "more", "is longer than a row may be"
    )


def latest_timestamp(accepted_at: float | None) -> datetime | None:
    """Return the latest timestamp that a record of a job may have, or None if the time of acceptance is not known.

    The latest record of a node gives its values, so a record with a date in the far future would win for ever. The
    difference of clocks and time zones is always less than the allowed day.
    """
    if accepted_at is None:
        return None
    return datetime.fromtimestamp(accepted_at, UTC) + MAX_FUTURE


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
    """Yield the contents of decoded records of a message. A wrong record does not affect its neighbours."""
    return read_values(rows, parse_row, latest)


def read_values(
    rows: Iterable[tuple[Line, Any]], read: Callable[[Any], ReadT], latest: datetime | None = None
) -> Iterator[tuple[Line, ReadT | Reject]]:
    """Yield what `read` returns for each decoded row, or its reject. `read` raises InvalidRecord."""
    for line, value in rows:
        try:
            yield line, check_timestamp(read(value), latest)
        except Exception as fault:  # noqa: BLE001 - the boundary of the row
            yield (
                line,
                make_reject(line, escaped(as_json(value)).encode(), as_invalid_record(fault)),
            )


def as_invalid_record(fault: Exception) -> InvalidRecord:
    """Return the error of the row in which `fault` was raised.

    The text of the exception is left out, since it may contain the text of the row. An exception that is not the
    row's fault is raised again.
    """
    if isinstance(fault, InvalidRecord):
        return fault
    if isinstance(fault, _FAULTS_OF_THE_PROCESS):
        raise fault
    return InvalidRecord(
        "(row)", "a row that can be read", "", f"cannot be read ({type(fault).__name__})"
    )


def make_reject(line: Line, raw: bytes, problem: InvalidRecord) -> Reject:
    """Return the reject of a row. `raw` is the row as it was sent."""
    return Reject(
        line=line,
        field=problem.field or "(no name)",  # JSON allows "" as the name of a field
        expected=problem.expected,
        found=problem.found,
        reason=problem.reason,
        raw=raw.decode(errors="replace"),
    )
