"""Dead letters as lines of a file, to be kept or moved: export leaves them where they are, restore puts them back.

A line holds the whole message, its records included: keep the file as you keep the records.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pika
from pika.adapters.blocking_connection import BlockingChannel

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.routes import QUEUES, dead_queue_name
from edugraph_common.messaging.dead_letters import dead_letter_channel, header_value, held_letters
from edugraph_common.platform.settings import Settings

ALL = 1_000_000
PERSISTENT = 2
_KEPT = ("content_type", "content_encoding", "correlation_id", "reply_to", "priority", "message_id")


def export(settings: Settings, queue: str) -> Iterator[str]:
    """The oldest first, one JSON document each. Raises Retryable or Rejected."""
    with dead_letter_channel(settings) as channel:
        for held in held_letters(channel, queue, ALL):
            yield json.dumps(_written(queue, held.properties, held.body), ensure_ascii=False)


def restore(settings: Settings, lines: Iterable[str]) -> dict[str, int]:
    """How many were put back into the dead letters, by queue; each is confirmed.

    Restoring twice doubles them: a replay then sends each task once, as long as the first has succeeded meanwhile.
    """
    restored: dict[str, int] = {}
    with dead_letter_channel(settings) as channel:
        channel.confirm_delivery()
        for number, line in enumerate(lines, start=1):
            queue = _put_back(channel, number, line)
            restored[queue] = restored.get(queue, 0) + 1
    return restored


def _written(queue: str, properties: pika.BasicProperties, body: bytes) -> dict[str, Any]:
    kept = {name: getattr(properties, name) for name in _KEPT}
    headers = cast("dict[str, Any]", properties.headers or {})
    return {"queue": queue, **kept, "headers": _readable(headers), "body": base64.b64encode(body).decode()}


def _readable(value: Any) -> Any:
    """Headers of the broker's own hold times and lists of tables."""
    if isinstance(value, dict):
        return {name: _readable(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(entry) for entry in value]
    return value if isinstance(value, str | int | bool | float | None) else str(value)


def _put_back(channel: BlockingChannel, number: int, line: str) -> str:
    try:
        kept = json.loads(line)
        queue, body, headers = kept["queue"], base64.b64decode(kept["body"]), dict(kept["headers"])
    except (ValueError, LookupError, TypeError):
        raise Rejected(f"line {number} is no dead letter of an export; those before it were put back") from None
    if queue not in QUEUES:
        raise Rejected(f"line {number} names no queue of ours; those before it were put back")
    named = {name: kept.get(name) for name in _KEPT}
    headers = {name: header_value(value) for name, value in headers.items()}
    properties = pika.BasicProperties(**named, delivery_mode=PERSISTENT, headers=headers)
    # Into the queue itself: the exchange would tell the task and the job of a second death.
    channel.basic_publish("", dead_queue_name(queue), body, properties, mandatory=True)
    return str(queue)
