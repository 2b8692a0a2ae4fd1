"""What of a forgotten student leaves the blob store."""

import gzip
import json
from pathlib import Path

from edugraph_common.platform.object_store import Blobs
from edugraph_importer.erasure import erase_from_blobs


def test_files_that_name_them_go_and_rejects_lose_their_lines(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    named, other = json.dumps({"student_id": "学-7"}).encode(), b'{"student_id": "8"}'
    for key, content in {
        "jobs/a/source.ndjson": b"x" * ((1 << 20) - 3) + named,
        "jobs/b/source.ndjson.gz": gzip.compress('{"student_id": "学-7"}'.encode()),
        "jobs/c/source.ndjson": other,
        "jobs/c/rejects/0.ndjson": named + b"\n" + other + b"\n",
        "jobs/c/ranges": b"0",
    }.items():
        with blobs.write(key) as file:
            file.write(content)
    assert erase_from_blobs(blobs, "学-7") == {"files": 2, "rejects": 1}
    assert blobs.keys("jobs") == ["jobs/c/ranges", "jobs/c/rejects/0.ndjson", "jobs/c/source.ndjson"]
    assert blobs.read("jobs/c/rejects/0.ndjson", 0, 100) == other + b"\n"
    assert erase_from_blobs(blobs, "学-7") == {"files": 0, "rejects": 0}
