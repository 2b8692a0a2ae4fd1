"""Files as bytes: whole-file faults are told in one sentence, and lines keep their numbers."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.errors import Rejected
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import load_rows, store_records, store_rows
from edugraph_common.sources.chunking import RawRow, row_chunks, rows_of
from edugraph_common.sources.ndjson import MAX_ROW_BYTES, LineScan, MalformedFile, as_ndjson
from edugraph_common.sources.rows import parse_rows


def rows_of_lines(blocks: list[bytes]) -> list[RawRow]:
    return list(rows_of(row_chunks(blocks, 10)))


def scan(data: bytes, size: int = 7) -> LineScan:
    result = LineScan()
    for start in range(0, len(data), size):
        result.feed(data[start : start + size])
    result.finish()
    return result


def test_a_last_line_that_is_nested_too_deeply_is_the_business_of_the_import() -> None:
    scan(b'{"a": 1}\n' + b"[" * 5_000, 999)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        ('{"a": "中"}\n'.encode("utf-16"), "not UTF-8 but UTF-16"),
        ('{"a": "中"}\n'.encode("utf-16-le"), "not UTF-8 but UTF-16"),
        ('{"a": "中"}\n{"b": "中"}\n'.encode("gb18030"), "no line of the file is UTF-8"),
        ('{"a": "中"}'.encode()[:-3], "cut off"),
        (b'{"a": 1}\n{"b": ', "ends in the middle of its last line"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_told_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(MalformedFile, match=words) as told:
        scan(data)
    assert len(str(told.value).splitlines()) == 1


def test_a_line_without_end_is_not_held() -> None:
    scanner = LineScan()
    for _ in range(80):
        scanner.feed(b"x" * (MAX_ROW_BYTES // 8))
        assert len(scanner._last_line) <= MAX_ROW_BYTES
    with pytest.raises(MalformedFile, match="not longer than"):
        scanner.finish()
    scanner.feed(b"\n{}\n")
    scanner.finish()


def test_the_last_line_needs_no_line_end_and_may_hold_a_damaged_character() -> None:
    scan('{"a": "中"}\n{"b": 2}'.encode())
    scan(b'{"a": 1}\n{"b": "\xff"}')
    scan(b'{"a": 1}\n{"b": broken}')


def test_a_byte_order_mark_is_no_part_of_the_first_record() -> None:
    assert list(rows_of_lines([b"\xef\xbb\xbf{}\n"])) == [(1, b"{}", False)]


# Every character there is, halves of surrogate pairs included. Two halves beside each other are one character in JSON.
_TEXTS = st.text(st.characters(exclude_categories=[]), max_size=20).map(
    lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS,
    partial(st.lists, max_size=3),
)
_RECORDS = st.lists(st.dictionaries(_TEXTS, _VALUES, max_size=3), min_size=1, max_size=5)


@given(records=_RECORDS)
def test_records_that_are_written_as_lines_are_read_as_the_same(
    records: list[dict[str, Any]],
) -> None:
    """Out: the escape of halves of surrogate pairs, or the end of a line after each record."""
    lines = list(rows_of_lines([as_ndjson(records)]))
    assert [row.line for row in lines] == list(range(1, len(records) + 1))
    assert [json.loads(row.raw) for row in lines] == records


def test_stored_records_are_the_rows_that_they_were_in_their_message(tmp_path: Path) -> None:
    good = {
        "type": "course_content",
        "timestamp": "2026-01-05T08:00:00Z",
        "record_id": "a",
        "data": {"course_id": "c", "content": "½ of a whole"},
    }
    records = [good, {"type": "nothing"}, {**good, "data": {}}, {**good, "record_id": "b"}]
    rows = list(load_rows(Blobs(str(tmp_path)), store_rows(Blobs(str(tmp_path)), "job", records)))
    of_message = list(parse_rows(enumerate(records, start=1)))
    without_raw = [(line, getattr(row, "reason", None) or row) for line, row in rows]
    assert without_raw == [(line, getattr(row, "reason", None) or row) for line, row in of_message]


def test_a_record_that_is_longer_than_a_row_may_be_is_refused_by_its_number(tmp_path: Path) -> None:
    """Out: `_check_lengths`; the record would be set aside after it was accepted."""
    for store in (store_records, store_rows):
        with pytest.raises(Rejected, match="record 2 has more than"):
            store(Blobs(str(tmp_path)), "job", [{}, {"a": "x" * MAX_ROW_BYTES}])
    assert not Blobs(str(tmp_path)).keys("jobs")
