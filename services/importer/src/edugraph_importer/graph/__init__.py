"""The graph repository: the only part of the importer that knows the database.

Records and findings go in, each exactly once; outcomes come out. Every error is a ServerAway, a Retryable or a
Rejected.
"""

from edugraph_importer.graph.apply import RecordBatch
from edugraph_importer.graph.driver import GraphSettings
from edugraph_importer.graph.record_facts import derive_facts
from edugraph_importer.graph.repository import Graph, RecordRetention
from edugraph_importer.graph.undo import Portion, Undone, WrittenBatch
from edugraph_importer.graph.versions import REFUSED

__all__ = [
    "REFUSED",
    "Graph",
    "GraphSettings",
    "Portion",
    "RecordBatch",
    "RecordRetention",
    "Undone",
    "WrittenBatch",
    "derive_facts",
]
