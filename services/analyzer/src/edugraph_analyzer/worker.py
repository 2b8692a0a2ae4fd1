"""The analyzer's process: `celery -A edugraph_analyzer.worker worker -Q llm_analysis`."""

import os
import threading
from datetime import UTC, datetime
from functools import cache, partial
from typing import get_args

from edugraph_analyzer import telemetry
from edugraph_analyzer.documents import StoredBatches
from edugraph_analyzer.pipeline import Pipeline
from edugraph_analyzer.provider_check import check_provider
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.rule_based.fits_in_use import FitsInUse
from edugraph_analyzer.service import AnalyzerService
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.messaging.celery_app import App, make_app
from edugraph_common.messaging.queue_depth import queue_depth
from edugraph_common.messaging.worker.deliveries import note_deliveries
from edugraph_common.messaging.worker.health import report_health
from edugraph_common.messaging.worker.metrics import measure_worker
from edugraph_common.messaging.worker.setup import set_up_worker
from edugraph_common.messaging.worker.task_logs import log_tasks
from edugraph_common.messaging.worker.task_traces import trace_tasks
from edugraph_common.messaging.worker.threads import run_in_threads
from edugraph_common.platform.analysis_window import AnalysisWindows
from edugraph_common.platform.cached import cached_for
from edugraph_common.platform.course_members import CourseMembers
from edugraph_common.platform.job_store import Jobs, connect
from edugraph_common.platform.object_store import Blobs
from edugraph_common.platform.server_checks import ask_blobs, ask_redis
from edugraph_common.platform.settings import Settings

MOST_PROCESSES = 4  # of the offline analyser, where nobody says otherwise: each takes 80 MB
LOOK_SECONDS = 1.0  # between two looks at the queue of findings, which takes a connection


def make_worker(settings: Settings, model: AnalyzerSettings) -> App:
    """Make the app, connected to nothing: a process opens what it needs at its first task."""
    app = make_app("edugraph-analyzer", settings)
    app.conf.imports = ("edugraph_analyzer.tasks",)
    # A request that is under way when the broker's connection is lost will be paid for. Its answer is kept, and the
    # pack that comes again waits for it (flight.py), so it is let finish.
    app.conf.worker_cancel_long_running_tasks_on_connection_loss = False
    log_tasks(settings)
    note_deliveries(settings)
    models = {kind: model.model_for(kind) for kind in get_args(Kind)}
    of_models = {name: model.limits_of(name) for name in models.values()}
    limits = {name: (each.requests_per_minute or 0, each.tokens_per_minute) for name, each in of_models.items()}
    open_models = partial(telemetry.open_models, models, limits)
    measure_worker("analyzer", settings, open_models)
    report_health(app, settings)
    trace_tasks("analyzer", settings.tracing)
    set_up_worker(app, settings)
    if model.has_provider:  # the offline analyser works and does not wait: it has a process for each task
        run_in_threads(app, model.requests_under_way, confirmed=settings.on_rabbitmq)
    else:
        app.conf.worker_concurrency = min(MOST_PROCESSES, os.cpu_count() or 1)

    app.servers = {
        "redis": partial(ask_redis, settings.redis_url.get_secret_value()),
        "blobs": partial(ask_blobs, settings.blob_url),
    }
    app.checks = (partial(check_provider, model),)

    @cache
    def service() -> AnalyzerService:
        client = connect(settings.redis_url.get_secret_value())
        jobs, members = Jobs(client, settings.job_retention_seconds), CourseMembers(client)
        blobs = Blobs(settings.blob_url, settings.imports_from)
        return AnalyzerService(
            app=app,
            pipeline=Pipeline(
                model,
                client,
                with_records=StoredBatches(blobs).with_records,
                is_cancelled=jobs.is_cancelled,
                members=members,
                offline=RuleBasedAnalyzer(FitsInUse(blobs).of),
            ),
            jobs=jobs,
            windows=AnalysisWindows(client),
            members=members,
            blobs=blobs,
            now=lambda: datetime.now(UTC),
            pack_size=model.pack_size,
            packs_in_queue=model.packs_in_queue,
            findings_waiting=cached_for(
                LOOK_SECONDS, partial(queue_depth(app), ROUTES["record_findings_task"].queue)
            ),
        )

    making = threading.Lock()

    def work() -> AnalyzerService:
        with making:  # the first tasks begin together
            return service()

    app.work = work
    return app


app = make_worker(Settings(), AnalyzerSettings())
