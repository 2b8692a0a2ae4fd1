"""Several students forgotten at the same time, on the real servers: each erasure ends, and none undoes another."""

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from engines import real_servers
from importers import importer_on, no_letters
from rooms import Room

from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.messages import ImportBatch, ImportJob, ImportRights
from edugraph_common.runtime.shared_state.graph_changes import (
    ALL_COURSES,
    GraphChange,
    GraphChanges,
)
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.object_store import ERASURES, Blobs
from edugraph_common.sources.person import Who
from edugraph_common.sources.stored import stored_rows
from edugraph_importer.erasure.files import erase_from_blobs
from edugraph_importer.graph import Graph
from edugraph_importer.service import Importer

pytestmark = [pytest.mark.real, pytest.mark.parametrize("room", ["neo4j"], indirect=True)]
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
STUDENTS = tuple(f"{number}" for number in range(6))


@pytest.fixture
def changes() -> Iterator[GraphChanges]:
    with connect(real_servers()["EDUGRAPH_REDIS_URL"]) as client:
        yield GraphChanges(client)


@pytest.fixture
def importer(
    room: Room, changes: GraphChanges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Importer]:
    room.empty()
    monkeypatch.setattr("edugraph_importer.service.emit", lambda *_: None)
    client = connect(real_servers()["EDUGRAPH_REDIS_URL"])
    blobs = Blobs(str(tmp_path))
    with closing(Graph(room.settings, tell_change=changes.append)) as graph:
        yield importer_on(graph, client, blobs, lambda: NOW, rewrite_letters=no_letters)
    client.close()


def chat(number: int) -> str:
    people = {"student_id_from": STUDENTS[number % 6], "student_id_to": STUDENTS[(number + 1) % 6]}
    data = {**people, "interaction_type": "chat", "text": f"text {number}", "topics": ["4"]}
    return (
        json.dumps({"type": "student_interaction", "timestamp": "2026-01-01", "data": data}) + "\n"
    )


CHATS = [chat(number) for number in range(60)]


def imported(importer: Importer, lines: Sequence[str] = CHATS) -> str:
    """Import these lines by a job of its own, and return its id. The job has ended."""
    job_id = uuid4().hex
    rights = ImportRights(roster=True)
    source = f"jobs/{job_id}/source.ndjson"
    job = ImportJob(job_id=job_id, source=source, batch_size=10, rights=rights)
    with importer.blobs.write(job.source or "") as file:
        file.writelines(line.encode() for line in lines)
    importer.jobs.create(job_id, "import", "a.ndjson", NOW)
    planned = importer.plan(job)
    assert planned is not None
    for message in planned[0]:
        importer.write_batch(message)
    importer.sum_up(planned[1])
    assert not importer.jobs.is_open(job_id)
    return job_id


def forgotten(importer: Importer, student: str) -> dict[str, Any]:
    while True:
        try:
            return importer.erasure.erase((student,))
        except Wait:  # the task is sent again
            continue


def rows(importer: Importer, job_id: str) -> list[str]:
    """The rows that are stored of a job."""
    return [
        f"{row.raw.decode()}\n" for batch in stored_rows(importer.blobs, job_id) for row in batch
    ]


def kept_without_the_first_three() -> list[str]:
    return [chat(number) for number in range(60) if not {number % 6, (number + 1) % 6} & {0, 1, 2}]


def test_each_ends_and_takes_out_its_own(importer: Importer, room: Any) -> None:
    ids = [imported(importer) for _ in range(3)]

    with ThreadPoolExecutor(3) as pool:
        erased = list(pool.map(lambda student: forgotten(importer, student), STUDENTS[:3]))
    assert [each["left"] for each in erased] == [[], [], []]
    # Of a student who chats with two of them alone nothing is left when those went first, and nothing is to be erased.
    assert sum(each["removed"].get("graph", {}).get("Interaction", 0) for each in erased) == 40
    for job_id in ids:
        assert rows(importer, job_id) == kept_without_the_first_three()
    names = {row["id"] for row in room.query("MATCH (s:Student) RETURN s.id AS id")}
    assert names == set(STUDENTS[3:])


def test_no_erasure_undoes_what_another_wrote(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is held up just before it replaces a file, as a large file would hold it up."""
    ids = [imported(importer) for _ in range(2)]

    def slowly(
        blobs: Blobs, who: Who, is_open: Any, go_on: Any, prefixes: Any, **options: Any
    ) -> Any:
        def held_up() -> None:
            time.sleep(0.1)
            go_on()

        return erase_from_blobs(blobs, who, is_open, held_up, prefixes, **options)

    monkeypatch.setattr("edugraph_importer.erasure.erase_from_blobs", slowly)
    monkeypatch.setattr(Graph, "erase_student", lambda *_: {})
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda student: forgotten(importer, student), STUDENTS[:3]))
    for job_id in ids:
        assert rows(importer, job_id) == kept_without_the_first_three()


def test_an_id_that_a_list_ties_to_a_forgotten_person_is_noted_for_a_restore(
    importer: Importer,
) -> None:
    """Out: `_note_tied_ids` in the writing of a batch."""
    importer.erasure.erase(("S05",), block=True)
    before = importer.blobs.keys(ERASURES)
    data = {"person_id": "S05", "also": ["2026-5"]}
    row = {"type": "person_record", "timestamp": "2026-01-01", "record_id": "p", "data": data}
    imported(importer, [json.dumps(row) + "\n"])
    assert importer.graph.erased_among(["S05", "2026-5"]) == {"S05", "2026-5"}
    assert len(importer.blobs.keys(ERASURES)) == len(before) + 1


def test_insights_is_told_of_what_was_written_and_of_who_was_erased(
    importer: Importer, changes: GraphChanges
) -> None:
    """Out: any line of the service or the erasure that tells changes, or `change_was_in_ledger`."""
    changes.append_everywhere()
    position = changes.since(None).position
    assert position is not None

    def told() -> list[GraphChange]:
        nonlocal position
        since = changes.since(position)
        assert since.is_known
        position = since.position
        return list(since.changes)

    def everywhere() -> bool:
        return any(ALL_COURSES in each.courses for each in told())

    imported(importer)  # messages that name no course
    assert everywhere()
    data = {"student_id": STUDENTS[0], "course_id": "7"}
    record = {"type": "course_record", "timestamp": "2026-01-01", "data": data}
    message = ImportBatch(job_id=uuid4().hex, batch=0, records=(record,))
    importer.write_batch(message)
    [first] = told()
    assert first.courses == {"7"}
    importer.write_batch(message)  # the ledger answers
    assert told() == [first]
    importer.write_batch(ImportBatch(job_id=uuid4().hex, batch=0, records=(record,)))
    assert told() == []  # nothing changed
    importer.restrict_student(STUDENTS[1], restricted=True)
    assert everywhere()
    forgotten(importer, STUDENTS[1])
    assert everywhere()
    importer.erasure.admit((STUDENTS[1],))
    assert everywhere()
    importer.erasure.replay()
    assert everywhere()
    importer.write_reviews((), "reviews")
    assert everywhere()
    importer.remove_from_graph("course", "7", "removal")
    assert everywhere()
    importer.end_old_records()
    assert everywhere()


def test_the_graph_alone_takes_them_all_at_once(
    importer: Importer, graph: Graph, room: Any
) -> None:
    imported(importer)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(graph.erase_student, STUDENTS))
    assert room.query("MATCH (s:Student) RETURN s") == room.query("MATCH (t:Topic) RETURN t") == []


def test_a_job_that_has_not_ended_is_left_and_named(importer: Importer) -> None:
    running, ended = imported(importer), imported(importer)
    assert importer.jobs.begin(running, 6, NOW, first_batch=6) == "begun"
    before = rows(importer, running)
    erased = importer.erasure.erase(("4",))
    assert rows(importer, running) == before
    assert (erased["removed"]["files"]["files"], [left["job_id"] for left in erased["left"]]) == (
        1,
        [running],
    )
    importer.jobs.cancel(running, NOW)
    again = importer.erasure.erase(("4",))
    assert (again["removed"]["files"]["files"], again["left"]) == (1, [])
    assert rows(importer, running) == rows(importer, ended) != before


def test_nobody_is_told_how_somebody_is_called_whom_the_graph_refused(importer: Importer) -> None:
    """Out: `refused` where Importer.write_batch tells the names of members."""
    importer.graph.block(["gone"], None, NOW)
    records = tuple(
        {
            "type": "error_record",
            "timestamp": "2026-01-01",
            "data": {
                "student_id": student,
                "course_id": "c",
                "error_text": "x",
                "student_name": f"Name of {student}",
            },
        }
        for student in ("gone", "here")
    )
    job_id = uuid4().hex
    importer.jobs.create(job_id, "import", "inline", NOW)
    assert importer.write_batch(ImportBatch(job_id=job_id, batch=0, records=records)).rejected == 1
    importer.tell_course_members(["c"])
    assert importer.members.of(["c"]) == {"c": ("Name of here",)}
    assert importer.members.contexts(["c"]).keys() == {"c"}
    importer.members.forget()


def test_who_is_restricted_is_known_when_somebody_was_erased(importer: Importer) -> None:
    """Out: `tell_restricted` in forget_lists: nothing of any student is shown until an importer is free to tell."""
    data = {"course_id": "c", "error_text": "x"}
    records = tuple(
        {"type": "error_record", "timestamp": "2026-01-01", "data": {**data, "student_id": student}}
        for student in ("gone", "here")
    )
    job_id = uuid4().hex
    importer.jobs.create(job_id, "import", "inline", NOW)
    importer.write_batch(ImportBatch(job_id=job_id, batch=0, records=records))
    importer.restrict_student("here", restricted=True)
    importer.erasure.erase(["gone"])
    assert importer.members.restricted() == frozenset({"here"})
    importer.members.forget()
