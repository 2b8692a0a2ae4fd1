"""`edugraph-gateway`: one process that serves API v1."""

import gc
import sys
from types import FrameType

import uvicorn

from edugraph_common.platform.logs import configure_logs
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import Gateway, open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.telemetry import serve_own_metrics

NOT_STARTED = 3  # as uvicorn itself says it
GRACE = 30  # seconds running requests get to end at a shutdown


def main() -> None:
    settings = GatewaySettings()
    configure_logs(settings.log_format, settings.log_level)
    gateway = open_gateway(settings)
    application = make_application(gateway)
    serve_own_metrics(application, gateway)
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        server_header=False,
        proxy_headers=False,  # nothing here goes by the client's address
    )
    server = Server(config, gateway)
    gc.freeze()  # what is there now stays: the collector need not walk it again and again
    server.run()
    if not server.started:
        sys.exit(NOT_STARTED)


class Server(uvicorn.Server):
    """Ends the streams of followed jobs at once: they would last as long as the jobs, and their readers come back."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._gateway.ending.set()
        super().handle_exit(sig, frame)
