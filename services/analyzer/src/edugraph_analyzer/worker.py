"""The analyzer's process: `celery -A edugraph_analyzer.worker worker -Q llm_analysis`."""

from datetime import UTC, datetime
from functools import cache

from edugraph_analyzer.analysis import Analyst
from edugraph_analyzer.analyzing import Analyzer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.blobs import Blobs
from edugraph_common.broker.celery_app import App, confirm_in_children, make_app
from edugraph_common.jobs import Jobs, connect
from edugraph_common.logs import log_tasks
from edugraph_common.settings import Settings


def make_worker(settings: Settings, model: AnalyzerSettings) -> App:
    """Connected to nothing: each child of the pool opens what it needs at its first task."""
    app = make_app("edugraph-analyzer", settings)
    app.conf.imports = ("edugraph_analyzer.tasks",)
    log_tasks(settings)
    if settings.on_rabbitmq:
        confirm_in_children(app)

    @cache
    def analyzer() -> Analyzer:
        client = connect(settings.redis_url.get_secret_value())
        return Analyzer(
            app=app,
            analyst=Analyst(model, client),
            jobs=Jobs(client),
            blobs=Blobs(settings.blob_url),
            now=lambda: datetime.now(UTC),
            pack_size=model.pack_size,
        )

    app.work = analyzer
    return app


app = make_worker(Settings(), AnalyzerSettings())
