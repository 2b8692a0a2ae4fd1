"""Where a CSV row ends, and what its cells are.

A quote opens a field only at its start, and a quoted field may hold line ends. Where a quote never closes properly,
the line it stands on is the wrong row, and reading goes on with the next line: it must not swallow its neighbours.
"""

import csv
import re

from edugraph_common.contracts.records import InvalidRecord, shorten
from edugraph_common.sources.ndjson import LONGEST_LINE


class CsvRows:
    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        cut = re.escape(delimiter).encode()
        quoted, plain = rb'"(?:[^"]++|"")*+"', rb'[^"\r\n' + cut + rb"][^\r\n" + cut + rb"]*+"
        field = rb"(?:" + quoted + rb"|" + plain + rb"|)"
        self._row = re.compile(field + rb"(?:" + cut + field + rb")*+\r?(?:\n|\Z)")
        self._open = re.compile(rb"(?:" + field + cut + rb')*+"(?:[^"]++|"")*+\Z')

    def end(self, text: bytes, start: int, final: bool) -> int:
        """A `RowEnd`: the same row whatever the chunks it came in."""
        at = text.find(b"\n", start)
        line = at + 1 if at >= 0 else len(text) if final else -1
        if line < 0 or text.find(b'"', start, line) < 0:
            return line
        found = self._row.match(text, start)
        if found and found.end() - start <= LONGEST_LINE and (final or text.endswith(b"\n", start, found.end())):
            return found.end()
        more = not final and len(text) - start <= LONGEST_LINE and (found or self._open.match(text, start))
        return -1 if more else line

    def cells(self, row: str) -> list[str]:
        """Raises InvalidRecord."""
        try:
            return next(csv.reader((row,), delimiter=self._delimiter, strict=True), [])
        except csv.Error as error:
            raise InvalidRecord("(row)", "one row of CSV", shorten(row), f"is not valid CSV: {error}") from None
