"""What each worker has beyond Celery's own: nothing lost, nothing pending for ever, an end in time."""

from celery import Celery

from edugraph_common.messaging.celery_app import confirm_in_children
from edugraph_common.messaging.worker.circuit_breaker import watch_deaths
from edugraph_common.messaging.worker.dead_letter_listener import DeadNotices
from edugraph_common.messaging.worker.garbage import collect_seldom
from edugraph_common.messaging.worker.shutdown import limit_shutdown
from edugraph_common.platform.settings import Settings


def guard_worker(app: Celery, settings: Settings) -> None:
    """For the app of a worker, once, when its module is loaded."""
    watch_deaths(app, deaths=settings.dead_letter_limit, seconds=settings.dead_letter_pause)
    limit_shutdown(settings.shutdown_grace)
    collect_seldom()
    if settings.on_rabbitmq:
        confirm_in_children(app)
        app.steps["consumer"].add(DeadNotices)
