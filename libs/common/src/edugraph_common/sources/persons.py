"""The index of the persons in the rows of a file. With it an erasure opens only files that may hold a person.

The index has the SHA-256 of each id in a field for students. The tombstone of an erased student is made from this
hash (`edugraph_importer.graph.tombstones`), so the index can also be searched for people who are known only by a
tombstone.

Some texts have no ids: rows that cannot be decoded, and texts that may name a student whose id is missing. An erasure
searches ids and names as words in them. Therefore the index also has a hash of each piece of one to three characters
of such a text: the text can only contain a word if all pieces of the word are there. Pieces with a space or a point
do not count, since people write something else in their place. If there is too much of such text, the index says that
it may hold any word. The index never misses a person whom a search of all rows would find
(`edugraph_importer.erasure.files.StudentRows` searches the rows).

The hashes have no key, since the index is stored beside the rows, which hold the ids themselves. It is written again
when a person is removed from the rows.
"""

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import chain

from edugraph_common.contracts.records import InvalidRecord
from edugraph_common.contracts.words import as_searched, fixed_parts, readings_of
from edugraph_common.sources.chunking import RawRow
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.read_plan import ReadPlan
from edugraph_common.sources.rows import Source
from edugraph_common.sources.students import ID_OF_NAME, STUDENT_FIELDS, People, ids_in, plain_hash

_ID_BYTES = 32
_PIECE_BYTES = 8
_LONGEST_PIECE = 3
# Making the pieces of different texts with this many characters takes about a second. An index of more text would
# exclude hardly any word.
MOST_CHARACTERS = 2_000_000
# Indexes of earlier releases may miss a person, so they are written again. Their first byte is 0. Use another form if
# the pieces of a text, the hashes or the order in the file change.
_FORM = b"persons5"
# (form, number of ids, whether any word may be there)
_HEAD = struct.Struct(f">{len(_FORM)}sQ?")
FORM_BYTES = len(_FORM)
# A regular expression that ignores case treats these characters as an "i", and `casefold` does not.
_DOTTED_AND_DOTLESS = {0x130: "i", 0x131: "i"}


class PersonIndexBuilder:
    """Collects the persons in the rows of a file."""

    def __init__(self, plan: ReadPlan) -> None:
        self._source = plan.source
        self._ids: set[str] = set()
        # A table may have the same cell, such as an empty one, in thousands of columns and rows.
        self._texts: set[str] = set()
        self._pieces: set[str] = set()
        self._characters = 0
        # A mapping may contain ids and names too, also some that are in no row.
        if plan.mapping is not None:
            self._add_people(people_of_mapping(plan.mapping))

    def add(self, rows: Iterable[RawRow]) -> None:
        for row in rows:
            people = people_of(self._source, row)
            if people is not None:
                self._add_people(people)
                continue
            text = row.raw.decode(errors="replace")
            self._add_text(text)
            # A reject of a table's row contains the row, which the frame has as a JSON string.
            self._add_text(text.replace('\\"', '"').replace("\\\\", "\\"))
            if row.is_cut:
                # The reject of such a row has its beginning, and is read like a whole row.
                self._add_people(
                    people_of(self._source, row._replace(is_cut=False)) or People(frozenset())
                )

    def _add_people(self, people: People) -> None:
        self._ids |= people.ids
        for text in people.names:
            self._add_text(text)

    def _add_text(self, text: str) -> None:
        if self._may_hold_any_word or text in self._texts:
            return
        self._texts.add(text)
        self._characters += len(text)
        for reading in readings_of(text):
            self._pieces |= _pieces_of(reading)

    @property
    def _may_hold_any_word(self) -> bool:
        return self._characters > MOST_CHARACTERS

    def to_bytes(self) -> bytes:
        """Return the sorted hashes of ids and then those of pieces."""
        ids = sorted({bytes.fromhex(plain_hash(each)) for each in self._ids})
        pieces = (
            []
            if self._may_hold_any_word
            else sorted({_hash_of_piece(each) for each in self._pieces})
        )
        head = _HEAD.pack(_FORM, len(ids), self._may_hold_any_word)
        return head + b"".join(ids) + b"".join(pieces)


class PersonIndex:
    """An index that was written. `data` are the bytes of the builder.

    An index of an earlier release, which is not `is_current`, may hold anybody.
    """

    def __init__(self, data: bytes) -> None:
        self.is_current = is_current(data)
        number = 0
        self._may_hold_any_word = True
        if self.is_current:
            _, number, self._may_hold_any_word = _HEAD.unpack_from(data)
        end = _HEAD.size + number * _ID_BYTES
        self._ids = data[_HEAD.size : end]
        self._pieces = data[end:]

    def may_hold(self, ids: Iterable[str], words: Iterable[str]) -> bool:
        """Return whether a row may have one of the ids in a field, or one of the words in a text without an id."""
        if not self.is_current:
            return True
        if any(_has(self._ids, _ID_BYTES, bytes.fromhex(plain_hash(each))) for each in ids):
            return True
        return any(self._may_hold_word(word) for word in words if word)

    def has_one_of(self, is_sought: Callable[[str], bool]) -> bool:
        """Return whether a row has an id in a field whose hash is sought. Hashes are those of `plain_hash`."""
        if not self.is_current:
            return True
        return any(is_sought(each) for each in self._hashes_of_ids())

    def _hashes_of_ids(self) -> Iterator[str]:
        for start in range(0, len(self._ids), _ID_BYTES):
            yield self._ids[start : start + _ID_BYTES].hex()

    def _may_hold_word(self, word: str) -> bool:
        if self._may_hold_any_word:
            return True
        pieces: set[str] = set()
        for part in fixed_parts(word):
            pieces |= _pieces_of(part)
        return all(_has(self._pieces, _PIECE_BYTES, _hash_of_piece(piece)) for piece in pieces)


def is_current(data: bytes) -> bool:
    """Return whether bytes that begin like these are an index as this release writes it."""
    return data[:FORM_BYTES] == _FORM


def people_of_mapping(mapping: Mapping) -> People:
    """Return the ids and names of students in the mapping itself."""
    ids = set(chain.from_iterable(map(ids_in, _given_values(mapping, STUDENT_FIELDS)))) - {""}
    names = [each for each in _given_values(mapping, ID_OF_NAME) if isinstance(each, str)]
    return People(frozenset(ids), tuple(names))


def _given_values(mapping: Mapping, fields: Iterable[str]) -> Iterator[object]:
    for name in fields:
        yield mapping.constants.get(name)
        yield from mapping.values.get(name, {}).values()


def people_of(source: Source, row: RawRow) -> People | None:
    """Return the students in a row, or None for a row that cannot be decoded.

    A damaged character is replaced by a mark, as in rejects.
    """
    if row.is_cut:
        return None
    try:
        return source.people(row.raw)
    except InvalidRecord:
        pass
    try:
        return source.people(row.raw.decode(errors="replace").encode())
    except InvalidRecord:
        return None


def _pieces_of(text: str) -> set[str]:
    text = as_searched(text).translate(_DOTTED_AND_DOTLESS).casefold()
    pieces: set[str] = set()
    for length in range(1, _LONGEST_PIECE + 1):
        pieces.update(text[start : start + length] for start in range(len(text) - length + 1))
    return pieces


def _hash_of_piece(text: str) -> bytes:
    # A text may contain a lone surrogate, which JSON can write as an escape.
    return blake2b(text.encode(errors="surrogatepass"), digest_size=_PIECE_BYTES).digest()


def _has(hashes: bytes, size: int, wanted: bytes) -> bool:
    """Return whether a hash is among sorted hashes of `size` bytes each."""

    def at(place: int) -> bytes:
        return hashes[place * size : (place + 1) * size]

    number = len(hashes) // size
    place = bisect_left(range(number), wanted, key=at)
    return place < number and at(place) == wanted
