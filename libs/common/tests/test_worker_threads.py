"""A worker in threads: which of its connections wait for the broker's confirm, and how many tasks it runs."""

import pytest
from celery.concurrency import get_implementation
from celery.signals import worker_init

from edugraph_common.runtime.messaging.celery_app import make_app
from edugraph_common.runtime.messaging.worker.threads import ThreadPool, run_in_threads
from edugraph_common.runtime.service.settings import Settings


@pytest.fixture
def app():
    settings = Settings(
        broker_url="amqp://127.0.0.1:1//", redis_url="redis://127.0.0.1:1/0", blob_url="/tmp"
    )
    before = list(worker_init.receivers)
    yield make_app("test", settings)
    worker_init.receivers[:] = before


def test_what_tasks_publish_is_confirmed_and_the_main_thread_waits_for_no_confirm(app) -> None:
    """Out: open_producers. Then a finding that the broker never took counts as sent."""
    run_in_threads(app, 7, confirmed=True)
    worker_init.send(sender=None)
    of_tasks = app.producer_pool.connections.connection.transport_options
    assert of_tasks["confirm_publish"] is True
    assert of_tasks["read_timeout"] == 25
    for connection in (app.connection_for_read(), app.connection_for_write()):
        assert "confirm_publish" not in connection.transport_options


def test_without_rabbitmq_nothing_is_confirmed(app) -> None:
    run_in_threads(app, 7, confirmed=False)
    worker_init.send(sender=None)
    assert "confirm_publish" not in app.producer_pool.connections.connection.transport_options


def test_the_pool_is_one_that_celery_finds(app) -> None:
    run_in_threads(app, 7, confirmed=True)
    assert get_implementation(app.conf.worker_pool) is ThreadPool
    assert app.conf.worker_concurrency == 7
