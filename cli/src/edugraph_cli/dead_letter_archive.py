"""Dead letters as lines of a file, to be kept or moved: export leaves them where they are, restore puts them back.

A line holds the whole message, its records included: keep the file as you keep the records.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pika

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.routes import QUEUES, dead_queue_name
from edugraph_common.messaging.dead_letters import LetterHolds, dead_letter_channel, header_value, held_letters
from edugraph_common.platform.job_store import connect
from edugraph_common.platform.settings import Settings

MOST_LETTERS = 1_000_000
PERSISTENT = 2
_PROPERTIES = ("content_type", "content_encoding", "correlation_id", "reply_to", "priority", "message_id")


def export(settings: Settings, queue: str) -> Iterator[str]:
    """Yield the dead letters of a queue, the oldest first, as one JSON document each.

    Raises Retryable when the broker does not answer, Rejected for a queue that does not exist.
    """
    with (
        connect(settings.redis_url.get_secret_value(), timeout=4, retries=1) as client,
        LetterHolds(client).holding() as hold,
        dead_letter_channel(settings) as channel,
    ):
        for letter in held_letters(channel, queue, MOST_LETTERS, hold):
            archived = {
                "queue": queue,
                **{name: getattr(letter.properties, name) for name in _PROPERTIES},
                "headers": _json_value(letter.properties.headers or {}),
                "body": base64.b64encode(letter.body).decode(),
            }
            yield json.dumps(archived, ensure_ascii=False)


def restore(settings: Settings, lines: Iterable[str]) -> dict[str, int]:
    """Put exported dead letters back, each with a confirm of the broker, and return how many by queue.

    A file that is restored twice doubles its letters; a replay still sends each task once, provided that the first
    letter has succeeded meanwhile. Raises Rejected for a line that is no dead letter; the lines before it are back.
    """
    restored: dict[str, int] = {}
    with dead_letter_channel(settings) as channel:
        channel.confirm_delivery()
        for number, line in enumerate(lines, start=1):
            try:
                archived = json.loads(line)
                queue, body = archived["queue"], base64.b64decode(archived["body"])
                headers = {name: header_value(value) for name, value in dict(archived["headers"]).items()}
                properties = {name: archived.get(name) for name in _PROPERTIES}
            except (ValueError, LookupError, TypeError, AttributeError):
                raise Rejected(
                    f"Line {number} is not a dead letter that `dead export` wrote; the lines before it were restored."
                ) from None
            if queue not in QUEUES:
                raise Rejected(f"Line {number} names a queue that does not exist; the lines before it were restored.")
            # The letter goes to the queue itself: the exchange would tell the task and the job of a second death.
            channel.basic_publish(
                "",
                dead_queue_name(queue),
                body,
                pika.BasicProperties(**properties, delivery_mode=PERSISTENT, headers=headers),
                mandatory=True,
            )
            restored[queue] = restored.get(queue, 0) + 1
    return restored


def _json_value(value: Any) -> Any:
    """Return the broker's own headers, which hold times and lists of tables, as JSON can hold them."""
    if isinstance(value, dict):
        return {name: _json_value(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(entry) for entry in value]
    return value if isinstance(value, str | int | bool | float | None) else str(value)
