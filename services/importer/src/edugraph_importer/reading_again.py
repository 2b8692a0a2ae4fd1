"""Reading the texts of a course again that were read before, for example when the course's points are stated later.

The texts are read from the stored rows of their imports, which also have the consent of each record. A request names
the lines that are not read. So no text is copied, and an erasure has no other place to look.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.findings import Kind, kind_to_read
from edugraph_common.contracts.messages import (
    PACK_RECORDS,
    AnalysisBatch,
    ImportBatch,
    ImportJob,
    ReadAgain,
)
from edugraph_common.contracts.records import InvalidRecord, Record, as_json
from edugraph_common.runtime.shared_state.object_store import Blobs, Changed
from edugraph_common.runtime.shared_state.stored_jobs import load_job
from edugraph_common.sources import load_rows
from edugraph_common.sources.keyed import keyed
from edugraph_importer.analysis_requests import contents_in_message, order_of
from edugraph_importer.batching import count_batches, window
from edugraph_importer.graph import Graph, TextRead, batch_of_row, students

# One request reads at most this many texts. The next request begins with the texts whose findings are older.
MOST_TEXTS = 20_000
# An estimate reads at most this many texts of a kind, and this many bytes of them.
SAMPLED_TEXTS = 100
SAMPLED_BYTES = 262_144


@dataclass
class TextsToRead:
    """The requests to read texts again, course texts first. `records` has the texts of each kind."""

    requests: list[AnalysisBatch] = field(default_factory=list)
    records: dict[Kind, list[Record]] = field(default_factory=dict)
    not_kept: int = 0
    left: int = 0

    def counts(self) -> dict[str, int]:
        return {kind: len(records) for kind, records in self.records.items()}


def texts_to_read(graph: Graph, blobs: Blobs, message: ReadAgain) -> TextsToRead:
    """Return the texts of a course that were read before and may be read again.

    Texts of restricted students and of other sources than those of the request are left out.
    """
    read_before = graph.texts_read(message.course_id)
    found = TextsToRead(left=max(len(read_before) - MOST_TEXTS, 0))
    restricted = graph.restricted_students()
    requests = list[AnalysisBatch]()
    for batch, texts in _stored_batches(graph, blobs, read_before[:MOST_TEXTS], found):
        if batch.rows is None or batch.rows.source_name not in message.sources:
            continue
        wanted = {text.record_id: text.content_hash for text in texts}
        lines = dict[int, Record]()
        left_out = list[int]()
        for line, record in _records(blobs, batch):
            is_wanted = wanted.get(record.record_id) == record.content_hash
            if is_wanted:
                del wanted[record.record_id]
            if is_wanted and _may_be_read(record, restricted):
                lines[line] = record
            else:
                left_out.append(line)
        found.not_kept += len(wanted)
        requests += _requests(message, batch, lines, left_out)
        for record in lines.values():
            kind = kind_to_read(record)
            if kind is not None:
                found.records.setdefault(kind, []).append(record)
    requests.sort(key=lambda request: order_of(request.kind))
    for number, request in enumerate(requests):
        found.requests.append(request.model_copy(update={"batch": number}))
    return found


def sample(records: Sequence[Record]) -> tuple[dict[str, object], ...]:
    """Return some of the texts, evenly drawn, for an estimate."""
    step = -(-len(records) // SAMPLED_TEXTS)
    chosen = list[dict[str, object]]()
    size = 0
    for record in records[::step]:
        value = record.to_json()
        size += len(as_json(value))
        if chosen and size > SAMPLED_BYTES:
            break
        chosen.append(value)
    return tuple(chosen)


def _stored_batches(
    graph: Graph, blobs: Blobs, texts: Sequence[TextRead], found: TextsToRead
) -> Iterator[tuple[ImportBatch, list[TextRead]]]:
    """Yield the stored batches that hold texts, each with its texts. Texts without stored rows are counted."""
    jobs = graph.jobs_accepted({text.accepted for text in texts})
    places: dict[tuple[str, int], list[TextRead]] = defaultdict(list)
    for text in texts:
        # The job of a live batch or of an inline import has no stored rows.
        job_id = jobs.get(text.accepted, "")
        places[job_id, batch_of_row(text.row)].append(text)
    stored_jobs = {job_id: load_job(blobs, job_id) for job_id in jobs.values()}
    for (job_id, number), of_batch in sorted(places.items()):
        batch = None
        job = stored_jobs.get(job_id)
        if job is not None:
            batch = _stored_batch(blobs, job, number)
        if batch is None:
            found.not_kept += len(of_batch)
        else:
            yield batch, of_batch


def _stored_batch(blobs: Blobs, job: ImportJob, number: int) -> ImportBatch | None:
    """Return a batch of a job whose rows are stored, or None."""
    with suppress(Rejected, Changed):
        if number < count_batches(blobs, job):
            wanted = job.model_copy(update={"next_batch": number})
            return window(blobs, wanted, number + 1)[0]
    return None


def _records(blobs: Blobs, batch: ImportBatch) -> Iterator[tuple[int, Record]]:
    """Yield the records of a stored batch with their lines, as the analyzer reads them."""
    if batch.rows is None:
        return
    with suppress(Rejected):
        for line, row in load_rows(blobs, batch.rows, batch.accepted_at):
            if isinstance(row, Record):
                with suppress(InvalidRecord):
                    yield line, keyed(row, batch.rows.source_name)


def _may_be_read(record: Record, restricted: set[str]) -> bool:
    """Return whether no student of a record is restricted."""
    ids = {student_id for _, student_id in students(record)}
    return restricted.isdisjoint(ids)


def _requests(
    message: ReadAgain, batch: ImportBatch, lines: Mapping[int, Record], left_out: Sequence[int]
) -> Iterator[AnalysisBatch]:
    """Yield the request for each kind of text in a batch."""
    numbers: Counter[Kind] = Counter()
    for record in lines.values():
        kind = kind_to_read(record)
        if kind is not None:
            numbers[kind] += 1
    for kind, number in numbers.items():
        pack_records = None
        if kind == "knowledge_points":
            pack_records = contents_in_message(economy=message.economy)
        elif message.economy:
            pack_records = PACK_RECORDS
        yield AnalysisBatch(
            job_id=message.job_id,
            traceparent=message.traceparent,
            deadline=message.deadline,
            batch=0,
            kind=kind,
            rows=batch.rows,
            expected=number,
            accepted_at=batch.accepted_at,
            acceptance=batch.acceptance,
            pack_records=pack_records,
            left_out=tuple(left_out),
            economy=message.economy,
            again=True,
        )
