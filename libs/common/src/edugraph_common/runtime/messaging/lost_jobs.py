"""Sending a job again that Redis has lost, from the message that is stored beside its file."""

from datetime import datetime

from celery import Celery

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.routes import BATCH_TASKS
from edugraph_common.runtime.messaging.publisher import send, task_id_for
from edugraph_common.runtime.shared_state.object_store import Blobs, cancelled_key
from edugraph_common.runtime.shared_state.stored_jobs import load_analysis, load_job


def send_lost_job(
    app: Celery, blobs: Blobs, job_id: str, generation: int | None, now: datetime
) -> bool:
    """Send an import's split or an analysis job's request again, from the beginning.

    Several workers may do so, because windows are claimed and packs are counted once. Return True if the caller need
    not process its message any more, and False if the job was not stored. Raises Rejected for a job whose deadline
    has passed.
    """
    if blobs.exists(cancelled_key(job_id)):
        return True
    job = load_job(blobs, job_id) or load_analysis(blobs, job_id)
    if job is None:
        return False
    if job.deadline is not None and job.deadline < now.timestamp():
        raise Rejected(
            "Redis does not know this job, and its deadline has passed; send its records again"
        )
    if isinstance(job, ImportJob):
        split = job.model_copy(update={"next_batch": 0, "generation": generation or 0})
        send(app, "begin_import_again_task", split, task_id=task_id_for(job_id, "split-again"))
    else:
        request = job.model_copy(update={"generation": generation})
        send(app, BATCH_TASKS[job.kind], request, task_id=task_id_for(job_id, "analysis-again"))
    return True
