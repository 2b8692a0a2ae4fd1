"""The analyzer's process: `celery -A edugraph_analyzer.worker worker -Q llm_analysis`."""

import os
import threading
from datetime import UTC, datetime
from functools import cache, partial
from typing import get_args

from edugraph_analyzer import telemetry
from edugraph_analyzer.documents import StoredBatches
from edugraph_analyzer.live_share import LiveShare
from edugraph_analyzer.pipeline import Pipeline
from edugraph_analyzer.provider_check import check_provider
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.rule_based.fits_in_use import FitsInUse
from edugraph_analyzer.service import AnalyzerService
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.runtime.messaging.celery_app import App, make_app
from edugraph_common.runtime.messaging.queue_depth import queue_depth
from edugraph_common.runtime.messaging.worker.deliveries import note_deliveries
from edugraph_common.runtime.messaging.worker.health import report_health
from edugraph_common.runtime.messaging.worker.metrics import measure_worker
from edugraph_common.runtime.messaging.worker.setup import set_up_worker
from edugraph_common.runtime.messaging.worker.task_logs import log_tasks
from edugraph_common.runtime.messaging.worker.task_traces import trace_tasks
from edugraph_common.runtime.messaging.worker.threads import run_in_threads
from edugraph_common.runtime.service.cached import cached_for
from edugraph_common.runtime.service.settings import Settings, settings_or_exit
from edugraph_common.runtime.shared_state.analysis_window import AnalysisWindows
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs, redis_of
from edugraph_common.runtime.shared_state.live_texts import LiveTurns
from edugraph_common.runtime.shared_state.model_permits import ModelPermits
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.server_checks import ask_blobs, ask_redis

# The default number of processes of the offline analyser is at most this. Each process takes 80 MB.
MOST_PROCESSES = 4
# The length of the queue of findings is read at most once in this time, since reading it takes a connection.
LOOK_SECONDS = 1.0


def make_worker(settings: Settings, model: AnalyzerSettings) -> App:
    """Return the app. It has no connections: a process opens them at its first task."""
    app = make_app("edugraph-analyzer", settings)
    app.conf.imports = ("edugraph_analyzer.tasks",)
    # A request that is under way when the connection to the broker is lost will be paid for, so it may finish. Its
    # answer is stored, and the redelivered pack waits for it (cache/single_flight.py).
    app.conf.worker_cancel_long_running_tasks_on_connection_loss = False
    log_tasks(settings)
    note_deliveries(settings)
    models = {kind: model.model_for(kind) for kind in get_args(Kind)}
    limits = {}
    for name in models.values():
        of_model = model.limits_of(name)
        limits[name] = (of_model.requests_per_minute or 0, of_model.tokens_per_minute)
    open_models = partial(telemetry.open_models, models, limits)
    measure_worker("analyzer", settings, open_models)
    report_health(app, settings)
    trace_tasks("analyzer", settings.tracing)
    set_up_worker(app, settings)
    if model.has_provider:
        run_in_threads(app, model.requests_under_way, confirmed=settings.on_rabbitmq)
    else:
        # The offline analyser computes and does not wait, so each task has a process.
        app.conf.worker_concurrency = min(MOST_PROCESSES, os.cpu_count() or 1)

    app.servers = {
        "redis": partial(ask_redis, settings),
        "blobs": partial(ask_blobs, settings.blob_url),
    }
    app.checks = (partial(check_provider, model),)

    def requests_per_minute(kind: Kind) -> int:
        of_model, _ = limits[models[kind]]
        return of_model

    @cache
    def service() -> AnalyzerService:
        client = redis_of(settings)
        jobs = Jobs(client, settings.job_retention_seconds)
        members = CourseMembers(client)
        blobs = Blobs(settings.blob_url, settings.imports_from)
        live_share = None
        if model.has_provider:
            turns = LiveTurns(client)
            live_share = LiveShare(turns, requests_per_minute, model.one_student_per_pack)
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
            model_permits=ModelPermits(client),
            blobs=blobs,
            now=lambda: datetime.now(UTC),
            pack_size=model.pack_size,
            packs_in_queue=model.packs_in_queue,
            findings_waiting=cached_for(
                LOOK_SECONDS, partial(queue_depth(app), ROUTES["record_findings_task"].queue)
            ),
            live_share=live_share,
        )

    making = threading.Lock()

    def work() -> AnalyzerService:
        # Several threads may begin their first task at the same time.
        with making:
            return service()

    app.work = work
    return app


app = make_worker(settings_or_exit(Settings), settings_or_exit(AnalyzerSettings))
