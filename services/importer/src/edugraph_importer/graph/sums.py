"""The sums on relationships. For each of them, adding and taking back stand side by side.

A new record is added to its sums. If a record is removed, its sums are computed again from the remaining records, or
subtracted where the relationship has counts.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import neo4j

from edugraph_common.contracts.records import iso
from edugraph_importer.graph.model import (
    SEVERITY_WEIGHT,
    Activity,
    Day,
    InteractionTotal,
    MistakeKey,
    Pair,
    attempt_place,
    time_of,
    version_key,
)
from edugraph_importer.graph.statements import CYPHER, Row, rows_of, run_rows

# The sums of RELATES_TO: (error type, knowledge point, name of the sum) -> value. Strength and confidence are summed
# in thousandths.
RelatedSums = Counter[tuple[str, str, str]]


@dataclass(slots=True)
class MistakeTotals:
    """The totals of one HAS_ERROR relationship. Times are ISO texts, which sort by time."""

    count: int = 0
    weight: float = 0.0
    first: str | None = None
    last: str | None = None
    resolved: bool | None = None
    stamp: str | None = None  # the version key of the record that decides `resolved`

    def add(self, count: int, weight: float, at: str) -> None:
        self.count += count
        self.weight += weight
        if self.first is None or at < self.first:
            self.first = at
        if self.last is None or at > self.last:
            self.last = at

    def put_resolved(self, resolved: bool | None, version_key: str) -> None:
        """Set `resolved` from a record if the record gives it and is later than the present one."""
        if resolved is None:
            return
        if self.stamp is None or version_key > self.stamp:
            self.resolved = resolved
            self.stamp = version_key

    def row(self) -> Row:
        return {name: getattr(self, name) for name in self.__slots__}


def mistake_rows(mistakes: Mapping[MistakeKey, MistakeTotals]) -> list[Row]:
    rows: list[Row] = []
    for (student_id, error_type, course_id), totals in mistakes.items():
        rows.append(
            {"student": student_id, "type": error_type, "course": course_id, **totals.row()}
        )
    return rows


def recompute_has_error(tx: neo4j.Transaction, mistakes: Iterable[MistakeKey]) -> None:
    rows: list[Row] = []
    for student_id, error_type, course_id in sorted(mistakes):
        rows.append({"student": student_id, "type": error_type, "course": course_id})
    if not rows:
        return
    totals: dict[MistakeKey, MistakeTotals] = defaultdict(MistakeTotals)
    for row in tx.run(CYPHER["recompute_has_error"], rows=rows):
        total = totals[row["student"], row["type"], row["course"]]
        weight = row["count"] * SEVERITY_WEIGHT[row["severity"]]
        total.add(row["count"], weight, iso(row["timestamp"].to_native()))
        total.put_resolved(row["resolved"], version_key(row))
    run_rows(tx, "remove_has_error", rows)
    run_rows(tx, "has_error", mistake_rows(totals))


@dataclass(slots=True)
class PracticeTotals:
    """The totals of one PRACTISED relationship. Outcomes are thousandths of a right answer, times are ISO texts."""

    tries: int = 0
    right: int = 0
    first: int | None = None  # the outcome of the first attempt
    first_place: str | None = None
    last: str | None = None

    def add(self, outcome: int, place: str) -> None:
        self.tries += 1
        self.right += outcome
        if self.first_place is None or place < self.first_place:
            self.first = outcome
            self.first_place = place
        at = time_of(place)
        if self.last is None or at > self.last:
            self.last = at

    def row(self) -> Row:
        return {name: getattr(self, name) for name in self.__slots__}


def practice_rows(practice: Mapping[Pair, PracticeTotals]) -> list[Row]:
    rows: list[Row] = []
    for (student_id, item_id), totals in practice.items():
        rows.append({"student": student_id, "item": item_id, **totals.row()})
    return rows


def recompute_practised(tx: neo4j.Transaction, pairs: Iterable[Pair]) -> None:
    """Recompute PRACTISED for these (student, item) pairs. The attempts of each student are read once."""
    items: dict[str, list[str]] = defaultdict(list)
    for student_id, item_id in sorted(pairs):
        items[student_id].append(item_id)
    if not items:
        return
    rows: list[Row] = [
        {"student": student_id, "items": item_ids} for student_id, item_ids in items.items()
    ]
    totals: dict[Pair, PracticeTotals] = defaultdict(PracticeTotals)
    for row in tx.run(CYPHER["recompute_practised"], rows=rows):
        place = attempt_place(version_key(row), row["number"])
        totals[row["student"], row["item"]].add(row["outcome"], place)
    run_rows(tx, "remove_practised", rows)
    run_rows(tx, "practised", practice_rows(totals))


def recompute_interactions(
    tx: neo4j.Transaction, total: InteractionTotal, pairs: Iterable[Pair]
) -> None:
    """Recompute the totals of pairs (id of the sender, id of the receiver)."""
    rows: list[Row] = [{"from": sender, "to": receiver} for sender, receiver in sorted(pairs)]
    if not rows:
        return
    found = [dict(row) for row in tx.run(CYPHER[f"recompute_{total}"], rows=rows)]
    totals = _teaching_totals(found) if total == "teaches" else found
    run_rows(tx, f"remove_{total}", rows)
    run_rows(tx, f"create_{total}", totals)


def _teaching_totals(interactions: Iterable[Row]) -> list[Row]:
    """Return one total for each teacher and student. The latest interaction that gives feedback decides it."""
    totals: dict[Pair, Row] = {}
    for interaction in sorted(interactions, key=version_key):
        pair = (interaction["from"], interaction["to"])
        total = totals.get(pair)
        if total is None:
            total = {"from": pair[0], "to": pair[1], "count": 0, "feedback": None, "stamp": None}
            totals[pair] = total
        total["count"] += interaction["count"]
        total["last"] = interaction["timestamp"]
        if interaction["feedback"] is not None:
            total["feedback"] = interaction["feedback"]
            total["stamp"] = version_key(interaction)
    return list(totals.values())


def related(pairs: Mapping[Pair, tuple[float, float]]) -> RelatedSums:
    """Return what one record adds to the sums of RELATES_TO.

    `pairs` maps (error type, knowledge point) to (strength, confidence).
    """
    sums = RelatedSums()
    for (error_type, point), (strength, confidence) in pairs.items():
        sums[error_type, point, "records"] += 1
        sums[error_type, point, "strength_sum"] += round(strength * 1_000)
        sums[error_type, point, "confidence_sum"] += round(confidence * 1_000)
    return sums


def related_by_links(links: Iterable[neo4j.Record]) -> RelatedSums:
    """Return what the records with these links have added to the sums of RELATES_TO."""
    types: dict[str, list[str]] = defaultdict(list)  # record id -> its error types
    # record id -> point -> (strength, confidence)
    points: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for row in links:
        if row["type"] == "OF_TYPE":
            types[row["record"]].append(row["end"])
        elif row["type"] == "CONCERNS":
            points[row["record"]][row["end"]] = (row["strength"], row["confidence"])
    sums = RelatedSums()
    for record_id, points_of_record in points.items():
        for error_type in types[record_id]:
            pairs = {(error_type, point): values for point, values in points_of_record.items()}
            sums.update(related(pairs))
    return sums


def write_related(tx: neo4j.Transaction, sums: RelatedSums) -> None:
    """Add the sums to RELATES_TO, and remove the pairs that no record states any more. Both ends must be locked."""
    rows: dict[Pair, Row] = {}
    for (error_type, point, name), number in sorted(sums.items()):
        row = rows.setdefault((error_type, point), {"from": error_type, "to": point})
        row[name] = number
    changed = [
        row
        for row in rows.values()
        if row["records"] or row["strength_sum"] or row["confidence_sum"]
    ]
    run_rows(tx, "add_relates_to", changed)
    run_rows(tx, "remove_unrelated", [row for row in changed if row["records"] < 0])


def recompute_related(tx: neo4j.Transaction, pairs: Collection[Pair]) -> None:
    """Recompute RELATES_TO for these pairs.

    This reads every record of the error types, so it is too slow to run for each record.
    """
    ids = sorted({error_type for error_type, _ in pairs})
    sums = RelatedSums()
    for row in rows_of(tx, "stated_related", ids):
        pair = (row["from"], row["to"])
        if pair in pairs:
            sums.update(related({pair: (row["strength"], row["confidence"])}))
    run_rows(
        tx,
        "remove_relates_to",
        [{"from": error_type, "to": point} for error_type, point in sorted(pairs)],
    )
    write_related(tx, sums)


def raise_contains(tx: neo4j.Transaction, contains: Mapping[Pair, tuple[str, int | None]]) -> None:
    """Raise CONTAINS by (importance, order)."""
    rows: list[Row] = []
    for (course_id, point), (importance, order) in contains.items():
        rows.append({"from": course_id, "to": point, "importance": importance, "order": order})
    run_rows(tx, "raise_contains", rows)


def recompute_contains(tx: neo4j.Transaction, pairs: Iterable[Pair]) -> None:
    rows: list[Row] = [{"from": course_id, "to": point} for course_id, point in sorted(pairs)]
    if not rows:
        return
    totals = [dict(row) for row in tx.run(CYPHER["recompute_contains"], rows=rows)]
    # The pair is removed first, so that raising starts from nothing. A pair without records stays removed.
    run_rows(tx, "remove_contains", rows)
    run_rows(tx, "raise_contains", totals)


def add_days(days: dict[Day, Activity], more: Iterable[tuple[Day, Activity]]) -> None:
    for day, activity in more:
        days.setdefault(day, Activity()).add(activity)


def write_days(tx: neo4j.Transaction, days: Mapping[Day, Activity]) -> None:
    """Add activity to the days in the graph. The students must be locked, so that nobody else changes their days."""
    if not days:
        return
    by_id = {day.id: day for day in sorted(days)}
    stored = {row["id"]: row for row in tx.run(CYPHER["active_days"], ids=list(by_id))}
    new: list[Row] = []
    changed: list[Row] = []
    for day_id, day in by_id.items():
        row: Row = {
            "id": day_id,
            "student": day.student_id,
            "course": day.course_id,
            "date": day.date,
        }
        if day_id not in stored:
            new.append(row | days[day].row())
            continue
        before = Activity.read(stored[day_id])
        after = Activity(before.minutes, set(before.kinds))
        after.add(days[day])
        if after != before:
            changed.append(row | after.row())
    if new:
        tx.run(CYPHER["create_active_days"], rows=new).consume()
    if changed:
        tx.run(CYPHER["set_active_days"], rows=changed).consume()
