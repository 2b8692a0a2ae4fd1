"""A source whose rows are JSON: its layout says where they are, its reader what they mean."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from edugraph_common.contracts.records import InvalidRecord, Record, shorten
from edugraph_common.sources.chunking import Piece
from edugraph_common.sources.layouts import Lines, Values
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
    """`read` raises InvalidRecord."""

    layout: Lines | Values
    read: Callable[[Any], Record | NotRelevant]
    decode: Callable[[bytes], Any] = decoded

    def pieces(self, chunks: Iterable[bytes], rows_each: int) -> Iterator[Piece]:
        return self.layout.pieces(chunks, rows_each)

    def rows(self, text: bytes, first_line: int) -> Iterator[Row]:
        for line, raw in self.layout.raw_rows(text, first_line):
            try:
                yield line, self.read(self.decode(raw))
            except InvalidRecord as problem:
                yield line, rejected(line, raw, problem)
