"""Version 1 of each contract as JSON that must stay readable, and be written so that its reader of then can read it.

A change that makes one of these files unreadable, or adds to what is written of them, is a new version and not an edit
of the file.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.drafts import Draft
from edugraph_common.contracts.events import Event
from edugraph_common.contracts.messages import (
    AdmitPerson,
    Analysis,
    AnalysisBatch,
    AnalysisEstimate,
    AnalysisWindow,
    CheckWorker,
    ChooseQuestion,
    CleanJob,
    CompareNames,
    CourseMembersRequest,
    DeriveGraph,
    EndOldRecords,
    ErasePerson,
    ExportStudent,
    Findings,
    ImportAggregate,
    ImportBatch,
    ImportJob,
    LiveBatch,
    Message,
    ProposedPairs,
    ProposeSame,
    ReadAgain,
    RemoveFromGraph,
    RenameInGraph,
    ReplayErasures,
    RestrictStudent,
    SettlePrerequisites,
    SplitSource,
    UndoImport,
    WriteDraft,
    WriteReviews,
)
from edugraph_common.contracts.outcomes import (
    BatchOutcome,
    FindingsOutcome,
    ImportReport,
    JobReport,
    PackOutcome,
    SettledPrerequisites,
)
from edugraph_common.contracts.records import (
    DATA_OF_TYPE,
    RECORD_TYPES,
    InvalidRecord,
    Record,
    Withdrawal,
    parse_record,
    parse_row,
)
from edugraph_common.contracts.wordings import ChosenQuestion

GOLDEN = Path(__file__).parent / "golden"
CONTRACTS: dict[str, type[ContractModel]] = {
    "import_job": ImportJob,
    "split_source": SplitSource,
    "import_batch": ImportBatch,
    "live_batch": LiveBatch,
    "import_aggregate": ImportAggregate,
    "analysis_batch": AnalysisBatch,
    "analysis": Analysis,
    "analysis_estimate": AnalysisEstimate,
    "analysis_window": AnalysisWindow,
    "findings": Findings,
    "course_members_request": CourseMembersRequest,
    "derive_graph": DeriveGraph,
    "propose_same": ProposeSame,
    "compare_names": CompareNames,
    "proposed_pairs": ProposedPairs,
    "write_draft": WriteDraft,
    "draft": Draft,
    "choose_question": ChooseQuestion,
    "chosen_question": ChosenQuestion,
    "write_reviews": WriteReviews,
    "undo_import": UndoImport,
    "remove_from_graph": RemoveFromGraph,
    "rename_in_graph": RenameInGraph,
    "read_again": ReadAgain,
    "restrict_student": RestrictStudent,
    "export_student": ExportStudent,
    "erase_person": ErasePerson,
    "admit_person": AdmitPerson,
    "replay_erasures": ReplayErasures,
    "clean_job": CleanJob,
    "check_worker": CheckWorker,
    "end_old_records": EndOldRecords,
    "settle_prerequisites": SettlePrerequisites,
    "settled_prerequisites": SettledPrerequisites,
    "batch_outcome": BatchOutcome,
    "import_report": ImportReport,
    "findings_outcome": FindingsOutcome,
    "pack_outcome": PackOutcome,
    "job_report": JobReport,
    "event": Event,
}


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.v1.json").read_text(encoding="utf-8")


TASK_MESSAGES = [name for name, contract in CONTRACTS.items() if issubclass(contract, Message)]


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_golden_message_is_read_and_nothing_of_it_is_lost(name: str) -> None:
    parsed = CONTRACTS[name].model_validate_json(golden(name))
    written = parsed.model_dump(mode="json")
    assert CONTRACTS[name].model_validate(written) == parsed
    given = json.loads(golden(name))
    assert _kept(written, given) == _kept(given, written)


def _kept(one: Any, other: Any) -> Any:
    """What both have: of the fields that came later, and of those that are left out with their defaults, nothing."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: _kept(value, other[key]) for key, value in one.items() if key in other}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [_kept(each, another) for each, another in zip(one, other, strict=True)]
    return one


def test_every_task_message_has_a_golden_file() -> None:
    assert set(Message.__subclasses__()) <= set(CONTRACTS.values())


@pytest.mark.parametrize("name", CONTRACTS)
def test_what_a_field_is_when_it_is_left_out_stays_the_same(name: str) -> None:
    """A message that waits in a queue leaves defaults out, so a changed default changes what it asks for."""
    defaults = json.loads((GOLDEN / "defaults.json").read_text(encoding="utf-8"))
    assert _defaults(CONTRACTS[name]) == defaults[name]


def _defaults(contract: type[BaseModel]) -> dict[str, Any]:
    fields = {name: each for name, each in contract.model_fields.items() if not each.is_required()}
    return {
        name: to_jsonable_python(each.get_default(call_default_factory=True))
        for name, each in fields.items()
    }


@pytest.mark.parametrize("name", TASK_MESSAGES)
def test_an_older_reader_is_sent_no_field_that_it_does_not_know(name: str) -> None:
    """It reads what was added since by its default. Out: Sent.without_defaults. Findings themselves are written whole,
    as they are stored in the graph.
    """
    given = json.loads(golden(name))
    written = CONTRACTS[name].model_validate(given).model_dump(mode="json")
    assert written["version"] == 1
    assert _added(written, given) == []


def _added(written: Any, given: Any, place: str = "") -> list[str]:
    """The fields of `written` that `given` has not."""
    if isinstance(written, dict) and isinstance(given, dict):
        added = [f"{place}.{key}" for key in written if key not in given]
        both = [key for key in written if key in given and key != "finding"]
        return added + [
            field for key in both for field in _added(written[key], given[key], f"{place}.{key}")
        ]
    if isinstance(written, list) and isinstance(given, list):
        pairs = zip(written, given, strict=True)
        return [
            field
            for number, pair in enumerate(pairs)
            for field in _added(*pair, f"{place}.{number}")
        ]
    return []


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_message_of_the_next_minor_version_is_read(name: str) -> None:
    """A field that nobody knows yet, in each of its objects, changes nothing. Out: extra="ignore" of MessageModel."""
    given = json.loads(golden(name))
    later = _with_more(given)
    assert CONTRACTS[name].model_validate(later) == CONTRACTS[name].model_validate(given)


# What these hold is not ours to extend: records, and names that data chose.
FOREIGN = {"records", "record", "by_type", "reasons", "not_relevant", "data", "parameters"}


def _with_more(value: Any) -> Any:
    if isinstance(value, dict):
        known = {key: each if key in FOREIGN else _with_more(each) for key, each in value.items()}
        return {**known, "nobody_knows": {"yet": 1}}
    return [_with_more(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", CONTRACTS)
def test_another_version_is_refused(name: str) -> None:
    given = json.loads(golden(name))
    field = "specversion" if name == "event" else "version"
    with pytest.raises(ValueError, match=field):
        CONTRACTS[name].model_validate({**given, field: 2})


def test_a_field_that_nobody_knows_is_refused_in_a_record() -> None:
    """A misspelt field would be lost in silence."""
    for line in (GOLDEN / "records.v1.ndjson").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        for wrong in (
            {**record, "nobody_knows": 1},
            {**record, "data": {**record["data"], "nobody_knows": 1}},
        ):
            with pytest.raises(InvalidRecord):
                parse_record(wrong)


def test_golden_records_are_read_and_keep_their_ids() -> None:
    lines = (GOLDEN / "records.v1.ndjson").read_text(encoding="utf-8").splitlines()
    parsed = [parse_record(json.loads(line)) for line in lines]
    assert len({record.type for record in parsed}) == len(RECORD_TYPES)
    assert [record.content_hash[:12] for record in parsed] == json.loads(golden("record_hashes"))


@pytest.mark.parametrize("kind", RECORD_TYPES)
def test_each_field_of_a_record_is_in_a_golden_line(kind: str) -> None:
    """A new field needs a line of its own. Out: a line of `records.v1.ndjson`."""
    given: set[str] = set()
    for line in (GOLDEN / "records.v1.ndjson").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["type"] == kind:
            given |= record["data"].keys()
    assert set(DATA_OF_TYPE[kind].model_fields) - given == set()


def test_golden_envelopes_are_read() -> None:
    """What takes a record back, what an adapter read in a newer way, and what no provider may see."""
    lines = (GOLDEN / "envelopes.v1.ndjson").read_text(encoding="utf-8").splitlines()
    by_id, by_content, read, withheld = [parse_row(json.loads(line)) for line in lines]
    assert isinstance(by_id, Withdrawal)
    assert by_id.record_id == "r-1"
    assert isinstance(read, Record)
    assert isinstance(by_content, Withdrawal)
    assert by_content.record_id == read.content_hash
    assert (read.record_id, read.reading, read.consent) == ("r-3", 1, True)
    assert isinstance(withheld, Record)
    assert not withheld.consent
    assert withheld.content_hash == read.content_hash
    assert parse_record(withheld.to_json()) == withheld
