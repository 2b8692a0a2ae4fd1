"""The figures of the queues, for /metrics. The broker is asked at most once in five seconds."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from celery import Celery
from prometheus_client import Metric
from prometheus_client.registry import Collector

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.routes import QUEUES, dead_queue_name
from edugraph_common.runtime.messaging.provisioning import management, vhost
from edugraph_common.runtime.messaging.publisher import broker_errors
from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.service.cached import cached_for
from edugraph_common.runtime.service.settings import Settings

LOOK_INTERVAL_SECONDS = 5.0
# The number of remembered looks at a queue, which is enough for a day.
MAX_LOOKS = 20_000
_COLUMNS = (
    "name,messages_ready,messages_unacknowledged,message_bytes_ready,consumers,message_stats.publish,"
    "message_stats.redeliver,effective_policy_definition"
)


@dataclass(frozen=True)
class QueueFigures:
    """The figures of a queue. A figure that the broker does not report is None.

    `published` counts messages since the start of the broker. `dead` counts dead letters that are not stored yet.
    `bytes` counts the messages that no worker has, because only these count against `most_bytes`, the number of bytes
    from which the queue refuses messages.
    """

    ready: int
    dead: int
    unacked: int | None = None
    consumers: int | None = None
    published: int | None = None
    redelivered: int | None = None
    bytes: int | None = None
    most_bytes: int | None = None


@dataclass(frozen=True)
class Look:
    queues: dict[str, QueueFigures]
    alarms: dict[str, bool] = field(default_factory=dict)


class HeadAge:
    """Computes how long the first message of a queue has waited, without touching the message.

    Looking at a message would take it and put it back, which counts as a delivery. A queue keeps its order: if `left`
    messages have left the queue, the first message was published when `published` exceeded `left`.
    """

    def __init__(self) -> None:
        # (time of the look, value of `published`), the oldest first
        self._seen: deque[tuple[float, int]] = deque(maxlen=MAX_LOOKS)

    def age(self, now: float, published: int, ready: int) -> float:
        """Return the age in seconds. `now` is the time of a monotonic clock."""
        has_restarted = bool(self._seen) and published < self._seen[-1][1]
        if has_restarted:
            self._seen.clear()
        self._seen.append((now, published))
        left = published - ready
        while len(self._seen) > 1 and self._seen[1][1] <= left:
            self._seen.popleft()
        if not ready:
            return 0.0
        published_at, _ = self._seen[0]
        return now - published_at


class BrokerFigures(Collector):
    """The collector of the figures.

    `look` returns the figures of the broker. `stored` returns the number of stored dead letters of each queue. Both
    raise Failure.
    """

    def __init__(
        self,
        look: Callable[[], Look],
        stored: Callable[[], dict[str, int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._stored = stored
        self._clock = clock
        self._heads = {queue: HeadAge() for queue in QUEUES}
        self._families = cached_for(LOOK_INTERVAL_SECONDS, self._read, clock)

    def collect(self) -> Iterable[Metric]:
        return self._families()

    def _read(self) -> list[Metric]:
        readable = metrics.BROKER_READ.family()
        try:
            look = self._look()
        except Failure:
            readable.add_metric([], 0)
            return [readable]
        readable.add_metric([], 1)
        stored: dict[str, int] | None
        try:
            stored = self._stored()
        except Failure:
            # The alert of Redis reports this failure.
            stored = None
        alarms = metrics.BROKER_ALARM.family()
        messages = metrics.QUEUE_MESSAGES.family()
        oldest = metrics.QUEUE_OLDEST.family()
        dead = metrics.DEAD_LETTERS.family()
        consumers = metrics.QUEUE_CONSUMERS.family()
        redelivered = metrics.QUEUE_REDELIVERED.family()
        held_bytes = metrics.QUEUE_BYTES.family()
        most_bytes = metrics.QUEUE_MOST_BYTES.family()
        for resource, raised in look.alarms.items():
            alarms.add_metric([resource], raised)
        for name, figures in look.queues.items():
            messages.add_metric([name, "ready"], figures.ready)
            if stored is not None:
                dead.add_metric([name], figures.dead + stored[name])
            _add(messages, [name, "unacked"], figures.unacked)
            _add(consumers, [name], figures.consumers)
            _add(redelivered, [name], figures.redelivered)
            _add(held_bytes, [name], figures.bytes)
            _add(most_bytes, [name], figures.most_bytes)
            if figures.published is not None:
                age_seconds = self._heads[name].age(self._clock(), figures.published, figures.ready)
                oldest.add_metric([name], age_seconds)
        queues = [messages, held_bytes, most_bytes, oldest, dead, consumers, redelivered]
        return [readable, alarms, *queues]


def _add(family: Any, labels: list[str], figure: int | None) -> None:
    """Add a figure that the broker has reported."""
    if figure is not None:
        family.add_metric(labels, figure)


def broker_figures(
    settings: Settings, app: Celery, stored: Callable[[], dict[str, int]]
) -> BrokerFigures:
    """Return the collector. Without the address of the management API, it has fewer figures."""
    if settings.on_rabbitmq and settings.broker_management_url is not None:
        return BrokerFigures(lambda: look_by_management(settings), stored)
    return BrokerFigures(lambda: _look_by_declaration(app, consumers=settings.on_rabbitmq), stored)


def look_by_management(settings: Settings) -> Look:
    """Return the figures of the broker's management API. Raises Failure."""
    with management(settings) as api:
        answer = (
            api.get(f"/api/queues/{vhost(settings)}", params={"columns": _COLUMNS})
            .raise_for_status()
            .json()
        )
        # Only a user with the tag `monitoring` may ask for nodes. Other users get no alarms.
        nodes_answer = api.get("/api/nodes", params={"columns": "mem_alarm,disk_free_alarm"})
    alarms = {}
    if nodes_answer.is_success:
        nodes: list[dict[str, bool]] = nodes_answer.json()
        alarms["memory"] = any(node.get("mem_alarm") for node in nodes)
        alarms["disk"] = any(node.get("disk_free_alarm") for node in nodes)
    rows: dict[str, dict[str, Any]] = {row["name"]: row for row in answer}
    queues = {}
    for name in QUEUES:
        if name not in rows:
            continue
        row = rows[name]
        dead = rows.get(dead_queue_name(name), {})
        counted = row.get("message_stats", {})
        queues[name] = QueueFigures(
            ready=row.get("messages_ready", 0),
            unacked=row.get("messages_unacknowledged", 0),
            consumers=row.get("consumers", 0),
            published=counted.get("publish", 0),
            redelivered=counted.get("redeliver", 0),
            bytes=row.get("message_bytes_ready"),
            most_bytes=row.get("effective_policy_definition", {}).get("max-length-bytes"),
            dead=dead.get("messages_ready", 0) + dead.get("messages_unacknowledged", 0),
        )
    return Look(queues, alarms)


def _look_by_declaration(app: Celery, *, consumers: bool) -> Look:
    with broker_errors(), app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=0)
        channel: Any = connection.default_channel
        queues = {}
        for name in QUEUES:
            alive = channel.queue_declare(name, passive=True)
            dead = channel.queue_declare(dead_queue_name(name), passive=True)
            queues[name] = QueueFigures(
                ready=alive.message_count,
                dead=dead.message_count,
                consumers=alive.consumer_count if consumers else None,
            )
    return Look(queues)


def consumers_of(settings: Settings, app: Celery) -> Callable[[str], int | None]:
    """Return a function that returns the number of workers that take messages from a queue.

    The function returns None if the broker does not report the number, and raises Retryable.
    """

    def look(queue: str) -> int | None:
        return _look_by_declaration(app, consumers=settings.on_rabbitmq).queues[queue].consumers

    return look
