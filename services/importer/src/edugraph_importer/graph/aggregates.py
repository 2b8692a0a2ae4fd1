"""Aggregates: relationships, names and descriptions that the graph derives from several records.

Where a finding only adds, its aggregates are raised. Where something is taken back, the aggregates that it had a part
in are recomputed from the records that stay, and no others.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import neo4j

from edugraph_common.contracts.findings import RecordFinding
from edugraph_common.contracts.graph_schema import ENTITY_LABELS
from edugraph_common.contracts.records import ErrorRecord, Record, iso
from edugraph_importer.graph import finding_facts, record_facts
from edugraph_importer.graph.finding_facts import TARGET_LABEL, FindingFacts
from edugraph_importer.graph.last_write_wins import Spellings, put_field, read_fields
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import LABEL_OF_TYPE, MistakeKey, Node, Pair
from edugraph_importer.graph.unit_of_work import (
    LATEST_FIELDS,
    NAMED_LABELS,
    MistakeTotals,
    Row,
    UnitOfWork,
    mistake_rows,
    run_rows,
)

InteractionTotal = Literal["chat_with", "likes", "teaches"]

# What a course_record says of the nodes at the ends of LEARNS: field of LEARNS -> field of the node.
_NODE_FIELD_OF_LEARNS: Mapping[str, Mapping[str, str]] = {
    "Student": {"student_name": "name"},
    "Course": {"course_name": "name", "course_description": "description", "difficulty": "difficulty"},
}


@dataclass(frozen=True, slots=True)
class FindingUpdate:
    """The finding of one record, and the older one (or none) whose place it takes. `text`: the new one as stored."""

    record: Record
    finding: RecordFinding
    old: FindingFacts
    new: FindingFacts
    text: str

    def nodes(self) -> Iterator[Node]:
        """Yield all nodes that the update may change."""
        yield from record_facts.nodes(self.record)
        for relationship_type, label in TARGET_LABEL.items():
            ends = {*self.old.links_of(relationship_type), *self.new.links_of(relationship_type)}
            yield from ((label, end) for end in ends)

    def links(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield (relationship type, id of its end, properties) of what is found now; absent properties are None."""
        for relationship_type, links in self.new.links.items():
            yield from ((relationship_type, end, properties) for end, properties in links.items())

    def dropped_links(self) -> Iterator[tuple[str, str]]:
        """Yield (relationship type, id of its end) of what is no longer found."""
        for relationship_type, links in self.old.links.items():
            still_found = self.new.links_of(relationship_type)
            yield from ((relationship_type, end) for end in links if end not in still_found)

    def add_rows(self, rows: Mapping[str, list[Row]]) -> None:
        """Add to the rows of each statement what writes the finding on its record's node and links."""
        record_id = self.record.record_id
        properties = finding_facts.node_properties(self.finding, self.text)
        rows[f"set_finding_{LABEL_OF_TYPE[self.record.type]}"].append({"id": record_id, "p": properties})
        for relationship_type, end in self.dropped_links():
            rows[f"unlink_{relationship_type}"].append({"id": record_id, "end": end})
        for relationship_type, end, properties in self.links():
            rows[f"link_{relationship_type}"].append({"id": record_id, "end": end, "p": properties})


@dataclass(slots=True)
class AggregateUpdates:
    """What the finding updates of one transaction raise, what they make recompute, and what they may orphan."""

    raised_relates_to: dict[Pair, tuple[float, float]] = field(default_factory=dict)
    raised_contains: dict[Pair, tuple[str, int | None]] = field(default_factory=dict)
    relates_to: set[Pair] = field(default_factory=set)
    contains: set[Pair] = field(default_factory=set)
    mistakes: set[MistakeKey] = field(default_factory=set)
    spellings: set[Node] = field(default_factory=set)
    descriptions: set[str] = field(default_factory=set)
    unlinked: set[Node] = field(default_factory=set)

    def add(self, update: FindingUpdate, staged: UnitOfWork) -> None:
        """Add one update. What only adds to mistakes, names and descriptions is staged."""
        self._add_relationships(update, staged)
        key, old, new = update.record.version_key, update.old, update.new
        for relationship_type, end in update.dropped_links():
            self.unlinked.add((TARGET_LABEL[relationship_type], end))
            self.spellings.add((TARGET_LABEL[relationship_type], end))
        for relationship_type, end, properties in update.links():
            node = (TARGET_LABEL[relationship_type], end)
            old_spellings = old.links_of(relationship_type).get(end, {}).get("found_as", ())
            # A spelling that is no longer found may be the node's name or alias because of this record alone.
            if set(old_spellings) - set(properties["found_as"]):
                self.spellings.add(node)
            for spelling in properties["found_as"]:
                staged.add_spelling(node, spelling, key)
        old_points, new_points = old.links_of("DESCRIBES"), new.links_of("DESCRIBES")
        for point in {*old_points, *new_points}:
            for name in LATEST_FIELDS["KnowledgePoint"]:
                old_value, new_value = old_points.get(point, {}).get(name), new_points.get(point, {}).get(name)
                if old_value is not None and old_value != new_value:
                    self.descriptions.add(point)
                staged.put_field(("KnowledgePoint", point), name, new_value, key)

    def _add_relationships(self, update: FindingUpdate, staged: UnitOfWork) -> None:
        """Recompute a pair that the old finding had too, if it changed; raise a pair that is new."""
        record, data, old, new = update.record, update.record.data, update.old, update.new
        old_pairs, new_pairs = finding_facts.relates_to(record, old), finding_facts.relates_to(record, new)
        self.relates_to |= {pair for pair, value in old_pairs.items() if new_pairs.get(pair) != value}
        for pair in new_pairs.keys() - old_pairs.keys():
            (strength, confidence), raised = new_pairs[pair], self.raised_relates_to.get(pair, (0.0, 0.0))
            self.raised_relates_to[pair] = (max(raised[0], strength), max(raised[1], confidence))
        old_contents, new_contents = finding_facts.contains(record, old), finding_facts.contains(record, new)
        self.contains |= {pair for pair, value in old_contents.items() if new_contents.get(pair) != value}
        for pair in new_contents.keys() - old_contents.keys():
            (importance, order), raised_content = new_contents[pair], self.raised_contains.get(pair)
            if raised_content is not None:
                importance = min(importance, raised_content[0])  # "core" is smaller than "supplementary"
                order = min((each for each in (order, raised_content[1]) if each is not None), default=None)
            self.raised_contains[pair] = (importance, order)
        if isinstance(data, ErrorRecord):
            old_types = finding_facts.error_types(record, old)
            new_types = finding_facts.error_types(record, new)
            old_severity, new_severity = finding_facts.severity(data, old), finding_facts.severity(data, new)
            # With another severity, all mistakes of the record weigh differently.
            for error_type in old_types - new_types if old_severity == new_severity else old_types:
                self.mistakes.update((data.student_id, error_type, course_id) for course_id in data.courses)
            for error_type in new_types - old_types:
                staged.count_mistakes(record, data, error_type, new_severity)

    def write(self, tx: neo4j.ManagedTransaction, unit: UnitOfWork) -> None:
        """Raise and recompute, once all records and links are written. Names and descriptions go into `unit`."""
        raised_relates_to: list[Row] = [
            {"from": error_type, "to": point, "strength": strength, "confidence": confidence}
            for (error_type, point), (strength, confidence) in sorted(self.raised_relates_to.items())
        ]
        raised_contains: list[Row] = [
            {"from": course_id, "to": point, "importance": importance, "order": order}
            for (course_id, point), (importance, order) in self.raised_contains.items()
        ]
        run_rows(tx, "raise_relates_to", raised_relates_to)
        run_rows(tx, "raise_contains", raised_contains)
        recompute_relates_to(tx, self.relates_to)
        recompute_contains(tx, self.contains)
        recompute_has_error(tx, self.mistakes)
        recompute_spellings(tx, unit, self.spellings)
        recompute_descriptions(tx, unit, self.descriptions)


def recompute_relates_to(tx: neo4j.ManagedTransaction, pairs: Iterable[Pair]) -> None:
    _recompute_pairs(tx, "relates_to", pairs)


def recompute_contains(tx: neo4j.ManagedTransaction, pairs: Iterable[Pair]) -> None:
    _recompute_pairs(tx, "contains", pairs)


def _recompute_pairs(tx: neo4j.ManagedTransaction, relationship_type: str, pairs: Iterable[Pair]) -> None:
    rows: list[Row] = [{"from": start, "to": end} for start, end in sorted(pairs)]
    if rows:
        totals = [dict(row) for row in tx.run(CYPHER[f"recompute_{relationship_type}"], rows=rows)]
        # Raising starts from nothing once the pair is removed. A pair without records stays removed.
        run_rows(tx, f"remove_{relationship_type}", rows)
        run_rows(tx, f"raise_{relationship_type}", totals)


def recompute_has_error(tx: neo4j.ManagedTransaction, mistakes: Iterable[MistakeKey]) -> None:
    rows: list[Row] = [
        {"student": student_id, "type": error_type, "course": course_id}
        for student_id, error_type, course_id in sorted(mistakes)
    ]
    if not rows:
        return
    totals: dict[MistakeKey, MistakeTotals] = defaultdict(MistakeTotals)
    for row in tx.run(CYPHER["recompute_has_error"], rows=rows):
        one, at = totals[row["student"], row["type"], row["course"]], iso(row["timestamp"].to_native())
        one.add(row["count"], row["count"] * record_facts.SEVERITY_WEIGHT[row["severity"]], at)
        one.put_resolved(row["resolved"], version_key(row))
    run_rows(tx, "remove_has_error", rows)
    run_rows(tx, "has_error", mistake_rows(totals))


def recompute_interactions(tx: neo4j.ManagedTransaction, total: InteractionTotal, pairs: Iterable[Pair]) -> None:
    """Recompute the totals of pairs (id of the sender, id of the receiver)."""
    rows: list[Row] = [{"from": sender, "to": receiver} for sender, receiver in sorted(pairs)]
    totals = [dict(row) for row in tx.run(CYPHER[f"recompute_{total}"], rows=rows)] if rows else []
    if total == "teaches":
        # These rows are single interactions, since the latest one that gives feedback decides the feedback.
        sums: dict[Pair, Row] = {}
        for row in sorted(totals, key=version_key):
            pair = (row["from"], row["to"])
            before = sums.get(pair, {"from": pair[0], "to": pair[1], "count": 0, "feedback": None, "stamp": None})
            feedback = {"feedback": row["feedback"], "stamp": version_key(row)} if row["feedback"] is not None else {}
            sums[pair] = before | {"count": before["count"] + row["count"], "last": row["timestamp"]} | feedback
        totals = list(sums.values())
    run_rows(tx, f"remove_{total}", rows)
    run_rows(tx, f"create_{total}", totals)


def recompute_spellings(tx: neo4j.ManagedTransaction, unit: UnitOfWork, nodes: Iterable[Node]) -> None:
    ids = defaultdict(list)
    for label, node_id in sorted(nodes):
        ids[label].append(node_id)
        unit.spellings[label, node_id] = Spellings()
        unit.changed_nodes.add((label, node_id))
    for label in NAMED_LABELS:
        for row in tx.run(CYPHER[f"spellings_{label}"], ids=ids[label]) if ids[label] else ():
            for spelling in row["spelled"]:
                unit.spellings[label, row["id"]].add(spelling, version_key(row))


def recompute_descriptions(tx: neo4j.ManagedTransaction, unit: UnitOfWork, points: Iterable[str]) -> None:
    ids = sorted(points)
    for point in ids:
        unit.fields["KnowledgePoint", point] = {}
        unit.changed_nodes.add(("KnowledgePoint", point))
    for row in tx.run(CYPHER["descriptions"], ids=ids) if ids else ():
        fields = unit.fields["KnowledgePoint", row["id"]]
        for name in LATEST_FIELDS["KnowledgePoint"]:
            put_field(fields, name, row[name], version_key(row))


def recompute_fields(
    tx: neo4j.ManagedTransaction, unit: UnitOfWork, nodes: Iterable[Node], removed: set[str]
) -> None:
    """Recompute the fields of the nodes that took one from a removed record. `removed`: the records' version keys."""
    ids = defaultdict(list)
    for label, node_id in sorted(nodes):
        if label in ("Course", "Student", "Teacher"):
            fields = unit.fields[label, node_id]
            # Most nodes took nothing from the removed records, and to read all records of a course would take long.
            if any(decided_by in removed for _, decided_by in fields.values()):
                ids[label].append(node_id)
                unit.fields[label, node_id] = {}
                unit.changed_nodes.add((label, node_id))
    for label, node_ids in ids.items():
        for row in tx.run(CYPHER[f"names_{label}"], ids=node_ids):
            put_field(unit.fields[label, row["id"]], "name", row["name"], version_key(row))
        given = _NODE_FIELD_OF_LEARNS.get(label, {})
        for row in tx.run(CYPHER[f"learns_of_{label}"], ids=node_ids) if given else ():
            for name, (value, decided_by) in read_fields(row["properties"], given).items():
                put_field(unit.fields[label, row["id"]], given[name], value, decided_by)


def delete_orphans(tx: neo4j.ManagedTransaction, nodes: Iterable[Node]) -> Counter[str]:
    """Delete those of the nodes that have no relationship left. Return how many there were, by label.

    Their record is gone, or the finding that named them was superseded.
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
    """Return the version key of the record in a row with its `timestamp` and its id as `record`."""
    return f"{iso(row['timestamp'].to_native())}|{row['record']}"
