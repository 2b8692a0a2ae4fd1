"""An export has all that names the student, in every form of file, and nothing of those who share no row with them."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from rooms import Room
from tables import xlsx

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.fits import FitHeader, LabelledRow
from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.personal_data import PLACES
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.runtime.shared_state.audit import Entry
from edugraph_common.runtime.shared_state.digests import DigestSubscription
from edugraph_common.runtime.shared_state.fit_store import write_fit
from edugraph_common.runtime.shared_state.object_store import Blobs, delete_old_exports, export_key
from edugraph_common.runtime.shared_state.saved_views import SavedView, ViewState
from edugraph_common.sources import parse_mapping, store_mapping
from edugraph_importer.batching import count_batches, rejects_key, store_rejects
from edugraph_importer.graph import Graph, RecordBatch
from edugraph_importer.graph.record_facts import students
from edugraph_importer.person_export import Elsewhere, PersonExport

from .graph_reference import active_days
from .random_imports import EXAMPLES, is_activity, record_lists

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def nothing(*_: Any) -> Iterator[Any]:
    yield from ()


def exported(
    graph: Graph,
    blobs: Blobs,
    student: str,
    *,
    search: Callable[..., Any] = nothing,
    letters: Callable[..., Any] = nothing,
    entries: Callable[..., Any] = nothing,
    views: Callable[..., Any] = nothing,
    digests: Callable[..., Any] = nothing,
) -> dict[str, Any]:
    file = io.BytesIO()
    counts = PersonExport(
        student, graph, blobs, Elsewhere(search, letters, entries, views, digests), {}
    ).write(file, NOW)
    with zipfile.ZipFile(file) as archive:
        index = archive.read("index.txt").decode()
        parts = {name: archive.read(name).decode().splitlines() for name in counts}
    assert {name: len(lines) for name, lines in parts.items()} == counts
    return {
        "index": index,
        **{name: [json.loads(line) for line in lines] for name, lines in parts.items()},
    }


@EXAMPLES
@given(records=record_lists())
def test_the_graph_and_the_files_of_a_student_are_in_it(
    room: Room, tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    room.empty()
    blobs = Blobs(str(tmp_path_factory.mktemp("blobs")))
    room.graph.write_batch(RecordBatch("j", 0, list(enumerate(records, start=1)), (), len(records)))
    lines = [json.dumps(record.to_json(), ensure_ascii=False) for record in records]
    with blobs.write("jobs/j/source.ndjson.gz") as file:
        file.write(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    for wanted in ("a", "b", "c"):
        naming = [
            record for record in records if wanted in {student for _, student in students(record)}
        ]
        asked: list[AbstractSet[str]] = []

        def search(
            texts: AbstractSet[str], asked: list[AbstractSet[str]] = asked
        ) -> Iterator[tuple[str, Any]]:
            asked.append(texts)
            yield "key", {"of": "it"}

        found = exported(room.graph, blobs, wanted, search=search)
        ids = {record.record_id for record in naming if not is_activity(record)}
        ids |= {json.dumps(day, separators=(",", ":")) for day in active_days(naming)}
        assert {each["properties"]["id"] for each in found["graph/records.ndjson"]} == ids
        assert len(found["graph/student.ndjson"]) == bool(naming)
        expected = [line for line, record in zip(lines, records, strict=True) if record in naming]
        assert [each["row"] for each in found["files/rows.ndjson"]] == expected
        assert asked == [{wanted, *ids}]
        assert found["redis/jobs_and_results.ndjson"] == [{"key": "key", "value": {"of": "it"}}]


def test_tables_and_rejects_are_read_as_the_import_reads_them(graph: Graph, tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    mapping = parse_mapping(
        "{type: course_record, columns: {n: student_id, c: course_id, t: timestamp}, encoding: utf-16}"
    )
    store_mapping(blobs, "t", mapping)
    with blobs.write("jobs/t/source.csv") as file:
        file.write('n,c,t\nS0104,"C\n1",2026-01-01\nS01,C1,2026-01-01\n'.encode("utf-16"))
    raw = json.dumps({"type": "x", "data": {"student_id": "S01"}})
    reject = Reject(line=3, field="type", expected="a type", found="x", reason="is wrong", raw=raw)
    store_rejects(
        blobs, "r", 0, [reject, reject.model_copy(update={"raw": raw.replace("S01", "S0104")})]
    )
    with blobs.write("jobs/broken/source.ndjson.gz") as file:
        file.write(b"no gzip at all")
    header = FitHeader(
        version="v", course_id="C1", fitted_at="2026-01-05", items=2, name_weight=0.1
    )
    labelled = [
        LabelledRow(record_id=each, students=(each,), words={"term": 1})
        for each in ("S01", "S0104")
    ]
    write_fit(blobs, header, labelled)
    found = exported(graph, blobs, "S01")
    assert found["files/rows.ndjson"] == [{"key": "jobs/t/source.csv", "row": "S01,C1,2026-01-01"}]
    assert [each["key"] for each in found["files/rejects.ndjson"]] == [rejects_key("r", 0)]
    assert [each["record_id"] for each in found["fits/rows.ndjson"]] == ["S01"]
    assert "jobs/broken/source.ndjson.gz could not be read whole" in found["index"]


def test_of_a_dead_letter_what_is_theirs_is_in_it_and_of_the_audit_log_what_is_about_them(
    graph: Graph, tmp_path: Path
) -> None:
    """Out: `Scrubbed` in `_letters`. Records of others in the same letter are left out."""
    records = [
        {"type": "error_record", "data": {"student_id": each, "error_text": "x"}}
        for each in ("S01", "S0104")
    ]
    letter = json.dumps([[{"job_id": "j", "records": records}], {}, {}]).encode()
    entry = Entry(time=NOW, who="k", action="student.export", what="", object="aa")
    asked: list[str] = []

    def entries(student: str) -> Iterator[Entry]:
        asked.append(student)
        yield entry

    found = exported(
        graph,
        Blobs(str(tmp_path)),
        "S01",
        letters=lambda of: [("data_import.dead", of(letter))],
        entries=entries,
    )
    assert found["broker/dead_letters.ndjson"] == [
        {"queue": "data_import.dead", "theirs": records[:1]}
    ]
    assert [each["action"] for each in found["redis/audit.ndjson"]] == ["student.export"]
    assert asked == ["S01"]


def joined(graph: Graph) -> None:
    """Let S02 claim the id S01."""
    row = {"type": "person_record", "timestamp": "2026-03-01"}
    claim = parse_record({**row, "data": {"person_id": "S02", "also": ["S01"]}})
    graph.write_batch(RecordBatch("claims", 0, [(1, claim)], (), 1))
    assert graph.settle_persons().moved == 1


def test_saved_views_that_are_theirs_or_name_them_are_in_it(graph: Graph, tmp_path: Path) -> None:
    """Out: `_views`, the names, the records or the other ids there; `exclude` tells whose a teacher's view is."""
    data = {"student_id": "S01", "student_name": "Ana Quetzal", "course_id": "c", "error_text": "x"}
    record = parse_record(
        {"type": "error_record", "timestamp": "2026-03-01", "record_id": "r1", "data": data}
    )
    graph.write_batch(RecordBatch("j", 0, [(1, record)], (), 1))
    joined(graph)

    def view(name: str, person: str | None = "teacher-1", **values: str) -> SavedView:
        return SavedView(
            name=name, state=ViewState(kind="page", name="student", values=values), person=person
        )

    theirs = [
        view("own", "S02"),
        view("node", node="Student:S02"),
        view("of before", student="S01"),
        view("record", at="r1|hash|type"),
        view("name", find="ana quetzal"),
    ]
    others = [view("longer", "S021", student="S0104"), view("Anabel")]
    texts = [*(each.model_dump_json() for each in (*theirs, *others)), "no view"]
    found = exported(graph, Blobs(str(tmp_path)), "S02", views=lambda: iter(texts))
    assert [(each["name"], each["own"]) for each in found["redis/views.ndjson"]] == [
        (each.name, each.name == "own") for each in theirs
    ]
    assert "teacher-1" not in json.dumps(found["redis/views.ndjson"])
    assert "A saved view could not be read" in found["index"]


def test_a_list_of_a_teacher_is_in_it_without_the_others(graph: Graph, tmp_path: Path) -> None:
    """Out: `_with_nobody_else`."""
    data = {"student_id": "S01", "course_id": "c", "error_text": "x"}
    record = parse_record(
        {"type": "error_record", "timestamp": "2026-03-01", "record_id": "r1", "data": data}
    )
    graph.write_batch(RecordBatch("j", 0, [(1, record)], (), 1))
    values = {"course": "c", "students": ("S01", "S77")}
    state = ViewState(kind="list", name="students", values=values)
    view = SavedView(name="Mine", state=state, person="teacher-1")
    texts = [view.model_dump_json()]
    found = exported(graph, Blobs(str(tmp_path)), "S01", views=lambda: iter(texts))
    [shown] = found["redis/views.ndjson"]
    assert shown["state"]["values"] == {"course": "c", "students": ["S01"]}


def test_their_own_weekly_mails_are_in_it(graph: Graph, tmp_path: Path) -> None:
    """Out: `_digests`, or the test whose they are there."""
    data = {"student_id": "S01", "course_id": "c", "error_text": "x"}
    record = parse_record({"type": "error_record", "timestamp": "2026-03-01", "data": data})
    graph.write_batch(RecordBatch("j", 0, [(1, record)], (), 1))
    joined(graph)
    subscribers = ("S02", "S01", "S021")  # S01 is another id of S02
    texts = []
    for person in subscribers:
        digest = DigestSubscription(person=person, course="c", address="a@b.example", since=NOW)
        texts.append(digest.model_dump_json())
    found = exported(
        graph, Blobs(str(tmp_path)), "S02", digests=lambda: iter([*texts, "no digest"])
    )
    assert [each["person"] for each in found["redis/digests.ndjson"]] == ["S02", "S01"]
    assert "A subscription to a weekly mail could not be read" in found["index"]


def test_what_came_under_another_id_is_in_it(graph: Graph, tmp_path: Path) -> None:
    """Out: `ids_of_persons` in PersonExport."""
    data = {"student_id": "S01", "course_id": "c", "error_text": "x"}
    row = {"type": "error_record", "timestamp": "2026-03-01", "record_id": "r1", "data": data}
    graph.write_batch(RecordBatch("j", 0, [(1, parse_record(row))], (), 1))
    joined(graph)
    blobs = Blobs(str(tmp_path))
    with blobs.write("jobs/j/source.ndjson") as file:
        file.write(json.dumps(row).encode() + b"\n")
    letter = json.dumps([[{"records": [row]}], {}, {}]).encode()
    asked: list[str] = []

    def entries(student: str) -> Iterator[Entry]:
        asked.append(student)
        yield from ()

    found = exported(
        graph, blobs, "S02", letters=lambda of: [("q.dead", of(letter))], entries=entries
    )
    assert [each["row"] for each in found["files/rows.ndjson"]] == [json.dumps(row)]
    assert len(found["broker/dead_letters.ndjson"]) == 1
    assert asked == ["S01", "S02"]


def test_of_an_erased_student_nothing_is_read_that_an_erasure_has_left(
    graph: Graph, tmp_path: Path
) -> None:
    """Out: `erased` in PersonExport.write."""
    blobs = Blobs(str(tmp_path))
    with blobs.write("jobs/j/source.ndjson") as file:
        file.write(b'{"type": "error_record", "data": {"student_id": "S01"}}\n')
    assert len(exported(graph, blobs, "S01")["files/rows.ndjson"]) == 1
    graph.block(["S01"], None, NOW)
    found = exported(graph, blobs, "S01")
    assert found.keys().isdisjoint({"files/rows.ndjson", "redis/views.ndjson"})
    assert "was erased" in found["index"]


def test_an_embedded_broker_has_no_dead_letters(graph: Graph, tmp_path: Path) -> None:
    def none(_: object) -> list[Any]:
        raise Rejected("only RabbitMQ keeps dead letters")

    assert (
        exported(graph, Blobs(str(tmp_path)), "S01", letters=none)["broker/dead_letters.ndjson"]
        == []
    )


def test_the_rows_of_a_table_that_was_converted_are_in_it(graph: Graph, tmp_path: Path) -> None:
    """To take the guard out: let `_stored_rows` yield nothing."""
    blobs = Blobs(str(tmp_path))
    mapping = parse_mapping(
        "{type: attempt_record, columns: {who: student_id}, constants: {timestamp: '2026-01-01'}, items: {columns: [Q1]}}"
    )
    for job_id in ("split", "waiting"):
        store_mapping(blobs, job_id, mapping)
        with blobs.write(f"jobs/{job_id}/source.workbook") as file:
            file.write(xlsx({"A": [["who", "Q1"], ["S0104", 1], ["S01", 0], ["S01", 1]]}))
    job = ImportJob(
        job_id="split", source="jobs/split/source.workbook", format="workbook", batch_size=1
    )
    assert count_batches(blobs, job) == 3
    found = exported(graph, blobs, "S01")["files/rows.ndjson"]
    assert [(each["key"], json.loads(each["row"])["cells"]) for each in found] == [
        (key, {"who": "S01", "Q1": mark})
        for key in ("jobs/split/rows.zst", "jobs/waiting/source.workbook")
        for mark in (0, 1)
    ]


def test_the_index_names_every_place_with_personal_data(graph: Graph, tmp_path: Path) -> None:
    index = exported(graph, Blobs(str(tmp_path)), "nobody")["index"]
    for place in PLACES:
        if place.level == "personal":
            assert place.holds.en in index
            assert place.holds.zh in index


def test_what_nobody_fetches_for_a_day_goes(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    for made in (NOW, NOW - timedelta(hours=25)):
        with blobs.write(export_key("x", made)) as file:
            file.write(b"zip")
    assert delete_old_exports(blobs, NOW) == 1
    assert blobs.keys("exports") == [export_key("x", NOW)]
