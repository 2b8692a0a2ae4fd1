"""What POST /v1/imports answers, without any server."""

import asyncio
import base64
import dataclasses
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from anyio import CapacityLimiter
from fastapi import FastAPI

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.job_store import NewJob
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.submission import intake, submit
from edugraph_gateway.submission.uploads import UploadSlots

RECORDS = json.dumps({"records": [{"any": "thing"}]})
JSON = {"Content-Type": "application/json"}


class Accepting:
    """Jobs and the publisher; `failure` is what the broker says, `create` what Redis does."""

    def __init__(self, failure: Exception | None, create: Callable[[], object]) -> None:
        self._failure, self._create = failure, create
        self.sent: list[Any] = []

    def create_job(self, _job: NewJob) -> bool:
        self._create()
        return True

    def withdraw(self, _job_id: str, _now: Any) -> None: ...

    async def send(self, _task: str, message: Any, *, task_id: str) -> None:  # noqa: ARG002 - the signature of what it stands for
        if self._failure:
            raise self._failure
        self.sent.append(message)


def _application(
    folder: Path,
    *,
    auth: str = "off",
    failure: Exception | None = None,
    wait_seconds: float = 0,
    create: Callable[[], object] = lambda: None,
    take_number: Callable[[], object] = lambda: 1,
    accepting: Accepting | None = None,
) -> FastAPI:
    nowhere = {"broker_url": "amqp://127.0.0.1:1//", "redis_url": "redis://127.0.0.1:1/0"}
    settings = GatewaySettings.model_validate(
        {**nowhere, "blob_url": str(folder), "auth": auth, "imports_from": f"file://{folder}"}
    )
    opened = open_gateway(settings, new_id=lambda: "0" * 24)
    accepting = accepting or Accepting(failure, create)
    submitter = dataclasses.replace(
        opened.intake.submitter,
        jobs=accepting,  # type: ignore[arg-type]
        publisher=accepting,  # type: ignore[arg-type]
    )
    backpressure: Any = SimpleNamespace(check=lambda _queue: None)
    opened.admission._rate_limiter = SimpleNamespace(  # type: ignore[assignment]
        spend=lambda _client: not wait_seconds, take=lambda _client: wait_seconds
    )
    numbers: Any = SimpleNamespace(take=take_number)
    sources: Any = SimpleNamespace(use=lambda *_, **__: None)

    async def broker_answers() -> bool:
        return True

    parts = dataclasses.replace(
        opened.intake,
        submitter=submitter,
        backpressure=backpressure,
        acceptance_numbers=numbers,
        sources=sources,
        upload_slots=UploadSlots(CapacityLimiter(1), broker_answers),
    )
    audit: Any = SimpleNamespace(record=lambda *_, **__: None)
    return make_application(dataclasses.replace(opened, intake=parts, audit=audit))


async def _post(
    application: FastAPI,
    body: str | AsyncIterator[bytes],
    headers: dict[str, str],
    params: dict[str, str] | None = None,
) -> httpx.Response:
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.post("/v1/imports", content=body, headers=headers, params=params)


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


@pytest.mark.parametrize("way", ["inline", "upload"])
def test_the_acceptance_number_is_taken_before_the_body_is_read(tmp_path: Path, way: str) -> None:
    """A correction that comes while a large file is being uploaded is the later of the two.

    Out: let `import_json` or `import_upload` take the number after the body.
    """
    happened: list[str] = []

    def take_number() -> int:
        happened.append("number")
        return 7

    async def body() -> AsyncIterator[bytes]:
        happened.append("body")
        yield RECORDS.encode()

    accepting = Accepting(None, lambda: None)
    application = _application(tmp_path, accepting=accepting, take_number=take_number)
    headers = JSON if way == "inline" else {"Content-Type": "application/x-ndjson"}
    assert asyncio.run(_post(application, body(), headers)).status_code == 202
    assert happened == ["number", "body"]
    assert [message.acceptance for message in accepting.sent] == [7]


@pytest.mark.parametrize("way", ["upload", "URL"])
@pytest.mark.parametrize("said_by", ["nobody", "the mapping", "the request"])
def test_a_mapping_may_say_that_its_file_is_the_newest_state(
    tmp_path: Path, way: str, said_by: str
) -> None:
    """Out: the mapping in `_change_time`, or a call of it."""
    mapping: dict[str, Any] = {
        "type": "error_record",
        "columns": {"who": "student_id", "what": "error_text"},
    }
    mapping["constants"] = {"course_id": "c", "timestamp": "2026-07-03"}
    if said_by == "the mapping":
        mapping["changed_at"] = "import"
    options = {"format": "csv"}
    if said_by == "the request":
        options["changed_at"] = "import"
    accepting = Accepting(None, lambda: None)
    application = _application(tmp_path, accepting=accepting)
    if way == "upload":
        encoded = base64.b64encode(json.dumps(mapping).encode()).decode()
        headers = {"Content-Type": "text/csv", "Edugraph-Mapping": encoded}
        answer = asyncio.run(_post(application, "who,what\n1,2\n", headers, options))
    else:
        (tmp_path / "week.csv").write_text("who,what\n1,2\n")
        wanted = {"url": f"file://{tmp_path}/week.csv", "mapping": json.dumps(mapping), **options}
        body = json.dumps(wanted)
        answer = asyncio.run(_post(application, body, JSON))
    assert answer.status_code == 202
    [message] = accepting.sent
    assert message.changed_at == ("record" if said_by == "nobody" else "import")


def test_an_upload_with_a_mapping_in_its_address_is_refused(tmp_path: Path) -> None:
    """Proxies log addresses, and a mapping may name persons. Out: the check of the query in `start_import`."""
    accepting = Accepting(None, lambda: None)
    application = _application(tmp_path, accepting=accepting)
    options = {
        "format": "csv",
        "mapping": "{type: error_record, values: {student_id: {王小明: s1}}}",
    }
    answer = asyncio.run(_post(application, "who\n1\n", {"Content-Type": "text/csv"}, options))
    assert answer.status_code == 422
    assert "Edugraph-Mapping" in answer.json()["errors"][0]["reason"]
    assert "王小明" not in answer.text
    assert accepting.sent == []


@pytest.mark.parametrize(("body", "headers", "given", "status"), CASES.values(), ids=CASES)
def test_it_answers_each_request_as_the_api_says(
    tmp_path: Path, body: str, headers: dict[str, str], given: dict[str, Any], status: int
) -> None:
    answer = asyncio.run(_post(_application(tmp_path, **given), body, headers))
    assert answer.status_code == status
    if status == 202:
        base = f"/v1/jobs/{'0' * 24}"
        assert answer.json()["job_id"] == "0" * 24
        assert answer.json()["links"]["self"] == base
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


@pytest.mark.parametrize("hanging", ["create", "take_number"])
def test_a_redis_that_hangs_is_waited_for_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hanging: str
) -> None:
    """Out: `in_time` in `submit` or in `next_acceptance_number` (the requests wait as long as Redis does)."""
    monkeypatch.setattr(submit, "WRITE_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(intake, "WRITE_TIMEOUT_SECONDS", 0.1)
    go_on = threading.Event()
    application = _application(tmp_path, **{hanging: lambda: go_on.wait(5)})

    async def post_many() -> list[httpx.Response]:
        try:
            return await asyncio.wait_for(
                asyncio.gather(*(_post(application, RECORDS, JSON) for _ in range(20))), 8
            )
        finally:
            go_on.set()

    assert {answer.status_code for answer in asyncio.run(post_many())} == {503}
