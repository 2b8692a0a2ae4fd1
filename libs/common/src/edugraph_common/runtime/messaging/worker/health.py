"""Two files that show whether a worker is alive and whether it consumes, for probes that take milliseconds.

They are in EDUGRAPH_HEALTH_DIR. The consumer's event loop touches `alive` every few seconds. It is also touched while
the worker tries to reach a broker that is away, so that an outage does not restart workers. `ready` exists only while
the worker is connected and consumes. A probe needs neither Python nor the broker:

    alive: test $(( $(date +%s) - $(stat -c %Y "$EDUGRAPH_HEALTH_DIR/alive") )) -lt 60
    ready: test -e "$EDUGRAPH_HEALTH_DIR/ready"

`celery inspect ping` is not a substitute: it takes a second of processor time, and answers even if nothing is
consumed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps
from celery.worker.consumer.tasks import Tasks

from edugraph_common.runtime.messaging.worker.consumer import QuickConsumer
from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.service.settings import Settings

BEAT_SECONDS = 5.0
# The names of the two files.
ALIVE = "alive"
READY = "ready"


class Health:
    """The two files in `folder`. If it is None, no file is written."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def alive(self) -> None:
        """Touch `alive`."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / ALIVE).touch()

    def ready(self, consumed: list[str]) -> None:
        """Write or delete `ready`. The worker is ready if it consumes at least one queue."""
        if self._folder is None:
            return
        if consumed:
            (self._folder / READY).touch()
        else:
            (self._folder / READY).unlink(missing_ok=True)


def report_health(app: Celery, settings: Settings) -> None:
    """Make the worker of this app write the two files. The function must be called before the worker starts."""
    health = Health(Path(settings.health_dir) if settings.health_dir else None)
    app.steps["consumer"].add(_health_step(health))
    app.conf.worker_consumer = _alive_while_connecting(health)


def _health_step(health: Health) -> type[bootsteps.StartStopStep]:
    """Return the step of Celery's consumer that reports every BEAT_SECONDS whether the worker consumes."""

    def report(consumer: Any, consumed: list[str]) -> None:
        health.ready(consumed)
        for queue in consumer.app.amqp.queues.consume_from:
            metrics.CONSUMING.set(queue in consumed, queue=queue)

    def beat(consumer: Any) -> None:
        health.alive()
        # The consumer is asked for the queues that it consumes at this moment. Some may be closed or cancelled.
        tasks = consumer.task_consumer
        connection = consumer.connection
        is_connected = tasks is not None and connection is not None and connection.connected
        consumed = []
        if is_connected:
            consumed = [queue.name for queue in tasks.queues if tasks.consuming_from(queue)]
        report(consumer, consumed)

    class HealthStep(bootsteps.StartStopStep):
        """A step that Celery starts after the consumer of tasks, and again after each reconnection."""

        requires = (Tasks,)
        timer: Any = None

        def start(self, consumer: Any) -> None:
            metrics.CONNECTIONS.add()
            if self.timer is not None:
                self.timer.cancel()
            self.timer = consumer.timer.call_repeatedly(BEAT_SECONDS, beat, (consumer,))
            if consumer.hub is not None:
                # The event loop runs it as soon as the worker has begun to consume.
                consumer.hub.call_soon(beat, consumer)

        def stop(self, consumer: Any) -> None:
            report(consumer, [])

    return HealthStep


def _alive_while_connecting(health: Health) -> type[QuickConsumer]:
    """Return the class of the consumer that keeps the worker alive while the broker is away."""

    class AliveWhileConnecting(QuickConsumer):
        """A consumer that touches `alive` while it waits for the broker, because then the event loop does not run."""

        def ensure_connected(self, connection: Any) -> Any:
            health.alive()
            ensure = connection.ensure_connection

            def ensured(errback: Any, max_retries: Any, callback: Callable[[], None]) -> Any:
                def alive() -> None:
                    health.alive()
                    callback()

                return ensure(errback, max_retries, callback=alive)

            connection.ensure_connection = ensured
            return super().ensure_connected(connection)

    return AliveWhileConnecting
