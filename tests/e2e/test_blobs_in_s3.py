"""Uploads, batches and rejects in a bucket, as the chart's example for production has it: blobs.url=s3://…."""

import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from engines import CHECKOUT, real_engine
from moto.server import ThreadedMotoServer

from edugraph_cli.serving import Pools

pytestmark = pytest.mark.real
ROWS = CHECKOUT / "examples" / "school_en.ndjson"


@pytest.fixture
def s3() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{address}/school", method="PUT")).close()
    yield address
    server.stop()


def test_gateway_and_workers_share_a_bucket(tmp_path: Path, s3: str) -> None:
    """The workers are forked: a client of S3 that was opened before the fork would refuse to work."""
    wrong = tmp_path / "some-are-wrong.ndjson"
    wrong.write_text(ROWS.read_text(encoding="utf-8") + '{"type": "no such type"}\n', encoding="utf-8")
    bucket = {
        "EDUGRAPH_BLOB_URL": "s3://school/edugraph",
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with real_engine(tmp_path) as plain:
        engine = replace(plain, environment={**plain.environment, **bucket})
        with engine.serve(Pools(importer=2, findings=1, analyzer=2)) as system:
            report = system.import_and_report(wrong, "--analyze")
            rejects = httpx.get(f"{system.url}/v1/jobs/{report['job_id']}/rejects", timeout=20).text
    assert report["written"] == len(ROWS.read_text(encoding="utf-8").splitlines())
    assert report["rejected"] == len(rejects.splitlines()) == 1
    with urllib.request.urlopen(f"{s3}/school?list-type=2&prefix=edugraph/") as answer:
        assert str(report["job_id"]) in answer.read().decode()
    assert not (tmp_path / "blobs").exists()
