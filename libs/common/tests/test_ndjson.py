"""Files as bytes: whole-file faults are told in one sentence, and lines keep their numbers."""

import pytest

from edugraph_common.sources.ndjson import MAX_ROW_BYTES, LineScan, MalformedFile, numbered_lines


def scan(data: bytes, size: int = 7) -> LineScan:
    result = LineScan()
    for start in range(0, len(data), size):
        result.feed(data[start : start + size])
    result.finish()
    return result


def test_a_last_line_that_is_nested_too_deeply_is_the_business_of_the_import() -> None:
    assert scan(b'{"a": 1}\n' + b"[" * 5_000, 999).lines == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        ('{"a": "中"}\n'.encode("gb18030"), "not UTF-8"),
        ('{"a": "中"}'.encode()[:-3], "cut off"),
        (b'{"a": 1}\n{"b": ', "ends in the middle of line 2"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_told_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(MalformedFile, match=words):
        scan(data)


def test_a_line_without_end_is_refused_before_it_is_held() -> None:
    scanner = LineScan()
    for _ in range(8):
        scanner.feed(b"x" * (MAX_ROW_BYTES // 8))
    with pytest.raises(MalformedFile, match="longer than"):
        scanner.feed(b"x")


def test_the_last_line_needs_no_line_end() -> None:
    assert scan('{"a": "中"}\n{"b": 2}'.encode()).lines == 2


def test_a_byte_order_mark_is_no_part_of_the_first_record() -> None:
    assert list(numbered_lines(b"\xef\xbb\xbf{}\n", 1)) == [(1, b"{}")]
