"""POST /v1/imports by the fast path is what FastAPI would answer, without any server."""

import asyncio
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.platform.job_store import NewJob
from edugraph_gateway.api.fast_path import FastPath
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.problems import Problem
from edugraph_gateway.settings import GatewaySettings

RECORDS = json.dumps({"records": [{"any": "thing"}]})
JSON = {"Content-Type": "application/json"}


class Accepting:
    """Jobs and the publisher; `failure` is what the broker says."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure

    async def create(self, _job: NewJob) -> None: ...

    def withdraw(self, _job_id: str, _now: Any) -> None: ...

    async def send(self, _task: str, _message: Any, *, task_id: str) -> None:
        if self._failure:
            raise self._failure


def _application(
    folder: Path, *, auth: str = "off", failure: Exception | None = None, wait_seconds: float = 0
) -> FastAPI:
    nowhere = {"broker_url": "amqp://127.0.0.1:1//", "redis_url": "redis://127.0.0.1:1/0"}
    settings = GatewaySettings.model_validate({**nowhere, "blob_url": str(folder), "auth": auth})
    opened, accepting = open_gateway(settings, new_id=lambda: "0" * 24), Accepting(failure)
    submitter = dataclasses.replace(
        opened.intake.submitter,
        jobs=accepting,  # type: ignore[arg-type]
        publisher=accepting,  # type: ignore[arg-type]
        create=accepting.create,
    )
    backpressure: Any = SimpleNamespace(check=lambda _queue: None)
    opened.admission._rate_limiter = SimpleNamespace(  # type: ignore[assignment]
        spend=lambda _client: not wait_seconds, take=lambda _client: wait_seconds
    )
    intake = dataclasses.replace(opened.intake, submitter=submitter, backpressure=backpressure)
    return make_application(dataclasses.replace(opened, intake=intake))


async def _post(application: FastAPI, body: str, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.post("/v1/imports", content=body, headers=headers)


CASES: dict[str, tuple[str, dict[str, str], dict[str, Any], int]] = {
    "accepted": (RECORDS, JSON, {}, 202),
    "no key": (RECORDS, JSON, {"auth": "on"}, 401),
    "not a bearer": (RECORDS, {**JSON, "Authorization": "Basic eA=="}, {"auth": "on"}, 401),
    "no turn": (RECORDS, JSON, {"wait_seconds": 3}, 429),
    "a long key": (RECORDS, {**JSON, "Idempotency-Key": "k" * 256}, {}, 422),
    "an empty key": (RECORDS, {**JSON, "Idempotency-Key": ""}, {}, 422),
    "a key of two words": (RECORDS, {**JSON, "Idempotency-Key": "a b"}, {}, 422),
    "another type": (RECORDS, {"Content-Type": "text/plain"}, {}, 415),
    "not JSON": ("{", JSON, {}, 422),
    "no records": ('{"records": []}', JSON, {}, 422),
    "too large": ("x" * 2_000_000, JSON, {}, 413),
    "refused": (RECORDS, JSON, {"failure": Rejected("no")}, 422),
    "broker away": (RECORDS, JSON, {"failure": Retryable("away")}, 503),
    "a problem below": (RECORDS, JSON, {"failure": Problem(409, "x", "y")}, 409),
    "a bug": (RECORDS, JSON, {"failure": ZeroDivisionError()}, 500),
}


@pytest.mark.parametrize(("body", "headers", "given", "status"), CASES.values(), ids=CASES)
def test_both_paths_answer_the_same(
    tmp_path: Path, body: str, headers: dict[str, str], given: dict[str, Any], status: int
) -> None:
    fast, usual = _application(tmp_path, **given), _application(tmp_path, **given)
    usual.user_middleware = [entry for entry in usual.user_middleware if entry.cls is not FastPath]  # type: ignore[comparison-overlap]
    assert len(usual.user_middleware) == len(fast.user_middleware) - 1
    by_fast, by_usual = (asyncio.run(_post(path, body, headers)) for path in (fast, usual))
    assert (by_fast.status_code, by_fast.json()) == (status, by_usual.json())
    assert dict(by_fast.headers) == dict(by_usual.headers)
