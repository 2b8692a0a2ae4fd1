"""What changes when the finding of a record takes the place of an older one, or of none.

Where a record only adds, its pairs are raised. Where it takes something back, the pairs that it had a part in are
counted anew from their records, and no others.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from edugraph_common.contracts.findings import RecordFinding
from edugraph_common.contracts.records import ErrorRecord, Record
from edugraph_importer.graph import finding_facts, record_facts
from edugraph_importer.graph.finding_facts import Found
from edugraph_importer.graph.record_facts import Node, Pair
from edugraph_importer.graph.unit_of_work import Book, Row, moment

V = TypeVar("V")
Triple = tuple[str, str, str]  # student, error type, course

_NODES_OF_LINK = tuple(finding_facts.TARGET.items())


@dataclass(frozen=True, slots=True)
class Revision:
    """`text`: the new finding as it is stored."""

    record: Record
    finding: RecordFinding
    old: Found
    new: Found
    text: str

    @property
    def label(self) -> str:
        return record_facts.LABEL_OF_TYPE[self.record.type]

    def nodes(self) -> Iterator[Node]:
        """All that the change may touch."""
        yield from record_facts.nodes(self.record)
        for kind, label in _NODES_OF_LINK:
            yield from ((label, end) for end in {*self.old.of(kind), *self.new.of(kind)})

    def links(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(relationship type, id of its end, properties) of what is found now; absent properties are None."""
        for kind, links in self.new.links.items():
            yield from ((kind, end, properties) for end, properties in links.items())

    def dropped(self) -> Iterator[tuple[str, str]]:
        """(relationship type, id of its end) of what is found no more."""
        for kind, links in self.old.links.items():
            yield from ((kind, end) for end in links if end not in self.new.of(kind))


@dataclass(slots=True)
class Changes:
    """Of all revisions of one transaction."""

    raised_relates: dict[Pair, tuple[float, float]] = field(default_factory=dict)
    raised_contains: dict[Pair, tuple[str, int | None]] = field(default_factory=dict)
    recount_relates: set[Pair] = field(default_factory=set)
    recount_contains: set[Pair] = field(default_factory=set)
    recount_errors: set[Triple] = field(default_factory=set)
    respell: set[Node] = field(default_factory=set)
    redescribe: set[str] = field(default_factory=set)
    dropped: set[Node] = field(default_factory=set)


def changes(revisions: Iterable[Revision], book: Book) -> Changes:
    """What only adds to mistakes, names and descriptions goes into the book."""
    gathered = Changes()
    for revision in revisions:
        _relates(gathered, revision)
        _contains(gathered, revision)
        _mistakes(gathered, revision, book)
        _spell(gathered, revision, book)
        _describe(gathered, revision, book)
    return gathered


def _relates(gathered: Changes, revision: Revision) -> None:
    old, new = (
        finding_facts.relates(revision.record, revision.old),
        finding_facts.relates(revision.record, revision.new),
    )
    for pair in {*old, *new}:
        if pair in old and _differs(old, new, pair):
            gathered.recount_relates.add(pair)
        elif pair not in old:
            known = gathered.raised_relates.get(pair, (0.0, 0.0))
            gathered.raised_relates[pair] = (max(known[0], new[pair][0]), max(known[1], new[pair][1]))


def _contains(gathered: Changes, revision: Revision) -> None:
    old, new = (
        finding_facts.contains(revision.record, revision.old),
        finding_facts.contains(revision.record, revision.new),
    )
    for pair in {*old, *new}:
        if pair in old and _differs(old, new, pair):
            gathered.recount_contains.add(pair)
        elif pair not in old:
            known = gathered.raised_contains.get(pair, new[pair])
            orders = [order for _, order in (known, new[pair]) if order is not None]
            gathered.raised_contains[pair] = (min(known[0], new[pair][0]), min(orders, default=None))


def _mistakes(gathered: Changes, revision: Revision, book: Book) -> None:
    record, data = revision.record, revision.record.data
    if not isinstance(data, ErrorRecord):
        return
    old, new = finding_facts.error_types(record, revision.old), finding_facts.error_types(record, revision.new)
    before, after = finding_facts.severity(data, revision.old), finding_facts.severity(data, revision.new)
    for kind in old - new if before == after else old:
        gathered.recount_errors.update((data.student_id, kind, course) for course in data.courses)
    row: Row = {"at": moment(record.stamp), "stamp": record.stamp}
    for kind in new - old:
        book.count_mistakes(row, data, kind, after)


def _spell(gathered: Changes, revision: Revision, book: Book) -> None:
    stamp = revision.record.stamp
    for kind, end in revision.dropped():
        gathered.dropped.add((finding_facts.TARGET[kind], end))
        gathered.respell.add((finding_facts.TARGET[kind], end))
    for kind, end, properties in revision.links():
        node = (finding_facts.TARGET[kind], end)
        before = revision.old.of(kind).get(end, {}).get("found_as", ())
        if set(before) - set(properties["found_as"]):
            gathered.respell.add(node)
        for spelling in properties["found_as"]:
            book.spell(node, spelling, stamp)


def _describe(gathered: Changes, revision: Revision, book: Book) -> None:
    stamp, old, new = revision.record.stamp, revision.old.of("DESCRIBES"), revision.new.of("DESCRIBES")
    for point in {*old, *new}:
        for name in ("description", "category"):
            before, after = old.get(point, {}).get(name), new.get(point, {}).get(name)
            if before is not None and before != after:
                gathered.redescribe.add(point)
            book.put(("KnowledgePoint", point), name, after, stamp)


def _differs(old: Mapping[Pair, V], new: Mapping[Pair, V], pair: Pair) -> bool:
    return old[pair] != new.get(pair)
