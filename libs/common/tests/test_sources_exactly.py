"""The readers of files to the byte: where rows and headers end, what is blanked, which words tell a wrong mapping."""

import json
from contextlib import suppress
from typing import Any

import pytest

from edugraph_common.contracts.records import InvalidRecord
from edugraph_common.sources import RawRow, csv_source, read_rows
from edugraph_common.sources.chunking import line_end, rows_of
from edugraph_common.sources.csv_source import CsvRows, CsvSource, Header, read_header
from edugraph_common.sources.json_source import (
    Lines,
    ValueEnds,
    Values,
    decode_json,
    first_value,
    layout_of,
)
from edugraph_common.sources.mapping import Items, Mapping, parse_mapping, with_points
from edugraph_common.sources.ndjson import EmptyFile, LineScan, MalformedFile
from edugraph_common.sources.rows import cut_rows
from edugraph_common.sources.table_rows import check_columns

BOM = b"\xef\xbb\xbf"
COURSE: dict[str, Any] = {
    "type": "course_record",
    "columns": {"s": "student_id", "c": "course_id", "t": "timestamp"},
}


WIDE: dict[str, Any] = {"type": "attempt_record", "columns": {"s": "student_id", "t": "timestamp"}}


def table(head: bytes = b"s,c,t\n", **mapping: Any) -> CsvSource:
    return CsvSource(read_header(head, None), Mapping(**{**COURSE, **mapping}))


# --- CSV ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "final", "end"),
    [
        (b"a,b\nc", False, 4),
        (b"a,b", False, -1),
        (b"a,b", True, 3),
        (b'a,"b\nc"\nd', False, 8),
        (b'a,"b\nc"\r\nd', False, 9),
        (b'a,"b\nc', False, -1),  # it may close in the next block
        (b'a,"b\nc', True, 5),  # it never closes: the line alone is wrong
        (b'a,"b\nc"', False, -1),  # a quote may follow
        (b'a,"b\nc"', True, 7),
        (b'a,"b"x\nc\n', False, 7),
        (b'a"b\nc"\n', False, 4),  # a quote within a field opens nothing
        (b'"a""\nb",c\nd\n', False, 10),
        (b'"a"\n"b\n', False, 4),
        (b"", True, 0),
    ],
)
def test_a_row_ends_with_its_line_or_with_the_line_after_its_last_quote(
    text: bytes, final: bool, end: int
) -> None:
    assert CsvRows(",").end(text, 0, final) == end
    assert CsvRows(",").end(b"x\n" + text, 2, final) == (end if end < 0 else end + 2)


def test_a_quoted_cell_longer_than_a_row_may_be_costs_its_line_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_source, "MAX_ROW_BYTES", 10)
    rows = CsvRows(",")
    assert rows.end(b'"a\n345678"\n', 0, final=True) == 3
    assert rows.end(b'"a\n34567"\n', 0, final=True) == 10
    assert rows.end(b'"a\n3456789', 0, final=False) == -1
    assert rows.end(b'"a\n34567890', 0, final=False) == 3


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_cells_are_those_between_delimiters(delimiter: str) -> None:
    assert CsvRows(delimiter).cells(delimiter.join(["a", '"b""c"', ""])) == ["a", 'b"c', ""]
    assert CsvRows(delimiter).cells("") == []
    with pytest.raises(InvalidRecord) as caught:
        CsvRows(delimiter).cells('"a"b')
    refused = caught.value
    assert (refused.field, refused.expected, refused.found) == ("(row)", "one row of CSV", '"a"b')
    assert refused.reason.startswith("is not valid CSV: ")


@pytest.mark.parametrize(
    ("head", "delimiter", "header"),
    [
        (b"a,b;c\nx", None, (",", ("a", "b;c"), "a,b;c", 6, 1)),
        (b"a;b;c,d\r\nx", None, (";", ("a", "b", "c,d"), "a;b;c,d", 9, 1)),
        (b"a\tb\n", None, ("\t", ("a", "b"), "a\tb", 4, 1)),
        (b"a|b", None, ("|", ("a", "b"), "a|b", 3, 0)),
        (b"a\n", None, (",", ("a",), "a", 2, 1)),
        (b"a,b;c\n", ";", (";", ("a,b", "c"), "a,b;c", 6, 1)),
        (BOM + b"\r\n\n a , b \n", None, (",", ("a", "b"), " a , b ", 15 - 1, 3)),
        (b"sep=;\na;b,c\nx", None, (";", ("a", "b,c"), "a;b,c", 12, 2)),
        (b'"sep=;"\r\na;b\n', None, (";", ("a", "b"), "a;b", 13, 2)),
        (b"sep=;\na,b\n", ",", (",", ("a", "b"), "a,b", 10, 2)),
        (b"SEP=\t\na\tb\n", None, ("\t", ("a", "b"), "a\tb", 10, 2)),
        (b'"a\nb",c\nx', None, (",", ("a\nb", "c"), '"a\nb",c', 8, 2)),
        (b"\xff,b\n", None, (",", ("\ufffd", "b"), "\ufffd,b", 4, 1)),
    ],
)
def test_a_header_is_read_with_its_place(
    head: bytes, delimiter: str | None, header: tuple[Any, ...]
) -> None:
    names = ("delimiter", "columns", "raw", "size", "lines")
    assert read_header(head, delimiter) == Header(**dict(zip(names, header, strict=True)))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "the file is empty: it holds no header"),
        (BOM + b" \n ", "the file is empty: it holds no header"),
        (b"\na,b\rc,d\r", "the lines end with CR alone"),
        (b'"b\nx', "a quote in it does not close"),
    ],
)
def test_a_header_that_cannot_be_read_is_told(head: bytes, words: str) -> None:
    with pytest.raises(MalformedFile, match=words):
        read_header(head, None)


def test_a_header_is_a_quarter_of_the_longest_row_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert csv_source.MAX_HEADER_BYTES == 262_144
    monkeypatch.setattr(csv_source, "MAX_HEADER_BYTES", 4)
    assert read_header(b"a,b\n", ",").columns == ("a", "b")
    with pytest.raises(MalformedFile, match="the header is longer than 4 bytes"):
        read_header(b"a,bc\n", ",")


def test_a_mapping_must_fit_the_header() -> None:
    def check(head: bytes, **mapping: Any) -> None:
        check_columns(read_header(head, ",").columns, Mapping(**{**COURSE, **mapping}))

    check(b"s,c,t\n")
    check(b"s,c,t,more,more\n", ignore_other_columns=True)
    with pytest.raises(
        MalformedFile, match=r"^the header lacks c, t, which the mapping names; it has s, x$"
    ):
        check(b"s,x\n")
    with pytest.raises(MalformedFile, match=r"^the header has s, t more than once$"):
        check(b"s,c,t,s,t\n")
    check(b"s,c,t,n,n\n", columns={**COURSE["columns"], "n": None})
    with pytest.raises(MalformedFile, match=r"does not say what x, \(no name\) is; map it"):
        check(b"s,c,t,x,\n")


def test_rows_come_with_their_lines_and_blank_ones_count_as_lines() -> None:
    text = b's,c,2026-01-01\n\n , ,\n"a\nb",c,2026-01-01\r\nx,c\nz,c,2026-01-01,\n'
    head = b"s,c,t\n"
    rows = list(read_rows(table(), cut_rows(table(), [head + text])))
    assert [line for line, _ in rows] == [2, 5, 7, 8]
    refused: Any = [row for _, row in rows][2]
    assert (refused.field, refused.expected, refused.found) == ("(row)", "3 cells", "2 cells: x,c")
    assert refused.reason == "has not as many cells as the header"
    assert [getattr(getattr(row, "data", None), "student_id", None) for _, row in rows][0::3] == [
        "s",
        "z",
    ]


def test_rows_have_no_header_whatever_the_blocks() -> None:
    text = b"s,c,t\nr1,c,t\nr2,c,t\n"
    for size in (1, 4, 6, 7, 100):
        blocks = [text[start : start + size] for start in range(0, len(text), size)]
        assert list(cut_rows(table(), blocks)) == [RawRow(2, b"r1,c,t"), RawRow(3, b"r2,c,t")]


def test_a_row_of_a_table_names_its_students() -> None:
    assert table().people(b"b,c,t").ids == {"b"}


# --- JSON ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "layout"),
    [
        (b'{"a": 1}\n{"b": 2}', "lines"),
        (b'{"a":\n1}', "values"),
        (b' [{"a": 1}]', "values"),
        (BOM + b"\n[1]", "values"),
        (b'{"a":\n1', "lines"),
        (b"no JSON", "lines"),
        (b'{"a": 1}', "lines"),
        (b'{"a": }\n1}', "lines"),
        (b"", "lines"),
    ],
)
def test_a_layout_is_told_by_the_head(head: bytes, layout: str) -> None:
    assert layout_of(head) == layout


@pytest.mark.parametrize(
    ("text", "begin", "is_final", "end"),
    [
        ('{"a": 1}, {', 0, False, 8),
        ('{"a": "}"}, 1]', 0, False, 10),
        ('{"a": [{}, {}]}', 0, False, -1),
        ('{"a": [{}, {}]}', 0, True, 15),
        ('{"a": [{}, {}]}]', 0, False, 15),
        ('{"a": "\\"}"}x', 0, False, 12),
        ('{"a": 1', 0, False, -1),
        ('{"a": "', 0, False, -1),
        ('{"a": 1},{"b": 2},', 9, False, -1),  # a member may follow, and then the value is broken
        ('{"a": 1},{"b": 2},{', 9, False, 17),
        ('no, {"a": 1}', 0, False, 4),
        ("no", 0, True, 2),
        ("no", 0, False, -1),
        ('{"a" 1}, {"a": 2}', 0, True, 7),
        ('{"a" 1}, {"a": 2}', 0, False, -1),
        ('{"a" 1}, null', 0, True, 7),
        ('{"a" 1} ', 0, False, -1),
        ('{"a" 1}]', 0, True, 7),
        ('{"a": {"b": 1}, {"a": 2}]', 0, True, 16),
        ('{"a": {"b": 1}, {"a": 2}]', 0, False, -1),
    ],
)
def test_a_value_ends_with_its_last_bracket_or_before_the_next_one(
    text: str, begin: int, is_final: bool, end: int
) -> None:
    assert ValueEnds().end(text, begin, is_final) == end


def test_a_value_that_never_ends_is_a_file_that_was_cut_off() -> None:
    with pytest.raises(MalformedFile, match="in the middle of a JSON value"):
        ValueEnds().end('{"a": 1', 0, is_final=True)


def test_a_line_ends_after_its_line_feed() -> None:
    assert (
        line_end(b"a\nb", 0, False),
        line_end(b"a\nb", 2, False),
        line_end(b"a\nb", 2, True),
    ) == (2, -1, 3)


def test_values_come_on_one_line_with_the_line_on_which_they_start() -> None:
    text = b'[\n{"a":\n  1},\n\n{"b": 2}, no\n,{"c": 3}\n]'
    assert list(rows_of(Values().chunks([text], 10))) == [
        RawRow(2, b'{"a": 1}'),
        RawRow(5, b'{"b": 2}'),
        RawRow(5, b"no"),
        RawRow(6, b'{"c": 3}'),
    ]
    assert list(rows_of(Lines().chunks([b'{"a": 1}\n\n{"b": 2}'], 10))) == [
        RawRow(1, b'{"a": 1}'),
        RawRow(3, b'{"b": 2}'),
    ]


def test_brackets_and_commas_are_no_rows() -> None:
    assert len(list(rows_of(Values().chunks([b'[\n{"a": 1},\n{"b": 2}\n]\n', b",\n"], 10)))) == 2
    assert not list(rows_of(Values().chunks([b"[]"], 10)))


def test_the_first_value_is_that_of_an_array_too_and_nothing_if_it_does_not_end() -> None:
    assert first_value(b' [ {"a": 1}, 2]') == b'{"a": 1}'
    assert first_value(b'{"a": ') == b""


def test_what_is_no_json_is_refused_with_its_text() -> None:
    assert decode_json(b'{"a": [1]}') == {"a": [1]}
    for raw in (b"{", b"[" * 100_000):
        with pytest.raises(InvalidRecord) as caught:
            decode_json(raw)
        assert (caught.value.field, caught.value.reason) == ("(line)", "is not valid JSON")
    assert caught.value.found == "[" * 79 + "…"
    with pytest.raises(InvalidRecord) as caught:
        decode_json(b'{"a": "\xff"}')
    assert caught.value.reason == "holds a damaged character"


@pytest.mark.parametrize("json_ends", [True, False])
def test_lines_are_checked_while_they_are_cut(json_ends: bool) -> None:
    layout, blocks = Lines(json_ends), [b'{"a": 1}\n{"b', b'": 2']
    if not json_ends:
        assert [row.raw for row in rows_of(layout.chunks(blocks, 10))] == [b'{"a": 1}', b'{"b": 2']
        return
    with pytest.raises(MalformedFile, match="in the middle of its last line"):
        list(layout.chunks(blocks, 10))
    assert [row.raw for row in rows_of(layout.chunks([b"\xff\n{}"], 10))] == [b"\xff", b"{}"]
    with pytest.raises(MalformedFile, match="no line of the file is UTF-8"):
        list(layout.chunks([b"\xff\n\n\xff\n"], 10))


# --- lines --------------------------------------------------------------------------------------------------------


def test_an_empty_file_is_told_apart_from_a_broken_one() -> None:
    scan = LineScan()
    scan.feed(b" \n ")
    with pytest.raises(EmptyFile):
        scan.finish()
    scan.feed(BOM)
    scan.feed(json.dumps({"a": 1}).encode())


def test_only_the_beginning_of_a_file_says_what_kind_it_is() -> None:
    scan = LineScan()
    scan.feed(b'{"a": "')
    scan.feed(b'PK\x03\x04"}\n')
    scan.finish()


# --- mappings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"columns": {}}, "columns: dictionary should have at least 1 item after validation, not 0"),
        ({"list_separator": ""}, "list_separator: string should have at least 1 character"),
        ({"delimiter": ""}, "delimiter: string should have at least 1 character"),
        ({"delimiter": ",,"}, "delimiter: string should have at most 1 character"),
        *(({"delimiter": each}, "delimiter: is no delimiter; use one such as , ; | or a tab") for each in ("a", '"', "'", "\\")),
        ({"encoding": "utf-99"}, "encoding: utf-99 is no known text encoding"),
        ({"time_zone": "Mars"}, "time_zone: Mars is no known time zone; use a name such as Asia/Shanghai"),
        ({"decimal": ";"}, "decimal: input should be '.' or ','"),
        ({"date_formats": ["%Q"]}, r"date_formats: %Q is no date format ('Q' is a bad directive in format '%Q')"),
        ({"columns": {"s": "student"}}, "course_record has no field named student"),
        ({"values": {"mood": {"a": "b"}}}, "course_record has no field named mood"),
        ({"columns": {**COURSE["columns"], "x": "course_id"}}, "the mapping gets more than one column for course_id"),
        ({"type": None}, "it names no type, and no column that holds one"),
        ({"columns": {"s": "student_id"}}, "course_record needs course_id, timestamp"),
        ({"type": None, "columns": {"k": "type", "x": "mood"}}, "a record has no field named mood"),
        ({"type": "error_record", "columns": {"s": "student_id", "t": "timestamp"}}, "error_record needs course_id, error_text"),
        ({"constants": {"progress": None}}, "constants.progress.str: input should be a valid string"),
        ({"type": None, "columns": {"k": "type"}}, "a record needs timestamp"),
        ({**WIDE, "items": {"columns": []}}, "items.columns: tuple should have at least 1 item after validation, not 0"),
        *(({**WIDE, "items": {"columns": ["Q*"], "item_id": each}}, "items.item_id: needs {column}, may have {sheet} and {course}, and no other braces")
          for each in ("x", "{sheet}", "{column}{row}", "{{column}")),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_used_is_told_by_its_place(
    changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(MalformedFile) as caught:
        parse_mapping(json.dumps(COURSE | changed))
    assert str(caught.value) == f"the mapping cannot be used: {words}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", r"^the mapping is not valid YAML \(line 1\)$"),
        ("a: b\nc: [\n", r"^the mapping is not valid YAML \(line 3\)$"),
        (b"\xff", "^the mapping is not valid YAML in UTF-8$"),
        ("[]", "^the mapping cannot be used: input should be a valid dictionary"),
    ],
)
def test_a_mapping_that_cannot_be_read_is_told(text: str | bytes, words: str) -> None:
    with pytest.raises(MalformedFile, match=words):
        parse_mapping(text)


@pytest.mark.parametrize("depth", [50, 400, 900, 5_000, 100_000])
def test_a_mapping_that_is_nested_deeply_is_told(depth: int) -> None:
    """Out: RecursionError in `with_points`."""
    deep = "[" * depth + "]" * depth
    with pytest.raises(MalformedFile):
        parse_mapping(f"{{type: course_record, columns: {{a: student_id}}, constants: {deep}}}")
    with suppress(MalformedFile):
        with_points(f"{{items: {{columns: [Q1]}}, constants: {deep}}}", '{"Q1": 2}')


@pytest.mark.parametrize(
    ("column", "sheet", "item"),
    [("Q1", "May", "May/Q1"), ("Q1", None, "/Q1"), ("Q2", "May", "geometry-9")],
)
def test_an_item_is_called_by_its_sheet_and_column_or_as_the_mapping_says(
    column: str, sheet: str | None, item: str
) -> None:
    items = Items(columns=("Q*",), item_id="{sheet}/{column}", ids={"Q2": "geometry-9"})
    assert (items.has(column), items.id_of(column, sheet)) == (True, item)


def test_what_yaml_reads_as_dates_and_numbers_is_text() -> None:
    mapping = parse_mapping(
        "type: course_record\n"
        "columns: {1: student_id, 2.5: course_id}\n"
        "constants: {timestamp: 2026-07-03, progress: 50, time_spent: 1.5}\n"
        "values: {difficulty: {1: advanced, no: true}}\n"
        "date_format: '%Y'\n"
    )
    assert mapping.columns == {"1": "student_id", "2.5": "course_id"}
    assert mapping.constants == {"timestamp": "2026-07-03", "progress": "50", "time_spent": "1.5"}
    assert mapping.values == {"difficulty": {"1": "advanced", "False": True}}
    assert mapping.date_formats == ("%Y",)
    assert mapping.fields == ["student_id", "course_id", "timestamp", "progress", "time_spent"]


def test_what_a_mapping_does_not_say_has_its_default() -> None:
    mapping = Mapping(**COURSE)
    assert (mapping.decimal, mapping.list_separator, mapping.ignore_other_columns) == (
        ".",
        ";",
        False,
    )
    assert (mapping.delimiter, mapping.encoding, mapping.time_zone, mapping.date_formats) == (
        None,
        None,
        None,
        (),
    )
    assert Mapping(**COURSE, encoding="UTF-8-sig").encoding == "utf-8"
    assert Mapping(
        **COURSE, time_zone="Asia/Shanghai", delimiter="\t", date_formats=["excel", "%d.%m.%Y"]
    )
    assert Mapping(
        type="error_record",
        columns={"s": "student_id", "t": "timestamp", "e": "error_text", "c": "course_ids"},
    )
    assert Mapping(columns={"k": "type", "t": "timestamp"})
