"""The sweeper: blobs of jobs go when their time is over, a page of jobs at each step.

Each kind of blob has a retention of its own, counted from when the blob was written, and nothing of a job goes before
the job has ended. A job that Redis does not know may have been lost with it and be on its way back: its blobs are
older than its messages can be when they go, since a retention is longer than the deadline of a job.
Exports of persons that nobody has fetched for a day go, too, and the importer is asked to end what the graph has kept
for its time. Any number of gateways may do this side by side.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio.to_thread
import structlog

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.messages import EndOldRecords
from edugraph_common.messaging.publisher import task_id_for
from edugraph_common.platform.job_store import Jobs
from edugraph_common.platform.object_store import Blobs, delete_old_exports
from edugraph_gateway.submission.submit import JobSubmitter

INTERVAL_SECONDS = 600.0
ENDING_RECORDS_SECONDS = 3_600.0 - INTERVAL_SECONDS / 2
PAGE = 1_000  # jobs of one step: 100,000 jobs are looked at within a day
JOBS_FOLDER = "jobs"
log = structlog.get_logger()


@dataclass(frozen=True)
class Retention:
    """How long blobs are kept: files as they came with what was made of them, and rows that were set aside."""

    sources: timedelta
    rejects: timedelta

    def of(self, key: str) -> timedelta:
        """`key` is that of a blob of a job: jobs/ID/…"""
        return self.rejects if key.split("/")[2].startswith("rejects") else self.sources


async def keep_sweeping(sweep_next: Callable[[], int], end_records: Callable[[], Awaitable[None]]) -> None:
    """Take a step each ten minutes, until it is cancelled."""
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
    """Have the importer end records and reviews of the graph whose retention is over, once an hour.

    Raises Retryable when a server is away.
    """
    if await anyio.to_thread.run_sync(submitter.jobs.take_turn_to_end_records, ENDING_RECORDS_SECONDS):
        message = EndOldRecords(job_id=submitter.new_id())
        task_id = task_id_for(message.job_id, "end-records")
        await submitter.publisher.send("end_old_records_task", message, task_id=task_id)


def sweep(jobs: Jobs, blobs: Blobs, retention: Retention, now: datetime, page: int = PAGE) -> int:
    """Look at the blobs of the next `page` jobs, and return how many were deleted. Where another has the turn: 0.

    Raises Retryable when Redis or the store does not answer; the next step then goes on after the last job.
    """
    if not jobs.take_turn_to_sweep(INTERVAL_SECONDS / 2):
        return 0
    deleted, after = delete_old_exports(blobs, now), jobs.swept_up_to()
    names = [name for name in blobs.folders(JOBS_FOLDER) if name > after][:page]
    for job_id in names:
        if not jobs.is_open(job_id):
            for key, written in blobs.written(f"{JOBS_FOLDER}/{job_id}").items():
                # A store that does not tell when a blob was written keeps it: its own lifecycle rules must end it.
                if written is not None and written < now - retention.of(key):
                    blobs.delete(key)
                    deleted += 1
            blobs.delete_empty(f"{JOBS_FOLDER}/{job_id}")
        jobs.note_swept(job_id)
    if len(names) < page:
        jobs.note_swept("")
    return deleted
