"""CSV with a mapping: wrong rows one by one with their own lines, whole-file faults in one sentence."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.messages import Compression
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record
from edugraph_common.sources import Mapping, open_text, parse_mapping
from edugraph_common.sources.csv_source import CsvRows
from edugraph_common.sources.ndjson import MalformedFile

HEADER = ["学号", "课程", "错误", "时间", "程度"]
MAPPING = parse_mapping(
    """
    type: error_record
    columns: {学号: student_id, 课程: course_ids, 错误: error_text, 时间: timestamp, 程度: severity}
    values: {severity: {高: high, 低: low}}
    date_formats: ["%Y/%m/%d %H:%M", "%Y/%m/%d"]
    list_separator: "、"
    """
)


def table(rows: list[list[str]], header: list[str] = HEADER, **options: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out, **options).writerows([header, *rows])
    return out.getvalue().encode()


def read(
    data: bytes, mapping: Mapping | None = MAPPING, size: int = 1_000, packed: Compression | None = None
) -> list[tuple[int, Any]]:
    plan, text = open_text(io.BytesIO(data), "csv", packed, mapping)
    return [row for chunk in plan.source.chunks(text, size) for row in plan.source.rows(chunk.text, chunk.first_line)]


def row(number: int, **other: str) -> list[str]:
    cells = {
        "学号": f"S{number}",
        "课程": "MATH8、PHY8",
        "错误": f'答成 {number}，\n"错"',
        "时间": "2026/03/04",
        "程度": "高",
    }
    return list((cells | other).values())


def test_a_row_becomes_a_record_as_the_mapping_says() -> None:
    [(line, record)] = read(table([row(1, 时间="2026/03/04 08:30")]))
    assert (line, record.type, record.data.course_ids, record.data.severity) == (
        2,
        "error_record",
        ("MATH8", "PHY8"),
        "high",
    )
    assert record.timestamp.isoformat() == "2026-03-04T08:30:00+00:00"
    assert record.data.error_text == '答成 1，\n"错"'


def broken(number: int) -> str:
    """Ways in which a row can be wrong, in the file's own form."""
    kinds = [
        'S9,MATH8,"never closed,2026/03/04,高',
        "S9,MATH8,too few",
        "S9,MATH8,too,many,cells,2026/03/04,高",
        ",MATH8,nobody,2026/03/04,高",
        "S9,MATH8,no such day,2026/13/45,高",
        "S9,MATH8,unknown word,2026/03/04,hoch",
        'S9,MATH8,"shut" badly,2026/03/04,高',
    ]
    return kinds[number % len(kinds)].replace("S9", f"S9{number}")


def test_of_1000_rows_37_broken_ones_are_rejected_each_with_its_line_and_come_in_once_corrected() -> None:
    wrong = set(range(5, 1_000, 27))
    assert len(wrong) == 37
    head, lines, at, expected = table([]).decode(), [], 2, []
    for number in range(1_000):
        text = (
            broken(number) + "\r\n"
            if number in wrong
            else table([row(number)], row(number)).decode().splitlines(True)
        )
        text = text if isinstance(text, str) else "".join(text[: len(text) // 2])
        expected += [at] if number in wrong else []
        at += text.count("\n")
        lines.append(text)
    rows = read((head + "".join(lines)).encode(), size=64)
    records = [record for _, record in rows if isinstance(record, Record)]
    rejects = [reject for _, reject in rows if isinstance(reject, Reject)]
    assert (len(records), len(rejects)) == (963, 37)
    assert [reject.line for reject in rejects] == expected
    assert [reject.raw for reject in rejects] == [broken(number) for number in sorted(wrong)]

    corrected = table([row(number) for number in sorted(wrong)])
    again = [record for _, record in read(corrected) if isinstance(record, Record)]
    assert len({record.record_id for record in [*records, *again]}) == 1_000


def test_a_byte_order_mark_is_stronger_than_the_encoding_that_the_mapping_names() -> None:
    mapping = MAPPING.model_copy(update={"encoding": "gb18030"})
    data = table([row(1), row(2, 程度="?")]).decode()
    for encoding in ("gb18030", "utf-8-sig"):
        [_, (line, reject)] = read(data.encode(encoding), mapping)
        assert (line, reject.field, reject.found) == (4, "程度 (data.severity)", "?")


CELL = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\r"), max_size=12)


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3).filter(lambda cells: any(c.strip() for c in cells)), min_size=1),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_csv_writer_writes_is_read_back(rows: list[list[str]], delimiter: str, end: str) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(rows)
    found, csv_rows, data, at = [], CsvRows(delimiter), out.getvalue().encode(), 0
    while at < len(data):
        stop = csv_rows.end(data, at, final=True)
        found.append(csv_rows.cells(data[at:stop].rstrip(b"\r\n").decode()))
        at = stop
    assert found == rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encoding_and_delimiter_are_found_out(encoding: str, delimiter: str) -> None:
    rows = [row(number) for number in range(200)]
    data = table(rows, delimiter=delimiter).decode().encode(encoding)
    assert [type(record) for _, record in read(data)] == [Record] * 200
    plan, _ = open_text(io.BytesIO(data), "csv", None, MAPPING)
    assert plan.header is not None
    assert plan.header.delimiter == delimiter


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no header"),
        (table([]), "holds no record"),
        (table([row(1)], ["学号", "课程", "错误", "日期", "程度"]), "lacks 时间"),
        (table([[*row(1), "x"]], [*HEADER, "备注"]), "does not say what 备注 is"),
        (table([[*row(1), "x"]], [*HEADER, "学号"]), "学号 more than once"),
        (table([row(1)]).replace(b"\r\n", b"\r"), "CR alone"),
        (b'"\xe5\xad\xa6' + b"x" * 100, "quote in it does not close"),
        (table([row(1)]) + b"S2,\xff\xfe", "near line 4"),
    ],
)
def test_what_is_wrong_with_the_whole_file_is_told_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(MalformedFile, match=words):
        read(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type: [", "not valid YAML"),
        ("type: course_record", "columns"),
        ("{type: quiz, columns: {a: student_id}}", "type"),
        ("{type: course_content, columns: {a: course_id, b: content}}", "needs timestamp"),
        (
            "{type: course_content, columns: {a: course_id, b: content, c: timestamp, d: colour}}",
            "no field named colour",
        ),
        (
            "{type: course_content, columns: {a: course_id, b: content, c: timestamp, d: content}}",
            "more than one column",
        ),
        ("{columns: {a: timestamp}}", "names no type"),
        ("{type: course_content, columns: {a: course_id, b: content, c: timestamp}, encoding: klingon}", "klingon"),
        ("{type: course_content, columns: {a: course_id, b: content, c: timestamp}, date_format: '%Q'}", "%Q"),
        ("{type: course_content, columns: {a: course_id, b: content, c: timestamp}, delimiter: x}", "no delimiter"),
    ],
)
def test_a_mapping_that_cannot_work_is_told_before_any_row_is_read(text: str, words: str) -> None:
    with pytest.raises(MalformedFile, match=words):
        parse_mapping(text)


def test_a_csv_without_a_mapping_is_refused() -> None:
    with pytest.raises(MalformedFile, match="needs a mapping"):
        read(table([row(1)]), None)


def test_columns_can_be_left_out_and_blank_rows_count_for_nothing() -> None:
    mapping = MAPPING.model_copy(update={"ignore_other_columns": True})
    data = table([[*row(1), "x"], ["", "", "", "", "", ""], [*row(2), ""]], [*HEADER, "备注"]) + b"\r\n\r\n"
    assert [line for line, _ in read(data, mapping)] == [2, 5]


def test_the_type_can_stand_in_a_column() -> None:
    mapping = parse_mapping(
        "{columns: {k: type, who: student_id, where: course_id, what: error_text, when: timestamp}, "
        "values: {type: {错题: error_record, 选课: course_record}}}"
    )
    data = "k,who,where,what,when\n错题,S1,C1,2/5,2026-03-04\n选课,S1,C1,,2026-03-05\n".encode()
    assert [record.type for _, record in read(data, mapping)] == ["error_record", "course_record"]


def test_an_open_quote_costs_its_own_line_and_no_more_however_far_the_next_quote_is() -> None:
    rows = "".join(f"S{n},MATH8,{'plain ' * 50},2026/03/04,高\n" for n in range(5_000))
    data = (",".join(HEADER) + '\nS0,MATH8,"open,2026/03/04,高\n' + rows).encode()
    found = read(data)
    rejects = [reject for _, reject in found if isinstance(reject, Reject)]
    assert (len(found), [reject.line for reject in rejects]) == (5_001, [2])
