"""The graph room: the only part of the importer that knows the database.

Records and findings go in, each exactly once; outcomes come out. Every error is a Retryable or a Rejected.
"""

from edugraph_importer.graph.batches import RecordBatch
from edugraph_importer.graph.room import Graph
from edugraph_importer.graph.settings import GraphSettings
from edugraph_importer.graph.stated import derive

__all__ = ["Graph", "GraphSettings", "RecordBatch", "derive"]
