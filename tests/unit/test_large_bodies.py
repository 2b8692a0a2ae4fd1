"""Nobody can make a service read a large body that it does not need. What a service reads is counted at its edge."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle, islice, product
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from openapi_documents import gateway_document, insights_document
from structlog.testing import capture_logs

from edugraph_common.contracts.messages import INLINE_BYTES
from edugraph_common.contracts.permissions import ROLES, SCOPES
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.app import make_application as gateway_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_insights.app import make_application as insights_application
from edugraph_insights.bounded_bodies import MOST_BODY_BYTES
from edugraph_insights.insights import Insights, open_insights
from edugraph_insights.settings import InsightsSettings

NOWHERE = {"redis_url": "redis://127.0.0.1:1", "auth": "on"}
# People sign in at insights, which reads one body without a key: that of the issuer who ends a session.
SIGN_IN = {
    "oidc_issuer": "http://127.0.0.1:1",
    "oidc_audience": "api",
    "oidc_client_id": "page",
    "oidc_client_secret": "secret",
    "oidc_redirect_url": "http://127.0.0.1:2/ui/callback",
    "lti_launch_url": "http://127.0.0.1:2/ui/lti/launch",
    "platform_prefixes": {"http://127.0.0.1:1": ""},
    "lti_platforms": {
        "lms": {
            "issuer": "http://127.0.0.1:1",
            "client_id": "page",
            "deployment_ids": ["1"],
            "login_url": "http://127.0.0.1:1/auth",
            "keys_url": "http://127.0.0.1:1/keys",
        }
    },
}
CHUNK_BYTES = 16 * 1024
CHANGES = ("POST", "PUT", "PATCH", "DELETE")
BODY_BYTES = 4 * 1024**2


def gateway() -> FastAPI:
    settings = {**NOWHERE, "broker_url": "amqp://127.0.0.1:1", "blob_url": "/tmp"}
    return gateway_application(open_gateway(GatewaySettings.model_validate(settings)))


def opened_insights() -> Insights:
    return open_insights(
        InsightsSettings.model_validate({**NOWHERE, **SIGN_IN, "neo4j_uri": "bolt://127.0.0.1:1"})
    )


def sent(
    app: FastAPI, method: str, path: str, headers: Mapping[str, str], body_bytes: int = BODY_BYTES
) -> tuple[int, int]:
    """Send a body in chunks, and end the connection before the body's end.

    Return the status of the answer, and how many bytes the application took.
    """
    taken_bytes = 0
    statuses: list[int] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        nonlocal taken_bytes
        if taken_bytes >= body_bytes:
            return {"type": "http.disconnect"}
        taken_bytes += CHUNK_BYTES
        return {"type": "http.request", "body": b" " * CHUNK_BYTES, "more_body": True}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def request() -> None:
        await app(scope, receive, send)

    anyio.run(request)
    [status] = statuses
    return status, taken_bytes


def addresses(service: str) -> list[str]:
    """Return the path of each operation, those that no document names, and some that do not exist."""
    document = gateway_document() if service == "gateway" else insights_document()
    documented = {path.replace("{", "").replace("}", "") for path in document["paths"]}
    of_page = {"/ui/", "/ui/session", "/ui/logout", "/ui/callback", "/ui/backchannel-logout"}
    of_page |= {"/ui/lti/login", "/ui/lti/launch", "/ui/digest/end"}
    return sorted(documented | of_page | {"/", "/mcp", "/docs", "/x"})


@pytest.mark.loopback("a Redis that is not there, to which refusals are noted")
@pytest.mark.parametrize("service", ["gateway", "insights"])
def test_without_a_key_no_body_is_read(service: str) -> None:
    """To take the guards out: give the routes of views the body as a parameter; leave BoundedBodies out of app.py."""
    app = gateway() if service == "gateway" else insights_application(opened_insights())
    paths = addresses(service)
    assert len(paths) > 10
    for path in paths:
        for method in CHANGES:
            status, taken_bytes = sent(app, method, path, {"Content-Type": "application/json"})
            assert status in {307, 401, 403, 404, 405, 413, 503}, (method, path, status)
            assert taken_bytes <= MOST_BODY_BYTES + CHUNK_BYTES, (method, path, taken_bytes)


@pytest.mark.loopback("a Redis that is not there, to which refusals are noted")
def test_without_the_headers_of_a_signature_no_body_is_read() -> None:
    """Out: `claim_of` before the body in signed.py; the limit of the body."""
    settings = {
        **NOWHERE,
        "broker_url": "amqp://127.0.0.1:1",
        "blob_url": "/tmp",
        "signed_senders": {
            "tool": {
                "scheme": "hmac",
                "secrets": ["a secret of this test"],
                "header": "X-Signature",
                "encoding": "hex",
            }
        },
    }
    app = gateway_application(open_gateway(GatewaySettings.model_validate(settings)))
    path = "/v1/sources/tool/signed"
    json_type = {"Content-Type": "application/json"}
    assert sent(app, "POST", path, json_type) == (401, 0)
    assert sent(app, "POST", "/v1/sources/other/signed", json_type) == (404, 0)
    signed = {**json_type, "X-Signature": "0" * 64}
    assert sent(app, "POST", path, {**signed, "Content-Type": "text/plain"}) == (415, 0)
    status, taken_bytes = sent(app, "POST", path, signed)
    assert status == 413
    assert taken_bytes <= INLINE_BYTES + CHUNK_BYTES
    assert sent(app, "POST", path, signed, CHUNK_BYTES) == (400, CHUNK_BYTES)


LYING_HEADERS: tuple[dict[str, str], ...] = (
    {"Content-Length": "10"},
    {"Content-Length": "0"},
    {"Content-Length": "-1"},
    {"Content-Length": "1e3"},
    {"Content-Length": "10, 10"},
    {"Content-Length": "9" * 30},
    {"Content-Encoding": "gzip"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Transfer-Encoding": "gzip, chunked"},
    {"Expect": "100-continue"},
)


@pytest.mark.loopback("a Redis that is not there, to which refusals are noted")
@pytest.mark.parametrize("service", ["gateway", "insights"])
def test_no_method_and_no_header_that_lies_makes_a_body_be_read(service: str) -> None:
    """Out: BoundedBodies in app.py of insights, or the admission before a body of the gateway."""
    app = gateway() if service == "gateway" else insights_application(opened_insights())
    methods = (*CHANGES, "GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY", "post", "X")
    ways = cycle(product(LYING_HEADERS, methods))
    for path in addresses(service) * 2:
        for headers, method in islice(ways, 3):
            status, taken_bytes = sent(app, method, path, headers)
            assert status < 500 or status == 503, (method, path, headers, status)
            assert taken_bytes <= MOST_BODY_BYTES + CHUNK_BYTES, (method, path, headers)


@pytest.mark.parametrize("declared", [{}, {"Content-Length": str(BODY_BYTES)}])
def test_with_a_key_insights_reads_no_more_than_it_needs(
    monkeypatch: pytest.MonkeyPatch, declared: dict[str, str]
) -> None:
    """To take the guard out: leave the count or the declared length out of BoundedBodies."""
    insights = opened_insights()
    monkeypatch.setattr(type(insights), "admit", lambda *_: Caller("key", (), ("teacher",), "T01"))
    app = insights_application(insights)
    for method, path in (("POST", "/v1/insights/views"), ("PUT", f"/v1/insights/views/{'0' * 32}")):
        status, taken_bytes = sent(
            app, method, path, {"Content-Type": "application/json", **declared}
        )
        assert status == 413
        assert taken_bytes <= (0 if declared else MOST_BODY_BYTES + CHUNK_BYTES)


# Operations of the gateway that take a file, records or a list of things. Their bounds are settings.
WITH_MUCH = (
    "/v1/imports",
    "/v1/analyses/",
    "/v1/reviews",
    "/v1/sources/name/test",
    "/v1/sources/name/records",
    "/v1/sources/name/caliper",
    "/v1/sources/name/cursor",
    "/xapi",
)
WITH_LITTLE = {
    ("POST", "/v1/actions"),
    ("POST", "/v1/drafts"),
    ("POST", "/v1/questions"),
    ("POST", "/v1/sources"),
    ("PUT", "/v1/sources/name"),
}


@pytest.mark.loopback("a Redis that is not there")
@pytest.mark.parametrize("declared", [{}, {"Content-Length": str(MOST_BODY_BYTES + 1)}])
def test_with_a_key_the_gateway_reads_no_more_than_64_kib_where_no_file_is_expected(
    declared: dict[str, str],
) -> None:
    """Out: SMALL_BODY_BYTES in a route, the declared length or the count of chunks in `_chunks`."""

    async def admit(*_: Any) -> Caller:
        return Caller("key", SCOPES, ROLES, "T01")

    opened: Any = open_gateway(
        GatewaySettings.model_validate(
            {**NOWHERE, "broker_url": "amqp://127.0.0.1:1", "blob_url": "/tmp"}
        )
    )
    intake = replace(
        opened.intake,
        backpressure=SimpleNamespace(check=lambda *_: None),
        acceptance_numbers=SimpleNamespace(take=lambda: 1),
    )
    app = gateway_application(
        replace(opened, intake=intake, admission=SimpleNamespace(admit=admit))
    )
    headers = {"Content-Type": "application/json", **declared}
    most_bytes = 0 if declared else MOST_BODY_BYTES + CHUNK_BYTES
    too_large = set()
    for path in addresses("gateway"):
        if path.startswith(WITH_MUCH):
            continue
        for method in CHANGES:
            status, taken_bytes = sent(app, method, path, headers)
            assert taken_bytes <= most_bytes, (method, path, taken_bytes)
            if status == 413:
                too_large.add((method, path))
    assert too_large == WITH_LITTLE


@pytest.mark.parametrize("body_bytes", [0, CHUNK_BYTES])
def test_a_connection_that_ends_before_its_body_is_not_a_bug(
    monkeypatch: pytest.MonkeyPatch, body_bytes: int
) -> None:
    """Anybody could else fill the log with bugs. Out: ClientDisconnect in `EXPECTED_ERRORS` of insights."""
    insights = opened_insights()
    monkeypatch.setattr(type(insights), "admit", lambda *_: Caller("key", (), ("teacher",), "T01"))
    app = insights_application(insights)
    with capture_logs() as lines:
        status, _ = sent(app, "POST", "/v1/insights/views", {}, body_bytes)
    assert status == 400
    assert "insights_bug" not in {each["event"] for each in lines}
