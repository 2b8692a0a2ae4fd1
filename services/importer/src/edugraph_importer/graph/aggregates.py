"""Aggregates: relationships, names and descriptions that the graph derives from several records.

A new record is added to its aggregates. If a record is removed, its aggregates are recomputed from the remaining
records. Other aggregates are not touched.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import neo4j

from edugraph_common.contracts.graph_schema import ENTITY_LABELS, NAMED_LABELS
from edugraph_common.contracts.records import iso
from edugraph_importer.graph import groups
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import (
    KEYS_IN_COURSE,
    LEARNS_FIELDS,
    POINT_FIELDS,
    SEVERITY_WEIGHT,
    ItemNames,
    Mention,
    MistakeKey,
    Node,
    Pair,
    PersonInGroup,
    attempt_place,
    course_key,
)
from edugraph_importer.graph.unit_of_work import (
    FOUND_FIELDS,
    LATEST_FIELDS,
    Fields,
    MistakeTotals,
    PracticeTotals,
    UnitOfWork,
    merge_fields,
    mistake_rows,
    practice_rows,
    put_field,
    read_counts,
    read_fields,
    run_rows,
)

# The sums of RELATES_TO: (error type, knowledge point, name of the sum) -> value. Strength and confidence are summed
# in thousandths.
RelatedSums = Counter[tuple[str, str, str]]

InteractionTotal = Literal["chat_with", "likes", "teaches"]

# Statement that returns the records of a node -> field of the record -> field of the node.
NODE_FIELDS_OF_RECORDS: Mapping[str, Mapping[str, str]] = {
    "course_records_of_Student": {"student_name": "name"},
    "definitions_of_Item": {name: name for name in LATEST_FIELDS["Item"]},
    "definitions_of_KnowledgePoint": POINT_FIELDS,
    "definitions_of_Term": {name: name for name in LATEST_FIELDS["Term"]},
}
# Field of a CourseRecord -> field of the course.
COURSE_FIELDS = {
    "course_name": "name",
    "course_description": "description",
    "difficulty": "difficulty",
}


@dataclass(slots=True)
class Outdated:
    """The aggregates to recompute, because records or findings were removed from them.

    `spellings` and `relates_to` are only used when everything is derived again; otherwise they are counted up and
    down. `descriptions` has ids of points. `fields` has nodes whose name or other field may come from a removed
    record. `version_keys` has the keys of the removed records. With `any_field`, all fields of these nodes are
    recomputed.
    """

    interactions: dict[InteractionTotal, set[Pair]] = field(
        default_factory=lambda: defaultdict(set)
    )
    mistakes: set[MistakeKey] = field(default_factory=set)
    practised: set[Pair] = field(default_factory=set)
    memberships: set[PersonInGroup] = field(default_factory=set)
    relates_to: set[Pair] = field(default_factory=set)
    contains: set[Pair] = field(default_factory=set)
    learns: set[Pair] = field(default_factory=set)
    spellings: set[Node] = field(default_factory=set)
    descriptions: set[str] = field(default_factory=set)
    fields: set[Node] = field(default_factory=set)
    version_keys: set[str] = field(default_factory=set)
    any_field: bool = False


def raise_contains(tx: neo4j.Transaction, contains: Mapping[Pair, tuple[str, int | None]]) -> None:
    """Raise CONTAINS by (importance, order)."""
    rows: list[Row] = []
    for (course_id, point), (importance, order) in contains.items():
        rows.append({"from": course_id, "to": point, "importance": importance, "order": order})
    run_rows(tx, "raise_contains", rows)


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


def recompute(tx: neo4j.Transaction, unit: UnitOfWork, outdated: Outdated) -> None:
    """Recompute from the records that are in the graph. Names, descriptions and fields go into `unit`."""
    for total, pairs in outdated.interactions.items():
        _recompute_interactions(tx, total, pairs)
    _recompute_has_error(tx, outdated.mistakes)
    _recompute_practised(tx, outdated.practised)
    groups.write_memberships(tx, outdated.memberships, unit.leading)
    _recompute_related(tx, outdated.relates_to)
    _recompute_contains(tx, outdated.contains)
    _recompute_learns(tx, unit, outdated.learns)
    _recompute_spellings(tx, unit, outdated.spellings)
    _recompute_descriptions(tx, unit, outdated.descriptions)
    _recompute_fields(tx, unit, outdated)


def _recompute_related(tx: neo4j.Transaction, pairs: Collection[Pair]) -> None:
    """Recompute RELATES_TO for these pairs.

    This reads every record of the error types, so it is too slow to run for each record.
    """
    ids = sorted({error_type for error_type, _ in pairs})
    sums = RelatedSums()
    for row in _rows(tx, "stated_related", ids):
        pair = (row["from"], row["to"])
        if pair in pairs:
            sums.update(related({pair: (row["strength"], row["confidence"])}))
    run_rows(
        tx,
        "remove_relates_to",
        [{"from": error_type, "to": point} for error_type, point in sorted(pairs)],
    )
    write_related(tx, sums)


def _recompute_contains(tx: neo4j.Transaction, pairs: Iterable[Pair]) -> None:
    rows: list[Row] = [{"from": course_id, "to": point} for course_id, point in sorted(pairs)]
    if not rows:
        return
    totals = [dict(row) for row in tx.run(CYPHER["recompute_contains"], rows=rows)]
    # The pair is removed first, so that raising starts from nothing. A pair without records stays removed.
    run_rows(tx, "remove_contains", rows)
    run_rows(tx, "raise_contains", totals)


def _recompute_has_error(tx: neo4j.Transaction, mistakes: Iterable[MistakeKey]) -> None:
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


def _recompute_practised(tx: neo4j.Transaction, pairs: Iterable[Pair]) -> None:
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


def item_names(tx: neo4j.Transaction, records: Mapping[str, Iterable[str]]) -> ItemNames:
    """Return the names of items and points that these records use. `records` maps a label to ids."""
    names = ItemNames()
    for label in ("Attempt", "Definition"):
        ids = sorted(records.get(label, ()))
        for row in _rows(tx, f"item_names_{label}", ids):
            names.add(row["item"], row["title"], row["points"] or ())
    return names


def _recompute_interactions(
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


def _recompute_learns(tx: neo4j.Transaction, unit: UnitOfWork, pairs: Iterable[Pair]) -> None:
    rows: list[Row] = [
        {"student": student_id, "course": course_id} for student_id, course_id in sorted(pairs)
    ]
    if not rows:
        return
    found: dict[Pair, Fields] = defaultdict(dict)
    for row in tx.run(CYPHER["course_records"], rows=rows):
        merge_fields(found[row["student"], row["course"]], given_fields(row, LEARNS_FIELDS))
    for pair in pairs:
        unit.replace_learns(pair, found.get(pair))


def given_fields(row: neo4j.Record, names: Iterable[str]) -> Fields:
    """Return the values that a record has for these fields, with the record's version key."""
    return read_fields(row["properties"] | {"stamp": version_key(row)}, names)


def _rows(tx: neo4j.Transaction, name: str, ids: list[str]) -> Iterable[neo4j.Record]:
    """Run the named statement over the ids, if there are any."""
    return tx.run(CYPHER[name], ids=ids) if ids else ()


def mentions(row: neo4j.Record) -> Iterator[Mention]:
    """Yield the spellings that a record's link has for the node at its end, both stated and found.

    The names of a point in its definition do not count as spellings: they are names that join the point's id.
    """
    if row["label"] not in NAMED_LABELS or row["type"] == "DEFINES":
        return
    node = (row["label"], row["end"])
    for spelling in (*(row["stated"] or ()), *(row["found"] or ())):
        yield node, spelling


def _recompute_spellings(tx: neo4j.Transaction, unit: UnitOfWork, nodes: Iterable[Node]) -> None:
    """Count again all spellings of these nodes.

    This reads every record that names them, so it is too slow to run for each record.
    """
    ids = defaultdict(list)
    for label, node_id in sorted(nodes):
        ids[label].append(node_id)
        unit.spellings[label, node_id] = Counter()
        unit.changed_nodes.add((label, node_id))
    for label in NAMED_LABELS:
        for row in _rows(tx, f"spellings_{label}", ids[label]):
            unit.spellings[label, row["id"]][row["spelling"]] += row["records"]
    for row in _rows(tx, "tested_spellings", ids["KnowledgePoint"]):
        unit.spellings["KnowledgePoint", row["id"]].update(read_counts(row))


def _recompute_descriptions(tx: neo4j.Transaction, unit: UnitOfWork, points: Iterable[str]) -> None:
    ids = sorted(points)
    for point in ids:
        for name in FOUND_FIELDS:
            unit.fields["KnowledgePoint", point].pop(name, None)
        unit.changed_nodes.add(("KnowledgePoint", point))
    for row in _rows(tx, "descriptions", ids):
        fields = unit.fields["KnowledgePoint", row["id"]]
        for name in FOUND_FIELDS:
            put_field(fields, name, row[name], version_key(row))


def _recompute_fields(tx: neo4j.Transaction, unit: UnitOfWork, outdated: Outdated) -> None:
    """Recompute the fields of the nodes that took one from a removed record."""
    ids: dict[str, list[str]] = defaultdict(list)
    for node in sorted(outdated.fields):
        label, node_id = node
        if label not in LATEST_FIELDS:
            continue
        fields = unit.fields[node]
        # Most nodes took nothing from the removed records.
        took_a_field = any(decided_by in outdated.version_keys for _, decided_by in fields.values())
        if not took_a_field and not outdated.any_field:
            continue
        ids[label].append(node_id)
        if label == "KnowledgePoint":
            unit.fields[node] = {name: fields[name] for name in FOUND_FIELDS if name in fields}
        else:
            unit.fields[node] = {}
        unit.changed_nodes.add(node)
    _put_latest_of_courses(tx, unit, ids["Course"])
    for label in ("Student", "Teacher"):
        for row in _rows(tx, f"names_{label}", ids[label]):
            put_field(unit.fields[label, row["id"]], "name", row["name"], version_key(row))
    for statement, field_of_node in NODE_FIELDS_OF_RECORDS.items():
        label = statement.rpartition("_")[2]
        for row in _rows(tx, statement, ids[label]):
            for name, (value, decided_by) in given_fields(row, field_of_node).items():
                put_field(unit.fields[label, row["id"]], field_of_node[name], value, decided_by)


def _put_latest_of_courses(
    tx: neo4j.Transaction, unit: UnitOfWork, course_ids: Iterable[str]
) -> None:
    """Put the fields of courses from their latest records. An index finds these, so no other records are read."""
    for course_id in course_ids:
        fields = unit.fields["Course", course_id]
        prefix = course_key(course_id, "")
        for given, key in KEYS_IN_COURSE.items():
            latest = tx.run(CYPHER[f"latest_of_course_{key}"], id=course_id, prefix=prefix).single()
            if latest is None:
                continue
            value = latest["properties"].get(given, latest["name"])
            decided_by = latest["key"].removeprefix(prefix)
            put_field(fields, COURSE_FIELDS[given], value, decided_by)


def delete_orphans(tx: neo4j.Transaction, nodes: Iterable[Node]) -> Counter[str]:
    """Delete the nodes that have no relationships left. Return the number of deleted nodes by label.

    The records that named such a node were removed, or a newer finding does not name it.
    """
    ids, deleted = defaultdict(list), Counter[str]()
    for label, node_id in sorted(nodes):
        ids[label].append(node_id)
    for label in ENTITY_LABELS:
        if ids[label]:
            row = tx.run(CYPHER[f"delete_orphans_{label}"], ids=ids[label]).single()
            deleted[label] = row["deleted"] if row else 0
    return deleted


def version_key(row: Mapping[str, Any] | neo4j.Record) -> str:
    """Return the version key of the record in a row. The row has its `timestamp`, and its id as `record`."""
    return f"{iso(row['timestamp'].to_native())}|{row['record']}"
