"""The sweeper: delete blobs of jobs whose retention is over, a page of jobs at each step.

Each kind of blob has its own retention, counted from the time when the blob was written. The blobs of a job are not
deleted before the job has ended. Redis may have lost a job whose messages still wait. Its blobs are safe, because a
retention is longer than the deadline of a job. Exports that nobody has fetched for a day are deleted, too, and the
importer is asked to end the records in the graph whose retention is over. Several gateways may sweep at the same
time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio.to_thread
import structlog

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.messages import EndOldRecords
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.shared_state.job_store import Jobs
from edugraph_common.runtime.shared_state.object_store import Blobs, delete_old_exports
from edugraph_gateway.submission.submit import JobSubmitter

INTERVAL_SECONDS = 600.0
ENDING_RECORDS_SECONDS = 3_600.0 - INTERVAL_SECONDS / 2
# A step looks at this many jobs, so that 100,000 jobs take less than a day.
PAGE = 1_000
JOBS_FOLDER = "jobs"
log = structlog.get_logger()


@dataclass(frozen=True)
class Retention:
    """The retention of blobs: of files with the blobs that were made from them, and of rejected rows."""

    sources: timedelta
    rejects: timedelta

    def of(self, key: str) -> timedelta:
        """Return the retention of a blob of a job. Its key is jobs/ID/…"""
        _, _, name, *_ = key.split("/")
        if name.startswith("rejects"):
            return self.rejects
        return self.sources


async def keep_sweeping(
    sweep_next: Callable[[], int], end_records: Callable[[], Awaitable[None]]
) -> None:
    """Take a step every ten minutes, until the task is cancelled."""
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        try:
            await end_records()
            deleted = await anyio.to_thread.run_sync(sweep_next)
        except Failure as away:
            log.warning("sweeper_waits", reason=away.reason)
        else:
            if deleted:
                log.info("blobs_swept", blobs=deleted)


async def end_old_records(submitter: JobSubmitter) -> None:
    """Ask the importer to end the records and reviews whose retention is over, once an hour.

    Raises Retryable if a server does not answer.
    """
    has_turn = await anyio.to_thread.run_sync(
        submitter.jobs.take_turn_to_end_records, ENDING_RECORDS_SECONDS
    )
    if has_turn:
        message = EndOldRecords(job_id=submitter.new_id())
        task_id = task_id_for(message.job_id, "end-records")
        await submitter.publisher.send("end_old_records_task", message, task_id=task_id)


def sweep(jobs: Jobs, blobs: Blobs, retention: Retention, now: datetime, page: int = PAGE) -> int:
    """Look at the blobs of the next `page` jobs, and return the number of deleted blobs, or 0 without the turn.

    Raises Retryable if Redis or the store does not answer. The next step then goes on after the last job.
    """
    if not jobs.take_turn_to_sweep(INTERVAL_SECONDS / 2):
        return 0
    deleted = delete_old_exports(blobs, now)
    after = jobs.swept_up_to()
    names = [name for name in blobs.folders(JOBS_FOLDER) if name > after][:page]
    for job_id in names:
        if not jobs.is_open(job_id):
            for key, written in blobs.written(f"{JOBS_FOLDER}/{job_id}").items():
                # A store may not report when a blob was written. Then its own lifecycle rules must delete the blob.
                if written is not None and written < now - retention.of(key):
                    blobs.delete(key)
                    deleted += 1
            blobs.delete_empty(f"{JOBS_FOLDER}/{job_id}")
        jobs.note_swept(job_id)
    if len(names) < page:
        jobs.note_swept("")
    return deleted
