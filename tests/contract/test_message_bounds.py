"""The bounds of each field of a task's message: the last value that is taken, and the first that is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edugraph_common.contracts import messages
from edugraph_common.contracts.messages import (
    Analysis,
    AnalysisBatch,
    AnalysisWindow,
    ByteRange,
    Findings,
    ForgetStudent,
    ImportBatch,
    ImportJob,
    Message,
)

JOB = {"job_id": "j"}
RANGE = {"source": "s", "offset": 0, "length": 0, "first_line": 1}
BATCH = {**JOB, "batch": 0}
OF_A_KIND = {**BATCH, "kind": "error"}
PACK = {**JOB, "pack": "p", "kind": "error", "records": [{}]}
REFERRED = {**JOB, "pack": "p", "kind": "error", "rows": RANGE, "count": 1}
FOUND = {**JOB, "pack": "p", "findings": []}

# contract, the rest of the message, field, what is taken last, what is refused first
BOUNDS: list[tuple[type[Any], dict[str, Any], str, list[Any], list[Any]]] = [
    (Message, {}, "job_id", ["j", "j" * 64], ["", "j" * 65, None]),
    (ByteRange, RANGE, "offset", [0], [-1]),
    (ByteRange, RANGE, "length", [0], [-1]),
    (ByteRange, RANGE, "first_line", [1], [0]),
    (ByteRange, RANGE, "format", ["ndjson", "csv", "xapi", "openedx"], ["xml"]),
    (ByteRange, RANGE, "compression", [None, "zstd"], ["gzip"]),
    (ImportJob, JOB, "compression", [None, "gzip", "zstd"], ["zip"]),
    (ImportJob, JOB, "batch_size", [1, 10_000], [0, 10_001]),
    (ImportJob, JOB, "parallel_batches", [1, 1_000], [0, 1_001]),
    (ImportJob, JOB, "next_batch", [0], [-1]),
    (ImportJob, JOB, "generation", [0], [-1]),
    (ImportBatch, BATCH, "batch", [0], [-1]),
    (ImportBatch, BATCH, "first_line", [1], [0]),
    (ImportBatch, BATCH, "expected", [None, 0], [-1]),
    (ImportBatch, BATCH, "generation", [0], [-1]),
    (AnalysisBatch, OF_A_KIND, "batch", [0], [-1]),
    (AnalysisBatch, OF_A_KIND, "expected", [None, 0], [-1]),
    (AnalysisBatch, OF_A_KIND, "kind", ["interaction", "error", "knowledge_points"], ["mood"]),
    (AnalysisBatch, OF_A_KIND, "pack_records", [None, 1, 100], [0, 101]),
    (AnalysisWindow, JOB, "generation", [None, 0], [-1]),
    (Analysis, REFERRED, "count", [1, 100], [0, 101]),
    (Analysis, REFERRED, "first", [0], [-1]),
    (Analysis, PACK, "pack", ["p", "p" * 128], ["", "p" * 129]),
    (Analysis, PACK, "records", [[{}], [{}] * 100], [[], [{}] * 101]),
    (Findings, FOUND, "pack", ["p", "p" * 128], ["", "p" * 129]),
    (Findings, FOUND, "edition", [None, "e" * 64], ["e" * 65]),
    (ForgetStudent, JOB, "student_id", ["s", "s" * 128], ["", "s" * 129]),
]
IDS = [f"{contract.__name__}.{field}" for contract, _, field, _, _ in BOUNDS]


@pytest.mark.parametrize(("contract", "rest", "field", "taken", "refused"), BOUNDS, ids=IDS)
def test_the_last_value_is_taken_and_the_next_one_refused(
    contract: type[Any], rest: dict[str, Any], field: str, taken: list[Any], refused: list[Any]
) -> None:
    for value in taken:
        assert contract.model_validate({**rest, field: value})
    for value in refused:
        with pytest.raises(ValidationError, match=field):
            contract.model_validate({**rest, field: value})


def test_a_pack_has_its_records_or_refers_to_them() -> None:
    for wrong in ({**PACK, **REFERRED}, {**REFERRED, "rows": None}):
        with pytest.raises(ValidationError, match="exactly one"):
            Analysis.model_validate(wrong)


def test_a_pack_s_findings_are_a_hundred_at_most() -> None:
    given = json.loads((Path(__file__).parent / "golden" / "findings.v1.json").read_text(encoding="utf-8"))
    [finding, *_] = given["findings"]
    assert len(Findings.model_validate({**given, "findings": [finding] * 100}).findings) == 100
    with pytest.raises(ValidationError, match="at most 100"):
        Findings.model_validate({**given, "findings": [finding] * 101})


def test_what_has_its_default_is_left_out_but_for_the_version() -> None:
    assert Message(job_id="j").model_dump() == {"version": 1, "job_id": "j"}
    assert ImportJob(job_id="j", parallel_batches=64, next_batch=1, deadline=5.0).model_dump() == {
        "version": 1,
        "job_id": "j",
        "next_batch": 1,
        "deadline": 5.0,
    }
    assert ByteRange(**RANGE).model_dump() == RANGE


def test_what_is_sent_at_once_has_these_bounds() -> None:
    """Clients, the gateway and the importer cut by them; a change is told in the changelog."""
    assert messages.JOB_DEADLINE_SECONDS == 604_800
    assert (messages.INLINE_RECORDS, messages.INLINE_BYTES) == (1_000, 1_048_576)
    assert (messages.IMPORT_CONTENT_PACK, messages.REQUEST_CONTENT_PACK) == (4, 10)
