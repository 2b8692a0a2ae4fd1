"""`edugraph-webhooks`: tells one address outside of each job's end and each dead letter, signed, until it is told.

An event stays in a queue of its own until the address has answered 2xx: a restart loses nothing, and may tell twice.
Signed as Standard Webhooks (https://www.standardwebhooks.com): `webhook-id` is the event's id, the same at each try.
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
KEYS = ("import.completed", "dead_letter")
KEPT = timedelta(days=1)
LONGEST_QUEUE = 100_000  # messages; then the oldest go
AT_ONCE = 10
WAITS = (1.0, 5.0, 30.0, 120.0, 600.0)  # seconds after each try that failed; all of them end before RabbitMQ's 30 min
AGAIN = 5.0  # seconds until a broker that is away is asked again
# Nothing else leaves: reasons are sentences for operators.
TOLD = ("job_id", "state", "queue", "task", "task_id", "kind", "pack", "batch")
log = structlog.get_logger()


class WebhookSettings(Settings):
    """Needed by `edugraph-webhooks` alone."""

    webhook_url: str = Field(
        pattern=r"^https?://[^\s]+$", description="where each job's end and dead letter is posted"
    )
    webhook_secret: SecretStr = Field(
        description="whsec_ and 24 to 64 bytes in base64; while it is changed, both, divided by a space"
    )
    webhook_timeout: float = Field(default=15.0, gt=0, le=60, description="seconds the address has to answer")

    @field_validator("webhook_secret")
    @classmethod
    def secrets_are_whole(cls, value: SecretStr) -> SecretStr:
        """Raises ValueError."""
        keys = keys_of(value)
        if not keys or any(not 24 <= len(key) <= 64 for key in keys):  # noqa: PLR2004 - as the standard says
            raise ValueError("must be whsec_ and 24 to 64 bytes in base64")
        return value


def keys_of(secrets: SecretStr) -> list[bytes]:
    """Raises ValueError for what is no base64."""
    given = secrets.get_secret_value().split()
    return [base64.b64decode(secret.removeprefix("whsec_"), validate=True) for secret in given]


def signed(keys: list[bytes], event_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The three headers."""
    seconds = str(int(now.timestamp()))
    content = b".".join([event_id.encode(), seconds.encode(), body])
    signatures = (base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def told(event: Event) -> bytes:
    """What leaves of an event, as CloudEvents 1.0 in JSON."""
    data = {name: event.data[name] for name in TOLD if name in event.data}
    return event.model_copy(update={"data": data}).model_dump_json().encode()


class Teller:
    """`wait` returns True when the process is to end."""

    def __init__(
        self,
        settings: WebhookSettings,
        http: httpx.Client,
        wait: Callable[[float], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url, self._keys = settings.webhook_url, keys_of(settings.webhook_secret)
        self._http, self._wait, self._now = http, wait, now

    def tell(self, event: Event) -> bool:
        """Whether there is nothing more to do: it was told, or it is too old. Takes minutes when it is not heard."""
        for number, pause in enumerate(WAITS, start=1):
            failure = self._post(event)
            if failure is None:
                log.info("webhook_told", event_id=event.id, type=event.type, tries=number)
                return True
            if self._now() - event.time > KEPT:
                log.error("webhook_given_up", event_id=event.id, type=event.type, failure=failure)
                return True
            log.warning("webhook_not_heard", event_id=event.id, failure=failure, next_try_seconds=pause)
            if self._wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - no secret
                return False
        return False

    def _post(self, event: Event) -> str | None:
        """What went wrong, if anything did."""
        body = told(event)
        headers = signed(self._keys, event.id, self._now(), body)
        try:
            answer = self._http.post(
                self._url, content=body, headers={**headers, "Content-Type": "application/cloudevents+json"}
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        return None if answer.is_success else f"status {answer.status_code}"


class Webhooks:
    """Ends within `webhook_timeout` after `stop`; what is not told by then stays in the queue."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings, self._stopping = settings, threading.Event()
        http = httpx.Client(timeout=settings.webhook_timeout, follow_redirects=False)
        self._teller = Teller(settings, http, self._stopping.wait)

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with pika_channel(self._settings) as channel:
                    self._consume(channel)
            except (Failure, pika.exceptions.AMQPError, OSError) as error:
                log.warning("webhooks_without_broker", error=type(error).__name__, again_seconds=AGAIN)
                self._stopping.wait(AGAIN)

    def _consume(self, channel: BlockingChannel) -> None:
        _declare(channel)
        channel.basic_qos(prefetch_count=AT_ONCE)
        log.info("webhooks_ready", queue=QUEUE)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for method, _, body in channel.consume(QUEUE, inactivity_timeout=0.2):
                if self._stopping.is_set():
                    break
                if method is not None:
                    threads.submit(self._handle, channel, method.delivery_tag, body)
        channel.connection.process_data_events()  # the last acknowledgements

    def _handle(self, channel: BlockingChannel, tag: int, body: bytes) -> None:
        done = self._told(body)
        settle = partial(channel.basic_ack, tag) if done else partial(channel.basic_nack, tag, requeue=True)
        with suppress(pika.exceptions.AMQPError):  # a connection that is gone gave the event back
            channel.connection.add_callback_threadsafe(settle)

    def _told(self, body: bytes) -> bool:
        try:
            event = Event.model_validate_json(body)
        except ValidationError:
            log.error("webhook_unreadable", bytes=len(body))  # noqa: TRY400 - the text of the error quotes the body
            return True
        return self._teller.tell(event)


def _declare(channel: BlockingChannel) -> None:
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-message-ttl": int(KEPT.total_seconds() * 1_000),
        "x-max-length": LONGEST_QUEUE,
        "x-delivery-limit": -1,  # an event that is put back twenty times is not a poisonous one
    }
    channel.exchange_declare(EVENTS.name, EVENTS.type, durable=True)
    channel.queue_declare(QUEUE, durable=True, arguments=arguments)
    for key in KEYS:
        channel.queue_bind(QUEUE, EVENTS.name, key)


def main() -> None:
    settings = WebhookSettings()
    configure_logs(settings.log_format, settings.log_level)
    webhooks = Webhooks(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: webhooks.stop())
    webhooks.run()
