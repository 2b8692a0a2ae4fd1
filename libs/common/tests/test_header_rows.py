"""The header of a table is found below titles and remarks, and may have two rows."""

import io

import pytest
from gradebook_figures import LATEST, records_of

from edugraph_common.contracts.records import AttemptRecord, Record
from edugraph_common.sources import open_text, parse_mapping
from edugraph_common.sources.csv_source import read_header
from edugraph_common.sources.header_rows import find_header
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.preview import preview
from edugraph_common.sources.wide_tables import points_in_name

MARKS = ["S1,Ana,7,8", "S2,Ben,5,10", "S3,Cem,,9"]
HEADER = "Student ID,Name,Quiz /10,Lab /10"


def columns_of(*lines: str, wanted: tuple[str, ...] = ()) -> tuple[str, ...]:
    return read_header("\n".join(lines).encode(), None, wanted).columns


@pytest.mark.parametrize(
    "above",
    [
        ["Grades of class 7A"],
        ["Grades of class 7A,,,", ",,,", "Autumn,,,"],
        ["Exported,2026-06-01"],
        ["Teacher,Ms. Gray,,", "Term,Autumn,,"],
        ["班级：七1班,任课教师：张老师,学期：春,"],
        [",,Unit 1,"],
    ],
)
def test_titles_remarks_and_groups_stand_above_the_header(above: list[str]) -> None:
    """Out: `_is_title`; `_is_remark`; `_place_of_persons`; `_is_row_of_groups`."""
    assert columns_of(*above, HEADER, *MARKS) == tuple(HEADER.split(","))


@pytest.mark.parametrize(
    "lines",
    [
        ["a,b", "1,2,3,4", "1,2,3,4"],
        ["id,role,note", "1,student,x", "2,name,y"],
        ["id,,", "S1,,", "S2,,"],
        ["text", "hello, world", "a, b"],
        ["姓名,备注", "王芳,", ",x"],
    ],
)
def test_the_first_row_of_other_tables_is_the_header(lines: list[str]) -> None:
    """Out: the comparison with the usual number of cells; the second row that is a row of students."""
    assert columns_of(*lines) == tuple(lines[0].split(","))


def test_the_columns_of_a_mapping_are_the_header_wherever_they_stand() -> None:
    """Rows with too many cells do not hide it. Out: `wanted`."""
    hostile = [",".join(["x"] * 30)] * 9
    assert columns_of("id,text", *hostile, wanted=("id", "text")) == ("id", "text")
    below = ["Report,of,all,schools", "id,text,,", "1,a,,"]
    assert columns_of(*below, wanted=("id", "text")) == ("id", "text", "", "")
    assert columns_of(*below) == ("Report", "of", "all", "schools")


def test_lists_in_the_cells_of_a_column_do_not_hide_the_columns_of_a_mapping() -> None:
    """Each row has more semicolons than commas. Out: the wanted columns in `columns_named`."""
    rows = ["S1,a; b; c", "S2,d; e; f", "S3,g; h; i"]
    wanted = ("Student no", "Other ids")
    assert columns_of("Student no,Other ids", *rows, wanted=wanted) == wanted


def test_a_header_of_two_rows_with_merged_cells() -> None:
    """Out: `_is_second_row`; the groups in `_combined`."""
    rows = [
        ["学号", "姓名", "作业", "", "考试", "总评"],
        ["", "", "作业1", "作业2", "期末", ""],
        ["S1", "王芳", "7", "8", "9", "8"],
    ]
    found = find_header(rows)
    assert found is not None
    assert (found.first, found.rows) == (0, 2)
    assert found.columns == ("学号", "姓名", "作业1", "作业2", "期末", "总评")
    rows[1] = ["", "", "得分", "得分", "得分", ""]
    found = find_header(rows)
    assert found is not None
    assert found.columns == ("学号", "姓名", "作业 得分", "作业 得分", "考试 得分", "总评")


def test_a_header_with_bytes_of_another_encoding_is_refused() -> None:
    """Out: `has_replaced_bytes` in `_header_of`. The titles of items would be damaged for good."""
    data = "Student ID,Name,12 · 12 /10,Lab /10\nS1,Ana,7,8\nS2,Ben,5,10\nS3,Cem,3,9\nS4,Dee,1,2\nS5,Eli,4,4\n".encode(
        "gb18030"
    )
    found = preview("a.csv", data, None, LATEST, is_whole=True)
    assert "the header has bytes that are not" in str(found.problem)
    mapping = (
        "{type: attempt_record, encoding: gb18030, columns: {Student ID: student_id, Name: student_name}, "
        "constants: {timestamp: '2026-06-01'}, items: {columns: ['* /10'], scale: 10}}"
    )
    titles = {record.data.item_id for record in records_of("a.csv", data, mapping)}  # type: ignore[union-attr]
    assert titles == {"12 · 12 /10", "Lab /10"}


def test_a_replaced_sign_that_is_in_the_file_itself_is_a_name() -> None:
    mapping = parse_mapping(
        "{type: course_content, columns: {'a\ufffd': content, b: course_id}, constants: {timestamp: '2026-06-01'}}"
    )
    rows = b"x,y\n" * 6
    plan, _ = open_text(io.BytesIO("a\ufffd,b\n".encode() + rows), "csv", None, mapping)
    assert plan.header is not None
    assert plan.header.columns == ("a\ufffd", "b")
    with pytest.raises(MalformedFile, match="bytes that are not"):
        open_text(io.BytesIO(b"a\xff,b\n" + rows), "csv", None, mapping)


@pytest.mark.parametrize(
    ("cell", "share", "late"),
    [
        ("8 (late)", 0.8, True),
        ("８．５", 0.85, None),
        ("80% late", 0.8, True),
        ("7/10（迟交）", 0.7, True),
        ("9 补交", 0.9, True),
        ("7", 0.7, None),
    ],
)
def test_a_late_mark_counts_and_is_late(cell: str, share: float, late: bool | None) -> None:
    """Out: `is_late`; `_LATE` in `without_unit`; `_USUAL_WIDTH`."""
    mapping = (
        "{type: attempt_record, columns: {id: student_id}, constants: {timestamp: '2026-06-01'}, "
        "items: {columns: [Quiz], scale: 10}}"
    )
    [record] = records_of("a.csv", f"id,Quiz\nS1,{cell}\n".encode(), mapping)
    assert isinstance(record, Record)
    assert isinstance(record.data, AttemptRecord)
    assert (record.data.score, record.data.late) == (share, late)


@pytest.mark.parametrize("cell", ["late", "8*", "8?", "8 lateral", "²", "8²"])
def test_other_words_beside_a_mark_are_set_aside(cell: str) -> None:
    mapping = (
        "{type: attempt_record, columns: {id: student_id}, constants: {timestamp: '2026-06-01'}, "
        "items: {columns: [Quiz], scale: 10}}"
    )
    assert records_of("a.csv", f"id,Quiz\nS1,{cell}\n".encode(), mapping) == []


def test_a_name_with_line_breaks_is_that_of_one_line() -> None:
    """Spreadsheets break the names of narrow columns. Out: `one_line` in the id and title of an item."""
    assert points_in_name("Cells quiz\n(max\n10)") == 10
    mapping = (
        "{type: attempt_record, columns: {id: student_id}, constants: {timestamp: '2026-06-01'}, "
        'items: {columns: ["Cells\\nquiz"], scale: 10}}'
    )
    [record] = records_of("a.csv", b'id,"Cells\nquiz"\nS1,7\n', mapping)
    assert record.data.item_id == "Cells quiz"  # type: ignore[union-attr]
