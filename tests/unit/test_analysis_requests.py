"""What is asked of the analyzer about a batch: nothing about records that the graph refused, and what is known beside a text."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_analyzer.documents import StoredBatches, read_document
from edugraph_common.contracts.findings import kind_to_read
from edugraph_common.contracts.messages import (
    IMPORT_CONTENT_PACK,
    PACK_RECORDS,
    REQUEST_CONTENT_PACK,
    Analysis,
    AnalysisBatch,
    ByteRange,
    CourseContext,
    ImportBatch,
    ImportJob,
    ImportRights,
)
from edugraph_common.contracts.records import course_ids_of, parse_record
from edugraph_common.runtime.shared_state.analysis_window import pack_of
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import store_rows
from edugraph_importer import analysis_requests
from edugraph_importer.analysis_requests import AnalysisRequests
from edugraph_importer.batching import read_batch, window

FIRST_LINE = 7
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Windows:
    """Takes the requests that would wait in Redis."""

    def __init__(self) -> None:
        self.requests: list[AnalysisBatch] = []
        self.texts: list[str] = []

    def ask(self, requests: list[AnalysisBatch], _by: str) -> str:
        self.requests += requests
        return "waits"

    def texts_sent(self, _job_id: str, packs: list[str], now: datetime) -> None:
        assert now == NOW
        self.texts += packs


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    return Blobs(str(tmp_path_factory.mktemp("blobs")))


def value(number: int) -> dict[str, Any]:
    data = {"student_id": f"s{number}", "course_id": "c", "error_text": f"mistake {number}"}
    return {
        "type": "error_record",
        "timestamp": "2026-01-05T08:00:00Z",
        "record_id": f"r{number}",
        "data": data,
    }


@given(
    refused=st.lists(st.booleans(), min_size=1, max_size=12),
    inline=st.booleans(),
    key=st.sampled_from([("default", ""), ("lms", "@lms/")]),
)
def test_the_texts_of_records_that_the_graph_refused_are_not_read(
    blobs: Blobs, refused: list[bool], inline: bool, key: tuple[str, str]
) -> None:
    """The others are read with the keys of their source, and an id that is too long for a key moves nothing.

    Out, one at a time: `left_out` in StoredBatches.with_records, or in AnalysisRequests.ask; `keyed` or the
    suppressed error in with_records; the records in place of the values of the message in AnalysisRequests.ask.
    """
    source, begin = key
    values = [value(number) for number in range(len(refused))]
    if begin:
        values.insert(0, value(0) | {"record_id": "x" * 128})
    job_id, sent = uuid4().hex, list[AnalysisBatch]()
    how: dict[str, Any] = {"records": tuple(values), "first_line": FIRST_LINE}
    if not inline:
        stored = store_rows(blobs, job_id, values)
        how = {"rows": stored.model_copy(update={"source_name": source})}
    rights = ImportRights(source=source)
    message = ImportBatch(job_id=job_id, batch=0, rights=rights, **how)
    numbered = read_batch(blobs, message).graph.records
    lines = [line for (line, _), is_refused in zip(numbered, refused, strict=True) if is_refused]
    kept = [record for line, record in numbered if line not in lines]
    windows = Windows()
    requests = AnalysisRequests(None, windows, blobs, lambda _: (), lambda: NOW)  # type: ignore[arg-type]
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
    expected = [f"{begin}r{number}" for number, is_refused in enumerate(refused) if not is_refused]
    assert read == expected


def text(number: int, kind: str, course: str) -> dict[str, Any]:
    fields = {
        "error": {"student_id": "s", "error_text": f"mistake {number}"},
        "knowledge_points": {"content": f"text {number}"},
        "interaction": {"student_id": "s", "text": f"post {number}"},
    }
    types = {
        "error": "error_record",
        "knowledge_points": "course_content",
        "interaction": "post_record",
    }
    data = fields[kind] | {"course_id": course}
    return {
        "type": types[kind],
        "timestamp": "2026-01-05T08:00:00Z",
        "record_id": f"r{number}",
        "data": data,
    }


def test_economy_and_the_acceptance_number_go_with_a_job_down_to_its_packs(blobs: Blobs) -> None:
    """Out: "economy" or "acceptance" where one of them is made of another."""
    values = (
        *(text(number, "error", "c") for number in range(3)),
        text(3, "knowledge_points", "c"),
    )
    inline = ImportJob(job_id=uuid4().hex, records=values, analyze=True, economy=True, acceptance=7)
    (batch,) = window(blobs, inline, 1)
    rows = ByteRange(source="s", offset=0, length=1, first_line=1)
    windows, sent = Windows(), list[Any]()
    requests = AnalysisRequests(None, windows, blobs, lambda _: (), lambda: NOW)  # type: ignore[arg-type]
    kept = [parse_record(value) for value in values]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis_requests, "send", lambda *args, **_: sent.append(args[-1]))
        requests.ask(batch, kept)
        requests.ask(batch.model_copy(update={"records": None, "rows": rows}), kept)
    asked = [*sent, *windows.requests, *(pack_of(each, "p", 0, 1) for each in windows.requests)]
    assert len(asked) == 6
    assert all(each.economy for each in asked)
    assert {each.acceptance for each in asked} == {7}
    # Texts first: mistakes wait for them, also for those that hold their records.
    assert windows.texts == [f"knowledge_points-{batch.batch}-0"]
    assert [each.kind for each in windows.requests] == ["knowledge_points", "error"]
    sizes = {each.kind: each.pack_records for each in windows.requests}
    assert sizes == {"error": PACK_RECORDS, "knowledge_points": REQUEST_CONTENT_PACK}


@given(
    texts=st.lists(
        st.tuples(
            st.sampled_from(["error", "interaction", "knowledge_points"]), st.sampled_from("abc")
        ),
        min_size=1,
        max_size=12,
    ),
    inline=st.booleans(),
)
def test_texts_are_read_with_the_points_of_their_courses(
    blobs: Blobs, texts: list[tuple[str, str]], inline: bool
) -> None:
    """Out: a kind in the loop of `_let_wait`, `contexts` in `_send_at_once`, or `own_contexts`."""
    values = [text(number, *each) for number, each in enumerate(texts)]
    job_id, sent, windows = uuid4().hex, list[Any](), Windows()
    how: dict[str, Any] = (
        {"records": tuple(values)} if inline else {"rows": store_rows(blobs, job_id, values)}
    )
    message = ImportBatch(job_id=job_id, batch=0, **how)
    kept = [record for _, record in read_batch(blobs, message).graph.records]

    def known(course_ids: Sequence[str]) -> tuple[CourseContext, ...]:
        return tuple(
            CourseContext(course_id=each, knowledge_points=(f"point of {each}",))
            for each in course_ids
        )

    requests = AnalysisRequests(None, windows, blobs, known, lambda: NOW)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis_requests, "send", lambda *args, **_: sent.append(args[-1]))
        requests.ask(message, kept)
    told: list[tuple[str, str]] = []
    for request in [*sent, *windows.requests]:
        pack = (
            request
            if inline
            else StoredBatches(blobs).with_records(pack_of(request, "p", 0, request.expected))
        )
        read = [
            each
            for value in pack.records
            if (each := parse_record(value)) and kind_to_read(each) == pack.kind
        ]
        if isinstance(request, Analysis):
            assert len(read) <= IMPORT_CONTENT_PACK
            assert {context.course_id for context in request.contexts} == {
                course_id for each in read for course_id in course_ids_of(each)
            }
        for record in read:
            document = read_document(record.to_json(), pack.kind, pack.contexts)
            told += [(record.record_id, point) for point in document.known_points]
    assert sorted(told) == sorted(
        (f"r{number}", f"point of {course}") for number, (_, course) in enumerate(texts)
    )
