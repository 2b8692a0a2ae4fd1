"""`edugraph-gateway`: one process that serves API v1."""

import gc
import sys
from types import FrameType

import uvicorn

from edugraph_common.platform.logs import configure_logs
from edugraph_common.platform.slow_headers import ImpatientProtocol
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import Gateway, open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.telemetry import serve_own_metrics

EXIT_NOT_STARTED = 3  # uvicorn's own exit code for this
GRACE_SECONDS = 30  # in which running requests may end at a shutdown


def main() -> None:
    settings = GatewaySettings()
    configure_logs(settings.log_format, settings.log_level)
    gateway = open_gateway(settings)
    application = make_application(gateway)
    serve_own_metrics(gateway)
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        http=ImpatientProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        proxy_headers=False,  # nothing in the gateway depends on the client's address
    )
    server = Server(config, gateway)
    gc.freeze()  # what is loaded now stays, so the garbage collector need not look through it again and again
    server.run()
    if not server.started:
        sys.exit(EXIT_NOT_STARTED)


class Server(uvicorn.Server):
    """Ends the streams of followed jobs at once: they would last as long as the jobs, and their readers come back."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._gateway.ending.set()
        super().handle_exit(sig, frame)
