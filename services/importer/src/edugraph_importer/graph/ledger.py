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
    rows, moment = 0, iso(now)
    for label in _FOLDED:
        after = ""
        while page := connection.read(CYPHER[f"ledger_after_{label}"], after=after, limit=PAGE):
            if not go_on():
                return Compacted(rows, finished=False)
            job_of = {row["id"]: row["job_id"] for row in page}
            ids = sorted(set(job_of.values()))
            noted = {row["id"]: row for row in connection.read(CYPHER["ended_jobs"], ids=ids)}
            closed = {job_id: row["closed"] for job_id, row in noted.items() if row["closed"]}
            since = {job_id: row["over_since"] for job_id, row in noted.items() if row["over_since"]}
            not_closed = [job_id for job_id in ids if job_id not in closed]
            over = is_over(not_closed)
            for some in portions([job_id for job_id in not_closed if job_id in over - since.keys()]):
                write(_note, "set_over_since", some, moment)
            for some in portions([job_id for job_id in not_closed if job_id in since.keys() - over]):
                write(_note, "set_over_since", some, None)
            ended = [
                job_id for job_id in not_closed if job_id in over and since.get(job_id, moment) <= iso(now - kept)
            ]
            for some in portions(ended):
                write(_note, "close_jobs", some, moment)
            old = [each for each, job_id in job_of.items() if closed.get(job_id, moment) <= iso(now - CLOSING)]
            for some in portions(old):
                rows += write(_fold, label, some, sorted({job_of[each] for each in some}))
            after = page[-1]["id"]
    return Compacted(rows, finished=True)


def _note(tx: neo4j.Transaction, statement: str, job_ids: Sequence[str], moment: str | None) -> int:
    begin(tx, "ImportBatch", "")
    tx.run(CYPHER[statement], ids=job_ids, moment=moment).consume()
    return len(job_ids)


def _fold(tx: neo4j.Transaction, label: str, ids: Sequence[str], job_ids: Sequence[str]) -> int:
    """Delete rows of closed jobs, and add their counts to the counts of the jobs. Return the number of rows.

    The jobs are locked before the rows are read, so that a row is counted once even if two processes do this.
    """
    begin(tx, label, "")
    before = {row["id"]: row["properties"] for row in tx.run(CYPHER["lock_closed_jobs"], ids=job_ids)}
    folded = _FOLDED[label]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    there = [row for row in tx.run(CYPHER[f"outcomes_of_{label}"], ids=ids) if row["job_id"] in before]
    for row in there:
        # A row that an earlier release wrote lacks the newer counts.
        outcome = folded.outcome.model_validate_json(row["outcome"])
        of_job = counts[row["job_id"]]
        of_job[folded.name_of_number] += 1
        for name in folded.counts:
            of_job[name] += getattr(outcome, name)
    tx.run(CYPHER[f"delete_outcomes_{label}"], ids=[row["id"] for row in there]).consume()
    rows: list[Row] = [
        {"id": job_id, "counts": {name: number + before[job_id].get(name, 0) for name, number in added.items()}}
        for job_id, added in sorted(counts.items())
    ]
    run_rows(tx, "set_counts", rows)
    return len(there)
