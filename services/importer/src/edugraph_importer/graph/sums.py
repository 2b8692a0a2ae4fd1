"""The sums of records on relationships: CHAT_WITH, LIKES, TEACHES, HAS_ERROR, PRACTISED, RELATES_TO and CONTAINS.

The rule of each sum is stated once: in the method `add` of its class, and in `related` for RELATES_TO. A batch adds
its new records by this rule to totals of its own, and then these totals to the relationships. If records are removed,
the relationships are removed as well, and the same rule adds the remaining records again. Few records have to be read
for that, since each sum belongs to one person. RELATES_TO belongs to everybody, so its parts are subtracted.

cypher/sums.cypher has the statements of each sum side by side: `add_…`, `remove_…` and `recompute_…`. The days of
activity at the end of this module only grow.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import neo4j

from edugraph_importer.graph.model import (
    SEVERITY_WEIGHT,
    Activity,
    Day,
    Facts,
    InteractionKey,
    InteractionSum,
    MistakeKey,
    Pair,
    attempt_place,
    time_of,
    version_key,
)
from edugraph_importer.graph.statements import CYPHER, Row, run_rows

# The sums of RELATES_TO: (error type, knowledge point, name of the sum) -> value. Strength and confidence are summed
# in thousandths.
RelatedSums = Counter[tuple[str, str, str]]


def _earliest(present: str | None, at: str) -> str:
    if present is None:
        return at
    return min(present, at)


def _latest(present: str | None, at: str) -> str:
    if present is None:
        return at
    return max(present, at)


@dataclass(slots=True)
class InteractionTotals:
    """The totals of one CHAT_WITH, LIKES or TEACHES. Only TEACHES has feedback: the latest that a record gives."""

    count: int = 0
    last: str | None = None  # an ISO text, which sorts by time
    feedback: str | None = None
    stamp: str | None = None  # the version key of the record that decides `feedback`

    def add(self, count: int, feedback: str | None, version_key: str) -> None:
        self.count += count
        self.last = _latest(self.last, time_of(version_key))
        if feedback is None:
            return
        if self.stamp is None or version_key > self.stamp:
            self.feedback = feedback
            self.stamp = version_key

    def row(self) -> Row:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class MistakeTotals:
    """The totals of one HAS_ERROR. The latest record that gives `resolved` decides it."""

    count: int = 0
    weight: float = 0.0
    first: str | None = None  # an ISO text, which sorts by time
    last: str | None = None
    resolved: bool | None = None
    stamp: str | None = None  # the version key of the record that decides `resolved`

    def add(
        self, count: int, severity_weight: float, resolved: bool | None, version_key: str
    ) -> None:
        at = time_of(version_key)
        self.count += count
        self.weight += count * severity_weight
        self.first = _earliest(self.first, at)
        self.last = _latest(self.last, at)
        if resolved is None:
            return
        if self.stamp is None or version_key > self.stamp:
            self.resolved = resolved
            self.stamp = version_key

    def row(self) -> Row:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class PracticeTotals:
    """The totals of one PRACTISED. Outcomes are thousandths of a right answer."""

    tries: int = 0
    right: int = 0
    first: int | None = None  # the outcome of the first attempt
    first_place: str | None = None
    last: str | None = None  # an ISO text, which sorts by time

    def add(self, outcome: int, place: str) -> None:
        """Add an attempt. The attempt with the smallest place is the first one."""
        self.tries += 1
        self.right += outcome
        if self.first_place is None or place < self.first_place:
            self.first = outcome
            self.first_place = place
        self.last = _latest(self.last, time_of(place))

    def row(self) -> Row:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Sums:
    """The totals of some records: all sums except RELATES_TO and CONTAINS, which findings change."""

    interactions: dict[InteractionKey, InteractionTotals] = field(
        default_factory=lambda: defaultdict(InteractionTotals)
    )
    mistakes: dict[MistakeKey, MistakeTotals] = field(
        default_factory=lambda: defaultdict(MistakeTotals)
    )
    # (student, item) -> totals
    practice: dict[Pair, PracticeTotals] = field(
        default_factory=lambda: defaultdict(PracticeTotals)
    )

    def add(self, facts: Facts) -> None:
        """Add the amounts of one record or finding."""
        if facts.interaction is not None:
            key, number, feedback = facts.interaction
            self.interactions[key].add(number, feedback, facts.version_key)
        for each in facts.mistakes:
            totals = self.mistakes[each.key]
            totals.add(each.number, each.severity_weight, each.resolved, facts.version_key)
        if facts.practice is not None:
            practice = facts.practice
            self.practice[practice.pair].add(practice.outcome, practice.place)

    def write(self, tx: neo4j.Transaction) -> None:
        """Add the totals to the relationships in the graph. The nodes at their ends must be locked."""
        rows: dict[str, list[Row]] = defaultdict(list)
        for (name, sender, receiver), interactions in self.interactions.items():
            row: Row = {"from": sender, "to": receiver, **interactions.row()}
            rows[f"add_{name}"].append(row)
        for (student_id, error_type, course_id), mistakes in self.mistakes.items():
            row = {"student": student_id, "type": error_type, "course": course_id}
            rows["add_has_error"].append(row | mistakes.row())
        for (student_id, item_id), practice in self.practice.items():
            row = {"student": student_id, "item": item_id, **practice.row()}
            rows["add_practised"].append(row)
        for statement in sorted(rows):
            run_rows(tx, statement, rows[statement])


def recompute_interactions(
    tx: neo4j.Transaction, name: InteractionSum, pairs: Collection[Pair]
) -> None:
    """Recompute the totals of these pairs (sender, receiver) from the remaining interactions."""
    if not pairs:
        return
    rows: list[Row] = [{"from": sender, "to": receiver} for sender, receiver in sorted(pairs)]
    sums = Sums()
    for row in tx.run(CYPHER[f"recompute_{name}"], rows=rows):
        totals = sums.interactions[name, row["from"], row["to"]]
        totals.add(row["count"], row["feedback"], version_key(row))
    run_rows(tx, f"remove_{name}", rows)
    sums.write(tx)


def recompute_has_error(tx: neo4j.Transaction, mistakes: Collection[MistakeKey]) -> None:
    """Recompute these totals from the remaining mistakes."""
    if not mistakes:
        return
    rows: list[Row] = []
    for student_id, error_type, course_id in sorted(mistakes):
        rows.append({"student": student_id, "type": error_type, "course": course_id})
    sums = Sums()
    for row in tx.run(CYPHER["recompute_has_error"], rows=rows):
        totals = sums.mistakes[row["student"], row["type"], row["course"]]
        severity_weight = SEVERITY_WEIGHT[row["severity"]]
        totals.add(row["count"], severity_weight, row["resolved"], version_key(row))
    run_rows(tx, "remove_has_error", rows)
    sums.write(tx)


def recompute_practised(tx: neo4j.Transaction, pairs: Collection[Pair]) -> None:
    """Recompute the totals of these pairs (student, item). The attempts of each student are read once."""
    if not pairs:
        return
    items: dict[str, list[str]] = defaultdict(list)
    for student_id, item_id in sorted(pairs):
        items[student_id].append(item_id)
    rows: list[Row] = []
    for student_id, item_ids in items.items():
        rows.append({"student": student_id, "items": item_ids})
    sums = Sums()
    for row in tx.run(CYPHER["recompute_practised"], rows=rows):
        for attempt in row["attempts"]:
            place = attempt_place(version_key(attempt), attempt["number"])
            sums.practice[row["student"], attempt["item"]].add(attempt["outcome"], place)
    run_rows(tx, "remove_practised", rows)
    sums.write(tx)


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
    if not pairs:
        return
    ids = sorted({error_type for error_type, _ in pairs})
    sums = RelatedSums()
    for row in tx.run(CYPHER["recompute_relates_to"], ids=ids):
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


def write_days(
    tx: neo4j.Transaction, days: Mapping[Day, Activity], owner_of: Callable[[str], str]
) -> None:
    """Add activity to the days in the graph. The owners must be locked, so that nobody else changes their days.

    `owner_of` returns the owner of an id. A day keeps the id of its source, so that persons can be parted again.
    """
    if not days:
        return
    by_id = {day.id: day for day in sorted(days)}
    stored = {row["id"]: row for row in tx.run(CYPHER["active_days"], ids=list(by_id))}
    new: list[Row] = []
    changed: list[Row] = []
    for day_id, day in by_id.items():
        row: Row = {
            "id": day_id,
            "student": owner_of(day.student_id),
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
