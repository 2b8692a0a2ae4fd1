"""Counting pairs, names and descriptions anew from their records, where something was taken back."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import neo4j
from neo4j.time import DateTime

from edugraph_common.contracts.records import iso
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.last_write_wins import Spellings, put_field, read_fields
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import Node, Pair
from edugraph_importer.graph.revision import Triple
from edugraph_importer.graph.unit_of_work import LATEST, NAMED, Book, Mistakes, Row
from edugraph_importer.graph.writing import mistake_rows, run

_FACTS: Mapping[str, Mapping[str, str]] = {
    "Student": {"student_name": "name"},
    "Course": {"course_name": "name", "course_description": "description", "difficulty": "difficulty"},
}
"""Of LEARNS: what a course_record said of its ends."""


def relates_to(tx: neo4j.ManagedTransaction, pairs: Iterable[Pair]) -> None:
    _pairs(tx, "relates_to", pairs)


def contains(tx: neo4j.ManagedTransaction, pairs: Iterable[Pair]) -> None:
    _pairs(tx, "contains", pairs)


def has_error(tx: neo4j.ManagedTransaction, triples: Iterable[Triple]) -> None:
    rows = [{"student": student, "type": kind, "course": course} for student, kind, course in sorted(triples)]
    if not rows:
        return
    sums: dict[Triple, Mistakes] = defaultdict(Mistakes)
    for row in tx.run(CYPHER["recount_has_error"], rows=rows):
        _count(sums[row["student"], row["type"], row["course"]], row)
    run(tx, "remove_has_error", rows)
    run(tx, "has_error", mistake_rows(sums))


def told(tx: neo4j.ManagedTransaction, kind: str, pairs: Iterable[Pair]) -> None:
    """`kind`: chat_with, likes or teaches; pairs of who sent and who received."""
    rows: list[Row] = [{"from": start, "to": end} for start, end in sorted(pairs)]
    counted = [dict(row) for row in tx.run(CYPHER[f"recount_{kind}"], rows=rows)] if rows else []
    run(tx, f"remove_{kind}", rows)
    run(tx, f"create_{kind}", _lessons(counted) if kind == "teaches" else counted)


def spellings(tx: neo4j.ManagedTransaction, book: Book, nodes: Iterable[Node]) -> None:
    ids = defaultdict(list)
    for label, known in sorted(nodes):
        ids[label].append(known)
        book.spellings[label, known] = Spellings()
        book.changed.add((label, known))
    for label in NAMED:
        for row in tx.run(CYPHER[f"spellings_{label}"], ids=ids[label]) if ids[label] else ():
            for spelling in row["spelled"]:
                book.spellings[label, row["id"]].add(spelling, stamp(row))


def descriptions(tx: neo4j.ManagedTransaction, book: Book, points: Iterable[str]) -> None:
    ids = sorted(points)
    for point in ids:
        book.fields["KnowledgePoint", point] = {}
        book.changed.add(("KnowledgePoint", point))
    for row in tx.run(CYPHER["descriptions"], ids=ids) if ids else ():
        fields = book.fields["KnowledgePoint", row["id"]]
        for name in LATEST["KnowledgePoint"]:
            put_field(fields, name, row[name], stamp(row))


def facts(tx: neo4j.ManagedTransaction, book: Book, nodes: Iterable[Node], stamps: set[str]) -> None:
    """Names and the like of those nodes that took one from a record that is gone; `stamps` are the records'."""
    ids = defaultdict(list)
    for label, known in sorted(nodes):
        if label in ("Course", "Student", "Teacher") and _gave(book, (label, known), stamps):
            ids[label].append(known)
    for label, taken in ids.items():
        _facts_of(tx, book, label, taken)


def stamp(row: Mapping[str, Any] | neo4j.Record) -> str:
    """Of the record in a row with its `timestamp` and its id as `record`."""
    return f"{_text(row['timestamp'])}|{row['record']}"


def _gave(book: Book, node: Node, stamps: set[str]) -> bool:
    """True if one of the removed records decides a field of the node."""
    return any(at in stamps for _, at in book.fields[node].values())


def _facts_of(tx: neo4j.ManagedTransaction, book: Book, label: str, ids: list[str]) -> None:
    for known in ids:
        book.fields[label, known] = {}
        book.changed.add((label, known))
    for row in tx.run(CYPHER[f"names_{label}"], ids=ids) if ids else ():
        put_field(book.fields[label, row["id"]], "name", row["name"], stamp(row))
    for known, name, value, at in _learned(tx, label, ids):
        put_field(book.fields[label, known], name, value, at)


def _learned(tx: neo4j.ManagedTransaction, label: str, ids: list[str]) -> Iterator[tuple[str, str, Any, str]]:
    """(node, field, value, stamp) as the course records that stay give them."""
    facts = _FACTS.get(label)
    if not facts or not ids:
        return
    for row in tx.run(CYPHER[f"learns_of_{label}"], ids=ids):
        for name, (value, at) in read_fields(row["properties"], facts).items():
            yield row["id"], facts[name], value, at


def _lessons(rows: Iterable[Row]) -> list[Row]:
    """The sums of each pair; the latest record that gives feedback decides it."""
    sums: dict[Pair, Row] = {}
    for row in sorted(rows, key=stamp):
        pair = (row["from"], row["to"])
        before = sums.get(pair, {"from": pair[0], "to": pair[1], "count": 0, "feedback": None, "stamp": None})
        said = {} if row["feedback"] is None else {"feedback": row["feedback"], "stamp": stamp(row)}
        sums[pair] = before | {"count": before["count"] + row["count"], "last": row["timestamp"]} | said
    return list(sums.values())


def _pairs(tx: neo4j.ManagedTransaction, kind: str, pairs: Iterable[Pair]) -> None:
    rows: list[Row] = [{"from": start, "to": end} for start, end in sorted(pairs)]
    if rows:
        counted = [dict(row) for row in tx.run(CYPHER[f"recount_{kind}"], rows=rows)]
        run(tx, f"remove_{kind}", rows)
        run(tx, f"raise_{kind}", counted)


def _count(sums: Mistakes, row: neo4j.Record) -> None:
    at = _text(row["timestamp"])
    sums.add(row["count"], row["count"] * record_facts.WEIGHT[row["severity"]], at)
    sums.say(row["resolved"], f"{at}|{row['id']}")


def _text(timestamp: DateTime) -> str:
    return iso(timestamp.to_native())
