"""The blob store: whole or not at all, and never outside its folder."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_server import Bucket, bucket_on, s3_server
from s3fs import S3FileSystem

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.contracts.messages import OutsideFile
from edugraph_common.runtime.shared_state.object_store import BlobMissing, Blobs, Changed, is_below
from tools.s3 import S3


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket of its own, found by the variables that the Secret of the chart has."""
    with bucket_on(s3) as bucket:
        for name, value in {**bucket.environment, "AWS_MAX_ATTEMPTS": "1"}.items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()  # the last test's bucket had another address
        yield bucket


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.real)])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "folder":
        return Blobs(str(tmp_path / "store"))
    bucket: Bucket = request.getfixturevalue("bucket")
    return Blobs(bucket.url)


@pytest.mark.loopback("a port where nothing listens")
def test_a_bucket_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in {
        **variables,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    blobs = Blobs(f"s3://b-{uuid4().hex}/edugraph")
    with pytest.raises(Retryable, match="EndpointConnectionError"):
        blobs.exists("jobs/1/source")
    with pytest.raises(Retryable), blobs.write("jobs/1/source") as file:
        file.write(b"x")


def test_a_blob_is_read_in_part_by_its_range(blobs: Blobs) -> None:
    with blobs.write("jobs/1/source") as file:
        file.write("一二三".encode())
    assert blobs.read("jobs/1/source", 3, 3).decode() == "二"
    assert blobs.keys("jobs/1") == ["jobs/1/source"]


def test_a_blob_that_was_not_written_to_its_end_is_not_there(blobs: Blobs) -> None:
    with suppress(ZeroDivisionError), blobs.write("jobs/1/source") as file:
        file.write(b"half")
        _ = 1 / 0
    assert not blobs.exists("jobs/1/source")
    assert blobs.keys("jobs") == []


def test_a_blob_that_is_gone_is_told_by_its_key(blobs: Blobs) -> None:
    with pytest.raises(Rejected, match="jobs/2/source"):
        blobs.read("jobs/2/source", 0, 1)


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "jobs/../../x"])
def test_a_key_cannot_leave_the_store(blobs: Blobs, key: str) -> None:
    with pytest.raises(Rejected, match="relative path"):
        blobs.exists(key)


def test_deleting_a_folder_deletes_all_below_it(blobs: Blobs) -> None:
    for key in ("jobs/1/a", "jobs/1/rejects/b", "jobs/2/a"):
        with blobs.write(key) as file:
            file.write(b"x")
    blobs.delete("jobs/1")
    assert blobs.keys("jobs") == ["jobs/2/a"]


ALLOWED = ("s3://exports/2026", "https://files.example.edu/out/")


@pytest.mark.parametrize(
    "url",
    [
        "s3://exports/2026/a.ndjson",
        "https://files.example.edu/out/a%20b.csv?signature=x",
        "s3://exports/2026/a..b/c",
    ],
)
def test_a_file_outside_may_be_below_what_is_allowed(url: str) -> None:
    assert is_below(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "s3://exports/2026",
        "s3://exports/2026-of-others/a",
        "s3://exports/2026/../secret",
        "s3://exports/2026/%2e%2e/secret",
        "s3://exports/2026/%252e%252e/secret",
        "s3://exports/2026/a/..",
        "s3://exports/2026/..\\secret",
        "s3://exports/2026/a::file:///etc/passwd",
        "simplecache::s3://exports/2026/a",
        "file:///etc/passwd",
        "S3://exports/2026/a",
        "http://files.example.edu/out/a",
        "https://files.example.edu@evil.example/out/a",
        "https://files.example.edu.evil.example/out/a",
        "s3://exports/2026/a\nb",
        "",
    ],
)
def test_nothing_else_outside_is_read(url: str, tmp_path: Path) -> None:
    assert not is_below(url, ALLOWED)
    if "://" in url:
        with pytest.raises(Rejected, match="EDUGRAPH_IMPORTS_FROM"):
            Blobs(str(tmp_path), ALLOWED).open(url)


def test_a_file_outside_is_read_in_part_and_never_written(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "a").write_bytes(b"abcdef")
    url, blobs = (
        f"file://{tmp_path}/exports/a",
        Blobs(str(tmp_path / "store"), [f"file://{tmp_path}/exports"]),
    )
    assert blobs.read(url, 2, 3) == b"cde"
    for change in (blobs.delete, blobs.exists, blobs.keys):
        with pytest.raises(Rejected, match="relative path"):
            change(url)
    with pytest.raises(Rejected, match="is gone"):
        blobs.open(f"{url}?secret=1".replace("/a?", "/b?"))


def test_a_signature_is_never_said(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        Blobs(str(tmp_path)).open("https://host/a?signature=secret")
    assert "secret" not in refused.value.reason
    assert "host/a" in refused.value.reason


def test_a_store_that_is_away_is_not_one_without_the_blob(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "store" / "blobs"))
    assert not blobs.exists("jobs")
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(Retryable):
        blobs.exists("jobs")


def test_a_folder_that_others_change_is_listed_whole_and_deleted_whole(tmp_path: Path) -> None:
    """While one thread writes and deletes other blobs of the folder, those that stay are in every listing."""
    blobs = Blobs(str(tmp_path))
    stay = [f"jobs/j/stays-{number}" for number in range(50)]
    for key in stay:
        with blobs.write(key) as file:
            file.write(b"x")
    ended = Event()

    def disturb() -> None:
        while not ended.is_set():
            with blobs.write("jobs/j/comes") as file:
                file.write(b"x")
            blobs.delete("jobs/j/comes")

    with ThreadPoolExecutor() as pool:
        disturbing = pool.submit(disturb)
        try:
            for _ in range(100):
                assert set(stay) <= set(blobs.keys("jobs"))
        finally:
            ended.set()
        disturbing.result()
    with ThreadPoolExecutor() as pool:
        for deletion in [pool.submit(blobs.delete, "jobs/j") for _ in range(4)]:
            deletion.result()
    assert blobs.keys("jobs") == []


def test_a_write_into_a_folder_that_is_deleted_can_be_tried_again(tmp_path: Path) -> None:
    """Out: `except FileNotFoundError` around the move in `write`."""
    blobs = Blobs(str(tmp_path))

    def write() -> None:
        with blobs.write("jobs/j/persons") as file:
            file.write(b"x")
            blobs.delete("jobs/j")

    with pytest.raises(Retryable):
        write()
    assert blobs.keys("jobs") == []


def test_a_link_out_of_an_allowed_folder_is_refused(tmp_path: Path) -> None:
    """Out: `_leads_inside` in `_place`."""
    for folder in ("real", "secret"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_bytes(folder.encode())
    (tmp_path / "exports").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "out").symlink_to(tmp_path / "secret" / "a")
    (tmp_path / "real" / "folder").symlink_to(tmp_path / "secret")
    (tmp_path / "real" / "within").symlink_to(tmp_path / "real" / "a")
    place = f"file://{tmp_path}/exports"
    blobs = Blobs(str(tmp_path / "store"), [place])
    for name in ("a", "within"):
        assert blobs.read(f"{place}/{name}", 0, 10) == b"real"
    for name in ("out", "folder/a"):
        with pytest.raises(Rejected, match="is a link"):
            blobs.open(f"{place}/{name}")


# The blobs that read a file, its URL, and a function that writes it.
Outside = tuple[Blobs, str, Callable[[bytes], None]]


@pytest.fixture
def told() -> dict[str, str]:
    """The headers in which the HTTP server tells the version of the file."""
    return {}


@pytest.fixture
def over_http(told: dict[str, str]) -> Iterator[Outside]:
    kept = {"body": b""}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first, last = 0, len(kept["body"])
            if part := self.headers.get("Range"):
                start, end = part.removeprefix("bytes=").split("-")
                first, last = int(start), min(int(end) + 1, last)
            self.send_response(206 if part else 200)
            for name, value in {**told, "Content-Length": str(last - first)}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(kept["body"][first:last])

        do_HEAD = do_GET  # noqa: N815 - as the library names it

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}/out"
        yield (
            Blobs("/nowhere", [place]),
            f"{place}/a?signature=secret",
            lambda body: kept.update(body=body),
        )
        server.shutdown()


@pytest.fixture(
    params=[
        "file",
        pytest.param("ETag", marks=pytest.mark.loopback("a small HTTP server")),
        pytest.param("Last-Modified", marks=pytest.mark.loopback("a small HTTP server")),
        pytest.param("s3", marks=pytest.mark.real),
    ]
)
def outside(request: pytest.FixtureRequest, tmp_path: Path) -> Outside:
    """A file outside, in each place that changes its etag or its date when the file is written."""
    if request.param == "file":

        def write(body: bytes) -> None:
            (tmp_path / "a").write_bytes(body)
            later = time.time_ns() + next(ticks) * 10**9
            os.utime(tmp_path / "a", ns=(later, later))

        ticks = count()
        return Blobs("/nowhere", [f"file://{tmp_path}"]), f"file://{tmp_path}/a", write
    if request.param != "s3":
        blobs, url, write_body = request.getfixturevalue("over_http")
        versions, told = count(), request.getfixturevalue("told")

        def write_version(body: bytes) -> None:
            write_body(body)
            told[request.param] = f"version {next(versions)}"

        return blobs, url, write_version
    bucket: Bucket = request.getfixturevalue("bucket")

    def put(body: bytes) -> None:
        with Blobs(f"s3://{bucket.name}/out").write("a") as file:
            file.write(body)

    return Blobs(bucket.url, [f"s3://{bucket.name}/out"]), f"s3://{bucket.name}/out/a", put


def test_a_file_outside_that_was_changed_is_not_read(outside: Outside) -> None:
    """Out: the first `_compare` in `open_unchanged`, or a name in `_ETAGS` or `_CHANGE_TIMES`."""
    blobs, url, write = outside
    write(b"as it was")
    then = blobs.look_outside(url)
    assert then.size == 9
    assert then.etag or then.modified
    assert blobs.read(url, 3, 2, then) == b"it"
    for now, what in (
        (b"as it IS!", "another one"),
        (b"longer than it was", "its size was 9 bytes and is 18"),
    ):
        write(now)
        with pytest.raises(Changed, match=f"{what}; import the file again") as refused:
            blobs.read(url, 3, 2, then)
        assert "secret" not in refused.value.reason
        with ExitStack() as stack, pytest.raises(Changed):
            stack.enter_context(blobs.open_unchanged(url, then))
        assert blobs.read(url, 3, 2) == now[3:5]  # an older gateway noted nothing


@pytest.mark.parametrize("fault", [None, EOFError])
def test_a_change_while_a_file_outside_is_read_is_told(
    outside: Outside, fault: type[Exception] | None
) -> None:
    """Also where the change made the reading fail. Out: the second `_compare` in `open_unchanged`."""
    blobs, url, write = outside
    write(b"as it was")
    then = blobs.look_outside(url)

    def read() -> None:
        with blobs.open_unchanged(url, then) as file:
            assert file.read(2) == b"as"
            write(b"as it IS!")
            if fault:
                raise fault

    with pytest.raises(Changed, match="another one"):
        read()


@pytest.mark.loopback("a small HTTP server")
def test_of_a_server_that_tells_neither_etag_nor_date_the_size_is_compared(
    over_http: Outside,
) -> None:
    blobs, url, write = over_http
    write(b"as it was")
    then = blobs.look_outside(url)
    assert then == OutsideFile(size=9)
    write(b"as it IS!")
    assert blobs.read(url, 6, 3, then) == b"IS!"
    write(b"as it was not")
    with pytest.raises(Changed, match="its size was 9 bytes and is 13"):
        blobs.read(url, 6, 3, then)


def test_a_file_outside_that_is_gone_is_not_called_changed(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    blobs, url = Blobs("/nowhere", [f"file://{tmp_path}"]), f"file://{tmp_path}/a"
    then = blobs.look_outside(url)
    (tmp_path / "a").unlink()
    with pytest.raises(BlobMissing):
        blobs.look_outside(url)
    with pytest.raises(BlobMissing):
        blobs.read(url, 0, 1, then)


TOLD = st.none() | st.sampled_from(["a", "b"])
FILES = st.builds(OutsideFile, size=st.none() | st.integers(0, 2), etag=TOLD, modified=TOLD)


@given(FILES, FILES)
def test_only_what_was_told_both_times_is_compared(then: OutsideFile, now: OutsideFile) -> None:
    both = [
        name
        for name in ("size", "etag", "modified")
        if getattr(then, name) is not None and getattr(now, name) is not None
    ]
    decisive = [name for name in both if name != "modified" or "etag" not in both]
    differ = any(getattr(then, name) != getattr(now, name) for name in decisive)
    assert (then.change(now) is not None) == (now.change(then) is not None) == differ


@pytest.mark.loopback("a small HTTP server redirects out of the allowed place")
def test_a_redirect_is_not_followed() -> None:
    """Out: `_NO_REDIRECTS`: then the secret is read."""
    content = {"/in/a": b"allowed", "/secret": b"secret"}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = content.get(self.path, b"moved")
            self.send_response(200 if self.path in content else 302)
            self.send_header("Location", "/secret")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - as the library names it

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}/in"
        blobs = Blobs("/nowhere", [place])
        assert blobs.read(f"{place}/a", 0, 7) == b"allowed"
        with pytest.raises(Rejected, match="redirects to another place"):
            blobs.open(f"{place}/b?signature=x")
        server.shutdown()


def test_a_blob_is_on_disk_before_it_is_there_and_so_is_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the answer loses nothing. Out: either fsync in `write`, or the folders above the blob's."""
    events: list[str] = []
    sync, rename = os.fsync, os.rename
    (tmp_path / "store").mkdir()

    def note_sync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").resolve()
        events.append(
            f"sync {path.relative_to(tmp_path)} {path.stat().st_size if path.is_file() else ''}".rstrip()
        )
        sync(handle)

    def note_rename(source: str, target: str) -> None:
        events.append(f"rename {Path(target).relative_to(tmp_path)}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "rename", note_rename)
    for name, folders in (("a", {"a", ".", ".."}), ("b", {"b", "."})):
        with Blobs(str(tmp_path / "store")).write(f"jobs/{name}/source.ndjson") as file:
            file.write(b"x" * 10)
        part, renamed, *synced = events
        assert part.startswith(f"sync store/jobs/{name}/source.ndjson.part-")
        assert part.endswith(" 10")
        assert renamed == f"rename store/jobs/{name}/source.ndjson"
        assert {f"sync {os.path.normpath(f'store/jobs/{folder}')}" for folder in folders} == set(
            synced
        )
        events.clear()
