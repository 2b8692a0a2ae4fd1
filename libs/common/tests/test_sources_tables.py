"""Workbooks, Parquet and wide tables: each good row arrives, each other one says where it stands and what is wrong.

What is expected is computed from the cells that were written, and not by the code that reads them.
"""

import csv
import io
import json
import os
import re
import sys
import threading
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as AnyMapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from arro3.core import Array, DataType, list_array
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tables import Rows, ods, parquet, xlsx

from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import AttemptRecord, Record
from edugraph_common.sources import (
    Mapping,
    NotRelevant,
    ReadPlan,
    open_text,
    parse_mapping,
    read_rows,
)
from edugraph_common.sources.binary_files import kind_of_binary
from edugraph_common.sources.ndjson import MAX_ROW_BYTES, EmptyFile, LineScan, MalformedFile
from edugraph_common.sources.rows import cut_rows
from edugraph_common.sources.table_files import sheet_rows
from edugraph_common.sources.table_process import MAX_UNPACKED_BYTES
from edugraph_common.sources.table_rows import NO_STUDENT, NOT_TRIED

WHEN = datetime(2026, 3, 4, 8, 30)  # noqa: DTZ001 - as a workbook has it
PLAIN = parse_mapping("""
type: course_record
columns: {学号: student_id, 课程: course_id, 进度: progress, 时间: timestamp}
time_zone: Asia/Shanghai
decimal: ","
date_formats: ["%d.%m.%Y"]
""")
HEADER = ["学号", "课程", "进度", "时间"]
WIDE = parse_mapping("""
type: attempt_record
columns: {id: student_id}
constants: {timestamp: "2026-03-04", course_id: MATH7}
items: {columns: ["Q*"], item_id: "{sheet}/{column}", scale: {Q1: 5, Q2: 2, Q3: 0.5}, not_tried: ["-"], not_students: [Mean]}
""")


def read(data: bytes, form: Format, mapping: Mapping | None = PLAIN) -> list[tuple[int, Any]]:
    """Each row with the number of its row in the sheet."""
    plan, text = open_text(io.BytesIO(data), form, None, mapping)
    plan = ReadPlan.model_validate_json(plan.model_dump_json(exclude_defaults=True))
    found = list[tuple[int, Any]]()
    for number, each in enumerate(cut_rows(plan.source, text), start=1):
        # Undoing an import tells records apart by their lines, of which each has its own (Out: yield the row's number).
        assert each.line == number
        [(_, row)] = read_rows(plan.source, [each])
        place = json.loads(each.raw)["row"]
        assert not isinstance(row, Reject) or row.line == place
        found.append((place, row))
    return found


def csv_of(rows: Rows) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([["" if cell is None else cell for cell in row] for row in rows])
    return out.getvalue().encode()


def test_sheets_with_titles_and_typed_cells_are_read_and_others_are_counted() -> None:
    """To take the guard out: let `_header` take the first row, or `cell_parser` read typed cells as text."""
    sheets: dict[str, Rows] = {
        "Term 1": [
            ["Progress of class 7"],
            [],
            HEADER,
            [20230001, "MATH7", 85.5, WHEN],
            ["S2", "MATH7", "85,5", "04.03.2026"],
            [None, None, None, None],
            ["S3", "MATH7", 101, WHEN],
            ["S4", 7, None, "4 March"],
        ],
        "Notes": [["written by", "nobody"], [WHEN]],
        "Term 2": [HEADER, ["S5", "MATH7", 10, WHEN]],
        "Old": [HEADER, ["S6", "MATH7", 10, WHEN]],
    }
    for form, data in (("xlsx", xlsx(sheets, hidden=["Old"])), ("ods", ods(sheets))):
        found = read(data, "workbook")
        records = [row for _, row in found if isinstance(row, Record)]
        assert [
            (row.data.student_id, row.data.course_id, row.data.progress) for row in records[:3]
        ] == [
            ("20230001", "MATH7", 85.5),
            ("S2", "MATH7", 85.5),
            ("S5", "MATH7", 10),
        ], form
        assert records[0].timestamp == datetime(2026, 3, 4, 0, 30, tzinfo=UTC)
        assert records[1].timestamp == datetime(2026, 3, 3, 16, tzinfo=UTC)
        rejects = [(row.sheet, line, row.field) for line, row in found if isinstance(row, Reject)]
        assert rejects == [
            ("Term 1", 7, "进度 (data.progress)"),
            ("Term 1", 8, "时间 (timestamp)"),
        ], form
        left_out = [row.name for _, row in found if isinstance(row, NotRelevant)]
        hidden = ["sheet Old (hidden)"] * 2 if form == "xlsx" else []
        assert left_out == ["sheet Notes"] * 2 + hidden
        assert len(records) == (3 if form == "xlsx" else 4)
    [(_, only)] = read(
        xlsx(sheets, hidden=["Old"]), "workbook", PLAIN.model_copy(update={"sheets": ("Old",)})
    )[-1:]
    assert only.data.student_id == "S6"


@pytest.mark.parametrize(
    ("sheets", "changes", "sentence"),
    [
        ({"A": [["x", "y"], [1, 2]]}, {}, r"the header lacks .*; it has x, y \(sheet A\)"),
        (
            {"A": [[*HEADER, "more"], ["S1", "C", 1, WHEN]]},
            {},
            r"does not say what more is.*\(sheet A, row 1\)",
        ),
        (
            {"A": [[*HEADER, "学号"], ["S1", "C", 1, WHEN]]},
            {},
            r"has 学号 more than once \(sheet A, row 1\)",
        ),
        ({"A": [HEADER]}, {"sheets": ("A", "B")}, "the workbook has no sheet B"),
        ({"A": [HEADER], "B": [["x"]]}, {"sheets": ("B",)}, r"lacks .*\(sheet B\)"),
        ({"A": []}, {}, "holds no table"),
    ],
)
def test_a_workbook_that_the_mapping_does_not_fit_is_told_in_one_sentence(
    sheets: AnyMapping[str, Rows], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(MalformedFile, match=sentence):
        read(xlsx(sheets), "workbook", PLAIN.model_copy(update=changes))


def test_parquet_is_a_table_with_types() -> None:
    moment = WHEN.replace(tzinfo=UTC)
    microseconds = int(moment.timestamp()) * 1_000_000
    columns = {
        "学号": Array([1, None, 3, 4], DataType.int64()),
        "课程": Array(["C", "C", None, "C"], DataType.string()),
        "进度": Array([50.0, 1.0, float("nan"), 1.0], DataType.float64()),
        "时间": Array([microseconds] * 3 + [None], DataType.int64()).cast(
            DataType.timestamp("us", tz="UTC")
        ),
    }
    found = read(parquet(columns), "parquet")
    assert (found[0][1].data.student_id, found[0][1].timestamp) == ("1", moment)
    assert [(line, row.field) for line, row in found[1:]] == [
        (3, "学号 (data.student_id)"),
        (4, "课程 (data.course_id)"),
        (5, "时间 (timestamp)"),
    ]
    points = list_array(Array([0, 2, 2], DataType.int32()), Array(["a", "b"], DataType.string()))
    listed = parse_mapping(
        "{type: item_record, columns: {i: item_id, k: knowledge_points}, constants: {timestamp: '2026-01-01'}}"
    )
    data = parquet({"i": Array(["q1", "q2"], DataType.string()), "k": points})
    assert [row.data.knowledge_points for _, row in read(data, "parquet", listed)] == [
        ("a", "b"),
        (),
    ]


# Text that a cell may hold. Excel stores no control characters, nor what XML has no character for, and no more than
# 32,767 characters.
words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=8
)
cells = st.one_of(
    st.none(),
    st.just("-"),
    words,
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([0.5, 1.25, 2.0, 1e300, "50 %"]),
)
# What programs write where a value is missing, and numbers whose last digits are lost, are not ids; test_ids.py has them.
LETTERS_OF_NO_ID = re.compile(r"[a-z/#<>()\\]*|[\d.+-]+e[\d+-]*", re.IGNORECASE)
# Characters of other categories that show nothing.
BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"


def has_one_form(text: str) -> bool:
    """Return whether an id is kept as it was written. Ids with several forms are in test_ids.py."""
    shown = text.strip()
    if not shown:
        return True
    if LETTERS_OF_NO_ID.fullmatch(shown) or not unicodedata.is_normalized("NFC", shown):
        return False
    for end in (shown[0], shown[-1]):
        may_be_invisible = unicodedata.category(end)[0] in "CMZ" or end in BLANK_LETTERS
        if may_be_invisible:
            return False
    return True


other_ids = words.filter(has_one_form)
ids = st.one_of(st.none(), st.sampled_from(["S1", "学-2", "mean", 7]), other_ids)


Expected = tuple[int, str | float, str]
"""The row, "not relevant", "rejected" or the score, and the column at fault or of the item."""


def outcome_of(column: str, cell: Any) -> float | str | None:
    """The score of a cell of a wide table, "rejected", or None for no try. The rule in words is in mapping.py."""
    shown = cell.strip() if isinstance(cell, str) else cell
    if shown in (None, "", "-"):
        return None
    if isinstance(shown, bool):
        return "rejected"
    is_share = isinstance(shown, str) and shown.endswith(("%", "％"))
    try:
        share = (
            float(shown.rstrip("%％ ")) / 100
            if is_share
            else float(shown) / {"Q1": 5, "Q2": 2, "Q3": 0.5}[column]
        )
    except ValueError:
        return "rejected"
    return max(share, 0.0) if abs(share) <= 1 else "rejected"


def is_blank_row(cells: Iterable[Any], form: Format) -> bool:
    """Of a CSV, a row is blank that has no more than blanks, quotes and commas, after a mark of the byte order."""
    first, *others = ("" if cell is None else str(cell) for cell in cells)
    if form == "csv":
        # In quotes this character is not a byte order mark.
        first = first if {*first} & {*'",'} else first.removeprefix("\ufeff")
        return not "".join((first, *others)).replace('"', "").replace(",", "").strip()
    return not "".join((first, *others)).strip()


def expected_rows(rows: Rows, form: Format) -> Iterator[Expected]:
    for number, (student, *tries) in enumerate(rows, start=2):
        name = str(student).strip() if student is not None else ""
        outcomes = [
            (column, outcome)
            for column, cell in zip(("Q1", "Q2", "Q3"), tries, strict=True)
            if (outcome := outcome_of(column, cell)) is not None
        ]
        is_blank = is_blank_row((student, *tries), form)
        if is_blank:
            continue
        if name.casefold() == "mean" or not outcomes:
            yield number, "not relevant", NO_STUDENT if name.casefold() == "mean" else NOT_TRIED
        elif not name:
            yield number, "rejected", "id (data.student_id)"
        else:
            for column, outcome in outcomes:
                field = f"{column} (data.score)"
                yield (
                    (number, "rejected", field)
                    if outcome == "rejected"
                    else (number, outcome, f"{name} {column}")
                )


def told(line: int, row: Any, sheet: str | None) -> Expected:
    if isinstance(row, NotRelevant):
        return line, "not relevant", row.name
    if isinstance(row, Reject):
        assert row.sheet == sheet
        return line, "rejected", row.field
    assert isinstance(row.data, AttemptRecord)
    item = row.data.item_id.removeprefix(f"{sheet or ''}/")
    return line, row.data.score or 0.0, f"{row.data.student_id} {item}"


@settings(deadline=None, max_examples=40)  # each reads a workbook, in a process of its own
@given(rows=st.lists(st.tuples(ids, cells, cells, cells), max_size=12))
@example(rows=[("S1", 5, 1, True), ("mean", 4, 1, 0.5), (None, 1, None, None), ("S2", 6, "-", 0.5)])
def test_any_wide_table_gives_its_good_cells_and_says_what_is_wrong_with_the_others(
    rows: list[tuple[Any, ...]],
) -> None:
    """To take the guard out: let `_share` take more than all points, or `_attempt_lines` leave out what is absent."""
    table: Rows = [["id", "Q1", "Q2", "Q3"], *rows]
    as_text = [[str(cell) if isinstance(cell, bool) else cell for cell in row] for row in rows]
    forms: tuple[tuple[Format, bytes, Rows, str | None], ...] = (
        ("workbook", xlsx({"Mid": table}), rows, "Mid"),
        ("csv", csv_of(table), as_text, None),
    )
    for form, data, given_rows, sheet in forms:
        expected = list(expected_rows(given_rows, form))
        if not expected:
            with pytest.raises(EmptyFile):
                read(data, form, WIDE)
            continue
        found = [told(line, row, sheet) for line, row in read(data, form, WIDE)]
        assert [(line, field) for line, _, field in found] == [
            (line, field) for line, _, field in expected
        ]
        for (_, score, _), (_, wanted, _) in zip(found, expected, strict=True):
            assert score == (wanted if isinstance(wanted, str) else pytest.approx(wanted))


def test_what_is_more_than_all_points_is_told_by_the_points() -> None:
    """To take the guard out: let `_share` return it; the contract then says that 1.2 is more than 1."""
    [(_, reject)] = read(xlsx({"A": [["id", "Q1"], ["S1", 6]]}), "workbook", WIDE)
    assert (reject.field, reject.expected, reject.found) == (
        "Q1 (data.score)",
        "a number from 0 to 5",
        "6",
    )


def test_a_later_mark_is_another_try_unless_there_is_one_attempt() -> None:
    """To take the guard out: leave the course or the item out of the record's id."""
    columns = "{id: student_id, c: course_id, t: timestamp}"
    ids = dict[str, list[list[str]]]()
    for one in ("", ", one_attempt: true"):
        mapping = parse_mapping(
            f"{{type: attempt_record, columns: {columns}, items: {{columns: ['Q*']{one}}}}}"
        )
        tables: list[Rows] = [
            [
                ["id", "c", "t", "Q1", "Q2"],
                ["S1", "C1", day, mark, 1],
                ["S1", "C2", day, 1, 1],
                ["S2", "C1", day, 1, 1],
            ]
            for day, mark in ((WHEN, 0), (WHEN.replace(month=5), 1))
        ]
        ids[one] = [
            [row.record_id for _, row in read(xlsx({"A": table}), "workbook", mapping)]
            for table in tables
        ]
        assert len(set(ids[one][0])) == 6
    (first, later), (one_first, one_later) = ids.values()
    assert not set(first) & set(later)
    assert one_first == one_later


def test_without_a_scale_a_cell_says_right_or_wrong() -> None:
    mapping = parse_mapping("""
    {type: attempt_record, columns: {id: student_id, at: timestamp}, values: {correct: {√: true, ×: false}},
     items: {columns: [Q1, Q2], ids: {Q2: geometry-9}}}
    """)
    table: Rows = [
        ["id", "at", "Q1", "Q2"],
        ["S1", WHEN, 1, "×"],
        ["S2", WHEN, "√", None],
        ["S3", WHEN, "maybe", 0.5],
    ]
    found = [row for _, row in read(xlsx({"A": table}), "workbook", mapping)]
    assert [(row.data.item_id, row.data.item_title, row.data.correct) for row in found[:3]] == [
        ("Q1", None, True),
        ("geometry-9", "Q2", False),
        ("Q1", None, True),
    ]
    assert [row.field for row in found[3:]] == ["Q1 (data.correct)", "Q2 (data.correct)"]


def test_a_broken_row_of_a_wide_csv_is_rejected_as_it_came() -> None:
    data = b"id,Q1,Q2,Q3\nS1,1,1,\nS2,1\nS3,1,\xff,\nS4,1,,\n"
    mapping = WIDE.model_copy(update={"encoding": "utf-8"})
    for broken, wanted in ((data, mapping), (data.replace(b"\xff", b'"'), WIDE)):
        found = read(broken, "csv", wanted)
        rejects = [(line, row.raw) for line, row in found if isinstance(row, Reject)]
        assert rejects[0] == (3, "S2,1")
        assert [line for line, _ in rejects] == [3, 4]
        assert [line for line, row in found if isinstance(row, Record)] == [2, 2, 5]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "{type: course_record, columns: {a: student_id}, items: {columns: [Q1]}}",
            "type must be attempt_record",
        ),
        (
            "{type: attempt_record, columns: {a: student_id, b: score, t: timestamp}, items: {columns: [Q1]}}",
            "gives by items what a column or constant gives too: score",
        ),
        (
            "{type: attempt_record, columns: {a: student_id, b: record_id, t: timestamp}, items: {columns: [Q1, Q2]}}",
            "gives by items what a column or constant gives too: record_id",
        ),
        (
            "{type: attempt_record, columns: {a: student_id}, items: {columns: [Q1]}}",
            "needs timestamp",
        ),
        (
            "{type: attempt_record, columns: {a: student_id, t: timestamp}, items: {columns: [Q1], item_id: x}}",
            "needs {column}",
        ),
        (
            "{type: attempt_record, columns: {a: student_id, t: timestamp}, items: {columns: [Q1], scale: 0}}",
            "greater than 0",
        ),
    ],
)
def test_a_wrong_mapping_of_items_is_told_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(MalformedFile, match=sentence):
        parse_mapping(text)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (["id", "A1"], "no column is one of the mapping's items"),
        (["id", "Q1", "Q9"], "does not say how many points Q9 has"),
        (["id", "Q1", "Q1"], "has Q1 more than once"),
    ],
)
def test_a_wide_table_that_the_mapping_does_not_fit_is_refused(
    header: list[str], sentence: str
) -> None:
    for form, data in (
        ("workbook", xlsx({"A": [header, ["S1", 1, 1]]})),
        ("csv", csv_of([header, ["S1", 1, 1]])),
    ):
        with pytest.raises(MalformedFile, match=sentence):
            read(data, form, WIDE)


def test_a_row_longer_than_a_row_may_be_is_rejected_alone() -> None:
    mapping = parse_mapping(
        "{type: course_content, columns: {c: course_id, t: content, u: title}, constants: {timestamp: '2026-01-01'}}"
    )
    columns: dict[str, list[str | None]] = {
        "c": ["C1", "C2", "C3"],
        "t": ["good", "x" * MAX_ROW_BYTES, "good"],
        "u": [None] * 3,
    }
    data = parquet({name: Array(values, DataType.string()) for name, values in columns.items()})
    found = read(data, "parquet", mapping)
    assert [line for line, row in found if isinstance(row, Record)] == [2, 4]
    [(line, reject)] = [each for each in found if isinstance(each[1], Reject)]
    assert (line, reject.reason, reject.raw) == (3, "is longer than a row may be", "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process")
def test_a_cell_far_outside_of_its_table_ends_the_reading_and_not_the_reader() -> None:
    """To take the guard out: do not call `limit_process`; the machine then needs 400 GB."""
    file = io.BytesIO(xlsx({"A": [HEADER]}))
    with zipfile.ZipFile(file, "a") as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("xl/worksheets/sheet1.xml", sheet.replace("</sheetData>", far))
    with pytest.raises(MalformedFile, match="takes more than 256 MiB of memory"):
        read(file.getvalue(), "workbook")


def test_a_workbook_that_unpacks_to_more_than_is_read_is_refused_before() -> None:
    file = io.BytesIO(xlsx({"A": [HEADER]}))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("xl/media/image1.png", b"x")
        archive.getinfo("xl/media/image1.png").file_size = MAX_UNPACKED_BYTES
    with pytest.raises(MalformedFile, match="unpacked, more than"):
        read(file.getvalue(), "workbook")


GOOD = xlsx({"A": [HEADER, *(["S1", "C", number, WHEN] for number in range(50))]})


@settings(deadline=None, max_examples=40)  # each reads a workbook, in a process of its own
@given(
    cut=st.integers(1, len(GOOD) - 1),
    flips=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(1, 255)), max_size=3),
)
def test_a_damaged_workbook_is_told_or_read_and_never_a_crash(
    cut: int, flips: list[tuple[int, int]]
) -> None:
    damaged = bytearray(GOOD if flips else GOOD[:cut])
    for at, change in flips:
        damaged[at] ^= change
    with suppress(MalformedFile):
        assert read(bytes(damaged), "workbook")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Office file"),
        (b"\x89PNG\r\n\x1a\n", "image"),
        (b"\xff\xd8\xff\xe0", "image"),
        (b"SQLite format 3\0", "SQLite"),
        (b"Rar!\x1a\x07\x00", "RAR"),
        (b"PK\x03\x04" + bytes(26) + b"word/document.xml", "Word"),
        (b"PK\x03\x04" + bytes(26) + b"grades.csv", "ZIP"),
        (b"\n<!DOCTYPE HTML><title>Log in</title>", "web page"),
        (bytes(range(256)) * 4, "kind that EduGraph does not know"),
        (xlsx({"A": []}), "workbook (.xlsx)"),
        (ods({"A": []}), "workbook (.ods)"),
        (parquet({"a": Array(["b"], DataType.string())}), "Parquet"),
    ],
)
@pytest.mark.parametrize("form", ["ndjson", "csv", "xapi", "openedx"])
def test_a_file_that_is_no_text_is_called_by_what_it_seems_to_be(
    head: bytes, name: str, form: Format
) -> None:
    kind = kind_of_binary(head)
    assert kind is not None
    assert name in kind.name
    with pytest.raises(MalformedFile, match="seems to be"):
        read(head, form, PLAIN if form == "csv" else None)
    scan = LineScan()
    with pytest.raises(MalformedFile, match="seems to be"):
        scan.feed(head)


@given(
    st.text(min_size=1, max_size=2_000),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030", "big5", "shift_jis"]),
)
def test_text_in_any_encoding_is_no_binary_file(text: str, encoding: str) -> None:
    words = "".join(char for char in text if char.isprintable() or char in "\r\n\t") * 20
    head = ("id," + words).encode(encoding, errors="ignore")
    assert kind_of_binary(head) is None


def test_text_sent_as_a_table_and_a_table_without_a_mapping_are_refused() -> None:
    with pytest.raises(MalformedFile, match=r"no workbook.*seems to be text"):
        read(b"a,b\n1,2\n", "workbook")
    with pytest.raises(MalformedFile, match=r"no Parquet file.*a workbook \(.xlsx\)"):
        read(GOOD, "parquet")
    with pytest.raises(MalformedFile, match="needs a mapping"):
        open_text(io.BytesIO(GOOD), "workbook", None, None)


def test_what_reads_a_table_leaves_no_file_and_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: give the file a name, or do not kill the process."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = sheet_rows([GOOD], "workbook")
    assert next(rows).number == 1
    assert not list(tmp_path.iterdir())
    children = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")
    before = children.read_text(encoding="ascii") if children.exists() else ""
    rows.close()
    assert not children.exists() or len(children.read_text(encoding="ascii").split()) < len(
        before.split()
    )
