"""A file that was pseudonymized holds the same records and names nobody, and the map tells its owner who is who."""

import base64
import gzip
import hashlib
import hmac
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import xlsx
from typer.testing import CliRunner

from edugraph_cli import pseudonyms as module
from edugraph_cli.main import app
from edugraph_cli.pseudonyms import (
    ID_FIELDS,
    KEPT_FIELDS,
    PERSON_FIELDS,
    RECORD_FIELDS,
    TEXT_FIELDS,
    PseudonymMap,
    UnusableMap,
    Word,
    find_whole_words,
    pseudonymize,
)
from edugraph_common.contracts.records import DATA_OF_TYPE, Record, parse_record, parse_row
from edugraph_common.sources import open_text, parse_mapping, read_rows
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.rows import cut_rows

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

runner = CliRunner()
PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.decompress,
    ".zst": zstd.decompress,
}

student = st.sampled_from(["S0104", "S01", "4", "学-7", '"q"', "a\\b"])
name = st.sampled_from(["王小明", "Ana Ruiz", "Zoë", "O'Neil"])
DATA = {
    "student_interaction": st.fixed_dictionaries(
        {"student_id_from": student, "student_id_to": student, "interaction_type": st.just("chat")},
        optional={
            "student_name_from": name,
            "student_name_to": name,
            "topics": st.lists(st.just("分数"), max_size=1),
        },
    ),
    "teacher_interaction": st.fixed_dictionaries(
        {"teacher_id": student, "student_id": student},
        optional={"teacher_name": name, "student_name": name},
    ),
    "course_record": st.fixed_dictionaries(
        {"student_id": student, "course_id": st.just("C1")},
        optional={"student_name": name, "progress": st.just(5)},
    ),
    "error_record": st.fixed_dictionaries(
        {
            "student_id": student,
            "course_id": st.just("C1"),
            "error_text": st.just("1/2 + 1/3 = 2/5"),
        },
        optional={"student_name": name, "resolved": st.booleans()},
    ),
    "course_content": st.just({"course_id": "C1", "content": "x"}),
    "post_record": st.fixed_dictionaries(
        {"student_id": student, "course_id": st.just("C1"), "text": st.just("1/2 + 1/3 = 2/5")},
        optional={"student_name": name, "reply_to": st.just("S0104-1"), "thread_id": st.just("r1")},
    ),
    "person_record": st.fixed_dictionaries(
        {"person_id": student}, optional={"also": st.lists(student, max_size=3), "name": name}
    ),
    "term_record": st.fixed_dictionaries({"term": st.just("2026-1"), "name": st.just("Spring")}),
}


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    head = draw(st.fixed_dictionaries({"timestamp": st.just("2026-01-01T00:00:00Z")}, optional={
        "record_id": st.sampled_from(["r1", "S0104-1"]), "withdrawn": st.just(True)}))  # fmt: skip
    kind = draw(st.sampled_from(sorted(DATA)))
    if head.get("withdrawn") and "record_id" in head:
        return head
    return {**head, "type": kind, "data": draw(DATA[kind])}


def expected_pseudonym(map_file: Path, kind: str, original: str) -> str:
    """As docs/adr/0030 has it, from the key in the file."""
    key = sqlite3.connect(map_file).execute("SELECT key FROM map").fetchone()[0]
    digest = hmac.new(key, f"{kind}\0{original}".encode(), hashlib.sha256).digest()
    return kind[0] + base64.b32encode(digest).decode()[:20].lower()


def expected_row(map_file: Path, row: dict[str, Any]) -> Any:
    """What the row says, renamed by hand; without the text, which these rows have none of that names people."""
    read = parse_row(row)
    record_id = expected_pseudonym(map_file, "record", read.record_id)
    if not isinstance(read, Record):
        return record_id
    data = dict(row["data"])
    for field, value in row["data"].items():
        if field == "also":
            data[field] = [expected_pseudonym(map_file, "person", each) for each in value]
        elif field.startswith(("student_id", "teacher_id", "person_id")):
            data[field] = expected_pseudonym(map_file, "person", value)
        elif field.startswith(("student_name", "teacher_name")) or (
            field == "name" and row["type"] == "person_record"
        ):
            data[field] = expected_pseudonym(map_file, "name", value)
        elif field in {"reply_to", "thread_id"}:
            data[field] = expected_pseudonym(map_file, "record", value)
    return parse_record(
        {"type": row["type"], "timestamp": row["timestamp"], "record_id": record_id, "data": data}
    )


def run(file: Path, *options: str) -> tuple[Any, Path]:
    output = file.parent / f"out.ndjson{options[0] if options else ''}"
    arguments = [
        "pseudonymize",
        str(file),
        "-o",
        str(output),
        "--map",
        str(file.parent / "map.db"),
        *options[1:],
    ]
    return runner.invoke(app, arguments, catch_exceptions=False), output


@settings(deadline=None)
@given(
    st.lists(rows(), min_size=1, max_size=8),
    st.sampled_from(sorted(PACK)),
    st.sampled_from(sorted(PACK)),
)
def test_rows_are_renamed_and_nothing_else_of_them_changes(
    tmp_path_factory: pytest.TempPathFactory,
    given_rows: list[dict[str, Any]],
    packed: str,
    packed_again: str,
) -> None:
    folder = tmp_path_factory.mktemp("pseudonyms")
    file = folder / f"records.ndjson{packed}"
    file.write_bytes(PACK[packed]("".join(json.dumps(row) + "\n" for row in given_rows).encode()))
    result, output = run(file, packed_again)
    assert result.exit_code == 0, result.output
    lines = UNPACK[packed_again](output.read_bytes()).splitlines()
    read = [parse_row(json.loads(line)) for line in lines]
    found = [row if isinstance(row, Record) else row.record_id for row in read]
    assert found == [expected_row(folder / "map.db", row) for row in given_rows]


STATEMENT = {
    "id": "6690e6c9-3ef0-4ed3-8b37-7f3964730bee",
    "actor": {
        "name": "王小明",
        "account": {"homePage": "https://lms.example", "name": "marked-4711"},
    },
    "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
    "object": {"id": "https://lms.example/q/1", "definition": {"description": {"zh": "36 km/h?"}}},
    "result": {"success": False, "response": "我是王小明，学号 marked-4711"},
    "context": {
        "instructor": {"name": "marked-teacher", "mbox": "mailto:marked@x.example"},
        "contextActivities": {"parent": [{"id": "C1", "definition": {"type": "http://x/course"}}]},
    },
    "timestamp": "2026-01-01T00:00:00Z",
}
EVENT = {
    "name": "problem_check",
    "username": "marked-user",
    "ip": "203.0.113.9",
    "context": {"user_id": 47114711, "course_id": "C1", "path": "/marked-path"},
    "event": {
        "problem_id": "p1",
        "success": "incorrect",
        "answers": {"a": "marked-user wrote 2/5"},
    },
    "time": "2026-01-01T00:00:00Z",
}
MAPPING = """{type: error_record, columns: {学号: student_id, 姓名: student_name, 错误: error_text, 备注: null},
 constants: {timestamp: "2026-01-01T00:00:00Z", course_id: C1}, %s}"""
TABLE = "学号,姓名,错误,备注\nmarked-4711,王小明,王小明说“2/5”，小明不会通分,marked-note\n"


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
@pytest.mark.parametrize("packed", sorted(PACK))
def test_a_table_names_nobody_whatever_its_encoding(
    tmp_path: Path, encoding: str, packed: str
) -> None:
    (tmp_path / "mapping.yaml").write_text(MAPPING % f"encoding: {encoding}")
    file = tmp_path / f"table.csv{packed}"
    file.write_bytes(PACK[packed](TABLE.encode(encoding)))
    result, output = run(file, "", "--mapping", str(tmp_path / "mapping.yaml"))
    assert result.exit_code == 0, result.output
    _assert_nobody_is_named(output, tmp_path / "map.db", "marked-4711")


@pytest.mark.parametrize(
    ("file_name", "content", "person"),
    [
        ("statements.json", json.dumps([STATEMENT], indent=1), "https://lms.example|marked-4711"),
        (
            "tracking.log",
            "2026-01-01 INFO [tracking] logger.py - " + json.dumps(EVENT) + "\n",
            "47114711",
        ),
    ],
)
def test_what_platforms_export_names_nobody(
    tmp_path: Path, file_name: str, content: str, person: str
) -> None:
    (tmp_path / file_name).write_text(content)
    result, output = run(tmp_path / file_name)
    assert result.exit_code == 0, result.output
    _assert_nobody_is_named(output, tmp_path / "map.db", person)


def _assert_nobody_is_named(output: Path, map_file: Path, person: str) -> None:
    text = output.read_text()
    for secret in ("marked", "4711", "小明", "203.0.113", "6690e6c9"):
        assert secret not in text
    (line,) = text.splitlines()
    assert json.loads(line)["data"]["student_id"] == expected_pseudonym(map_file, "person", person)
    assert "2/5" in text or "学号" in text  # what was said is still there


def test_a_platform_that_is_known_gives_the_ids_of_rosters(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(STATEMENT))
    _, output = run(tmp_path / "s.json", "", "--prefixes", '{"https://lms.example": ""}')
    written = json.loads(output.read_text())["data"]["student_id"]
    assert written == expected_pseudonym(tmp_path / "map.db", "person", "marked-4711")


@given(st.sampled_from([1, 7, 10_000]), st.integers(1, 40), st.sampled_from([1, 3, 64]))
@settings(max_examples=10, deadline=None)
def test_pseudonyms_are_stable_over_files_and_processes(
    tmp_path_factory: pytest.TempPathFactory, at_once: int, people: int, cached: int
) -> None:
    """However few words are remembered at a time."""
    path = tmp_path_factory.mktemp("map") / "map.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WRITTEN_AT_ONCE", at_once)
        patch.setattr(module, "_CACHED", cached)
        with PseudonymMap(path) as names:
            first = [names.of("person", f"S{number}") for number in range(people)] * 2
            again = [names.of("person", f"S{number}") for number in range(people)] * 2
    with PseudonymMap(path) as names:
        assert first == again == [names.of("person", f"S{number}") for number in range(people)] * 2
        assert len(set(first)) == people
        assert [names.originals(each) for each in first[:people]] == [
            f"S{number}" for number in range(people)
        ]


def test_another_map_gives_other_pseudonyms(tmp_path: Path) -> None:
    with PseudonymMap(tmp_path / "a") as one, PseudonymMap(tmp_path / "b") as other:
        assert one.of("person", "S1") != other.of("person", "S1")
        assert one.of("person", "S1")[1:] != one.of("name", "S1")[1:]


def test_the_map_is_for_its_owner_alone(tmp_path: Path) -> None:
    with PseudonymMap(tmp_path / "map.db"):
        assert (tmp_path / "map.db").stat().st_mode & 0o777 == 0o600
    (tmp_path / "map.db").chmod(0o644)
    with pytest.raises(UnusableMap, match="chmod 600"):
        PseudonymMap(tmp_path / "map.db")
    (tmp_path / "other").write_text("no database, but long enough to be looked at as one " * 9)
    (tmp_path / "other").chmod(0o600)
    with pytest.raises(UnusableMap, match="not a map"):
        PseudonymMap(tmp_path / "other")


def test_every_field_of_the_contract_is_known() -> None:
    fields = {field for data in DATA_OF_TYPE.values() for field in data.model_fields}
    assert fields == {
        *PERSON_FIELDS,
        *PERSON_FIELDS.values(),
        *ID_FIELDS,
        *RECORD_FIELDS,
        *TEXT_FIELDS,
        *KEPT_FIELDS,
    }


def test_a_field_that_nobody_looked_at_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_FIELDS", KEPT_FIELDS - {"course_id"})
    record = parse_record(
        {"type": "course_content", "timestamp": "2026-01-01", "data": DATA_OF_CONTENT}
    )
    with PseudonymMap(tmp_path / "map.db") as names, pytest.raises(ValueError, match="course_id"):
        pseudonymize(record, names, find_whole_words)


DATA_OF_CONTENT = {"course_id": "C1", "content": "x"}


def test_rows_that_cannot_be_read_are_left_out_and_told(tmp_path: Path) -> None:
    file = tmp_path / "records.ndjson"
    good = {"type": "course_content", "timestamp": "2026-01-01", "data": DATA_OF_CONTENT}
    file.write_text('{"type": "marked-row"}\n' + json.dumps(good) + "\n")
    result, output = run(file)
    assert result.exit_code == 1
    assert len(output.read_text().splitlines()) == 1
    assert "line 1: timestamp is missing" in result.output
    assert "marked-row" not in output.read_text()


def test_a_workbook_becomes_records_without_names(tmp_path: Path) -> None:
    file, mapping = tmp_path / "grades.xlsx", tmp_path / "mapping.yaml"
    file.write_bytes(
        xlsx({"Mid": [["id", "name", "Q1", "remark"], ["S0104", "王小明", 1, "marked-cell"]]})
    )
    mapping.write_text(
        "{type: attempt_record, columns: {id: student_id, name: student_name, remark: null}, "
        "constants: {timestamp: '2026-01-01'}, items: {columns: [Q1], item_id: '{sheet}/{column}'}}"
    )
    result, output = run(file, "", "--mapping", str(mapping))
    assert result.exit_code == 0, result.output
    [line] = output.read_text().splitlines()
    data = json.loads(line)["data"]
    assert (data["item_id"], data["correct"]) == ("Mid/Q1", True)
    assert not any(word in line for word in ("S0104", "王小明", "marked-cell"))


def test_a_file_that_breaks_off_leaves_no_output(tmp_path: Path) -> None:
    file = tmp_path / "records.ndjson"
    file.write_text(
        json.dumps({"type": "course_content", "timestamp": "2026-01-01", "data": DATA_OF_CONTENT})
        + '\n{"a'
    )
    result, output = run(file)
    assert result.exit_code == 2
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["map.db", "records.ndjson"]
    assert not output.exists()


def test_the_owner_can_tell_who_is_who(tmp_path: Path) -> None:
    def asked(word: str) -> str:
        found = runner.invoke(app, ["pseudonym", word, "--map", str(tmp_path / "map.db")])
        assert found.exit_code == 0, found.output
        return found.output.strip()

    with PseudonymMap(tmp_path / "map.db") as names:
        pseudonym = names.of("person", "S0104")
    assert asked(pseudonym) == "S0104"
    assert asked("S0104") == pseudonym


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("Ana and Anabel, RUIZ", [Word("Ana Ruiz", is_name=True)], ["Ana", "RUIZ"]),
        ("小明说他叫王小明", [Word("王小明", is_name=True)], ["小明", "王小明"]),
        ("S0104, S01045, 4", [Word("S0104", is_name=False), Word("4", is_name=False)], ["S0104"]),
    ],
)
def test_whole_words_are_found_without_the_analyzer(
    text: str, words: list[Word], expected: list[str]
) -> None:
    def found() -> Iterator[str]:
        end_of_last = 0
        for start, end, _ in sorted(
            find_whole_words(text, words), key=lambda span: (span[0], -span[1])
        ):
            if start >= end_of_last:
                yield text[start:end]
                end_of_last = end

    assert list(found()) == expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(1, 6)), max_size=6))
def test_nothing_of_a_word_that_was_found_stays(
    tmp_path_factory: pytest.TempPathFactory, found: list[Any]
) -> None:
    """However the places of several words lie in each other."""
    text = "abcdefghijkl"
    spans = [(start, min(start + size, len(text))) for start, size in found]
    data = {"student_id": "S1", "course_id": "C1", "error_text": text}
    record = parse_record({"type": "error_record", "timestamp": "2026-01-01", "data": data})
    with PseudonymMap(tmp_path_factory.mktemp("map") / "map.db") as names:
        pseudonym = names.of("person", "S1")
        word = Word("S1", is_name=False, pseudonym=pseudonym)
        value = pseudonymize(record, names, lambda *_: iter([(*span, word) for span in spans]))
    written = value["data"]["error_text"].replace(pseudonym, "")
    covered = {place for span in spans for place in range(*span)}
    assert written == "".join(letter for place, letter in enumerate(text) if place not in covered)


def test_the_rows_are_those_that_an_import_would_read(tmp_path: Path) -> None:
    """One row of a table that cannot be read hides none of its neighbours."""
    (tmp_path / "mapping.yaml").write_text(MAPPING % "encoding: utf-8")
    (tmp_path / "table.csv").write_text(
        TABLE + "a,b\n" + TABLE.splitlines()[1].replace("2/5", "3/7") + "\n"
    )
    mapping = parse_mapping((tmp_path / "mapping.yaml").read_bytes())
    with (tmp_path / "table.csv").open("rb") as file:
        plan, text = open_text(file, "csv", None, mapping, Platforms({}))
        read = [row for _, row in read_rows(plan.source, cut_rows(plan.source, text))]
    result, output = run(tmp_path / "table.csv", "", "--mapping", str(tmp_path / "mapping.yaml"))
    assert result.exit_code == 1
    assert len(output.read_text().splitlines()) == sum(isinstance(row, Record) for row in read) == 2
