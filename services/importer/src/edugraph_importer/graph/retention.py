"""Retention of records: of those that are too old the texts are blanked first, and later they go, with their part of
every sum, as if they had never come.

Only records about students age, and days of activity: not the texts of a course, nor what defines an item, nor who
belongs to a group, which has an end of its own. Each transaction takes a few
records, so that imports beside it hardly wait. It looks at all records, in the order of their ids, which reads pages
of an index; what is done already is passed by.
"""

import json
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, NamedTuple

import neo4j

from edugraph_common.contracts.records import iso
from edugraph_importer.graph.aggregates import Outdated, delete_orphans, recompute
from edugraph_importer.graph.apply import apply, begin
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import Node, Pair
from edugraph_importer.graph.unit_of_work import lock_and_load, run_rows, write_changed_state
from edugraph_importer.graph.versions import AGEING_LABELS, Classified, WithdrawnRecords, stored_versions

RECORDS_AT_ONCE = 100  # in one transaction
PAGE = 5_000  # records that are looked at by one statement

Write = Callable[..., int]
"""(work, arguments of it after the transaction) -> what the work returns, done in a transaction."""


class Ended(NamedTuple):
    """How many records lost their texts, and how many of them and of active days are gone.

    Not `finished`: there was no more time.
    """

    blanked: int
    removed: int
    finished: bool


def end_old_records(
    connection: Connection,
    write: Write,
    texts_from: datetime | None,
    records_from: datetime | None,
    *,
    go_on: Callable[[], bool],
) -> Ended:
    """End what is older than these moments; None keeps it. It stops after a page when `go_on` says no."""
    kept_texts, kept_records = (iso(each) if each else "" for each in (texts_from, records_from))
    blanked = removed = 0
    for label in AGEING_LABELS if kept_texts or kept_records else ():
        after = ""
        while rows := connection.read(CYPHER[f"records_after_{label}"], after=after, limit=PAGE):
            if not go_on():
                return Ended(blanked, removed, finished=False)
            # What was carried over from an older release is no record, and has no content to compare.
            ages = {row["id"]: iso(row["timestamp"].to_native()) for row in rows if not row["carried"]}
            old = [each for each, timestamp in ages.items() if timestamp < kept_records]
            blank = [row["id"] for row in rows if row["has_text"] and kept_records <= ages[row["id"]] < kept_texts]
            for start in range(0, len(old), RECORDS_AT_ONCE):
                removed += write(_remove, old[start : start + RECORDS_AT_ONCE], kept_records, set())
            for start in range(0, len(blank), RECORDS_AT_ONCE):
                blanked += write(_blank, label, blank[start : start + RECORDS_AT_ONCE])
            after = rows[-1]["id"]
    before = {"before": kept_records[:10], "limit": RECORDS_AT_ONCE}
    while days := connection.read(CYPHER["old_active_days"], **before) if kept_records else ():
        if not go_on():
            return Ended(blanked, removed, finished=False)
        removed += write(remove_days, sorted(day["id"] for day in days), {day["student"] for day in days})
    return Ended(blanked, removed, finished=True)


def _remove(tx: neo4j.ManagedTransaction, ids: Sequence[str], kept_from: str, wanted: set[Node]) -> int:
    """Remove those of the records that are still older, with their reviews. Return how many.

    `wanted`: as `resolver.resolve` has it.
    """
    before, _ = begin(tx, "ImportBatch", "")
    old = {
        record_id: version
        for record_id, version in stored_versions(tx, ids).items()
        if version.timestamp < kept_from and version.label in AGEING_LABELS
    }
    nothing = WithdrawnRecords(tx, (), 0)
    apply(tx, Classified(superseded=old), (), before, nothing, unreviewed=(), wanted=wanted)
    tx.run(CYPHER["delete_reviews"], ids=sorted(old)).consume()
    return len(old)


def remove_days(tx: neo4j.ManagedTransaction, ids: Sequence[str], students: AbstractSet[str]) -> int:
    """Remove days of activity whole, which are in no sum. Return how many."""
    begin(tx, "ImportBatch", "")
    nodes = {("Student", student) for student in students}
    lock_and_load(tx, nodes, ())
    deleted = int(tx.run(CYPHER["end_active_days"], ids=ids).single(strict=True)["deleted"])
    delete_orphans(tx, nodes)
    return deleted


def _blank(tx: neo4j.ManagedTransaction, label: str, ids: Sequence[str]) -> int:
    """Take the texts of the records away, and the quotes of them in findings. What was found stays."""
    begin(tx, "ImportBatch", "")
    locked = tx.run(CYPHER[f"lock_records_{label}"], ids=sorted(ids)).single(strict=True)
    rows: list[Row] = [
        {"id": record_id, "finding": _without_quotes(finding)}
        for record_id, _, _, _, finding, *_ in locked["records"]
    ]
    # A teacher's latest feedback is kept with the total of the two, too.
    pairs: set[Pair] = set()
    if label == "Interaction":
        pairs = {(row["teacher"], row["student"]) for row in tx.run(CYPHER["feedback_pairs"], ids=sorted(ids))}
    nodes = {("Teacher", teacher) for teacher, _ in pairs} | {("Student", student) for _, student in pairs}
    unit = lock_and_load(tx, nodes, ())
    run_rows(tx, f"blank_{label}", rows)
    outdated = Outdated()
    outdated.interactions["teaches"] |= pairs
    recompute(tx, unit, outdated)
    write_changed_state(tx, unit)
    return len(rows)


def _without_quotes(finding: str | None) -> str | None:
    if finding is None:
        return None
    whole: dict[str, Any] = json.loads(finding)
    whole["finding"]["evidence"] = []
    return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
