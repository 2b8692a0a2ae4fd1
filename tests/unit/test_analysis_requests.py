"""What is asked of the analyzer about a batch: nothing about the records that the graph refused."""

import json
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_analyzer.documents import StoredBatches
from edugraph_common.contracts.messages import AnalysisBatch, ByteRange, ImportBatch
from edugraph_common.platform.analysis_window import pack_of
from edugraph_common.platform.object_store import Blobs
from edugraph_importer import analysis_requests
from edugraph_importer.analysis_requests import AnalysisRequests
from edugraph_importer.batching import read_batch

FIRST_LINE = 7


class Windows:
    """Takes the requests that would wait in Redis."""

    def __init__(self) -> None:
        self.requests: list[AnalysisBatch] = []

    def ask(self, requests: list[AnalysisBatch], _by: str) -> str:
        self.requests += requests
        return "waits"


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    return Blobs(str(tmp_path_factory.mktemp("blobs")))


def value(number: int) -> dict[str, Any]:
    data = {"student_id": f"s{number}", "course_id": "c", "error_text": f"mistake {number}"}
    return {"type": "error_record", "timestamp": "2026-01-05T08:00:00Z", "record_id": f"r{number}", "data": data}


@given(refused=st.lists(st.booleans(), min_size=1, max_size=12), inline=st.booleans())
def test_the_texts_of_records_that_the_graph_refused_are_not_read(
    blobs: Blobs, refused: list[bool], inline: bool
) -> None:
    """Out: `left_out` in StoredBatches.with_records, or in AnalysisRequests.ask."""
    values = [value(number) for number in range(len(refused))]
    job_id, sent = uuid4().hex, list[AnalysisBatch]()
    source = f"jobs/{job_id}/source.ndjson"
    text = "".join(json.dumps(each) + "\n" for each in values).encode()
    with blobs.write(source) as file:
        file.write(text)
    rows = ByteRange(source=source, offset=0, length=len(text), first_line=FIRST_LINE)
    how: dict[str, Any] = {"records": tuple(values), "first_line": FIRST_LINE} if inline else {"rows": rows}
    message = ImportBatch(job_id=job_id, batch=0, **how)
    numbered = read_batch(blobs, message).graph.records
    lines = [line for (line, _), is_refused in zip(numbered, refused, strict=True) if is_refused]
    kept = [record for line, record in numbered if line not in lines]
    windows = Windows()
    requests = AnalysisRequests(None, windows, blobs, lambda _: ())  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:  # a fixture would be shared by all examples
        patch.setattr(analysis_requests, "send", lambda *args, **_: sent.append(args[-1]))
        assert requests.ask(message, kept, lines) == refused.count(False)
    read: list[str] = []
    for request in sent:
        read += [each["record_id"] for each in request.records or ()]
    for request in windows.requests:
        assert request.expected is not None
        pack = pack_of(request, "p", 0, request.expected)
        read += [each["record_id"] for each in StoredBatches(blobs).with_records(pack).records]
    assert read == [f"r{number}" for number, is_refused in enumerate(refused) if not is_refused]
