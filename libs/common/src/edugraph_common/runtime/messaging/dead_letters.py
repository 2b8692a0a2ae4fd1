"""Dead letters in the broker. A task that gives up sends its message to NAME.dead, and a worker stores it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import pika.exceptions
import structlog
from celery import Task
from pika.adapters.blocking_connection import BlockingChannel

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.contracts.routes import QUEUES, ROUTES, dead_queue_name
from edugraph_common.runtime.messaging.dead_letter_store import (
    DIED,
    REASON,
    TRIES,
    DeadLetterStore,
    Unreadable,
    made_letter,
)
from edugraph_common.runtime.messaging.provisioning import pika_channel
from edugraph_common.runtime.messaging.publisher import broker_errors
from edugraph_common.runtime.messaging.topology import DEAD
from edugraph_common.runtime.service.settings import Settings

# The header with the reason why a message was put back the last time.
WAITED_FOR = "x-edugraph-waited-for"
T = TypeVar("T")
log = structlog.get_logger()


def publish_dead_letter(task: "Task[Any, Any]", args: tuple[Any, ...], reason: str) -> None:
    """Publish the running task's message to the dead letters of its queue, confirmed. Raises Retryable."""
    copy = task.signature_from_request(task.request, args, {}, retries=0)
    headers = {
        REASON: reason,
        TRIES: str(task.request.retries + 1),
        DIED: datetime.now(UTC).isoformat(),
    }
    with broker_errors():
        copy.apply_async(exchange=DEAD.name, routing_key=ROUTES[task.name].queue, headers=headers)


@contextmanager
def dead_letter_channel(
    settings: Settings, timeout_seconds: float = 4.0
) -> Iterator[BlockingChannel]:
    """Open a channel for reading dead letters. When it closes, unacknowledged letters go back to their queues.

    Raises Rejected for a broker that has no dead letters or refuses a request, Retryable when it does not answer.
    """
    if not settings.on_rabbitmq:
        raise Rejected("only RabbitMQ keeps dead letters; the embedded broker has none")
    try:
        with pika_channel(settings, timeout=timeout_seconds) as channel:
            yield channel
    except pika.exceptions.ChannelClosedByBroker as error:
        raise Rejected(
            f"RabbitMQ refused it ({error.reply_code}); run: edugraph topology check"
        ) from error
    except (pika.exceptions.UnroutableError, pika.exceptions.NackError) as error:
        raise Retryable(
            "the broker took a replay into no queue; run: edugraph topology check"
        ) from error
    except pika.exceptions.AMQPError as error:
        raise Retryable(f"the broker does not answer ({type(error).__name__})") from error


def take_in(settings: Settings, store: DeadLetterStore) -> None:
    """Store the dead letters that wait in the broker, like the workers of their queues.

    Any number of processes may do so at the same time. A letter that another process has fetched and not yet stored
    is not seen. Raises Retryable when the broker, Redis or the blob store does not answer, and Rejected for a broker
    without dead letters.
    """
    with dead_letter_channel(settings) as channel:
        for queue in QUEUES:
            _take_in_queue(channel, store, queue)


def _take_in_queue(channel: BlockingChannel, store: DeadLetterStore, queue: str) -> None:
    name = dead_queue_name(queue)
    # Letters that arrive meanwhile are left to the next call, so that the loop ends.
    waiting = int(channel.queue_declare(name, passive=True).method.message_count)
    for _ in range(waiting):
        method, properties, body = channel.basic_get(name)
        if method is None:
            return
        store.keep(
            made_letter(queue, vars(properties), properties.headers or {}, body, store.now())
        )
        channel.basic_ack(method.delivery_tag)


def read_dead_letters(
    settings: Settings, store: DeadLetterStore, find: Callable[[bytes], list[T]]
) -> list[tuple[str, list[T]]]:
    """Return (queue, results of `find`) for each dead letter, if `find` finds something in its body.

    Raises Retryable when the broker, Redis or the blob store does not answer, and Rejected for a broker without dead
    letters.
    """
    take_in(settings, store)
    results = []
    for ref in store.stored():
        try:
            letter = store.read(ref)
        except Unreadable:
            log.warning("dead_letter_unreadable", letter=ref)
            continue
        if letter is None:
            continue
        found = find(letter.content)
        if found:
            results.append((dead_queue_name(letter.queue), found))
    return results


class Rewritten(NamedTuple):
    """The result of a rewrite: the number of `changed` letters, and the places that could not be searched.

    `waiting`: task queue -> number of messages in it. `unread`: keys of objects that are not letters.
    """

    changed: int
    waiting: dict[str, int]
    unread: list[str]


def rewrite_dead_letters(
    settings: Settings,
    store: DeadLetterStore,
    change: Callable[[bytes], bytes],
    *,
    dry_run: bool,
    go_on: Callable[[], None] = lambda: None,
) -> Rewritten:
    """Replace the body of each dead letter by `change(body)`. If the new body is empty, the letter is deleted.

    `go_on` is called for each letter. Raises Retryable when the broker, Redis or the blob store does not answer,
    Rejected for a broker without dead letters, and Wait if another process works on a letter for a long time.
    """
    waiting = dict[str, int]()
    with dead_letter_channel(settings) as channel:
        for queue in QUEUES:
            number = int(channel.queue_declare(queue, passive=True).method.message_count)
            if number:
                waiting[queue] = number
            _take_in_queue(channel, store, queue)
    # Letters that are stored from here on are cleaned later: see `DeadLetterStore.keep`.
    if not dry_run:
        store.note_erasure()
    changed = 0
    unread = store.strange()
    for ref in store.stored():
        go_on()
        try:
            changed += store.rewrite(ref, change, dry_run=dry_run)
        except Unreadable:
            unread.append(ref)
    return Rewritten(changed, waiting, unread)


def header_value(value: Any) -> Any:
    """Return a value that pika can write into a header. Pika reads tuples and floats, but cannot write them."""
    if isinstance(value, float):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return value
