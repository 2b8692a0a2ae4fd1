"""What the graph derives from its records, derived anew: all sums, names, descriptions and prerequisites.

To compare is to derive in a transaction that is taken back. Records and what was found in them are not touched.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import neo4j

from edugraph_common.contracts.graph_schema import ENTITY_LABELS, IDENTIFIED_LABELS, NAMED_LABELS
from edugraph_importer.graph import groups, prerequisites, resolver
from edugraph_importer.graph.aggregates import InteractionTotal, Outdated, delete_orphans, recompute
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import GroupCounts, ItemNames, Node, Pair
from edugraph_importer.graph.unit_of_work import lock_and_load, write_changed_state, write_tests

NODES_AT_ONCE = 50  # in one transaction
SHOWN_DIFFERENCES = 100

# Type, ids of its ends, and what tells it apart from others between them: a mistake's course, a membership's term and
# start. Of a node: label, id, nothing, nothing.
Key = tuple[str, str, str, str]
State = dict[Key, dict[str, Any]]

_BEGINS_RELATIONSHIPS = ("Course", "ErrorType", "Group", "Item", "KnowledgePoint", "Student", "Teacher")
# What records state of the others is told by `stated_…`.
_COUNTED = ("Item", "KnowledgePoint")
_TOTALS: dict[str, InteractionTotal] = {"CHAT_WITH": "chat_with", "LIKES": "likes", "TEACHES": "teaches"}


@dataclass
class Comparison:
    """`wrong`: how many nodes and relationships differ from what the records say, by label and type.

    `shown`: some of them, each as its label or type and its ids.
    """

    checked: int = 0
    wrong: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    shown: list[str] = field(default_factory=list)

    def add(self, keys: Iterable[Key]) -> None:
        for name, *ids in keys:
            self.wrong[name] += 1
            if len(self.shown) < SHOWN_DIFFERENCES:
                self.shown.append(" ".join([name, *(each for each in ids if each)]))

    def to_json(self) -> dict[str, Any]:
        return {"checked": self.checked, "wrong": dict(sorted(self.wrong.items())), "shown": self.shown}


class _TakenBack(Exception):
    """Ends a transaction that only compares."""

    def __init__(self, wrong: list[Key]) -> None:
        super().__init__()
        self.wrong = wrong


def derive(connection: Connection, *, repair: bool) -> Comparison:
    """Derive everything, a few nodes at a time, and say what was wrong. Without `repair`, nothing is changed."""
    comparison, corrections = Comparison(), defaultdict[str, dict[Pair, int]](dict)

    def portion(work: Any, *arguments: Any) -> None:
        try:
            comparison.add(connection.write(work, *arguments, repair=repair))
        except _TakenBack as end:
            comparison.add(end.wrong)

    for label in ENTITY_LABELS:
        after = ""
        while rows := connection.read(CYPHER[f"next_ids_{label}"], after=after, limit=NODES_AT_ONCE):
            ids = [str(row["id"]) for row in rows]
            portion(_derive_nodes, label, ids, corrections[label])
            comparison.checked, after = comparison.checked + len(ids), ids[-1]
    for label in NAMED_LABELS:
        portion(_derive_classes, label, corrections[label])
    comparison.add(("DEPENDS_ON", *pair, "") for pair in _derive_prerequisites(connection, repair=repair))
    return comparison


def _derive_nodes(
    tx: neo4j.Transaction, label: str, ids: list[str], corrections: dict[Pair, int], *, repair: bool
) -> list[Key]:
    """Derive what is on these nodes and begins at them. What is wrong with CALLED is kept in `corrections`, too."""
    outdated, nodes, tests = _outdated(tx, label, ids)
    nodes |= resolver.stated_names(tx, label, ids) if label in IDENTIFIED_LABELS else set()
    unit = lock_and_load(tx, nodes, outdated.learns, tests)
    before = _state(tx, label, ids)
    recompute(tx, unit, outdated)
    if label == "Item":
        unit.item_names = ItemNames(tests=defaultdict(Counter, {pair: Counter() for pair in unit.stored_tests}))
        unit.count_item_names(_stated_item_names(tx, ids))
        write_tests(tx, unit)
    if label == "Group":
        stored = Counter({(start, end): each["records"] for (_, start, end, _), each in before.items() if end})
        unit.group_counts = _stated_group_counts(tx, ids)
        unit.changed_nodes |= {(label, group_id) for group_id in ids}
        unit.group_counts.courses.subtract(stored)
        groups.add_courses(tx, unit.group_counts.courses)
    if label in IDENTIFIED_LABELS:
        corrections |= resolver.write_stated(tx, label, ids)
    write_changed_state(tx, unit)
    after = _state(tx, label, ids)
    delete_orphans(tx, nodes)
    return _ended([key for key in sorted({*before, *after}) if before.get(key) != after.get(key)], repair=repair)


def _derive_classes(tx: neo4j.Transaction, label: str, corrections: dict[Pair, int], *, repair: bool) -> list[Key]:
    # What was repaired is read from the graph, since it may have changed meanwhile.
    nodes, verdicts = resolver.derive_classes(tx, label, {} if repair else corrections)
    wrong: list[Key] = [(label, node_id, "", "") for node_id in nodes]
    return _ended([*wrong, *(("JUDGED", *pair, "") for pair in verdicts)], repair=repair)


def _derive_prerequisites(connection: Connection, *, repair: bool) -> list[Pair]:
    """Compare the prerequisites, or derive them anew. What was not settled yet is settled first: it is not wrong."""
    prerequisites.settle(connection, connection.write)
    if repair:
        return prerequisites.settle(connection, connection.write, always=True).changes.pairs
    while wrong := prerequisites.plan(connection).pairs:
        if not connection.read(CYPHER["claim_changes"]):
            return wrong
        # Claims changed while they were compared.
        prerequisites.settle(connection, connection.write)
    return []


def _ended(wrong: list[Key], *, repair: bool) -> list[Key]:
    if not repair:
        raise _TakenBack(wrong)
    return wrong


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


def _outdated(tx: neo4j.Transaction, label: str, ids: list[str]) -> tuple[Outdated, set[Node], set[Pair]]:
    """Return all that is derived of these nodes, as it is stored or as records state it, and what is to be locked.

    Return what items test beside it, since that is counted and not recomputed.
    """
    nodes: set[Node] = {(label, node_id) for node_id in ids}
    tests = set(_stated_item_names(tx, ids).tests) if label == "Item" else set[Pair]()
    outdated = Outdated(fields=set(nodes), any_field=True)
    if label in NAMED_LABELS:
        outdated.spellings = set(nodes)
    if label == "KnowledgePoint":
        outdated.descriptions = set(ids)
    if label not in _BEGINS_RELATIONSHIPS:
        return outdated, nodes, tests
    rows = [key for key in _state(tx, label, ids) if key[0] not in (*ENTITY_LABELS, "CALLED")]
    if label == "Group":
        rows += [("OF_COURSE", *pair, "") for pair in _stated_group_counts(tx, ids).courses]
    elif label not in _COUNTED:
        stated = tx.run(CYPHER[f"stated_{label}"], ids=ids)
        rows += [(row["type"], row["from"], row["to"], row["course"] or "") for row in stated]
    pairs: dict[str, tuple[set[Pair], str]] = {
        "CONTAINS": (outdated.contains, "KnowledgePoint"),
        "LEARNS": (outdated.learns, "Course"),
        "NOT_TESTS": (tests, "KnowledgePoint"),
        "OF_COURSE": (set(), "Course"),  # counted, as TESTS is
        "PRACTISED": (outdated.practised, "Item"),
        "RELATES_TO": (outdated.relates_to, "KnowledgePoint"),
        "TESTS": (tests, "KnowledgePoint"),
    }
    for name, start, end, course in rows:
        if name in _TOTALS:
            outdated.interactions[_TOTALS[name]].add((start, end))
            nodes |= {("Teacher" if name == "TEACHES" else "Student", start), ("Student", end)}
        elif name == "HAS_ERROR":
            outdated.mistakes.add((start, end, course))
            nodes.add(("ErrorType", end))
        elif name in ("LEADS", "MEMBER_OF"):
            outdated.memberships.add((label, start, end))
            nodes.add(("Group", end))
        else:
            of_type, end_label = pairs[name]
            of_type.add((start, end))
            nodes.add((end_label, end))
    nodes |= {("KnowledgePoint", point) for _, point in tests}
    return outdated, nodes, tests


def _state(tx: neo4j.Transaction, label: str, ids: list[str]) -> State:
    """Return what is stored: properties of the nodes, and of the relationships that are derived with them."""
    found: State = {
        (label, row["id"], "", ""): row["properties"] for row in tx.run(CYPHER[f"derived_nodes_{label}"], ids=ids)
    }
    names = [f"derived_relationships_{label}"] if label in _BEGINS_RELATIONSHIPS else []
    for name in [*names, "derived_teaches"] if label == "Student" else names:
        for row in tx.run(CYPHER[name], ids=ids):
            properties = row["properties"]
            apart = [properties.get("course_id"), properties.get("term"), str(properties.get("starts") or "")]
            found[row["type"], row["from"], row["to"], " ".join(filter(None, apart))] = properties
    return found
