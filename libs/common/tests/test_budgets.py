"""The bounds of what a small file may cost: unpacked bytes, rows, and CPU time. The figures are those of ADR 87."""

import io
import tracemalloc
from collections.abc import Iterator
from itertools import chain

import pytest

from edugraph_common.sources.chunking import row_chunks
from edugraph_common.sources.compression import RatioLimit
from edugraph_common.sources.json_source import Values
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.split_budget import CountedFile, SplitBudget
from edugraph_common.sources.table_process import SheetLine, Unusable, written_rows

MIB = 1 << 20


@pytest.mark.parametrize(
    ("packed_bytes", "most_bytes"),
    [
        (0, 8 * MIB),
        (1_000, 8 * MIB + 1_000_000),
        (60_000, 8 * MIB + 60_000_000),
        (70_000, 64 * MIB + 7_000_000),
        (MIB, 164 * MIB),
    ],
)
def test_a_file_unpacks_to_a_thousand_times_its_size_and_a_large_one_to_a_hundred(
    packed_bytes: int, most_bytes: int
) -> None:
    """Out: one of the two bounds in `count_unpacked`, or the smaller of them."""
    limit = RatioLimit()
    limit.count_packed(packed_bytes)
    limit.count_unpacked(most_bytes - 1)
    assert limit.check(b"x") == b"x"
    with pytest.raises(MalformedFile, match="100 times its size"):
        limit.check(b"x")


@pytest.mark.parametrize("file_bytes", [0, 18, 250_000])
def test_a_file_has_a_hundred_thousand_rows_and_one_for_each_byte(file_bytes: int) -> None:
    """Out: the refusal in `count_rows`, the count of the rows before, or the bytes of the file."""
    budget = SplitBudget(cpu_seconds=lambda: 0.0)
    CountedFile(io.BytesIO(b"x" * file_bytes), budget).read()
    budget.count_rows(60_000)
    budget.count_rows(40_000 + file_bytes)
    with pytest.raises(MalformedFile, match=f"more than {100_000 + file_bytes:,} rows"):
        budget.count_rows(1)


class Clock:
    """A clock of CPU time that a test sets. A split may begin at any time of its process."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("file_bytes", "most_seconds"), [(0, 20.0), (MIB // 2, 35.0), (2 * MIB, 80.0)]
)
def test_a_split_takes_twenty_seconds_and_thirty_for_each_mebibyte(
    file_bytes: int, most_seconds: float
) -> None:
    """Out: `check_time`, its call in `count_rows` or in `checked`, or the time at which the split began."""
    clock = Clock()
    budget = SplitBudget(clock)
    budget.count_file(file_bytes)
    clock.seconds += most_seconds
    budget.count_rows(1)
    assert list(budget.checked([b"a", b"b"])) == [b"a", b"b"]
    clock.seconds += 0.1
    with pytest.raises(MalformedFile, match="too long"):
        budget.count_rows(1)
    with pytest.raises(MalformedFile, match="too long"):
        next(budget.checked([b"a"]))


def test_the_process_that_reads_a_table_counts_the_rows_that_are_not_blank() -> None:
    """Out: the refusal in `written_rows`, or the look for blank rows. A hidden sheet has no cells."""

    def lines() -> Iterator[SheetLine]:
        yield "A", 1, ["x"]
        for number in range(2, 1_000):
            yield "A", number, [None, None]
        yield "A", 1_000, ["y"]
        yield "B", 1, None
        yield "A", 1_001, ["z"]

    found = written_rows(lines(), 3)
    assert [next(found)[:2] for _ in range(3)] == [("A", 1), ("A", 1_000), ("B", 1)]
    with pytest.raises(Unusable, match="more than 3 rows"):
        next(found)


def test_a_line_without_an_end_is_not_held() -> None:
    """Out: the look at the length of the rest in `_Cutter.feed`."""
    tracemalloc.start()
    try:
        [chunk] = row_chunks((b"x" * MIB for _ in range(32)), 10)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [row.is_cut for row in chunk] == [True]
    assert most_bytes < 8 * MIB


def test_a_json_value_without_an_end_is_not_held() -> None:
    """Out: the look at the length of the rest in `Values._cut`. The rows after the value are found."""
    text = chain([b'[{"a": "'], (b"x" * (MIB // 4) for _ in range(32)), [b'"},\n{"a": 1}]'])
    tracemalloc.start()
    try:
        [chunk] = Values().chunks(text, 10)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(row.line, row.is_cut) for row in chunk] == [(1, True), (2, False)]
    assert most_bytes < 8 * MIB
