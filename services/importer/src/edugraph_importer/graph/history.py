"""The order of the versions of a record, and the versions that a record remembers (docs/adr/0085).

The greatest of all versions is the record. For a statement of xAPI, the version that was accepted first is the
record. So that an import can be undone, the record remembers the keys of all other versions, including repeats and
rows that were set aside. An entry has six whole numbers, and no content except eight
bytes of its hash.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from edugraph_common.contracts.records import (
    FIRST_STATEMENT_READING,
    RECORD_TYPES,
    ROSTER_TYPES,
    Record,
    Withdrawal,
    microseconds,
)

# The type numbers of withdrawals. The first withdraws any record. The others come from callers who may write only one
# of the two groups of record types. They never count for a record of the other group, in whatever order both come.
WITHDRAWN = -1
WITHDRAWN_LEARNING = -2
WITHDRAWN_ROSTER = -3
# The number of each type in an entry. New types are added at the end of RECORD_TYPES.
NUMBER_OF_TYPE = {record_type: number for number, record_type in enumerate(RECORD_TYPES)}
_ROSTER_NUMBERS = frozenset(NUMBER_OF_TYPE[record_type] for record_type in ROSTER_TYPES)
BITS_OF_INDEX = 24


class Entry(NamedTuple):
    """One version of a record, or one withdrawal of it.

    `changed` is the change time in microseconds since 1970. `type` is the number of the record type, or for a
    withdrawal WITHDRAWN, WITHDRAWN_LEARNING or WITHDRAWN_ROSTER. `reading` is the `reading` of the record. `accepted`
    is the acceptance number of the import. `row` is the result of `row_number`. `hash` has the first eight bytes of
    the content hash as a signed number, or 0 for a withdrawal.
    """

    changed: int
    type: int
    reading: int
    accepted: int
    row: int
    hash: int

    @property
    def order(self) -> tuple[int, bool, int, int, int, int]:
        """The sort key. The version with the greatest key is the record."""
        return self.changed, self.is_withdrawal, self.reading, self.accepted, self.row, self.hash

    @property
    def is_withdrawal(self) -> bool:
        return self.type < 0

    def counts_for(self, record_type: int) -> bool:
        """Return whether this is a version of a record of this type number, or a withdrawal of such a record."""
        if self.type == WITHDRAWN_LEARNING:
            return record_type not in _ROSTER_NUMBERS
        if self.type == WITHDRAWN_ROSTER:
            return record_type in _ROSTER_NUMBERS
        return self.type in (WITHDRAWN, record_type)

    @property
    def is_statement(self) -> bool:
        return self.reading >= FIRST_STATEMENT_READING

    def has_content_of(self, other: "Entry | None") -> bool:
        return other is not None and (self.type, self.hash) == (other.type, other.hash)


def entry_of(record: Record, accepted: int, row: int) -> Entry:
    number = NUMBER_OF_TYPE[record.type]
    changed = microseconds(record.change_time)
    return Entry(changed, number, record.reading, accepted, row, short_hash(record.content_hash))


def entry_of_withdrawal(
    withdrawal: Withdrawal, accepted: int, row: int, *, learning: bool = True, roster: bool = True
) -> Entry:
    """Return the entry of a withdrawal by a caller who may write `learning` records, `roster` records, or both."""
    number = WITHDRAWN
    if not roster:
        number = WITHDRAWN_LEARNING
    elif not learning:
        number = WITHDRAWN_ROSTER
    return Entry(microseconds(withdrawal.change_time), number, 0, accepted, row, 0)


def row_number(batch: int, index: int) -> int:
    """Return the place of a record in its import. It grows with the batch, then with the index within the batch."""
    return (batch << BITS_OF_INDEX) + index


def batch_of_row(row: int) -> int:
    return row >> BITS_OF_INDEX


def short_hash(content_hash: str) -> int:
    """Return the first eight bytes of a hash that is given in hex, as a signed number."""
    return int.from_bytes(bytes.fromhex(content_hash[:16]), "big", signed=True)


def decide(entries: Iterable[Entry]) -> Entry | None:
    """Return the version that is the record, which may be a withdrawal, or None if there is no version."""
    candidates = list(entries)
    if len(candidates) == 1:
        return candidates[0]
    first = _first_accepted(candidates)
    if first is not None and first.is_statement:
        withdrawals = [
            each for each in candidates if each.is_withdrawal and each.counts_for(first.type)
        ]
        candidates = [first, *withdrawals]
    elif first is not None:
        candidates = [each for each in candidates if each.counts_for(first.type)]
    return max(candidates, key=_order, default=None)


def type_of(entries: Iterable[Entry]) -> int | None:
    """Return the type number of the record with these versions, or None if all of them are withdrawals."""
    first = _first_accepted(entries)
    return None if first is None else first.type


def _first_accepted(entries: Iterable[Entry]) -> Entry | None:
    """Return the version that decides the type: the first accepted one among those with the highest reading.

    For a statement, this version also decides the content. A newer adapter may read an event as another type, so a
    newer reading may change the type. A roster record comes before all learning records, so that a caller who may not
    write roster records can neither replace one nor take its id.
    """
    contents = (each for each in entries if not each.is_withdrawal)
    return min(contents, key=_acceptance_order, default=None)


def _acceptance_order(entry: Entry) -> tuple[bool, int, int, int, int]:
    is_learning = entry.type not in _ROSTER_NUMBERS
    return is_learning, -entry.reading, entry.accepted, entry.row, entry.hash


def _order(entry: Entry) -> tuple[int, bool, int, int, int, int]:
    return entry.order


def remembered(entries: Collection[Entry], undoable_from: int) -> tuple[Entry, ...]:
    """Return the entries that still matter, in their order, each once.

    An import with an acceptance number below `undoable_from` can no longer be undone. From such imports the first and
    the greatest version of each type and reading are enough, and the greatest withdrawal.
    """
    if not entries:
        return ()
    kept = {each for each in entries if each.accepted >= undoable_from}
    older: dict[tuple[int, int], list[Entry]] = {}
    for each in entries:
        if each.accepted < undoable_from:
            older.setdefault((each.type, each.reading), []).append(each)
    for some in older.values():
        kept.add(min(some, key=lambda each: (each.accepted, each.row, each.hash)))
        kept.add(max(some, key=_order))
    return tuple(sorted(kept, key=_order))


def to_numbers(entries: Iterable[Entry]) -> list[int] | None:
    """Return the form in which the graph stores entries: a list of all their numbers, or None if there are none."""
    return [number for entry in entries for number in entry] or None


def from_numbers(numbers: Sequence[int] | None) -> tuple[Entry, ...]:
    """Return the entries from the numbers that `to_numbers` returned."""
    size = len(Entry._fields)
    given = numbers or ()
    return tuple(Entry(*given[start : start + size]) for start in range(0, len(given), size))
