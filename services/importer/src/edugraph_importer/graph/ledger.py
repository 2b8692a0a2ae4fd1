"""The end of the ledger's rows: of a job of which nothing else is kept, only their counts stay (docs/adr/0076).

A row answers for its batch or pack when the message of it comes again. When the job is over, such a message can only
be one that was kept elsewhere for a long time; it is refused then, since nobody can tell any more whether it was
written. It goes in three steps, each in a round of its own, and doing one again changes nothing: it is noted since
when nothing else is kept of a job; after a while the job is closed; then its rows go.
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

# A transaction that began before a job was closed may look for a row, or write one, until its time is over.
CLOSING = timedelta(seconds=10 * TRANSACTION_SECONDS)


class _Folded(NamedTuple):
    """What a job keeps of its rows that are gone: their number, and the sums of these counts of their outcomes."""

    name_of_number: str
    outcome: type[BatchOutcome | FindingsOutcome]
    counts: Sequence[str]


# By the label of a row.
_FOLDED: Mapping[str, _Folded] = {
    "ImportBatch": _Folded("batches", BatchOutcome, ("read", *ROW_COUNTS, "unknown")),
    "FindingsPack": _Folded("packs", FindingsOutcome, ("findings",)),
}

IsOver = Callable[[Collection[str]], AbstractSet[str]]
"""(some jobs) -> those of them of which nothing is kept but their rows in the ledger."""


class Compacted(NamedTuple):
    """How many rows are gone. Not `finished`: there was no more time."""

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
    """Take a step with each job that has rows. It stops after a page when `go_on` says no; doing it again goes on.

    `kept`: how long a job has to be over before it is closed.
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
    """Delete rows of closed jobs, and add their counts to those of the jobs. Return how many rows there were.

    The jobs are locked before the rows are read, so that a row is counted once, whoever else is at it.
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
