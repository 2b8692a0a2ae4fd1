"""The graph repository. Only this package of the importer uses the database.

It writes records and findings, each exactly once, and returns outcomes. All errors are ServerAway, Retryable or
Rejected.
"""

from edugraph_importer.graph.apply import RecordBatch
from edugraph_importer.graph.driver import GraphSettings
from edugraph_importer.graph.groups import NOBODY, Cause
from edugraph_importer.graph.history import Entry, batch_of_row, entry_of
from edugraph_importer.graph.record_facts import derive_facts, students
from edugraph_importer.graph.removal import UndoProgress
from edugraph_importer.graph.repository import Graph, ReadRows, RecordRetention, TextRead
from edugraph_importer.graph.versions import REFUSED

__all__ = [
    "NOBODY",
    "REFUSED",
    "Cause",
    "Entry",
    "Graph",
    "GraphSettings",
    "ReadRows",
    "RecordBatch",
    "RecordRetention",
    "TextRead",
    "UndoProgress",
    "batch_of_row",
    "derive_facts",
    "entry_of",
    "students",
]
