"""Records of a message, decoded already, become records and rejects: the same for importer and analyzer."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord, Record, parse_record

Line = int


def parse_rows(rows: Iterable[tuple[Line, Any]]) -> Iterator[tuple[Line, Record | Reject]]:
    """Each is either a record or a reject, and a wrong one never touches its neighbours."""
    for line, value in rows:
        try:
            yield line, parse_record(value)
        except InvalidRecord as problem:
            yield line, rejected(line, json.dumps(value, ensure_ascii=False).encode(), problem)


def rejected(line: Line, raw: bytes, problem: InvalidRecord) -> Reject:
    """`raw`: the row as it came."""
    return Reject(
        line=line,
        field=problem.field,
        expected=problem.expected,
        found=problem.found,
        reason=problem.reason,
        raw=raw.decode(errors="replace"),
    )
