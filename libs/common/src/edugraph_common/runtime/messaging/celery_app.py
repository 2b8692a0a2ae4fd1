"""The Celery app of gateway, importer and analyzer. A comment says why a setting differs from its default.

Most of these settings avoid a fault of the default. tests/integration/test_traps_*.py show each fault.
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
from edugraph_common.runtime.messaging.headers import stamp_messages
from edugraph_common.runtime.messaging.result_store import ResultStore
from edugraph_common.runtime.messaging.topology import TASKS, task_queues
from edugraph_common.runtime.service.settings import Settings

# The limits of a split, an erasure and other tasks that read a whole file.
SOFT_TIME_LIMIT_SECONDS = 3_300
HARD_TIME_LIMIT_SECONDS = 3_600
# A batch takes seconds, and tries Neo4j for two minutes at most. A pack sends a few requests of a minute at most. A
# task that takes longer hangs, and keeps its process from other tasks.
SOFT_TIME_LIMITS_SECONDS = {
    "import_batch_task": 300,
    "import_live_task": 300,
    "aggregate_import_results": 300,
    "record_findings_task": 300,
    "estimate_analysis_task": 300,
    "analyze_interaction_task": 900,
    "analyze_error_task": 900,
    "extract_knowledge_points_task": 900,
}
# The time between the soft limit, at which a task gives up by itself, and the hard limit, at which its process is
# killed.
LAST_SECONDS = 60
# A new process takes some seconds to begin, and live data waits for that. At four batches a second, a process works
# for more than an hour. Its memory is bounded as well.
TASKS_PER_CHILD = 20_000
# A chord must end before the results of its members expire.
RESULTS_KEPT_SECONDS = 7 * 86_400
# After two missed heartbeats the broker closes the connection of a machine that vanished.
HEARTBEAT_SECONDS = 15
# The longest wait for an answer of the broker. Without it, a worker whose packets are dropped would hang for ever.
SOCKET_TIMEOUT_SECONDS = 25


class App(Celery):
    """Celery's app with the parts that a worker sets.

    - `work()` returns the service that the tasks call. Each child of the pool opens it once.
    - `servers`: a server that the tasks need -> its check. The check uses its own connection, takes seconds, and
      raises ServerAway if the server cannot be used.
    - `checks`: further checks of the service for `edugraph doctor`.
    """

    work: Callable[[], Any]
    servers: Mapping[Server, Callable[[], None]] = MappingProxyType({})
    checks: Sequence[Callable[[], Check]] = ()


def make_app(name: str, settings: Settings) -> App:
    """Return an app. It connects at its first use."""
    app = App(
        name,
        broker=settings.broker_url.get_secret_value(),
        backend=settings.redis_url.get_secret_value(),
    )
    # Celery finds the class of the result store by the scheme of its address.
    store = f"{ResultStore.__module__}:{ResultStore.__name__}"
    app.loader.override_backends = {"redis": store, "rediss": store}
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        enable_utc=True,
        task_queues=task_queues(quorum=settings.on_rabbitmq),
        task_default_queue="data_import",
        # Celery uses this exchange for a queue with several bindings. Without it, Celery would publish to the queue
        # directly, and a retry would wait in a worker and not in the broker.
        task_default_exchange=TASKS.name,
        task_default_exchange_type=TASKS.type,
        task_create_missing_queues=False,
        task_routes={
            task: {"queue": route.queue, "routing_key": route.key, "priority": route.priority}
            for task, route in ROUTES.items()
        },
        task_acks_late=True,
        # The message of a worker that died goes back to its queue, at most as often as the queue's delivery limit.
        task_reject_on_worker_lost=True,
        task_track_started=True,
        task_time_limit=HARD_TIME_LIMIT_SECONDS,
        task_soft_time_limit=SOFT_TIME_LIMIT_SECONDS,
        task_annotations={
            task: {"soft_time_limit": seconds, "time_limit": seconds + LAST_SECONDS}
            for task, seconds in SOFT_TIME_LIMITS_SECONDS.items()
        },
        worker_max_tasks_per_child=TASKS_PER_CHILD,
        # In KiB. A child that has used more memory is replaced after its current task.
        worker_max_memory_per_child=settings.child_memory_mib * 1024 or None,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=True,
        task_send_sent_event=True,
        # Arguments hold records, so results, events and Flower must not have them.
        result_extended=False,
        result_expires=settings.result_retention_days * 86_400,
        result_chord_expires=RESULTS_KEPT_SECONDS,
        # Before each key of Celery's result store. Celery and kombu put an underscore after a prefix without a colon.
        result_backend_transport_options={"global_keyprefix": settings.redis_key_prefix},
        redis_key_prefix=settings.redis_key_prefix,
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
            # A worker whose channel was closed connects again. By default it would exit.
            broker_channel_error_retry=True,
            # With Celery's own remote control, a worker stops consuming when a node is lost: see
            # worker/remote_control.py.
            worker_enable_remote_control=False,
            # The queue for the answers of workers is not exclusive, because a half-open connection would keep an
            # exclusive queue locked.
            control_queue_exclusive=False,
            control_queue_durable=True,
            # When the connection is lost, the message is delivered again, so its running task must be cancelled.
            worker_cancel_long_running_tasks_on_connection_loss=True,
        )
    else:
        app.conf.worker_enable_remote_control = settings.remote_control
        # After the visibility time-out, Redis' transport delivers a message again. So it must be longer than a task
        # may run.
        app.conf.broker_transport_options = {
            "visibility_timeout": 2 * HARD_TIME_LIMIT_SECONDS,
            "health_check_interval": 10,
            "global_keyprefix": settings.redis_key_prefix,
            # One step turns priorities off. In Redis' transport a high number would be the least urgent one.
            "priority_steps": [0],
        }
    _verify_certificates(app, settings)
    stamp_messages()
    return app


def _verify_certificates(app: Celery, settings: Settings) -> None:
    broker = urlsplit(settings.broker_urls[0])
    results = urlsplit(settings.redis_url.get_secret_value())
    if broker.scheme == "amqps":
        # By default py-amqp checks only who signed a certificate. With this option it also compares the host name.
        # There is one name for all nodes, so their certificates must also be valid for the name of the first node.
        app.conf.broker_use_ssl = {"server_hostname": broker.hostname}
    if results.scheme == "rediss":
        # Celery requires this option for a Redis with TLS.
        app.conf.redis_backend_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}


def make_publisher(name: str, settings: Settings, *, timeout: float = 4.0) -> App:
    """Return an app for a process that only publishes, and gives up after about `timeout` seconds."""
    app = make_app(name, settings)
    app.conf.update(
        # Without this, Celery would subscribe to the result of each task that it sends. Nobody here waits for one.
        result_backend="disabled://",
        broker_connection_timeout=timeout,
        broker_pool_acquire_timeout=timeout,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
    )
    if settings.on_rabbitmq:
        app.conf.broker_transport_options = confirming_options(timeout)
    return app


def confirm_in_children(app: Celery, *, timeout: float = SOCKET_TIMEOUT_SECONDS) -> None:
    """Make the children of the pool wait for the broker's confirms. The main process does not wait for them.

    A main process that waits for a confirm does not handle heartbeats. During a memory alarm of RabbitMQ it would
    hang for ever.
    """

    def confirm(**_: Any) -> None:
        app.conf.broker_transport_options = confirming_options(timeout)

    worker_process_init.connect(confirm, weak=False)


def confirming_options(timeout: float = SOCKET_TIMEOUT_SECONDS) -> dict[str, Any]:
    """Return the options of a connection on which publishing waits for the broker's confirm."""
    return {
        "confirm_publish": True,
        "confirm_timeout": timeout,
        "read_timeout": timeout,
        "write_timeout": timeout,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
    }
