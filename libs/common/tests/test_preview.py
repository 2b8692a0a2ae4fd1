"""What a preview says of a file, of a part of one that was cut off anywhere, and of a table without a mapping."""

import gzip
from datetime import UTC, datetime

import pytest
from tables import xlsx

from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.preview import preview

LATEST = datetime(2026, 6, 20, tzinfo=UTC)
HEADER = "学号,题号,是否正确,答案,时间,课程\n"
ROW = 'S{0},q1,对,"{1}\n第二行",2026-03-01T08:00:00Z,MATH8\n'
SAID = (
    "移项时没有变号",
    "把分母漏乘了一项",
    "勾股定理用错了边",
    "平方根只写了正的",
    "去括号以后忘记变号",
)


def table(rows: int) -> str:
    return HEADER + "".join(ROW.format(n, SAID[n % 5]) for n in range(rows))


def test_a_table_gets_a_mapping_that_reads_it() -> None:
    found = preview("a.csv", table(3).encode(), None, LATEST, is_whole=True)
    assert (found.format, found.delimiter, found.problem) == ("csv", ",", None)
    assert "type: attempt_record" in str(found.mapping)
    assert (found.read, found.valid, found.complete) == (3, 3, True)


def test_a_mapping_that_takes_row_numbers_for_ids_is_a_problem() -> None:
    """Out: `_refuse_row_numbers` of the dry run."""
    rows = "".join(f"{n},s{n},C,2026-03-01\n" for n in range(1, 31))
    mapping = "{type: course_record, columns: {'No': record_id, who: student_id, what: course_id, when: timestamp}}"
    found = preview("a.csv", f"No,who,what,when\n{rows}".encode(), mapping, LATEST, is_whole=True)
    assert str(found.problem).startswith("the column No numbers the rows")
    suggested = preview(
        "a.csv", f"id,student id,course id,date\n{rows}".encode(), None, LATEST, is_whole=True
    )
    assert (suggested.problem, suggested.valid) == (None, 30)
    assert any(each.startswith("id numbers the rows") for each in suggested.open_points)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
# The bytes that are left out end within a row, a quoted cell or a character.
@pytest.mark.parametrize("left_out", range(40, 44))
def test_what_stands_at_the_cut_counts_for_nothing(name: str, encoding: str, left_out: int) -> None:
    """Out: `_without_cut` of the dry run."""
    data = table(250).encode(encoding)
    data = gzip.compress(data, 0) if name.endswith(".gz") else data
    found = preview(name, data[:-left_out], None, LATEST, is_whole=False)
    assert (found.problem, found.valid, found.rejected, found.complete) == (None, 200, 0, False)


def test_more_rows_than_a_preview_reads_are_left() -> None:
    record = b'{"type": "course_content", "timestamp": "2026-01-01", "data": {"course_id": "C", "content": "x"}}\n'
    found = preview("a.ndjson", record * 9_000, None, LATEST, is_whole=True)
    assert (found.valid, found.complete, found.mapping) == (5_000, False, None)


def test_a_given_mapping_is_used_and_what_is_wrong_with_it_is_said() -> None:
    good = "type: course_record\ncolumns: {学号: student_id, 课程: course_id, 时间: timestamp}\nignore_other_columns: true"
    found = preview("a.csv", table(2).encode(), good, LATEST, is_whole=True)
    assert (found.valid, found.mapping, found.open_points) == (2, good, ())
    wrong = preview("a.csv", table(2).encode(), "columns: {no: student_id}", LATEST, is_whole=True)
    assert wrong.read == 0
    assert "no" in str(wrong.problem)


def test_rows_that_an_import_would_reject_are_told() -> None:
    future = table(1).replace("2026-03", "2027-03")
    found = preview(
        "a.csv", (table(2) + future.removeprefix(HEADER)).encode(), None, LATEST, is_whole=True
    )
    assert (found.valid, found.rejected) == (2, 1)
    [reject] = found.errors
    assert reject.field == "时间 (timestamp)"


def test_what_unpacks_to_more_than_a_preview_reads_is_read_in_part() -> None:
    record = b'{"type": "course_content", "timestamp": "2026-01-01", "data": {"course_id": "C", "content": "%d"}}\n'
    data = gzip.compress(b"".join(record % n for n in range(200_000)), 1)
    found = preview("a.ndjson.gz", data, None, LATEST, is_whole=True)
    assert (found.valid, found.complete, found.problem) == (5_000, False, None)


def test_a_workbook_is_read_as_a_whole_or_not_at_all() -> None:
    cells = [["student_id", "item_id", "correct", "timestamp"], ["S1", "q1", "true", "2026-03-01"]]
    book = xlsx({"Answers": cells})
    found = preview("a.xlsx", book, None, LATEST, is_whole=True)
    assert (found.format, found.valid, found.problem) == ("workbook", 1, None)
    part = preview("a.xlsx", book[:-100], None, LATEST, is_whole=False)
    assert (part.read, part.mapping) == (0, None)
    assert "too large" in str(part.problem)


def test_what_cannot_be_imported_is_refused() -> None:
    with pytest.raises(MalformedFile):
        preview("a.csv", b"%PDF-1.7\n\x00\x00", None, LATEST, is_whole=True)
