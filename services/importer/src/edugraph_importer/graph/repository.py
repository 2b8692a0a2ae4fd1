"""The graph as the importer's tasks see it."""

from collections.abc import Iterable

from edugraph_common.contracts.messages import CourseContext, Findings
from edugraph_common.contracts.outcomes import BatchOutcome, FindingsOutcome, Reject
from edugraph_importer.graph import apply, courses, erasure, findings, ledger, schema
from edugraph_importer.graph.apply import RecordBatch
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.settings import GraphSettings


class Graph:
    """One for each process; the connection opens at first use and is not shared across a fork.

    Every method raises Retryable (the database is away or busy) or Rejected (it refuses).
    """

    def __init__(self, settings: GraphSettings) -> None:
        self._connection = Connection(settings)

    @property
    def repeats(self) -> dict[str, int]:
        """How many attempts at a transaction failed and were repeated, by the server's code."""
        return dict(self._connection.repeats)

    def prepare(self) -> None:
        """Makes the constraints and waits until they hold. Idempotent."""
        schema.prepare(self._connection)

    def write_batch(self, batch: RecordBatch) -> BatchOutcome:
        """All of the batch or nothing. A batch that was written before is answered from the ledger."""
        return self._connection.write(apply.write, batch)

    def write_findings(self, message: Findings) -> FindingsOutcome:
        """A pack's records, if they are new, and what was found in them, in place of older findings.

        A pack that was written before is answered from the ledger.
        """
        return self._connection.write(findings.write, message)

    def course_contexts(self, course_ids: Iterable[str]) -> tuple[CourseContext, ...]:
        """One for each id, in the order given; knowledge points in the order of the course."""
        return courses.contexts(self._connection, course_ids)

    def outcomes(self, job_id: str) -> list[BatchOutcome]:
        """Of the job's batches that were written, in their order."""
        return ledger.outcomes(self._connection, job_id)

    def set_aside(self, job_id: str, batch: int) -> tuple[Reject, ...]:
        """All records of a written batch that the graph itself refused, without `raw`."""
        return ledger.set_aside(self._connection, job_id, batch)

    def forget(self, student_id: str) -> dict[str, int]:
        """Removes a student with their records and all that came with them; a hash of the id stays.

        Returns how many nodes were removed, by label, and how many `relationships`.
        """
        return self._connection.write(erasure.forget, student_id)

    def close(self) -> None:
        self._connection.close()
