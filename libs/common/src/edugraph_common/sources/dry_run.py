"""A dry run: it reads a file like an import, without a server and without writing anything."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import IO

from pydantic import AliasChoices, Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import Compression, Format
from edugraph_common.contracts.outcomes import WITHDRAWAL, Reject
from edugraph_common.contracts.records import AttemptRecord, InvalidRecord, Record, Withdrawal
from edugraph_common.sources.cells import Cell, cell_text
from edugraph_common.sources.chunking import RawRow, RowChunk
from edugraph_common.sources.json_source import decode_json
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.marks import read_mark
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.platforms import UNKNOWN_PLATFORMS, Platforms
from edugraph_common.sources.read_plan import ReadPlan, open_text
from edugraph_common.sources.row_numbers import MOST_LOOKED_AT, are_row_numbers
from edugraph_common.sources.rows import Content, NotRelevant, Source, make_reject, read_rows

SHOWN_REJECTS = 20
SHOWN_STUDENTS = 3
_MOST_MARKS = 60
_LENGTH_OF_A_HASH = 64  # hexadecimal digits of SHA-256
_ROWS_OF_A_CHUNK, _ROWS_OF_A_CHUNK_OF_A_PART = 1_000, 100


class MarkAsRead(ContractModel):
    """The outcome of a mark in a table of marks. `points` is None if the cell itself states the share."""

    student: str
    column: str
    mark: str
    points: float | None
    percent: float


class DryRun(ContractModel):
    """The result of a dry run. `valid`, `rejected` and `not_relevant` add up to `read`.

    `by_type` counts the valid rows. `marks` are those of the first three students. `complete`: whether all rows of
    the file were read.
    """

    # The command line reads the answer of the gateway, which names the read plan `reading`.
    read_plan: ReadPlan = Field(
        serialization_alias="reading", validation_alias=AliasChoices("read_plan", "reading")
    )
    read: int
    valid: int
    rejected: int
    by_type: dict[str, int]
    reasons: dict[str, int]
    not_relevant: dict[str, int]
    errors: tuple[Reject, ...]
    marks: tuple[MarkAsRead, ...] = ()
    complete: bool = True


def dry_run(
    file: IO[bytes],
    file_format: Format,
    mapping: Mapping | None = None,
    compression: Compression | None = None,
    platforms: Platforms = UNKNOWN_PLATFORMS,
    *,
    shown_rejects: int = SHOWN_REJECTS,
    latest: datetime | None = None,
    is_part: bool = False,
    most_rows: int | None = None,
    check: Callable[[Record], None] = lambda _: None,
) -> DryRun:
    """Read a file once, like the import, and keep the first `shown_rejects` rejects.

    `latest`: the latest timestamp that a record may have. `is_part`: only the first part of a file is given, so its
    last chunk is left out. `platforms`: the prefixes of ids in statements and logs. `most_rows`: reading ends soon
    after this number of rows. `check` raises InvalidRecord for a record that the caller of the import may not write.

    Raises MalformedFile, also if the mapping uses row numbers as ids of records, because the next file with the same
    numbers would replace these records.
    """
    plan, text = open_text(file, file_format, compression, mapping, platforms)
    types = Counter[str]()
    reasons = Counter[str]()
    not_relevant = Counter[str]()
    errors: list[Reject] = []
    marks = _FirstMarks(mapping)
    given_ids: set[str] = set()
    source = plan.source
    complete = not is_part
    read = 0
    rows_of_a_chunk = _ROWS_OF_A_CHUNK_OF_A_PART if is_part else _ROWS_OF_A_CHUNK
    chunks = source.chunks(text, rows_of_a_chunk)
    for chunk in _without_cut(chunks) if is_part else chunks:
        if most_rows is not None and read >= most_rows:
            complete = False
            break
        read += len(chunk)
        for raw_row, row in _checked(source, chunk, latest, check):
            match row:
                case Record():
                    types[row.type] += 1
                    marks.add(raw_row.raw, row)
                    if len(given_ids) < MOST_LOOKED_AT and not _has_no_id_of_its_own(row):
                        given_ids.add(row.record_id)
                case Withdrawal():
                    types[WITHDRAWAL] += 1
                    given_ids.add(row.record_id)
                case NotRelevant():
                    not_relevant[row.name] += 1
                case Reject():
                    reasons[row.reason] += 1
                    if len(errors) < shown_rejects:
                        errors.append(row)
    _refuse_row_numbers(mapping, given_ids)
    valid = types.total()
    rejected = reasons.total()
    return DryRun(
        read_plan=plan,
        read=valid + rejected + not_relevant.total(),
        valid=valid,
        rejected=rejected,
        by_type=dict(sorted(types.items())),
        reasons=dict(reasons.most_common()),
        not_relevant=dict(not_relevant.most_common()),
        errors=tuple(errors),
        marks=tuple(marks.found),
        complete=complete,
    )


class _FirstMarks:
    """Collects the marks of the first students of a table of marks."""

    def __init__(self, mapping: Mapping | None) -> None:
        self.found: list[MarkAsRead] = []
        self._items = mapping.items if mapping else None
        self._students: set[str] = set()

    def add(self, raw: bytes, record: Record) -> None:
        """Add a mark. `raw` is its line in the text of `table_rows`."""
        if self._items is None or not isinstance(record.data, AttemptRecord):
            return
        outcome = record.data.outcome_thousandths
        if outcome is None:
            return
        student = record.data.student_id
        if student not in self._students and len(self._students) == SHOWN_STUDENTS:
            return
        self._students.add(student)
        line = decode_json(raw)
        column = line["column"]
        mark = cell_text(line["cells"][column]).strip()
        if len(self.found) < _MOST_MARKS:
            percent = outcome / 10
            points = self._points(column, mark, line.get("points"))
            self.found.append(
                MarkAsRead(
                    student=student, column=column, mark=mark, points=points, percent=percent
                )
            )

    def _points(self, column: str, mark: str, in_row: Cell) -> float | None:
        """Return the points with which a mark is compared, or None if the cell has a share or says right or wrong."""
        assert self._items is not None  # noqa: S101 - `add` looked
        read = read_mark(mark)
        if read is None or read.points is not None:
            return None
        if column in self._items.points_in:
            beside = read_mark(cell_text(in_row))
            if not beside:
                return None
            return beside.value
        return self._items.points_of(column)


def _checked(
    source: Source, chunk: RowChunk, latest: datetime | None, check: Callable[[Record], None]
) -> Iterator[tuple[RawRow, Content]]:
    """Yield each row of a chunk with what it is. A record that does not pass the check is a reject."""
    for raw_row, (line, row) in zip(chunk, read_rows(source, chunk, latest), strict=True):
        try:
            if isinstance(row, Record):
                check(row)
        except InvalidRecord as refused:
            yield raw_row, make_reject(line, raw_row.raw, refused)
        else:
            yield raw_row, row


def _has_no_id_of_its_own(record: Record) -> bool:
    """Return whether the id of a record is the hash of its content, because it has no id of its own."""
    return len(record.record_id) == _LENGTH_OF_A_HASH and record.record_id == record.content_hash


def _refuse_row_numbers(mapping: Mapping | None, given_ids: set[str]) -> None:
    """Raise MalformedFile if the mapping uses row numbers as ids of records."""
    columns = mapping.columns if mapping else {}
    for column, field in columns.items():
        if field == "record_id" and given_ids and are_row_numbers(column, given_ids):
            raise MalformedFile(
                f"the column {column} numbers the rows, which other files do too, so it cannot be the record_id: "
                f"leave record_id out (map {column} to null), or map a column whose values are unique over all files"
            )


def _without_cut(chunks: Iterable[RowChunk]) -> Iterator[RowChunk]:
    """Leave out the last chunk of a text that was cut off. Raises MalformedFile if it is the only chunk."""
    before: RowChunk | None = None
    try:
        for chunk in chunks:
            if before:
                yield before
            before = chunk
    except MalformedFile:
        # The text was cut within a packed frame, a character or a quoted cell. The chunk before it is complete.
        if before is None:
            raise
        yield before
