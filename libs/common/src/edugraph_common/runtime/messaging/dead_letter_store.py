"""Dead letters as objects: `dead/QUEUE/NAME.json` holds the message, and a row in Redis describes it without records.

The objects are the source of truth, and the rows are an index. If Redis has lost the rows, the next reader makes them
again from the objects, and the sweeper of the gateway repairs differences. A process claims a letter before it
changes or deletes it.
"""

import base64
import calendar
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal, cast

import redis
from pydantic import ValidationError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.errors import Rejected, Wait
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.runtime.messaging.packed_rows import with_plain_rows
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.job_store import Jobs, redis_of
from edugraph_common.runtime.shared_state.object_store import BlobMissing, Blobs

FOLDER = "dead"
REASON, TRIES, DIED = "x-edugraph-reason", "x-edugraph-tries", "x-edugraph-died"
# The header with the time when an operator sent the message again. The broker's own times are whole seconds, so
# without this header two deaths of one task within a second would get the same name.
REPLAYED = "edugraph_replayed"

KEYS = "edugraph:{dead-letters}"
ROWS = f"{KEYS}:rows"  # QUEUE/NAME -> JSON of a DeadLetter
DELETED = f"{KEYS}:deleted"  # QUEUE/NAME, scored by the time when the letter was deleted
# Letters whose end is not yet in the result of the task and in its job.
WITHOUT_RECORDED_END = f"{KEYS}:untold"
INDEXED = f"{KEYS}:indexed"  # exists if every object has a row
ERASED = f"{KEYS}:erased"  # exists for a while after an erasure

# The claim of a process that died ends after this time. Reading, publishing and writing a letter takes at most a
# second.
CLAIM_SECONDS = 120.0
CLAIM_PATIENCE_SECONDS = 5.0
# A part of an object that is older than this was left by a process that was killed.
PART_SECONDS = 3_600.0
MOST_SHOWN_CHARACTERS = 1_000  # of the text of a header in a row
_PROPERTIES = (
    "content_type",
    "content_encoding",
    "correlation_id",
    "reply_to",
    "priority",
    "message_id",
)
# The broker changes these at each delivery.
_OF_DELIVERY = ("x-delivery-count", "x-acquired-count")
# The name of a letter has this in place of an id with strange characters.
UNKNOWN = "unknown"
_TASK_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_HASH_LETTERS = 24
_KEY = re.compile(
    rf"{FOLDER}/({'|'.join(QUEUES)})/[A-Za-z0-9_.-]+\.[0-9a-f]{{{_HASH_LETTERS}}}\.json"
)


class Unreadable(Rejected):
    """The object of a letter does not hold a letter."""


class DeadLetter(ContractModel):
    """The description of a dead letter, without records.

    `died` is None if the broker itself gave the message up. `job_id` is None for a message that is not ours.
    """

    queue: str
    task_id: str
    task: str
    reason: str
    job_id: str | None = None
    tries: int | None = None
    died: datetime | None = None
    bytes: int = 0


class StoredLetter(ContractModel):
    """A message that was given up. `body` is in base64 if it is not text in UTF-8.

    The retention begins at `since`.
    """

    version: Literal[1] = 1
    queue: str
    name: str
    since: datetime
    properties: dict[str, Any]
    headers: dict[str, Any]
    body: str
    body_is_base64: bool = False

    @property
    def ref(self) -> str:
        """The unique name of the letter: QUEUE/NAME."""
        return f"{self.queue}/{self.name}"

    @property
    def content(self) -> bytes:
        """The bytes of the body in the broker."""
        if self.body_is_base64:
            return base64.b64decode(self.body, validate=True)
        return self.body.encode()

    def with_content(self, content: bytes) -> "StoredLetter":
        """Return the letter with another body."""
        return self.model_copy(update=_body_fields(content))

    def header(self, name: str) -> str:
        """Return a header as text, or an empty text if it is missing."""
        value = self.headers.get(name)
        if value is None:
            return ""
        return str(value)

    def arguments(self) -> Any:
        """Return the positional arguments of the task, or None if the body is not that of a task."""
        try:
            return json.loads(self.content)[0]
        except (ValueError, LookupError, TypeError, RecursionError):
            return None

    def describe(self) -> DeadLetter:
        """Return the row of the letter. Each header may be missing in a letter that we did not write."""
        return DeadLetter(
            queue=self.queue,
            task_id=self.header("id")[:MOST_SHOWN_CHARACTERS],
            task=self.header("task")[:MOST_SHOWN_CHARACTERS],
            reason=(self.header(REASON) or self._reason_of_broker())[:MOST_SHOWN_CHARACTERS],
            job_id=self._job_id(),
            tries=self._tries(),
            died=_moment(self.header(DIED)),
            bytes=len(self.content),
        )

    def _reason_of_broker(self) -> str:
        """Return why the broker gave the message up, in words."""
        noted = str(_deaths(self.headers)[0].get("reason", "unknown"))
        if noted == "delivery_limit":
            return "its workers died each time it was delivered"
        if noted == "rejected":
            return "a worker refused it"
        return f"the broker gave it up ({noted})"

    def _job_id(self) -> str | None:
        arguments = self.arguments()
        if not isinstance(arguments, list) or not arguments:
            return None
        message = arguments[-1]
        if not isinstance(message, dict):
            return None
        job_id = message.get("job_id")
        if not isinstance(job_id, str):
            return None
        return job_id[:MOST_SHOWN_CHARACTERS]

    def _tries(self) -> int | None:
        tries = self.header(TRIES)
        if not re.fullmatch(r"[0-9]{1,9}", tries):
            return None
        return int(tries)


def made_letter(
    queue: str,
    properties: Mapping[str, Any],
    headers: Mapping[str, Any],
    body: bytes,
    now: datetime,
) -> StoredLetter:
    """Return the letter of a message. Its name is the same each time the message is delivered.

    Packed records of a live message are plain in the letter, so that an erasure, an export and an operator read them.
    """
    plain_headers = {str(name): _json_value(value) for name, value in headers.items()}
    plain_properties = {name: _json_value(properties.get(name)) for name in _PROPERTIES}
    lasting_headers = {}
    for name, value in plain_headers.items():
        if not name.startswith(_OF_DELIVERY):
            lasting_headers[name] = value
    identity = [queue, lasting_headers, plain_properties, hashlib.sha256(body).hexdigest()]
    identity_hash = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    task_id = str(headers.get("id") or "")
    if not _TASK_ID.fullmatch(task_id):
        task_id = UNKNOWN
    return StoredLetter(
        queue=queue,
        name=f"{task_id}.{identity_hash[:_HASH_LETTERS]}",
        since=min(now, _died(plain_headers) or now),
        properties=plain_properties,
        headers=plain_headers,
        **_body_fields(with_plain_rows(body)),
    )


@dataclass(frozen=True)
class DeadLetterStore:
    """The store of all dead letters. `ref` (QUEUE/NAME) names a letter.

    Every method raises Retryable when Redis or the blob store does not answer.
    """

    client: "redis.Redis"
    jobs: Jobs
    blobs: Blobs
    retention: timedelta
    now: Callable[[], datetime]

    def keep(self, letter: StoredLetter) -> None:
        """Store a letter, unless it is stored or was deleted already. Repeating the call is safe.

        When the call returns, object and row are stored, so the message may be acknowledged. A letter that arrives
        again does not replace its object, since an erasure may have changed the object. Raises Wait while another
        process works on the letter.
        """
        ref = letter.ref
        with self.claimed(ref):
            if self._is_deleted(ref):
                return
            if not self.blobs.exists(_key(ref)):
                self._write(letter)
            self._index(letter)
            # A letter with a row is added too: its worker may have died before it recorded the end. Recording an end
            # twice is safe.
            with redis_errors():
                self.client.sadd(WITHOUT_RECORDED_END, ref)
        self._clean_after_erasure()

    def note_erasure(self) -> None:
        """Request that letters stored from now on are cleaned, since they may name a person who is being erased.

        An erasure calls this before it lists the objects, and `keep` checks it after it has written an object. So
        each letter is either in the list or cleaned afterwards.
        """
        with redis_errors():
            self.client.set(ERASED, "1", ex=int(self.retention.total_seconds()))

    def counts(self) -> dict[str, int]:
        """Return queue -> number of letters."""
        self._index_again_if_lost()
        with redis_errors():
            return {queue: self.client.zcard(_of_queue(queue)) for queue in QUEUES}

    def oldest(self, queue: str, limit: int) -> list[str]:
        """Return the `limit` oldest letters of a queue, the oldest first. A `limit` of 0 returns all letters."""
        self._index_again_if_lost()
        with redis_errors():
            names = cast("list[str]", self.client.zrange(_of_queue(queue), 0, limit - 1))
        return [f"{queue}/{name}" for name in names]

    def rows(self, refs: list[str]) -> list[DeadLetter]:
        """Return the rows of these letters. Letters that were deleted meanwhile are left out."""
        if not refs:
            return []
        with redis_errors():
            texts = cast("list[str | None]", self.client.hmget(ROWS, refs))
        return [DeadLetter.model_validate_json(text) for text in texts if text]

    def of_task(self, queue: str, task_id: str) -> list[str]:
        """Return the letters of one task, the oldest first."""
        self._index_again_if_lost()
        pattern = f"{task_id}.{'?' * _HASH_LETTERS}"
        with redis_errors():
            found = list(self.client.zscan_iter(_of_queue(queue), match=pattern, count=1_000))
        found.sort(key=lambda entry: entry[1])
        return [f"{queue}/{name}" for name, _ in found]

    def stored(self) -> list[str]:
        """Return all letters that have an object, whether Redis knows them or not."""
        refs = []
        for key in self.blobs.keys(FOLDER):
            if _is_letter(key):
                refs.append(key.removeprefix(f"{FOLDER}/").removesuffix(".json"))
        return refs

    def strange(self) -> list[str]:
        """Return the keys of objects that are not letters: unfinished parts and other files."""
        return [key for key in self.blobs.keys(FOLDER) if not _is_letter(key)]

    def read(self, ref: str) -> StoredLetter | None:
        """Return a letter, or None if there is none. Raises Unreadable."""
        try:
            with self.blobs.open(_key(ref)) as file:
                return StoredLetter.model_validate_json(file.read())
        except BlobMissing:
            return None
        except ValidationError:
            raise Unreadable(
                f"the dead letter {ref} was damaged in the blob store: drop it"
            ) from None

    @contextmanager
    def claimed(self, ref: str, patience_seconds: float = CLAIM_PATIENCE_SECONDS) -> Iterator[None]:
        """Hold the lock of a letter. Raises Wait if another process holds it for longer than `patience_seconds`."""
        lock = self.client.lock(
            f"{KEYS}:claim:{ref}",
            timeout=CLAIM_SECONDS,
            blocking_timeout=patience_seconds,
            thread_local=False,
        )
        with redis_errors():
            if not lock.acquire():
                raise Wait("another process works on this dead letter", CLAIM_PATIENCE_SECONDS)
        try:
            yield
        finally:
            with suppress(redis.RedisError):  # the lock also ends by itself
                lock.release()

    def is_there(self, ref: str) -> bool:
        """Return whether a letter was stored and not deleted."""
        with redis_errors():
            return self.client.hexists(ROWS, ref)

    def delete(self, ref: str, *, is_end_recorded: bool = False) -> None:
        """Delete a letter permanently. The caller must have claimed it.

        If no worker has recorded the task's end yet, the letter is hidden, and its object stays until a worker has.
        `is_end_recorded` says that the end need not be recorded any more.
        """
        queue, name = ref.split("/", 1)
        with redis_errors():
            pipe = self.client.pipeline()
            if is_end_recorded:
                pipe.srem(WITHOUT_RECORDED_END, ref)
            pipe.zadd(DELETED, {ref: self.now().timestamp()})
            pipe.zrem(_of_queue(queue), name)
            pipe.hdel(ROWS, ref)
            pipe.sismember(WITHOUT_RECORDED_END, ref)
            lacks_recorded_end = bool(pipe.execute()[-1])
        if not lacks_recorded_end:
            self.blobs.delete(_key(ref))

    def without_recorded_end(self, queue: str) -> list[str]:
        """Return the letters of a queue for which the end of the task has not been recorded yet."""
        with redis_errors():
            refs = cast("set[str]", self.client.smembers(WITHOUT_RECORDED_END))
        return sorted(ref for ref in refs if ref.startswith(f"{queue}/"))

    def lacks_recorded_end(self, ref: str) -> bool:
        with redis_errors():
            return bool(self.client.sismember(WITHOUT_RECORDED_END, ref))

    def note_recorded_end(self, ref: str) -> None:
        """Note that the end of a letter's task was recorded. The caller must have claimed the letter."""
        with redis_errors():
            self.client.srem(WITHOUT_RECORDED_END, ref)
        if self._is_deleted(ref):
            self.blobs.delete(_key(ref))

    def rewrite(self, ref: str, change: Callable[[bytes], bytes], *, dry_run: bool) -> bool:
        """Change the body of a letter, and return whether it changed. If the new body is empty, delete the letter.

        Raises Unreadable, and Wait while another process works on the letter.
        """
        letter = self.read(ref)
        if letter is None or change(letter.content) == letter.content:
            return False
        if dry_run:
            return True
        with self.claimed(ref):
            letter = self.read(ref)
            if letter is None:
                return False  # the letter was replayed or dropped meanwhile
            content = change(letter.content)
            if content:
                self._write(letter.with_content(content))
            else:
                # The task can never run again. If its end is not recorded, a worker still does that without the body.
                self.delete(ref)
                self.blobs.delete(_key(ref))
        return True

    def export(self, queue: str) -> Iterator[str]:
        """Yield each letter of a queue as a JSON document, the oldest first."""
        for ref in self.oldest(queue, limit=0):
            letter = self.read(ref)
            if letter:
                yield letter.model_dump_json()

    def restore(self, lines: Iterable[str]) -> dict[str, int]:
        """Store exported letters, and return queue -> number of letters. A letter that is already there is replaced.

        Raises Rejected for a line that is not a dead letter; the lines before it are stored.
        """
        restored: dict[str, int] = {}
        for number, line in enumerate(lines, start=1):
            try:
                letter = StoredLetter.model_validate_json(line)
                letter.content  # noqa: B018 - the property raises for a body that is not base64
            except ValueError:
                raise Rejected(
                    f"Line {number} is not a dead letter that `dead export` wrote; the lines before it were restored."
                ) from None
            if letter.queue not in QUEUES or not _is_letter(_key(letter.ref)):
                raise Rejected(
                    f"Line {number} names a queue that does not exist; the lines before it were restored."
                )
            self._restore(letter.model_copy(update={"since": self.now()}))
            restored[letter.queue] = restored.get(letter.queue, 0) + 1
        return restored

    def sweep(self) -> int:
        """Delete letters whose retention is over, repair the rows, and return the number of deleted letters.

        Any number of processes may sweep at the same time.
        """
        oldest_kept = (self.now() - self.retention).timestamp()
        # The rows are read first: if a row was read before the objects are listed and has no object in the list, its
        # letter was deleted.
        with redis_errors():
            indexed = {}
            for queue in QUEUES:
                entries = self.client.zrange(_of_queue(queue), 0, -1, withscores=True)
                for name, began in cast("list[tuple[str, float]]", entries):
                    indexed[f"{queue}/{name}"] = began
        stored = set(self.stored())
        deleted = 0
        for ref in stored:
            since = indexed.get(ref)
            if since is not None and since >= oldest_kept:
                continue
            with suppress(Wait), self.claimed(ref, 0):
                deleted += self._sweep_letter(ref, since, oldest_kept)
        for ref in indexed.keys() - stored:
            with suppress(Wait), self.claimed(ref, 0):
                if not self.blobs.exists(_key(ref)):
                    # If the end of its task is not recorded, a worker records that the letter was lost.
                    self.delete(ref)
        for key in self.strange():
            deleted += self._sweep_strange(key, timedelta(seconds=PART_SECONDS))
        with redis_errors():
            self.client.zremrangebyscore(DELETED, "-inf", oldest_kept)
            self.client.set(INDEXED, "1")
        return deleted

    def _sweep_letter(self, ref: str, since: float | None, oldest_kept: float) -> bool:
        """Delete a claimed letter if it is old, and return whether it was deleted. `since` is None without a row."""
        if since is None:
            try:
                letter = self.read(ref)
            except Unreadable:
                return self._sweep_strange(_key(ref), self.retention)
            if letter is None:
                return False
            since = letter.since.timestamp()
            if not self._is_deleted(ref):
                self._index(letter)
            elif not self.lacks_recorded_end(ref):
                # A process died between hiding the letter and deleting its object.
                self.blobs.delete(_key(ref))
                return True
        if since >= oldest_kept:
            return False
        self.delete(ref, is_end_recorded=True)
        return True

    def _sweep_strange(self, key: str, kept: timedelta) -> bool:
        """Delete an object that is not a letter if it is older than `kept`, and return whether it was deleted."""
        written = self.blobs.written(key).get(key)
        is_old = written is not None and self.now() - written > kept
        if is_old:
            self.blobs.delete(key)
        return is_old

    def _restore(self, letter: StoredLetter) -> None:
        with self.claimed(letter.ref):
            self._write(letter)
            with redis_errors():
                self.client.zrem(DELETED, letter.ref)
                self.client.hdel(ROWS, letter.ref)
            self._index(letter)
        self._clean_after_erasure()

    def _index_again_if_lost(self) -> None:
        """Recreate the rows if Redis has lost them. Ends are not recorded again, since lost jobs are sent again."""
        with redis_errors():
            if self.client.exists(INDEXED):
                return
        for ref in self.stored():
            with suppress(Unreadable), self.claimed(ref):
                letter = self.read(ref)
                if letter and not self._is_deleted(ref):
                    self._index(letter)
        with redis_errors():
            self.client.set(INDEXED, "1")

    def _index(self, letter: StoredLetter) -> None:
        """Write the row of a letter, unless it has a row."""
        with redis_errors():
            if self.client.hexists(ROWS, letter.ref):
                return
            pipe = self.client.pipeline()
            pipe.hset(ROWS, letter.ref, letter.describe().model_dump_json())
            pipe.zadd(_of_queue(letter.queue), {letter.name: letter.since.timestamp()})
            pipe.execute()

    def _clean_after_erasure(self) -> None:
        with redis_errors():
            was_erased = self.client.exists(ERASED)
        if was_erased:
            self.jobs.clean_letters_later()

    def _is_deleted(self, ref: str) -> bool:
        with redis_errors():
            return self.client.zscore(DELETED, ref) is not None

    def _write(self, letter: StoredLetter) -> None:
        with self.blobs.write(_key(letter.ref)) as file:
            file.write(letter.model_dump_json().encode())


def task_of(ref: str) -> str | None:
    """Return the id of the task of a letter, or None if its name does not have it."""
    _, _, name = ref.partition("/")
    task_id, _, _ = name.rpartition(".")
    if task_id == UNKNOWN:
        return None
    return task_id


def _key(ref: str) -> str:
    return f"{FOLDER}/{ref}.json"


def _is_letter(key: str) -> bool:
    return _KEY.fullmatch(key) is not None


def _of_queue(queue: str) -> str:
    return f"{KEYS}:queue:{queue}"


def _body_fields(content: bytes) -> dict[str, Any]:
    try:
        return {"body": content.decode(), "body_is_base64": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(content).decode(), "body_is_base64": True}


def _deaths(headers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the broker's notes about the deaths of a message, the last death first. The list is never empty."""
    deaths = headers.get("x-death")
    if not isinstance(deaths, list):
        return [{}]
    noted: list[dict[str, Any]] = [death for death in deaths if isinstance(death, dict)]
    return noted or [{}]


def _died(headers: Mapping[str, Any]) -> datetime | None:
    """Return when the task gave up, or when the broker gave the message up."""
    return _moment(headers.get(DIED)) or _moment(_deaths(headers)[0].get("time"))


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment


def _json_value(value: Any) -> Any:
    """Return the value of a header as a JSON value. A header may hold times and lists of tables."""
    if isinstance(value, dict):
        return {str(name): _json_value(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(entry) for entry in value]
    if isinstance(value, datetime):
        # Pika gives times of the broker without a time zone, kombu with one; both are UTC.
        return datetime.fromtimestamp(calendar.timegm(value.utctimetuple()), UTC).isoformat()
    if isinstance(value, int | bool | float | None):
        return value
    # A transport may have decoded bytes that are not UTF-8 into characters that cannot be encoded.
    return str(value).encode(errors="replace").decode()


def open_dead_letters(settings: Settings) -> DeadLetterStore:
    """Return the store. It connects at its first use."""
    client = redis_of(settings)
    jobs = Jobs(client, settings.job_retention_seconds)
    retention = timedelta(days=settings.dead_letter_retention_days)
    return DeadLetterStore(
        client, jobs, Blobs(settings.blob_url), retention, partial(datetime.now, UTC)
    )
