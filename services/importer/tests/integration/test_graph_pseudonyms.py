"""The graph of a pseudonymized file is that of the file as it was, but for what people are called in it."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_cli.pseudonyms import PseudonymMap
from edugraph_common.contracts.records import Record, Withdrawal, parse_row
from edugraph_importer.graph import Graph, RecordBatch
from edugraph_insights.whole_graph import graph_digest

# Words that stand in no other word, so that a text can be renamed by looking for them.
STUDENTS, TEACHERS = ("stu0001", "stu0002", "stu0003"), ("tea0001", "tea0002")
NAMES = {person: (f"Zorblat{letter}", f"Quimzo{letter}") for person, letter in zip(STUDENTS + TEACHERS, "KLMNP", strict=True)}  # fmt: skip
RECORDS = tuple(f"rec{number:04}" for number in range(12))


@st.composite
def files(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows that are versions of few records, each at a moment of its own: which of two versions of one moment wins
    depends on a hash of what they say, and so on names.
    """

    def person(of: tuple[str, ...], field: str, name_field: str) -> dict[str, Any]:
        who = draw(st.sampled_from(of))
        return {field: who} | (
            {name_field: draw(st.sampled_from(NAMES[who]))} if draw(st.booleans()) else {}
        )

    def text(data: Mapping[str, Any]) -> str:
        named = [value for field, value in data.items() if field.startswith(("student", "teacher"))]
        return " ".join(
            draw(st.lists(st.sampled_from([*named, "分数", "is", "1/2"]), min_size=1, max_size=5))
        )

    def row(minute: int) -> dict[str, Any]:
        head = {
            "timestamp": f"2026-01-01T00:{minute:02}:00Z",
            "record_id": draw(st.sampled_from(RECORDS)),
        }
        kind = draw(st.sampled_from(["chat", "taught", "course", "error", "content", "withdrawn"]))
        course = {"course_id": draw(st.sampled_from(["C1", "C2"]))}
        match kind:
            case "chat":
                data = person(STUDENTS, "student_id_from", "student_name_from")
                data |= person(STUDENTS, "student_id_to", "student_name_to")
                data |= {
                    "interaction_type": "chat",
                    "text": text(data),
                    "topics": ["Fractions"],
                } | course
                return {**head, "type": "student_interaction", "data": data}
            case "taught":
                data = person(TEACHERS, "teacher_id", "teacher_name") | person(
                    STUDENTS, "student_id", "student_name"
                )
                return {
                    **head,
                    "type": "teacher_interaction",
                    "data": data | {"feedback": text(data)} | course,
                }
            case "course":
                data = person(STUDENTS, "student_id", "student_name") | course
                return {**head, "type": "course_record", "data": data | {"progress": minute}}
            case "error":
                data = person(STUDENTS, "student_id", "student_name")
                said = {
                    "error_text": text(data),
                    "error_type": draw(st.sampled_from(["sign", "unit"])),
                }
                return {**head, "type": "error_record", "data": data | said | course}
            case "content":
                return {
                    **head,
                    "type": "course_content",
                    "data": {"content": "x", "course_name": "数学"} | course,
                }
            case _:
                return {**head, "withdrawn": True}

    return [row(minute) for minute in range(draw(st.integers(1, 14)))]


def imported(graph: Graph, job_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
    read = [parse_row(row) for row in rows]
    records = [(line, row) for line, row in enumerate(read, start=1) if isinstance(row, Record)]
    withdrawn = [
        (line, row) for line, row in enumerate(read, start=1) if isinstance(row, Withdrawal)
    ]
    graph.write_batch(RecordBatch(job_id, 0, records, (), len(read), withdrawn))


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Rename all words within a value of the graph. Nothing is left of hashes of a record's content."""
    if isinstance(value, dict):
        return {key: renamed(item, names) for key, item in value.items() if key != "content_hash"}
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    if isinstance(value, str) and names:
        return re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], value)
    return value


@pytest.mark.usefixtures("graph")
@settings(max_examples=15, deadline=None, suppress_health_check=[*HealthCheck])
@given(files())
def test_graphs_are_equal_but_for_names(
    room: Any, tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("file")
    (folder / "in.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["pseudonymize", str(folder / "in.ndjson"), "-o", str(folder / "out.ndjson")]
    result = CliRunner().invoke(
        app, [*arguments, "--map", str(folder / "map.db")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    with PseudonymMap(folder / "map.db") as pseudonyms:
        names = {person: pseudonyms.of("person", person) for person in STUDENTS + TEACHERS}
        names |= {name: pseudonyms.of("name", name) for both in NAMES.values() for name in both}
        names |= {record: pseudonyms.of("record", record) for record in RECORDS}

    room.empty()
    imported(room.graph, "as-it-was", rows)
    expected = graph_digest(lambda query: renamed(room.query(query), names))
    room.empty()
    imported(
        room.graph,
        "pseudonymized",
        map(json.loads, (folder / "out.ndjson").read_text().splitlines()),
    )
    assert graph_digest(lambda query: renamed(room.query(query), {})) == expected
