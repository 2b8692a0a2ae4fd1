"""The end of old data: texts, records, reviews, and rows of the ledger.

The texts of old records are blanked first. Later the records are removed, and all sums are as if they had never come.
The age of a record about a student, and of a day of activity, is counted from its time. The age of a membership is
counted from the end of the time in the group. The texts of a course and definitions do not age. Reviews of a record
are deleted when the record has been missing for a while, since nobody can tell whose record it would be.

A ledger row answers when the message of its batch or pack is delivered again. After the end of the job such a message
can only come from somewhere that kept it for a long time. It is refused then, because nobody knows any more whether
it was written. When no other store knows a job any more, only its counts stay (docs/adr/0076). The rows of a job are
deleted in three steps, each in a separate round: the moment is noted from which on no other store knows the job;
after a while the job is closed; later its rows are deleted. A repeated step changes nothing.

Each transaction takes a few records, so that imports at the same time hardly wait. All records are read in the order
of their ids, page by page from an index. Finished records are skipped.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import neo4j

from edugraph_common.contracts.outcomes import ROW_COUNTS, BatchOutcome, FindingsOutcome
from edugraph_common.contracts.records import iso
from edugraph_importer.graph.apply import apply, begin
from edugraph_importer.graph.driver import TRANSACTION_SECONDS, Connection
from edugraph_importer.graph.groups import LeaderNotes, ended_memberships
from edugraph_importer.graph.model import Node, Outdated
from edugraph_importer.graph.statements import CYPHER, Row, run_rows
from edugraph_importer.graph.take_back import recompute
from edugraph_importer.graph.unit_of_work import delete_orphans, lock_and_load, write_changed_state
from edugraph_importer.graph.versions import (
    AGEING_LABELS,
    Classified,
    Removals,
    StoredVersion,
    stored_versions,
)

RECORDS_AT_ONCE = 100  # in one transaction
PAGE = 5_000  # records that one statement reads

Write = Callable[..., int]
"""(work, arguments of it after the transaction) -> what the work returns, done in a transaction."""


class Ended(NamedTuple):
    """The result of a run.

    `blanked` is the number of records that lost their texts. `removed` is the number of removed records and days of
    activity. `orphans` is the number of missing records whose reviews were deleted. If it is not `finished`, the time
    was over.
    """

    blanked: int
    removed: int
    orphans: int
    finished: bool


def end_old_records(
    connection: Connection,
    write: Write,
    texts_from: datetime | None,
    records_from: datetime | None,
    missing: tuple[datetime, datetime] | None,
    *,
    leaders: LeaderNotes,
    go_on: Callable[[], bool],
) -> Ended:
    """Blank texts and remove records that are older than these moments. None keeps them.

    `missing` has the present time and a limit: if a reviewed record has been missing since before the limit, its
    reviews are deleted. Stop after a page when `go_on` returns False.
    """
    kept_texts = iso(texts_from) if texts_from else ""
    kept_records = iso(records_from) if records_from else ""
    ending = _Round(connection, write, kept_texts, kept_records, leaders, go_on)
    finished = True
    if kept_texts or kept_records:
        finished = ending.of_records()
    if kept_records:
        finished = finished and ending.of_memberships() and ending.of_days()
    if missing:
        now, missing_from = missing
        finished = finished and ending.of_orphans(iso(now), iso(missing_from))
    return Ended(ending.blanked, ending.removed, ending.orphans, finished)


@dataclass(slots=True)
class _Round:
    """One run over all records. Each function returns whether there was enough time to finish its part."""

    connection: Connection
    write: Write
    kept_texts: str
    kept_records: str
    leaders: LeaderNotes
    go_on: Callable[[], bool]
    blanked: int = 0
    removed: int = 0
    orphans: int = 0

    def of_records(self) -> bool:
        for label in AGEING_LABELS:
            for rows in self._pages(f"records_after_{label}"):
                if not self.go_on():
                    return False
                old_records = []
                old_texts = []
                for row in rows:
                    timestamp = iso(row["timestamp"].to_native())
                    if timestamp < self.kept_records:
                        old_records.append(row["id"])
                    elif row["has_text"] and timestamp < self.kept_texts:
                        old_texts.append(row["id"])
                for some in portions(old_records):
                    self.removed += self.write(
                        _remove, some, self.kept_records, self.leaders, set()
                    )
                for some in portions(old_texts):
                    self.blanked += self.write(_blank, label, some)
        return True

    def of_memberships(self) -> bool:
        before = self.kept_records
        rows_of_terms = self.connection.read(CYPHER["ended_terms"], before=before)
        ended_terms = {row["id"] for row in rows_of_terms}
        for rows in self._pages("memberships_after"):
            if not self.go_on():
                return False
            over: list[str] = []
            for row in rows:
                ends = row["ends"]
                if ends is None:
                    is_over = row["term"] in ended_terms
                else:
                    is_over = iso(ends.to_native()) < before
                if is_over:
                    over.append(row["id"])
            for some in portions(over):
                self.removed += self.write(_remove_memberships, some, before, self.leaders, set())
        return True

    def of_days(self) -> bool:
        parameters = {"before": self.kept_records[:10], "limit": RECORDS_AT_ONCE}
        while days := self.connection.read(CYPHER["old_active_days"], **parameters):
            if not self.go_on():
                return False
            ids = sorted(day["id"] for day in days)
            students = {day["student"] for day in days}
            self.removed += self.write(remove_days, ids, students)
        return True

    def of_orphans(self, now: str, missing_from: str) -> bool:
        for rows in self._pages("reviewed_after"):
            if not self.go_on():
                return False
            stored = self._stored_among([row["id"] for row in rows])
            newly_missing = []
            no_longer_missing = []
            missing_too_long = []
            for row in rows:
                is_stored = row["id"] in stored
                missing_since = row["missing_since"]
                if is_stored and missing_since:
                    no_longer_missing.append(row["id"])
                elif not is_stored and not missing_since:
                    newly_missing.append(row["id"])
                elif not is_stored and missing_since < missing_from:
                    missing_too_long.append(row["id"])
            for some in portions(newly_missing):
                self.write(_note_missing, some, now)
            for some in portions(no_longer_missing):
                self.write(_note_missing, some, None)
            for some in portions(missing_too_long):
                self.orphans += self.write(_remove_orphans, some, missing_from)
        return True

    def _stored_among(self, ids: Sequence[str]) -> set[str]:
        """Return the ids among these under which the graph has a record."""
        stored: set[str] = set()
        for row in self.connection.read(CYPHER["stored_versions"], ids=ids):
            stored.update(record_id for record_id, _ in row["versions"])
        return stored

    def _pages(self, statement: str) -> Iterator[list[neo4j.Record]]:
        after = ""
        while rows := self.connection.read(CYPHER[statement], after=after, limit=PAGE):
            yield rows
            after = rows[-1]["id"]


def portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + RECORDS_AT_ONCE] for start in range(0, len(ids), RECORDS_AT_ONCE))


def _remove(
    tx: neo4j.Transaction,
    ids: Sequence[str],
    kept_from: str,
    leaders: LeaderNotes,
    wanted: set[Node],
) -> int:
    """Remove the records among these that are still too old, with their reviews. Return their number.

    `wanted` receives the nodes that still have to be locked when StaleRead is raised.
    """
    before, _ = begin(tx, "ImportBatch", "")
    old: dict[str, StoredVersion] = {}
    for record_id, version in stored_versions(tx, ids).items():
        if version.timestamp < kept_from and version.label in AGEING_LABELS:
            old[record_id] = version
    return _remove_versions(tx, before, old, leaders, wanted)


def _remove_memberships(
    tx: neo4j.Transaction, ids: Sequence[str], before: str, leaders: LeaderNotes, wanted: set[Node]
) -> int:
    """Remove all memberships of the ended times in groups that these memberships belong to. Return their number."""
    removals, _ = begin(tx, "ImportBatch", "")
    old = stored_versions(tx, ended_memberships(tx, ids, before))
    return _remove_versions(tx, removals, old, leaders, wanted)


def _remove_versions(
    tx: neo4j.Transaction,
    before: Removals,
    old: dict[str, StoredVersion],
    leaders: LeaderNotes,
    wanted: set[Node],
) -> int:
    apply(tx, Classified(superseded=old), (), before, unreviewed=(), wanted=wanted, leaders=leaders)
    tx.run(CYPHER["delete_reviews"], ids=sorted(old)).consume()
    return len(old)


def _note_missing(tx: neo4j.Transaction, ids: Sequence[str], since: str | None) -> int:
    begin(tx, "ImportBatch", "")
    tx.run(CYPHER["set_missing_since"], ids=ids, since=since).consume()
    return len(ids)


def _remove_orphans(tx: neo4j.Transaction, ids: Sequence[str], missing_from: str) -> int:
    """Delete the reviews of the records that are still missing. Return the number of these records.

    A transaction that writes such a record takes the same lock first. So either the record is found here, or that
    transaction finds no reviews.
    """
    begin(tx, "ImportBatch", "")
    held: dict[str, str | None] = {}  # record id -> since when it has been missing
    for row in tx.run(CYPHER["lock_reviewed"], ids=sorted(ids)):
        held[row["id"]] = row["missing_since"]
    stored = stored_versions(tx, held)
    over = []
    for record_id, since in sorted(held.items()):
        if record_id not in stored and since and since < missing_from:
            over.append(record_id)
    tx.run(CYPHER["delete_reviews"], ids=over).consume()
    return len(over)


def remove_days(tx: neo4j.Transaction, ids: Sequence[str], students: AbstractSet[str]) -> int:
    """Remove whole days of activity. They are not part of any sum. Return the number of removed days."""
    begin(tx, "ImportBatch", "")
    nodes = {("Student", student) for student in students}
    lock_and_load(tx, nodes, ())
    deleted = int(tx.run(CYPHER["end_active_days"], ids=ids).single(strict=True)["deleted"])
    delete_orphans(tx, nodes)
    return deleted


def _blank(tx: neo4j.Transaction, label: str, ids: Sequence[str]) -> int:
    """Remove the texts of the records, and the quotes from them in findings. The rest of the findings stays."""
    begin(tx, "ImportBatch", "")
    locked = tx.run(CYPHER[f"lock_records_{label}"], ids=sorted(ids)).single(strict=True)
    rows: list[Row] = []
    for record_id, _, finding, *_ in locked["records"]:
        rows.append({"id": record_id, "finding": _without_quotes(finding)})
    # The total of a teacher and a student has a copy of the latest feedback.
    outdated = Outdated()
    nodes: set[Node] = set()
    if label == "Interaction":
        for row in tx.run(CYPHER["feedback_pairs"], ids=sorted(ids)):
            outdated.interactions["teaches"].add((row["teacher"], row["student"]))
            nodes |= {("Teacher", row["teacher"]), ("Student", row["student"])}
    unit = lock_and_load(tx, nodes, ())
    run_rows(tx, f"blank_{label}", rows)
    recompute(tx, unit, outdated)
    write_changed_state(tx, unit)
    return len(rows)


def _without_quotes(finding: str | None) -> str | None:
    if finding is None:
        return None
    whole: dict[str, Any] = json.loads(finding)
    whole["finding"]["evidence"] = []
    return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


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


def compact_ledger(
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
            old_rows = []
            for row_id, job_id in job_of.items():
                was_closed_long_ago = job_id in closed and closed[job_id] <= iso(now - CLOSING)
                if was_closed_long_ago:
                    old_rows.append(row_id)
            for some in portions(old_rows):
                some_jobs = sorted({job_of[row_id] for row_id in some})
                deleted += write(_fold_rows, label, some, some_jobs)
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

    newly_over = []
    no_longer_over = []
    to_close = []
    for job_id in not_closed:
        is_noted = job_id in over_since
        if job_id in over and not is_noted:
            newly_over.append(job_id)
        if job_id not in over and is_noted:
            no_longer_over.append(job_id)
        if job_id in over and over_since.get(job_id, now) <= over_until:
            to_close.append(job_id)
    for some in portions(newly_over):
        write(_note_jobs, "set_over_since", some, now)
    for some in portions(no_longer_over):
        write(_note_jobs, "set_over_since", some, None)
    for some in portions(to_close):
        write(_note_jobs, "close_jobs", some, now)
    return closed


def _note_jobs(
    tx: neo4j.Transaction, statement: str, job_ids: Sequence[str], moment: str | None
) -> int:
    begin(tx, "ImportBatch", "")
    tx.run(CYPHER[statement], ids=job_ids, moment=moment).consume()
    return len(job_ids)


def _fold_rows(
    tx: neo4j.Transaction, label: str, ids: Sequence[str], job_ids: Sequence[str]
) -> int:
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
