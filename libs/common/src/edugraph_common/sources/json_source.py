"""A source whose rows are JSON: its layout says where they are, its reader what they mean."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from edugraph_common.contracts.records import InvalidRecord, Record, shorten
from edugraph_common.sources.chunking import Piece
from edugraph_common.sources.layouts import Lines, Values
from edugraph_common.sources.row_faults import of_row
from edugraph_common.sources.rows import rejected
from edugraph_common.sources.source import NotRelevant, Row


def decoded(raw: bytes) -> Any:
    """Raises InvalidRecord."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        text = raw.decode(errors="replace")
        raise InvalidRecord("(line)", "one JSON object", shorten(text), "is not valid JSON") from None


@dataclass(frozen=True)
class JsonSource:
    """`read` raises InvalidRecord. `named`: the ids of the students in a decoded row; an empty one is none."""

    layout: Lines | Values
    read: Callable[[Any], Record | NotRelevant]
    named: Callable[[Any], Iterable[str]]
    decode: Callable[[bytes], Any] = decoded

    def pieces(self, chunks: Iterable[bytes], rows_each: int) -> Iterator[Piece]:
        return self.layout.pieces(chunks, rows_each)

    def rows(self, text: bytes, first_line: int) -> Iterator[Row]:
        for line, raw in self.layout.raw_rows(text, first_line):
            try:
                yield line, self.read(self.decode(raw))
            except Exception as fault:  # noqa: BLE001 - the boundary of the row
                yield line, rejected(line, raw, of_row(fault))

    def students(self, raw: bytes) -> frozenset[str]:
        return frozenset(self.named(self.decode(raw))) - {""}

    def blanked(self, text: bytes, chosen: Callable[[bytes], bool]) -> bytes:
        return self.layout.blanked(text, chosen)
