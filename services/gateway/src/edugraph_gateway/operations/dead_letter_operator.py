"""What an operator does with dead letters: look at them, send them again, drop them. It needs RabbitMQ.

A replay publishes the message, waits for the confirm, and only then takes the letter out of the dead ones: a crash in
between leaves it there, and a second replay changes nothing, because a task keeps its id and tasks are idempotent.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar, cast

import pika
from pika.adapters.blocking_connection import BlockingChannel

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.routes import QUEUES, ROUTES, dead_queue_name
from edugraph_common.messaging.dead_letters import (
    DIED,
    REASON,
    TRIES,
    HeldLetter,
    Hold,
    LetterHolds,
    count_dead_letters,
    dead_letter_channel,
    header_value,
    held_letters,
)
from edugraph_common.messaging.topology import TASKS
from edugraph_common.platform.settings import Settings

T = TypeVar("T")

MAX_SEARCHED_LETTERS = 10_000  # dead letters that are looked through for one task
PERSISTENT = 2
# The broker and the tasks wrote these headers on the message when it died.
DEATH_HEADERS = ("x-death", "x-first-death", "x-last-death", "x-delivery-count", "x-edugraph-", "x-opt-")


class DeadLetter(ContractModel):
    """`died` is missing where the broker itself gave the message up; `job_id` for a message that is none of ours."""

    queue: str
    task_id: str
    task: str
    reason: str
    job_id: str | None = None
    tries: int | None = None
    died: datetime | None = None
    bytes: int = 0


class Replayed(ContractModel):
    """`skipped` tasks had succeeded meanwhile and are dropped; `left` are letters that no task can be made of."""

    replayed: int = 0
    skipped: int = 0
    left: int = 0


class NotThere(Rejected):
    """No dead letter of this task is in the queue."""


class Unplayable(Rejected):
    """No worker could read this letter; it stays where it is."""


class DeadLetterOperator:
    """Every method raises Retryable when the broker does not answer, Rejected for a queue or letter that is missing.

    `is_done` says by the id of a task whether it has succeeded.
    """

    def __init__(
        self,
        settings: Settings,
        holds: LetterHolds,
        is_done: Callable[[str], bool],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self._holds, self._is_done, self._sleep = settings, holds, is_done, sleep

    def counts(self) -> dict[str, int]:
        """Return the number of dead letters of each queue."""
        with dead_letter_channel(self._settings) as channel:
            return {queue: count_dead_letters(channel, queue) for queue in QUEUES}

    def oldest(self, queue: str, limit: int) -> list[DeadLetter]:
        """Return the oldest letters first. Looking leaves them where they are."""
        with self._holds.holding() as hold, dead_letter_channel(self._settings) as channel:
            return [_described(queue, held) for held in held_letters(channel, queue, limit, hold)]

    def show(self, queue: str, task_id: str) -> tuple[DeadLetter, Any]:
        """Return the letter and the arguments of its task, which hold records."""

        def show_oldest(_: BlockingChannel, letters: Iterator[HeldLetter]) -> tuple[DeadLetter, Any]:
            held = next(letters)
            return _described(queue, held), _arguments(held)

        return self._of_task(queue, task_id, show_oldest)

    def replay(self, queue: str, task_id: str) -> Replayed:
        """Send every letter of this task again. Raises Unplayable for one that no worker could do."""

        def replay_each(channel: BlockingChannel, letters: Iterator[HeldLetter]) -> Replayed:
            channel.confirm_delivery()
            return _total(self._replay(channel, held) for held in letters)

        return self._of_task(queue, task_id, replay_each)

    def replay_all(self, queue: str, limit: int, per_second: float) -> Replayed:
        """Send the oldest `limit` letters again, but no more than there are now: one that dies anew comes back."""

        def replay_or_leave(channel: BlockingChannel, held: HeldLetter) -> Replayed:
            try:
                replayed = self._replay(channel, held)
            except Unplayable:  # one letter that cannot be sent must not keep the others from being sent
                return Replayed(left=1)
            self._sleep(replayed.replayed / per_second)
            return replayed

        self._holds.wait_for_given_back()
        with self._holds.holding() as hold, dead_letter_channel(self._settings) as channel:
            channel.confirm_delivery()
            most = min(limit, count_dead_letters(channel, queue))
            return _total(replay_or_leave(channel, held) for held in held_letters(channel, queue, most, hold))

    def drop(self, queue: str, task_id: str) -> int:
        """Drop the letters of this task for good. Returns how many they were."""

        def drop_each(channel: BlockingChannel, letters: Iterator[HeldLetter]) -> int:
            dropped = 0
            for held in letters:
                channel.basic_ack(held.tag)
                dropped += 1
            return dropped

        return self._of_task(queue, task_id, drop_each)

    def drop_all(self, queue: str) -> int:
        """Drop all letters of the queue for good. Returns how many they were."""
        self._holds.wait_for_given_back()
        with dead_letter_channel(self._settings) as channel:
            count_dead_letters(channel, queue)  # it refuses a name that is no queue
            return int(channel.queue_purge(dead_queue_name(queue)).method.message_count)

    def _of_task(self, queue: str, task_id: str, do: Callable[[BlockingChannel, Iterator[HeldLetter]], T]) -> T:
        """Do it with the letters of one task, and look for them once more where others held some meanwhile.

        Only who finds nothing waits: many letters can be sent again one by one. Raises Retryable without Redis for a
        letter that is missing, since nobody knows then whether somebody holds it.
        """
        again = False
        while True:
            try:
                with self._holds.holding() as hold, dead_letter_channel(self._settings) as channel:
                    return do(channel, _letters_of_task(channel, queue, task_id, hold))
            except NotThere:
                if again or not hold.others():
                    raise
            self._holds.wait_for_given_back()
            again = True

    def _replay(self, channel: BlockingChannel, held: HeldLetter) -> Replayed:
        """Publish the task of a letter unless it is done, and acknowledge the letter after the broker's confirm."""
        task = _header(held, "task")
        done = self._is_done(_header(held, "id"))
        if not done:
            route = ROUTES.get(task)
            if route is None:
                raise Unplayable(f"no queue is known for the task {task[:80] or 'without a name'}: drop it")
            try:
                args, kwargs, embed = json.loads(held.body)
                # The chord was told of the failure when the task died: it must not hear of this member again.
                alone = {**dict(embed), "chord": None, "chain": None, "callbacks": None}
            except (ValueError, TypeError):
                raise Unplayable("the body of this dead letter is not that of a task: drop it") from None
            old = held.properties
            properties = pika.BasicProperties(
                content_type=old.content_type,
                content_encoding=old.content_encoding,
                correlation_id=old.correlation_id,
                reply_to=old.reply_to,
                priority=old.priority,
                message_id=old.message_id,
                delivery_mode=PERSISTENT,
                headers=without_death(cast("dict[str, Any]", old.headers or {})),
            )
            body = json.dumps([args, kwargs, alone]).encode()
            # The key is the task's own, not that of the letter: the key of a delayed message has 28 bits before it.
            channel.basic_publish(TASKS.name, route.key, body, properties, mandatory=True)
        channel.basic_ack(held.tag)
        return Replayed(skipped=1) if done else Replayed(replayed=1)


def without_death(headers: dict[str, Any]) -> dict[str, Any]:
    """Return the headers of a message that begins anew: no deaths, no tries used, no delay, in no group."""
    kept = {name: header_value(value) for name, value in headers.items() if not name.startswith(DEATH_HEADERS)}
    return kept | {"retries": 0, "eta": None, "expires": None, "group": None, "group_index": None}


def _letters_of_task(channel: BlockingChannel, queue: str, task_id: str, hold: Hold) -> Iterator[HeldLetter]:
    """Raises NotThere when the oldest 10,000 letters have none of this task."""
    found = False
    for held in held_letters(channel, queue, MAX_SEARCHED_LETTERS, hold):
        if _header(held, "id") == task_id:
            found = True
            yield held
    if not found:
        raise NotThere(f"there is no dead letter {task_id[:128]} in {queue}")


def _total(parts: Iterator[Replayed]) -> Replayed:
    total = Counter[str]()
    for part in parts:
        total.update(part.model_dump())
    return Replayed(**total)


def _described(queue: str, held: HeldLetter) -> DeadLetter:
    """Describe a letter without its records. A letter that we did not write may lack any of this."""
    arguments, tries = _arguments(held), _header(held, TRIES)
    last = arguments[-1] if isinstance(arguments, list) and arguments else None
    job_id = last.get("job_id") if isinstance(last, dict) else None
    try:
        died = datetime.fromisoformat(_header(held, DIED))
    except ValueError:
        died = None
    deaths = (held.properties.headers or {}).get("x-death") or [{}]
    told_by_broker = str(deaths[0].get("reason", "unknown"))
    reason = _header(held, REASON) or {
        "delivery_limit": "its workers died each time it was delivered",
        "rejected": "a worker refused it",
    }.get(told_by_broker, f"the broker gave it up ({told_by_broker})")
    return DeadLetter(
        queue=queue,
        task_id=_header(held, "id"),
        task=_header(held, "task"),
        reason=reason,
        job_id=job_id if isinstance(job_id, str) else None,
        tries=int(tries) if tries.isdigit() else None,
        died=died,
        bytes=len(held.body),
    )


def _arguments(held: HeldLetter) -> Any:
    """Return the positional arguments of the task, None where the body is not that of a task."""
    try:
        return json.loads(held.body)[0]
    except (ValueError, LookupError, TypeError):
        return None


def _header(held: HeldLetter, name: str) -> str:
    value = (held.properties.headers or {}).get(name)
    return str(value) if value is not None else ""
