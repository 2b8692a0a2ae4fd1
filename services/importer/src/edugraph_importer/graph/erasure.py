"""Erasing a student. Afterwards the graph is as if the records that name the student had never been imported.

A removed record may have given a name to another person, or a spelling to a topic. These are recomputed from the
remaining records. Nodes that only the removed records named are deleted too.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import neo4j

from edugraph_common.contracts.outcomes import BatchOutcome, Reject, quoted
from edugraph_common.contracts.records import escaped, shorten
from edugraph_importer.graph import aggregates, groups, migrations, record_facts, resolver
from edugraph_importer.graph.aggregates import Outdated, RelatedSums
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.leaders import LeaderNotes
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import (
    Called,
    GroupCounts,
    ItemNames,
    Mention,
    Node,
)
from edugraph_importer.graph.tombstones import Tombstones
from edugraph_importer.graph.unit_of_work import (
    lock_and_load,
    run_rows,
    write_changed_state,
    write_tests,
)
from edugraph_importer.graph.versions import erased_among

# The labels of records that name students. Definitions and the texts of a course name none.
_RECORD_LABELS = ("Attempt", "CourseRecord", "ErrorRecord", "Interaction", "Membership")


TEXT_FIELDS = (
    "text",
    "subject",
    "feedback",
    "question",
    "error_text",
    "response",
    "title",
    "content",
)


class Known(NamedTuple):
    """The names and records of a person in the graph.

    `records` has the ids of the records that name the person. `erased` says whether there is a tombstone.
    """

    names: frozenset[str]
    records: frozenset[str]
    is_there: bool
    erased: bool


def look(tx: neo4j.Transaction, student_ids: Collection[str], tombstones: Tombstones) -> Known:
    names: set[str] = set()
    records: set[str] = set()
    is_there = False
    for student_id in sorted(student_ids):
        for row in tx.run(CYPHER["known_names"], id=student_id):
            is_there = True
            names.update(filter(None, (row["name"], *row["called"], *row["stated"])))
        records.update(row["record"] for row in tx.run(CYPHER["records_of_student"], id=student_id))
    erased = bool(erased_among(tx, student_ids, tombstones))
    return Known(frozenset(names), frozenset(records), is_there, erased)


def block(tx: neo4j.Transaction, made: Collection[str]) -> None:
    """Create tombstones, so that records of these students are refused from now on.

    This is a transaction of its own before the erasure. From then on imports write nothing about these students, so
    that the batches of a large import cannot make the erasure start again and again.
    """
    for each in sorted(made):
        tx.run(CYPHER["create_tombstone"], id=each).consume()


def unblock(tx: neo4j.Transaction, made: Collection[str]) -> None:
    tx.run(CYPHER["delete_tombstones"], ids=sorted(made)).consume()


@dataclass(slots=True)
class Footprint:
    """Everything that a student's records have a part in.

    `records` has their ids by label, and `named` the nodes that they link to. `spellings`, `related`, `item_names`,
    `group_counts` and `called` have the counts of these records, which are subtracted from the graph.
    """

    records: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    version_keys: set[str] = field(default_factory=set)
    named: set[Node] = field(default_factory=set)
    spellings: Counter[Mention] = field(default_factory=Counter)
    item_names: ItemNames = field(default_factory=ItemNames)
    group_counts: GroupCounts = field(default_factory=GroupCounts)
    called: Counter[Called] = field(default_factory=Counter)
    related: RelatedSums = field(default_factory=Counter)
    relationships: int = 0

    @property
    def nodes(self) -> set[Node]:
        called = ((each.label, each.name) for each in self.called)
        return self.named.union(self.item_names.nodes(), self.group_counts.nodes(), called)


def erase(
    tx: neo4j.Transaction,
    student_id: str,
    tombstones: Tombstones,
    leaders: LeaderNotes,
    wanted: set[Node],
) -> dict[str, int]:
    """Erase a student. Return the numbers of removed nodes by label, and the number of removed relationships.

    `wanted` receives the nodes that still have to be locked when StaleRead is raised. Raises the errors of
    `migrations.check_graph`.
    """
    migrations.check_graph(tx)
    footprint = _read_footprint(tx, student_id)
    for label in _RECORD_LABELS:
        tx.run(CYPHER[f"lock_records_{label}"], ids=sorted(footprint.records[label])).consume()
    nodes = footprint.nodes | wanted
    unit = lock_and_load(tx, nodes | {("Student", student_id)}, (), footprint.item_names.tests)
    # The footprint was read before the locks, to know what to lock. A record may have changed it meanwhile.
    if _read_footprint(tx, student_id) != footprint:
        raise StaleRead
    tx.run(CYPHER["create_tombstone"], id=tombstones.of(student_id)).consume()
    groups.note_end(tx, "Student", student_id, footprint.named, unit.leading)
    leaders.write(tx, unit.leading)

    days = tx.run(CYPHER["delete_active_days"], id=student_id).single(strict=True)["deleted"]
    record_ids = set(chain.from_iterable(footprint.records.values()))
    was_there = bool(record_ids) or footprint.relationships > 0 or days > 0
    removed = Counter(
        {"Student": int(was_there), "relationships": footprint.relationships, "ActiveDay": days}
    )
    for label in _RECORD_LABELS:
        tx.run(CYPHER[f"delete_records_{label}"], ids=sorted(footprint.records[label])).consume()
        removed[label] = len(footprint.records[label])
    tx.run(CYPHER["delete_student"], id=student_id).consume()
    tx.run(CYPHER["forget_derived_student"], id=student_id).consume()

    unit.count_spellings(footprint.spellings, -1)
    unit.add_item_names(footprint.item_names, -1)
    unit.count_groups(footprint.group_counts, -1)
    groups.add_courses(tx, unit.group_counts.courses)
    write_tests(tx, unit)
    aggregates.write_related(
        tx, RelatedSums({key: -number for key, number in footprint.related.items()})
    )
    aggregates.recompute(
        tx, unit, Outdated(fields=footprint.named, version_keys=footprint.version_keys)
    )
    unit.called.subtract(footprint.called)
    resolver.resolve(tx, unit, (), wanted)
    write_changed_state(tx, unit)
    removed.update(aggregates.delete_orphans(tx, nodes))
    tx.run(CYPHER["delete_reviews"], ids=sorted(record_ids)).consume()
    _clear_ledger(tx, student_id, record_ids)
    return {name: count for name, count in sorted(removed.items()) if count}


def _read_footprint(tx: neo4j.Transaction, student_id: str) -> Footprint:
    footprint = Footprint()
    for row in tx.run(CYPHER["records_of_student"], id=student_id):
        footprint.records[row["label"]].add(row["record"])
        footprint.version_keys.add(aggregates.version_key(row))
    for label in _RECORD_LABELS:
        links = list(tx.run(CYPHER[f"links_of_{label}"], ids=sorted(footprint.records[label])))
        for row in links:
            footprint.relationships += 1
            footprint.named.add((row["label"], row["end"]))
            footprint.spellings.update(aggregates.mentions(row))
            if row["label"] == "ErrorType" and row["stated"] is not None:
                footprint.called.update(record_facts.called("ErrorType", row["end"], row["stated"]))
        footprint.related.update(aggregates.related_by_links(links))
    for row in tx.run(CYPHER["relationships_of_student"], id=student_id):
        footprint.relationships += 1
        footprint.named.add((row["label"], row["id"]))
    footprint.named.discard(("Student", student_id))
    footprint.item_names = aggregates.item_names(tx, footprint.records)
    footprint.group_counts = groups.group_counts(tx, footprint.records)
    return footprint


def _clear_ledger(tx: neo4j.Transaction, student_id: str, record_ids: set[str]) -> None:
    """Clear the reports of batches. A report may quote the student's id as a faulty value."""
    values = {shorten(text) for text in (student_id, *record_ids)}
    # Only the first characters of a value are quoted. An id inside a longer value is quoted as JSON.
    start = escaped(student_id)[:40]
    in_json = json.dumps(start, ensure_ascii=False)[1:-1]
    rows = []
    for row in tx.run(CYPHER["outcomes_with"], text=start, escaped=in_json):
        outcome = BatchOutcome.model_validate_json(row["outcome"])
        errors = tuple(_cleared(outcome.errors, values, student_id))
        cleared = outcome.model_copy(update={"errors": errors})
        stored = [Reject.model_validate(reject) for reject in json.loads(row["set_aside"])]
        rejects = list(_cleared(stored, values, student_id))
        set_aside = [reject.model_dump() for reject in rejects]
        rows.append(
            {
                "id": row["id"],
                "outcome": cleared.model_dump_json(),
                "set_aside": json.dumps(set_aside, ensure_ascii=False),
                "quoted": quoted(*errors, *rejects),
            }
        )
    run_rows(tx, "set_outcomes", rows)


def _cleared(rejects: Iterable[Reject], values: set[str], student_id: str) -> Iterator[Reject]:
    """Yield the rejects, without the found value if it names the student or is one of `values`."""
    inside = json.dumps(student_id, ensure_ascii=False)
    for reject in rejects:
        names_student = reject.found in values or inside in reject.found
        if names_student:
            yield reject.model_copy(update={"found": ""})
        else:
            yield reject
