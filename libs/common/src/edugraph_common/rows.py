"""Rows of the blob store, or of a message, become records and rejects: the same for importer and analyzer."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from edugraph_common.blobs import Blobs
from edugraph_common.messages import ByteRange
from edugraph_common.ndjson import numbered_lines
from edugraph_common.outcomes import Reject
from edugraph_common.records import InvalidRecord, Record, parse_record, shorten

Line = int


def stored_rows(blobs: Blobs, rows: ByteRange) -> Iterator[tuple[Line, Any]]:
    """Raises Rejected when the blob is gone, Retryable when the store does not answer."""
    return numbered_lines(blobs.read(rows.source, rows.offset, rows.length), rows.first_line)


def parse_rows(rows: Iterable[tuple[Line, Any]]) -> Iterator[tuple[Line, Record | Reject]]:
    """Bytes or decoded values; each is either a record or a reject, and a wrong one never touches its neighbours."""
    for line, raw in rows:
        try:
            yield line, parse_record(_decoded(raw))
        except InvalidRecord as problem:
            yield line, _reject(line, raw, problem)


def _decoded(raw: Any) -> Any:
    if not isinstance(raw, bytes):
        return raw
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        text = raw.decode(errors="replace")
        raise InvalidRecord("(line)", "one JSON object", shorten(text), "is not valid JSON") from None


def _reject(line: Line, raw: Any, problem: InvalidRecord) -> Reject:
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else json.dumps(raw, ensure_ascii=False)
    return Reject(
        line=line,
        field=problem.field,
        expected=problem.expected,
        found=problem.found,
        reason=problem.reason,
        raw=text,
    )
