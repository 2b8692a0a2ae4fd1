"""POST /v1/imports/preview, without any server: nothing is kept, and what it costs is bounded."""

import asyncio
import base64
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from edugraph_common.contracts.permissions import SCOPES, Scope
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.api.private_headers import ANSWERS_HEADER, MAPPING_HEADER, POINTS_HEADER
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings

RECORD = b'{"type": "course_content", "timestamp": "2026-01-01", "data": {"course_id": "C", "content": "x"}}\n'
FILE = {"Content-Type": "application/octet-stream"}
TABLE = "学号,说明,日期\n1,分母相加,2026-07-03\n".encode()
MAPPING = """\
type: error_record
columns: {学号: student_id, 说明: error_text, 日期: timestamp}
constants: {course_id: 数学七}
"""


def application(folder: Path, auth: str = "off") -> FastAPI:
    nowhere = {"broker_url": "amqp://127.0.0.1:1//", "redis_url": "redis://127.0.0.1:1/0"}
    gateway = open_gateway(
        GatewaySettings.model_validate({**nowhere, "blob_url": str(folder), "auth": auth})
    )
    audit: Any = SimpleNamespace(record=lambda *_, **__: None)
    gateway = dataclasses.replace(gateway, audit=audit)
    limiter: Any = gateway.admission._rate_limiter
    limiter.take = lambda _client: 0
    return make_application(gateway)


async def post(
    app: FastAPI, body: bytes, query: str = "", headers: dict[str, str] = FILE
) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.post(f"/v1/imports/preview{query}", content=body, headers=headers)


def test_it_tells_what_an_import_would_do_and_keeps_nothing(tmp_path: Path) -> None:
    answer = asyncio.run(post(application(tmp_path), RECORD * 2 + b"{}\n", "?name=a.ndjson"))
    assert answer.status_code == 200
    told = answer.json()
    assert (told["format"], told["valid"], told["rejected"], told["complete"]) == (
        "ndjson",
        2,
        1,
        True,
    )
    assert told["errors"][0]["line"] == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (RECORD, {"Content-Type": "text/csv"}, 415),
        (b"x" * ((8 << 20) + 1), FILE, 413),
        (b"%PDF-1.7\n\x00\x00", FILE, 422),
        (b"", FILE, 422),
    ],
)
def test_what_cannot_be_looked_at_is_refused(
    tmp_path: Path, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = asyncio.run(post(application(tmp_path), body, headers=headers))
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )


def test_nobody_without_a_key_has_a_file_read(tmp_path: Path) -> None:
    assert asyncio.run(post(application(tmp_path, auth="on"), RECORD)).status_code == 401


def test_only_so_many_are_made_at_a_time(tmp_path: Path) -> None:
    """Out: the look at `available_tokens`, and a third one waits instead."""
    app = application(tmp_path)
    slots = app.state.gateway.intake.preview_slots

    async def third() -> httpx.Response:
        async with slots:
            slots.total_tokens = 1
            return await post(app, RECORD)

    answer = asyncio.run(third())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


LEADER = {
    "type": "membership_record",
    "timestamp": "2026-01-01",
    "data": {"group_id": "8B", "role": "leader"},
}


def _leads(person: str) -> bytes:
    row = {**LEADER, "data": {**LEADER["data"], "teacher_id": person}}  # type: ignore[dict-item]
    return json.dumps(row).encode() + b"\n"


@pytest.mark.parametrize(
    ("scopes", "refused"),
    [
        (("submit",), {2: "needs the scope roster", 3: "needs the scope roster"}),
        (("roster",), {1: "needs the scope submit", 3: "would make the caller"}),
        (("submit", "roster"), {3: "would make the caller"}),
    ],
)
def test_rows_that_the_caller_may_not_import_are_shown(
    tmp_path: Path, scopes: tuple[Scope, ...], refused: dict[int, str]
) -> None:
    """Out: `check` in the route, or in `dry_run`."""
    app = application(tmp_path)
    caller = Caller("k1", scopes, person="T1")

    async def admit(*_: Any) -> Caller:
        return caller

    app.state.gateway.admission.admit = admit
    answer = asyncio.run(post(app, RECORD + _leads("T2") + _leads("T1"), "?name=a.ndjson"))
    told = answer.raise_for_status().json()
    assert {each["line"] for each in told["errors"]} == refused.keys()
    for each in told["errors"]:
        assert each["reason"].startswith(refused[each["line"]])
    assert (told["valid"], told["rejected"]) == (3 - len(refused), len(refused))


def test_who_calls_is_answered_with_scopes_and_person(tmp_path: Path) -> None:
    app = application(tmp_path)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1"
        ) as client:
            return await client.get("/v1/caller")

    assert asyncio.run(ask()).json()["client"] == "anybody"
    caller = Caller("k1", ("erase",), ("officer",), person="T1")

    async def admit(_token: str, *any_of: str) -> Caller:
        assert set(any_of) == set(SCOPES)
        return caller

    app.state.gateway.admission.admit = admit
    answer = asyncio.run(ask())
    assert answer.json() == {
        "client": "k1",
        "scopes": ["erase"],
        "roles": ["officer"],
        "person": "T1",
    }


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_preview_reads_the_mapping_and_the_answers_of_its_headers(tmp_path: Path) -> None:
    """Out: a header of `preview_import`."""
    app = application(tmp_path)
    headers = {**FILE, MAPPING_HEADER: encoded(MAPPING)}
    seen = asyncio.run(post(app, TABLE, "?name=a.csv", headers)).json()
    assert (seen["valid"], seen["rejected"]) == (1, 0)
    assert "数学七" in seen["mapping"]
    headers[ANSWERS_HEADER] = encoded('{"constants": {"course_id": "数学八"}}')
    seen = asyncio.run(post(app, TABLE, "?name=a.csv", headers)).json()
    assert "数学八" in seen["mapping"]
    refused = asyncio.run(post(app, TABLE, "?name=a.csv", {**FILE, POINTS_HEADER: "%%"}))
    assert refused.status_code == 422


@pytest.mark.parametrize("parameter", ["mapping", "points", "answers"])
def test_a_preview_refuses_them_in_its_address(tmp_path: Path, parameter: str) -> None:
    """Out: the check of the query in `preview_import`."""
    answer = asyncio.run(post(application(tmp_path), TABLE, f"?{parameter}=王小明"))
    assert answer.status_code == 422
    assert "王小明" not in answer.text
    [error] = answer.json()["errors"]
    assert error["field"] == f"query.{parameter}"
    assert "Edugraph-Mapping" in error["reason"]
