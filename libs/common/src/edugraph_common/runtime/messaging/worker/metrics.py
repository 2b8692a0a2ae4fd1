"""The metrics of a worker. Celery's signals measure its tasks, and its main process serves /metrics.

A child that is killed cannot count its own end, so the main process counts it in `WatchedRequest`.
"""

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from billiard.exceptions import WorkerLostError
from billiard.process import current_process
from celery.signals import task_postrun, task_prerun, worker_init, worker_process_init
from celery.worker.request import Request

from edugraph_common.contracts.errors import Awaited
from edugraph_common.contracts.outcomes import given_up_state
from edugraph_common.contracts.routes import QUEUES, ROUTES
from edugraph_common.runtime.messaging.headers import published_at
from edugraph_common.runtime.messaging.task_base import EduGraphTask, put_back_reason
from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.service.build_info import describe_build
from edugraph_common.runtime.service.instruments import Part, exposition, open_all, share
from edugraph_common.runtime.service.metrics_server import serve_metrics
from edugraph_common.runtime.service.settings import Settings

OUTCOMES: dict[str, metrics.TaskOutcome] = {
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "RETRY": "retried",
    "IGNORED": "waiting",
    "REJECTED": "put back",
}
MAIN = "main"


def measure_worker(
    part: Part, settings: Settings, open_own: Callable[[], None] = lambda: None
) -> None:
    """Measure the worker of this process, if `metrics_port` is set. Call the function before the worker starts.

    `open_own` opens the series that only the service knows, so that a rate includes the first event.
    """
    if not settings.metrics_port:
        return
    EduGraphTask.Request = f"{__name__}:WatchedRequest"

    def open_metrics(sender: Any, **_: Any) -> None:
        # Billiard gives the place of an old child to a new one only after the old child has ended.
        def place_in_pool() -> str:
            index = getattr(current_process(), "index", None)
            if index is None:
                return MAIN
            return f"child{index}"

        share(_folder(settings), place_in_pool)
        open_all(metrics.INSTRUMENTS, ["every process", "workers", part])
        _open_series(sender.app)
        open_own()
        metrics.POOL_SIZE.set(sender.concurrency)
        describe_build(part)
        serve_metrics(settings.metrics_host, settings.metrics_port, exposition)

    def begin_child(**_: Any) -> None:
        metrics.CHILDREN.add()
        # A child that was killed in this place may have left its last value behind.
        for queue in QUEUES:
            metrics.TASKS_ACTIVE.set(0, queue=queue)

    worker_init.connect(open_metrics, weak=False)
    worker_process_init.connect(begin_child, weak=False)
    _measure_tasks()


class WatchedRequest(Request):
    """A request that counts lost tasks. It lives in the main process, which goes on when a child is killed."""

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        error = exc_info.exception
        if isinstance(getattr(error, "exc", error), WorkerLostError | SystemExit):
            _count(self.task, "lost")
        return super().on_failure(exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        if not soft:
            _count(self.task, "lost")
        return super().on_timeout(soft, timeout)


def _folder(settings: Settings) -> Path:
    if settings.metrics_dir:
        return Path(settings.metrics_dir)
    folder = tempfile.mkdtemp(prefix="edugraph-metrics-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _open_series(app: Any) -> None:
    """Open the series of the tasks and queues that this worker serves."""
    queues = set(app.amqp.queues.consume_from)
    for queue in queues & set(QUEUES):
        for awaited in get_args(Awaited):
            metrics.TASKS_WAITING.open(queue=queue, reason=awaited)
        for instrument in (
            metrics.TASKS_ACTIVE,
            metrics.REDELIVERIES,
            metrics.QUEUE_WAIT,
            metrics.CONSUMING,
        ):
            instrument.open(queue=queue)
    for task, route in ROUTES.items():
        if task in app.tasks and route.queue in queues:
            metrics.TASK_SECONDS.open(queue=route.queue, task=task)
            for outcome in (*OUTCOMES.values(), "lost"):
                metrics.TASKS.open(queue=route.queue, task=task, outcome=outcome)


def _measure_tasks() -> None:
    begun: dict[str, float] = {}

    def begin(task_id: str, task: Any, **_: Any) -> None:
        begun[task_id] = time.monotonic()
        queue = _queue_of(task)
        metrics.TASKS_ACTIVE.add(1, queue=queue)
        if (task.request.delivery_info or {}).get("redelivered"):
            metrics.REDELIVERIES.add(queue=queue)
        published = published_at(task.request)
        if published is not None and not task.request.retries and not task.request.eta:
            metrics.QUEUE_WAIT.observe(max(time.time() - published, 0), queue=queue)

    def end(task_id: str, task: Any, retval: Any, state: str | None, **_: Any) -> None:
        queue = _queue_of(task)
        metrics.TASKS_ACTIVE.add(-1, queue=queue)
        if task_id in begun:
            seconds = time.monotonic() - begun.pop(task_id)
            metrics.TASK_SECONDS.observe(seconds, queue=queue, task=task.name)
        # A member of a chord answers with a failed outcome instead of failing.
        if given_up_state(retval) == "failed":
            outcome: metrics.TaskOutcome = "failed"
        elif state is None or put_back_reason(task.request):
            # Without a state, Celery could not even store that the task began.
            outcome = "put back"
        else:
            outcome = OUTCOMES.get(state, "failed")
        _count(task, outcome)

    task_prerun.connect(begin, weak=False)
    task_postrun.connect(end, weak=False)


def _count(task: Any, outcome: metrics.TaskOutcome) -> None:
    metrics.TASKS.add(queue=_queue_of(task), task=task.name, outcome=outcome)


def _queue_of(task: Any) -> str:
    route = ROUTES.get(task.name)
    if not route:
        return "other"
    return route.queue
