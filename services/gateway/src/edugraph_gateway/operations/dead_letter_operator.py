"""The work of an operator with dead letters: look at them, send them again, or delete them."""

import json
import time
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import ValidationError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.live_days import live_job_id
from edugraph_common.contracts.messages import LivePart, person_mark
from edugraph_common.contracts.routes import QUEUES, ROUTES
from edugraph_common.runtime.messaging.dead_letter_store import (
    REASON,
    REPLAYED,
    DeadLetter,
    DeadLetterStore,
    StoredLetter,
    Unreadable,
)
from edugraph_common.runtime.messaging.dead_letters import (
    dead_letter_channel,
    header_value,
    take_in,
)
from edugraph_common.runtime.messaging.topology import TASKS
from edugraph_common.runtime.service.settings import Settings

PERSISTENT = 2
# The broker and the tasks wrote these headers on the message when it died.
DEATH_HEADERS = (
    "x-death",
    "x-first-death",
    "x-last-death",
    "x-delivery-count",
    "x-edugraph-",
    "x-opt-",
)


class Replayed(ContractModel):
    """Numbers of letters: sent again, deleted since their task has succeeded, and left since they are unreadable."""

    replayed: int = 0
    skipped: int = 0
    left: int = 0

    def plus(self, more: "Replayed") -> "Replayed":
        return Replayed(
            replayed=self.replayed + more.replayed,
            skipped=self.skipped + more.skipped,
            left=self.left + more.left,
        )


class NotThere(Rejected):
    """The queue has no dead letter of this task."""


class Unplayable(Rejected):
    """No worker could read this letter. It stays."""


class DeadLetterOperator:
    """Reads, replays and deletes dead letters. `is_done` returns whether the task with this id has succeeded.

    All methods raise Retryable if a server does not answer, and Rejected for a missing queue or letter. Methods that
    change a letter raise Wait while another process works on it.
    """

    def __init__(
        self,
        settings: Settings,
        store: DeadLetterStore,
        is_done: Callable[[str], bool],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._store = store
        self._is_done = is_done
        self._sleep = sleep

    def counts(self) -> dict[str, int]:
        """Return the number of dead letters of each queue. Letters that wait in the broker are stored first."""
        take_in(self._settings, self._store)
        return self._store.counts()

    def oldest(self, queue: str, limit: int) -> list[DeadLetter]:
        """Return the stored letters of a queue, the oldest first."""
        _check_queue(queue)
        return self._store.rows(self._store.oldest(queue, limit))

    def show(self, queue: str, task_id: str) -> tuple[DeadLetter, Any]:
        """Return the letter and the arguments of its task, which contain records."""
        letter = self._store.read(self._letters_of_task(queue, task_id)[0])
        if letter is None:
            raise _not_there(queue, task_id)
        return letter.describe(), letter.arguments()

    def replay(self, queue: str, task_id: str, person: str | None = None) -> Replayed:
        """Send every letter of this task again. Raises Unplayable for a letter that no worker could read.

        `person` is the id in the graph of the caller. An import that is sent again must not make them a leader.
        """
        refs = self._letters_of_task(queue, task_id)
        total = Replayed()
        with dead_letter_channel(self._settings) as channel:
            channel.confirm_delivery()
            for ref in refs:
                total = total.plus(self._replay(channel, ref, person))
        # Another call may have been faster.
        if total == Replayed():
            raise _not_there(queue, task_id)
        return total

    def replay_all(
        self, queue: str, limit: int, per_second: float, person: str | None = None
    ) -> Replayed:
        """Send the oldest `limit` letters again. Letters that die again meanwhile are not sent twice.

        `person`: see `replay`.
        """
        _check_queue(queue)
        take_in(self._settings, self._store)
        refs = self._store.oldest(queue, limit)
        total = Replayed()
        with dead_letter_channel(self._settings) as channel:
            channel.confirm_delivery()
            for ref in refs:
                # A letter that cannot be sent must not stop the others.
                try:
                    replayed = self._replay(channel, ref, person)
                except (Unplayable, Unreadable):
                    replayed = Replayed(left=1)
                self._sleep(replayed.replayed / per_second)
                total = total.plus(replayed)
        return total

    def drop(self, queue: str, task_id: str) -> int:
        """Delete the letters of this task, and return their number."""
        dropped = self._drop(self._letters_of_task(queue, task_id))
        # Another call may have been faster.
        if not dropped:
            raise _not_there(queue, task_id)
        return dropped

    def drop_all(self, queue: str) -> int:
        """Delete all letters of the queue, and return their number."""
        _check_queue(queue)
        take_in(self._settings, self._store)
        return self._drop(self._store.oldest(queue, limit=0))

    def _letters_of_task(self, queue: str, task_id: str) -> list[str]:
        """Return the references of at least one letter. Raises NotThere."""
        _check_queue(queue)
        refs = self._store.of_task(queue, task_id)
        if not refs:
            take_in(self._settings, self._store)
            refs = self._store.of_task(queue, task_id)
        if not refs:
            raise _not_there(queue, task_id)
        return refs

    def _drop(self, refs: list[str]) -> int:
        dropped = 0
        for ref in refs:
            with self._store.claimed(ref):
                if self._store.is_there(ref):
                    self._store.delete(ref)
                    dropped += 1
        return dropped

    def _replay(self, channel: BlockingChannel, ref: str, person: str | None) -> Replayed:
        """Publish the task of a letter unless it has succeeded, and delete the letter after the broker's confirm.

        If the process is killed between the two, the letter stays, and its task may be sent twice.
        """
        with self._store.claimed(ref):
            letter = None
            if self._store.is_there(ref):
                letter = self._store.read(ref)
            # Another call may have been faster.
            if letter is None:
                return Replayed()
            if self._is_done(letter.header("id")):
                self._store.delete(ref)
                return Replayed(skipped=1)
            is_end_recorded = REASON in letter.headers or not self._store.lacks_recorded_end(ref)
            self._publish(channel, letter, person, is_end_recorded=is_end_recorded)
            # The replayed task will report its own end.
            self._store.delete(ref, is_end_recorded=True)
            return Replayed(replayed=1)

    def _publish(
        self,
        channel: BlockingChannel,
        letter: StoredLetter,
        person: str | None,
        *,
        is_end_recorded: bool,
    ) -> None:
        task = letter.header("task")
        route = ROUTES.get(task)
        if route is None:
            raise Unplayable(
                f"no queue is known for the task {task[:80] or 'without a name'}: drop it"
            )
        try:
            args, kwargs, embed = json.loads(letter.content)
            embed = dict(embed)
        except (ValueError, TypeError, RecursionError):
            raise Unplayable(
                "the body of this dead letter is not that of a task: drop it"
            ) from None
        headers = without_death(letter.headers) | {REPLAYED: self._store.now().isoformat()}
        if is_end_recorded:
            # The chord received the failure when the task died, so it must not get a second result of this member.
            embed = {**embed, "chord": None, "chain": None, "callbacks": None}
            headers |= {"group": None, "group_index": None}
        properties = pika.BasicProperties(
            **letter.properties, delivery_mode=PERSISTENT, headers=headers
        )
        if person and isinstance(args, list):
            args = [with_sender(each, person) for each in args]
        body = json.dumps([args, kwargs, embed]).encode()
        # The key is that of the task, because the key of a delayed message begins with 28 bits for the delay.
        channel.basic_publish(TASKS.name, route.key, body, properties, mandatory=True)


def with_sender(message: Any, person: str) -> Any:
    """Return the message of a task, with the mark of the caller who sends it again in each `Requested` of it."""
    if not isinstance(message, dict):
        return message
    changed = dict(message)
    if "job" in message:
        changed["job"] = with_sender(message["job"], person)
    parts = message.get("parts")
    if isinstance(parts, list):
        changed["parts"] = [_part_with_sender(part, person) for part in parts]
    mark = person_mark(str(message.get("job_id")), person)
    rights = message.get("rights")
    if isinstance(rights, dict):
        changed["rights"] = rights | {"resumed_by": [*_marks_of(rights), mark]}
    return changed | {"resumed_by": [*_marks_of(message), mark]}


def _part_with_sender(part: Any, person: str) -> Any:
    """Return a part of a live batch with the mark of the caller. The mark belongs to the job of the part."""
    try:
        read = LivePart.model_validate(part)
    except ValidationError:
        return part
    return with_sender({**part, "job_id": live_job_id(read.rights.source, read.acceptance)}, person)


def _marks_of(message: dict[str, Any]) -> list[Any]:
    marks = message.get("resumed_by")
    if not isinstance(marks, list):
        return []
    return marks


def without_death(headers: dict[str, Any]) -> dict[str, Any]:
    """Return the headers of a message that begins again: without deaths, tries and delay."""
    kept = {
        name: header_value(value)
        for name, value in headers.items()
        if not name.startswith(DEATH_HEADERS)
    }
    return kept | {"retries": 0, "eta": None, "expires": None}


def _check_queue(queue: str) -> None:
    if queue not in QUEUES:
        raise Rejected(f"there is no queue {queue[:80]}; they are {', '.join(QUEUES)}")


def _not_there(queue: str, task_id: str) -> NotThere:
    return NotThere(f"there is no dead letter {task_id[:128]} in {queue}")
