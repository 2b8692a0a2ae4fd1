"""Work that is sent: again while the gateway is away, under one key, whole, and by both clients alike."""

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edugraph_client import AsyncClient, Client, Refused, Unreachable
from edugraph_client.files import CHUNK_BYTES, FileSource

ACCEPTED = {"job_id": "j", "task_id": "t", "links": {}, "of_a_newer_release": True}


class Away:
    """A gateway that answers with these first, an exception is raised, and then takes what is sent."""

    def __init__(self, *first: httpx.Response | Exception) -> None:
        self._first = iter(first)
        self.keys, self.bodies, self.pauses = list[str](), list[bytes](), list[float]()
        self.requests: list[httpx.Request] = []

    def take(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        return self._answer(request)

    async def take_async(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(await request.aread())
        return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers["idempotency-key"])
        self.requests.append(request)
        found = next(self._first, httpx.Response(202, json=ACCEPTED))
        if isinstance(found, Exception):
            raise found
        return found

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


CLIENTS = pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])


def call(away: Away, awaited: bool, method: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of a client that knows this gateway alone, and whose pauses take no time."""
    keys = iter(range(100))

    def new_key() -> str:
        return f"key {next(keys)}"

    async def awaiting() -> Any:
        transport = httpx.MockTransport(away.take_async)
        async with AsyncClient(
            "http://gateway", transport=transport, sleep=away.pause, new_key=new_key
        ) as client:
            return await getattr(client, method)(*arguments, **options)

    if awaited:
        return asyncio.run(awaiting())
    transport = httpx.MockTransport(away.take)
    with Client(
        "http://gateway", transport=transport, sleep=away.pauses.append, new_key=new_key
    ) as client:
        return getattr(client, method)(*arguments, **options)


@CLIENTS
def test_a_submission_is_sent_again_under_its_key_after_the_pause_that_was_asked_for(
    awaited: bool,
) -> None:
    """Out: the header, or `pause_seconds`."""
    busy = httpx.Response(429, json={"detail": "slower"}, headers={"Retry-After": "7"})
    away = Away(httpx.ReadError("gone"), busy, httpx.Response(503, json={}))
    assert call(away, awaited, "import_records", [{"a": 1}]).job_id == "j"
    assert away.keys == ["key 0"] * 4
    assert away.pauses == [1.0, 7.0, 4.0]
    assert [json.loads(body) for body in away.bodies] == [{"records": [{"a": 1}]}] * 4


@CLIENTS
def test_a_file_is_sent_again_from_its_beginning_and_its_bar_goes_back(
    awaited: bool, tmp_path: Path
) -> None:
    """Out: the seek of FileBody."""
    content = bytes(range(256)) * (CHUNK_BYTES // 256) + b"the rest"
    path, told = tmp_path / "f.ndjson", list[int]()
    path.write_bytes(content)
    away = Away(httpx.Response(502, json={}))
    call(away, awaited, "import_file", path, sent=told.append)
    assert away.bodies == [content, content]
    assert sum(told) == len(content)
    assert -len(content) in told


@CLIENTS
def test_what_can_be_read_once_is_sent_once(awaited: bool) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    away = Away(httpx.Response(503, json={"detail": "not now"}))
    with pytest.raises(Refused, match="not now"):
        call(away, awaited, "import_stream", Pipe(b"{}\n"), {})
    assert away.bodies == [b"{}\n"]


@CLIENTS
def test_what_is_wrong_is_sent_once_and_what_stays_away_is_said(awaited: bool) -> None:
    away = Away(httpx.Response(422, json={"detail": "no record"}))
    with pytest.raises(Refused, match="no record"):
        call(away, awaited, "review", [])
    assert (len(away.bodies), away.pauses) == (1, [])
    away = Away(*[httpx.ConnectError("gone")] * 9)
    with pytest.raises(Unreachable, match="EDUGRAPH_URL"):
        call(away, awaited, "analyze", "errors", [])
    assert away.pauses == [1.0, 2.0, 4.0]


def test_each_submission_has_a_key_of_its_own() -> None:
    seen = list[str]()

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["idempotency-key"])
        return httpx.Response(202, json=ACCEPTED)

    with Client("http://gateway", transport=httpx.MockTransport(take)) as client:
        for _ in range(2):
            client.import_records([])
    assert len(set(seen)) == 2


def test_jobs_are_asked_for_page_by_page() -> None:
    asked = list[str]()
    at = "2026-01-01T00:00:00Z"

    def pages(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params.get("cursor", ""))
        number = len(asked)
        jobs = [
            {
                "job_id": f"{number}-{each}",
                "kind": "import",
                "state": "queued",
                "source": "f",
                "created": at,
            }
            for each in range(2)
        ]
        links = {"next": f"/v1/jobs?limit=2&cursor={number}:x"} if number < 3 else {}
        return httpx.Response(
            200, json={"jobs": [{**job, "updated": at} for job in jobs], "links": links}
        )

    with Client("http://gateway", transport=httpx.MockTransport(pages)) as client:
        found: Iterator[Any] = client.jobs(page=2)
        assert [next(found).job_id for _ in range(2)] == ["1-0", "1-1"]
        assert asked == [""]
        assert [job.job_id for job in found] == ["2-0", "2-1", "3-0", "3-1"]
    assert asked == ["", "1:x", "2:x"]


@CLIENTS
def test_a_mapping_is_in_no_address(tmp_path: Path, awaited: bool) -> None:
    """A mapping may name persons, and proxies log addresses. Out: `mapping` in `FileSource.options`."""
    mapping = "{columns: {谁: student_id}, values: {student_id: {王小明: s1}}}"
    source = FileSource("csv", mapping=mapping)
    path = tmp_path / "a.csv"
    path.write_text("谁\n王小明\n")
    away = Away()
    call(away, awaited, "import_file", path, source=source)
    call(away, awaited, "import_url", "https://files.example/a.csv", source=source)
    of_file, of_url = away.requests
    assert set(of_file.url.params) == {"name", "batch_size", "analyze", "format"}
    assert base64.b64decode(of_file.headers["edugraph-mapping"]).decode() == mapping
    assert json.loads(away.bodies[1])["mapping"] == mapping
    assert not of_url.url.params
