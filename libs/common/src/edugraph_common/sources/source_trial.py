"""A trial: it reads the first part of a file as an import of its source would, and writes nothing."""

import io
from collections.abc import Callable, Iterator
from datetime import datetime

from edugraph_common.contracts.api import NamedNodes
from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.data_sources import FORMATS_OF_KIND, DataSource
from edugraph_common.contracts.findings import kind_to_read
from edugraph_common.contracts.messages import CURRICULUM_FORMATS, TABLE_FORMATS, Format
from edugraph_common.contracts.records import (
    AttemptRecord,
    ItemRecord,
    PointRecord,
    Record,
    course_ids_of,
)
from edugraph_common.sources.compression import compression_of
from edugraph_common.sources.detection import HEAD_BYTES, chosen_format, detect_file
from edugraph_common.sources.dry_run import DryRun, dry_run
from edugraph_common.sources.keyed import keyed
from edugraph_common.sources.mapping import mapping_of_source
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.preview import unpacked

# As many rows take a fraction of a second of one processor.
_MOST_ROWS = 5_000
_STUDENT_FIELDS = ("student_id", "student_id_from", "student_id_to")


class SourceTrial(ContractModel):
    """The outcome that an import of a file would have. With `complete`, the report is about all rows of the file.

    `texts` is the number of records with a text that an analysis may read; it is 0 for a source whose texts are not
    analysed.
    """

    source: str
    format: Format
    report: DryRun
    texts: int
    named: NamedNodes


def try_source(
    source: DataSource,
    name: str,
    part: bytes,
    platforms: Platforms,
    latest: datetime,
    *,
    is_whole: bool,
    check: Callable[[Record], None],
    file_format: Format | None = None,
) -> SourceTrial:
    """Return what an import of the file for this source would do.

    `part` is the file, or its first part. `file_format` is detected if it is not given. `check` raises
    InvalidRecord for a record that the caller may not write.

    Raises MalformedFile for a file that the source does not take, or that cannot be read.
    """
    head = part[:HEAD_BYTES]
    formats = FORMATS_OF_KIND[source.kind]
    chosen = file_format
    if chosen is None and source.kind != "curriculum":
        detected = detect_file(name, head)
        chosen = chosen_format(detected, None, has_mapping=source.kind == "table")
    if chosen not in formats:
        advice = "say which of them the file is"
        if chosen:
            advice = f"the file is {chosen}"
        raise MalformedFile(
            f"the source {source.name} is of the kind {source.kind} and takes "
            f"{', '.join(sorted(formats))}; {advice}"
        )
    text, is_whole = unpacked(part, compression_of(head), is_whole=is_whole)
    if chosen in (*TABLE_FORMATS, *CURRICULUM_FORMATS) and not is_whole:
        raise MalformedFile(f"a file of the format {chosen} can only be tried as a whole")
    mapping = None
    if source.mapping is not None and chosen in FORMATS_OF_KIND["table"]:
        mapping = mapping_of_source(source.mapping.encode(), source)
    found = _Collector(source, check)
    report = dry_run(
        io.BytesIO(text),
        chosen,
        mapping,
        platforms=platforms,
        latest=latest,
        is_part=not is_whole,
        most_rows=_MOST_ROWS,
        check=found.add,
    )
    return SourceTrial(
        source=source.name,
        format=chosen,
        report=report,
        texts=found.texts,
        named=found.named(),
    )


class _Collector:
    """Collects what the valid records of a file name."""

    def __init__(self, source: DataSource, check: Callable[[Record], None]) -> None:
        self.texts = 0
        self._source = source
        self._check = check
        # Dictionaries, because they keep the order of the file.
        self._students: dict[str, None] = {}
        self._teachers: dict[str, None] = {}
        self._courses: dict[str, None] = {}
        self._points: dict[str, None] = {}
        self._titles: dict[str, str] = {}

    def add(self, record: Record) -> None:
        """Add a record. Raises InvalidRecord for one that the import would set aside."""
        keyed(record, self._source.name)
        self._check(record)
        data = record.data
        if self._source.analyse and kind_to_read(record) is not None:
            self.texts += 1
        for field in _STUDENT_FIELDS:
            student = getattr(data, field, None)
            if student:
                self._students[student] = None
        teacher = getattr(data, "teacher_id", None)
        if teacher:
            self._teachers[teacher] = None
        self._courses.update(dict.fromkeys(course_ids_of(record)))
        self._points.update(dict.fromkeys(_points_of(record)))
        if isinstance(data, AttemptRecord) and data.item_title:
            self._titles[data.item_id] = data.item_title
        if isinstance(data, ItemRecord) and data.title:
            self._titles[data.item_id] = data.title

    def named(self) -> NamedNodes:
        return NamedNodes(
            students=tuple(self._students),
            teachers=tuple(self._teachers),
            courses=tuple(self._courses),
            points=tuple(self._points),
            item_titles=self._titles,
        )


def _points_of(record: Record) -> Iterator[str]:
    """Yield the knowledge points that a record names: the id of a defined point, or else its name."""
    data = record.data
    if isinstance(data, PointRecord):
        point = data.point_id or data.name
        if point:
            yield point
        return
    yield from getattr(data, "knowledge_points", ())
