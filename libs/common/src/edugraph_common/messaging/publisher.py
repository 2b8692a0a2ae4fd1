"""Publishing a task message, so that accepted means: in a queue. And domain events."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import amqp.exceptions
import kombu.exceptions
from celery import Celery
from celery.canvas import Signature

from edugraph_common.contracts.errors import QueueFull, Rejected, Retryable, what
from edugraph_common.contracts.events import Event
from edugraph_common.contracts.messages import INLINE_BYTES, Message
from edugraph_common.contracts.routes import URGENT
from edugraph_common.messaging.topology import EVENTS

_NAME = re.compile(r"[\w.-]{1,128}", re.ASCII)
LARGEST_BODY = 4 * INLINE_BYTES  # bytes; RabbitMQ's own limit is 16 MiB


def task_id_for(job_id: str, step: str) -> str:
    """The same step of a job always has the same task id, however often it is sent."""
    return str(uuid5(NAMESPACE_URL, f"edugraph:{job_id}:{step}"))


def send(
    app: Celery,
    task: str,
    message: Message,
    *,
    task_id: str,
    link_error: Signature | None = None,
    urgent: bool = False,
    delay_seconds: int = 0,
) -> str:
    """Publish one task message and wait for the broker's confirm. Returns the task id.

    `urgent` lets it overtake others of its task; after `delay_seconds` it is in the queue.

    Raises Retryable when the broker did not confirm, QueueFull when it refused, Rejected when the message is too
    large.
    """
    body = message.model_dump(mode="json")
    check_size(message)
    options: dict[str, Any] = {"priority": URGENT} if urgent else {}
    options |= {"countdown": delay_seconds} if delay_seconds else {}
    with broker_errors():
        app.send_task(
            task,
            args=(body,),
            task_id=task_id,
            argsrepr=describe(body),
            kwargsrepr="{}",
            mandatory=True,
            add_to_parent=False,
            link_error=link_error,
            **options,
        )
    return task_id


def emit(app: Celery, event: Event) -> None:
    """Publish a domain event. Nobody need be listening, so it is not mandatory."""
    with broker_errors(), app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            event.model_dump_json().encode(),
            exchange=EVENTS,
            # RabbitMQ has it from `edugraph topology apply`, and lets services declare nothing.
            declare=[] if app.conf.task_queues[0].no_declare else [EVENTS],
            routing_key=event.routing_key,
            content_type="application/cloudevents+json",
            content_encoding="utf-8",
            message_id=event.id,
            delivery_mode=2,
            retry=True,
            retry_policy={"max_retries": 2},
        )


def describe(body: Any) -> str:
    """What logs, events and Flower may see of a message: never its rows."""
    return " ".join(f"{key}={value}" for key, value in named_by(body).items()) or "(message)"


def named_by(body: Any) -> dict[str, Any]:
    """The fields that tell a message from others. One of another form may hold anything, so it is left out."""
    given = body if isinstance(body, dict) else {}
    names = {key: given.get(key) for key in ("job_id", "pack", "kind")}
    known: dict[str, Any] = {
        key: name for key, name in names.items() if isinstance(name, str) and _NAME.fullmatch(name)
    }
    return known | ({"batch": given["batch"]} if isinstance(given.get("batch"), int) else {})


def job_of(args: Sequence[Any]) -> str:
    """The id of the job that a task's arguments belong to; empty for those of another form."""
    return str(named_by(args[-1] if args else None).get("job_id", ""))


@contextmanager
def broker_errors() -> Iterator[None]:
    """The broker's exceptions, translated once."""
    try:
        yield
    except amqp.exceptions.NotFound as error:
        raise Retryable("the broker lacks an exchange; run: edugraph topology apply") from error
    except amqp.exceptions.ChannelError as error:
        raise Retryable("no queue takes this message; run: edugraph topology apply") from error
    except kombu.exceptions.OperationalError as error:
        if isinstance(error.__cause__, amqp.exceptions.MessageNacked):
            raise QueueFull from error
        raise Retryable(f"the broker did not confirm the message ({what(error)})") from error
    except amqp.exceptions.MessageNacked as error:
        raise QueueFull from error
    except (amqp.exceptions.AMQPError, OSError) as error:
        raise Retryable(f"the broker did not confirm the message ({what(error)})") from error


def check_size(message: Message) -> None:
    """Raises Rejected."""
    check_bytes(len(message.model_dump_json()))


def check_bytes(size: int) -> None:
    """Raises Rejected."""
    if size > LARGEST_BODY:
        raise Rejected(f"the message has {size} bytes, more than {LARGEST_BODY}; send a file instead")
