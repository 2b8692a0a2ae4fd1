"""Version 1 of each contract as JSON that must stay readable, and be written again just so.

A change that makes one of these files differ is a new version, not an edit of the file.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.events import Event
from edugraph_common.contracts.messages import (
    Analysis,
    AnalysisBatch,
    AnalysisEstimate,
    Findings,
    ImportAggregate,
    ImportBatch,
    ImportJob,
)
from edugraph_common.contracts.outcomes import BatchOutcome, FindingsOutcome, ImportReport, JobReport
from edugraph_common.contracts.records import parse_record

GOLDEN = Path(__file__).parent / "golden"
CONTRACTS: dict[str, type[Frozen]] = {
    "import_job": ImportJob,
    "import_batch": ImportBatch,
    "import_aggregate": ImportAggregate,
    "analysis_batch": AnalysisBatch,
    "analysis": Analysis,
    "analysis_estimate": AnalysisEstimate,
    "findings": Findings,
    "batch_outcome": BatchOutcome,
    "import_report": ImportReport,
    "findings_outcome": FindingsOutcome,
    "job_report": JobReport,
    "event": Event,
}


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.v1.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_golden_message_is_read_and_nothing_of_it_is_lost(name: str) -> None:
    parsed = CONTRACTS[name].model_validate_json(golden(name))
    written = parsed.model_dump(mode="json")
    assert _kept(written, json.loads(golden(name))) == json.loads(golden(name))


def _kept(written: Any, given: Any) -> Any:
    """What is written of what was given: fields that came later, with their defaults, are left out."""
    if isinstance(given, dict) and isinstance(written, dict):
        return {key: _kept(written[key], value) for key, value in given.items()}
    if isinstance(given, list) and isinstance(written, list) and len(given) == len(written):
        return [_kept(one, other) for one, other in zip(written, given, strict=True)]
    return written


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_field_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="nobody_knows"):
        CONTRACTS[name].model_validate({**json.loads(golden(name)), "nobody_knows": 1})


def test_golden_records_are_read_and_keep_their_ids() -> None:
    lines = (GOLDEN / "records.v1.ndjson").read_text(encoding="utf-8").splitlines()
    parsed = [parse_record(json.loads(line)) for line in lines]
    assert len({record.type for record in parsed}) == 5
    assert [record.content_hash[:12] for record in parsed] == json.loads(golden("record_hashes"))
