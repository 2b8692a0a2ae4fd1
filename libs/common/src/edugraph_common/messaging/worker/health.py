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
from celery.worker.consumer.tasks import Tasks

from edugraph_common.messaging.worker.consumer import QuickConsumer
from edugraph_common.platform import metrics
from edugraph_common.platform.settings import Settings

BEAT_SECONDS = 5.0
ALIVE, READY = "alive", "ready"


class Health:
    """The two files in `folder`; None means that nobody asks and no file is written."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def alive(self) -> None:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / ALIVE).touch()

    def ready(self, consumed: list[str]) -> None:
        """Say which queues are consumed at this moment; none means that the worker is not ready."""
        if self._folder is None:
            return
        if consumed:
            (self._folder / READY).touch()
        else:
            (self._folder / READY).unlink(missing_ok=True)


def report_health(app: Celery, settings: Settings) -> None:
    """Make the worker of this app keep the two files. It must be called before the worker starts."""
    health = Health(Path(settings.health_dir) if settings.health_dir else None)
    app.steps["consumer"].add(_health_step(health))
    app.conf.worker_consumer = _alive_while_connecting(health)


def _health_step(health: Health) -> type[bootsteps.StartStopStep]:
    def tell(consumer: Any, consumed: list[str]) -> None:
        health.ready(consumed)
        for queue in consumer.app.amqp.queues.consume_from:
            metrics.CONSUMING.set(queue in consumed, queue=queue)

    def beat(consumer: Any) -> None:
        health.alive()
        # The question is what is consumed at this moment, and not what was once begun.
        tasks, connection = consumer.task_consumer, consumer.connection
        connected = tasks is not None and connection is not None and connection.connected
        tell(consumer, [queue.name for queue in tasks.queues if tasks.consuming_from(queue)] if connected else [])

    class HealthStep(bootsteps.StartStopStep):
        """Celery starts it after the consumer of tasks, and again after each reconnection."""

        requires = (Tasks,)
        timer: Any = None

        def start(self, consumer: Any) -> None:
            metrics.CONNECTIONS.add()
            if self.timer is not None:
                self.timer.cancel()
            self.timer = consumer.timer.call_repeatedly(BEAT_SECONDS, beat, (consumer,))
            if consumer.hub is not None:
                # The first turn of the loop comes right after the worker has begun to consume.
                consumer.hub.call_soon(beat, consumer)

        def stop(self, consumer: Any) -> None:
            tell(consumer, [])

    return HealthStep


def _alive_while_connecting(health: Health) -> type[QuickConsumer]:
    class AliveWhileConnecting(QuickConsumer):
        """While a worker waits for the broker no event loop runs, so the waiting itself gives the sign of life."""

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
