"""The state of jobs in Redis: what the gateway shows and the workers report.

Each batch and each pack is settled once, however often it is reported, by scripts that run inside Redis. The
graph's own ledger is what makes the import exactly-once; this is what people see of it.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import resources
from itertools import islice
from typing import Any, Literal, NamedTuple, cast

import redis
from redis.backoff import ExponentialBackoff
from redis.commands.core import Script
from redis.retry import Retry

from edugraph_common.contracts.errors import OtherVersion, Wait
from edugraph_common.contracts.messages import JOB_DEADLINE_SECONDS
from edugraph_common.contracts.outcomes import (
    ENDED,
    JOB_SHOWN_ERRORS,
    ROW_COUNTS,
    AnalysisProgress,
    BatchOutcome,
    JobReport,
    JobState,
    Reject,
)
from edugraph_common.platform.redis_errors import redis_errors
from edugraph_common.platform.settings import JOB_RETENTION_DAYS
from edugraph_common.platform.task_owners import KEPT_SECONDS as TASK_OWNER_KEPT_SECONDS
from edugraph_common.platform.task_owners import task_owner_key

JOBS = "edugraph:jobs"
ANALYSIS_COUNTS = ("expected", "done", "failed")
LOOKED_AT = 500  # jobs at once, when those of one state are looked for
RESULTS = "celery-task-meta-*"
REAPING = "edugraph:reaping"
SWEEPING, SWEPT = "edugraph:sweeping", "edugraph:swept"
ENDING_RECORDS = "edugraph:ending-records"
ERASING = "edugraph:erasing"
ERASING_SECONDS = 900  # after which an erasure that says nothing has died
ERASING_WAIT_SECONDS = 3.0  # before another try, of which each keeps a process of the importer for a moment only
ERASING_BLOCKS_SECONDS = 0.5
SETTLING = "edugraph:settling"
SETTLING_SECONDS = 60  # after which who derives prerequisites has died, or is passed by
SETTLING_WAIT_SECONDS = 2.0
TO_CLEAN = "edugraph:erasing:jobs"  # ids of jobs whose files name somebody who was erased while they ran
ERASED_FILE_NAME = "(erased)"  # shown in place of a file name that names an erased person
# It stands among the jobs to clean for the dead letters that were stored after an erasure. A key of its own says so,
# since the analyzer notes such letters and must not change what else is to be cleaned.
LETTERS_TO_CLEAN = "dead-letters"
UNCLEAN_LETTERS = "edugraph:{dead-letters}:unclean"
MARKS_TO_CLEAN = "edugraph:erasing:marks"  # of records of theirs whose analysis ended later
FAILED_STATES: tuple[JobState, ...] = ("failed", "partly failed")
CLAIM_SECONDS = 60.0  # after which a split that has neither sent its window nor failed has died
# A submission that was withdrawn is remembered for longer than its message may wait in a queue.
WITHDRAWN_SECONDS = JOB_DEADLINE_SECONDS + 86_400

# Times of publication that are kept of the messages that were delivered last from a queue. While messages of both
# priorities wait, one of three that are delivered is of the lower one.
DELIVERIES_KEPT = 10
# As keys_of_job.lua names them.
PARTS = ("", "tasks", "windows", "batches", "errors", "packs", "analysed", "to_analyse", "packs_in_queue")

# The form in which a job is kept, written with each job; jobs of releases that wrote none have 1.
JOB_SCHEMA_VERSION = 1

Standing = Literal["open", "ended", "cancelled", "stale", "unknown"]
Claim = Literal["begun", "unknown", "cancelled", "stale", "sent", "busy"]


def connect(url: str, *, timeout: float = 10, retries: int = 3) -> "redis.Redis":
    """A client that gives up after `timeout` seconds, `retries` + 1 times, instead of hanging."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 4),
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=2, base=0.05), retries),
    )


class NewJob(NamedTuple):
    """`owner` is the client that made the job, and asks for the result of its `first_task`. `tasks` are what `resume`
    sends again, kept as long as the job.

    Those that hold records are kept until the job has succeeded, and for a week after any other end: they are
    personal data.
    """

    job_id: str
    kind: Literal["import", "analysis"]
    source: str
    created: datetime
    to_analyse: int = 0
    tasks: str = ""
    tasks_hold_records: bool = False
    owner: str = ""
    first_task: str = ""

    def arguments(self) -> list[str | float]:
        """As create_job.lua takes them."""
        return [
            self.job_id,
            self.kind,
            self.source,
            _iso(self.created),
            self.created.timestamp(),
            self.to_analyse,
            self.tasks,
            int(self.tasks_hold_records),
            JOB_SCHEMA_VERSION,
            self.owner,
            TASK_OWNER_KEPT_SECONDS,
        ]


class QuietJob(NamedTuple):
    """An open job. `heard`: when it last made progress, was sent, or had a message delivered to a worker.

    `is_analysed`: records of it are still to be analysed, so that its messages may be in any queue.
    """

    job_id: str
    heard: datetime
    is_analysed: bool


class Restarts(NamedTuple):
    """Of a job without progress that is sent again. `lost_since`: since when none of its messages was delivered."""

    number: int
    lost_since: datetime


class Place(NamedTuple):
    """Where a job is in the list of all jobs, from the newest to the oldest. As text it is CREATED:JOB."""

    created: float
    job_id: str

    def __str__(self) -> str:
        return f"{self.created!r}:{self.job_id}"

    @classmethod
    def of(cls, text: str) -> "Place":
        """Raises ValueError for another text."""
        created, _, job_id = text.partition(":")
        return cls(float(created), job_id)


class Jobs:
    """Raises Retryable when Redis does not answer. Times are given by the caller.

    A job is kept for `retention_seconds` after its end. `held_queues` gives, for each task queue from which nobody
    takes messages, why: jobs that need it show that.
    """

    def __init__(
        self,
        client: "redis.Redis",
        retention_seconds: int = JOB_RETENTION_DAYS * 86_400,
        *,
        held_queues: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._redis, self._retention_seconds = client, retention_seconds
        self._held_queues = held_queues
        self._create = load_script(client, "create_job")
        self._mark_sent = load_script(client, "mark_sent")
        self._if_known = load_script(client, "if_known")
        self._begin_window = load_script(client, "keys_of_job", "begin_window")
        self._change_state = load_script(client, "keys_of_job", "change_state")
        self._resume = load_script(client, "keys_of_job", "resume_job")
        self._settle_batch = load_script(client, "keys_of_job", "settle_batch")
        self._settle_pack = load_script(client, "keys_of_job", "settle_pack")
        self._finish = load_script(client, "keys_of_job", "finish_job")
        self._derived = load_script(client, "derived")
        self._delete = load_script(client, "keys_of_job", "delete_job")
        self._note_delivery = load_script(client, "note_delivery")
        self._count_restart = load_script(client, "count_restart")

    def create(
        self,
        job_id: str,
        kind: Literal["import", "analysis"],
        source: str,
        now: datetime,
        *,
        to_analyse: int = 0,
        tasks: str = "",
        tasks_hold_records: bool = False,
    ) -> bool:
        """False if the job is already there. The arguments are those of `NewJob`."""
        return self.create_all([NewJob(job_id, kind, source, now, to_analyse, tasks, tasks_hold_records)]) == 1

    def create_all(self, jobs: Sequence["NewJob"]) -> int:
        """In one round trip. Returns how many of them were not there yet."""
        keys = [JOBS]
        for job in jobs:
            keys += [_job(job.job_id), _job(job.job_id, "tasks"), task_owner_key(job.first_task)]
        arguments = [argument for job in jobs for argument in job.arguments()]
        with redis_errors():
            return int(cast("int", self._create(keys, arguments)))

    def begin(
        self,
        job_id: str,
        batches: int,
        now: datetime,
        *,
        expected: int = 0,
        first_batch: int = 0,
        generation: int = 0,
    ) -> Claim:
        """Claim a window of batches for the caller, who says `sent` or `unclaim` soon.

        The number of batches and of rows of the job is known from now on. Any answer but "begun" says why the caller
        must not send the window: it was sent before, another process is at it, or it belongs to an older generation.
        """
        arguments: list[str | float] = [
            generation,
            first_batch,
            batches,
            expected,
            _iso(now),
            now.timestamp(),
            CLAIM_SECONDS,
        ]
        with redis_errors():
            return cast("Claim", self._begin_window(keys_of_job(job_id), arguments))

    def sent(self, job_id: str, first_batch: int) -> None:
        """The window that begins with this batch is in the queue: whoever else would send it must not.

        Only a claimed window is marked. If Redis has lost the claim meanwhile, the job begins again, and its new
        split must send the window.
        """
        with redis_errors():
            self._mark_sent([_job(job_id, "windows")], [first_batch])

    def unclaim(self, job_id: str, first_batch: int) -> None:
        with redis_errors():
            self._redis.hdel(_job(job_id, "windows"), str(first_batch))

    def standing(self, job_id: str, generation: int | None) -> Standing:
        """Say whether work of this generation is to be done.

        Work is "stale" while a later generation is at it; what is replayed after the job's end is none the less done.
        Work that does not say its generation is never stale.
        Raises Wait for a job of a later release, which may be about to take over.
        """
        with redis_errors():
            kept = cast(
                "list[str | None]", self._redis.hmget(_job(job_id), "state", "generation", "stopped", "schema")
            )
        state, current, stopped, schema = kept
        if schema is not None and int(schema) > JOB_SCHEMA_VERSION:
            raise OtherVersion(
                f"the job's state in Redis has schema version {schema}, and this release knows up to "
                f"{JOB_SCHEMA_VERSION}: run the release that wrote it, or a later one",
                int(schema),
            )
        if state is None:
            return "unknown"
        if state == "cancelled" or stopped:
            return "cancelled"
        if state in ENDED:
            return "ended"
        return "stale" if generation is not None and generation < int(current or 0) else "open"

    def settle_batch(self, outcome: BatchOutcome, now: datetime) -> bool:
        """False if the batch was settled before, or Redis does not know the job."""
        arguments: list[str | float] = [outcome.batch, outcome.model_dump_json(), _iso(now), JOB_SHOWN_ERRORS]
        with redis_errors():
            return bool(self._settle_batch(keys_of_job(outcome.job_id), arguments))

    def failed_in_a_row(self, job_id: str) -> int:
        """Return how many batches failed since the last one that was written."""
        with redis_errors():
            return int(cast("str | None", self._redis.hget(_job(job_id), "failed_in_a_row")) or 0)

    def unsettled(self, job_id: str, batches: range) -> set[int]:
        """Those of these batches that have no outcome yet."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for batch in batches:
                pipe.hexists(_job(job_id, "batches"), str(batch))
            settled = pipe.execute()
        return {batch for batch, there in zip(batches, settled, strict=True) if not there}

    def unsettled_of_window(self, job_id: str, batches: range) -> set[int] | None:
        """Return the batches of this window that have no outcome yet, or None if the window was not claimed.

        A window that was sent is not claimed any more if Redis lost the job, even if the job is known again.
        """
        with redis_errors():
            pipe = self._redis.pipeline()
            pipe.hexists(_job(job_id, "windows"), str(batches.start))
            for batch in batches:
                pipe.hexists(_job(job_id, "batches"), str(batch))
            is_claimed, *settled = pipe.execute()
        if not is_claimed:
            return None
        return {batch for batch, there in zip(batches, settled, strict=True) if not there}

    def settle_pack(
        self,
        job_id: str,
        pack: str,
        progress: AnalysisProgress,
        now: datetime,
        error: str | None = None,
        *,
        claims_changed: bool = False,
    ) -> bool:
        """`progress.done` and `progress.failed` are the pack's own. False if the pack was settled before.

        `claims_changed`: the job does not end before `derived`.
        """
        arguments = [pack, progress.model_dump_json(), _iso(now), error or "", "1" if claims_changed else ""]
        with redis_errors():
            return bool(self._settle_pack(keys_of_job(job_id), arguments))

    def imported(self, job_id: str, now: datetime) -> None:
        """All batches are settled."""
        self._update(job_id, now, imported=1)

    def fail(self, job_id: str, error: str, now: datetime, *, stop: bool = False) -> bool:
        """End the whole job as failed, with one sentence that says why. False for one that was cancelled or is done.

        `stop`: workers skip what of it they have not begun. Only a job that has not ended can be stopped.
        """
        open_states: tuple[JobState, ...] = ("queued", "running") if stop else ("queued", "running", *FAILED_STATES)
        return self._change(job_id, "failed", now, *open_states, error=error, stop=stop)

    def cancel(self, job_id: str, now: datetime) -> bool:
        """Workers skip what of it they have not begun. False for a job that had ended."""
        return self._change(job_id, "cancelled", now, "queued", "running")

    def resume(self, job_id: str, now: datetime, *from_states: JobState) -> int:
        """Open a job that was cancelled or has failures again. Return its new generation; 0 for any other job.

        What failed counts as not done from now on, so that the job cannot end before it was tried again.
        """
        with redis_errors():
            states = from_states or ("cancelled", "failed", "partly failed")
            return int(cast("int", self._resume(keys_of_job(job_id), [_iso(now), *states])))

    def note_delivery(
        self, job_id: str, generation: int | None, queue: str, published: float | None, now: datetime
    ) -> None:
        """Note that a worker has got a message of a job from this queue. `published`: in seconds since 1970."""
        arguments = [
            "" if generation is None else generation,
            _iso(now),
            "" if published is None else int(published * 1_000),
            DELIVERIES_KEPT,
        ]
        with redis_errors():
            self._note_delivery([_job(job_id), _deliveries(queue)], arguments)

    def delivered_up_to(self, queue: str) -> datetime | None:
        """Return a time: a message that was published before it waits in the queue no more, in either priority.

        None if too few messages were delivered to tell.
        """
        with redis_errors():
            times = cast("list[str]", self._redis.lrange(_deliveries(queue), 0, -1))
        if len(times) < DELIVERIES_KEPT:
            return None
        return datetime.fromtimestamp(min(map(int, times)) / 1_000, UTC)

    def quiet(self, now: datetime, seconds: float) -> list[QuietJob]:
        """Return the open jobs of which nothing was heard for so long and that wait for nobody.

        Those that were created more than two deadlines ago are left alone.
        """
        before = now - timedelta(seconds=seconds)
        names = ("updated", "delivered", "waiting_until", *(f"analysis_{name}" for name in ANALYSIS_COUNTS))
        found = []
        for job_id, (updated, delivered, until, *counts) in self._open_jobs(now, before, *names):
            times = [datetime.fromisoformat(time) for time in (updated, delivered) if time]
            heard = max(times)
            is_waiting = float(until or 0) > now.timestamp()
            if heard <= before and not is_waiting:
                found.append(QuietJob(job_id, heard, is_analysed=_left_to_analyse(counts) > 0))
        return found

    def records_to_analyse(self, now: datetime) -> int:
        """Return how many records of open jobs are still to be analysed, in a queue or not."""
        jobs = self._open_jobs(now, now, *(f"analysis_{name}" for name in ANALYSIS_COUNTS))
        return sum(_left_to_analyse(counts) for _, counts in jobs)

    def _open_jobs(self, now: datetime, before: datetime, *fields: str) -> Iterator[tuple[str, list[str | None]]]:
        """Yield id and fields of each open job that was created `before`, but not more than two deadlines ago."""
        with redis_errors():
            earliest = now.timestamp() - 2 * JOB_DEADLINE_SECONDS
            ids = cast("list[str]", self._redis.zrangebyscore(JOBS, earliest, before.timestamp()))
            for start in range(0, len(ids), LOOKED_AT):
                page = ids[start : start + LOOKED_AT]
                pipe = self._redis.pipeline(transaction=False)
                for job_id in page:
                    pipe.hmget(_job(job_id), "state", *fields)
                for job_id, (state, *values) in zip(page, pipe.execute(), strict=True):
                    if state in ("queued", "running"):
                        yield job_id, values

    def take_turn_to_reap(self, seconds: float) -> bool:
        """False if another process has had its turn within this time."""
        with redis_errors():
            return bool(self._redis.set(REAPING, "1", nx=True, px=int(seconds * 1_000)))

    def take_turn_to_sweep(self, seconds: float) -> bool:
        """False if another process has had its turn within this time."""
        with redis_errors():
            return bool(self._redis.set(SWEEPING, "1", nx=True, px=int(seconds * 1_000)))

    def take_turn_to_end_records(self, seconds: float) -> bool:
        """False if another process has had its turn within this time."""
        with redis_errors():
            return bool(self._redis.set(ENDING_RECORDS, "1", nx=True, px=int(seconds * 1_000)))

    def swept_up_to(self) -> str:
        """Return the id of the last job whose blobs were looked at; nothing at the beginning of a round."""
        with redis_errors():
            return cast("str | None", self._redis.get(SWEPT)) or ""

    def note_swept(self, job_id: str) -> None:
        with redis_errors():
            self._redis.set(SWEPT, job_id)

    def count_restart(self, job_id: str, now: datetime) -> Restarts:
        """Count that the job is sent again, if a message of it was delivered since the last time.

        Return how often that was since the job last made progress, this time included.
        """
        with redis_errors():
            number, lost_since = cast("tuple[int, str]", self._count_restart([_job(job_id)], [_iso(now)]))
        return Restarts(int(number), datetime.fromisoformat(lost_since))

    def forget_expired(self, now: datetime) -> int:
        """Take the jobs that have expired out of the list of all jobs. Return how many there were.

        None of them was created less than the retention ago.
        """
        forgotten = 0
        with redis_errors():
            ids = cast(
                "list[str]", self._redis.zrangebyscore(JOBS, "-inf", now.timestamp() - self._retention_seconds)
            )
            for start in range(0, len(ids), LOOKED_AT):
                page = ids[start : start + LOOKED_AT]
                known = self.known(page)
                expired = [job_id for job_id in page if job_id not in known]
                forgotten += int(self._redis.zrem(JOBS, *expired)) if expired else 0
        return forgotten

    def known(self, job_ids: Sequence[str]) -> set[str]:
        """Return those of these jobs that Redis knows, whether they have ended or not."""
        found = set[str]()
        with redis_errors():
            for start in range(0, len(job_ids), LOOKED_AT):
                page = job_ids[start : start + LOOKED_AT]
                pipe = self._redis.pipeline(transaction=False)
                for job_id in page:
                    pipe.exists(_job(job_id))
                found |= {job_id for job_id, there in zip(page, pipe.execute(), strict=True) if there}
        return found

    def tasks(self, job_id: str) -> str | None:
        """As given to `create`."""
        with redis_errors():
            return cast("str | None", self._redis.get(_job(job_id, "tasks")))

    def first_open_batch(self, job_id: str) -> int:
        """All batches before it are written, and what of them is to be analysed is."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hgetall(_job(job_id, "batches"))
            pipe.hgetall(_job(job_id, "analysed"))
            outcomes, analysed = pipe.execute()
        done = {int(batch) for batch, outcome in outcomes.items() if _is_done(outcome, analysed.get(batch))}
        return next(batch for batch in range(len(done) + 1) if batch not in done)

    def open_batches(self, job_id: str, batches: range) -> set[int]:
        """Return those of these batches that are not written, or of which something is still to be analysed."""
        names = [str(batch) for batch in batches]
        if not names:
            return set()
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hmget(_job(job_id, "batches"), names)
            pipe.hmget(_job(job_id, "analysed"), names)
            outcomes, analysed = pipe.execute()
        return {
            batch
            for batch, outcome, done in zip(batches, outcomes, analysed, strict=True)
            if not outcome or not _is_done(outcome, done)
        }

    def withdraw(self, job_id: str, now: datetime) -> None:
        """A job that was never accepted: in no list, and cancelled for a worker that gets its message anyway."""
        with redis_errors():
            pipe = self._redis.pipeline()
            # A `create` that comes late finds the job there already.
            pipe.hsetnx(_job(job_id), "created", _iso(now))
            pipe.zrem(JOBS, job_id)
            pipe.delete(*keys_of_job(job_id)[1:])
            pipe.hset(_job(job_id), mapping={"state": "cancelled", "updated": _iso(now), "finished": _iso(now)})
            pipe.expire(_job(job_id), WITHDRAWN_SECONDS)
            pipe.execute()

    def delete(self, job_id: str, now: datetime) -> bool:
        """Delete what is known of a job that has ended. False for one that has not, or that is not there."""
        with redis_errors():
            deleted = bool(self._delete(keys_of_job(job_id), [_iso(now), WITHDRAWN_SECONDS, *sorted(ENDED)]))
            if deleted:
                self._redis.zrem(JOBS, job_id)
                self._redis.delete(f"edugraph:cost:{job_id}")
        return deleted

    def finish_if_complete(self, job_id: str, now: datetime) -> JobState | Literal["deriving"] | None:
        """The job's final state, if this call was the one that ended it.

        "deriving" if all else is done, or the job has ended, and prerequisites that it changed are to be derived.
        """
        with redis_errors():
            state = self._finish(keys_of_job(job_id), [_iso(now), self._retention_seconds])
        return cast('JobState | Literal["deriving"] | None', state or None)

    def deriving(self, job_ids: Collection[str]) -> dict[str, str]:
        """Return, of those of the jobs that changed prerequisites which are to be derived, how often they did."""
        ids = sorted(job_ids)
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ids:
                pipe.hget(_job(job_id), "deriving")
            return {job_id: number for job_id, number in zip(ids, pipe.execute(), strict=True) if number}

    def derived(self, job_id: str, number: str) -> None:
        """Note that they are derived, unless the job has changed others since `deriving` returned the number."""
        with redis_errors():
            self._derived([_job(job_id)], [number])

    @contextmanager
    def settling(self) -> Iterator[None]:
        """One process at a time. Raises Wait when another one is at it."""
        lock = self._redis.lock(SETTLING, timeout=SETTLING_SECONDS, blocking=False)
        with redis_errors():
            if not lock.acquire():
                raise Wait("another process derives prerequisites", SETTLING_WAIT_SECONDS)
        try:
            yield
        finally:
            with suppress(redis.RedisError):  # it ends by itself
                lock.release()

    def waits(self, job_id: str, reason: str, until: float, now: datetime) -> None:
        """`until`: seconds since 1970; the reason is shown until then."""
        self._update(job_id, now, waiting_for=reason, waiting_until=until)

    def is_cancelled(self, job_id: str) -> bool:
        """It was cancelled, or failed as a whole: what has not begun stays undone."""
        return self.standing(job_id, 0) == "cancelled"

    def is_open(self, job_id: str) -> bool:
        """It may still read its file. A job that Redis does not know is not open."""
        with redis_errors():
            state = cast("JobState | None", self._redis.hget(_job(job_id), "state"))
        return state is not None and state not in ENDED

    def clean_later(self, job_id: str, marks: Collection[str] = ()) -> None:
        """Note that the job's files name somebody who was erased, and are to be cleaned when it has ended.

        `marks`: of the records that were refused, and whose analysis left results.
        """
        with redis_errors():
            pipe = self._redis.pipeline()
            if marks:
                pipe.sadd(MARKS_TO_CLEAN, *marks)
            pipe.sadd(TO_CLEAN, job_id)
            pipe.execute()

    def clean_letters_later(self) -> None:
        """Note that a dead letter was stored that may name somebody who was erased."""
        with redis_errors():
            self._redis.set(UNCLEAN_LETTERS, "1")

    def marks_to_clean(self) -> frozenset[str]:
        with redis_errors():
            return frozenset(cast("set[str]", self._redis.smembers(MARKS_TO_CLEAN)))

    def to_clean(self) -> list[str]:
        """Return the jobs to clean that have ended, or that Redis does not know any more."""
        with redis_errors():
            noted = cast("set[str]", self._redis.smembers(TO_CLEAN))
            if self._redis.exists(UNCLEAN_LETTERS):
                noted = noted | {LETTERS_TO_CLEAN}
        return sorted(job_id for job_id in noted if not self.is_open(job_id))

    def cleaned(self, job_id: str, marks: Collection[str]) -> None:
        with redis_errors():
            pipe = self._redis.pipeline()
            if job_id == LETTERS_TO_CLEAN:
                pipe.delete(UNCLEAN_LETTERS)
            pipe.srem(TO_CLEAN, job_id)
            if marks:
                pipe.srem(MARKS_TO_CLEAN, *marks)
            pipe.execute()

    def keys_of(self, job_id: str) -> tuple[str, ...]:
        """Return all Redis keys of a job."""
        return tuple(keys_of_job(job_id))

    def hide_file_names(self, is_named_in: Callable[[str], bool], *, dry_run: bool) -> int:
        """Replace the name of each file that names a person. Return the number of such jobs."""
        named = 0
        with redis_errors():
            ids = cast("list[str]", self._redis.zrange(JOBS, 0, -1))
            for start in range(0, len(ids), LOOKED_AT):
                page = ids[start : start + LOOKED_AT]
                pipe = self._redis.pipeline(transaction=False)
                for job_id in page:
                    pipe.hget(_job(job_id), "source")
                for job_id, source in zip(page, pipe.execute(), strict=True):
                    if not source or not is_named_in(source):
                        continue
                    named += 1
                    if not dry_run:
                        self._if_known([_job(job_id)], ["HSET", "source", ERASED_FILE_NAME])
        return named

    @contextmanager
    def erasing(self) -> Iterator[Callable[[], None]]:
        """One process at a time. What it yields is to be called again and again: it says that work goes on.

        Raises Wait when another one is at it.
        """
        lock = self._redis.lock(ERASING, timeout=ERASING_SECONDS, blocking_timeout=ERASING_BLOCKS_SECONDS)
        with redis_errors():
            if not lock.acquire():
                raise Wait("another person is being erased", ERASING_WAIT_SECONDS)

        def go_on() -> None:
            with redis_errors():
                lock.reacquire()

        try:
            yield go_on
        finally:
            with suppress(redis.RedisError):  # it ends by itself
                lock.release()

    def entries_with(self, texts: AbstractSet[str]) -> Iterator[tuple[str, Any]]:
        """Yield key and value of what is kept of jobs, and of results of tasks, where one of these is a value.

        It looks at all jobs and results, and is for an export of one person's data.
        """
        for pattern in ("edugraph:job:{*}:tasks", "edugraph:job:{*}:batches", "edugraph:job:{*}:errors", RESULTS):
            with redis_errors():
                for key in self._redis.scan_iter(match=pattern, count=1_000):
                    for text in self._values(key):
                        value = _decoded(text)
                        if _holds(value, texts):
                            yield key, value

    def _values(self, key: str) -> list[str]:
        match self._redis.type(key):
            case "list":
                return cast("list[str]", self._redis.lrange(key, 0, -1))
            case "hash":
                return cast("list[str]", self._redis.hvals(key))
            case "string":
                return [cast("str", self._redis.get(key) or "")]
        return []  # it has gone meanwhile

    def created(self, job_id: str) -> datetime | None:
        with redis_errors():
            text = cast("str | None", self._redis.hget(_job(job_id), "created"))
        return datetime.fromisoformat(text) if text else None

    def report(self, job_id: str, now: datetime) -> JobReport | None:
        """None if there is no such job."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hgetall(_job(job_id))
            pipe.lrange(_job(job_id, "errors"), 0, -1)
            fields, errors = pipe.execute()
        if not fields.get("kind"):
            return None
        return _report(job_id, fields, errors, now.timestamp(), self._held_queues())

    def newest(
        self,
        limit: int,
        now: datetime,
        state: JobState | None = None,
        after: "Place | None" = None,
        *,
        owner: str | None = None,
    ) -> tuple[list[JobReport], "Place | None"]:
        """Return the newest jobs that are older than the one at `after`, and the place to go on after.

        With `state` only those in it, with `owner` only those that this client made.

        There is no such place when no older job is left. Jobs that are added meanwhile, and those that expire, change
        nothing of the pages that follow.
        """
        with redis_errors():
            at_once = LOOKED_AT if state or owner is not None else limit + 1
            wanted = partial(self._wanted, state, owner, now)
            found = list(islice(self._older(after, now, wanted, at_once), limit + 1))
        return [report for _, report in found[:limit]], found[limit - 1][0] if len(found) > limit else None

    def _older(
        self, after: "Place | None", now: datetime, among: Callable[[list[str]], set[str]], at_once: int
    ) -> Iterator[tuple["Place", JobReport]]:
        latest: str | float = after.created if after else "+inf"
        skip = 0
        while True:
            page = cast(
                "list[tuple[str, float]]",
                self._redis.zrevrangebyscore(JOBS, latest, "-inf", start=skip, num=at_once, withscores=True),
            )
            wanted = among([job_id for job_id, _ in page])
            for job_id, created in page:
                if after is None or (created, job_id) < after:
                    after = Place(created, job_id)
                    # One that has expired, or was withdrawn meanwhile, takes no place of the page.
                    report = self.report(job_id, now) if job_id in wanted else None
                    if report:
                        yield after, report
            if len(page) < at_once:
                return
            # From the last one on. Any number of jobs may have been created at the very same time.
            skip = skip + at_once if page[-1][1] == latest else 0
            latest = page[-1][1]

    def _wanted(self, state: JobState | None, owner: str | None, now: datetime, ids: Sequence[str]) -> set[str]:
        if state is None and owner is None:
            return set(ids)
        pipe = self._redis.pipeline(transaction=False)
        fields = ("state", "waiting_for", "waiting_until", "kind", "batches", "batches_done", "owner")
        for job_id in ids:
            pipe.hmget(_job(job_id), *fields)
        held_queues = self._held_queues()
        wanted = set()
        for job_id, values in zip(ids, pipe.execute(), strict=True):
            kept = {name: value for name, value in zip(fields, values, strict=True) if value is not None}
            if "state" not in kept or owner not in (None, kept.get("owner", "")):
                continue
            waiting = _waits_for(kept, now.timestamp(), held_queues)
            if state in (None, _state(cast("JobState", kept["state"]), waiting)):
                wanted.add(job_id)
        return wanted

    def _change(
        self, job_id: str, state: JobState, now: datetime, *from_states: JobState, error: str = "", stop: bool = False
    ) -> bool:
        arguments = [state, _iso(now), error, "1" if stop else "", self._retention_seconds, *from_states]
        with redis_errors():
            return bool(self._change_state(keys_of_job(job_id), arguments))

    def _update(self, job_id: str, now: datetime, **fields: Any) -> None:
        changes = {"updated": _iso(now), **fields}
        with redis_errors():
            self._if_known([_job(job_id)], ["HSET", *(part for change in changes.items() for part in change)])


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _holds(value: Any, texts: AbstractSet[str]) -> bool:
    if isinstance(value, dict):
        return any(_holds(item, texts) for item in value.values())
    if isinstance(value, list):
        return any(_holds(item, texts) for item in value)
    return isinstance(value, str) and value in texts


def _job(job_id: str, part: str = "") -> str:
    # The braces keep all keys of a job on one node of a Redis cluster.
    return f"edugraph:job:{{{job_id}}}" + (f":{part}" if part else "")


def _deliveries(queue: str) -> str:
    return f"edugraph:delivered:{queue}"


def _left_to_analyse(counts: Sequence[str | None]) -> int:
    """`counts` are those of ANALYSIS_COUNTS."""
    expected, done, failed = (int(count or 0) for count in counts)
    return max(expected - done - failed, 0)


def keys_of_job(job_id: str) -> list[str]:
    return [_job(job_id, part) for part in PARTS]


def _report(
    job_id: str, fields: dict[str, str], errors: list[str], now: float, held_queues: Mapping[str, str]
) -> JobReport:
    number = {key: int(value) for key, value in fields.items() if value.lstrip("-").isdigit()}
    waiting = _waits_for(fields, now, held_queues)
    counts = ("batches", "batches_done", "expected", "read", *ROW_COUNTS, "unknown")
    return JobReport(
        job_id=job_id,
        kind=cast("Any", fields["kind"]),
        state=_state(cast("JobState", fields["state"]), waiting),
        source=fields["source"],
        owner=fields.get("owner", ""),
        created=datetime.fromisoformat(fields["created"]),
        updated=datetime.fromisoformat(fields["updated"]),
        finished=datetime.fromisoformat(fields["finished"]) if "finished" in fields else None,
        failed_batches=tuple(json.loads(fields.get("failed_batches", "[]"))),
        by_type=_prefixed(number, "type:"),
        reasons=_prefixed(number, "reason:"),
        not_relevant=_prefixed(number, "skipped:"),
        errors=tuple(Reject.model_validate_json(error) for error in errors),
        analysis=_analysis(number, fields),
        waiting_for=waiting,
        deriving="deriving" in fields,
        error=fields.get("error"),
        **{name: number.get(name, 0) for name in counts},
    )


def _waits_for(fields: Mapping[str, str], now: float, held_queues: Mapping[str, str]) -> str | None:
    """Return why a job waits: a task of it said so, or nobody takes messages from a queue that it needs."""
    if fields["state"] in ENDED:
        return None
    if float(fields.get("waiting_until") or 0) > now:
        return fields.get("waiting_for")
    for queue in _queues_that_carry_on(fields):
        if queue in held_queues:
            return held_queues[queue]
    return None


def _queues_that_carry_on(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the task queues in which messages of an open job may be now."""
    if fields.get("kind") == "import":
        batches = int(fields.get("batches", 0))
        if batches == 0:
            return ("data_import", "import_splits")
        if int(fields.get("batches_done", 0)) < batches:
            return ("data_import",)
    return ("llm_analysis", "graph_findings")


def _is_done(outcome: str, analysed: str | None) -> bool:
    kept = BatchOutcome.model_validate_json(outcome)
    return kept.state == "written" and int(analysed or 0) >= kept.analysis_expected


def _state(state: JobState, waiting: str | None) -> JobState:
    return "waiting" if waiting and state not in ENDED else state


def _analysis(number: dict[str, int], fields: dict[str, str]) -> AnalysisProgress:
    names = ("expected", "done", "failed", "cached", "input_tokens", "output_tokens", "withheld")
    return AnalysisProgress(
        **{name: number.get(f"analysis_{name}", 0) for name in names},
        cost=float(fields.get("analysis_cost", 0)),
    )


def _prefixed(number: dict[str, int], prefix: str) -> dict[str, int]:
    found = {key.removeprefix(prefix): value for key, value in number.items() if key.startswith(prefix)}
    return dict(sorted((key, value) for key, value in found.items() if value))


def load_script(client: "redis.Redis", *names: str) -> Script:
    folder = resources.files("edugraph_common.platform").joinpath("scripts")
    return client.register_script("\n".join(folder.joinpath(f"{name}.lua").read_text() for name in names))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
