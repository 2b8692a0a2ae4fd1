"""Uploads, batches and rejects in a bucket, as the chart's example for production has it: blobs.url=s3://…."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from engines import CHECKOUT, real_engine
from s3_server import Bucket, bucket_on, s3_server

from edugraph_cli.serving import Pools

pytestmark = pytest.mark.real
ROWS = CHECKOUT / "examples" / "school_en.ndjson"


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with s3_server() as server, bucket_on(server) as own:
        yield own


def test_gateway_and_workers_share_a_bucket(tmp_path: Path, bucket: Bucket) -> None:
    """The workers are forked: a client of S3 that was opened before the fork would refuse to work."""
    wrong = tmp_path / "some-are-wrong.ndjson"
    wrong.write_text(
        ROWS.read_text(encoding="utf-8") + '{"type": "no such type"}\n', encoding="utf-8"
    )
    with real_engine(tmp_path) as plain:
        engine = replace(plain, environment={**plain.environment, **bucket.environment})
        with engine.serve(Pools(importer=2, findings=1, analyzer=2)) as system:
            report = system.import_and_report(wrong, "--analyze")
            rejects = httpx.get(f"{system.url}/v1/jobs/{report['job_id']}/rejects", timeout=20).text
    assert report["written"] == len(ROWS.read_text(encoding="utf-8").splitlines())
    assert report["rejected"] == len(rejects.splitlines()) == 1
    assert any(key.startswith(f"edugraph/jobs/{report['job_id']}/") for key in bucket.objects())
    assert bucket.unfinished() == []
    assert not (tmp_path / "blobs").exists()
