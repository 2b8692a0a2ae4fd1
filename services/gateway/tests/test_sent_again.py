"""A job that is resumed and a dead letter that is sent again name the sender by a mark, and make them no leader."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from edugraph_common.contracts.messages import (
    ImportAggregate,
    ImportBatch,
    ImportJob,
    ImportRights,
    RenameInGraph,
    UndoImport,
    person_mark,
)
from edugraph_common.contracts.records import InvalidRecord, parse_record
from edugraph_common.sources.rights import check_rights
from edugraph_gateway.operations.dead_letter_operator import with_sender
from edugraph_gateway.operations.resume import open_again

OFFICE = ImportRights(roster=True, client="office", person=person_mark("j", "T9"))
ROWS = (
    {
        "type": "membership_record",
        "timestamp": "2026-01-01",
        "data": {"group_id": "8B", "teacher_id": "T1"},
    },
)


def refused(rights: ImportRights) -> set[str]:
    """Return who of these may not become a leader by a row of the import."""
    found = set()
    for person in ("T1", "T2", "T5", "T9"):
        data = {**ROWS[0], "data": {"group_id": "8B", "teacher_id": person}}
        try:
            check_rights(parse_record(data), rights, "j")
        except InvalidRecord:
            found.add(person)
    return found


def test_a_letter_of_an_import_has_the_marks_of_all_who_sent_it() -> None:
    """Out: `rights` or `job` in `with_sender`."""
    job = ImportJob(job_id="j", records=ROWS, rights=OFFICE)
    batch = ImportBatch(job_id="j", batch=0, records=ROWS, rights=OFFICE)
    after = ImportAggregate(job_id="j", job=job, batches=1, window_end=1)
    messages: list[Any] = [job, batch, after]
    for message in messages:
        once = with_sender(json.loads(message.model_dump_json()), "T1")
        twice = with_sender(json.loads(json.dumps(once)), "T2")
        read = type(message).model_validate(twice)
        rights = read.job.rights if isinstance(read, ImportAggregate) else read.rights
        assert refused(rights) == {"T1", "T2", "T9"}
        assert rights.model_copy(update={"resumed_by": ()}) == OFFICE
        assert "T1" not in json.dumps(twice).replace(json.dumps(ROWS[0]["data"])[1:-1], "")


@pytest.mark.parametrize(
    "message",
    [
        UndoImport(job_id="j", import_id="i", client="office"),
        RenameInGraph(
            job_id="j", of="group", node_id="8B", new_id="9A", person=person_mark("j", "T9")
        ),
    ],
)
def test_a_letter_of_a_request_has_the_mark_too(message: UndoImport | RenameInGraph) -> None:
    """Out: `resumed_by` of the message itself."""
    read = type(message).model_validate(with_sender(json.loads(message.model_dump_json()), "T1"))
    assert person_mark("j", "T1") in read.marks
    assert read.model_copy(update={"resumed_by": ()}) == message


@pytest.mark.parametrize(
    "message", [None, "text", 7, [], {}, {"rights": 7, "job": [], "resumed_by": 7}]
)
def test_a_letter_of_any_form_can_be_sent_again(message: Any) -> None:
    json.dumps(with_sender(message, "T1"))


@pytest.mark.parametrize("person", ["T5", None])
def test_a_resumed_import_makes_nobody_a_leader_who_resumed_it(person: str | None) -> None:
    """Out: `rights` in `open_again`."""
    job = ImportJob(job_id="j", records=ROWS, rights=OFFICE)
    stored = json.dumps([["import_records_with_callback", job.model_dump(mode="json"), "t"]])
    jobs = SimpleNamespace(
        report=lambda *_: None,
        tasks=lambda _: stored,
        resume=lambda *_: 2,
        first_open_batch=lambda _: 0,
    )
    submitter: Any = SimpleNamespace(
        jobs=jobs,
        now=lambda: datetime(2026, 3, 2, tzinfo=UTC),
        blobs=SimpleNamespace(delete=lambda _: None),
        new_id=lambda: "n",
    )
    [task] = open_again(submitter, "j", (), person)
    assert isinstance(task.message, ImportJob)
    assert refused(task.message.rights) == ({"T9", person} if person else {"T9"})
