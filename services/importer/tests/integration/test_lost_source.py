"""A job whose rows are gone, or are not what they were, says so at its end."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from engines import real_servers
from importers import importer_on

from edugraph_common.contracts.errors import Rejected, Wait
from edugraph_common.contracts.messages import (
    CourseContext,
    Findings,
    ImportBatch,
    ImportJob,
    SplitSource,
)
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.stored_jobs import store_job
from edugraph_common.sources import frames_key
from edugraph_common.sources.split_budget import SplitBudget
from edugraph_common.sources.stored import index_key
from edugraph_importer.batching import count_batches
from edugraph_importer.graph import Graph
from edugraph_importer.service import DERIVING, FAILED_BATCHES_IN_A_ROW, Importer

from .test_graph_points import text_that_claims

pytestmark = [pytest.mark.real, pytest.mark.parametrize("room", ["neo4j"], indirect=True)]
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
LINE = {
    "type": "course_content",
    "timestamp": "2026-01-01",
    "data": {"course_id": "c", "content": "x"},
}


@pytest.fixture
def importer(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Importer]:
    """Tells nobody of events and sends nothing: that needs a broker, and the end of a job does not."""
    monkeypatch.setattr("edugraph_importer.service.emit", lambda *_: None)
    monkeypatch.setattr("edugraph_importer.service.send", lambda *_, **__: None)
    client = connect(real_servers()["EDUGRAPH_REDIS_URL"])
    yield importer_on(graph, client, Blobs(str(tmp_path)), lambda: NOW)
    client.close()


def ended(importer: Importer, whole_batches: int, lost: bytes | None) -> JobReport:
    """The job's report, when its rows became `lost` after so many of its four batches."""
    job = ImportJob(job_id=uuid4().hex, source="jobs/j/source.ndjson", batch_size=10)
    with importer.blobs.write(job.source or "") as file:
        file.write((json.dumps(LINE) + "\n").encode() * 40)
    importer.jobs.create(job.job_id, "import", "a.ndjson", NOW)
    planned = importer.plan(job)
    assert planned is not None
    for message in planned[0]:
        if message.batch == whole_batches:
            importer.blobs.delete(frames_key(job.job_id))
            if lost is not None:
                with importer.blobs.write(frames_key(job.job_id)) as file:
                    file.write(lost)
        try:
            importer.write_batch(message)
        except Rejected as error:
            importer.batch_failed(message, error.reason)
    importer.sum_up(planned[1])
    report = importer.jobs.report(job.job_id, NOW)
    assert report is not None
    return report


@pytest.mark.parametrize("lost", [None, b""])
@pytest.mark.parametrize(("whole_batches", "state"), [(0, "failed"), (2, "partly failed")])
def test_rows_that_are_lost_after_the_split_are_no_success(
    importer: Importer, whole_batches: int, state: str, lost: bytes | None
) -> None:
    report = ended(importer, whole_batches, lost)
    assert (report.state, report.written + report.unchanged) == (state, 10 * whole_batches)
    assert report.failed_batches == tuple(range(whole_batches, 4))
    # Guard: the batch's expected number in Importer.batch_failed.
    assert (report.expected, report.read, report.failed) == (40, 40, 40 - 10 * whole_batches)
    assert sum(report.outcomes.values()) == report.read
    assert "/rows.zst" in (report.error or "")


@pytest.mark.parametrize("changed_before", ["the split", "a batch", "it is resumed"])
def test_a_file_outside_that_was_changed_before_its_split_fails_its_job(
    importer: Importer, tmp_path: Path, changed_before: str
) -> None:
    """After the split its rows are in the store, and the file may change or go.

    Out: `job.outside` in `_split`, `Changed` in `Importer._scan`.
    """
    path, blobs = tmp_path / "week.ndjson", Blobs(str(tmp_path / "store"), [f"file://{tmp_path}"])
    importer = replace(importer, blobs=blobs)
    url, now = f"file://{path}", iter(range(100))

    def change() -> None:
        path.write_text(
            "".join(f"{json.dumps({**LINE, 'record_id': f'{next(now)}-x'})}\n" for _ in range(40))
        )

    change()
    job = ImportJob(job_id=uuid4().hex, source=url, batch_size=10, outside=blobs.look_outside(url))
    importer.jobs.create(job.job_id, "import", "week.ndjson", NOW)
    if changed_before == "the split":
        assert importer.plan(job) is None
        change()
        importer.split(SplitSource(**dict(job)))
        written = 0
    else:
        importer.split(SplitSource(**dict(job)))
        planned = importer.plan(job)
        assert planned is not None
        written = importer.write_batch(planned[0][0]).read
        if changed_before == "it is resumed":
            importer.jobs.cancel(job.job_id, NOW)
            generation = importer.jobs.resume(job.job_id, NOW)
            planned = importer.plan(job.model_copy(update={"generation": generation}))
            assert planned is not None
        change()
        left = [message for message in planned[0] if message.batch]
        assert [importer.write_batch(message).state for message in left] == ["written"] * 3
        importer.sum_up(planned[1])
    report = importer.jobs.report(job.job_id, NOW)
    assert report is not None
    if changed_before != "the split":
        assert (report.state, report.written + report.unchanged) == ("succeeded", 40)
        return
    assert (report.state, report.written + report.unchanged) == ("failed", written)
    assert re.fullmatch(
        f"{url} was changed after its job was accepted: its .*; import the file again",
        report.error or "",
    )


def test_a_split_ends_at_the_batch_after_its_job_was_cancelled(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: `go_on` in Importer._scan."""
    job = ImportJob(job_id=uuid4().hex, source=f"jobs/{uuid4().hex}/source.ndjson", batch_size=10)
    with importer.blobs.write(job.source or "") as file:
        file.write((json.dumps(LINE) + "\n").encode() * 100)
    importer.jobs.create(job.job_id, "import", "a.ndjson", NOW)
    batches = []

    def cancel(_budget: SplitBudget, rows: int) -> None:
        batches.append(rows)
        if len(batches) == 3:
            importer.jobs.cancel(job.job_id, NOW)

    monkeypatch.setattr(SplitBudget, "count_rows", cancel)
    importer.split(SplitSource(**dict(job)))
    assert batches == [10, 10, 10]
    assert importer.blobs.exists(job.source or "")
    assert not importer.blobs.exists(index_key(job.job_id))


def test_an_upload_goes_when_it_is_split_or_unusable(importer: Importer) -> None:
    """Out: the deletion in `count_batches`, or in Importer._scan."""
    for content, state in ((json.dumps(LINE).encode(), "running"), (b"%PDF-1.7\n" * 100, "failed")):
        job_id = uuid4().hex
        job = ImportJob(job_id=job_id, source=f"jobs/{job_id}/source.ndjson")
        with importer.blobs.write(job.source or "") as file:
            file.write(content)
        importer.jobs.create(job_id, "import", "a.ndjson", NOW)
        importer.plan(job)
        report = importer.jobs.report(job_id, NOW)
        assert report is not None
        assert report.state == state
        assert not importer.blobs.exists(job.source or "")


def test_a_job_whose_batches_fail_in_a_row_is_failed_as_a_whole_and_others_go_on(
    importer: Importer,
) -> None:
    """Guard: the limit in Importer.batch_failed."""
    number = FAILED_BATCHES_IN_A_ROW + 10
    records = tuple({**LINE, "record_id": f"r{n}"} for n in range(number))
    good, bad = (ImportJob(job_id=uuid4().hex, records=records, batch_size=1) for _ in range(2))
    planned = {}
    for job in (good, bad):
        importer.jobs.create(job.job_id, "import", "inline", NOW)
        planned[job.job_id] = importer.plan(job)
    batches, after = planned[bad.job_id] or ([], None)
    states = [
        importer.batch_failed(batch, "the disk is full").state
        if importer.jobs.message_state(bad.job_id, 0) == "open"
        else importer.write_batch(batch).state
        for batch in batches
    ]
    assert states == ["failed"] * FAILED_BATCHES_IN_A_ROW + ["cancelled"] * 10
    assert after is not None
    importer.sum_up(after)
    report = importer.jobs.report(bad.job_id, NOW)
    assert report is not None
    assert (report.state, report.expected, report.read) == (
        "failed",
        number,
        FAILED_BATCHES_IN_A_ROW,
    )
    assert "20 batches failed one after another" in (report.error or "")
    assert "the disk is full" in (report.error or "")
    written = [
        importer.write_batch(batch).state for batch in (planned[good.job_id] or ([], None))[0]
    ]
    assert written == ["written"] * number
    # Whoever has repaired the cause resumes the job.
    generation = importer.jobs.resume(bad.job_id, NOW)
    again = importer.plan(bad.model_copy(update={"generation": generation}))
    assert again is not None
    assert [importer.write_batch(batch).state for batch in again[0]] == ["written"] * number
    importer.sum_up(again[1])
    ended_well = importer.jobs.report(bad.job_id, NOW)
    assert ended_well is not None
    assert (ended_well.state, ended_well.read) == ("succeeded", number)


def test_a_success_in_between_starts_the_count_again(importer: Importer) -> None:
    records = tuple({**LINE, "record_id": f"s{n}"} for n in range(2 * FAILED_BATCHES_IN_A_ROW))
    job = ImportJob(job_id=uuid4().hex, records=records, batch_size=1)
    importer.jobs.create(job.job_id, "import", "inline", NOW)
    for batch in (importer.plan(job) or ([], None))[0]:
        if batch.batch == FAILED_BATCHES_IN_A_ROW - 1:
            importer.write_batch(batch)
        elif batch.batch < 2 * FAILED_BATCHES_IN_A_ROW - 2:
            importer.batch_failed(batch, "the disk is full")
    assert importer.jobs.message_state(job.job_id, 0) == "open"


def test_when_points_of_a_course_are_written_what_was_told_of_it_is_old(importer: Importer) -> None:
    """Out: `forget_contexts` in `_write`; a text that is read next would not be shown the new points."""
    members = importer.members
    epoch = members.epoch()
    for course in ("c", "other"):
        members.tell_context(CourseContext(course_id=course), epoch)
    line = {
        "type": "point_record",
        "record_id": uuid4().hex,
        "timestamp": "2026-01-01",
        "data": {"point_id": "sums", "name": "Sums", "course_id": "c"},
    }
    batch = ImportBatch(job_id=uuid4().hex, batch=0, records=(line,), expected=1)
    importer.jobs.create(batch.job_id, "import", "inline", NOW)
    importer.write_batch(batch)
    assert list(members.contexts(["c", "other"])) == ["other"]
    importer.tell_course_members(["c"])
    [told] = members.contexts(["c"]).values()
    assert told.knowledge_points == ("Sums",)
    assert told.stated


DEFINED = {"point_id": "sums", "name": "Sums", "course_id": "c"}
LATER = "2026-02-01"
CHANGES: dict[str, dict[str, Any]] = {
    "moved to another course": {
        "record_id": "p",
        "timestamp": LATER,
        "data": {**DEFINED, "course_id": "d"},
    },
    "taken back": {"record_id": "p", "timestamp": LATER, "withdrawn": True},
    "of a curriculum": {
        "record_id": "q",
        "timestamp": LATER,
        "data": {"point_id": "sums", "name": "Adding", "requires": ["counting"]},
    },
    "by another name": {"record_id": "q", "timestamp": LATER, "data": {"name": "sums"}},
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_when_a_point_changes_what_was_told_of_its_courses_is_old(
    importer: Importer, change: str
) -> None:
    """Out: the courses before the batch, or those of points without a course, in `_write`."""
    members = importer.members

    def write(line: dict[str, Any]) -> None:
        row = {"type": "point_record", **line}
        batch = ImportBatch(job_id=uuid4().hex, batch=0, records=(row,), expected=1)
        importer.jobs.create(batch.job_id, "import", "inline", NOW)
        assert importer.write_batch(batch).state == "written"

    write({"record_id": "p", "timestamp": "2026-01-01", "data": DEFINED})
    for course in ("c", "d", "other"):
        members.tell_context(CourseContext(course_id=course), members.epoch())
    write(CHANGES[change])
    old = {"c"}
    if change == "moved to another course":
        old.add("d")
    assert set(members.contexts(["c", "d", "other"])) == {"c", "d", "other"} - old


def test_when_a_text_is_in_the_graph_what_was_told_of_its_course_is_old(importer: Importer) -> None:
    """Out: `forget_contexts` in write_findings; mistakes would be read with what was known before."""
    golden = Path(__file__).parents[4] / "tests" / "contract" / "golden" / "findings.v1.json"
    found = Findings.model_validate_json(golden.read_text(encoding="utf-8")).findings[0]
    job_id, members = uuid4().hex, importer.members
    importer.jobs.create(job_id, "analysis", "inline", NOW, to_analyse=2)
    members.tell_context(CourseContext(course_id="math"), members.epoch())
    importer.write_findings(Findings(job_id=job_id, pack="error-0-0", findings=(found,)))
    assert list(members.contexts(["math"])) == ["math"]
    importer.write_findings(Findings(job_id=job_id, pack="knowledge_points-0-0", findings=(found,)))
    assert members.contexts(["math"]) == {}


def test_a_job_ends_after_the_prerequisites_that_it_changed_are_derived(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: let finish_job.lua end it whatever is to be derived."""
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "edugraph_importer.service.send",
        lambda _, name, message, **__: sent.append((name, message.job_id)),
    )
    job_id, state = uuid4().hex, lambda: importer.jobs.report(job_id, NOW)
    importer.jobs.create(job_id, "analysis", "inline", NOW, to_analyse=1)
    found = text_that_claims(("a", "b", 1.0)).model_copy(
        update={"job_id": job_id, "pack": "knowledge_points-0-0"}
    )
    importer.write_findings(found)
    assert sent == [("settle_prerequisites_task", job_id)]
    report = state()
    assert report is not None
    assert (report.state, report.waiting_for, report.deriving) == ("waiting", DERIVING, True)
    with importer.jobs.settling(), pytest.raises(Wait):
        importer.settle_prerequisites(job_id)
    settled = importer.settle_prerequisites("a gateway")  # whoever settles ends all jobs that wait
    assert (settled.finished, settled.changed) == (True, 1)
    report = state()
    assert report is not None
    assert (report.state, report.waiting_for, report.deriving) == ("succeeded", None, False)
    assert importer.settle_prerequisites(job_id).changed == 0
    assert [name for name, _ in sent].count("settle_prerequisites_task") == 1


def test_a_settler_that_died_before_it_ended_its_job_is_made_up_for_by_its_message(
    importer: Importer,
) -> None:
    """To take the guard out: let settle_prerequisites end only the jobs that still wait."""
    job_id = uuid4().hex
    importer.jobs.create(job_id, "analysis", "inline", NOW, to_analyse=1)
    found = text_that_claims(("a", "b", 1.0)).model_copy(
        update={"job_id": job_id, "pack": "knowledge_points-0-0"}
    )
    importer.write_findings(found)
    importer.graph.settle_prerequisites()
    importer.jobs.derived(job_id, importer.jobs.deriving([job_id])[job_id])
    importer.settle_prerequisites(job_id)
    report = importer.jobs.report(job_id, NOW)
    assert report is not None
    assert report.state == "succeeded"


def test_an_unusable_file_is_told_although_redis_loses_the_job_while_it_is_scanned(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: let Importer.fail_import not recreate the job."""
    job = ImportJob(job_id=uuid4().hex, source="jobs/j/source.ndjson")
    with importer.blobs.write(job.source or "") as file:
        file.write("{}\n".encode("utf-16"))
    importer.jobs.create(job.job_id, "import", "a.ndjson", NOW)

    def scan(*arguments: Any, **options: Any) -> int:
        importer.jobs._redis.delete(*importer.jobs.keys_of(job.job_id))
        return count_batches(*arguments, **options)

    monkeypatch.setattr("edugraph_importer.service.count_batches", scan)
    assert importer.plan(job) is None
    report = importer.jobs.report(job.job_id, NOW)
    assert report is not None
    assert report.state == "failed"
    assert "UTF-8" in (report.error or "")


def test_a_job_that_redis_loses_while_it_waits_for_prerequisites_begins_again(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: let settle_prerequisites not look whether Redis knows the job."""
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "edugraph_common.runtime.messaging.lost_jobs.send",
        lambda _, name, message, **__: sent.append((name, message.job_id)),
    )
    job = ImportJob(job_id=uuid4().hex, source="jobs/j/source.ndjson")
    store_job(importer.blobs, job)
    importer.settle_prerequisites("a request")
    assert sent == []
    importer.settle_prerequisites(job.job_id)
    assert sent == [("begin_import_again_task", job.job_id)]


def test_a_job_whose_records_are_without_text_or_withheld_ends(importer: Importer) -> None:
    """Out: any of the three in Findings.done; the job would wait for ever."""
    job_id = uuid4().hex
    importer.jobs.create(job_id, "analysis", "inline", NOW, to_analyse=5)
    importer.write_findings(
        Findings(job_id=job_id, pack="error-0-0", findings=(), textless=2, withheld=2, failed=1)
    )
    report = importer.jobs.report(job_id, NOW)
    assert report is not None
    assert (report.state, report.analysis.done, report.analysis.failed) == ("partly failed", 4, 1)


@pytest.mark.parametrize("keeps", [False, True])
def test_an_upload_that_a_killed_split_left_goes_with_the_next_try(
    importer: Importer, keeps: bool
) -> None:
    """Out: the deletion in `_scan`. The index is there, so that the file is not split again."""
    importer = replace(importer, keeps_uploads=keeps)
    job_id = uuid4().hex
    job = ImportJob(job_id=job_id, source=f"jobs/{job_id}/source.ndjson")
    importer.jobs.create(job_id, "import", "a.ndjson", NOW)
    with importer.blobs.write(job.source or "") as file:
        file.write(json.dumps(LINE).encode())
    count_batches(importer.blobs, job, keeps_upload=True)
    importer.split(SplitSource(**dict(job)))
    assert importer.blobs.exists(job.source or "") == keeps


@pytest.mark.parametrize("keeps", [False, True])
def test_an_upload_that_cannot_be_used_goes(importer: Importer, keeps: bool) -> None:
    """Out: the deletion where `_scan` fails the import."""
    importer = replace(importer, keeps_uploads=keeps)
    job_id = uuid4().hex
    job = ImportJob(job_id=job_id, source=f"jobs/{job_id}/source.ndjson")
    importer.jobs.create(job_id, "import", "a.ndjson", NOW)
    with importer.blobs.write(job.source or "") as file:
        file.write(b"\xff\xfe{\x00}\x00")
    importer.split(SplitSource(**dict(job)))
    report = importer.jobs.report(job_id, NOW)
    assert report is not None
    assert report.state == "failed"
    assert importer.blobs.exists(job.source or "") == keeps
