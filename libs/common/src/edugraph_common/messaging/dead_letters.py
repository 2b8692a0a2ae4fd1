"""A task that gives up sends its message to NAME.dead, with the reason."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar, cast

import pika
import pika.exceptions
import redis
from celery import Task
from pika.adapters.blocking_connection import BlockingChannel

from edugraph_common.contracts.errors import Rejected, Retryable, Wait
from edugraph_common.contracts.routes import QUEUES, ROUTES, dead_queue_name
from edugraph_common.messaging.provisioning import pika_channel
from edugraph_common.messaging.publisher import broker_errors
from edugraph_common.messaging.topology import DEAD, notices_queue
from edugraph_common.platform.redis_errors import redis_errors
from edugraph_common.platform.settings import Settings

REASON, TRIES, DIED = "x-edugraph-reason", "x-edugraph-tries", "x-edugraph-died"
# Why a message was put back the last time, where its task could not do its work then.
WAITED_FOR = "x-edugraph-waited-for"
T = TypeVar("T")

HOLDS = "edugraph:dead-letters-held"
HOLD_SECONDS = 60.0  # of a holder that says nothing: the broker has noticed by then that it died
GIVE_BACK_SECONDS = 0.5  # after a channel was closed, in which the broker puts its letters back
FREE_PATIENCE_SECONDS, PASSES, WAIT_SECONDS = 5.0, 3, 5.0


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


@dataclass
class Hold:
    """One holder of dead letters: `go_on` is called for each letter, and says that the holder lives.

    `took` tells whether there was a letter to take.
    """

    _client: "redis.Redis"
    _who: str
    took: bool = False
    _since: float = 0.0
    _renewed: float = field(default=float("-inf"))

    def go_on(self) -> None:
        """Say so at most three times in the time after which a holder counts as dead."""
        if time.monotonic() - self._renewed > HOLD_SECONDS / 3:
            self._until(HOLD_SECONDS)
            self._renewed = time.monotonic()

    def give_back(self) -> None:
        """Count as a holder for as long as the broker may need to put letters back. Who took none never was one."""
        if self.took:
            self._until(GIVE_BACK_SECONDS)
            return
        with suppress(redis.RedisError):
            self._client.zrem(HOLDS, self._who)

    def others(self) -> bool:
        """Tell whether anybody else has held letters since this hold began. Raises Retryable without Redis."""
        with redis_errors():
            holders = cast("list[str]", self._client.zrangebyscore(HOLDS, self._since, "+inf"))
        return any(who != self._who for who in holders)

    def _until(self, seconds: float) -> None:
        # Dead letters can be looked at without Redis. No erasure runs then, so nobody needs to know.
        with suppress(redis.RedisError):
            now = _redis_time(self._client)
            self._since = self._since or now
            self._client.zremrangebyscore(HOLDS, "-inf", now - HOLD_SECONDS)
            self._client.zadd(HOLDS, {self._who: now + seconds})
            self._client.expire(HOLDS, int(2 * HOLD_SECONDS))


@dataclass(frozen=True)
class LetterHolds:
    """Who has taken dead letters and not given them back: until then, nobody else can see these.

    RabbitMQ shows a message by handing it out, and does not say that another one has some. So whoever takes letters
    says it here, and what must see every letter (an erasure, an export of a person's data) does it alone.
    """

    client: "redis.Redis"
    sleep: Callable[[float], None] = time.sleep

    @contextmanager
    def holding(self) -> Iterator[Hold]:
        """To be entered before the channel is opened, so that it ends after the channel is closed."""
        hold = Hold(self.client, secrets.token_hex(8))
        hold.go_on()
        try:
            yield hold
        finally:
            hold.give_back()

    def alone(self, do: Callable[[Hold], T]) -> list[T]:
        """Go over all letters by `do`, and again where others held some meanwhile. Return what each pass gave.

        Raises Wait when others hold letters all the time, Retryable without Redis.
        """
        given = list[T]()
        for _ in range(PASSES):
            with redis_errors():
                if not self._is_free_within(FREE_PATIENCE_SECONDS):
                    raise Wait("somebody else holds dead letters", WAIT_SECONDS)
            with self.holding() as hold:
                given.append(do(hold))
                if not hold.others():
                    return given
        raise Wait("others look at dead letters, or send them again", WAIT_SECONDS)

    def wait_for_given_back(self) -> None:
        """Wait a second at most until nobody holds letters: the broker still puts back what was just looked at."""
        with suppress(redis.RedisError):  # without Redis nobody knows, and what is there can be sent all the same
            self._is_free_within(2 * GIVE_BACK_SECONDS)

    def _is_free_within(self, seconds: float) -> bool:
        started = _redis_time(self.client)
        while (now := _redis_time(self.client)) < started + seconds:
            if not self.client.zcount(HOLDS, now, "+inf"):
                return True
            self.sleep(0.05)
        return False


def _redis_time(client: "redis.Redis") -> float:
    """The clock that all holders share, in seconds."""
    seconds, microseconds = client.time()
    return seconds + microseconds / 1e6


@contextmanager
def dead_letter_channel(settings: Settings, timeout_seconds: float = 4.0) -> Iterator[BlockingChannel]:
    """A channel to look at dead letters with. When it closes, the broker takes back what was not acknowledged.

    Raises Rejected on a broker that keeps no dead letters or refuses a request, Retryable when it does not answer.
    """
    _need_rabbitmq(settings)
    try:
        with pika_channel(settings, timeout=timeout_seconds) as channel:
            yield channel
    except pika.exceptions.ChannelClosedByBroker as error:
        raise Rejected(f"RabbitMQ refused it ({error.reply_code}); run: edugraph topology check") from error
    except (pika.exceptions.UnroutableError, pika.exceptions.NackError) as error:
        raise Retryable("the broker took a replay into no queue; run: edugraph topology check") from error
    except pika.exceptions.AMQPError as error:
        raise Retryable(f"the broker does not answer ({type(error).__name__})") from error


def _need_rabbitmq(settings: Settings) -> None:
    if not settings.on_rabbitmq:
        raise Rejected("only RabbitMQ keeps dead letters; the embedded broker has none")


def count_dead_letters(channel: BlockingChannel, queue: str) -> int:
    """Return how many dead letters of a task queue are ready. Raises Rejected for a name that is no queue of ours."""
    if queue not in QUEUES:
        raise Rejected(f"there is no queue {queue[:80]}; they are {', '.join(QUEUES)}")
    return int(channel.queue_declare(dead_queue_name(queue), passive=True).method.message_count)


def held_letters(channel: BlockingChannel, queue: str, limit: int, hold: Hold) -> Iterator[HeldLetter]:
    """Take up to `limit` dead letters of a task queue, the oldest first."""
    count_dead_letters(channel, queue)  # a name that is no queue is told before anything is taken
    return _held(channel, dead_queue_name(queue), limit, hold)


def _held(channel: BlockingChannel, name: str, limit: int, hold: Hold) -> Iterator[HeldLetter]:
    for _ in range(limit):
        hold.go_on()
        method, properties, body = channel.basic_get(name)
        if method is None:
            return
        hold.took = True
        yield HeldLetter(method.delivery_tag, properties, body)


def read_dead_letters(
    settings: Settings, holds: LetterHolds, of: Callable[[bytes], list[T]]
) -> list[tuple[str, list[T]]]:
    """Return the queue of each dead letter and what `of` finds in its body, where it finds something. All stay.

    Raises Retryable when broker or Redis do not answer, Rejected where there are no dead letters, Wait while others
    hold some.
    """

    def read(hold: Hold) -> list[tuple[str, list[T]]]:
        with dead_letter_channel(settings) as channel:
            return [
                (dead_queue_name(queue), found)
                for queue in QUEUES
                for held in held_letters(channel, queue, count_dead_letters(channel, queue), hold)
                if (found := of(held.body))
            ]

    _need_rabbitmq(settings)
    return holds.alone(read)[-1]


class Rewritten(NamedTuple):
    """`changed` letters and notices; `waiting`: how many messages each task queue holds, which nobody can search."""

    changed: int
    waiting: dict[str, int]


def rewrite_dead_letters(
    settings: Settings, holds: LetterHolds, change: Callable[[bytes], bytes], *, dry_run: bool
) -> Rewritten:
    """Put what `change` makes of it in the place of each dead letter and notice; nothing takes it away.

    A letter keeps its headers, and goes to the end of its queue: the queue has the new one before it loses the old
    one. Raises Retryable when broker or Redis do not answer, Wait while others hold letters, which nobody else sees.
    """
    waiting = dict[str, int]()

    def rewrite(hold: Hold) -> int:
        changed = 0
        with dead_letter_channel(settings) as channel:
            channel.confirm_delivery()
            for queue in QUEUES:
                waiting[queue] = int(channel.queue_declare(queue, passive=True).method.message_count)
                for name in (dead_queue_name(queue), notices_queue(queue).name):
                    number = int(channel.queue_declare(name, passive=True).method.message_count)
                    for held in _held(channel, name, number, hold):
                        body = change(held.body)
                        changed += body != held.body
                        if body != held.body and not dry_run:
                            _replace(channel, name, held, body)
        return changed

    _need_rabbitmq(settings)
    passes = holds.alone(rewrite)
    changed = passes[-1] if dry_run else sum(passes)
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
