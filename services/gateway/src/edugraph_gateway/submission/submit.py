"""A job is accepted when it is in Redis and each of its messages was confirmed by the broker, or not at all."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from anyio import CancelScope

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.messages import Message
from edugraph_common.platform.job_store import NewJob
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.gateway import Gateway

TIDYING = 0.5  # seconds


class Task(NamedTuple):
    name: str
    message: Message
    task_id: str


@dataclass(frozen=True)
class Submission:
    """`source` is what people see the job by; `to_analyse` is the number of records of an analysis job."""

    job_id: str
    kind: Literal["import", "analysis"]
    source: str
    tasks: Sequence[Task]
    to_analyse: int = 0


async def submit(gateway: Gateway, submission: Submission) -> Accepted:
    """Raises Retryable or Rejected; then nothing is left of the job, its blobs included."""
    try:
        await gateway.creating.create(_new_job(submission, gateway.now()))
        for task in submission.tasks:
            await gateway.sender.send(task.name, task.message, task_id=task.task_id)
    except Failure:
        # The client's answer does not wait for servers that may be away: the thread goes on by itself.
        with CancelScope(shield=True), suppress(Failure):
            await in_time(lambda: _withdraw(gateway, submission), TIDYING, gateway.publishing)
        raise
    return accepted(submission)


def accepted(submission: Submission) -> Accepted:
    job, task = submission.job_id, submission.tasks[0].task_id
    links = {"self": f"/v1/jobs/{job}", "task": f"/v1/tasks/{task}", "rejects": f"/v1/jobs/{job}/rejects"}
    return Accepted(job_id=job, task_id=task, links=links)


def _new_job(submission: Submission, now: datetime) -> NewJob:
    tasks = json.dumps([[task.name, task.message.model_dump(mode="json"), task.task_id] for task in submission.tasks])
    return NewJob(submission.job_id, submission.kind, submission.source, now, submission.to_analyse, tasks)


def _withdraw(gateway: Gateway, submission: Submission) -> None:
    """The broker may have taken the message all the same: a worker that gets it sees a job that was cancelled."""
    with suppress(Failure):
        gateway.jobs.withdraw(submission.job_id, gateway.now())
    with suppress(Failure):
        gateway.blobs.delete(f"jobs/{submission.job_id}")
