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

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.personal_data import PLACES
from edugraph_common.contracts.records import Record
from edugraph_common.platform.object_store import Blobs
from edugraph_common.sources import parse_mapping, store_mapping
from edugraph_importer.batching import rejects_key, store_rejects
from edugraph_importer.graph import Graph, RecordBatch
from edugraph_importer.graph.record_facts import students
from edugraph_importer.person_export import PersonExport, delete_old_exports, export_key

from .random_imports import EXAMPLES, record_lists

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def nothing(_: AbstractSet[str]) -> Iterator[tuple[str, Any]]:
    yield from ()


def exported(graph: Graph, blobs: Blobs, student: str, search: Callable[..., Any] = nothing) -> dict[str, Any]:
    file = io.BytesIO()
    counts = PersonExport(student, graph, blobs, search, {}).write(file, NOW)
    with zipfile.ZipFile(file) as archive:
        index = archive.read("index.txt").decode()
        parts = {name: archive.read(name).decode().splitlines() for name in counts}
    assert {name: len(lines) for name, lines in parts.items()} == counts
    return {"index": index, **{name: [json.loads(line) for line in lines] for name, lines in parts.items()}}


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
        naming = [record for record in records if wanted in {student for _, student in students(record)}]
        asked: list[AbstractSet[str]] = []

        def search(texts: AbstractSet[str], asked: list[AbstractSet[str]] = asked) -> Iterator[tuple[str, Any]]:
            asked.append(texts)
            yield "key", {"of": "it"}

        found = exported(room.graph, blobs, wanted, search)
        assert {each["properties"]["id"] for each in found["graph/records.ndjson"]} == {r.record_id for r in naming}
        assert len(found["graph/student.ndjson"]) == bool(naming)
        expected = [line for line, record in zip(lines, records, strict=True) if record in naming]
        assert [each["row"] for each in found["files/rows.ndjson"]] == expected
        assert asked == [{wanted, *(record.record_id for record in naming)}]
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
    store_rejects(blobs, "r", 0, [reject, reject.model_copy(update={"raw": raw.replace("S01", "S0104")})])
    with blobs.write("jobs/broken/source.ndjson.gz") as file:
        file.write(b"no gzip at all")
    found = exported(graph, blobs, "S01")
    assert found["files/rows.ndjson"] == [{"key": "jobs/t/source.csv", "row": "S01,C1,2026-01-01"}]
    assert [each["key"] for each in found["files/rejects.ndjson"]] == [rejects_key("r", 0)]
    assert "jobs/broken/source.ndjson.gz could not be read whole" in found["index"]


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
    delete_old_exports(blobs, NOW)
    assert blobs.keys("exports") == [export_key("x", NOW)]
