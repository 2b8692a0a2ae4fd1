"""The analyzer's process: `celery -A edugraph_analyzer.worker worker -Q llm_analysis`."""

from datetime import UTC, datetime
from functools import cache, partial
from typing import get_args

from edugraph_analyzer import counting
from edugraph_analyzer.analysis import Analyst
from edugraph_analyzer.analyzing import Analyzer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import Kind
from edugraph_common.messaging.celery_app import App, make_app
from edugraph_common.messaging.worker.health import report_health
from edugraph_common.messaging.worker.metrics import measure_worker
from edugraph_common.messaging.worker.setup import set_up_worker
from edugraph_common.messaging.worker.task_logs import log_tasks
from edugraph_common.messaging.worker.task_traces import trace_tasks
from edugraph_common.platform.job_store import Jobs, connect
from edugraph_common.platform.object_store import Blobs
from edugraph_common.platform.settings import Settings


def make_worker(settings: Settings, model: AnalyzerSettings) -> App:
    """Connected to nothing: each child of the pool opens what it needs at its first task."""
    app = make_app("edugraph-analyzer", settings)
    app.conf.imports = ("edugraph_analyzer.tasks",)
    log_tasks(settings)
    measure_worker("analyzer", settings, partial(_open_models, model))
    report_health(app, settings)
    trace_tasks("analyzer", settings.tracing)
    set_up_worker(app, settings)

    @cache
    def analyzer() -> Analyzer:
        client = connect(settings.redis_url.get_secret_value())
        jobs = Jobs(client)
        return Analyzer(
            app=app,
            analyst=Analyst(model, client, is_cancelled=jobs.is_cancelled),
            jobs=jobs,
            blobs=Blobs(settings.blob_url, settings.imports_from),
            now=lambda: datetime.now(UTC),
            pack_size=model.pack_size,
        )

    app.work = analyzer
    return app


def _open_models(model: AnalyzerSettings) -> None:
    models = {kind: model.model_for(kind) for kind in get_args(Kind)}
    counting.open_models(models, model.requests_per_minute, model.tokens_per_minute)


app = make_worker(Settings(), AnalyzerSettings())
