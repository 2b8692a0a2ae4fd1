"""Without authentication a service answers this machine alone, and no page of another site in its browser."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from edugraph_common.runtime.service.loopback_only import LOOPBACK_NAMES, LoopbackOnly
from edugraph_gateway.app import make_application as gateway_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_insights.app import make_application as insights_application
from edugraph_insights.insights import open_insights
from edugraph_insights.problems import problem_answer
from edugraph_insights.settings import InsightsSettings

GATEWAY = {
    "broker_url": "amqp://127.0.0.1:1",
    "redis_url": "redis://127.0.0.1:1",
    "blob_url": "/nowhere",
}
INSIGHTS = {"redis_url": "redis://127.0.0.1:1", "neo4j_uri": "bolt://127.0.0.1:1"}
HERE = "127.0.0.1:8080"
NAMES = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d*)?", re.IGNORECASE)


def client() -> TestClient:
    """Return a client of an application that answers 200 to everything."""
    everything = Route(
        "/{path:path}", lambda _request: PlainTextResponse("ok"), methods=["GET", "POST", "DELETE"]
    )
    app = Starlette(routes=[everything])
    return TestClient(LoopbackOnly(app, problem_answer), base_url=f"http://{HERE}")


@given(
    st.one_of(
        st.sampled_from(
            [
                "evil.example",
                "evil.example:8080",
                "127.0.0.1.evil.example",
                "localhost.evil.example:8080",
                "evil.example:127.0.0.1",
                "127.0.0.1@evil.example",
                "evil.example@127.0.0.1",
                "10.0.0.1:8080",
                "[::2]:8080",
                "[",
                "",
            ]
        ),
        st.from_regex(r"[a-z0-9.:\[\]@-]{0,30}", fullmatch=True),
    )
)
def test_another_name_is_refused(host: str) -> None:
    """To take the guard out: compare the beginning of Host, and not its name."""
    status = client().get("/v1/graph/export", headers={"Host": host}).status_code
    if NAMES.fullmatch(host):
        assert status == 200
    elif status == 200:
        # What is left are spellings whose name is one of the loopback's, such as with an empty port.
        assert any(name in host.lower() for name in LOOPBACK_NAMES)
        assert "@" not in host


@pytest.mark.parametrize(
    "host", ["127.0.0.1", HERE, "localhost", "LOCALHOST:1", "[::1]", "[::1]:8080"]
)
def test_the_names_of_the_loopback_are_answered(host: str) -> None:
    assert client().get("/v1/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({}, "/v1/jobs", 200),
        ({"Origin": f"http://{HERE}", "Sec-Fetch-Site": "same-origin"}, "/v1/jobs", 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, "/v1/graph/export", 200),
        ({"Origin": "https://evil.example"}, "/v1/jobs", 403),
        ({"Origin": "null"}, "/v1/jobs", 403),
        ({"Origin": "http://127.0.0.1:3000"}, "/v1/jobs", 403),
        ({"Sec-Fetch-Site": "cross-site"}, "/v1/jobs", 403),
        ({"Sec-Fetch-Site": "same-site"}, "/v1/jobs", 403),
        ({"Sec-Fetch-Site": "Cross-Site"}, "/v1/jobs", 403),
        ({"Sec-Fetch-Site": "other"}, "/v1/jobs", 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, "/v1/graph/export", 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, "/ui/", 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, "/", 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, "/ui/session", 403),
    ],
)
def test_a_page_of_another_site_is_refused(headers: dict[str, str], path: str, status: int) -> None:
    """To take the guards out: leave Origin or Sec-Fetch-Site out of `_refused`."""
    assert client().get(path, headers=headers).status_code == status
    if status == 403:
        assert client().post(path, headers=headers).status_code == 403


def test_a_form_of_another_site_opens_no_page() -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client().post("/ui/logout", headers=headers).status_code == 403


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_answered_at_any_name(path: str) -> None:
    assert client().get(path, headers={"Host": "10.1.2.3:8080"}).status_code == 200


def applications(**settings: Any) -> list[TestClient]:
    gateway = gateway_application(
        open_gateway(GatewaySettings.model_validate({**GATEWAY, **settings}))
    )
    insights = insights_application(
        open_insights(InsightsSettings.model_validate({**INSIGHTS, **settings}))
    )
    return [TestClient(each, base_url="http://evil.example:8080") for each in (gateway, insights)]


def test_both_services_refuse_only_without_authentication() -> None:
    """To take the guards out: leave LoopbackOnly out of one of the two app.py."""
    for each in applications(auth="off"):
        assert each.get("/nothing-here").status_code == 403
    for each in applications(auth="off", open_to_network=True) + applications(auth="on"):
        assert each.get("/nothing-here").status_code != 403


@pytest.mark.parametrize(
    ("model", "given_settings", "host"),
    [(GatewaySettings, GATEWAY, "host"), (InsightsSettings, INSIGHTS, "insights_host")],
)
def test_another_address_needs_a_second_setting(
    model: Any, given_settings: dict[str, str], host: str
) -> None:
    open_to_all = {**given_settings, host: "0.0.0.0", "auth": "off"}
    with pytest.raises(ValidationError, match="EDUGRAPH_OPEN_TO_NETWORK"):
        model.model_validate(open_to_all)
    assert model.model_validate({**open_to_all, "open_to_network": True})
    assert model.model_validate({**open_to_all, "auth": "on"})
