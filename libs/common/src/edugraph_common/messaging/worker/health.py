"""Two files that tell whether a worker lives and whether it works, for probes that cost milliseconds.

In EDUGRAPH_HEALTH_DIR: `alive` is touched every few seconds by the consumer's own event loop, and while it tries to
reach a broker that is away, so that an outage restarts no worker. `ready` is there only while the worker is connected
and consumes. A probe needs no Python and no broker:

    alive: test $(( $(date +%s) - $(stat -c %Y "$EDUGRAPH_HEALTH_DIR/alive") )) -lt 60
    ready: test -e "$EDUGRAPH_HEALTH_DIR/ready"

`celery inspect ping` is neither: it costs a second of processor time and answers while nothing is consumed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps
from celery.worker.consumer import Consumer
from celery.worker.consumer.tasks import Tasks

from edugraph_common.platform import metrics
from edugraph_common.platform.settings import Settings

BEAT = 5.0  # seconds
ALIVE, READY = "alive", "ready"


class Health:
    """The two files; None for no folder means that nobody asks."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def alive(self) -> None:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / ALIVE).touch()

    def ready(self, consumed: list[str]) -> None:
        """`consumed`: the queues that are consumed from now; none means not ready."""
        if self._folder is None:
            return
        if consumed:
            (self._folder / READY).touch()
        else:
            (self._folder / READY).unlink(missing_ok=True)


def report_health(app: Celery, settings: Settings) -> None:
    """Before the worker starts."""
    health = Health(Path(settings.health_dir) if settings.health_dir else None)
    app.steps["consumer"].add(_beating_step(health))
    app.conf.worker_consumer = _beating_consumer(health)


def _beating_step(health: Health) -> type[bootsteps.StartStopStep]:
    class Beating(bootsteps.StartStopStep):
        """Started after the consumer of tasks, and again after each reconnection."""

        requires = (Tasks,)
        timer: Any = None

        def start(self, consumer: Any) -> None:
            metrics.CONNECTIONS.add()
            if self.timer is not None:
                self.timer.cancel()
            self.timer = consumer.timer.call_repeatedly(BEAT, _beat, (health, consumer))
            if consumer.hub is not None:
                # The loop's first turn comes right after it has begun to consume.
                consumer.hub.call_soon(_beat, health, consumer)

        def stop(self, consumer: Any) -> None:
            _tell(health, consumer, [])

    return Beating


def _beat(health: Health, consumer: Any) -> None:
    health.alive()
    _tell(health, consumer, _consumed(consumer))


def _tell(health: Health, consumer: Any, consumed: list[str]) -> None:
    health.ready(consumed)
    for queue in consumer.app.amqp.queues.consume_from:
        metrics.CONSUMING.set(queue in consumed, queue=queue)


def _consumed(consumer: Any) -> list[str]:
    """Asked of what is consumed at this moment, not of what was once begun."""
    tasks, connection = consumer.task_consumer, consumer.connection
    if tasks is None or connection is None or not connection.connected:
        return []
    return [queue.name for queue in tasks.queues if tasks.consuming_from(queue)]


def _beating_consumer(health: Health) -> type[Consumer]:
    class BeatingConsumer(Consumer):
        """While it waits for a broker no event loop runs, so the beat comes from the waiting itself."""

        def ensure_connected(self, connection: Any) -> Any:
            health.alive()
            connection.ensure_connection = _beating(connection.ensure_connection, health)
            return super().ensure_connected(connection)

    return BeatingConsumer


def _beating(ensure: Callable[..., Any], health: Health) -> Callable[..., Any]:
    def ensured(errback: Any, max_retries: Any, callback: Callable[[], None]) -> Any:
        def beat() -> None:
            health.alive()
            callback()

        return ensure(errback, max_retries, callback=beat)

    return ensured
