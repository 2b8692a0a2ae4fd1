"""POST /v1/sources/NAME/test, without any server: nothing is kept, and only own sources are tried."""

import asyncio
import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from edugraph_common.contracts.data_sources import DataSource
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings

RECORD = {
    "type": "error_record",
    "timestamp": "2026-01-01",
    "data": {"student_id": "s1", "course_id": "C", "error_text": "wrong sign"},
}
TERM = {
    "type": "term_record",
    "timestamp": "2026-01-01",
    "data": {"term": "T", "starts": "2026-01-01", "ends": "2026-06-01"},
}
FILE = {"Content-Type": "application/octet-stream", "Authorization": "Bearer x"}
MADE = datetime(2026, 1, 1, tzinfo=UTC)
SOURCES = [
    DataSource(name="lms", kind="records", created=MADE, keys=("own",)),
    DataSource(name="other", kind="records", created=MADE, keys=("somebody",)),
    DataSource(
        name="log",
        kind="openedx",
        created=MADE,
        keys=("own",),
        platform="https://mooc.example",
    ),
]
EVENT = {
    "name": "problem_check", "event_type": "problem_check", "event_source": "server",
    "username": "ann", "time": "2026-05-01T08:00:00+00:00",
    "context": {"user_id": 7, "course_id": "course-v1:A+B+C"},
    "event": {"problem_id": "block-v1:A+B+C+type@problem+block@p", "success": "correct",
              "attempts": 1, "grade": 1, "max_grade": 1},
}  # fmt: skip


async def post(
    folder: Path, name: str, body: bytes, query: str = "", **headers: str
) -> httpx.Response:
    settings = {
        "broker_url": "amqp://127.0.0.1:1//",
        "redis_url": "redis://127.0.0.1:1/0",
        "blob_url": str(folder),
        "auth": "on",
        "platform_prefixes": {"https://mooc.example": "mooc:"},
    }
    gateway = open_gateway(GatewaySettings.model_validate(settings))

    async def admit(_token: str, *_scopes: str) -> Caller:
        return Caller("own", ("submit",), (), None)

    registry: Any = SimpleNamespace(all=lambda: SOURCES)
    gateway = dataclasses.replace(
        gateway,
        admission=SimpleNamespace(admit=admit),
        audit=SimpleNamespace(record=lambda *_, **__: None),
        intake=dataclasses.replace(gateway.intake, sources=registry),
    )
    transport = httpx.ASGITransport(app=make_application(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.post(
            f"/v1/sources/{name}/test{query}", content=body, headers={**FILE, **headers}
        )


def test_it_says_what_would_become_of_a_file_and_keeps_nothing(tmp_path: Path) -> None:
    """Out: the rights of the caller."""
    body = f"{json.dumps(RECORD)}\n{json.dumps(TERM)}\n".encode()
    answer = asyncio.run(post(tmp_path, "lms", body, "?file=a.ndjson"))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["named"]["students"] == ["s1"]
    assert (found["report"]["valid"], found["report"]["rejected"], found["texts"]) == (1, 1, 1)
    assert "roster" in found["report"]["errors"][0]["reason"]
    assert list(tmp_path.iterdir()) == []


def test_ids_have_the_prefix_that_the_gateway_is_set_to(tmp_path: Path) -> None:
    """Out: the prefixes, or the platform of the source."""
    answer = asyncio.run(post(tmp_path, "log", json.dumps(EVENT).encode()))
    [student] = answer.json()["named"]["students"]
    assert student.startswith("mooc:")


@pytest.mark.parametrize("name", ["other", "nowhere"])
def test_a_source_of_others_is_not_found(tmp_path: Path, name: str) -> None:
    answer = asyncio.run(post(tmp_path, name, json.dumps(RECORD).encode()))
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Content-Type": "text/csv"}, 415),
        (b"x" * ((8 << 20) + 1), {}, 413),
        (b"", {}, 422),
        (b"a,b\n1,2\n", {}, 422),
    ],
)
def test_a_body_that_cannot_be_tried_is_refused(
    tmp_path: Path, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert asyncio.run(post(tmp_path, "lms", body, **headers)).status_code == status
