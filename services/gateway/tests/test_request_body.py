"""Uploads, time limits and problems, without any server."""

import asyncio
import gzip
import json
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import CapacityLimiter
from fastapi import Request

from edugraph_common.contracts.errors import Rejected, Retryable, Wait
from edugraph_common.contracts.messages import Format
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import parse_mapping
from edugraph_common.sources.compression import decompressor
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import problem_answer, problem_of
from edugraph_gateway.submission.request_body import drain, pieces
from edugraph_gateway.submission.uploads import Upload, scan_of


def _upload(folder: Path, *, encoding: str = "identity", max_unpacked_bytes: int = 10**6) -> Upload:
    return Upload(
        Blobs(str(folder)), "jobs/j/source", encoding, scan_of("ndjson", None), max_unpacked_bytes
    )  # type: ignore[arg-type]


def test_a_packed_file_is_kept_packed(tmp_path: Path) -> None:
    body, upload = gzip.compress(b'{"a": 1}\n' * 1_000), _upload(tmp_path, encoding="gzip")
    for start in range(0, len(body), 7):
        upload.put(body[start : start + 7])
    stored = upload.keep()
    assert (len(stored.digest), stored.unpacked_bytes) == (64, 9_000)
    assert (tmp_path / "jobs/j/source").read_bytes() == body


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path: Path) -> None:
    upload = _upload(tmp_path, encoding="gzip", max_unpacked_bytes=10_000)
    with pytest.raises(Problem) as refused:
        upload.put(gzip.compress(b'{"a": 1}\n' * 100_000))
    upload.forget(refused.value)
    assert refused.value.status == 413
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("body", [b"", b"\n\n", b'{"a": 1}\n{"a"'])
def test_a_malformed_file_leaves_no_blob(tmp_path: Path, body: bytes) -> None:
    upload = _upload(tmp_path)
    if body:
        upload.put(body)
    with pytest.raises(MalformedFile) as refused:
        upload.keep()
    upload.forget(refused.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_is_not_packed_is_said(encoding: str) -> None:
    with pytest.raises(MalformedFile, match=f"not {encoding}"):
        list(decompressor(encoding).feed(b"plain text, and enough of it"))  # type: ignore[arg-type]


def test_a_table_without_a_mapping_is_read_by_its_head() -> None:
    scan = scan_of("csv", None)
    scan.feed(b"a,b\n1,2\n")
    scan.finish()
    empty = scan_of("csv", None)
    with pytest.raises(MalformedFile, match="empty"):
        empty.finish()


@pytest.mark.parametrize(
    ("form", "mapped"), [("ndjson", False), ("csv", True), ("workbook", True), ("parquet", True)]
)
def test_a_file_of_an_unusable_kind_is_told_while_it_comes_in(form: Format, mapped: bool) -> None:
    """To take the guard out: let `make_read_plan` and `LineScan` ask nobody what the file is."""
    mapping = parse_mapping(
        "{type: item_record, columns: {i: item_id}, constants: {timestamp: '2026-01-01'}}"
    )
    scan = scan_of(form, mapping if mapped else None)
    with pytest.raises(MalformedFile, match="it seems to be a PDF document"):  # noqa: PT012 - it may be told at the end
        scan.feed(b"%PDF-1.7\n")
        scan.finish()


def _request(*messages: dict[str, Any], length: str = "") -> Request:
    """A body that comes in these messages, and then nothing."""
    left = iter(messages)

    async def receive() -> Any:
        message = next(left, None)
        if message is None:
            await asyncio.Event().wait()
        return {"type": "http.request", **(message or {})}

    headers = [(b"content-length", length.encode())] if length else []
    return Request({"type": "http", "headers": headers}, receive)


async def _read(request: Request, limit: int = 100) -> list[bytes]:
    return [piece async for piece in pieces(request, max_bytes=limit, idle_timeout_seconds=0.05)]


def test_a_body_is_read_to_its_end_and_no_further() -> None:
    request = _request(
        {"body": b"a", "more_body": True}, {"body": b"b", "more_body": True}, {"body": b""}
    )
    assert asyncio.run(_read(request)) == [b"ab"]
    begun = time.monotonic()
    asyncio.run(drain(request, 5))
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (_request({"body": b"a", "more_body": True}), 408),
        (_request({"body": b"a", "more_body": True}, {"type": "http.disconnect"}), 400),
        (_request({"body": b"a" * 60, "more_body": True}, {"body": b"a" * 60}), 413),
        (_request({"body": b"a" * 101}, length="101"), 413),
    ],
)
def test_a_body_that_cannot_be_read_is_a_problem(request_: Request, status: int) -> None:
    with pytest.raises(Problem) as refused:
        asyncio.run(_read(request_))
    assert refused.value.status == status


def test_what_a_client_goes_on_sending_is_read_for_a_time() -> None:
    request = _request(*[{"body": b"a" * 60, "more_body": True}] * 9, {"body": b"end"})

    async def refuse() -> None:
        with pytest.raises(Problem):
            await _read(request)
        await drain(request, 5)
        assert request.state.body_ended

    asyncio.run(refuse())
    asyncio.run(drain(_request({"body": b"", "more_body": True}), 0.05))


def test_work_that_takes_too_long_is_left_alone() -> None:
    async def wait() -> None:
        await in_time(lambda: time.sleep(0.5), 0.05, CapacityLimiter(1))

    begun = time.monotonic()
    with pytest.raises(Retryable, match=r"within 0\.05 s"):
        anyio.run(wait)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("failure", "status", "retry_after"),
    [
        (Retryable("away"), 503, "5"),
        (Wait("limit", 11.2), 503, "12"),
        (Rejected("wrong"), 422, None),
    ],
)
def test_a_failure_is_a_problem(failure: Retryable, status: int, retry_after: str | None) -> None:
    answer = problem_answer(problem_of(failure))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("retry-after") == retry_after
    assert json.loads(answer.body)["status"] == status
