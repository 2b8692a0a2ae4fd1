"""What the broker says of the queues, for /metrics. It is asked at most once in five seconds."""

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
from edugraph_common.messaging.provisioning import management, vhost
from edugraph_common.messaging.publisher import broker_errors
from edugraph_common.platform import metrics
from edugraph_common.platform.cached import cached_for
from edugraph_common.platform.settings import Settings

LOOK_INTERVAL_SECONDS = 5.0
MAX_LOOKS = 20_000  # looks at a queue that are remembered: a day of them
_COLUMNS = "name,messages_ready,messages_unacknowledged,consumers,message_stats.publish,message_stats.redeliver"


@dataclass(frozen=True)
class QueueFigures:
    """None stands for what this broker does not tell. `published` counts since the broker began.

    `dead` letters are those that nobody has stored yet.
    """

    ready: int
    dead: int
    unacked: int | None = None
    consumers: int | None = None
    published: int | None = None
    redelivered: int | None = None


@dataclass(frozen=True)
class Look:
    queues: dict[str, QueueFigures]
    alarms: dict[str, bool] = field(default_factory=dict)


class HeadAge:
    """Tells how long the first message of one queue has waited, without touching it.

    Looking at a message would take it and put it back, which counts as a delivery. But a queue is in order, so its
    first message is the one that was published when `published` reached the number that has left the queue since.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=MAX_LOOKS)

    def age(self, now: float, published: int, ready: int) -> float:
        """Return seconds. `now` is of a monotonic clock."""
        if self._seen and published < self._seen[-1][1]:
            self._seen.clear()  # the broker has begun to count anew
        self._seen.append((now, published))
        left = published - ready
        while len(self._seen) > 1 and self._seen[1][1] <= left:
            self._seen.popleft()
        return now - self._seen[0][0] if ready else 0.0


class BrokerFigures(Collector):
    """`look` raises Failure when the broker does not tell, `stored` when nobody knows how many letters are stored.

    `stored` gives the number of stored dead letters of each queue.
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
            stored = None  # the alert of Redis tells it
        alarms, messages = metrics.BROKER_ALARM.family(), metrics.QUEUE_MESSAGES.family()
        oldest, dead = metrics.QUEUE_OLDEST.family(), metrics.DEAD_LETTERS.family()
        consumers, redelivered = metrics.QUEUE_CONSUMERS.family(), metrics.QUEUE_REDELIVERED.family()
        for resource, raised in look.alarms.items():
            alarms.add_metric([resource], raised)
        for name, seen in look.queues.items():
            messages.add_metric([name, "ready"], seen.ready)
            if stored is not None:
                dead.add_metric([name], seen.dead + stored[name])
            if seen.unacked is not None:
                messages.add_metric([name, "unacked"], seen.unacked)
            if seen.consumers is not None:
                consumers.add_metric([name], seen.consumers)
            if seen.redelivered is not None:
                redelivered.add_metric([name], seen.redelivered)
            if seen.published is not None:
                oldest.add_metric([name], self._heads[name].age(self._clock(), seen.published, seen.ready))
        return [readable, alarms, messages, oldest, dead, consumers, redelivered]


def broker_figures(settings: Settings, app: Celery, stored: Callable[[], dict[str, int]]) -> BrokerFigures:
    """Ask the management API where its address is known, else by passive declaration, which tells less."""
    if settings.on_rabbitmq and settings.broker_management_url is not None:
        return BrokerFigures(lambda: _look_by_management(settings), stored)
    return BrokerFigures(lambda: _look_by_declaration(app, consumers=settings.on_rabbitmq), stored)


def _look_by_management(settings: Settings) -> Look:
    with management(settings) as api:
        answer = api.get(f"/api/queues/{vhost(settings)}", params={"columns": _COLUMNS}).raise_for_status().json()
        # Only a user with the tag `monitoring` may ask for nodes; without it there are no alarms to tell.
        told = api.get("/api/nodes", params={"columns": "mem_alarm,disk_free_alarm"})
    nodes: list[dict[str, bool]] = told.json() if told.is_success else []
    names = {"memory": "mem_alarm", "disk": "disk_free_alarm"} if told.is_success else {}
    alarms = {resource: any(node.get(name) for node in nodes) for resource, name in names.items()}
    rows: dict[str, dict[str, Any]] = {row["name"]: row for row in answer}
    queues = {}
    for name in QUEUES:
        if name not in rows:
            continue
        row, dead = rows[name], rows.get(dead_queue_name(name), {})
        counted = row.get("message_stats", {})
        queues[name] = QueueFigures(
            ready=row.get("messages_ready", 0),
            unacked=row.get("messages_unacknowledged", 0),
            consumers=row.get("consumers", 0),
            published=counted.get("publish", 0),
            redelivered=counted.get("redeliver", 0),
            dead=dead.get("messages_ready", 0) + dead.get("messages_unacknowledged", 0),
        )
    return Look(queues, alarms)


def _look_by_declaration(app: Celery, *, consumers: bool) -> Look:
    with broker_errors(), app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=0)
        channel: Any = connection.default_channel
        seen = {name: channel.queue_declare(name, passive=True) for name in QUEUES}
        dead = {name: channel.queue_declare(dead_queue_name(name), passive=True) for name in QUEUES}
    return Look(
        {
            name: QueueFigures(
                ready=answer.message_count,
                dead=dead[name].message_count,
                consumers=answer.consumer_count if consumers else None,
            )
            for name, answer in seen.items()
        }
    )


def consumers_of(settings: Settings, app: Celery) -> Callable[[str], int | None]:
    """Return a function that gives the number of workers that take from a queue now; None where nobody tells.

    It raises Retryable.
    """

    def look(queue: str) -> int | None:
        return _look_by_declaration(app, consumers=settings.on_rabbitmq).queues[queue].consumers

    return look
