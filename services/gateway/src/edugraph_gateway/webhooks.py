"""`edugraph-webhooks`: post each end of a job and each dead letter to one address outside, with a signature.

An event leaves its queue when the address has answered 2xx, when it has refused the event, or when a delay queue has
the event for the next try. A restart therefore loses nothing, and may post an event twice.
Events are signed as Standard Webhooks (https://www.standardwebhooks.com). `webhook-id` is the event's id at each try.
"""

import asyncio
import base64
import hmac
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Literal

import httpx
import pika
import pika.exceptions
import structlog
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import Field, SecretStr, ValidationError, field_validator

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.events import Event
from edugraph_common.runtime.messaging.provisioning import pika_channel
from edugraph_common.runtime.messaging.topology import EVENTS, WEBHOOKS
from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.service.build_info import describe_build
from edugraph_common.runtime.service.instruments import exposition, open_all
from edugraph_common.runtime.service.logs import configure_logs
from edugraph_common.runtime.service.metrics_server import serve_metrics
from edugraph_common.runtime.service.settings import BrokerSettings, settings_or_exit

QUEUE = WEBHOOKS
ROUTING_KEYS = ("import.completed", "dead_letter")
EVENT_LIFETIME = timedelta(days=1)
# Each queue has at most this many messages. Then the oldest message that waits for its first try is dropped.
MAX_QUEUE_LENGTH = 100_000
# At most this many events are posted at the same time. They need no threads.
PARALLEL_EVENTS = 64
# Each delay has a queue, because a message with a long delay would hold up messages with shorter delays behind it.
# The first failure of an event leads to the first delay, and so on. The last delay repeats until the event is too
# old.
DELAYS_SECONDS = (10, 60, 600, 3_600)
# These answers 4xx say that the same event may be accepted later.
RETRIED_STATUSES = frozenset({408, 425, 429})
# The routing key with which an event comes back from a delay queue.
RETURN_KEY = "again"
TRIES_HEADER = "tries"
RECONNECT_SECONDS = 5.0
NO_ROOM_SECONDS = 60.0
# No other field of an event is sent, because reasons are sentences for operators.
SENT_FIELDS = ("job_id", "state", "queue", "task", "task_id", "kind", "pack", "batch")
Verdict = Literal["delivered", "refused", "failed"]
log = structlog.get_logger()


class WebhookSettings(BrokerSettings):
    """The settings of `edugraph-webhooks`. No other program reads them."""

    webhook_url: str = Field(
        pattern=r"^https?://[^\s]+$", description="where each job's end and dead letter is posted"
    )
    webhook_secret: SecretStr = Field(
        description="whsec_ and 24 to 64 bytes in base64; while it is changed, both, divided by a space"
    )
    webhook_timeout_seconds: float = Field(
        default=15.0, gt=0, le=60, description="seconds the address has to answer"
    )

    @field_validator("webhook_url")
    @classmethod
    def url_is_whole(cls, value: str) -> str:
        """Return the address. Raises ValueError if nothing could be posted to it."""
        try:
            host = httpx.URL(value).host
        except httpx.InvalidURL as error:
            raise ValueError("must be a URL") from error
        if not host:
            raise ValueError("must name a host")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def secrets_are_whole(cls, value: SecretStr) -> SecretStr:
        """Return the secrets. Raises ValueError."""
        keys = signing_keys(value)
        have_right_size = all(24 <= len(key) <= 64 for key in keys)
        if not keys or not have_right_size:
            raise ValueError("must be whsec_ and 24 to 64 bytes in base64")
        return value


def signing_keys(secrets: SecretStr) -> list[bytes]:
    """Return one key, or two keys while the secret is changed. Raises ValueError for a secret that is not base64."""
    given = secrets.get_secret_value().split()
    return [base64.b64decode(secret.removeprefix("whsec_"), validate=True) for secret in given]


def signature_headers(
    keys: list[bytes], event_id: str, now: datetime, body: bytes
) -> dict[str, str]:
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
    """Return the body to post for an event: CloudEvents 1.0 in JSON, with SENT_FIELDS only."""
    data = {name: event.data[name] for name in SENT_FIELDS if name in event.data}
    return event.model_copy(update={"data": data}).model_dump_json().encode()


def verdict_of(status: int) -> Verdict:
    """Return the verdict for a status. A failure is tried again, and a refusal is final.

    A redirect is a failure. It is not followed, and the address can be corrected while the event waits.
    """
    if 200 <= status < 300:
        return "delivered"
    if 400 <= status < 500 and status not in RETRIED_STATUSES:
        return "refused"
    return "failed"


def retry_after_seconds(value: str, now: datetime) -> float:
    """Return the seconds that a Retry-After header asks for, or 0 if it asks for nothing that can be understood."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def delay_seconds(tries: int, asked_seconds: float, delays: Sequence[int] = DELAYS_SECONDS) -> int:
    """Return the delay after the failure number `tries`: long enough for `asked_seconds`, if any of them is."""
    first = min(tries, len(delays)) - 1
    for delay in delays[first:]:
        if delay >= asked_seconds:
            return delay
    return delays[-1]


@dataclass(frozen=True)
class Answer:
    """The answer of the address to one try. `asked_seconds` is the Retry-After of a failure. `reason` is logged."""

    verdict: Verdict
    reason: str
    asked_seconds: float = 0.0


class WebhookSender:
    """Posts an event once, and decides when to try again."""

    def __init__(
        self,
        settings: WebhookSettings,
        http: httpx.AsyncClient,
        delays: Sequence[int] = DELAYS_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = settings.webhook_url
        self._keys = signing_keys(settings.webhook_secret)
        self._timeout_seconds = settings.webhook_timeout_seconds
        self._http = http
        self._delays = delays
        self._now = now

    async def deliver(self, body: bytes, tries_before: int) -> int | None:
        """Return the seconds until the next try, or None for an event that was delivered, refused or given up."""
        try:
            event = Event.model_validate_json(body)
        except ValidationError:
            log.error("webhook_unreadable", bytes=len(body))  # noqa: TRY400 - the text of the error quotes the body
            metrics.WEBHOOK_EVENTS.add(outcome="unreadable")
            return None

        tries = tries_before + 1
        event_log = log.bind(event_id=event.id, type=event.type, tries=tries)
        answer = await self._post(event)
        if answer.verdict == "delivered":
            event_log.info("webhook_delivered")
            metrics.WEBHOOK_EVENTS.add(outcome="delivered")
            return None
        if answer.verdict == "refused":
            event_log.error("webhook_refused", reason=answer.reason)
            metrics.WEBHOOK_EVENTS.add(outcome="refused")
            return None

        happened = event.time
        if happened.tzinfo is None:
            happened = happened.replace(tzinfo=UTC)
        if self._now() - happened > EVENT_LIFETIME:
            event_log.error("webhook_given_up", reason=answer.reason)
            metrics.WEBHOOK_EVENTS.add(outcome="given up")
            return None
        delay = delay_seconds(tries, answer.asked_seconds, self._delays)
        event_log.warning("webhook_failed", reason=answer.reason, next_try_seconds=delay)
        metrics.WEBHOOK_EVENTS.add(outcome="failed")
        return delay

    async def _post(self, event: Event) -> Answer:
        """Post the event. The time limit applies to the whole exchange. The body of the answer is not read."""
        body = event_body(event)
        headers = {
            **signature_headers(self._keys, event.id, self._now(), body),
            "Content-Type": "application/cloudevents+json",
        }
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._http.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                status = response.status_code
                retry_after = response.headers.get("Retry-After", "")
        except Exception as error:  # noqa: BLE001 - whatever somebody else's server does to the client, the event waits
            return Answer("failed", type(error).__name__)
        verdict = verdict_of(status)
        asked_seconds = 0.0
        if verdict == "failed":
            asked_seconds = retry_after_seconds(retry_after, self._now())
        return Answer(verdict, f"status {status}", asked_seconds)


@dataclass(frozen=True)
class Delivery:
    """A message that this process has not acknowledged yet. `tries_before` is the number of earlier tries."""

    channel: BlockingChannel
    tag: int
    body: bytes
    tries_before: int


class Webhooks:
    """The process. It ends within `webhook_timeout_seconds` after `stop`, and undelivered events stay in their queue.

    `delays` are the delays of the delay queues, in seconds.
    """

    def __init__(self, settings: WebhookSettings, delays: Sequence[int] = DELAYS_SECONDS) -> None:
        self._settings = settings
        self._delays = delays
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Consume until `stop`. If the connection to the broker is lost, it is opened again."""
        http = httpx.AsyncClient(
            timeout=self._settings.webhook_timeout_seconds,
            limits=httpx.Limits(max_connections=None),
            follow_redirects=False,
        )
        sender = WebhookSender(self._settings, http, self._delays)
        with _event_loop() as loop:
            while not self._stopping.is_set():
                try:
                    with pika_channel(self._settings) as channel:
                        self._declare(channel)
                        self._consume(channel, sender, loop)
                except (Failure, pika.exceptions.AMQPError, OSError) as error:
                    failure = type(error).__name__
                    log.warning(
                        "webhooks_without_broker", error=failure, again_seconds=RECONNECT_SECONDS
                    )
                    self._stopping.wait(RECONNECT_SECONDS)

    def _declare(self, channel: BlockingChannel) -> None:
        """Declare the queue and the delay queues. The arguments of a queue that exists can never be changed."""
        lifetime_ms = int(EVENT_LIFETIME.total_seconds() * 1_000)
        # `edugraph topology apply` has declared this exchange.
        channel.exchange_declare(EVENTS.name, passive=True)
        channel.exchange_declare(WEBHOOKS, "direct", durable=True)
        arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-message-ttl": lifetime_ms,
            "x-max-length": MAX_QUEUE_LENGTH,
            # An event that comes back twenty times is not poisonous: the address did not answer.
            "x-delivery-limit": -1,
        }
        channel.queue_declare(QUEUE, durable=True, arguments=arguments)
        for key in ROUTING_KEYS:
            channel.queue_bind(QUEUE, EVENTS.name, key)
        channel.queue_bind(QUEUE, WEBHOOKS, RETURN_KEY)
        for delay in self._delays:
            arguments = {
                "x-queue-type": "quorum",
                "x-message-ttl": delay * 1_000,
                "x-max-length": MAX_QUEUE_LENGTH,
                "x-overflow": "reject-publish",
                "x-dead-letter-exchange": WEBHOOKS,
                "x-dead-letter-routing-key": RETURN_KEY,
                # An event leaves the delay queue only when the other queue has it.
                "x-dead-letter-strategy": "at-least-once",
            }
            channel.queue_declare(delay_queue_name(delay), durable=True, arguments=arguments)
            channel.queue_bind(delay_queue_name(delay), WEBHOOKS, str(delay))

    def _consume(
        self, channel: BlockingChannel, sender: WebhookSender, loop: asyncio.AbstractEventLoop
    ) -> None:
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=PARALLEL_EVENTS)
        log.info("webhooks_ready", queue=QUEUE)
        under_way = set[Delivery]()
        for method, properties, body in channel.consume(QUEUE, inactivity_timeout=0.2):
            if self._stopping.is_set():
                break
            if method is None:
                continue
            delivery = Delivery(channel, method.delivery_tag, body, _tries(properties))
            under_way.add(delivery)
            future = asyncio.run_coroutine_threadsafe(
                sender.deliver(body, delivery.tries_before), loop
            )
            future.add_done_callback(partial(_in_consuming_thread, delivery, under_way))

        end = time.monotonic() + self._settings.webhook_timeout_seconds + 1
        while under_way and time.monotonic() < end:
            channel.connection.process_data_events(time_limit=0.2)
        # This call sends the last acknowledgements.
        channel.connection.process_data_events()


def delay_queue_name(delay: int) -> str:
    return f"{QUEUE}.after_{delay}s"


def _tries(properties: pika.BasicProperties) -> int:
    """Return the number of tries of an event. An event that was never tried has no header."""
    tries = (properties.headers or {}).get(TRIES_HEADER)
    if isinstance(tries, int) and tries > 0:
        return tries
    return 0


def _in_consuming_thread(
    delivery: Delivery, under_way: set[Delivery], future: Future[int | None]
) -> None:
    # If the connection is closed, the broker has the event again.
    with suppress(pika.exceptions.AMQPError):
        delivery.channel.connection.add_callback_threadsafe(
            partial(_settle, delivery, under_way, future)
        )


def _settle(delivery: Delivery, under_way: set[Delivery], future: Future[int | None]) -> None:
    """Acknowledge an event that needs no further try, or that a delay queue has. Runs in the consuming thread."""
    under_way.discard(delivery)
    channel = delivery.channel
    delay = future.result()
    if delay is None:
        channel.basic_ack(delivery.tag)
        return
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=pika.DeliveryMode.Persistent,
        headers={TRIES_HEADER: delivery.tries_before + 1},
    )
    try:
        channel.basic_publish(WEBHOOKS, str(delay), delivery.body, properties, mandatory=True)
    except pika.exceptions.NackError:
        # The delay queue is full. The event waits here for a while, without a thread, and is then tried again.
        log.error("webhook_delay_refused", queue=delay_queue_name(delay))  # noqa: TRY400 - the broker's answer is known
        channel.connection.call_later(
            NO_ROOM_SECONDS, partial(channel.basic_nack, delivery.tag, requeue=True)
        )
        return
    channel.basic_ack(delivery.tag)


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread. Requests that are under way at the end are aborted."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="webhooks-http", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def main(delays: Sequence[int] = DELAYS_SECONDS) -> None:
    settings = settings_or_exit(WebhookSettings)
    configure_logs(settings.log_format, settings.log_level)
    open_all(metrics.INSTRUMENTS, ["webhooks"])
    describe_build("webhooks", distribution="edugraph-gateway")
    if settings.metrics_port:
        serve_metrics(settings.metrics_host, settings.metrics_port, exposition)
    webhooks = Webhooks(settings, delays)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: webhooks.stop())
    webhooks.run()
