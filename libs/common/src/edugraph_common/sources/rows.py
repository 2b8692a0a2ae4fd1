"""Records of a message, decoded already, become records and rejects: the same for importer and analyzer."""

from collections.abc import Iterable, Iterator
from typing import Any

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord, Record, as_json, escaped, parse_record
from edugraph_common.sources.row_faults import of_row

Line = int


def parse_rows(rows: Iterable[tuple[Line, Any]]) -> Iterator[tuple[Line, Record | Reject]]:
    """Each is either a record or a reject, and a wrong one never touches its neighbours."""
    for line, value in rows:
        try:
            yield line, parse_record(value)
        except Exception as fault:  # noqa: BLE001 - the boundary of the row
            yield line, rejected(line, escaped(as_json(value)).encode(), of_row(fault))


def rejected(line: Line, raw: bytes, problem: InvalidRecord) -> Reject:
    """`raw`: the row as it came."""
    return Reject(
        line=line,
        field=problem.field or "(no name)",  # JSON allows "" as the name of a field
        expected=problem.expected,
        found=problem.found,
        reason=problem.reason,
        raw=raw.decode(errors="replace"),
    )
