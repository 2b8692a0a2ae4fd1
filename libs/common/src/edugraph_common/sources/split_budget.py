"""The budget of a split: the number of rows and the CPU time that a file of a given size may use.

A small file may unpack to a huge size. The budget grows with the number of bytes that were sent, so a small file
cannot cause much work.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from edugraph_common.sources.ndjson import MalformedFile

ROWS_FREE, ROWS_PER_BYTE = 100_000, 1
CPU_SECONDS_FREE, CPU_SECONDS_PER_MIB = 20.0, 30.0


def most_rows(file_bytes: int) -> int:
    """Return the largest number of rows for a file of this size."""
    return ROWS_FREE + ROWS_PER_BYTE * file_bytes


def most_cpu_seconds(file_bytes: int) -> float:
    """Return the largest CPU time for the split of a file of this size."""
    return CPU_SECONDS_FREE + CPU_SECONDS_PER_MIB * file_bytes / (1 << 20)


class SplitBudget:
    """Counts the bytes, rows and CPU time of a split. `cpu_seconds` is a clock of the CPU time of this thread."""

    def __init__(self, cpu_seconds: Callable[[], float] = time.thread_time) -> None:
        self._cpu_seconds = cpu_seconds
        self._begin = cpu_seconds()
        self._file_bytes = 0
        self._rows = 0

    def count_file(self, number: int) -> None:
        """Count bytes that were read from the file as it was sent."""
        self._file_bytes += number

    def count_rows(self, number: int) -> None:
        """Count rows. Raises MalformedFile if there are too many."""
        self._rows += number
        if self._rows > most_rows(self._file_bytes):
            raise MalformedFile(
                f"the file has more than {most_rows(self._file_bytes):,} rows, which is too many for its size; "
                "send it uncompressed, as CSV or NDJSON"
            )
        self.check_time()

    def check_time(self) -> None:
        """Raise MalformedFile if the split has taken too much CPU time."""
        if self._cpu_seconds() - self._begin > most_cpu_seconds(self._file_bytes):
            raise MalformedFile(
                "the file takes too long to read for its size; split it, or send it uncompressed"
            )

    def checked(self, text: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the blocks of the text. Raises MalformedFile if the split takes too much CPU time."""
        for block in text:
            self.check_time()
            yield block


class CountedFile:
    """A file whose bytes a budget counts while it is read from beginning to end."""

    def __init__(self, file: IO[bytes], budget: SplitBudget) -> None:
        self._file = file
        self._budget = budget

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._budget.count_file(len(data))
        return data
