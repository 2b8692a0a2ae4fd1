"""`edugraph-insights`: one process that serves the questions."""

import sys

import uvicorn

from edugraph_common.runtime.service.instruments import exposition
from edugraph_common.runtime.service.logs import configure_logs
from edugraph_common.runtime.service.metrics_server import serve_metrics
from edugraph_common.runtime.service.settings import settings_or_exit
from edugraph_common.runtime.service.slow_headers import ImpatientProtocol
from edugraph_insights.app import make_application
from edugraph_insights.digest.figures import DigestFigures
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import InsightsSettings

EXIT_NOT_STARTED = 3  # the exit code that uvicorn uses for this
GRACE_SECONDS = 30  # for running requests at a shutdown


def main() -> None:
    settings = settings_or_exit(InsightsSettings)
    configure_logs(settings.log_format, settings.log_level)
    insights = open_insights(settings)
    application = make_application(insights)
    if settings.metrics_port:
        digests = DigestFigures(insights.mails)
        serve_metrics(settings.metrics_host, settings.metrics_port, lambda: exposition(digests))
    config = uvicorn.Config(
        application,
        host=settings.insights_host,
        port=settings.insights_port,
        http=ImpatientProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    server.run()
    if not server.started:
        sys.exit(EXIT_NOT_STARTED)
