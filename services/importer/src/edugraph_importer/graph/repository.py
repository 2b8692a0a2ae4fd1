"""The graph as the importer's tasks see it."""

import json
from collections.abc import Iterable
from typing import Any, ParamSpec, TypeVar

from edugraph_common.contracts.messages import CourseContext, Findings
from edugraph_common.contracts.outcomes import BatchOutcome, FindingsOutcome, Reject
from edugraph_importer.graph import apply, erasure, migrations, rebuild
from edugraph_importer.graph.apply import RecordBatch
from edugraph_importer.graph.driver import Connection, GraphSettings, Work
from edugraph_importer.graph.queries import CYPHER

P = ParamSpec("P")
T = TypeVar("T")


class Graph:
    """One for each process; the connection opens at first use and is not shared across a fork.

    Every method raises Retryable (the database is away or busy) or Rejected (it refuses). What writes raises Wait for
    a graph of a later release.
    """

    def __init__(self, settings: GraphSettings) -> None:
        self._connection = Connection(settings)

    @property
    def retries(self) -> dict[str, int]:
        """How many attempts at a transaction failed and were retried, by the server's code."""
        return dict(self._connection.retries)

    def prepare(self) -> None:
        """Create the constraints, wait until they hold, and bring the graph to the version of this release.

        Doing it again changes nothing.
        """
        self._connection.create_constraints()
        migrations.migrate(self._connection)

    def write_batch(self, batch: RecordBatch) -> BatchOutcome:
        """Write all of the batch or nothing. A batch that was written before is answered from the ledger."""
        return self._write(apply.write_batch, batch)

    def write_findings(self, message: Findings) -> FindingsOutcome:
        """Write a pack's records, if they are new, and what was found in them, in place of older findings.

        A pack that was written before is answered from the ledger.
        """
        return self._write(apply.write_findings, message)

    def course_contexts(self, course_ids: Iterable[str]) -> tuple[CourseContext, ...]:
        """Return what the graph knows of each course, for those who read its texts, in the order given.

        A course that is not there has its id only. Knowledge points stand in the order of the course.
        """
        ids = list(dict.fromkeys(course_ids))
        rows = [row.data() for row in self._connection.read(CYPHER["course_contexts"], ids=ids)]
        contexts = []
        for course_id in ids:
            of_course = [row for row in rows if row["id"] == course_id]
            points = [row for row in of_course if row["point"] is not None]
            points.sort(key=lambda row: (row["place"] is None, row["place"] or 0, str(row["point"])))
            contexts.append(
                CourseContext(
                    course_id=course_id,
                    name=of_course[0]["name"] if of_course else None,
                    description=of_course[0]["description"] if of_course else None,
                    knowledge_points=tuple(str(row["point"]) for row in points),
                )
            )
        return tuple(contexts)

    def outcomes(self, job_id: str) -> list[BatchOutcome]:
        """Return the outcomes of the job's batches that were written, in their order."""
        rows = self._connection.read(CYPHER["batch_outcomes"], prefix=f"{job_id}:", job_id=job_id)
        return [BatchOutcome.model_validate_json(row["outcome"]) for row in rows]

    def rejects(self, job_id: str, batch: int) -> tuple[Reject, ...]:
        """Return all records of a written batch that the graph itself refused, without `raw`."""
        rows = self._connection.read(CYPHER["batch_set_aside"], id=f"{job_id}:{batch}")
        return tuple(Reject.model_validate(reject) for row in rows for reject in json.loads(row["set_aside"]))

    def erase_student(self, student_id: str) -> dict[str, int]:
        """Remove a student with their records and all that came with them; a hash of the id stays.

        Return how many nodes were removed, by label, and how many `relationships`.
        """
        return self._write(erasure.erase, student_id)

    def derive_anew(self, *, repair: bool) -> dict[str, Any]:
        """Compare all sums, names and prerequisites with the records, and with `repair` write what the records say.

        Return how many nodes were looked at, how many of what is derived was wrong by label and type, and some of it.
        """
        migrations.migrate(self._connection)
        return rebuild.derive(self._connection, repair=repair).to_json()

    def close(self) -> None:
        self._connection.close()

    def _write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work in a transaction. It checks the version first, and an older graph is migrated for it."""
        try:
            return self._connection.write(work, *args, **kwargs)
        except migrations.OutdatedGraph:
            migrations.migrate(self._connection)
            return self._connection.write(work, *args, **kwargs)
