"""The reaper: a job that was quiet for too long is sent again, or fails with the reason.

Such a job has lost its next message: its gateway died between creating the job and sending the message, or Redis has
lost the counter of its chord. A job whose message may still wait in a queue has lost nothing, even if no worker reads
that queue for long. Several gateways may reap at the same time.

The job of a source and day has no message of its own, and is never sent again. It ends some time after its day.

The gateway that has the turn also asks for prerequisites whose claims changed, if no message waits for the importer.
So a lost message does not leave them outdated.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import anyio.to_thread
import structlog

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.live_days import end_of_day, is_live_job
from edugraph_common.contracts.messages import JOB_DEADLINE_SECONDS, CleanJob, SettlePrerequisites
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.runtime.messaging.celery_app import HARD_TIME_LIMIT_SECONDS
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.job_store import Jobs, QuietJob
from edugraph_gateway.operations.resume import open_again
from edugraph_gateway.submission.submit import JobSubmitter, Task

INTERVAL_SECONDS = 60.0
# A running task is not in a queue. The longest task takes up to a quarter of an hour.
QUIET_SECONDS = 1_200.0
# A task sends messages for at most this time after its start.
SENDING_SECONDS = HARD_TIME_LIMIT_SECONDS
# Only messages in these queues continue an import that has nothing to analyse at the moment.
IMPORT_QUEUES = ("data_import", "import_splits")
LIVE_QUEUES = ("live_records",)
# A batch that was accepted at midnight may be tried again for some minutes.
DAY_KEPT_OPEN = timedelta(hours=1)
# A text that was not analysed within its deadline never is.
TEXTS_AWAITED = timedelta(seconds=JOB_DEADLINE_SECONDS) + DAY_KEPT_OPEN
TEXTS_LOST = (
    "Some of its texts were not analysed within a week. All of its records are in the graph."
)
MOST_RESTARTS = 3
NO_PROGRESS = (
    f"It was sent again {MOST_RESTARTS} times and made no progress. "
    "Resume the job when the cause is repaired."
)
NOT_DELIVERED = (
    f"Its messages were lost: it was sent again for {JOB_DEADLINE_SECONDS // 86_400} days, and no worker got any of "
    "them. Resume the job when the cause is repaired."
)

log = structlog.get_logger()


async def keep_reaping(
    submitter: JobSubmitter,
    queue_depth: Callable[[str], int],
    forget_lost_batches: Callable[[], int],
) -> None:
    """Reap every minute, until the task is cancelled. `queue_depth` returns the number of messages in a queue."""
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        try:
            await reap(submitter, queue_depth)
            await clean(submitter)
            lost = await anyio.to_thread.run_sync(forget_lost_batches)
            if lost:
                log.warning("live_batches_lost", batches=lost)
        except Failure as away:
            log.warning("reaper_waits", reason=away.reason)


async def clean(submitter: JobSubmitter) -> list[str]:
    """Ask the importer to clean the files of jobs that ran while a person in them was erased. Return the job ids.

    Cleaning twice changes nothing, so gateways need not take turns. Raises Retryable if a server does not answer.
    """
    to_clean = await anyio.to_thread.run_sync(submitter.jobs.to_clean)
    for job_id in to_clean:
        task_id = task_id_for(job_id, f"clean-{submitter.new_id()}")
        await submitter.publisher.send("clean_job_task", CleanJob(job_id=job_id), task_id=task_id)
    return to_clean


async def reap(
    submitter: JobSubmitter, queue_depth: Callable[[str], int], quiet_seconds: float = QUIET_SECONDS
) -> list[str]:
    """Return the ids of the jobs that were sent again or failed. Raises Retryable if a server does not answer."""
    jobs = submitter.jobs
    reaped = list[str]()
    if not await anyio.to_thread.run_sync(jobs.take_turn_to_reap, INTERVAL_SECONDS / 2):
        return reaped

    def find() -> list[str]:
        jobs.forget_expired(submitter.now())
        # The queues are read first. So a message that leaves a queue later is noted before its job is looked at.
        busy = [queue for queue in QUEUES if queue_depth(queue)]
        delivered = {queue: jobs.delivered_up_to(queue) for queue in busy}
        lost = []
        for job in jobs.quiet(submitter.now(), quiet_seconds):
            if _may_wait(job, delivered):
                continue
            if is_live_job(job.job_id):
                _end_day(jobs, job, submitter.now())
            else:
                lost.append(job.job_id)
        return lost

    for job_id in await anyio.to_thread.run_sync(find):
        for task in await anyio.to_thread.run_sync(open_or_fail, submitter, job_id):
            await submitter.publisher.send(task.name, task.message, task_id=task.task_id)
        reaped.append(job_id)
    if not await anyio.to_thread.run_sync(queue_depth, "data_import"):
        settle = SettlePrerequisites(job_id=submitter.new_id())
        task_id = task_id_for(settle.job_id, "settle-prerequisites")
        await submitter.publisher.send("settle_prerequisites_task", settle, task_id=task_id)
    return reaped


def _end_day(jobs: Jobs, job: QuietJob, now: datetime) -> None:
    """End the job of a source and day, if its day is over and its texts are analysed or too old."""
    day_ended = end_of_day(job.job_id)
    if now <= day_ended + DAY_KEPT_OPEN:
        return
    state = jobs.end_day(job.job_id, now)
    if state is None and job.is_analysed and now > day_ended + TEXTS_AWAITED:
        jobs.fail(job.job_id, TEXTS_LOST, now)


def _may_wait(job: QuietJob, delivered: Mapping[str, datetime | None]) -> bool:
    """Return whether a message of the job may still wait in a queue.

    `delivered` has the queues with waiting messages. Its values are the times up to which all published messages were
    delivered.
    """
    published_by = job.heard + timedelta(seconds=SENDING_SECONDS)
    queues: Iterable[str] = IMPORT_QUEUES
    if is_live_job(job.job_id):
        queues = LIVE_QUEUES
    elif job.is_analysed:
        queues = QUEUES
    for queue in queues:
        if queue not in delivered:
            continue
        up_to = delivered[queue]
        if up_to is None or up_to <= published_by:
            return True
    return False


def open_or_fail(submitter: JobSubmitter, job_id: str) -> list[Task]:
    """Return the tasks of a job to send again, or none if the job fails instead.

    A restart counts only if a message of the job was delivered after the last restart. A job whose messages are lost
    each time is sent again for as long as its messages may wait.
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
