"""Publishing of task messages and of domain events. A task message that was accepted is in a queue."""

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
from edugraph_common.runtime.messaging.topology import EVENTS

_NAME = re.compile(r"[\w.-]{1,128}", re.ASCII)
LARGEST_BODY = 4 * INLINE_BYTES  # bytes; RabbitMQ's own limit is 16 MiB


def task_id_for(job_id: str, step: str) -> str:
    """Return the task id of a step of a job. It is the same each time the step is sent."""
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
    """Publish one task message, wait for the broker's confirm, and return the task id.

    An `urgent` message overtakes others of its task. The message is in the queue after `delay_seconds`.

    Raises Retryable if the broker did not confirm, QueueFull if it refused, Rejected if the message is too large.
    """
    body = message.model_dump(mode="json")
    check_size(message)
    options: dict[str, Any] = {}
    if urgent:
        options["priority"] = URGENT
    if delay_seconds:
        options["countdown"] = delay_seconds
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
    """Publish a domain event. The message is not mandatory, since an event need not have listeners."""
    # On RabbitMQ `edugraph topology apply` has declared the exchange, and services may not declare it.
    may_declare = not app.conf.task_queues[0].no_declare
    with broker_errors(), app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            event.model_dump_json().encode(),
            exchange=EVENTS,
            declare=[EVENTS] if may_declare else [],
            routing_key=event.routing_key,
            content_type="application/cloudevents+json",
            content_encoding="utf-8",
            message_id=event.id,
            delivery_mode=2,
            retry=True,
            retry_policy={"max_retries": 2},
        )


def describe(body: Any) -> str:
    """Return the description of a message for logs, events and Flower. It never has rows."""
    return (
        " ".join(f"{key}={value}" for key, value in identifying_fields(body).items()) or "(message)"
    )


def identifying_fields(body: Any) -> dict[str, Any]:
    """Return the fields that identify a message. A field with another form may hold anything, so it is left out."""
    if not isinstance(body, dict):
        return {}
    known: dict[str, Any] = {}
    for key in ("job_id", "pack", "kind"):
        name = body.get(key)
        if isinstance(name, str) and _NAME.fullmatch(name):
            known[key] = name
    if isinstance(body.get("batch"), int):
        known["batch"] = body["batch"]
    return known


def job_of(args: Sequence[Any]) -> str:
    """Return the id of the job in a task's arguments, or an empty text if they have another form."""
    if not args:
        return ""
    return str(identifying_fields(args[-1]).get("job_id", ""))


@contextmanager
def broker_errors() -> Iterator[None]:
    """Translate the broker's exceptions. Raises Retryable, and QueueFull if the broker refused the message."""
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
    """Raise Rejected if the message is too large."""
    check_bytes(len(message.model_dump_json()))


def check_bytes(size: int) -> None:
    """Raise Rejected if a message of `size` bytes is too large."""
    if size > LARGEST_BODY:
        raise Rejected(
            f"the message has {size} bytes, more than {LARGEST_BODY}; send a file instead"
        )
