"""What every source can do: cut its text into pieces of whole rows, and read the rows of a piece."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record
from edugraph_common.sources.chunking import Piece


@dataclass(frozen=True)
class NotRelevant:
    """A row that is well formed and says nothing of the kind the graph keeps; counted by `name`."""

    name: str


Row = tuple[int, Record | Reject | NotRelevant]
"""(line where it starts in the file, from 1; what it is)."""


class Source(Protocol):
    """Both work on UTF-8. A row is in exactly one piece, and reading a piece needs none of the others."""

    def pieces(self, chunks: Iterable[bytes], rows_each: int) -> Iterator[Piece]:
        """Raises MalformedFile for what makes the whole file unusable."""
        ...

    def rows(self, text: bytes, first_line: int) -> Iterator[Row]:
        """A wrong row is one Reject, with `raw` in the source's own form."""
        ...

    def students(self, raw: bytes) -> frozenset[str]:
        """The ids of the students that a row names, whatever else is wrong with it.

        Raises InvalidRecord for a row that cannot be decoded.
        """
        ...

    def blanked(self, text: bytes, chosen: Callable[[bytes], bool]) -> bytes:
        """A piece with blanks in place of the chosen rows: all other bytes stay the same, and where they are."""
        ...
