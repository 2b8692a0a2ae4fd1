"""What was written before, and what became of it."""

import json

from edugraph_common.contracts.outcomes import BatchOutcome, Reject
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.queries import CYPHER


def outcomes(connection: Connection, job_id: str) -> list[BatchOutcome]:
    rows = connection.read(CYPHER["batch_outcomes"], prefix=f"{job_id}:", job_id=job_id)
    return [BatchOutcome.model_validate_json(row["outcome"]) for row in rows]


def set_aside(connection: Connection, job_id: str, batch: int) -> tuple[Reject, ...]:
    rows = connection.read(CYPHER["batch_set_aside"], id=f"{job_id}:{batch}")
    return tuple(Reject.model_validate(reject) for row in rows for reject in json.loads(row["set_aside"]))
