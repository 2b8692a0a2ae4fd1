"""No cache keeps an answer of either service: neither a school's proxy, nor the disk of a shared computer."""

from typing import Any

import pytest
from openapi_documents import GATEWAY, INSIGHTS, gateway_document, insights_document
from starlette.testclient import TestClient

from edugraph_gateway.app import make_application as gateway_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_insights.app import make_application as insights_application
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import InsightsSettings


def gateway() -> Any:
    return gateway_application(open_gateway(GatewaySettings.model_validate(GATEWAY)))


def insights() -> Any:
    return insights_application(open_insights(InsightsSettings.model_validate(INSIGHTS)))


@pytest.mark.loopback("a Redis that is not there, to which refusals are noted")
@pytest.mark.parametrize(
    ("application", "document"),
    [(gateway, gateway_document), (insights, insights_document)],
    ids=["gateway", "insights"],
)
def test_no_answer_is_stored(application: Any, document: Any) -> None:
    """Out: NotStored in one of the two app.py."""
    client = TestClient(application())
    documented = [path.replace("{", "").replace("}", "") for path in document()["paths"]]
    assert len(documented) > 10
    for path in (*documented, "/nothing-here", "/mcp"):
        headers = client.get(path).headers
        assert headers["Cache-Control"] == "no-store, private", path
        assert headers["X-Content-Type-Options"] == "nosniff", path
