"""Removing a student, so that the graph is as if none of the records that name them had ever come.

A record may have given a name to somebody else, or a spelling to a topic: those are counted anew from the records
that stay. Nodes that only the removed records named go with them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import neo4j

from edugraph_common.contracts.outcomes import BatchOutcome, Reject
from edugraph_common.contracts.records import shorten
from edugraph_importer.graph import aggregates, orphans, record_facts
from edugraph_importer.graph.driver import Overtaken
from edugraph_importer.graph.last_write_wins import read_fields
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import Node, Pair
from edugraph_importer.graph.unit_of_work import NAMED, Book
from edugraph_importer.graph.versions import tombstone
from edugraph_importer.graph.writing import open_book, run, write_states

_RECORDS = ("ErrorRecord", "Interaction")  # a course's texts name no student


@dataclass(slots=True)
class Footprint:
    """All that a student's records touch."""

    records: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    stamps: set[str] = field(default_factory=set)
    nodes: set[Node] = field(default_factory=set)
    pairs: set[Pair] = field(default_factory=set)
    relationships: int = 0


def forget(tx: neo4j.ManagedTransaction, student: str) -> dict[str, int]:
    """Returns how many nodes were removed, by label, and how many relationships."""
    before = _footprint(tx, student)
    for label in _RECORDS:
        tx.run(CYPHER[f"lock_records_{label}"], ids=sorted(before.records[label])).consume()
    book = open_book(tx, before.nodes | {("Student", student)}, ())
    if _footprint(tx, student) != before:
        raise Overtaken
    tx.run(CYPHER["bury"], id=tombstone(student)).consume()
    removed = _remove(tx, student, before)
    _count_anew(tx, book, before)
    removed.update(orphans.delete(tx, before.nodes))
    _clear_ledger(tx, student, {known for ids in before.records.values() for known in ids})
    return {name: count for name, count in sorted(removed.items()) if count}


def _footprint(tx: neo4j.ManagedTransaction, student: str) -> Footprint:
    print_ = Footprint()
    for row in tx.run(CYPHER["records_of_student"], id=student):
        print_.records[row["label"]].add(row["record"])
        print_.stamps.add(aggregates.stamp(row))
    for label in _RECORDS:
        _neighbours(tx, print_, label)
    for row in tx.run(CYPHER["relationships_of_student"], id=student):
        print_.relationships += 1
        print_.nodes.add((row["label"], row["id"]))
        if row["type"] == "LEARNS":
            print_.stamps.update(at for _, at in read_fields(row["properties"], record_facts.LEARNS).values())
    print_.nodes.discard(("Student", student))
    return print_


def _neighbours(tx: neo4j.ManagedTransaction, print_: Footprint, label: str) -> None:
    ends: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in tx.run(CYPHER[f"neighbours_{label}"], ids=sorted(print_.records[label])):
        print_.relationships += 1
        print_.nodes.add((row["label"], row["id"]))
        ends[row["record"]][row["label"]].add(row["id"])
    for linked in ends.values():
        for kind in linked["ErrorType"]:
            print_.pairs.update((kind, point) for point in linked["KnowledgePoint"])


def _remove(tx: neo4j.ManagedTransaction, student: str, print_: Footprint) -> Counter[str]:
    there = any(print_.records.values()) or print_.relationships > 0
    for label in _RECORDS:
        tx.run(CYPHER[f"delete_records_{label}"], ids=sorted(print_.records[label])).consume()
    tx.run(CYPHER["delete_student"], id=student).consume()
    counts = Counter({label: len(print_.records[label]) for label in _RECORDS})
    return counts + Counter({"Student": int(there), "relationships": print_.relationships})


def _count_anew(tx: neo4j.ManagedTransaction, book: Book, print_: Footprint) -> None:
    aggregates.relates_to(tx, print_.pairs)
    aggregates.spellings(tx, book, {node for node in print_.nodes if node[0] in NAMED})
    aggregates.facts(tx, book, print_.nodes, print_.stamps)
    write_states(tx, book)


def _clear_ledger(tx: neo4j.ManagedTransaction, student: str, records: set[str]) -> None:
    """A report may quote the student's id, as the value that was found at fault."""
    quoted = {shorten(known) for known in (student, *records)}
    text = json.dumps(student[:40], ensure_ascii=False)[1:-1]
    rows = [
        {
            "id": row["id"],
            "outcome": _cleared_outcome(row["outcome"], quoted, student),
            "set_aside": _cleared_rejects(row["set_aside"], quoted, student),
        }
        for row in tx.run(CYPHER["outcomes_with"], text=text)
    ]
    run(tx, "set_outcomes", rows)


def _cleared_outcome(text: str, quoted: set[str], student: str) -> str:
    outcome = BatchOutcome.model_validate_json(text)
    errors = tuple(_cleared(outcome.errors, quoted, student))
    return outcome.model_copy(update={"errors": errors}).model_dump_json()


def _cleared_rejects(text: str, quoted: set[str], student: str) -> str:
    rejects = [Reject.model_validate(reject) for reject in json.loads(text)]
    return json.dumps([r.model_dump() for r in _cleared(rejects, quoted, student)], ensure_ascii=False)


def _cleared(rejects: Iterable[Reject], quoted: set[str], student: str) -> Iterator[Reject]:
    inside = json.dumps(student, ensure_ascii=False)
    for reject in rejects:
        names = reject.found in quoted or inside in reject.found
        yield reject.model_copy(update={"found": ""}) if names else reject
