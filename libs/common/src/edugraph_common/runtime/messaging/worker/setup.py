"""The setup of our extensions in a worker. With them no task is lost, pending for ever, or ended too late."""

from celery import Celery

from edugraph_common.runtime.messaging.celery_app import confirm_in_children
from edugraph_common.runtime.messaging.worker.circuit_breaker import add_circuit_breaker
from edugraph_common.runtime.messaging.worker.dead_letter_listener import add_dead_letter_listener
from edugraph_common.runtime.messaging.worker.garbage import collect_garbage_seldom
from edugraph_common.runtime.messaging.worker.remote_control import add_remote_control
from edugraph_common.runtime.messaging.worker.shutdown import limit_shutdown
from edugraph_common.runtime.service.settings import Settings


def set_up_worker(app: Celery, settings: Settings) -> None:
    """Set up the app of a worker. The function is called once, when the worker's module is loaded."""
    add_circuit_breaker(
        app, failures=settings.dead_letter_limit, seconds=settings.dead_letter_pause
    )
    limit_shutdown(settings.shutdown_grace)
    collect_garbage_seldom()
    if settings.on_rabbitmq:
        confirm_in_children(app)
        add_dead_letter_listener(app, settings)
        add_remote_control(app, settings)
