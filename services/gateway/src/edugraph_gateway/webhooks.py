"""`edugraph-webhooks`: posts each job's end and each dead letter to one address outside, signed.

An event stays in a queue of its own until the address has answered 2xx: a restart loses nothing, and may post twice.
It is signed as Standard Webhooks (https://www.standardwebhooks.com): `webhook-id` is the event's id at each try.
"""

import base64
import hmac
import random
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pika.exceptions
import structlog
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import Field, SecretStr, ValidationError, field_validator

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.events import Event
from edugraph_common.messaging.provisioning import pika_channel
from edugraph_common.messaging.topology import EVENTS
from edugraph_common.platform.logs import configure_logs
from edugraph_common.platform.settings import Settings

QUEUE = "edugraph.webhooks"
ROUTING_KEYS = ("import.completed", "dead_letter")
EVENT_LIFETIME = timedelta(days=1)
MAX_QUEUE_LENGTH = 100_000  # messages; past that the oldest are dropped
PARALLEL_EVENTS = 10
# The pauses after each try that failed. All of them end before RabbitMQ's time-out for acknowledgements, 30 minutes.
PAUSES_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0)
RECONNECT_SECONDS = 5.0
# No other field of an event leaves the installation: reasons are sentences for operators.
SENT_FIELDS = ("job_id", "state", "queue", "task", "task_id", "kind", "pack", "batch")
log = structlog.get_logger()


class WebhookSettings(Settings):
    """Only `edugraph-webhooks` reads these."""

    webhook_url: str = Field(
        pattern=r"^https?://[^\s]+$", description="where each job's end and dead letter is posted"
    )
    webhook_secret: SecretStr = Field(
        description="whsec_ and 24 to 64 bytes in base64; while it is changed, both, divided by a space"
    )
    webhook_timeout_seconds: float = Field(default=15.0, gt=0, le=60, description="seconds the address has to answer")

    @field_validator("webhook_secret")
    @classmethod
    def secrets_are_whole(cls, value: SecretStr) -> SecretStr:
        """Raises ValueError."""
        keys = signing_keys(value)
        if not keys or any(not 24 <= len(key) <= 64 for key in keys):
            raise ValueError("must be whsec_ and 24 to 64 bytes in base64")
        return value


def signing_keys(secrets: SecretStr) -> list[bytes]:
    """Return one key, or two while the secret is changed. Raises ValueError for what is not base64."""
    given = secrets.get_secret_value().split()
    return [base64.b64decode(secret.removeprefix("whsec_"), validate=True) for secret in given]


def signature_headers(keys: list[bytes], event_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of Standard Webhooks."""
    seconds = str(int(now.timestamp()))
    content = b".".join([event_id.encode(), seconds.encode(), body])
    signatures = (base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def event_body(event: Event) -> bytes:
    """Return what leaves of an event, as CloudEvents 1.0 in JSON."""
    data = {name: event.data[name] for name in SENT_FIELDS if name in event.data}
    return event.model_copy(update={"data": data}).model_dump_json().encode()


class WebhookSender:
    """`wait` returns True when the process is to end."""

    def __init__(
        self,
        settings: WebhookSettings,
        http: httpx.Client,
        wait: Callable[[float], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url, self._keys = settings.webhook_url, signing_keys(settings.webhook_secret)
        self._http, self._wait, self._now = http, wait, now

    def deliver(self, event: Event) -> bool:
        """Return whether nothing more is to be done: it was delivered, or is too old. A failure takes 13 minutes."""
        body = event_body(event)
        for tries, pause_seconds in enumerate(PAUSES_SECONDS, start=1):
            headers = {
                **signature_headers(self._keys, event.id, self._now(), body),
                "Content-Type": "application/cloudevents+json",
            }
            try:
                answer = self._http.post(self._url, content=body, headers=headers)
                failure = None if answer.is_success else f"status {answer.status_code}"
            except httpx.HTTPError as error:
                failure = type(error).__name__
            if failure is None:
                log.info("webhook_told", event_id=event.id, type=event.type, tries=tries)
                return True
            if self._now() - event.time > EVENT_LIFETIME:
                log.error("webhook_given_up", event_id=event.id, type=event.type, failure=failure)
                return True
            log.warning("webhook_not_heard", event_id=event.id, failure=failure, next_try_seconds=pause_seconds)
            if self._wait(pause_seconds * random.uniform(0.8, 1.2)):  # noqa: S311 - no secret
                return False
        return False


class Webhooks:
    """Ends within `webhook_timeout_seconds` after `stop`; what is not delivered by then stays in the queue."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings, self._stopping = settings, threading.Event()
        http = httpx.Client(timeout=settings.webhook_timeout_seconds, follow_redirects=False)
        self._sender = WebhookSender(settings, http, self._stopping.wait)

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Consume until `stop`. A broker that is away is asked again."""
        while not self._stopping.is_set():
            try:
                with pika_channel(self._settings) as channel:
                    self._consume(channel)
            except (Failure, pika.exceptions.AMQPError, OSError) as error:
                log.warning("webhooks_without_broker", error=type(error).__name__, again_seconds=RECONNECT_SECONDS)
                self._stopping.wait(RECONNECT_SECONDS)

    def _consume(self, channel: BlockingChannel) -> None:
        arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-message-ttl": int(EVENT_LIFETIME.total_seconds() * 1_000),
            "x-max-length": MAX_QUEUE_LENGTH,
            # The address was away when an event comes back twenty times: the event is not a poisonous one.
            "x-delivery-limit": -1,
        }
        channel.exchange_declare(EVENTS.name, passive=True)  # `edugraph topology apply` has declared it
        channel.queue_declare(QUEUE, durable=True, arguments=arguments)
        for key in ROUTING_KEYS:
            channel.queue_bind(QUEUE, EVENTS.name, key)
        channel.basic_qos(prefetch_count=PARALLEL_EVENTS)
        log.info("webhooks_ready", queue=QUEUE)
        with ThreadPoolExecutor(PARALLEL_EVENTS) as threads:
            for method, _, body in channel.consume(QUEUE, inactivity_timeout=0.2):
                if self._stopping.is_set():
                    break
                if method is not None:
                    threads.submit(self._handle, channel, method.delivery_tag, body)
        channel.connection.process_data_events()  # it sends the last acknowledgements

    def _handle(self, channel: BlockingChannel, tag: int, body: bytes) -> None:
        """Deliver one event in a thread, and have the consuming thread acknowledge it or put it back."""
        try:
            done = self._sender.deliver(Event.model_validate_json(body))
        except ValidationError:
            log.error("webhook_unreadable", bytes=len(body))  # noqa: TRY400 - the text of the error quotes the body
            done = True
        answer = partial(channel.basic_ack, tag) if done else partial(channel.basic_nack, tag, requeue=True)
        with suppress(pika.exceptions.AMQPError):  # a connection that is gone gave the event back
            channel.connection.add_callback_threadsafe(answer)


def main() -> None:
    settings = WebhookSettings()
    configure_logs(settings.log_format, settings.log_level)
    webhooks = Webhooks(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: webhooks.stop())
    webhooks.run()
