"""A job is accepted when it is in Redis and the broker has confirmed each of its messages, or not at all."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import anyio.to_thread
from anyio import CancelScope, CapacityLimiter

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.messages import JOB_DEADLINE_SECONDS, ByteRange, Message
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE
from edugraph_common.runtime.shared_state.job_store import Jobs, NewJob
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.task_owners import TaskOwners
from edugraph_common.sources import store_records, store_rows
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.submission.publisher import Publisher

StoredT = TypeVar("StoredT")

WITHDRAW_TIMEOUT_SECONDS = 0.5
WRITE_TIMEOUT_SECONDS = 2.0


def deadline_of_job(now: datetime) -> float:
    """Return until when its tasks wait for a provider, in seconds since 1970."""
    return now.timestamp() + JOB_DEADLINE_SECONDS


class Task(NamedTuple):
    name: str
    message: Message
    task_id: str


@dataclass(frozen=True)
class Submission:
    """`source` is what people see the job by; `to_analyse` is the number of records of an analysis job.

    `source_name` is the source that the records belong to.
    """

    job_id: str
    kind: Literal["import", "analysis"]
    source: str
    tasks: Sequence[Task]
    to_analyse: int = 0
    source_name: str = DEFAULT_SOURCE


@dataclass(frozen=True)
class JobSubmitter:
    """`new_id` gives ids that nobody can guess. `threads` are those of short writes to Redis."""

    jobs: Jobs
    task_owners: TaskOwners
    blobs: Blobs
    publisher: Publisher
    new_id: Callable[[], str]
    now: Callable[[], datetime]
    threads: CapacityLimiter

    async def submit(self, submission: Submission, owner: str) -> Accepted:
        """`owner` is the client that makes the job. Raises Retryable or Rejected; then nothing is left of the job,
        its blobs included.
        """
        job_id = submission.job_id
        deadline = {"deadline": deadline_of_job(self.now())}
        tasks = [
            task._replace(message=task.message.model_copy(update=deadline))
            for task in submission.tasks
        ]
        # `resume` makes the tasks again from this.
        kept = []
        for task in tasks:
            message = task.message.model_dump(mode="json")
            kept.append([task.name, message, task.task_id])
        stored = json.dumps(kept)
        inline = any(getattr(task.message, "records", None) is not None for task in tasks)
        first = tasks[0].task_id
        job = NewJob(
            job_id=job_id,
            kind=submission.kind,
            source=submission.source,
            created=self.now(),
            to_analyse=submission.to_analyse,
            tasks=stored,
            tasks_hold_records=inline,
            owner=owner,
            first_task=first,
            source_name=submission.source_name,
        )
        try:
            await in_time(partial(self.jobs.create_job, job), WRITE_TIMEOUT_SECONDS, self.threads)
            for task in tasks:
                await self.publisher.send(task.name, task.message, task_id=task.task_id)
        except Failure:

            def withdraw() -> None:
                # The broker may have taken the message all the same: its worker then sees a job that was cancelled.
                with suppress(Failure):
                    self.jobs.withdraw(job_id, self.now())
                with suppress(Failure):
                    self.blobs.delete(f"jobs/{job_id}")

            # The client's answer does not wait for servers that may be away: the thread goes on by itself.
            with CancelScope(shield=True), suppress(Failure):
                await in_time(withdraw, WITHDRAW_TIMEOUT_SECONDS, self.threads)
            raise
        links = {
            "self": f"/v1/jobs/{job_id}",
            "task": f"/v1/tasks/{first}",
            "rejects": f"/v1/jobs/{job_id}/rejects",
        }
        return Accepted(job_id=job_id, task_id=first, links=links)

    async def store_records(self, job_id: str, records: Sequence[dict[str, Any]]) -> str:
        """Store records that came inline as the file of an import to submit, and return its key.

        Raises Retryable; then nothing is left.
        """
        return await self._store(job_id, partial(store_records, self.blobs, job_id, records))

    async def store_rows(self, job_id: str, records: Sequence[dict[str, Any]]) -> ByteRange:
        """Store records that came inline as the rows of an analysis to submit. Raises Retryable; nothing is left."""
        return await self._store(job_id, partial(store_rows, self.blobs, job_id, records))

    async def _store(self, job_id: str, store: Callable[[], StoredT]) -> StoredT:
        try:
            # The threads of the store are not those of short writes, which would wait for its disk.
            return await anyio.to_thread.run_sync(store)
        except BaseException:
            with CancelScope(shield=True), suppress(Failure):
                await anyio.to_thread.run_sync(self.blobs.delete, f"jobs/{job_id}")
            raise

    async def send_task(self, task: Task, owner: str) -> Accepted:
        """Publish one task that belongs to no job but to a client. Raises Retryable or Rejected."""
        await in_time(
            lambda: self.task_owners.note(task.task_id, owner), WRITE_TIMEOUT_SECONDS, self.threads
        )
        await self.publisher.send(task.name, task.message, task_id=task.task_id)
        links = {"task": f"/v1/tasks/{task.task_id}"}
        return Accepted(job_id=task.message.job_id, task_id=task.task_id, links=links)
