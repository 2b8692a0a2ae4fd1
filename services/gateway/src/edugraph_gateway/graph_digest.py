"""One hash over all nodes, relationships and properties of the graph, the ledger left out.

The ledger names jobs and batches, so it differs between two ways of importing the same records; everything else
must not. The sum of the rows' hashes does not depend on their order, so nothing is sorted or held.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from edugraph_common.contracts.graph_schema import ENTITY_LABELS, RECORD_LABELS, RELATIONSHIPS

Read = Callable[[str], Iterable[Mapping[str, Any]]]
_MODULUS = 1 << 256


def graph_digest(read: Read) -> str:
    """`read` runs a Cypher query and gives its rows. Returns 64 hex digits."""
    total = 0
    for row in _rows(read):
        canonical = json.dumps(row, ensure_ascii=False, sort_keys=True, default=str, separators=(",", ":"))
        total += int.from_bytes(hashlib.sha256(canonical.encode()).digest(), "big")
    return f"{total % _MODULUS:064x}"


def _rows(read: Read) -> Iterator[list[Any]]:
    for label in RECORD_LABELS + ENTITY_LABELS:
        for row in read(f"MATCH (n:{label}) RETURN properties(n) AS p"):
            yield [label, _plain(row["p"])]
    for kind in RELATIONSHIPS:
        query = (
            f"MATCH (a)-[r:{kind}]->(b) "
            "RETURN labels(a)[0] AS la, a.id AS a, labels(b)[0] AS lb, b.id AS b, properties(r) AS p"
        )
        for row in read(query):
            yield [kind, row["la"], row["a"], row["lb"], row["b"], _plain(row["p"])]


def _plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Temporal values of both engines in one form; a whole float and an integer are told apart."""
    return {key: _value(value) for key, value in properties.items()}


def _value(value: Any) -> Any:
    if hasattr(value, "iso_format"):
        value = value.to_native()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, list):
        return [_value(item) for item in value]
    return value
