"""`edugraph-gateway`: one process that serves API v1."""

import gc
import sys
from types import FrameType

import uvicorn

from edugraph_common.runtime.service.logs import configure_logs
from edugraph_common.runtime.service.settings import settings_or_exit
from edugraph_common.runtime.service.slow_headers import ImpatientProtocol
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import Gateway, open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.telemetry import serve_own_metrics

# The exit code of uvicorn for a server that did not start.
EXIT_NOT_STARTED = 3
# Running requests may end within this time at a shutdown.
GRACE_SECONDS = 30


def main() -> None:
    settings = settings_or_exit(GatewaySettings)
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
        # The gateway does not use the address of the client.
        proxy_headers=False,
    )
    server = Server(config, gateway)
    # The objects that exist now are never freed, so the garbage collector need not look at them.
    gc.freeze()
    server.run()
    if not server.started:
        sys.exit(EXIT_NOT_STARTED)


class Server(uvicorn.Server):
    """A server that ends the streams of jobs at a shutdown. They would last as long as their jobs."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._gateway.ending.set()
        super().handle_exit(sig, frame)
