"""From a book to the graph: locks first, in one order everywhere, then everything else."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import neo4j
from neo4j.time import DateTime

from edugraph_common.contracts.graph_schema import ENTITY_LABELS
from edugraph_common.contracts.records import iso
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.last_write_wins import field_properties
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import Node, Pair
from edugraph_importer.graph.unit_of_work import LATEST, NAMED, Book, Mistakes, Row

_IN_ORDER = (
    "create_course_content",
    "create_error_record",
    "create_chat",
    "create_like",
    "create_teacher_interaction",
    "in_more_courses",
    "about",
)


def open_book(tx: neo4j.ManagedTransaction, nodes: Iterable[Node], pairs: Iterable[Pair]) -> Book:
    """Locks the nodes, making those that are missing, by label and then id: the one order of all locks."""
    book, ids = Book(), defaultdict(set)
    for label, known in nodes:
        ids[label].add(known)
    for label in ENTITY_LABELS:
        if ids[label]:
            row = tx.run(CYPHER[f"lock_{label}"], ids=sorted(ids[label])).single(strict=True)
            for known, properties in row["nodes"]:
                book.open_node((label, known), properties)
    _open_learns(tx, book, pairs)
    return book


def _open_learns(tx: neo4j.ManagedTransaction, book: Book, pairs: Iterable[Pair]) -> None:
    rows = [{"student": student, "course": course} for student, course in pairs]
    for row in tx.run(CYPHER["read_learns"], rows=rows) if rows else ():
        for student, course, properties in row["learns"]:
            book.open_learns((student, course), properties)


def write_rows(tx: neo4j.ManagedTransaction, book: Book) -> None:
    """The new records, and what they add to the relationships of others."""
    for name in _IN_ORDER:
        run(tx, name, sorted(book.rows[name], key=_by_id))
    run(tx, "has_error", mistake_rows(book.mistakes))


def write_states(tx: neo4j.ManagedTransaction, book: Book) -> None:
    """Names and the like of the nodes that changed, and how students stand in their courses."""
    _write_nodes(tx, book)
    _write_learns(tx, book)


def run(tx: neo4j.ManagedTransaction, name: str, rows: list[Row]) -> None:
    if rows:
        tx.run(CYPHER[name], rows=rows).consume()


def _by_id(row: Row) -> str:
    """A new key is a lock, too."""
    return str(row["id"])


def _write_nodes(tx: neo4j.ManagedTransaction, book: Book) -> None:
    rows = defaultdict(list)
    for node in sorted(book.changed):
        rows[node[0]].append({"id": node[1], "p": node_properties(book, node)})
    for label in ENTITY_LABELS:
        run(tx, f"set_{label}", rows[label])


def node_properties(book: Book, node: Node) -> dict[str, Any]:
    label, properties = node[0], dict[str, Any]()
    if label in LATEST:
        properties |= field_properties(book.fields[node], LATEST[label])
    if label in NAMED:
        properties |= book.spellings[node].properties()
    return properties


def _write_learns(tx: neo4j.ManagedTransaction, book: Book) -> None:
    run(tx, "create_learns", [_new_learns_row(book, pair) for pair in sorted(book.learns_new)])
    changed = sorted(book.learns_changed - book.learns_new)
    run(tx, "set_learns", [_learns_row(book, pair) for pair in changed])


def _new_learns_row(book: Book, pair: Pair) -> Row:
    """There is nothing to remove yet, and to look for it takes as long as to write the rest."""
    row = _learns_row(book, pair)
    return row | {"p": {name: value for name, value in row["p"].items() if value is not None}}


def _learns_row(book: Book, pair: Pair) -> Row:
    properties = field_properties(book.learns[pair], record_facts.LEARNS) | {
        "records": "".join(sorted(book.learns_said[pair]))
    }
    enrolled, completed = properties.pop("enrollment_date"), properties.pop("completion_date")
    dates = {"enrolled": _moment(enrolled), "completed": _moment(completed)}
    return {"student": pair[0], "course": pair[1], "p": properties, **dates}


def _moment(value: datetime | DateTime | None) -> str | None:
    """Moments travel as text: the driver's own way to send them costs as much as all the rest of a batch."""
    if value is None:
        return None
    return iso(value.to_native() if isinstance(value, DateTime) else value)


def mistake_rows(mistakes: Mapping[tuple[str, str, str], Mistakes]) -> list[Row]:
    return [
        {"student": student, "type": kind, "course": course, **sums.row()}
        for (student, kind, course), sums in mistakes.items()
    ]
