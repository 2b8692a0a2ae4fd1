"""The state of jobs in Redis. The gateway creates it, importer and analyzer report to it, and the gateway shows it.

Lua scripts inside Redis settle each batch and each pack once, however often it is reported. This state is only for
people and for resuming a job: the ledger in the graph makes an import exactly-once.
"""

import json
import threading
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
from edugraph_common.contracts.live_days import is_live_job
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
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.service.settings import JOB_RETENTION_DAYS, RedisSettings
from edugraph_common.runtime.shared_state.key_prefix import PrefixedRedis
from edugraph_common.runtime.shared_state.task_owners import KEPT_SECONDS as TASK_OWNER_KEPT_SECONDS
from edugraph_common.runtime.shared_state.task_owners import task_owner_key

JOBS = "edugraph:jobs"
ANALYSIS_COUNTS = ("expected", "done", "failed")
LOOKED_AT = 500  # jobs that are read in one round trip
RESULTS = "celery-task-meta-*"
REAPING = "edugraph:reaping"
SWEEPING, SWEPT = "edugraph:sweeping", "edugraph:swept"
ENDING_RECORDS = "edugraph:ending-records"
ERASING = "edugraph:erasing"
# The lock of an erasure whose process died ends after this time; its process renews it
ERASING_SECONDS = 60.0
ERASING_WAIT_SECONDS = 3.0  # before the task of another erasure tries again
ERASING_BLOCKS_SECONDS = 0.5
SETTLING = "edugraph:settling"
SETTLING_SECONDS = 60  # the lock of a process that derives prerequisites ends after this time
SETTLING_WAIT_SECONDS = 2.0
TO_CLEAN = "edugraph:erasing:jobs"  # ids of jobs with files that name a person who was erased while the job ran
ERASED_FILE_NAME = "(erased)"  # shown in place of a file name that names an erased person
# An entry in the list of jobs to clean. It stands for the dead letters that were stored after an erasure. The note is
# a key of its own, because the analyzer writes it and has no permission for the other keys.
LETTERS_TO_CLEAN = "dead-letters"
UNCLEAN_LETTERS = "edugraph:{dead-letters}:unclean"
# The marks of erased persons' records whose analysis ended after the erasure.
MARKS_TO_CLEAN = "edugraph:erasing:marks"
FAILED_STATES: tuple[JobState, ...] = ("failed", "partly failed")
CLAIM_SECONDS = 60.0  # the claim of a split that has died ends after this time
# A withdrawn submission is remembered for longer than its message may wait in a queue.
WITHDRAWN_SECONDS = JOB_DEADLINE_SECONDS + 86_400

# The beginning of the fields of a job that have the texts read before the job stated points, followed by the course.
READ_BEFORE = "read-before:"

# For each queue, the publication times of this many delivered messages are kept. Ten are enough to contain messages
# of both priorities: while both wait, one of three delivered messages has the lower priority.
DELIVERIES_KEPT = 10
# The parts of a job's keys, in the order in which keys_of_job.lua expects them.
PARTS = (
    "",
    "tasks",
    "windows",
    "batches",
    "errors",
    "packs",
    "analysed",
    "to_analyse",
    "packs_in_queue",
)

# The version of the form in which a job is stored. It is written with each job; a job without it has version 1.
JOB_SCHEMA_VERSION = 1

MessageState = Literal["open", "ended", "cancelled", "stale", "unknown"]
Claim = Literal["begun", "unknown", "cancelled", "stale", "sent", "busy"]


def connect(url: str, *, prefix: str = "", timeout: float = 10, retries: int = 3) -> "redis.Redis":
    """Return a client that tries `retries` + 1 times and gives up each time after `timeout` seconds.

    With a prefix, each key begins with it (key_prefix.py). Services use `redis_of`, which does not forget it.
    """
    kind: type[redis.Redis] = redis.Redis
    if prefix:
        kind = PrefixedRedis
    client = kind.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 4),
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=2, base=0.05), retries),
    )
    if isinstance(client, PrefixedRedis):
        client.key_prefix = prefix
    return client


def redis_of(settings: RedisSettings, *, timeout: float = 10, retries: int = 3) -> "redis.Redis":
    """Return a client for the Redis and the key prefix of these settings. The rest is as in `connect`."""
    url = settings.redis_url.get_secret_value()
    return connect(url, prefix=settings.redis_key_prefix, timeout=timeout, retries=retries)


class NewJob(NamedTuple):
    """A job to be created. `owner` is the client that may read the job and the result of its `first_task`.

    `tasks` is the JSON of the messages that `resume` sends again. It is kept as long as the job. If it holds records,
    which are personal data, it is kept until the job has succeeded, or for a week after any other end.
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
    source_name: str = DEFAULT_SOURCE

    def arguments(self) -> list[str | float]:
        """Return the arguments of create_job.lua for this job."""
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
            self.source_name,
        ]


class QuietJob(NamedTuple):
    """An open job without recent activity.

    `heard` is the time of the last activity: progress, or a message that was sent or was delivered to a worker.
    `is_analysed`: some of its records still have to be analysed, so its messages may be in any queue.
    """

    job_id: str
    heard: datetime
    is_analysed: bool


class Restarts(NamedTuple):
    """The restarts of a job without progress: their number, and since when no message of it was delivered."""

    number: int
    lost_since: datetime


class Place(NamedTuple):
    """The position of a job in the list of all jobs, from the newest to the oldest. Its text is CREATED:JOB."""

    created: float
    job_id: str

    def __str__(self) -> str:
        return f"{self.created!r}:{self.job_id}"

    @classmethod
    def of(cls, text: str) -> "Place":
        """Return the place of a text. Raises ValueError if the text has another form."""
        created, _, job_id = text.partition(":")
        return cls(float(created), job_id)


class Jobs:
    """The store of all jobs. Each method raises Retryable when Redis does not answer. The caller gives the time.

    A job is kept for `retention_seconds` after its end. `held_queues` returns the task queues from which no worker
    takes messages, with the reason; jobs that need such a queue show the reason.
    """

    def __init__(
        self,
        client: "redis.Redis",
        retention_seconds: int = JOB_RETENTION_DAYS * 86_400,
        *,
        held_queues: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._redis = client
        self._retention_seconds = retention_seconds
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
        source_name: str = DEFAULT_SOURCE,
    ) -> bool:
        """Create a job and return True, or return False if it is already there. `NewJob` explains the arguments."""
        job = NewJob(job_id, kind, source, now, to_analyse, tasks, tasks_hold_records)
        return self.create_job(job._replace(source_name=source_name))

    def create_job(self, job: NewJob) -> bool:
        """Create a job and return True, or return False if it is already there."""
        keys = [JOBS, _job(job.job_id), _job(job.job_id, "tasks"), task_owner_key(job.first_task)]
        with redis_errors():
            return bool(self._create(keys, job.arguments()))

    def open_day(self, job: NewJob) -> bool:
        """Create the job of a source and day, and return True, or return False if it is already there.

        Nobody knows the number of its batches. So it stays open until `end_day`.
        """
        created = self.create_job(job)
        if created:
            self._update(job.job_id, job.created, state="running", batches=0)
        return created

    def end_day(self, job_id: str, now: datetime) -> JobState | None:
        """End the job of a source and day. Return its final state, or None if its state does not change.

        Which batches were settled is forgotten, unless a batch failed: its dead letter may be sent again, and is then
        counted in place of the failure.
        """
        self._update(job_id, now, imported=1, batches=0)
        state = self.finish_if_complete(job_id, now)
        if state == "succeeded":
            with redis_errors():
                self._redis.delete(_job(job_id, "batches"))
        if state == "deriving":
            return None
        return state

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
        """Claim a window of batches for the caller, who must call `sent` or `unclaim` soon.

        The call also stores the number of batches and of expected rows of the job. Unless the answer is "begun", the
        caller must not send the window: it was sent before ("sent"), another process has claimed it ("busy"), it
        belongs to an older generation ("stale"), or the job is "unknown" or "cancelled".
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
        """Note that the window that begins with this batch is in the queue, so that nobody sends it again.

        Only a claimed window is marked. If Redis has lost the claim meanwhile, the job begins again, and its new
        split must send the window.
        """
        with redis_errors():
            self._mark_sent([_job(job_id, "windows")], [first_batch])

    def unclaim(self, job_id: str, first_batch: int) -> None:
        with redis_errors():
            self._redis.hdel(_job(job_id, "windows"), str(first_batch))

    def message_state(self, job_id: str, generation: int | None) -> MessageState:
        """Return the state of a job for work of this generation.

        Work is "stale" if the open job has a later generation. Work without a generation is never stale. Work that is
        replayed after the job's end is "ended" and is still done. Raises Wait for a job of a later release, which may
        be about to take over.
        """
        with redis_errors():
            kept = cast(
                "list[str | None]",
                self._redis.hmget(_job(job_id), "state", "generation", "stopped", "schema"),
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
        if generation is not None and generation < int(current or 0):
            return "stale"
        return "open"

    def settle_batch(self, outcome: BatchOutcome, now: datetime) -> bool:
        """Store the outcome of a batch. Return False if it was settled before or Redis does not know the job."""
        arguments: list[str | float] = [
            outcome.batch,
            outcome.model_dump_json(),
            _iso(now),
            JOB_SHOWN_ERRORS,
        ]
        with redis_errors():
            return bool(self._settle_batch(keys_of_job(outcome.job_id), arguments))

    def note_read_before(self, job_id: str, course_id: str, texts: int, now: datetime) -> None:
        """Note how many texts of a course were read before this import stated points of the course."""
        self._update(job_id, now, **{f"{READ_BEFORE}{course_id}": texts})

    def failed_in_a_row(self, job_id: str) -> int:
        """Return how many batches failed since the last one that was written."""
        with redis_errors():
            return int(cast("str | None", self._redis.hget(_job(job_id), "failed_in_a_row")) or 0)

    def unsettled(self, job_id: str, batches: range) -> set[int]:
        """Return the batches among these that have no outcome yet."""
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
        """Add the progress of one pack to its job. Return False if the pack was settled before.

        With `claims_changed` the job ends only after `derived` was called.
        """
        arguments = [
            pack,
            progress.model_dump_json(),
            _iso(now),
            error or "",
            "1" if claims_changed else "",
        ]
        with redis_errors():
            return bool(self._settle_pack(keys_of_job(job_id), arguments))

    def imported(self, job_id: str, now: datetime) -> None:
        """Note that all batches of the job are settled."""
        self._update(job_id, now, imported=1)

    def fail(self, job_id: str, error: str, now: datetime, *, stop: bool = False) -> bool:
        """End the whole job as failed, with a sentence that says why. Return False if it was cancelled or is done.

        With `stop`, workers skip the tasks of the job that they have not begun. Only an open job can be stopped.
        """
        from_states: list[JobState] = ["queued", "running"]
        if not stop:
            from_states += FAILED_STATES
        return self._change(job_id, "failed", now, *from_states, error=error, stop=stop)

    def cancel(self, job_id: str, now: datetime) -> bool:
        """Cancel a job: workers skip the tasks that they have not begun. Return False if the job had ended."""
        return self._change(job_id, "cancelled", now, "queued", "running")

    def resume(self, job_id: str, now: datetime, *from_states: JobState) -> int:
        """Open a job again that was cancelled or has failures. Return its new generation, or 0 for any other job.

        Failed batches and packs count as not done from now on, so that the job ends only after they were tried again.
        """
        with redis_errors():
            states = from_states or ("cancelled", "failed", "partly failed")
            return int(cast("int", self._resume(keys_of_job(job_id), [_iso(now), *states])))

    def note_delivery(
        self,
        job_id: str,
        generation: int | None,
        queue: str,
        published: float | None,
        now: datetime,
    ) -> None:
        """Note that a worker got a message of a job from this queue. `published` is in seconds since 1970."""
        generation_text = "" if generation is None else generation
        published_ms = "" if published is None else int(published * 1_000)
        arguments: list[str | int] = [generation_text, _iso(now), published_ms, DELIVERIES_KEPT]
        with redis_errors():
            self._note_delivery([_job(job_id), _deliveries(queue)], arguments)

    def delivered_up_to(self, queue: str) -> datetime | None:
        """Return a time such that no message of either priority that was published before it is still in the queue.

        None if too few messages were delivered to know.
        """
        with redis_errors():
            times = cast("list[str]", self._redis.lrange(_deliveries(queue), 0, -1))
        if len(times) < DELIVERIES_KEPT:
            return None
        return datetime.fromtimestamp(min(map(int, times)) / 1_000, UTC)

    def quiet(self, now: datetime, seconds: float) -> list[QuietJob]:
        """Return the open jobs without activity for `seconds`, except jobs that are waiting for something.

        Jobs that were created more than two deadlines ago are left out.
        """
        before = now - timedelta(seconds=seconds)
        names = (
            "updated",
            "delivered",
            "waiting_until",
            *(f"analysis_{name}" for name in ANALYSIS_COUNTS),
        )
        found = []
        for job_id, (updated, delivered, until, *counts) in self._open_jobs(now, before, *names):
            times = [datetime.fromisoformat(time) for time in (updated, delivered) if time]
            heard = max(times)
            is_waiting = float(until or 0) > now.timestamp()
            if heard <= before and not is_waiting:
                found.append(QuietJob(job_id, heard, is_analysed=_left_to_analyse(counts) > 0))
        return found

    def records_to_analyse(self, now: datetime) -> int:
        """Return the number of records of open jobs that still have to be analysed, in a queue or not."""
        jobs = self._open_jobs(now, now, *(f"analysis_{name}" for name in ANALYSIS_COUNTS))
        return sum(_left_to_analyse(counts) for _, counts in jobs)

    def _open_jobs(
        self, now: datetime, before: datetime, *fields: str
    ) -> Iterator[tuple[str, list[str | None]]]:
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
        """Return False if another process has taken the turn to look for lost jobs within the last `seconds`."""
        with redis_errors():
            return bool(self._redis.set(REAPING, "1", nx=True, px=int(seconds * 1_000)))

    def take_turn_to_sweep(self, seconds: float) -> bool:
        """Return False if another process has taken the turn to sweep within the last `seconds`."""
        with redis_errors():
            return bool(self._redis.set(SWEEPING, "1", nx=True, px=int(seconds * 1_000)))

    def take_turn_to_end_records(self, seconds: float) -> bool:
        """Return False if another process has taken the turn to end old records within the last `seconds`."""
        with redis_errors():
            return bool(self._redis.set(ENDING_RECORDS, "1", nx=True, px=int(seconds * 1_000)))

    def swept_up_to(self) -> str:
        """Return the id of the last job whose blobs were swept, or an empty text at the beginning of a round."""
        with redis_errors():
            return cast("str | None", self._redis.get(SWEPT)) or ""

    def note_swept(self, job_id: str) -> None:
        with redis_errors():
            self._redis.set(SWEPT, job_id)

    def count_restart(self, job_id: str, now: datetime) -> Restarts:
        """Count a restart of the job, if one of its messages was delivered since the last restart.

        Return the number of restarts since the job last made progress, including this one.
        """
        with redis_errors():
            number, lost_since = cast(
                "tuple[int, str]", self._count_restart([_job(job_id)], [_iso(now)])
            )
        return Restarts(int(number), datetime.fromisoformat(lost_since))

    def forget_expired(self, now: datetime) -> int:
        """Remove expired jobs from the list of all jobs, and return their number.

        Only jobs that were created before the retention are checked, since a younger job cannot have expired.
        """
        forgotten = 0
        latest = now.timestamp() - self._retention_seconds
        with redis_errors():
            ids = cast("list[str]", self._redis.zrangebyscore(JOBS, "-inf", latest))
            for start in range(0, len(ids), LOOKED_AT):
                page = ids[start : start + LOOKED_AT]
                known = self.known(page)
                expired = [job_id for job_id in page if job_id not in known]
                if expired:
                    forgotten += int(self._redis.zrem(JOBS, *expired))
        return forgotten

    def known(self, job_ids: Sequence[str]) -> set[str]:
        """Return the jobs among these that Redis knows, whether they have ended or not."""
        found = set[str]()
        with redis_errors():
            for start in range(0, len(job_ids), LOOKED_AT):
                page = job_ids[start : start + LOOKED_AT]
                pipe = self._redis.pipeline(transaction=False)
                for job_id in page:
                    pipe.exists(_job(job_id))
                found |= {
                    job_id for job_id, there in zip(page, pipe.execute(), strict=True) if there
                }
        return found

    def tasks(self, job_id: str) -> str | None:
        """Return the `tasks` that were given to `create`, or None if they are gone."""
        with redis_errors():
            return cast("str | None", self._redis.get(_job(job_id, "tasks")))

    def first_open_batch(self, job_id: str) -> int:
        """Return the first batch that is not written yet or not completely analysed."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hgetall(_job(job_id, "batches"))
            pipe.hgetall(_job(job_id, "analysed"))
            outcomes, analysed = pipe.execute()
        batch = 0
        while str(batch) in outcomes and _is_done(outcomes[str(batch)], analysed.get(str(batch))):
            batch += 1
        return batch

    def open_batches(self, job_id: str, batches: range) -> set[int]:
        """Return the batches among these that are not written yet or not completely analysed."""
        names = [str(batch) for batch in batches]
        if not names:
            return set()
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hmget(_job(job_id, "batches"), names)
            pipe.hmget(_job(job_id, "analysed"), names)
            outcomes, analysed = pipe.execute()
        found = set()
        for batch, outcome, done in zip(batches, outcomes, analysed, strict=True):
            if not outcome or not _is_done(outcome, done):
                found.add(batch)
        return found

    def withdraw(self, job_id: str, now: datetime) -> None:
        """Withdraw a job that was not accepted. It is in no list, and a worker that gets its message skips it."""
        with redis_errors():
            pipe = self._redis.pipeline()
            # So a late `create` finds that the job is already there.
            pipe.hsetnx(_job(job_id), "created", _iso(now))
            pipe.zrem(JOBS, job_id)
            pipe.delete(*keys_of_job(job_id)[1:])
            pipe.hset(
                _job(job_id),
                mapping={"state": "cancelled", "updated": _iso(now), "finished": _iso(now)},
            )
            pipe.expire(_job(job_id), WITHDRAWN_SECONDS)
            pipe.execute()

    def delete(self, job_id: str, now: datetime) -> bool:
        """Delete the data of a job that has ended. Return False if it is open or unknown."""
        with redis_errors():
            deleted = bool(
                self._delete(keys_of_job(job_id), [_iso(now), WITHDRAWN_SECONDS, *sorted(ENDED)])
            )
            if deleted:
                self._redis.zrem(JOBS, job_id)
                self._redis.delete(f"edugraph:cost:{job_id}")
        return deleted

    def finish_if_complete(
        self, job_id: str, now: datetime
    ) -> JobState | Literal["deriving"] | None:
        """End the job if it is complete. Return its final state if this call ended it, else None.

        Return "deriving" if only the prerequisites that the job changed still have to be derived. A job that has
        already ended may also be "deriving".
        """
        with redis_errors():
            state = self._finish(keys_of_job(job_id), [_iso(now), self._retention_seconds])
        return cast('JobState | Literal["deriving"] | None', state or None)

    def deriving(self, job_ids: Collection[str]) -> dict[str, str]:
        """Return the jobs whose prerequisites must be derived: job id -> a number that grows with each change."""
        ids = sorted(job_ids)
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ids:
                pipe.hget(_job(job_id), "deriving")
            numbers = pipe.execute()
        return {job_id: number for job_id, number in zip(ids, numbers, strict=True) if number}

    def derived(self, job_id: str, number: str) -> None:
        """Note that a job's prerequisites are derived, unless it changed more since `deriving` gave the number."""
        with redis_errors():
            self._derived([_job(job_id)], [number])

    @contextmanager
    def settling(self) -> Iterator[None]:
        """Hold the lock for deriving prerequisites. Raises Wait when another process holds it."""
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
        """Show until `until`, in seconds since 1970, why the job waits."""
        self._update(job_id, now, waiting_for=reason, waiting_until=until)

    def is_cancelled(self, job_id: str) -> bool:
        """Return whether the job was cancelled or failed as a whole: its tasks that have not begun are skipped."""
        return self.message_state(job_id, 0) == "cancelled"

    def is_open(self, job_id: str) -> bool:
        """Return whether the job may still read its file. A job that Redis does not know is not open."""
        with redis_errors():
            state = cast("JobState | None", self._redis.hget(_job(job_id), "state"))
        return state is not None and state not in ENDED

    def clean_later(self, job_id: str, marks: Collection[str] = ()) -> None:
        """Note that the job's files name an erased person and must be cleaned when the job has ended.

        `marks` are the marks of the refused records, because their analysis may have left results.
        """
        with redis_errors():
            pipe = self._redis.pipeline()
            if marks:
                pipe.sadd(MARKS_TO_CLEAN, *marks)
            pipe.sadd(TO_CLEAN, job_id)
            pipe.execute()

    def clean_letters_later(self) -> None:
        """Note that a dead letter was stored that may name an erased person."""
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
        """Replace the file names that name a person, and return the number of such jobs."""
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
        """Hold the lock of erasures. A thread renews it while the block runs.

        Call the yielded function before each change: it raises Retryable if the lock was lost. Raises Wait when
        another process holds the lock.
        """
        lock = self._redis.lock(
            ERASING,
            timeout=ERASING_SECONDS,
            blocking_timeout=ERASING_BLOCKS_SECONDS,
            thread_local=False,
        )
        with redis_errors():
            if not lock.acquire():
                raise Wait("another person is being erased", ERASING_WAIT_SECONDS)
        ended = threading.Event()

        def go_on() -> None:
            with redis_errors():
                lock.reacquire()

        def renew() -> None:
            while not ended.wait(ERASING_SECONDS / 3):
                # The next call of `go_on` finds out what is wrong.
                with suppress(redis.RedisError, OSError):
                    lock.reacquire()

        renewing = threading.Thread(target=renew, name="erasing-claim", daemon=True)
        renewing.start()
        try:
            yield go_on
        finally:
            ended.set()
            renewing.join()
            with suppress(redis.RedisError):  # it ends by itself
                lock.release()

    def entries_with(self, texts: AbstractSet[str]) -> Iterator[tuple[str, Any]]:
        """Yield (key, value) from the data of jobs and the results of tasks where a value equals one of the texts.

        The search reads all jobs and results. It serves the export of a person's data.
        """
        for pattern in (
            "edugraph:job:{*}:tasks",
            "edugraph:job:{*}:batches",
            "edugraph:job:{*}:errors",
            RESULTS,
        ):
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
        return []  # the key was deleted meanwhile

    def created(self, job_id: str) -> datetime | None:
        with redis_errors():
            text = cast("str | None", self._redis.hget(_job(job_id), "created"))
        if not text:
            return None
        return datetime.fromisoformat(text)

    def report(self, job_id: str, now: datetime) -> JobReport | None:
        """Return the report of a job, or None if there is no such job."""
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
        """Return the newest jobs after the place `after`, and the place after which the next page begins.

        With `state` only jobs in this state are returned, with `owner` only jobs of this client. The place is None on
        the last page. Jobs that are added or expire meanwhile do not change the following pages.
        """
        is_filtered = state is not None or owner is not None
        at_once = limit + 1
        if is_filtered:
            at_once = LOOKED_AT
        with redis_errors():
            wanted = partial(self._wanted, state, owner, now)
            found = list(islice(self._older(after, now, wanted, at_once), limit + 1))
        reports = [report for _, report in found[:limit]]
        if len(found) <= limit:
            return reports, None
        last_place, _ = found[limit - 1]
        return reports, last_place

    def _older(
        self,
        after: "Place | None",
        now: datetime,
        among: Callable[[list[str]], set[str]],
        at_once: int,
    ) -> Iterator[tuple["Place", JobReport]]:
        latest: str | float = "+inf"
        if after:
            latest = after.created
        skip = 0
        while True:
            page = cast(
                "list[tuple[str, float]]",
                self._redis.zrevrangebyscore(
                    JOBS, latest, "-inf", start=skip, num=at_once, withscores=True
                ),
            )
            wanted = among([job_id for job_id, _ in page])
            for job_id, created in page:
                was_seen = after is not None and (created, job_id) >= after
                if was_seen:
                    continue
                after = Place(created, job_id)
                if job_id not in wanted:
                    continue
                report = self.report(job_id, now)
                # A job that has expired or was withdrawn meanwhile is left out.
                if report:
                    yield after, report
            if len(page) < at_once:
                return

            # The next page begins at the time of the last job, since any number of jobs may have this time. If the
            # whole page had it, the page itself is skipped.
            _, last_created = page[-1]
            if last_created == latest:
                skip += at_once
            else:
                skip = 0
            latest = last_created

    def _wanted(
        self, state: JobState | None, owner: str | None, now: datetime, ids: Sequence[str]
    ) -> set[str]:
        if state is None and owner is None:
            return set(ids)
        pipe = self._redis.pipeline(transaction=False)
        fields = (
            "state",
            "waiting_for",
            "waiting_until",
            "kind",
            "batches",
            "batches_done",
            "owner",
        )
        for job_id in ids:
            pipe.hmget(_job(job_id), *fields)
        held_queues = self._held_queues()
        wanted = set()
        for job_id, values in zip(ids, pipe.execute(), strict=True):
            kept = {
                name: value for name, value in zip(fields, values, strict=True) if value is not None
            }
            if "state" not in kept or owner not in (None, kept.get("owner", "")):
                continue
            waiting = _waits_for(job_id, kept, now.timestamp(), held_queues)
            if state in (None, _state(cast("JobState", kept["state"]), waiting)):
                wanted.add(job_id)
        return wanted

    def _change(
        self,
        job_id: str,
        state: JobState,
        now: datetime,
        *from_states: JobState,
        error: str = "",
        stop: bool = False,
    ) -> bool:
        arguments = [
            state,
            _iso(now),
            error,
            "1" if stop else "",
            self._retention_seconds,
            *from_states,
        ]
        with redis_errors():
            return bool(self._change_state(keys_of_job(job_id), arguments))

    def _update(self, job_id: str, now: datetime, **fields: Any) -> None:
        arguments: list[Any] = ["HSET", "updated", _iso(now)]
        for name, value in fields.items():
            arguments += [name, value]
        with redis_errors():
            self._if_known([_job(job_id)], arguments)


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
    key = f"edugraph:job:{{{job_id}}}"
    if part:
        return f"{key}:{part}"
    return key


def _deliveries(queue: str) -> str:
    return f"edugraph:delivered:{queue}"


def _left_to_analyse(counts: Sequence[str | None]) -> int:
    """Return the number of records to analyse. `counts` has the values of ANALYSIS_COUNTS."""
    expected, done, failed = (int(count or 0) for count in counts)
    return max(expected - done - failed, 0)


def keys_of_job(job_id: str) -> list[str]:
    return [_job(job_id, part) for part in PARTS]


def _report(
    job_id: str,
    fields: dict[str, str],
    errors: list[str],
    now: float,
    held_queues: Mapping[str, str],
) -> JobReport:
    number = {}
    for key, value in fields.items():
        if value.lstrip("-").isdigit():
            number[key] = int(value)
    waiting = _waits_for(job_id, fields, now, held_queues)
    counts = (
        "batches",
        "batches_done",
        "expected",
        "read",
        *ROW_COUNTS,
        "unknown",
        "over_budget",
    )
    return JobReport(
        job_id=job_id,
        kind=cast("Any", fields["kind"]),
        state=_state(cast("JobState", fields["state"]), waiting),
        source=fields["source"],
        source_name=fields.get("source_name", DEFAULT_SOURCE),
        owner=fields.get("owner", ""),
        created=datetime.fromisoformat(fields["created"]),
        updated=datetime.fromisoformat(fields["updated"]),
        finished=datetime.fromisoformat(fields["finished"]) if "finished" in fields else None,
        failed_batches=tuple(json.loads(fields.get("failed_batches", "[]"))),
        by_type=_prefixed(number, "type:"),
        reasons=_prefixed(number, "reason:"),
        not_relevant=_prefixed(number, "skipped:"),
        read_before=_prefixed(number, READ_BEFORE),
        errors=tuple(Reject.model_validate_json(error) for error in errors),
        analysis=_analysis(number, fields),
        waiting_for=waiting,
        deriving="deriving" in fields,
        error=fields.get("error"),
        **{name: number.get(name, 0) for name in counts},
    )


def _waits_for(
    job_id: str, fields: Mapping[str, str], now: float, held_queues: Mapping[str, str]
) -> str | None:
    """Return why a job waits, or None. A task has set the reason, or no worker takes messages from a needed queue."""
    if fields["state"] in ENDED:
        return None
    if float(fields.get("waiting_until") or 0) > now:
        return fields.get("waiting_for")
    for queue in _queues_that_carry_on(job_id, fields):
        if queue in held_queues:
            return held_queues[queue]
    return None


def _queues_that_carry_on(job_id: str, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the task queues in which messages of an open job may wait now."""
    if is_live_job(job_id):
        return ("live_records",)
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
    if waiting and state not in ENDED:
        return "waiting"
    return state


def _analysis(number: dict[str, int], fields: dict[str, str]) -> AnalysisProgress:
    names = ("expected", "done", "failed", "cached", "input_tokens", "output_tokens", "withheld")
    return AnalysisProgress(
        **{name: number.get(f"analysis_{name}", 0) for name in names},
        cost=float(fields.get("analysis_cost", 0)),
    )


def _prefixed(number: dict[str, int], prefix: str) -> dict[str, int]:
    found = {}
    for key in sorted(number):
        if key.startswith(prefix) and number[key]:
            found[key.removeprefix(prefix)] = number[key]
    return found


def load_script(client: "redis.Redis", *names: str) -> Script:
    folder = resources.files("edugraph_common.runtime.shared_state").joinpath("scripts")
    return client.register_script(
        "\n".join(folder.joinpath(f"{name}.lua").read_text() for name in names)
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
