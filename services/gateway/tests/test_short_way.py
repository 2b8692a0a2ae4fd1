"""POST /v1/imports by the short way is what FastAPI would answer, without any server."""

import asyncio
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.platform.job_store import NewJob
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.problems import Problem
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.short_way import ShortWay

RECORDS = json.dumps({"records": [{"any": "thing"}]})
JSON = {"Content-Type": "application/json"}


class Accepting:
    """Jobs and the sender; `failure` is what the broker says."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure

    def create_all(self, jobs: Sequence[NewJob]) -> int:
        return len(jobs)

    def withdraw(self, _job_id: str, _now: Any) -> None: ...

    async def send(self, _task: str, _message: Any, *, task_id: str) -> None:  # noqa: ARG002 - the signature of what it stands for
        if self._failure:
            raise self._failure


def _application(folder: Path, *, auth: str = "off", failure: Exception | None = None, **turns: Any) -> FastAPI:
    nowhere = {"broker_url": "amqp://127.0.0.1:1//", "redis_url": "redis://127.0.0.1:1/0"}
    opened = open_gateway(GatewaySettings.model_validate({**nowhere, "blob_url": str(folder), "auth": auth}))
    gateway = dataclasses.replace(
        opened,
        jobs=Accepting(),  # type: ignore[arg-type]
        sender=Accepting(failure),  # type: ignore[arg-type]
        turns=SimpleNamespace(spend=lambda _client: not turns, take=lambda _client: turns.get("wait", 0)),  # type: ignore[arg-type]
        depths=SimpleNamespace(check=lambda _queue, _limit: None),  # type: ignore[arg-type]
        new_id=lambda: "0" * 24,
    )
    return make_application(gateway)


async def _post(application: FastAPI, body: str, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.post("/v1/imports", content=body, headers=headers)


CASES: dict[str, tuple[str, dict[str, str], dict[str, Any], int]] = {
    "accepted": (RECORDS, JSON, {}, 202),
    "no key": (RECORDS, JSON, {"auth": "on"}, 401),
    "not a bearer": (RECORDS, {**JSON, "Authorization": "Basic eA=="}, {"auth": "on"}, 401),
    "no turn": (RECORDS, JSON, {"wait": 3}, 429),
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
def test_both_ways_answer_the_same(
    tmp_path: Path, body: str, headers: dict[str, str], given: dict[str, Any], status: int
) -> None:
    short, long = _application(tmp_path, **given), _application(tmp_path, **given)
    long.user_middleware = [entry for entry in long.user_middleware if entry.cls is not ShortWay]  # type: ignore[comparison-overlap]
    assert len(long.user_middleware) == len(short.user_middleware) - 1
    by_short, by_long = (asyncio.run(_post(way, body, headers)) for way in (short, long))
    assert (by_short.status_code, by_short.json()) == (status, by_long.json())
    assert dict(by_short.headers) == dict(by_long.headers)
