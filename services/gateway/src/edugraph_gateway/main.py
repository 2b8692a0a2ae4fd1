"""`edugraph-gateway`: one process that serves API v1."""

import uvicorn

from edugraph_common.logs import configure_logs
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.observed import serve_own_metrics
from edugraph_gateway.settings import GatewaySettings

GRACE = 30  # seconds running requests get to end at a shutdown


def main() -> None:
    settings = GatewaySettings()
    configure_logs(settings.log_format, settings.log_level)
    gateway = open_gateway(settings)
    application = make_application(gateway)
    serve_own_metrics(application, gateway)
    uvicorn.run(
        application,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        server_header=False,
        proxy_headers=False,  # nothing here goes by the client's address
    )
