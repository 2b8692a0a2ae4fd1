"""The OpenAPI documents of both services. To make one takes a second of CPU, so a process makes each of them once."""

from functools import cache
from typing import Any

from edugraph_gateway.app import make_application as gateway_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_insights.app import make_application as insights_application
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import InsightsSettings

# No server is there, and none is asked.
NOWHERE = {"redis_url": "redis://127.0.0.1:1", "auth": "on"}
GATEWAY = {**NOWHERE, "broker_url": "amqp://127.0.0.1:1", "blob_url": "/tmp"}
INSIGHTS = {**NOWHERE, "neo4j_uri": "bolt://127.0.0.1:1"}


@cache
def gateway_document() -> dict[str, Any]:
    application = gateway_application(open_gateway(GatewaySettings.model_validate(GATEWAY)))
    return application.openapi()


@cache
def insights_document() -> dict[str, Any]:
    application = insights_application(open_insights(InsightsSettings.model_validate(INSIGHTS)))
    return application.openapi()
