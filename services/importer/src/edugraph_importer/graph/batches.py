"""One batch of records, in one transaction, once: its ledger row is written with it and answers for it later."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

import neo4j

from edugraph_common.contracts.outcomes import BATCH_SHOWN_ERRORS, BatchOutcome, Reject
from edugraph_common.contracts.records import Record
from edugraph_importer.graph import claims, orphans, replacing, stated
from edugraph_importer.graph.book import Book
from edugraph_importer.graph.sorting import Forgotten, Sorted, known_records, sort_out
from edugraph_importer.graph.statements import CYPHER
from edugraph_importer.graph.writing import open_book, write_rows, write_states


@dataclass(frozen=True)
class RecordBatch:
    """`records`: (line, record). `rejects`: lines that were no valid records. `read`: lines, both together."""

    job_id: str
    batch: int
    records: Sequence[tuple[int, Record]]
    rejects: Sequence[Reject]
    read: int

    @property
    def id(self) -> str:
        return f"{self.job_id}:{self.batch}"


def write(tx: neo4j.ManagedTransaction, batch: RecordBatch) -> BatchOutcome:
    earlier = tx.run(CYPHER["batch_outcome"], id=batch.id).single()
    if earlier is not None:
        return BatchOutcome.model_validate_json(earlier["outcome"])
    start = time.monotonic()
    records = [record for _, record in batch.records]
    forgotten = Forgotten(tx, records)
    found = sort_out(batch.records, known_records(tx, records), forgotten)
    written = write_records(tx, found, forgotten)
    outcome = _outcome(batch, found, written, time.monotonic() - start)
    _write_ledger(tx, batch, outcome, found.rejects)
    return outcome


def write_records(tx: neo4j.ManagedTransaction, found: Sorted, forgotten: Forgotten) -> Counter[str]:
    """How many records of each type were written; what came before is not among them."""
    old = replacing.read(tx, found.replaced)
    nodes = {node for record in found.records for node in stated.nodes(record)}
    planned = claims.plan(tx, [], old.said)
    draft = _drafted(found)
    book = open_book(tx, nodes | old.nodes | {*planned.nodes()}, found.pairs)
    forgotten.check()
    replacing.take_back(tx, book, old)
    claims.write(tx, planned)
    new_states = book.take(draft)
    write_rows(tx, draft)
    write_states(tx, book)
    orphans.delete(tx, old.nodes)
    written = Counter[str](record.type for record in (*found.superseded, *map(itemgetter(0), found.new)))
    return written + Counter(course_record=new_states)


def _drafted(found: Sorted) -> Book:
    draft = Book.draft()
    for record, content_hash in found.new:
        draft.add(record, content_hash)
    for record, data in found.states:
        draft.add_state(record, data)
    return draft


def _outcome(batch: RecordBatch, found: Sorted, by_type: Counter[str], seconds: float) -> BatchOutcome:
    written = by_type.total()
    rejects = sorted([*batch.rejects, *found.rejects], key=lambda reject: reject.line)
    return BatchOutcome(
        job_id=batch.job_id,
        batch=batch.batch,
        state="written",
        read=batch.read,
        written=written,
        unchanged=len(batch.records) - len(found.rejects) - written,
        rejected=len(rejects),
        by_type=dict(sorted(by_type.items())),
        reasons=dict(sorted(Counter(reject.reason for reject in rejects).items())),
        errors=tuple(reject.model_copy(update={"raw": None}) for reject in rejects[:BATCH_SHOWN_ERRORS]),
        seconds=round(seconds, 6),
    )


def _write_ledger(
    tx: neo4j.ManagedTransaction, batch: RecordBatch, outcome: BatchOutcome, set_aside: Iterable[Reject]
) -> None:
    """A job's node is made by the first of its batches, last of all: nobody waits for it with work to do."""
    tx.run(
        CYPHER["write_batch_outcome"],
        id=batch.id,
        job_id=batch.job_id,
        batch=batch.batch,
        outcome=outcome.model_dump_json(),
        set_aside=json.dumps([reject.model_dump() for reject in set_aside], ensure_ascii=False),
    ).consume()
