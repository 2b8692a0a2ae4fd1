"""The job that reads texts again: made once, for who asked, with the requests of the first time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from engines import real_servers
from importers import importer_on

from edugraph_common.contracts.messages import CourseContext, ImportBatch, ReadAgain
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.service import Importer

from .imports import import_rows
from .test_graph_points import says, write
from .test_reading_again import mistake, read

pytestmark = [pytest.mark.real, pytest.mark.parametrize("room", ["neo4j"], indirect=True)]
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
Sent = list[tuple[str, Any, str]]


@pytest.fixture
def sent() -> Sent:
    return []


@pytest.fixture
def importer(
    graph: Any, tmp_path: Path, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Importer]:
    def send(_app: Any, task: str, message: Any, *, task_id: str, **_: Any) -> None:
        sent.append((task, message, task_id))

    monkeypatch.setattr("edugraph_importer.service.send", send)
    monkeypatch.setattr("edugraph_importer.service.emit", lambda *_: None)
    client = connect(real_servers()["EDUGRAPH_REDIS_URL"])
    yield importer_on(graph, client, Blobs(str(tmp_path)), lambda: NOW)
    client.close()


def bring(importer: Importer, *record_ids: str) -> None:
    """Import mistakes, and let them be read."""
    rows = [mistake(record_id) for record_id in record_ids]
    import_rows(importer.graph, importer.blobs, rows)
    read(importer.graph, *rows, kind=f"of {record_ids}")


def test_a_message_that_comes_again_starts_nothing_new(importer: Importer, sent: Sent) -> None:
    """Out: the stored `tasks` in `_start_reading`. Another text was read between both deliveries."""
    bring(importer, "m0", "m1")
    message = ReadAgain(
        job_id=uuid4().hex, course_id="c", sources=("default",), client="office", deadline=5.0
    )
    assert importer.read_again(message).texts == {"error": 2}
    first = list(sent)
    bring(importer, "m2")
    importer.read_again(message)
    assert sent == first * 2
    [(task, request, _)] = first
    assert (task, request.expected, request.deadline) == ("batch_analyze_errors_task", 2, 5.0)
    report = importer.jobs.report(message.job_id, NOW)
    assert report is not None
    assert (report.kind, report.state, report.analysis.expected) == ("analysis", "queued", 2)
    assert (report.source, report.owner) == ("course c", "office")


def test_an_estimate_starts_no_job(importer: Importer, sent: Sent) -> None:
    bring(importer, "m0", "m1")
    message = ReadAgain(job_id=uuid4().hex, course_id="c", sources=("default",), estimate=True)
    found = importer.read_again(message)
    [(task, request, task_id)] = sent
    assert (task, len(request.records)) == ("estimate_analysis_task", 2)
    assert (found.texts, found.sampled, found.estimates) == (
        {"error": 2},
        {"error": 2},
        {"error": task_id},
    )
    assert importer.jobs.report(message.job_id, NOW) is None


def test_without_texts_there_is_no_job(importer: Importer, sent: Sent) -> None:
    message = ReadAgain(job_id=uuid4().hex, course_id="nothing", sources=("default",))
    assert importer.read_again(message).texts == {}
    assert sent == []
    assert importer.jobs.report(message.job_id, NOW) is None


def test_a_reading_has_the_points_of_this_moment(importer: Importer, sent: Sent) -> None:
    """Out: `tell_course_members` in `read_again`. A context is used for ten minutes."""
    bring(importer, "m0")
    write(importer.graph, "points", says("p", point_id="sums", name="Sums", course_id="c"))
    tell = partial(importer.members.tell_context, epoch=importer.members.epoch())
    tell(CourseContext(course_id="c", name="as it was"))
    importer.read_again(ReadAgain(job_id=uuid4().hex, course_id="c", sources=("default",)))
    [told] = importer.members.contexts(["c"]).values()
    assert told.knowledge_points == ("Sums",)
    assert len(sent) == 1


def test_an_import_of_points_says_how_many_texts_were_read_before(
    importer: Importer, sent: Sent
) -> None:
    """Out: `_note_read_before` in `_write`, or the condition that something was written."""
    bring(importer, "m0", "m1")
    rows = []
    for course in ("c", "d"):
        point = says(f"p {course}", point_id=f"sums {course}", name="Sums", course_id=course)
        rows.append(point.to_json())

    def read_before() -> dict[str, int]:
        batch = ImportBatch(job_id=uuid4().hex, batch=0, records=tuple(rows), expected=2)
        importer.jobs.create(batch.job_id, "import", "inline", NOW)
        importer.write_batch(batch)
        report = importer.jobs.report(batch.job_id, NOW)
        assert report is not None
        return report.read_before

    assert read_before() == {"c": 2}
    assert read_before() == {}  # The same file again: nothing new is known.
    assert sent == []
