"""Resume a job: send its tasks again, from the first batch that is not written."""

import json
from typing import Any

import anyio.to_thread

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.messages import (
    Analysis,
    AnalysisBatch,
    ImportJob,
    Message,
    person_mark,
)
from edugraph_common.contracts.outcomes import JobState
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.object_store import cancelled_key
from edugraph_gateway.submission.submit import JobSubmitter, Task, deadline_of_job

CONTRACTS: dict[str, type[Message]] = {
    "import.split": ImportJob,
    "analysis.batch": AnalysisBatch,
    "analysis.interaction": Analysis,
    "analysis.error": Analysis,
    "analysis.knowledge_points": Analysis,
}


def open_again(
    submitter: JobSubmitter,
    job_id: str,
    from_states: tuple[JobState, ...] = (),
    person: str | None = None,
) -> list[Task]:
    """Open a new generation of a job, and return the tasks to send, from its first open batch.

    `person` is the id in the graph of the caller who resumes the job. An import must not make them a leader.

    Raises Problem 409 if the job is not in one of `from_states`, or without `from_states` if it cannot be resumed.
    """
    jobs = submitter.jobs
    not_stopped = Problem(
        409, "not-stopped", "Only a job that was cancelled or has failures can be resumed."
    )
    known = jobs.report(job_id, submitter.now())
    # A job that succeeded no longer has its tasks if these contained records.
    if known is not None and known.state == "succeeded":
        raise not_stopped
    stored = jobs.tasks(job_id)
    if stored is None:
        raise Problem(
            409,
            "too-old",
            "Nobody knows what the job was to do: send its records again, nothing is written twice.",
        )
    submitter.blobs.delete(cancelled_key(job_id))
    generation = jobs.resume(job_id, submitter.now(), *from_states)
    if not generation:
        raise not_stopped
    tasks = []
    for name, body, task_id in json.loads(stored):
        message = CONTRACTS[ROUTES[name].key].model_validate(body)
        update: dict[str, Any] = {
            "deadline": deadline_of_job(submitter.now()),
            "generation": generation,
        }
        if isinstance(message, ImportJob):
            update["next_batch"] = jobs.first_open_batch(job_id)
            if person:
                marks = (*message.rights.resumed_by, person_mark(job_id, person))
                update["rights"] = message.rights.model_copy(update={"resumed_by": marks})
        # The task gets another id each time, so that the result of the earlier task does not count for it.
        message = message.model_copy(update=update)
        task_id = task_id_for(job_id, f"resume-{task_id}-{submitter.new_id()}")  # noqa: PLW2901
        tasks.append(Task(name, message, task_id))
    return tasks


async def resume(submitter: JobSubmitter, job_id: str, person: str | None) -> None:
    """Resume a job for a caller with this own person in the graph.

    Raises Problem 409 if it cannot be resumed, and Retryable if the broker did not confirm.
    """
    tasks = await anyio.to_thread.run_sync(open_again, submitter, job_id, (), person)
    try:
        for task in tasks:
            await submitter.publisher.send(task.name, task.message, task_id=task.task_id)
    except Failure:
        await anyio.to_thread.run_sync(submitter.jobs.cancel, job_id, submitter.now())
        raise
