"""The index of the persons whom the rows of a file name, by which an erasure opens only files that can hold a person.

It holds a hash of each id that stands in a field for students. A row that cannot be decoded has no fields, and an
erasure looks for the ids as words in it. So the index holds a hash of each piece of one to three characters of such a
row as well: it can hold only the words all of whose pieces are there. The index never denies a person whom a reading
of all rows would find (see `edugraph_importer.erasure.files.StudentRows`, which does that reading).

The hashes have no key, since the index stands beside the rows, which hold the ids themselves. It is written again
when a person is taken out of the rows.
"""

import sys
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b

from edugraph_common.contracts.records import InvalidRecord
from edugraph_common.sources.chunking import RawRow
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.read_plan import ReadPlan
from edugraph_common.sources.rows import Source
from edugraph_common.sources.students import STUDENT_FIELDS, as_id

_HASH_BYTES = 8
_LONGEST_PIECE = 3
# A regular expression that ignores case takes these for an "i", and `casefold` does not.
_DOTTED_AND_DOTLESS = {0x130: "i", 0x131: "i"}


class PersonIndexBuilder:
    """Collects the persons whom the rows of a file name."""

    def __init__(self, plan: ReadPlan) -> None:
        self._source = plan.source
        # A mapping may give an id by itself, also one that no row has.
        self._ids = students_of_mapping(plan.mapping)
        self._pieces: set[str] = set()

    def add(self, rows: Iterable[RawRow]) -> None:
        for row in rows:
            students = students_of(self._source, row)
            if students is not None:
                self._ids |= students
                continue
            text = row.raw.decode(errors="replace")
            self._pieces |= _pieces_of(text)
            # A reject of a table's row has the row itself, which stands in the frame as a string of JSON.
            self._pieces |= _pieces_of(text.replace('\\"', '"').replace("\\\\", "\\"))
            if row.is_cut:
                # The reject of such a row holds what was kept of it, and is read like a whole row.
                self._ids |= students_of(self._source, row._replace(is_cut=False)) or frozenset()

    def to_bytes(self) -> bytes:
        """Return the sorted hashes."""
        hashes = {_hash("id", each) for each in self._ids}
        hashes |= {_hash("piece", each) for each in self._pieces}
        return b"".join(sorted(hashes))


class PersonIndex:
    """An index that was written. `data` is what the builder returned."""

    def __init__(self, data: bytes) -> None:
        self._hashes = array("Q")
        self._hashes.frombytes(data)
        if sys.byteorder == "little":
            self._hashes.byteswap()

    def may_hold(self, ids: Iterable[str], words: Iterable[str]) -> bool:
        """Return whether a row may have one of the ids in a field, or be undecodable and hold one of the words."""
        if any(self._has("id", each) for each in ids):
            return True
        return any(self._may_hold_word(word) for word in words if word)

    def _may_hold_word(self, word: str) -> bool:
        return all(self._has("piece", piece) for piece in _pieces_of(word))

    def _has(self, kind: str, text: str) -> bool:
        wanted = int.from_bytes(_hash(kind, text), "big")
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted


def students_of_mapping(mapping: Mapping | None) -> set[str]:
    """Return the ids that a mapping itself gives for students."""
    if mapping is None:
        return set()
    given: list[object] = []
    for name in STUDENT_FIELDS:
        given.append(mapping.constants.get(name))
        given += mapping.values.get(name, {}).values()
    return {as_id(each) for each in given} - {""}


def students_of(source: Source, row: RawRow) -> frozenset[str] | None:
    """Return the ids of the students that a row names, or None for a row that cannot be decoded.

    A row with a damaged character is read with a mark in its place, as a reject shows it.
    """
    if row.is_cut:
        return None
    try:
        return source.students(row.raw)
    except InvalidRecord:
        pass
    try:
        return source.students(row.raw.decode(errors="replace").encode())
    except InvalidRecord:
        return None


def _pieces_of(text: str) -> set[str]:
    text = unicodedata.normalize("NFC", text).translate(_DOTTED_AND_DOTLESS).casefold()
    pieces: set[str] = set()
    for length in range(1, _LONGEST_PIECE + 1):
        pieces.update(text[start : start + length] for start in range(len(text) - length + 1))
    return pieces


def _hash(kind: str, text: str) -> bytes:
    # An id may hold half of a surrogate pair, which JSON can write as an escape.
    return blake2b(f"{kind} {text}".encode(errors="surrogatepass"), digest_size=_HASH_BYTES).digest()
