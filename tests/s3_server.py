"""The real S3 server of the tests (tools/s3.py), and what the system moves and keeps when its blobs are there."""

import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
from engines import missing
from gateway_alone import RECORD, gateway
from proxy import Proxy
from s3fs import S3FileSystem

from edugraph_common.runtime.shared_state.object_store import Blobs
from tools import s3
from tools.common import ServerError

MEBIBYTE = 1 << 20
LINES = (json.dumps(RECORD) + "\n").encode() * 400  # 50 KB, as a request body arrives


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own, behind a proxy that counts."""

    server: s3.S3
    proxy: Proxy
    name: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}/edugraph"

    @property
    def environment(self) -> dict[str, str]:
        """Return the settings of a service whose blobs are in this bucket."""
        return {"EDUGRAPH_BLOB_URL": self.url, **self.server.environment(self.proxy.address)}

    def objects(self) -> set[str]:
        """Return the keys of all objects, as the server itself keeps them."""
        folder = self.server.buckets / self.name
        found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        return {str(path) for path in found if not path.parts[0].startswith(".sgwtmp")}

    def unfinished(self) -> list[str]:
        """Return the keys of the uploads that were begun and neither completed nor aborted."""
        options = {"key": self.server.access_key, "secret": self.server.secret_key}
        fs = S3FileSystem(endpoint_url=self.server.address, skip_instance_cache=True, **options)
        return [upload["Key"] for upload in fs.list_multipart_uploads(self.name)]


@contextmanager
def s3_server() -> Iterator[s3.S3]:
    """Yield a running server. If it cannot be had, tests are skipped, and fail in CI."""
    with tempfile.TemporaryDirectory(prefix="edugraph-s3-") as folder:
        try:
            with s3.running(Path(folder)) as server:
                yield server
        except ServerError as error:
            missing(str(error))


@contextmanager
def bucket_on(server: s3.S3) -> Iterator[Bucket]:
    name = f"b-{uuid4().hex}"
    (server.buckets / name).mkdir()
    with Proxy(server.address) as proxy:
        yield Bucket(server, proxy, name)


def range_factor(bucket: Bucket, blobs: Blobs, key: str, offset: int, length: int) -> float:
    """Return how many bytes the server sends for one range, as a multiple of its length."""
    before = bucket.proxy.from_server
    data = blobs.read(key, offset, length)
    assert len(data) == length
    return (bucket.proxy.from_server - before) / length


@dataclass(frozen=True)
class Uploads:
    """The memory of a gateway in MiB, before some uploads and at its peak, and the bytes that S3 was sent."""

    before_mib: int
    peak_mib: int
    sent_bytes: int


def uploads_at_once(
    environment: Mapping[str, str], bucket: Bucket, folder: Path, number: int, mebibytes: int
) -> Uploads:
    """Have a gateway take so many uploads of that size at the same time."""

    def lines() -> Iterator[bytes]:
        for _ in range(mebibytes * MEBIBYTE // len(LINES)):
            yield LINES

    def upload(_: int) -> None:
        headers = {"Content-Type": "application/x-ndjson"}
        all_began.wait()
        while True:
            answer = httpx.post(
                f"{running.url}/v1/imports", content=lines(), headers=headers, timeout=1_200
            )
            if (
                answer.status_code != 503
            ):  # before it takes anything: a busy machine did not ask the broker in time
                break
            time.sleep(1)
        assert answer.status_code == 202, answer.text

    all_began = threading.Barrier(number)
    blob_url = {"blob_url": bucket.url}
    with gateway({**environment, **bucket.environment}, folder, **blob_url) as running:
        before = running.resident()
        sent_before = bucket.proxy.from_clients
        with ThreadPoolExecutor(number) as threads:
            list(threads.map(upload, range(number)))
        return Uploads(before, running.peak(), bucket.proxy.from_clients - sent_before)
