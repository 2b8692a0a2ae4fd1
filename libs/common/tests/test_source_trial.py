"""A trial of a source reports exactly the rows of the file."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edugraph_common.contracts.data_sources import DataSource
from edugraph_common.contracts.records import InvalidRecord, Record
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.source_trial import SourceTrial, try_source

LATEST = datetime(2026, 12, 1, tzinfo=UTC)
MAPPING = """
type: attempt_record
columns: {Pupil: student_id, Item: item_id, Right: correct, Class: course_id, When: timestamp}
"""


def source(kind: str, **settings: Any) -> DataSource:
    made = {"name": "lms", "kind": kind, "created": datetime(2026, 1, 1, tzinfo=UTC)}
    return DataSource.model_validate({**made, **settings})


def tried(of: DataSource, text: str, **options: Any) -> SourceTrial:
    given: dict[str, Any] = {"is_whole": True, "check": lambda _: None, **options}
    platforms = given.pop("platforms", Platforms())
    return try_source(of, "file", text.encode(), platforms, LATEST, **given)


def line(kind: str, record_id: str = "r", **data: Any) -> str:
    record = {"type": kind, "timestamp": "2026-05-01T08:00:00Z", "record_id": record_id}
    return json.dumps({**record, "data": data}) + "\n"


def test_rows_persons_courses_points_texts_and_rejects_are_those_of_the_file() -> None:
    """Out: any line of `_Collector.add`."""
    answer = {"item_id": "i1", "correct": True, "course_ids": ["C1", "C2"]}
    text = (
        line("attempt_record", student_id="s1", item_title="Quiz", knowledge_points=["P"], **answer)
        + line("student_interaction", student_id_from="s2", student_id_to="s3",
               interaction_type="chat", text="How?", course_id="C1")
        + line("teacher_interaction", teacher_id="t1", student_id="s1", subject="x")
        + line("item_record", item_id="i2", title="Exam")
        + line("point_record", point_id="K.1", name="Counting")
        + line("error_record", student_id="s9", error_text="wrong sign")
        + "not JSON\n"
    )  # fmt: skip
    found = tried(source("records"), text)
    assert (found.source, found.format) == ("lms", "ndjson")
    assert (found.report.read, found.report.valid, found.report.rejected) == (7, 5, 2)
    assert [reject.line for reject in found.report.errors] == [6, 7]
    assert found.report.complete
    assert found.named.students == ("s1", "s2", "s3")
    assert found.named.teachers == ("t1",)
    assert found.named.courses == ("C1", "C2")
    assert found.named.points == ("P", "K.1")
    assert found.named.item_titles == {"i1": "Quiz", "i2": "Exam"}
    assert found.texts == 1
    assert tried(source("records", analyse=False), text).texts == 0


def test_a_table_is_read_with_the_mapping_and_the_time_zone_of_the_source() -> None:
    """Out: the time zone: the row of the next day is in the future in UTC only."""
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["Pupil", "Item", "Right", "Class", "When"])
    rows.writerow(["s1", "i1", "1", "C", "2026-12-01 05:00"])
    of_shanghai = source("table", mapping=MAPPING, time_zone="Asia/Shanghai")
    assert tried(of_shanghai, table.getvalue()).report.valid == 1
    assert tried(source("table", mapping=MAPPING), table.getvalue()).report.rejected == 1


@pytest.mark.parametrize(
    ("record_type", "columns", "constants", "expected"),
    [
        # A table that names no course is of the default course.
        ("attempt_record", "Item: item_id, Right: correct", None, {"MATH7"}),
        ("attempt_record", "Item: item_id, Right: correct", "{course_id: '?'}", {"MATH7"}),
        ("course_record", "Share: progress", None, {"MATH7"}),
        ("error_record", "Item: error_text", None, {"MATH7"}),
        ("membership_record", "Item: group_id", None, {"MATH7"}),
        # A table that names one is not.
        ("attempt_record", "Item: item_id, Right: correct, Class: course_id", None, {"C"}),
        ("attempt_record", "Item: item_id, Right: correct", "{course_id: X}", {"X"}),
        ("error_record", "Item: error_text, Class: course_ids", None, {"C"}),
        ("attempt_record", "Item: item_id, Right: correct", "{course_ids: [Y, Z]}", {"Y", "Z"}),
    ],
)
def test_a_table_without_a_course_is_of_the_default_course_of_its_source(
    record_type: str, columns: str, constants: str | None, expected: set[str]
) -> None:
    """Out: `default_course` in `mapping_of_source`, or the check of the fields in `_with_course`."""
    mapping = (
        f"{{type: {record_type}, ignore_other_columns: true, "
        f"columns: {{Pupil: student_id, When: timestamp, {columns}}}"
    )
    if constants:
        mapping += f", constants: {constants}"
    text = "Pupil,Item,Right,Share,Class,When\ns1,i1,1,50,C,2026-05-01\ns2,i1,0,60,C,2026-05-01\n"
    of_math = source("table", mapping=mapping + "}", default_course="MATH7")
    found = tried(of_math, text)
    assert found.report.valid == 2, found.report
    assert set(found.named.courses) == expected


def test_a_blank_cell_of_a_course_and_a_term_have_no_default_course() -> None:
    """Out: the check of the type in `_with_course`. A term has no course, so such a row would be set aside."""
    blank = "Pupil,Item,Right,Class,When\ns1,i1,1,,2026-05-01\n"
    found = tried(source("table", mapping=MAPPING, default_course="MATH7"), blank)
    assert (found.report.valid, found.named.courses) == (1, ())
    terms = "{type: term_record, columns: {T: term, A: starts, B: ends}, constants: {timestamp: 2026-01-01}}"
    text = "T,A,B\nT1,2026-01-01,2026-06-01\n"
    found = tried(source("table", mapping=terms, default_course="MATH7"), text)
    assert found.report.valid == 1, found.report


@pytest.mark.parametrize("kind", ["records", "xapi", "openedx", "curriculum"])
def test_a_source_without_tables_has_no_default_course(kind: str) -> None:
    """Out: `only_tables_have_a_default_course`."""
    with pytest.raises(ValueError, match="has no default_course"):
        source(kind, default_course="MATH7")


def test_statements_are_read_with_the_prefixes_of_the_platform() -> None:
    """Out: `platforms` of dry_run."""
    event = {
        "name": "problem_check", "event_type": "problem_check", "event_source": "server",
        "username": "ann", "time": "2026-05-01T08:00:00+00:00",
        "context": {"user_id": 7, "course_id": "course-v1:A+B+C", "module": {"display_name": "Sum"}},
        "event": {"problem_id": "block-v1:A+B+C+type@problem+block@p", "success": "correct",
                  "attempts": 1, "grade": 1, "max_grade": 1},
    }  # fmt: skip
    of_log = source("openedx", platform="https://mooc.example")
    platforms = Platforms({"mooc.example": "mooc:"}, "https://mooc.example")
    found = tried(of_log, json.dumps(event) + "\n", platforms=platforms)
    assert found.report.valid == 1
    [student] = found.named.students
    assert student.startswith("mooc:")


def test_what_the_caller_may_not_write_and_too_long_ids_are_rejects() -> None:
    """Out: `check` or `keyed`. Neither row names anybody."""

    def check(record: Record) -> None:
        if record.type == "term_record":
            raise InvalidRecord("type", "another", "", "needs the scope roster")

    term = {"term": "T", "starts": "2026-01-01", "ends": "2026-06-01"}
    text = line("term_record", **term) + line(
        "error_record", "x" * 128, student_id="s1", course_id="C", error_text="wrong"
    )
    found = tried(source("records"), text, check=check)
    assert found.report.valid == 0
    assert [reject.field for reject in found.report.errors] == ["type", "record_id"]
    assert found.named.students == ()


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("records", "a,b\n1,2\n", "takes ndjson"),
        ("table", "Pupil,Item\n1,2\n", "needs a mapping"),
        ("curriculum", '{"CFItems": []}', "say which of them the file is"),
        ("roster", '{"verb": {"id": "http://x"}, "actor": {}, "object": {}}\n', "takes"),
    ],
)
def test_a_file_that_the_source_does_not_take_is_refused(kind: str, text: str, words: str) -> None:
    with pytest.raises(MalformedFile, match=words):
        tried(source(kind), text)


def test_a_part_of_a_file_leaves_out_the_row_that_was_cut() -> None:
    content = {"course_id": "C", "content": "x"}
    rows = "".join(line("course_content", f"r{number}", **content) for number in range(300))
    found = tried(source("records"), rows[:-20], is_whole=False)
    assert not found.report.complete
    assert found.report.rejected == 0
    assert 100 <= found.report.valid < 300
    with pytest.raises(MalformedFile, match="as a whole"):
        tried(source("curriculum"), '{"CFItems": []}', is_whole=False, file_format="case")


def test_dates_are_compared_with_the_moment_of_the_trial() -> None:
    future = (LATEST + timedelta(days=1)).isoformat()
    row = {
        "type": "course_content",
        "timestamp": future,
        "data": {"course_id": "C", "content": "x"},
    }
    assert tried(source("records"), json.dumps(row)).report.rejected == 1
