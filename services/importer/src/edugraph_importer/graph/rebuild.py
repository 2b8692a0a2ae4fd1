"""Deriving everything again that the graph derives from its records: sums, names, descriptions and prerequisites.

A comparison derives in a transaction that is rolled back. Records and their findings are not touched. After each
transaction the graph notes how far the request has come, so that a repeated message continues there.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import neo4j

from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.graph_schema import ENTITY_LABELS, IDENTIFIED_LABELS, NAMED_LABELS
from edugraph_importer.graph import groups, prerequisites, resolver
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.groups import LeaderNotes
from edugraph_importer.graph.model import (
    GroupCounts,
    InteractionSum,
    ItemNames,
    Node,
    Outdated,
    Pair,
)
from edugraph_importer.graph.statements import CYPHER
from edugraph_importer.graph.take_back import recompute
from edugraph_importer.graph.unit_of_work import (
    delete_orphans,
    lock_and_load,
    write_changed_state,
    write_tests,
)

NODES_AT_ONCE = 50  # in one transaction
SHOWN_DIFFERENCES = 100
GOES_ON_SECONDS = 1.0

# A relationship: its type, the ids of its start and end, and the properties that distinguish it from others between
# the same nodes (the course of a mistake, the term and start of a membership). A node: its label, its id, "" and "".
Key = tuple[str, str, str, str]
State = dict[Key, dict[str, Any]]

_BEGINS_RELATIONSHIPS = (
    "Course",
    "ErrorType",
    "Group",
    "Item",
    "KnowledgePoint",
    "Student",
    "Teacher",
)
# The relationships of these nodes are counts of records. For other labels, the statements `stated_…` return the
# relationships that records state.
_COUNTED = ("Item", "KnowledgePoint")
_TOTALS: dict[str, InteractionSum] = {
    "CHAT_WITH": "chat_with",
    "LIKES": "likes",
    "TEACHES": "teaches",
}


class Stage(NamedTuple):
    """A stage for the nodes of one label. It derives either each node, or the classes of nodes that mean the same."""

    of: Literal["nodes", "classes"]
    label: str


# The prerequisites come after these stages.
STAGES = (
    *(Stage("nodes", label) for label in ENTITY_LABELS),
    *(Stage("classes", label) for label in NAMED_LABELS),
)


@dataclass
class Comparison:
    """The result of a comparison with the records.

    `checked` is the number of checked nodes. `wrong` has the numbers of nodes and relationships that differ, by label
    or type. `shown` has some of them, each as its label or type and its ids. Only those of the last call are shown,
    because the graph does not note ids.
    """

    checked: int = 0
    wrong: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    shown: list[str] = field(default_factory=list)

    def add(self, keys: Iterable[Key]) -> None:
        for name, *ids in keys:
            self.wrong[name] += 1
            if len(self.shown) < SHOWN_DIFFERENCES:
                shown_ids = filter(None, ids)
                self.shown.append(" ".join([name, *shown_ids]))

    def to_json(self) -> dict[str, Any]:
        return {
            "checked": self.checked,
            "wrong": dict(sorted(self.wrong.items())),
            "shown": self.shown,
        }


class _TakenBack(Exception):
    """Ends a transaction that only compares."""

    def __init__(self, wrong: list[Key]) -> None:
        super().__init__()
        self.wrong = wrong


# Label -> (id, name) -> the right number of records of a CALLED relationship that is stored wrong.
Corrections = dict[str, dict[Pair, int]]


class Derivation:
    """Derives everything for one request, a few nodes at a time. `comparison` has the differences.

    Without `repair` nothing is changed. A node `Lock` notes the stage that the request has reached, and the last node
    of this stage that is done. If that node is a student who is erased, the stage begins again.
    """

    def __init__(
        self, connection: Connection, request_id: str, leaders: LeaderNotes, *, repair: bool
    ) -> None:
        self._connection = connection
        self._request_id = request_id
        self._leaders = leaders
        self._repair = repair
        self._lock_id = "rebuild" if repair else "verify"
        self._stage = 0
        self._after = ""
        self._corrections: Corrections = defaultdict(dict)
        self.comparison = Comparison()

    def derive(self, go_on: Callable[[], bool]) -> None:
        """Continue where the request was. Raises Wait when `go_on` returns False, because the time is over."""
        self._read()
        while self._stage < len(STAGES):
            stage = STAGES[self._stage]
            if not go_on():
                raise Wait("the rest of the graph is derived in another try", GOES_ON_SECONDS)
            if stage.of == "classes":
                self._run(self._derive_classes(stage.label), self._stage + 1, "", 0)
                continue
            rows = self._connection.read(
                CYPHER[f"next_ids_{stage.label}"], after=self._after, limit=NODES_AT_ONCE
            )
            ids = [str(row["id"]) for row in rows]
            if ids:
                self._run(self._derive_nodes(stage.label, ids), self._stage, ids[-1], len(ids))
            else:
                self._stage += 1
                self._after = ""
        wrong = _derive_prerequisites(self._connection, repair=self._repair)
        self.comparison.add(("DEPENDS_ON", *pair, "") for pair in wrong)
        self._connection.write(_forget_progress, self._lock_id, self._request_id)

    def _derive_nodes(self, label: str, ids: list[str]) -> Callable[[neo4j.Transaction], list[Key]]:
        return lambda tx: _derive_nodes(tx, label, ids, self._corrections[label], self._leaders)

    def _derive_classes(self, label: str) -> Callable[[neo4j.Transaction], list[Key]]:
        # After a repair the graph has the right numbers, and they may have changed meanwhile.
        corrections = {} if self._repair else self._corrections[label]
        return lambda tx: _derive_classes(tx, label, corrections)

    def _run(
        self, work: Callable[[neo4j.Transaction], list[Key]], stage: int, after: str, checked: int
    ) -> None:
        """Do the work of one transaction, and note that it is done. A repair notes this in the same transaction."""

        def compare(tx: neo4j.Transaction) -> None:
            raise _TakenBack(work(tx))

        def repair(tx: neo4j.Transaction) -> list[Key]:
            wrong = work(tx)
            self._note(tx, stage, after, checked, wrong)
            return wrong

        if self._repair:
            wrong = self._connection.write(repair)
        else:
            try:
                self._connection.write(compare)
            except _TakenBack as end:
                wrong = end.wrong
            self._connection.write(self._note, stage, after, checked, wrong)
        self._stage = stage
        self._after = after
        self.comparison.checked += checked
        self.comparison.add(wrong)

    def _note(
        self, tx: neo4j.Transaction, stage: int, after: str, checked: int, wrong: list[Key]
    ) -> None:
        counts = Counter(self.comparison.wrong)
        counts.update(key[0] for key in wrong)
        corrections = {}
        for label, by_pair in self._corrections.items():
            corrections[label] = [[*pair, records] for pair, records in by_pair.items()]
        noted = {
            "checked": self.comparison.checked + checked,
            "wrong": counts,
            "corrections": corrections,
        }
        tx.run(
            CYPHER["note_derivation"],
            id=self._lock_id,
            request=self._request_id,
            stage=stage,
            after=after,
            noted=json.dumps(noted),
        ).consume()

    def _read(self) -> None:
        """Read how far the request has come. A new request begins at the first stage."""
        rows = self._connection.read(
            CYPHER["derivation"], id=self._lock_id, request=self._request_id
        )
        for row in rows:
            noted = json.loads(row["noted"])
            self._stage = row["stage"]
            self._after = row["after"]
            self.comparison.checked = noted["checked"]
            self.comparison.wrong.update(noted["wrong"])
            for label, entries in noted["corrections"].items():
                self._corrections[label] = {
                    (start, end): records for start, end, records in entries
                }


def _forget_progress(tx: neo4j.Transaction, lock_id: str, request_id: str) -> None:
    tx.run(CYPHER["forget_derivation"], id=lock_id, request=request_id).consume()


def _derive_nodes(
    tx: neo4j.Transaction,
    label: str,
    ids: list[str],
    corrections: dict[Pair, int],
    leaders: LeaderNotes,
) -> list[Key]:
    """Derive these nodes and the relationships that begin at them. Return the differences.

    Differences of CALLED are added to `corrections` as well.
    """
    outdated, nodes, tests = _outdated(tx, label, ids)
    if label in IDENTIFIED_LABELS:
        nodes |= resolver.stated_names(tx, label, ids)
    unit = lock_and_load(tx, nodes, outdated.learns, tests)
    before = _state(tx, label, ids)
    recompute(tx, unit, outdated)
    leaders.write(tx, unit.leading)
    if label == "Item":
        # Every stored pair begins with no counts, so that a pair that no record states is removed.
        no_counts = {pair: Counter[str]() for pair in unit.stored_tests}
        unit.item_names = ItemNames(tests=defaultdict(Counter, no_counts))
        unit.count_item_names(_stated_item_names(tx, ids))
        write_tests(tx, unit)
    if label == "Group":
        unit.group_counts = _stated_group_counts(tx, ids)
        unit.changed_nodes |= {(label, group_id) for group_id in ids}
        for (_, start, end, _), properties in before.items():
            is_relationship = end != ""
            if is_relationship:
                unit.group_counts.courses[start, end] -= properties["records"]
        groups.add_courses(tx, unit.group_counts.courses)
    if label in IDENTIFIED_LABELS:
        corrections |= resolver.write_stated(tx, label, ids)
    write_changed_state(tx, unit)
    after = _state(tx, label, ids)
    delete_orphans(tx, nodes)
    return [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]


def _derive_classes(tx: neo4j.Transaction, label: str, corrections: dict[Pair, int]) -> list[Key]:
    """Derive which names and ids mean the same. Return the differences."""
    nodes, verdicts = resolver.derive_classes(tx, label, corrections)
    wrong_nodes: list[Key] = [(label, node_id, "", "") for node_id in nodes]
    wrong_verdicts: list[Key] = [("JUDGED", *pair, "") for pair in verdicts]
    return [*wrong_nodes, *wrong_verdicts]


def _derive_prerequisites(connection: Connection, *, repair: bool) -> list[Pair]:
    """Compare the prerequisites, or with `repair` derive them again. Return the pairs that differ.

    Changed claims that were not settled yet are settled first, because they are not differences.
    """
    prerequisites.settle(connection, connection.write)
    if repair:
        return prerequisites.settle(connection, connection.write, always=True).changes.pairs
    while wrong := prerequisites.plan(connection).pairs:
        if not connection.read(CYPHER["claim_changes"]):
            return wrong
        # Claims changed while they were compared.
        prerequisites.settle(connection, connection.write)
    return []


def _stated_item_names(tx: neo4j.Transaction, ids: list[str]) -> ItemNames:
    names = ItemNames()
    for row in tx.run(CYPHER["item_names_of_Item"], ids=ids):
        names.add(row["item"], row["title"], row["points"] or (), row["records"])
    return names


def _stated_group_counts(tx: neo4j.Transaction, ids: list[str]) -> GroupCounts:
    counts = GroupCounts()
    for row in tx.run(CYPHER["group_counts_of_Group"], ids=ids):
        counts.add(row["group"], row["name"], row["course"], row["records"])
    return counts


def _outdated(
    tx: neo4j.Transaction, label: str, ids: list[str]
) -> tuple[Outdated, set[Node], set[Pair]]:
    """Return the aggregates of these nodes that are stored or that records state, and the nodes to lock.

    The third value has the (item, knowledge point) pairs of TESTS, which are counted and not recomputed.
    """
    nodes: set[Node] = {(label, node_id) for node_id in ids}
    tests: set[Pair] = set()
    outdated = Outdated(fields=set(nodes), any_field=True)
    if label in NAMED_LABELS:
        outdated.spellings = set(nodes)
    if label == "KnowledgePoint":
        outdated.descriptions = set(ids)
    if label == "Item":
        tests.update(_stated_item_names(tx, ids).tests)
    if label not in _BEGINS_RELATIONSHIPS:
        return outdated, nodes, tests

    # Relationship type -> (the pairs of it, the label of its end). OF_COURSE is counted like TESTS.
    pairs: dict[str, tuple[set[Pair], str]] = {
        "CONTAINS": (outdated.contains, "KnowledgePoint"),
        "LEARNS": (outdated.learns, "Course"),
        "NOT_TESTS": (tests, "KnowledgePoint"),
        "OF_COURSE": (set(), "Course"),
        "PRACTISED": (outdated.practised, "Item"),
        "RELATES_TO": (outdated.relates_to, "KnowledgePoint"),
        "TESTS": (tests, "KnowledgePoint"),
    }
    for name, start, end, course in _relationships(tx, label, ids):
        if name in _TOTALS:
            outdated.interactions[_TOTALS[name]].add((start, end))
            sender_label = "Teacher" if name == "TEACHES" else "Student"
            nodes |= {(sender_label, start), ("Student", end)}
        elif name == "HAS_ERROR":
            outdated.mistakes.add((start, end, course))
            nodes.add(("ErrorType", end))
        elif name in ("LEADS", "MEMBER_OF"):
            outdated.memberships.add((label, start, end))
            nodes.add(("Group", end))
        else:
            pairs_of_type, end_label = pairs[name]
            pairs_of_type.add((start, end))
            nodes.add((end_label, end))
    nodes |= {("KnowledgePoint", point) for _, point in tests}
    return outdated, nodes, tests


def _relationships(tx: neo4j.Transaction, label: str, ids: list[str]) -> list[Key]:
    """Return the relationships that begin at these nodes: those that are stored, and those that records state."""
    found = [key for key in _state(tx, label, ids) if key[0] not in (*ENTITY_LABELS, "CALLED")]
    if label == "Group":
        for group_id, course_id in _stated_group_counts(tx, ids).courses:
            found.append(("OF_COURSE", group_id, course_id, ""))
    elif label not in _COUNTED:
        for row in tx.run(CYPHER[f"stated_{label}"], ids=ids):
            found.append((row["type"], row["from"], row["to"], row["course"] or ""))
    return found


def _state(tx: neo4j.Transaction, label: str, ids: list[str]) -> State:
    """Return the stored properties of the nodes, and of the derived relationships that begin at them."""
    found: State = {}
    for row in tx.run(CYPHER[f"derived_nodes_{label}"], ids=ids):
        found[label, row["id"], "", ""] = row["properties"]
    statements = []
    if label in _BEGINS_RELATIONSHIPS:
        statements.append(f"derived_relationships_{label}")
    if label == "Student":
        statements.append("derived_teaches")
    for statement in statements:
        for row in tx.run(CYPHER[statement], ids=ids):
            properties = row["properties"]
            # The course of a mistake, or the term and start of a membership.
            starts = str(properties.get("starts") or "")
            distinguishing = filter(
                None, (properties.get("course_id"), properties.get("term"), starts)
            )
            found[row["type"], row["from"], row["to"], " ".join(distinguishing)] = properties
    return found
