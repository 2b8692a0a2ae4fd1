"""The Celery app of every process: gateway, importer, analyzer. Each setting that is not Celery's default says why.

Most of them answer a fault that was seen with the default; tests/integration/test_traps_*.py show each fault.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from celery.signals import worker_process_init

from edugraph_common.contracts.api import Check
from edugraph_common.contracts.errors import Server
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.messaging.headers import stamp_messages
from edugraph_common.messaging.result_store import ResultStore
from edugraph_common.messaging.topology import TASKS, task_queues
from edugraph_common.platform.settings import Settings

# For a split, an erasure and other tasks that go over a whole file.
SOFT_TIME_LIMIT_SECONDS = 3_300
HARD_TIME_LIMIT_SECONDS = 3_600
# A batch takes seconds and tries Neo4j for two minutes, a pack is a few requests of at most a minute each: one that
# takes longer hangs, and its process is lost to all others meanwhile.
SOFT_TIME_LIMITS_SECONDS = {
    "import_batch_task": 300,
    "aggregate_import_results": 300,
    "record_findings_task": 300,
    "estimate_analysis_task": 300,
    "analyze_interaction_task": 900,
    "analyze_error_task": 900,
    "extract_knowledge_points_task": 900,
}
# Between the soft limit, with which a task gives up by itself, and the hard one, with which its process is killed.
LAST_SECONDS = 60
TASKS_PER_CHILD = 1_000
# A chord must not outlive the results of its members.
RESULTS_KEPT_SECONDS = 7 * 86_400
# The broker gives up the connection of a machine that vanished after two heartbeats.
HEARTBEAT_SECONDS = 15
# The longest wait for the broker's answer. Without it a worker whose packets are dropped hangs for ever.
SOCKET_TIMEOUT_SECONDS = 25


class App(Celery):
    """`work()` returns the service that the tasks call. A worker sets it; each child of its pool opens it once.

    `servers` are those that the tasks need. Calling one asks it on a connection of its own, within seconds. It raises
    ServerAway if it cannot be used. `checks` are what else the service says to `edugraph doctor`.
    """

    work: Callable[[], Any]
    servers: Mapping[Server, Callable[[], None]] = MappingProxyType({})
    checks: Sequence[Callable[[], Check]] = ()


def make_app(name: str, settings: Settings) -> App:
    """Make an app, which is connected to nothing yet."""
    app = App(name, broker=settings.broker_url.get_secret_value(), backend=settings.redis_url.get_secret_value())
    # Celery looks the store up by the scheme of its address.
    store = f"{ResultStore.__module__}:{ResultStore.__name__}"
    app.loader.override_backends = {"redis": store, "rediss": store}
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        enable_utc=True,
        task_queues=task_queues(quorum=settings.on_rabbitmq),
        task_default_queue="data_import",
        # This is the exchange of a queue that has several bindings, to Celery. Without it Celery publishes past the
        # exchange, and a retry waits in a worker instead of in the broker.
        task_default_exchange=TASKS.name,
        task_default_exchange_type=TASKS.type,
        task_create_missing_queues=False,
        task_routes={
            task: {"queue": route.queue, "routing_key": route.key, "priority": route.priority}
            for task, route in ROUTES.items()
        },
        task_acks_late=True,
        # A message whose worker died goes back to its queue, up to the queue's delivery limit.
        task_reject_on_worker_lost=True,
        task_track_started=True,
        task_time_limit=HARD_TIME_LIMIT_SECONDS,
        task_soft_time_limit=SOFT_TIME_LIMIT_SECONDS,
        task_annotations={
            task: {"soft_time_limit": seconds, "time_limit": seconds + LAST_SECONDS}
            for task, seconds in SOFT_TIME_LIMITS_SECONDS.items()
        },
        worker_max_tasks_per_child=TASKS_PER_CHILD,
        # In KiB. A child that has ever held more is replaced after the task that it runs.
        worker_max_memory_per_child=settings.child_memory_mib * 1024 or None,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=True,
        task_send_sent_event=True,
        # Arguments hold records: they stay out of results, events and Flower.
        result_extended=False,
        result_expires=settings.result_retention_days * 86_400,
        result_chord_expires=RESULTS_KEPT_SECONDS,
        redis_socket_timeout=30.0,
        redis_socket_keepalive=True,
        redis_retry_on_timeout=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    if settings.on_rabbitmq:
        app.conf.update(
            broker_heartbeat=HEARTBEAT_SECONDS,
            broker_transport_options={
                "read_timeout": SOCKET_TIMEOUT_SECONDS,
                "write_timeout": SOCKET_TIMEOUT_SECONDS,
            },
            # A closed channel means that the worker connects again, and not that it exits.
            broker_channel_error_retry=True,
            # Celery's own remote control keeps a worker from consuming when a node is lost: worker/remote_control.py.
            worker_enable_remote_control=False,
            # The queue for the answers of workers: a half-open connection keeps an exclusive one locked.
            control_queue_exclusive=False,
            control_queue_durable=True,
            # A message comes back when the connection is lost; the task that ran for it must not run on beside it.
            worker_cancel_long_running_tasks_on_connection_loss=True,
        )
    else:
        app.conf.worker_enable_remote_control = settings.remote_control
        # The visibility time-out is longer than a task may run, or Redis' transport delivers it a second time.
        app.conf.broker_transport_options = {
            "visibility_timeout": 2 * HARD_TIME_LIMIT_SECONDS,
            "health_check_interval": 10,
            # One step means no priorities: to Redis' transport a high number would be the least urgent one.
            "priority_steps": [0],
        }
    _verify_certificates(app, settings)
    stamp_messages()
    return app


def _verify_certificates(app: Celery, settings: Settings) -> None:
    broker, results = urlsplit(settings.broker_urls[0]), urlsplit(settings.redis_url.get_secret_value())
    if broker.scheme == "amqps":
        # py-amqp checks who signed a certificate, but compares the host name only when it is told the name. It is
        # told one for all nodes, so their certificates must be good for the first one's name too.
        app.conf.broker_use_ssl = {"server_hostname": broker.hostname}
    if results.scheme == "rediss":
        # Celery refuses the address of a Redis with TLS that does not say whether certificates are checked.
        app.conf.redis_backend_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}


def make_publisher(name: str, settings: Settings, *, timeout: float = 4.0) -> App:
    """Make an app for a process that only publishes and gives up after about `timeout` seconds."""
    app = make_app(name, settings)
    app.conf.update(
        # Celery would subscribe to the result of each task it sends, and nobody here waits for one.
        result_backend="disabled://",
        broker_connection_timeout=timeout,
        broker_pool_acquire_timeout=timeout,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
    )
    if settings.on_rabbitmq:
        app.conf.broker_transport_options = confirming_options(timeout)
    return app


def confirm_in_children(app: Celery, *, timeout: float = SOCKET_TIMEOUT_SECONDS) -> None:
    """Let the children of the pool wait for confirms, and the main process not.

    In a worker's main process a confirm waits without handling heartbeats: under a memory alarm of RabbitMQ the
    worker would hang for ever.
    """

    def confirm(**_: Any) -> None:
        app.conf.broker_transport_options = confirming_options(timeout)

    worker_process_init.connect(confirm, weak=False)


def confirming_options(timeout: float = SOCKET_TIMEOUT_SECONDS) -> dict[str, Any]:
    """Return the options of a connection whose publishing waits for the broker's confirm."""
    return {
        "confirm_publish": True,
        "confirm_timeout": timeout,
        "read_timeout": timeout,
        "write_timeout": timeout,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
    }
