"""Deletion of old ledger rows. When no other store knows a job any more, only its counts stay (docs/adr/0076).

A ledger row answers when the message of its batch or pack is delivered again. After the end of the job such a message
can only come from somewhere that kept it for a long time. It is refused then, because nobody knows any more whether
it was written.

The rows of a job are deleted in three steps, each in a separate round: the moment is noted from which on no other
store knows the job; after a while the job is closed; later its rows are deleted. A repeated step changes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import NamedTuple

import neo4j

from edugraph_common.contracts.outcomes import ROW_COUNTS, BatchOutcome, FindingsOutcome
from edugraph_common.contracts.records import iso
from edugraph_importer.graph.apply import begin
from edugraph_importer.graph.driver import TRANSACTION_SECONDS, Connection
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.retention import PAGE, Write, portions
from edugraph_importer.graph.unit_of_work import run_rows

# Rows stay for this time after the job was closed. A transaction that began before may still read or write a row.
CLOSING = timedelta(seconds=10 * TRANSACTION_SECONDS)


class _Folded(NamedTuple):
    """The values that a job keeps from its deleted rows: their number, and sums of these counts of their outcomes."""

    name_of_number: str
    outcome: type[BatchOutcome | FindingsOutcome]
    counts: Sequence[str]


# Label of a row -> what its job keeps.
_FOLDED: Mapping[str, _Folded] = {
    "ImportBatch": _Folded("batches", BatchOutcome, ("read", *ROW_COUNTS, "unknown")),
    "FindingsPack": _Folded("packs", FindingsOutcome, ("findings",)),
}

IsOver = Callable[[Collection[str]], AbstractSet[str]]
"""(some jobs) -> those of them of which nothing is kept but their rows in the ledger."""


class Compacted(NamedTuple):
    """The number of deleted rows. If it is not `finished`, the time was over."""

    rows: int
    finished: bool


def compact(
    connection: Connection,
    write: Write,
    is_over: IsOver,
    now: datetime,
    kept: timedelta,
    *,
    go_on: Callable[[], bool],
) -> Compacted:
    """Do the next step for each job that has rows. Stop after a page when `go_on` returns False.

    A second call continues. `kept` is the time between the note that a job is over and its closing.
    """
    deleted = 0
    for label in _FOLDED:
        after = ""
        while page := connection.read(CYPHER[f"ledger_after_{label}"], after=after, limit=PAGE):
            if not go_on():
                return Compacted(deleted, finished=False)
            job_of = {row["id"]: row["job_id"] for row in page}
            job_ids = sorted(set(job_of.values()))
            closed = _advance_jobs(
                connection, write, is_over, job_ids, now=iso(now), over_until=iso(now - kept)
            )
            closed_long_ago = {
                job_id for job_id, moment in closed.items() if moment <= iso(now - CLOSING)
            }
            old_rows = [row_id for row_id, job_id in job_of.items() if job_id in closed_long_ago]
            for some in portions(old_rows):
                deleted += write(_fold, label, some, sorted({job_of[row_id] for row_id in some}))
            after = page[-1]["id"]
    return Compacted(deleted, finished=True)


def _advance_jobs(
    connection: Connection,
    write: Write,
    is_over: IsOver,
    job_ids: Sequence[str],
    *,
    now: str,
    over_until: str,
) -> Mapping[str, str]:
    """Note which jobs are over, and close the jobs that are over since `over_until` or longer.

    Return job id -> moment of the closing, for the jobs that were closed before this call. Moments are ISO texts.
    """
    noted = connection.read(CYPHER["ended_jobs"], ids=job_ids)
    closed = {row["id"]: row["closed"] for row in noted if row["closed"]}
    over_since = {row["id"]: row["over_since"] for row in noted if row["over_since"]}
    not_closed = [job_id for job_id in job_ids if job_id not in closed]
    over = is_over(not_closed)

    newly_over = [job_id for job_id in not_closed if job_id in over and job_id not in over_since]
    for some in portions(newly_over):
        write(_note, "set_over_since", some, now)
    not_over_any_more = [
        job_id for job_id in not_closed if job_id in over_since and job_id not in over
    ]
    for some in portions(not_over_any_more):
        write(_note, "set_over_since", some, None)
    to_close = [
        job_id
        for job_id in not_closed
        if job_id in over and over_since.get(job_id, now) <= over_until
    ]
    for some in portions(to_close):
        write(_note, "close_jobs", some, now)
    return closed


def _note(tx: neo4j.Transaction, statement: str, job_ids: Sequence[str], moment: str | None) -> int:
    begin(tx, "ImportBatch", "")
    tx.run(CYPHER[statement], ids=job_ids, moment=moment).consume()
    return len(job_ids)


def _fold(tx: neo4j.Transaction, label: str, ids: Sequence[str], job_ids: Sequence[str]) -> int:
    """Delete rows of closed jobs, and add their counts to the counts of the jobs. Return the number of rows.

    The jobs are locked before the rows are read, so that a row is counted once even if two processes do this.
    """
    begin(tx, label, "")
    locked = {
        row["id"]: row["properties"] for row in tx.run(CYPHER["lock_closed_jobs"], ids=job_ids)
    }
    folded = _FOLDED[label]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    deleted_ids = []
    for row in tx.run(CYPHER[f"outcomes_of_{label}"], ids=ids):
        job_id = row["job_id"]
        if job_id not in locked:
            continue
        deleted_ids.append(row["id"])
        outcome = folded.outcome.model_validate_json(row["outcome"])
        counts[job_id][folded.name_of_number] += 1
        for name in folded.counts:
            counts[job_id][name] += getattr(outcome, name)
    tx.run(CYPHER[f"delete_outcomes_{label}"], ids=deleted_ids).consume()
    rows: list[Row] = []
    for job_id, added in sorted(counts.items()):
        before = locked[job_id]
        total = {name: number + before.get(name, 0) for name, number in added.items()}
        rows.append({"id": job_id, "counts": total})
    run_rows(tx, "set_counts", rows)
    return len(deleted_ids)
