"""Which scopes open which operation, for each operation that the gateway documents."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from edugraph_common.contracts.permissions import SCOPES, Scope
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings

NOWHERE = {
    "redis_url": "redis://127.0.0.1:1",
    "broker_url": "amqp://127.0.0.1:1",
    "blob_url": "/tmp",
    "auth": "on",
}
# A signature stands in place of a key (tests/integration/test_signed_requests.py).
NOBODY_IS_ASKED = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/xapi/about"),
    ("POST", "/v1/sources/{name}/signed"),
}
# scopes -> the operations that each of them opens
OPERATIONS = {
    SCOPES: "POST /v1/actions, GET /v1/caller",
    (
        "submit",
    ): """POST /v1/analyses/again, POST /v1/analyses/again/estimate, POST /v1/analyses/{subject}, POST /v1/analyses/{subject}/estimate,
        GET /xapi/statements, POST /xapi/statements, PUT /xapi/statements""",
    (
        "submit",
        "roster",
    ): """POST /v1/imports, POST /v1/imports/preview, POST /v1/sources/{name}/caliper,
        GET /v1/sources/{name}/cursor, PUT /v1/sources/{name}/cursor, POST /v1/sources/{name}/records,
        POST /v1/sources/{name}/test""",
    ("operate", "submit", "roster"): """DELETE /v1/jobs/{job_id}, POST /v1/jobs/{job_id}/cancel,
        POST /v1/jobs/{job_id}/resume, POST /v1/jobs/{job_id}/undo, GET /v1/sources, GET /v1/sources/{name},
        GET /v1/sources/{name}/live, GET /v1/live-sources""",
    (
        "operate",
    ): """GET /v1/dead-letters, DELETE /v1/dead-letters/{queue}, POST /v1/dead-letters/{queue}/replay,
        GET /v1/dead-letters/{queue}/{task_id}, DELETE /v1/dead-letters/{queue}/{task_id},
        POST /v1/dead-letters/{queue}/{task_id}/replay, GET /v1/diagnosis, POST /v1/graph/rebuild,
        POST /v1/graph/remove, POST /v1/graph/rename, POST /v1/graph/verify, POST /v1/sources,
        PUT /v1/sources/{name}""",
    ("read", "read:own"): """GET /v1/jobs, GET /v1/jobs/{job_id}, GET /v1/jobs/{job_id}/events,
        GET /v1/jobs/{job_id}/rejects, GET /v1/version, POST /v1/drafts,
        POST /v1/questions""",
    ("read", "read:own", "review", "privacy", "erase"): "GET /v1/tasks/{task_id}",
    ("review",): "POST /v1/reviews, POST /v1/reviews/proposals",
    (
        "privacy",
    ): """GET /v1/audit, GET /v1/audit/state, GET /v1/exports/{name}, GET /v1/personal-data,
        POST /v1/students/{student_id}/export""",
    (
        "privacy",
        "erase",
    ): """GET /v1/erasures, GET /v1/restrictions, POST /v1/students/{student_id}/restriction,
        POST /v1/students/{student_id}/restriction/lift""",
    (
        "erase",
    ): """POST /v1/erasures/replay, DELETE /v1/erasures/{student_id}, DELETE /v1/students/{student_id}""",
}
PERSONAL = {
    ("GET", "/v1/dead-letters/{queue}/{task_id}"),
    ("GET", "/v1/exports/{name}"),
    ("GET", "/v1/jobs/{job_id}/rejects"),
    ("GET", "/v1/restrictions"),
    ("POST", "/v1/drafts"),
    ("POST", "/v1/students/{student_id}/export"),
    ("GET", "/xapi/statements"),
}


def expected_scopes() -> dict[tuple[str, str], frozenset[str]]:
    """Return (method, path) -> the scopes, any one of them being enough."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for scopes, operations in OPERATIONS.items():
        for operation in operations.split(","):
            method, path = operation.split()
            found[method, path] = frozenset(scopes)
    return found


@pytest.mark.loopback("a Redis that is not there, to which refusals are noted")
def test_each_operation_is_open_to_its_scopes_alone_and_shows_persons_with_personal_alone() -> None:
    """Out: any scope of a dependency, `personal=True` in one, or a look at `personal` in a route."""
    asked: list[tuple[Scope, ...]] = []

    async def refuse(_token: str, *any_of: Scope) -> Caller:
        asked.append(any_of)
        raise Problem(401, "key", "the test refuses everybody")

    async def admit(_token: str, *_any_of: Scope) -> Caller:
        return Caller("key", tuple(each for each in SCOPES if each != "personal"), (), "T01")

    opened: Any = open_gateway(GatewaySettings.model_validate(NOWHERE))
    application = make_application(replace(opened, admission=SimpleNamespace(admit=refuse)))
    refusing = TestClient(application, raise_server_exceptions=False)
    admitting = TestClient(
        make_application(replace(opened, admission=SimpleNamespace(admit=admit))),
        raise_server_exceptions=False,
    )
    found: dict[tuple[str, str], frozenset[str]] = {}
    wanting_personal = set()
    for path, operations in application.openapi()["paths"].items():
        for name in operations:
            operation = (name.upper(), path)
            asked.clear()
            address = path.replace("{", "").replace("}", "")
            refused = refusing.request(name, address)
            if not asked:
                assert operation in NOBODY_IS_ASKED
                continue
            assert refused.status_code == 401
            [scopes] = asked
            found[operation] = frozenset(scopes)
            if admitting.request(name, address).status_code == 403:
                wanting_personal.add(operation)
    assert found == expected_scopes()
    assert wanting_personal == PERSONAL
