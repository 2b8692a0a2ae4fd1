"""Blobs in a real S3 server: how many bytes go over the wire, what is seen of an upload, and how much memory it takes.

Bytes are counted by a proxy in front of the server, headers included.
"""

import gc
import math
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_alone import virtual_host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from s3_server import MEBIBYTE, Bucket, bucket_on, range_factor, s3_server, uploads_at_once
from s3fs import S3FileSystem
from waiting import until

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.shared_state.object_store import READ_BYTES, BlobMissing, Blobs
from tools.s3 import S3

pytestmark = pytest.mark.real
SIZE = 20 * MEBIBYTE
HEADERS = 4_000  # bytes of the answers' headers to the requests for one range


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3_server() as running:
        yield running


@pytest.fixture
def bucket(server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket_on(server) as own:
        for name, value in own.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        S3FileSystem.clear_instance_cache()
        yield own
        S3FileSystem.clear_instance_cache()


@pytest.fixture
def blobs(bucket: Bucket) -> Blobs:
    return Blobs(bucket.url)


def _content(size: int) -> bytes:
    return random.Random(16).randbytes(size)


def _store(blobs: Blobs, key: str, content: bytes) -> None:
    with blobs.write(key) as file:
        for start in range(0, len(content), 50_000):
            file.write(content[start : start + 50_000])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_range_costs_little_more_than_its_length(
    bucket: Bucket, blobs: Blobs, data: st.DataObject
) -> None:
    """Out: `block_bytes` 1 in `Blobs.read`, which fetches a block beyond the range."""
    key = "jobs/1/source"
    content = _content(SIZE)
    if not blobs.exists(key):
        _store(blobs, key, content)
    offset = data.draw(st.integers(0, SIZE - 1))
    length = data.draw(st.integers(1, SIZE - offset))
    before = bucket.proxy.from_server
    assert blobs.read(key, offset, length) == content[offset : offset + length]
    assert bucket.proxy.from_server - before <= 1.1 * length + HEADERS


def test_the_rows_of_a_batch_cost_at_most_a_tenth_more(bucket: Bucket, blobs: Blobs) -> None:
    _store(blobs, "jobs/1/source", _content(SIZE))
    for offset in (0, 300_000, SIZE // 2, SIZE - 300_000):
        assert range_factor(bucket, blobs, "jobs/1/source", offset, 300_000) <= 1.1


def test_a_range_beyond_the_end_is_what_there_is_of_it(blobs: Blobs) -> None:
    _store(blobs, "jobs/1/source", b"abcdef")
    assert blobs.read("jobs/1/source", 4, 10) == b"ef"
    assert blobs.read("jobs/1/source", 6, 10) == b""
    assert blobs.read("jobs/1/source", 600, 10) == b""
    _store(blobs, "jobs/1/empty", b"")
    assert blobs.read("jobs/1/empty", 0, 10) == b""


@pytest.mark.parametrize("way", ["lines", "all at once", "pieces"])
def test_a_blob_that_is_read_through_is_fetched_once(
    bucket: Bucket, blobs: Blobs, way: str
) -> None:
    """Out: the BufferedReader: fsspec fetches two blocks for each line."""
    lines = [b"%09d%s\n" % (number, b"x" * 990) for number in range(SIZE // 1_000)]
    _store(blobs, "jobs/1/source", b"".join(lines))
    before = bucket.proxy.from_server
    with blobs.open("jobs/1/source") as file:
        if way == "lines":
            assert list(file) == lines
        elif way == "pieces":
            assert b"".join(iter(lambda: file.read(100_003), b"")) == b"".join(lines)
        else:
            assert file.read() == b"".join(lines)
    assert bucket.proxy.from_server - before <= 1.1 * SIZE


def test_the_size_and_the_head_of_a_large_blob_cost_no_more_than_a_block(
    bucket: Bucket, blobs: Blobs
) -> None:
    """Out: `cache_type` in `_open`: fsspec reads a second block ahead."""
    _store(blobs, "jobs/1/source", _content(SIZE))
    before = bucket.proxy.from_server
    with blobs.open("jobs/1/source") as file:
        assert file.seek(0, 2) == SIZE
    assert bucket.proxy.from_server - before < HEADERS

    with blobs.open("jobs/1/source") as file:
        file.read(1)
    assert bucket.proxy.from_server - before < 1.1 * READ_BYTES


@pytest.mark.parametrize(
    "size", [0, 1, 5 * MEBIBYTE - 1, 5 * MEBIBYTE, 5 * MEBIBYTE + 1, 12 * MEBIBYTE]
)
def test_an_upload_is_sent_once_and_read_back(bucket: Bucket, blobs: Blobs, size: int) -> None:
    """Nothing but the requests that it needs is sent. Out: `_upload` in `write`: a part of another name is copied."""
    content = _content(size)
    parts = size / (5 * MEBIBYTE)
    requests = 1 if parts < 1 else math.ceil(parts) + 2
    before = bucket.proxy.from_clients
    _store(blobs, "jobs/1/source", content)
    assert bucket.proxy.from_clients - before <= 1.02 * size + 1_500 * requests
    with blobs.open("jobs/1/source") as file:
        assert file.read() == content
    assert bucket.objects() == {"edugraph/jobs/1/source"}
    assert bucket.unfinished() == []


def test_one_write_may_be_larger_than_several_parts(blobs: Blobs) -> None:
    content = _content(13 * MEBIBYTE)
    with blobs.write("jobs/1/source") as file:
        assert file.write(content[:3]) == 3
        assert file.write(content[3:]) == len(content) - 3
    assert blobs.read("jobs/1/source", 0, len(content)) == content


def test_parts_grow_so_that_ten_thousand_are_enough(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edugraph_common.runtime.shared_state.s3_upload.PARTS_OF_ONE_SIZE", 2)
    content = _content(42 * MEBIBYTE)
    _store(blobs, "jobs/1/source", content)
    assert blobs.read("jobs/1/source", 0, len(content)) == content
    (told,) = S3FileSystem().ls(f"{blobs._root}/jobs/1/source", detail=True)
    assert told["ETag"].strip('"').endswith("-5")  # parts of 5, 5, 10, 10 and 12 of 20 MiB


@pytest.mark.parametrize("written", [1, 7 * MEBIBYTE, 12 * MEBIBYTE])
def test_an_upload_that_broke_off_is_never_seen(bucket: Bucket, blobs: Blobs, written: int) -> None:
    """Out: `abort` in `_upload` (an upload is left), or `complete` also after an error."""

    def write(key: str) -> None:
        with blobs.write(key) as file:
            file.write(_content(written))
            raise EOFError

    _store(blobs, "jobs/1/kept", b"as it was")
    for key in ("jobs/1/new", "jobs/1/kept"):
        with pytest.raises(EOFError):
            write(key)
    gc.collect()
    assert blobs.read("jobs/1/kept", 0, 100) == b"as it was"
    assert bucket.objects() == {"edugraph/jobs/1/kept"}
    assert bucket.unfinished() == []


@pytest.mark.parametrize("after", [100_000, 6 * MEBIBYTE, 19 * MEBIBYTE])
def test_an_upload_whose_connection_is_cut_is_never_seen(
    bucket: Bucket, blobs: Blobs, after: int
) -> None:
    def write() -> None:
        with blobs.write("jobs/1/source") as file:
            for start in range(0, SIZE, 50_000):
                file.write(content[start : start + 50_000])
                if start >= after:
                    bucket.proxy.refuse()

    content = _content(SIZE)
    with pytest.raises(Retryable):
        write()
    bucket.proxy.heal()
    assert not blobs.exists("jobs/1/source")
    assert bucket.objects() == set()


KILLED = """
import sys
from edugraph_common.runtime.shared_state.object_store import Blobs
with Blobs(sys.argv[1]).write("jobs/1/source") as file:
    file.write(b"x" * (6 << 20))
    print("sent", flush=True)
    sys.stdin.read()
"""


def test_the_upload_of_a_process_that_was_killed_is_never_seen(
    bucket: Bucket, blobs: Blobs
) -> None:
    command = [sys.executable, "-c", KILLED, bucket.url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"sent\n"
        process.kill()
    assert not blobs.exists("jobs/1/source")
    assert blobs.keys("jobs") == []
    with pytest.raises(BlobMissing):
        blobs.open("jobs/1/source")
    # The rules of the bucket must end the upload in this state.
    until(lambda: bucket.unfinished() == ["edugraph/jobs/1/source"], 5)


WRITES = """
import sys
from edugraph_common.runtime.shared_state.object_store import Blobs
with Blobs(sys.argv[1]).write(sys.argv[2]) as file:
    file.write(b"of another process")
"""


def test_a_blob_of_another_process_is_seen_at_once(bucket: Bucket, blobs: Blobs) -> None:
    """Out: `_FRESH`: s3fs keeps the listing of a folder, and looks into it from then on."""
    _store(blobs, "jobs/1/source", b"x")
    assert blobs.keys("jobs/1") == ["jobs/1/source"]
    assert blobs.folders("jobs") == ["1"]
    assert not blobs.exists("jobs/1/index")
    command = [sys.executable, "-c", WRITES, bucket.url, "jobs/1/index"]
    subprocess.run(command, check=True, env={**os.environ})
    assert blobs.exists("jobs/1/index")
    assert blobs.keys("jobs/1") == ["jobs/1/index", "jobs/1/source"]
    assert blobs.read("jobs/1/index", 0, 100) == b"of another process"
    blobs.delete("jobs/1")
    assert blobs.keys("jobs/1") == []


# The client of S3 takes 45 MiB of it, and the two parts that are on their way, with their copies, 20 to 30 MiB.
MOST_MIB = 110


def test_uploads_at_once_take_little_memory_each(bucket: Bucket, tmp_path: Path) -> None:
    """Out: FIRST_PART_BYTES = 50 MiB. `make bench-s3` measures 16 uploads of 200 MiB."""
    with virtual_host() as addresses:
        found = uploads_at_once(addresses, bucket, tmp_path, number=4, mebibytes=64)
    assert found.peak_mib - found.before_mib < MOST_MIB, found
    assert found.sent_bytes < 1.1 * 4 * 64 * MEBIBYTE
