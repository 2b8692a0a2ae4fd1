"""Nodes that nothing names any more: their record is gone, or the finding that named them was replaced."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import neo4j

from edugraph_common.contracts.graph_schema import ENTITY_LABELS
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import Node


def delete(tx: neo4j.ManagedTransaction, nodes: Iterable[Node]) -> Counter[str]:
    """Of the nodes given, those without relationships. Returns how many there were, by label."""
    ids, deleted = defaultdict(list), Counter[str]()
    for label, known in sorted(nodes):
        ids[label].append(known)
    for label in ENTITY_LABELS:
        if ids[label]:
            row = tx.run(CYPHER[f"delete_orphans_{label}"], ids=ids[label]).single()
            deleted[label] = row["deleted"] if row else 0
    return deleted
