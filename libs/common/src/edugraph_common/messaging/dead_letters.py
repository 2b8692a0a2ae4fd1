"""A task that gives up sends its message to NAME.dead, with the reason."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pika
import pika.exceptions
from celery import Task
from pika.adapters.blocking_connection import BlockingChannel

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.contracts.routes import QUEUES, ROUTES, dead_queue_name
from edugraph_common.messaging.provisioning import pika_channel
from edugraph_common.messaging.publisher import broker_errors
from edugraph_common.messaging.topology import DEAD, notices_queue
from edugraph_common.platform.settings import Settings

REASON, TRIES, DIED = "x-edugraph-reason", "x-edugraph-tries", "x-edugraph-died"


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


class HeldLetter(NamedTuple):
    """A dead letter that a channel has taken and not acknowledged: closing the channel gives it back to its queue."""

    tag: int
    properties: pika.BasicProperties
    body: bytes


@contextmanager
def dead_letter_channel(settings: Settings, timeout_seconds: float = 4.0) -> Iterator[BlockingChannel]:
    """A channel to look at dead letters with. When it closes, the broker takes back what was not acknowledged.

    Raises Rejected on a broker that keeps no dead letters or refuses a request, Retryable when it does not answer.
    """
    if not settings.on_rabbitmq:
        raise Rejected("only RabbitMQ keeps dead letters; the embedded broker has none")
    try:
        with pika_channel(settings, timeout=timeout_seconds) as channel:
            yield channel
    except pika.exceptions.ChannelClosedByBroker as error:
        raise Rejected(f"RabbitMQ refused it ({error.reply_code}); run: edugraph topology check") from error
    except (pika.exceptions.UnroutableError, pika.exceptions.NackError) as error:
        raise Retryable("the broker took a replay into no queue; run: edugraph topology check") from error
    except pika.exceptions.AMQPError as error:
        raise Retryable(f"the broker does not answer ({type(error).__name__})") from error


def count_dead_letters(channel: BlockingChannel, queue: str) -> int:
    """Return how many dead letters of a task queue are ready. Raises Rejected for a name that is no queue of ours."""
    if queue not in QUEUES:
        raise Rejected(f"there is no queue {queue[:80]}; they are {', '.join(QUEUES)}")
    return int(channel.queue_declare(dead_queue_name(queue), passive=True).method.message_count)


def held_letters(channel: BlockingChannel, queue: str, limit: int) -> Iterator[HeldLetter]:
    """Take up to `limit` dead letters of a task queue, the oldest first."""
    count_dead_letters(channel, queue)  # a name that is no queue is told before anything is taken
    return _held(channel, dead_queue_name(queue), limit)


def _held(channel: BlockingChannel, name: str, limit: int) -> Iterator[HeldLetter]:
    for _ in range(limit):
        method, properties, body = channel.basic_get(name)
        if method is None:
            return
        yield HeldLetter(method.delivery_tag, properties, body)


def read_dead_letters(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Yield the queue and the body of each dead letter, all of which stay where they are.

    Raises Retryable when the broker does not answer, Rejected where there are no dead letters.
    """
    with dead_letter_channel(settings) as channel:
        for queue in QUEUES:
            number = count_dead_letters(channel, queue)
            yield from ((dead_queue_name(queue), held.body) for held in held_letters(channel, queue, number))


class Rewritten(NamedTuple):
    """`changed` letters and notices; `waiting`: how many messages each task queue holds, which nobody can search."""

    changed: int
    waiting: dict[str, int]


def rewrite_dead_letters(settings: Settings, change: Callable[[bytes], bytes], *, dry_run: bool) -> Rewritten:
    """Put what `change` makes of it in the place of each dead letter and notice; nothing takes it away.

    A letter keeps its headers, and goes to the end of its queue: the queue has the new one before it loses the old
    one. Raises Retryable when the broker does not answer.
    """
    changed, waiting = 0, {}
    with dead_letter_channel(settings) as channel:
        channel.confirm_delivery()
        for queue in QUEUES:
            waiting[queue] = int(channel.queue_declare(queue, passive=True).method.message_count)
            for name in (dead_queue_name(queue), notices_queue(queue).name):
                number = int(channel.queue_declare(name, passive=True).method.message_count)
                for held in _held(channel, name, number):
                    body = change(held.body)
                    changed += body != held.body
                    if body != held.body and not dry_run:
                        _replace(channel, name, held, body)
    return Rewritten(changed, {queue: number for queue, number in waiting.items() if number})


def _replace(channel: BlockingChannel, name: str, held: HeldLetter, body: bytes) -> None:
    if body:
        held.properties.headers = {key: header_value(value) for key, value in (held.properties.headers or {}).items()}
        # To the queue itself: the exchange would tell the task and the job of a second death.
        channel.basic_publish("", name, body, held.properties, mandatory=True)
    channel.basic_ack(held.tag)


def header_value(value: Any) -> Any:
    """Return a value as pika can write it into a header: pika reads tuples and floats, but writes neither."""
    if isinstance(value, float):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
