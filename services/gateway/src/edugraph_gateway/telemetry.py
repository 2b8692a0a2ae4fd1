"""Observe the gateway: count, time and trace each request, and serve /metrics on its own port."""

from fastapi import FastAPI

from edugraph_common.runtime.service import metrics, tracing
from edugraph_common.runtime.service.build_info import describe_build
from edugraph_common.runtime.service.http_telemetry import Telemetry
from edugraph_common.runtime.service.instruments import exposition, open_all
from edugraph_common.runtime.service.metrics_server import serve_metrics
from edugraph_gateway.gateway import Gateway
from edugraph_gateway.operations.live_sources import LiveFigures


def observe(application: FastAPI, gateway: Gateway) -> None:
    tracing.turn_on("gateway", gateway.settings.tracing)
    open_all(metrics.INSTRUMENTS, ["gateway"])
    describe_build("gateway")
    application.add_middleware(Telemetry, service="gateway")


def serve_own_metrics(gateway: Gateway) -> None:
    """Start the metrics server of this process, once. The public port has no /metrics: an ingress would show it.

    The gateway is one process (uvicorn without workers), so one port has all of its figures.
    """
    if gateway.settings.metrics_port:
        figures = gateway.broker_figures
        backlog = gateway.analysis_backlog
        live = LiveFigures(gateway.live_days)
        serve_metrics(
            gateway.settings.metrics_host,
            gateway.settings.metrics_port,
            lambda: exposition(figures, backlog, live),
        )
