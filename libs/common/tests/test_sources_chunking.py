"""Whatever the blocks and the layout: chunks cover the text once, and each row comes once with its own line."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edugraph_common.contracts.messages import ByteRange
from edugraph_common.sources import parse_mapping
from edugraph_common.sources.chunking import MAX_CHUNK_BYTES, RowEnd, split_rows
from edugraph_common.sources.csv_source import CsvRows, CsvSource, read_header
from edugraph_common.sources.json_source import JsonSource, Lines, Values, layout_of, line_end, value_end
from edugraph_common.sources.ndjson import MAX_ROW_BYTES, MalformedFile
from edugraph_common.sources.rows import NotRelevant

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=8)


def blocks_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def starts(data: bytes, row_end: RowEnd) -> list[int]:
    found, at = [], 0
    while at < len(data):
        found.append(at)
        at = row_end(data, at, True)
    return found


@given(
    st.one_of(
        st.tuples(st.just(line_end), st.binary(max_size=80)),
        st.tuples(st.just(CsvRows(",").end), st.text('",\n\r a中', max_size=60).map(str.encode)),
        st.tuples(
            st.just(value_end),
            st.lists(st.dictionaries(TEXT, TEXT, max_size=2)).map(
                lambda values: json.dumps(values, indent=1).encode()
            ),
        ),
    ),
    st.integers(1, 4),
    st.integers(1, 9),
)
def test_pieces_cover_the_text_once_and_do_not_depend_on_the_chunks(
    given: tuple[RowEnd, bytes], rows_per_chunk: int, size: int
) -> None:
    row_end, data = given
    if not data.strip():
        return
    chunks = list(split_rows(blocks_of(data, size), rows_per_chunk, row_end))
    assert b"".join(chunk.text for chunk in chunks) == data
    for chunk in chunks:
        assert data[chunk.offset : chunk.offset + len(chunk.text)] == chunk.text
        assert chunk.first_line == 1 + data[: chunk.offset].count(b"\n")
    in_chunks = [chunk.offset + at for chunk in chunks for at in starts(chunk.text, row_end)]
    assert in_chunks == starts(data, row_end)


@given(
    st.lists(st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"])), min_size=1),
    st.integers(1, 5),
    st.integers(1, 9),
    st.booleans(),
)
def test_each_line_is_read_once_with_its_number(texts: list[str], lines_each: int, size: int, ended: bool) -> None:
    lines = [json.dumps(text).encode() for text in texts]
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    chunks = Lines().chunks(blocks_of(data, size), lines_each)
    found = [row for chunk in chunks for row in Lines().raw_rows(chunk.text, chunk.first_line)]
    assert found == list(enumerate(lines, start=1))


@given(
    st.lists(st.dictionaries(TEXT, st.lists(TEXT, max_size=2), max_size=3), min_size=1, max_size=6),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.integers(1, 3),
    st.integers(1, 9),
)
def test_each_value_of_an_array_or_of_a_sequence_is_read_once(
    values: list[dict[str, list[str]]], indent: int | None, as_array: bool, rows_per_chunk: int, size: int
) -> None:
    one = [json.dumps(value, indent=indent, ensure_ascii=False) for value in values]
    text = f"[\n{','.join(one)}\n]\n" if as_array else "\n".join(one)
    data, found = text.encode(), []
    for chunk in Values().chunks(blocks_of(data, size), rows_per_chunk):
        found += [(line, json.loads(raw)) for line, raw in Values().raw_rows(chunk.text, chunk.first_line)]
    assert [value for _, value in found] == values
    for line, _ in found:
        assert "{" in text.split("\n")[line - 1]


def test_a_broken_value_is_set_aside_alone() -> None:
    rows = list(Values().raw_rows(b'[{"a": 1},\n{"a" 2},\nnull,\n{"a": 3}]', 1))
    assert rows == [(1, b'{"a": 1}'), (2, b'{"a" 2}'), (3, b"null"), (4, b'{"a": 3}')]


def test_an_array_that_is_cut_off_is_told() -> None:
    with pytest.raises(MalformedFile, match="cut off"):
        list(Values().chunks([b'[{"a": "b'], 10))


def test_a_piece_of_long_rows_has_fewer_of_them() -> None:
    row = b"x" * 999_999 + b"\n"
    chunks = list(split_rows((row for _ in range(30)), 1_000, line_end))
    assert max(len(chunk.text) for chunk in chunks) <= MAX_CHUNK_BYTES + len(row)
    assert sum(len(chunk.text) for chunk in chunks) == 30 * len(row)


def test_a_row_without_end_is_refused_before_it_is_held() -> None:
    with pytest.raises(MalformedFile, match="longer than"):
        list(split_rows((b"x" * 100_000 for _ in range(1_000)), 10, line_end))
    assert MAX_ROW_BYTES < 100_000 * 1_000


@pytest.mark.parametrize(
    ("head", "layout"),
    [
        (b'{"a": 1}\n{"a": 2}\n', "lines"),
        (b'{\n "a": 1\n}', "values"),
        (b'\xef\xbb\xbf [{"a": 1}]', "values"),
        (b'{"a": broken\n{"a": 2}\n', "lines"),
        (b'2023-05-23 INFO [tracking] - {"name": "x"}\n', "lines"),
    ],
)
def test_the_layout_is_told_by_the_first_value(head: bytes, layout: str) -> None:
    assert layout_of(head) == layout


def test_a_byte_range_of_an_older_message_is_one_of_plain_ndjson() -> None:
    old = ByteRange.model_validate({"source": "s", "offset": 0, "length": 5, "first_line": 1})
    assert (old.format, old.compression, old.reading) == ("ndjson", None, None)


def nothing_of_it(_: object) -> NotRelevant:
    return NotRelevant("odd")


odd_text = st.lists(
    st.sampled_from([*'ab,;"{}[]: \t', "\r", "\n", "\r\n", "\ufeff", "\u3000", "\xa0", "\x1c", "\x0c"])
).map("".join)


@given(text=odd_text)
@example(text="{},\ufeff")  # a byte order mark behind a comma is no value
@pytest.mark.parametrize(
    "source",
    [
        CsvSource(read_header(b"a,b\n", ","), parse_mapping("{columns: {a: type, b: timestamp}}")),
        JsonSource(Lines(json_ends=False), read=nothing_of_it, student_ids=list),
        JsonSource(Values(), read=nothing_of_it, student_ids=list),
    ],
    ids=["csv", "lines", "values"],
)
def test_as_many_rows_are_read_as_the_split_has_counted(source: CsvSource | JsonSource, text: str) -> None:
    """Otherwise the counts of a job do not add up. Out: `is_blank` in CsvSource.rows."""
    body = ("a,b\n" if isinstance(source, CsvSource) else "") + f"x\n{text}"
    try:
        chunks = list(source.chunks([body.encode()], 1_000))
    except MalformedFile:
        return
    assert sum(chunk.rows for chunk in chunks) == sum(len(list(source.rows(c.text, c.first_line))) for c in chunks)
