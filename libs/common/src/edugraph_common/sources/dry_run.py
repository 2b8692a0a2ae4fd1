"""What an import would do, without doing it."""

from collections import Counter
from typing import IO

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.messages import Compression, Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.read_plan import Reading, open_text
from edugraph_common.sources.source import NotRelevant

_ROWS_AT_A_TIME = 1_000


class DryRun(Frozen):
    """`valid`, `rejected` and `not_relevant` add up to `read`. `by_type`: of the valid ones."""

    reading: Reading
    read: int
    valid: int
    rejected: int
    by_type: dict[str, int]
    reasons: dict[str, int]
    not_relevant: dict[str, int]
    errors: tuple[Reject, ...]


def dry_run(
    file: IO[bytes],
    file_format: Format,
    mapping: Mapping | None = None,
    compression: Compression | None = None,
    shown: int = 20,
) -> DryRun:
    """The whole file is read once, as the import would; the first `shown` rejects are kept. Raises MalformedFile."""
    reading, chunks = open_text(file, file_format, compression, mapping)
    source, tally = reading.source, _Tally(shown)
    for piece in source.pieces(chunks, _ROWS_AT_A_TIME):
        for _, row in source.rows(piece.text, piece.first_line):
            tally.add(row)
    return tally.report(reading)


class _Tally:
    def __init__(self, shown: int) -> None:
        self._types, self._reasons, self._other = Counter[str](), Counter[str](), Counter[str]()
        self._errors: list[Reject] = []
        self._shown = shown

    def add(self, row: Record | Reject | NotRelevant) -> None:
        if isinstance(row, Record):
            self._types[row.type] += 1
        elif isinstance(row, NotRelevant):
            self._other[row.name] += 1
        else:
            self._reasons[row.reason] += 1
            if len(self._errors) < self._shown:
                self._errors.append(row)

    def report(self, reading: Reading) -> DryRun:
        valid, rejected = self._types.total(), self._reasons.total()
        return DryRun(
            reading=reading,
            read=valid + rejected + self._other.total(),
            valid=valid,
            rejected=rejected,
            by_type=dict(sorted(self._types.items())),
            reasons=dict(self._reasons.most_common()),
            not_relevant=dict(self._other.most_common()),
            errors=tuple(self._errors),
        )
