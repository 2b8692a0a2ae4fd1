"""What an operator does with dead letters: look at them, send them again, drop them. With pika, on RabbitMQ.

A replay publishes the message, waits for the confirm, and only then takes it out of the dead letters: a crash in
between leaves it there, and its second replay changes nothing, since a task keeps its id and tasks are idempotent.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, cast

import pika
from celery import Celery, states
from pika.adapters.blocking_connection import BlockingChannel

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.routes import QUEUES, ROUTES, dead_queue_name
from edugraph_common.messaging.dead_letters import (
    DIED,
    REASON,
    TRIES,
    HeldLetter,
    count_dead_letters,
    dead_letter_channel,
    held_letters,
)
from edugraph_common.messaging.topology import TASKS
from edugraph_common.platform.settings import Settings

FURTHEST = 10_000  # dead letters looked through for one
PERSISTENT = 2
# What the broker and the tasks wrote on the message when it died.
_OF_DEATH = ("x-death", "x-first-death", "x-last-death", "x-delivery-count", "x-edugraph-", "x-opt-")


class DeadLetter(Frozen):
    """`died` is missing for what the broker itself buried; `job_id` for a message that is none of ours."""

    queue: str
    task_id: str
    task: str
    reason: str
    job_id: str | None = None
    tries: int | None = None
    died: datetime | None = None
    bytes: int = 0


class Replayed(Frozen):
    """`skipped`: tasks that had succeeded meanwhile; they are dropped. `left`: what no task can be made of."""

    replayed: int = 0
    skipped: int = 0
    left: int = 0


class NotThere(Rejected):
    """No dead letter of this task is in the queue."""


class Unplayable(Rejected):
    """The letter is none that a worker could read; it stays where it is."""


class DeadDesk:
    """Raises Retryable when the broker does not answer, Rejected for a queue or letter that is not there.

    `is_done` says whether a task has succeeded, by its id.
    """

    def __init__(
        self,
        settings: Settings,
        is_done: Callable[[str], bool],
        *,
        timeout: float = 4.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self._is_done, self._timeout, self._sleep = settings, is_done, timeout, sleep

    def counts(self) -> dict[str, int]:
        """Dead letters of each queue."""
        with self._channel() as channel:
            return {queue: count_dead_letters(channel, queue) for queue in QUEUES}

    def oldest(self, queue: str, limit: int) -> list[DeadLetter]:
        """The oldest first. Looking leaves them where they are."""
        with self._channel() as channel:
            return [_letter(queue, held) for held in held_letters(channel, queue, limit)]

    def show(self, queue: str, task_id: str) -> tuple[DeadLetter, Any]:
        """The letter and the arguments of its task, which hold records."""
        with self._channel() as channel:
            held = next(self._named(channel, queue, task_id))
            return _letter(queue, held), _arguments(held)

    def replay(self, queue: str, task_id: str) -> Replayed:
        """Every letter of this task. Raises Unplayable for one that could never be done."""
        with self._channel() as channel:
            channel.confirm_delivery()
            return _sum(self._replay(channel, held) for held in self._named(channel, queue, task_id))

    def replay_all(self, queue: str, limit: int, per_second: float) -> Replayed:
        """The oldest `limit` of them, no more than those that are there now."""
        with self._channel() as channel:
            channel.confirm_delivery()
            most = min(limit, count_dead_letters(channel, queue))
            return _sum(
                self._replay_or_leave(channel, held, per_second) for held in held_letters(channel, queue, most)
            )

    def drop(self, queue: str, task_id: str) -> int:
        """How many letters of this task were dropped."""
        with self._channel() as channel:
            return sum(_acknowledge(channel, held) for held in self._named(channel, queue, task_id))

    def drop_all(self, queue: str) -> int:
        with self._channel() as channel:
            count_dead_letters(channel, queue)
            return int(channel.queue_purge(dead_queue_name(queue)).method.message_count)

    def _replay(self, channel: BlockingChannel, held: HeldLetter) -> Replayed:
        done = self._is_done(_header(held, "id"))
        if not done:
            _publish_again(channel, held)
        channel.basic_ack(held.tag)
        return Replayed(skipped=1) if done else Replayed(replayed=1)

    def _replay_or_leave(self, channel: BlockingChannel, held: HeldLetter, per_second: float) -> Replayed:
        """One that cannot be sent again keeps none of the others."""
        try:
            replayed = self._replay(channel, held)
        except Unplayable:
            return Replayed(left=1)
        self._sleep(replayed.replayed / per_second)
        return replayed

    def _named(self, channel: BlockingChannel, queue: str, task_id: str) -> Iterator[HeldLetter]:
        found = False
        for held in held_letters(channel, queue, FURTHEST):
            if _header(held, "id") == task_id:
                found = True
                yield held
        if not found:
            raise NotThere(f"there is no dead letter {task_id[:128]} in {queue}")

    def _channel(self) -> AbstractContextManager[BlockingChannel]:
        return dead_letter_channel(self._settings, self._timeout)


def succeeded(results: Celery) -> Callable[[str], bool]:
    """Whether a task is done, by its stored result. A member of a chord that gave up answers with an outcome."""

    def ask(task_id: str) -> bool:
        meta = results.backend.get_task_meta(task_id, cache=False)
        result = meta.get("result")
        gave_up = isinstance(result, dict) and result.get("state") in ("failed", "cancelled")
        return meta["status"] == states.SUCCESS and not gave_up

    return ask


def without_death(headers: dict[str, Any]) -> dict[str, Any]:
    """The headers of a message that begins anew: no deaths, no tries used, no delay, in no group."""
    kept = {name: value for name, value in headers.items() if not name.startswith(_OF_DEATH)}
    # pika reads floats, but cannot write them; none of ours is one.
    kept = {name: str(value) if isinstance(value, float) else value for name, value in kept.items()}
    return kept | {"retries": 0, "eta": None, "expires": None, "group": None, "group_index": None}


def _publish_again(channel: BlockingChannel, held: HeldLetter) -> None:
    """By the task's own key: that of a delayed message has 28 bits before it."""
    route = ROUTES.get(_header(held, "task"))
    if route is None:
        raise Unplayable(f"no queue is known for the task {_header(held, 'task')[:80] or 'without a name'}: drop it")
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
    channel.basic_publish(TASKS.name, route.key, _alone(held.body), properties, mandatory=True)


def _alone(body: bytes) -> bytes:
    """The chord was told of the failure when the task died: it must not hear of this member again."""
    try:
        args, kwargs, embed = json.loads(body)
        embed = dict(embed)
    except (ValueError, TypeError):
        raise Unplayable("the body of this dead letter is not that of a task: drop it") from None
    return json.dumps([args, kwargs, {**embed, "chord": None, "chain": None, "callbacks": None}]).encode()


def _sum(parts: Iterator[Replayed]) -> Replayed:
    total = Counter[str]()
    for part in parts:
        total.update(part.model_dump())
    return Replayed(**total)


def _acknowledge(channel: BlockingChannel, held: HeldLetter) -> int:
    channel.basic_ack(held.tag)
    return 1


def _letter(queue: str, held: HeldLetter) -> DeadLetter:
    died, tries = _header(held, DIED), _header(held, TRIES)
    return DeadLetter(
        queue=queue,
        task_id=_header(held, "id"),
        task=_header(held, "task"),
        reason=_header(held, REASON) or _broker_reason(held),
        job_id=_job_id(held),
        tries=int(tries) if tries.isdigit() else None,
        died=_moment(died),
        bytes=len(held.body),
    )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _broker_reason(held: HeldLetter) -> str:
    deaths = (held.properties.headers or {}).get("x-death") or [{}]
    reason = str(deaths[0].get("reason", "unknown"))
    return {
        "delivery_limit": "its workers died each time it was delivered",
        "rejected": "a worker refused it",
    }.get(reason, f"the broker gave it up ({reason})")


def _job_id(held: HeldLetter) -> str | None:
    arguments = _arguments(held)
    last = arguments[-1] if isinstance(arguments, list) and arguments else None
    job_id = last.get("job_id") if isinstance(last, dict) else None
    return job_id if isinstance(job_id, str) else None


def _arguments(held: HeldLetter) -> Any:
    try:
        return json.loads(held.body)[0]
    except (ValueError, LookupError, TypeError):
        return None


def _header(held: HeldLetter, name: str) -> str:
    value = (held.properties.headers or {}).get(name)
    return str(value) if value is not None else ""
