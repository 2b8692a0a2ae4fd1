"""Who brings an import decides which of its rows are written: the rights travel with the job and its batches."""

import json
from pathlib import Path
from typing import Any

import pytest

from edugraph_common.contracts.messages import (
    ImportAggregate,
    ImportBatch,
    ImportJob,
    ImportRights,
    SplitSource,
    person_mark,
)
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import RECORD_TYPES, parse_record
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.stored_jobs import load_job, store_job
from edugraph_importer.batching import ReadBatch, count_batches, read_batch, window

HEAD = {"timestamp": "2026-01-01T00:00:00Z"}
GOLDEN = Path(__file__).parents[3] / "tests" / "contract" / "golden" / "records.v1.ndjson"
# The first record of each type. The second person_record is a decision, which needs another scope.
OF_TYPE: dict[str, dict[str, Any]] = {}
for line in GOLDEN.read_text().splitlines():
    OF_TYPE.setdefault(json.loads(line)["type"], json.loads(line))
ROSTER = {"membership_record", "person_record", "term_record"}
# No import may write this type, whatever the rights of its caller.
ACTIONS = {"action_record"}


def membership(**data: Any) -> dict[str, Any]:
    return {"type": "membership_record", **HEAD, "data": {"group_id": "8B", **data}}


def inline(rights: ImportRights, *rows: dict[str, Any]) -> ReadBatch:
    job = ImportJob(job_id="j", records=rows, rights=rights)
    (message,) = window(Blobs("."), job, 1)
    return read_batch(Blobs("."), ImportBatch.model_validate_json(message.model_dump_json()))


def types_of(found: ReadBatch) -> set[str]:
    return {record.type for _, record in found.graph.records}


def test_the_types_of_rosters_are_those_that_say_who_is_who_and_in_which_group() -> None:
    assert OF_TYPE.keys() == set(RECORD_TYPES)
    assert {
        each for each in RECORD_TYPES if ImportRights(learning=False, roster=True).may_write(each)
    } == ROSTER


@pytest.mark.parametrize(
    ("rights", "written"),
    [
        (ImportRights(), set(RECORD_TYPES) - ROSTER - ACTIONS),
        (ImportRights(learning=False, roster=True), ROSTER),
        (ImportRights(roster=True), set(RECORD_TYPES) - ACTIONS),
        (ImportRights(learning=False), set()),
        (ImportRights(learning=False, acts=True), ACTIONS),
    ],
    ids=["submit", "roster", "both", "neither", "acts"],
)
def test_a_type_that_the_caller_may_not_write_is_set_aside_with_a_sentence(
    rights: ImportRights, written: set[str]
) -> None:
    """Out: `check_rights`, or `rights` in `window`."""
    found = inline(rights, *(OF_TYPE[each] for each in RECORD_TYPES))
    assert types_of(found) == written
    assert {(each.field, each.found) for each in found.graph.rejects} == {
        ("type", each) for each in set(RECORD_TYPES) - written
    }
    for reject in found.graph.rejects:
        scope = "roster" if reject.found in ROSTER else "submit"
        reason = f"needs the scope {scope}, which the caller of this import does not have"
        if reject.found in ACTIONS:
            reason = (
                "is written by POST /v1/actions and by no import, so that nobody chooses its author"
            )
        assert reject.reason == reason
        assert parse_record(json.loads(reject.raw or "")).type == reject.found
    assert found.graph.read == len(RECORD_TYPES)
    assert found.graph.rights == rights


@pytest.mark.parametrize(
    "rights", [ImportRights(roster=True), ImportRights(roster=True, operate=True)]
)
def test_only_an_operator_decides_about_an_id(rights: ImportRights) -> None:
    """Out: `decides` in `check_rights`, or `operate` in the messages."""
    stated = {"person_id": "S05", "also": ["17"]}
    claim = {"type": "person_record", **HEAD, "data": stated}
    decision = {**claim, "record_id": "d", "data": {**stated, "decides": True}}
    found = inline(rights, claim, decision)
    decided = [record.data.decides for _, record in found.graph.records]  # type: ignore[union-attr]
    reasons = [(each.field, each.reason.split(",")[0]) for each in found.graph.rejects]
    if rights.operate:
        assert (decided, reasons) == ([False, True], [])
    else:
        assert decided == [False]
        assert reasons == [("data.decides", "needs the scope operate")]


@pytest.mark.parametrize(
    "data",
    [
        {"teacher_id": "T01", "role": "leader"},
        {"teacher_id": "T01"},
        {"student_id": "T01", "role": "leader"},
        {"teacher_id": "T01", "term": "2026-1", "starts": "2026-01-01", "ends": "2026-07-01"},
        {"teacher_id": " T01 "},
    ],
    ids=str,
)
def test_nobody_makes_themselves_the_leader_of_a_group(data: dict[str, Any]) -> None:
    """Out: the comparison with `person` in `check_rights`."""
    found = inline(
        ImportRights(roster=True, person=person_mark("j", "T01")),
        membership(**data),
        membership(teacher_id="T02"),
    )
    assert [record.data.teacher_id for _, record in found.graph.records] == ["T02"]  # type: ignore[union-attr]
    [reject] = found.graph.rejects
    assert (reject.line, reject.found) == (1, "")
    assert reject.reason.startswith("would make the caller of this import the leader of a group")


def test_a_caller_may_say_that_they_belong_to_a_group_or_that_others_lead_it() -> None:
    rights = ImportRights(roster=True, person=person_mark("j", "T01"))
    rows = (
        membership(teacher_id="T01", role="member"),
        membership(student_id="T01"),
        membership(teacher_id="T02"),
    )
    assert inline(rights, *rows).graph.rejects == []


def test_the_rights_are_those_of_the_job_in_every_message_and_in_what_is_stored(
    tmp_path: Path,
) -> None:
    """Out: `rights` in `window`. A large file, a job that Redis lost and an undo read the stored job."""
    rights = ImportRights(roster=True, client="k1", person=person_mark("j", "T01"))
    job = ImportJob(job_id="j", source="jobs/j/source.ndjson", rights=rights)
    sent = SplitSource.model_validate_json(SplitSource(**dict(job)).model_dump_json())
    assert ImportJob(**sent.model_dump(exclude={"then"})).rights == rights
    after = ImportAggregate(job_id="j", job=job, batches=1, window_end=1)
    assert ImportAggregate.model_validate_json(after.model_dump_json()).job.rights == rights
    blobs = Blobs(str(tmp_path))
    store_job(blobs, job)
    stored = load_job(blobs, "j")
    assert stored is not None
    assert stored.rights == rights


def test_rows_of_a_file_are_set_aside_with_their_lines(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    rows = [
        OF_TYPE["course_content"],
        membership(teacher_id="T01"),
        OF_TYPE["term_record"],
        OF_TYPE["point_record"],
    ]
    with blobs.write("jobs/j/source.ndjson") as file:
        file.write("".join(f"{json.dumps(row)}\n" for row in rows).encode())
    job = ImportJob(job_id="j", source="jobs/j/source.ndjson", batch_size=3)
    rejects: list[Reject] = []
    for message in window(blobs, job, count_batches(blobs, job)):
        rejects += read_batch(blobs, message).graph.rejects
    assert [each.line for each in rejects] == [2, 3]


def test_a_message_of_a_sender_that_knows_no_rights_may_not_write_rosters() -> None:
    """Out: the default of `roster`."""
    message = ImportBatch.model_validate(
        {"job_id": "j", "batch": 0, "records": [membership(teacher_id="T01")]}
    )
    assert read_batch(Blobs("."), message).graph.records == []


def test_a_withdrawal_comes_with_its_line_and_the_rights_of_its_import() -> None:
    taken_back = {"record_id": "m-1", "withdrawn": True, **HEAD}
    found = inline(ImportRights(), OF_TYPE["point_record"], taken_back).graph
    assert [(line, each.record_id) for line, each in found.withdrawn] == [(2, "m-1")]
    assert found.rights == ImportRights()


@pytest.mark.parametrize("acts", [False, True])
def test_who_may_write_no_type_withdraws_nothing(acts: bool) -> None:
    """Out: `check_withdrawal` in `_allowed`."""
    found = inline(
        ImportRights(learning=False, acts=acts), {"record_id": "r", "withdrawn": True, **HEAD}
    )
    assert found.graph.withdrawn == []
    [reject] = found.graph.rejects
    assert (reject.field, reject.line) == ("withdrawn", 1)
    assert "needs the scope submit" in reject.reason


def test_a_row_that_is_set_aside_shows_the_id_that_was_sent() -> None:
    """Out: the check of the length in `keyed`, or `_as_sent` with the row that has its key."""
    row = OF_TYPE["attempt_record"] | {"record_id": "x" * 128}
    withdrawal = {**HEAD, "record_id": "y" * 128, "withdrawn": True}
    fits = OF_TYPE["attempt_record"] | {"record_id": "r"}
    found = inline(ImportRights(source="lms"), row, withdrawal, fits).graph
    assert [(line, record.record_id) for line, record in found.records] == [(3, "@lms/r")]
    assert [(each.line, each.field, each.reason) for each in found.rejects] == [
        (line, "record_id", "is too long for the source lms") for line in (1, 2)
    ]
    assert [json.loads(each.raw or "")["record_id"] for each in found.rejects] == [
        "x" * 128,
        "y" * 128,
    ]
    assert found.rejects[0].expected == "at most 123 characters"
