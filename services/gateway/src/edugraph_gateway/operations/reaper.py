"""The reaper: a job of which nothing was heard for long is sent again, or failed with the reason.

Such a job has lost what would have carried it on: its gateway died between creating the job and sending its message,
or Redis has lost the counter of its chord. A job whose message may still wait in a queue has lost nothing, however
long nobody reads that queue. Any number of gateways may do this side by side.

Whoever has the turn also has prerequisites derived whose claims changed, if no message waits for the importer: so no
lost message leaves them as they were.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import anyio.to_thread
import structlog

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.messages import JOB_DEADLINE_SECONDS, CleanJob, SettlePrerequisites
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.messaging.celery_app import HARD_TIME_LIMIT_SECONDS
from edugraph_common.messaging.publisher import task_id_for
from edugraph_common.platform import metrics
from edugraph_common.platform.job_store import QuietJob
from edugraph_common.platform.problems import Problem
from edugraph_gateway.operations.resume import open_again
from edugraph_gateway.submission.submit import JobSubmitter, Task

INTERVAL_SECONDS = 60.0
# A task that is being worked on is in no queue. The longest may take a quarter of an hour.
QUIET_SECONDS = 1_200.0
# A task that was begun sends messages for so long at most.
SENDING_SECONDS = HARD_TIME_LIMIT_SECONDS
# Only messages in these queues carry on an import of which nothing is to be analysed at the moment.
IMPORT_QUEUES = ("data_import", "import_splits")
MOST_RESTARTS = 3
NO_PROGRESS = (
    f"It was sent again {MOST_RESTARTS} times and made no progress. Resume the job when the cause is repaired."
)
NOT_DELIVERED = (
    f"Its messages were lost: it was sent again for {JOB_DEADLINE_SECONDS // 86_400} days, and no worker got any of "
    "them. Resume the job when the cause is repaired."
)

log = structlog.get_logger()


async def keep_reaping(submitter: JobSubmitter, queue_depth: Callable[[str], int]) -> None:
    """Reap each minute, until it is cancelled. `queue_depth` gives the number of messages that wait in a queue."""
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        try:
            await reap(submitter, queue_depth)
            await clean(submitter)
        except Failure as away:
            log.warning("reaper_waits", reason=away.reason)


async def clean(submitter: JobSubmitter) -> list[str]:
    """Have the files of jobs cleaned that ran while somebody in them was erased. Return the ids of these jobs.

    Cleaning twice changes nothing, so gateways need not take turns. Raises Retryable when a server is away.
    """
    to_clean = await anyio.to_thread.run_sync(submitter.jobs.to_clean)
    for job_id in to_clean:
        task_id = task_id_for(job_id, f"clean-{submitter.new_id()}")
        await submitter.publisher.send("clean_job_task", CleanJob(job_id=job_id), task_id=task_id)
    return to_clean


async def reap(
    submitter: JobSubmitter, queue_depth: Callable[[str], int], quiet_seconds: float = QUIET_SECONDS
) -> list[str]:
    """Return the ids of the jobs that were sent again or failed. Raises Retryable when a server is away."""
    jobs, reaped = submitter.jobs, list[str]()

    if not await anyio.to_thread.run_sync(jobs.take_turn_to_reap, INTERVAL_SECONDS / 2):
        return reaped

    def find() -> list[str]:
        jobs.forget_expired(submitter.now())
        # The queues come first: a message that leaves one after this is noted before its job is looked at.
        busy = [queue for queue in QUEUES if queue_depth(queue)]
        delivered = {queue: jobs.delivered_up_to(queue) for queue in busy}
        quiet = jobs.quiet(submitter.now(), quiet_seconds)
        return [job.job_id for job in quiet if not _may_wait(job, delivered)]

    for job_id in await anyio.to_thread.run_sync(find):
        for task in await anyio.to_thread.run_sync(open_or_fail, submitter, job_id):
            await submitter.publisher.send(task.name, task.message, task_id=task.task_id)
        reaped.append(job_id)
    if not await anyio.to_thread.run_sync(queue_depth, "data_import"):
        settle = SettlePrerequisites(job_id=submitter.new_id())
        task_id = task_id_for(settle.job_id, "settle-prerequisites")
        await submitter.publisher.send("settle_prerequisites_task", settle, task_id=task_id)
    return reaped


def _may_wait(job: QuietJob, delivered: Mapping[str, datetime | None]) -> bool:
    """Say whether a message of the job may still wait in a queue.

    `delivered` has the queues in which messages wait, and up to when all messages that were published are delivered.
    """
    published_by = job.heard + timedelta(seconds=SENDING_SECONDS)
    for queue in QUEUES if job.is_analysed else IMPORT_QUEUES:
        if queue not in delivered:
            continue
        up_to = delivered[queue]
        if up_to is None or up_to <= published_by:
            return True
    return False


def open_or_fail(submitter: JobSubmitter, job_id: str) -> list[Task]:
    """Return the tasks to send; none for a job that is failed instead.

    A restart counts only if a message of the job was delivered since the last one. A job whose messages are lost each
    time is sent again for as long as a message of it would have waited.
    """
    jobs = submitter.jobs
    restarts = jobs.count_restart(job_id, submitter.now())
    lost_for = submitter.now() - restarts.lost_since
    if restarts.number > MOST_RESTARTS:
        why = NO_PROGRESS
    elif lost_for.total_seconds() >= JOB_DEADLINE_SECONDS:
        why = NOT_DELIVERED
    else:
        try:
            tasks = open_again(submitter, job_id, ("queued", "running"))
        except Problem as problem:
            why = problem.detail
        else:
            metrics.JOBS_REAPED.add(outcome="sent again")
            log.warning("job_reaped", job=job_id, outcome="sent again", restarts=restarts.number)
            return tasks
    if jobs.fail(job_id, why, submitter.now(), stop=True):
        metrics.JOBS_REAPED.add(outcome="failed")
        log.error("job_reaped", job=job_id, outcome="failed", reason=why)
    return []
