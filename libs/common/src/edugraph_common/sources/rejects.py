"""Rejects as files: in the source's own form, to be corrected and sent again, and as a table to be looked at."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator

from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import Reject

_TABLE = ("line", "field", "expected", "found", "reason", "raw")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rejects_as(file_format: Format, rejects: Iterable[Reject], header: str | None = None) -> Iterator[bytes]:
    """The rows as they came, under their header if it is a table; the import takes the file as it is.

    A table starts with a byte order mark, without which spreadsheets take UTF-8 for something else.
    """
    if file_format == "csv" and header is not None:
        yield codecs.BOM_UTF8 + header.encode() + b"\n"
    for reject in rejects:
        if reject.raw is not None:
            yield reject.raw.encode() + b"\n"


def rejects_table(rejects: Iterable[Reject]) -> Iterator[bytes]:
    """All that is known of each reject, as CSV. A cell that a spreadsheet would run as a formula is quoted."""
    yield codecs.BOM_UTF8 + _csv_row(_TABLE)
    for reject in rejects:
        yield _csv_row([_harmless(getattr(reject, name)) for name in _TABLE])


def _harmless(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv_row(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()
