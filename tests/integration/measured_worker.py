"""A worker with the metrics and health files of the real ones, whose tasks do what their message says."""

import os
import signal
from typing import Any

from celery import shared_task

from edugraph_common.contracts.errors import Rejected, Retryable, Wait
from edugraph_common.contracts.messages import ImportBatch
from edugraph_common.runtime.messaging.celery_app import make_app
from edugraph_common.runtime.messaging.task_base import EduGraphTask
from edugraph_common.runtime.messaging.worker.health import report_health
from edugraph_common.runtime.messaging.worker.metrics import measure_worker
from edugraph_common.runtime.messaging.worker.setup import set_up_worker
from edugraph_common.runtime.messaging.worker.task_logs import log_tasks
from edugraph_common.runtime.service.settings import Settings

CANARY = "canary-in-a-bug"


@shared_task(base=EduGraphTask, bind=True, name="import_batch_task", contract=ImportBatch)
def do(self: EduGraphTask, body: Any) -> str:
    batch = self.parse(ImportBatch, body).batch
    if batch == 1:
        raise Rejected("refused")
    if batch == 2 and self.request.retries == 0:
        raise Retryable("away")
    if batch == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if batch == 4 and not (self.request.delivery_info or {}).get("routing_key", "").startswith("0"):
        raise Wait("not now", 1)
    if batch == 5:
        raise ValueError(CANARY)
    return "done"


settings = Settings()
app = make_app("edugraph-measured", settings)
log_tasks(settings)
measure_worker("importer", settings)
report_health(app, settings)
set_up_worker(app, settings)
app.conf.task_ignore_result = bool(os.environ.get("IGNORE_RESULTS"))
app.conf.worker_max_tasks_per_child = int(os.environ.get("TASKS_PER_CHILD", "1000"))
