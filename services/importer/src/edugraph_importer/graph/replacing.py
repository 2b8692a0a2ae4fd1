"""A newer version of a record takes the place of an older one: the graph is as if the older had never come.

What the older one had a part in is read under its lock, then taken back: its node goes, and the pairs, names and
descriptions that it touched are counted anew from the records that stay (docs/adr/0003).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import neo4j

from edugraph_common.contracts.graph_schema import RECORD_LABELS
from edugraph_importer.graph import aggregates, claims, finding_facts
from edugraph_importer.graph.driver import Overtaken
from edugraph_importer.graph.finding_facts import Found
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import Node, Pair
from edugraph_importer.graph.revision import Triple
from edugraph_importer.graph.unit_of_work import NAMED, Book
from edugraph_importer.graph.versions import Held

Ends = Mapping[str, set[str]]  # relationship type -> ids at its other ends

_TOLD = {"chat": "chat_with", "like": "likes", None: "teaches"}
"""Interaction type -> the relationship that counts it."""


@dataclass(slots=True)
class Old:
    """All that the versions to be taken back had a part in. `said`: what was found in them, by their ids."""

    records: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    said: dict[str, Found] = field(default_factory=dict)
    stamps: set[str] = field(default_factory=set)
    nodes: set[Node] = field(default_factory=set)
    told: dict[str, set[Pair]] = field(default_factory=lambda: defaultdict(set))
    mistakes: set[Triple] = field(default_factory=set)
    relates: set[Pair] = field(default_factory=set)
    contains: set[Pair] = field(default_factory=set)


def read(tx: neo4j.ManagedTransaction, replaced: Mapping[str, Held]) -> Old:
    """Locks the versions. Raises Overtaken if one of them is not what the transaction saw before."""
    old = Old()
    if any(held.label == "CourseContent" for held in replaced.values()):
        claims.lock(tx)
    for label in RECORD_LABELS:
        _lock(tx, old, label, {known: held for known, held in replaced.items() if held.label == label})
    for label, ids in old.records.items():
        _read_links(tx, old, label, ids)
    return old


def take_back(tx: neo4j.ManagedTransaction, book: Book, old: Old) -> None:
    """Under the locks of `old.nodes`. The caller sees to prerequisites and to nodes that nothing names any more."""
    if not old.records:
        return
    for label in RECORD_LABELS:
        if old.records[label]:
            tx.run(CYPHER[f"delete_records_{label}"], ids=old.records[label]).consume()
    for kind, pairs in old.told.items():
        aggregates.told(tx, kind, pairs)
    aggregates.has_error(tx, old.mistakes)
    aggregates.relates_to(tx, old.relates)
    aggregates.contains(tx, old.contains)
    aggregates.spellings(tx, book, {node for node in old.nodes if node[0] in NAMED})
    aggregates.descriptions(tx, book, {known for label, known in old.nodes if label == "KnowledgePoint"})
    aggregates.facts(tx, book, old.nodes, old.stamps)


def _lock(tx: neo4j.ManagedTransaction, old: Old, label: str, replaced: Mapping[str, Held]) -> None:
    if not replaced:
        return
    row = tx.run(CYPHER[f"lock_records_{label}"], ids=sorted(replaced)).single(strict=True)
    hashes = {known: content_hash for known, _, content_hash, _ in row["records"]}
    if hashes != {known: held.content_hash for known, held in replaced.items()}:
        raise Overtaken
    old.records[label] = sorted(replaced)
    old.said |= {known: finding_facts.of_stored(finding) for known, _, _, finding in row["records"]}


def _read_links(tx: neo4j.ManagedTransaction, old: Old, label: str, ids: Iterable[str]) -> None:
    linked: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    heads: dict[str, Any] = {}
    for row in tx.run(CYPHER[f"links_of_{label}"], ids=ids):
        linked[row["record"]][row["type"]].add(row["end"])
        old.nodes.add((row["label"], row["end"]))
        old.stamps.add(aggregates.stamp(row))
        heads[row["record"]] = row
    for known, ends in linked.items():
        _gather(old, label, ends, heads[known]["interaction_type"])


def _gather(old: Old, label: str, ends: Ends, interaction_type: str | None) -> None:
    if label == "Interaction":
        pairs = {(start, end) for start in ends["SENT"] for end in ends["RECEIVED_BY"]}
        old.told[_TOLD[interaction_type]] |= pairs
    elif label == "ErrorRecord":
        old.mistakes |= {
            (student, kind, course)
            for student in ends["MADE"]
            for kind in ends["OF_TYPE"]
            for course in ends["IN_COURSE"]
        }
        old.relates |= {(kind, point) for kind in ends["OF_TYPE"] for point in ends["CONCERNS"]}
    else:
        old.contains |= {(course, point) for course in ends["IN_COURSE"] for point in ends["DESCRIBES"]}
