"""Imports of files as a job does them, without a broker: split, stored, and written batch by batch."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

from edugraph_common.contracts.messages import Format, ImportBatch, ImportJob, ImportRights
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.stored_jobs import store_job
from edugraph_importer.batching import count_batches, read_batch, window
from edugraph_importer.graph import Graph
from edugraph_importer.graph.versions import ALL_RIGHTS
from edugraph_importer.undo import read_stored_rows

_accepted = count(1)


def split(
    blobs: Blobs,
    rows: Sequence[dict[str, Any]],
    batch_size: int = 3,
    accepted: int | None = None,
    *,
    file_format: Format = "ndjson",
    rights: ImportRights = ALL_RIGHTS,
) -> tuple[str, list[ImportBatch]]:
    """Store a file as a job. Return the job's id and its batches."""
    job_id = uuid4().hex
    number = next(_accepted) if accepted is None else accepted
    job = ImportJob(
        job_id=job_id,
        source=f"jobs/{job_id}/source.{file_format}",
        format=file_format,
        batch_size=batch_size,
        acceptance=number,
        rights=rights,
    )
    with blobs.write(str(job.source)) as file:
        file.write("".join(f"{json.dumps(row)}\n" for row in rows).encode())
    total = count_batches(blobs, job)
    store_job(blobs, job)
    return job_id, window(blobs, job, total)


def import_rows(
    graph: Graph, blobs: Blobs, rows: Sequence[dict[str, Any]], batch_size: int = 3
) -> str:
    """Import a file; return the job's id."""
    job_id, messages = split(blobs, rows, batch_size)
    for message in messages:
        graph.write_batch(read_batch(blobs, message).graph)
    return job_id


@contextmanager
def graph_with_rows(room: Any, blobs: Blobs) -> Iterator[Graph]:
    """Open the graph as a worker does, which reads rows of other imports."""
    with closing(Graph(room.settings, read_rows=partial(read_stored_rows, blobs))) as graph:
        yield graph
