"""The unit of work: everything that one transaction writes.

It has the rows of the new records, and the state of the nodes and LEARNS relationships that the records change.
Records are staged before any lock is taken (`UnitOfWork.staged`). Then the transaction locks and reads its nodes
(`lock_and_load`) and merges the staged changes into their state. The less is done under the locks, the sooner the
next transaction gets them.

These rules give one value from several records, in whatever order the records arrive. For a field, the latest record
decides (`Fields`). The record with the greatest version key is the latest; a version key is a text that sorts as
(timestamp, record id). For a name, the most frequent spelling is shown and the others are aliases. Spellings are
counted, so that a record can be removed without reading the other records with the name, which may be millions.

The graph stores the version key of the record that gave a value. Usually one record gave all values of a node. So the
newest key is stored once, as the property `stamp`, and only older fields have their own key, as `{field}_stamp`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import neo4j

from edugraph_common.contracts.graph_schema import ENTITY_LABELS, NAMED_LABELS
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.changes import note_kind
from edugraph_importer.graph.model import (
    LEARNS_FIELDS,
    POINT_FIELDS,
    Activity,
    Called,
    Day,
    Facts,
    GroupCounts,
    ItemNames,
    Mention,
    Node,
    Pair,
    PersonInGroup,
)
from edugraph_importer.graph.statements import CYPHER, Row, run_rows
from edugraph_importer.graph.sums import Sums, add_days

NEVER = ""  # the version key of a default value; every record is later

Fields = dict[str, tuple[Any, str]]  # field -> (value, version key)

# The fields of a node that the latest record decides, each field separately.
# The first two fields of a point come from findings in texts, the others from point_records.
FOUND_FIELDS = ("description", "category")
LATEST_FIELDS: Mapping[str, tuple[str, ...]] = {
    "Course": ("name", "description", "difficulty"),
    "Item": ("title", "question", "max_score", "opens_at", "due_at"),
    "KnowledgePoint": (*FOUND_FIELDS, *POINT_FIELDS.values()),
    "Student": ("name",),
    "Teacher": ("name",),
    "Term": ("name", "starts", "ends", "breaks"),
}

# Records are created before the relationships that need them.
_RECORD_STATEMENTS = (
    "create_course_content",
    "create_course_record",
    "create_error_record",
    "create_chat",
    "create_like",
    "create_post",
    "create_teacher_interaction",
    "create_action",
    "create_attempt",
    "create_item_definition",
    "assigned_to_Course",
    "assigned_to_Group",
    "create_membership_Student",
    "create_membership_Teacher",
    "create_person_record",
    "claim_id",
    "decide_id",
    "create_term_definition",
    "create_point_definition",
    "requires",
    "in_more_courses",
    "attempt_in_more_courses",
    "about",
)


def read_fields(properties: Mapping[str, Any], names: Iterable[str]) -> Fields:
    """Return the fields from the properties of a node. This is the inverse of `field_properties`."""
    newest = properties.get("stamp", NEVER)
    fields: Fields = {}
    for name in names:
        value = properties.get(name)
        if value is not None:
            fields[name] = (value, properties.get(f"{name}_stamp", newest))
    return fields


def put_field(fields: Fields, name: str, value: Any, version_key: str) -> bool:
    """Set the field if the value is later than the present value. Return whether the field changed."""
    if value is None:
        return False
    _, decided_by = fields.get(name, (None, None))
    if decided_by is not None and decided_by >= version_key:
        return False
    fields[name] = (value, version_key)
    return True


def merge_fields(fields: Fields, others: Fields) -> bool:
    """Set each field from `others` that is later. Return whether a field changed."""
    is_changed = False
    for name, (value, version_key) in others.items():
        if put_field(fields, name, value, version_key):
            is_changed = True
    return is_changed


def field_properties(fields: Fields, names: Iterable[str]) -> dict[str, Any]:
    """Return the properties for `SET n += …`, each of which `read_fields` reads. None removes a property."""
    newest = max((version_key for _, version_key in fields.values()), default=None)
    properties: dict[str, Any] = {"stamp": newest}
    for name in names:
        value, version_key = fields.get(name, (None, newest))
        properties[name] = value
        properties[f"{name}_stamp"] = None if version_key == newest else version_key
    return properties


@dataclass(slots=True)
class NameState:
    """The place of an id or a name among its synonyms.

    `canonical` is the node that stands for all of them. `names` is the number of names that records give to this id;
    a record without a name counts the id itself, so every id has at least one. `claims` is the number of ids that are
    called by this name. `verdicts` is the number of reviewed pairs with this node.
    """

    canonical: str
    names: int = 0
    claims: int = 0
    verdicts: int = 0

    @classmethod
    def read(cls, node_id: str, properties: Mapping[str, Any]) -> Self:
        return cls(
            canonical=properties.get("canonical") or node_id,
            names=properties.get("names") or 0,
            claims=properties.get("claims") or 0,
            verdicts=properties.get("verdicts") or 0,
        )

    def properties(self) -> dict[str, Any]:
        """Return the properties for `SET n += …`. None removes a property."""
        return {
            "canonical": self.canonical,
            "names": self.names or None,
            "claims": self.claims or None,
            "verdicts": self.verdicts or None,
        }


def read_counts(properties: Mapping[str, Any]) -> Counter[str]:
    """Return the number of records by spelling. This is the inverse of `counts_properties`."""
    spellings = properties.get("spellings") or ()
    numbers = properties.get("spelling_counts") or ()
    return Counter(dict(zip(spellings, numbers, strict=False)))


def counts_properties(counts: Counter[str]) -> dict[str, Any]:
    """Return the properties for `SET n += …`. None removes a property."""
    used = sorted((+counts).items())
    return {
        "spellings": [spelling for spelling, _ in used] or None,
        "spelling_counts": [number for _, number in used] or None,
    }


def name_properties(counts: Counter[str]) -> dict[str, Any]:
    """Return the properties for `SET n += …` of a node that is named by its spellings. None removes a property."""
    name = usual(counts)
    aliases = sorted((+counts).keys() - {name})
    return {"name": name, "aliases": aliases or None, **counts_properties(counts)}


def usual(counts: Counter[str]) -> str | None:
    """Return the spelling that most records use, and the smallest one if several have the same number."""
    used = +counts
    return min(used, key=lambda spelling: (-used[spelling], spelling), default=None)


class TestsSaid(NamedTuple):
    """The last review of an item and a knowledge point. `stamp` is the result of `stored_records.stamp`."""

    stamp: str

    def is_tested(self, named: Counter[str]) -> bool:
        """Return whether the item tests the point.

        After a withdrawn verdict the records decide. `named` has their number by spelling of the point.
        """
        verdict = self.stamp.rpartition("|")[2]
        if verdict == "withdrawn":
            return bool(+named)
        return verdict == "accepted"


Times = frozenset[tuple[str | None, str | None]]
"""The first and the last moment of each time; None is open."""


@dataclass(slots=True)
class Leading:
    """The times at which people lead groups, before and after a transaction, for all memberships that it touches."""

    before: dict[PersonInGroup, Times] = field(default_factory=dict)
    after: dict[PersonInGroup, Times] = field(default_factory=dict)

    def note(
        self, label: str, people: Iterable[Row], before: Iterable[Row], after: Iterable[Row]
    ) -> None:
        """Note the times of these people of one label. If a person is noted again, the first `before` counts."""
        times_before = _times_of(before)
        times_after = _times_of(after)
        for row in people:
            for group_id in row["groups"]:
                person_id = row["person"]
                person_in_group = (label, person_id, group_id)
                self.before.setdefault(
                    person_in_group, frozenset(times_before[person_id, group_id])
                )
                self.after[person_in_group] = frozenset(times_after[person_id, group_id])

    def changes(self) -> list[tuple[PersonInGroup, bool]]:
        """Return each person who leads a group at other times than before, and whether they lead it at all now."""
        changes = []
        for person_in_group in sorted(self.after):
            times = self.after[person_in_group]
            if times != self.before[person_in_group]:
                changes.append((person_in_group, bool(times)))
        return changes

    def gains(self) -> list[PersonInGroup]:
        """Return each person who leads a group at a time that was not among the times before."""
        gains = []
        for each in sorted(self.after):
            new_times = self.after[each] - self.before[each]
            if new_times:
                gains.append(each)
        return gains


def _times_of(rows: Iterable[Row]) -> dict[tuple[str, str], set[tuple[str | None, str | None]]]:
    times: dict[tuple[str, str], set[tuple[str | None, str | None]]] = defaultdict(set)
    for row in rows:
        times[row["person"], row["group"]].add((row["starts"], row["ends"]))
    return times


@dataclass(slots=True)
class UnitOfWork:
    """The rows, totals and state of one transaction.

    `rows` has the rows to write, by the name of the statement. `nodes` has all nodes that the rows name. `fields`,
    `spellings`, `name_states`, `learns` and `item_names` are state that `lock_and_load` reads from the graph.
    `removed_learns` has the pairs that no record in the graph states any more. `sums` and `active_days` are added to
    the graph. `called` has changes of the numbers of records that call an id by a name.
    `stored_tests` has TESTS as the graph has them, and `tests_said` the last reviews of them. `memberships` has the
    people and groups whose MEMBER_OF and LEADS change. The names in `group_counts` are state, and its courses are
    added to the graph. `contains` has (course, point), and `prerequisites` has (point, required point).
    """

    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    nodes: set[Node] = field(default_factory=set)
    fields: dict[Node, Fields] = field(default_factory=dict)
    spellings: dict[Node, Counter[str]] = field(default_factory=dict)
    name_states: dict[Node, NameState] = field(default_factory=dict)
    changed_nodes: set[Node] = field(default_factory=set)
    learns: dict[Pair, Fields] = field(default_factory=dict)
    new_learns: set[Pair] = field(default_factory=set)
    changed_learns: set[Pair] = field(default_factory=set)
    removed_learns: set[Pair] = field(default_factory=set)
    sums: Sums = field(default_factory=Sums)
    item_names: ItemNames = field(default_factory=ItemNames)
    called: Counter[Called] = field(default_factory=Counter)
    stored_tests: dict[Pair, Counter[str]] = field(default_factory=dict)
    active_days: dict[Day, Activity] = field(default_factory=dict)
    memberships: set[PersonInGroup] = field(default_factory=set)
    leading: Leading = field(default_factory=Leading)
    group_counts: GroupCounts = field(default_factory=GroupCounts)
    tests_said: dict[Pair, TestsSaid] = field(default_factory=dict)
    contains: set[Pair] = field(default_factory=set)
    prerequisites: set[Pair] = field(default_factory=set)

    @classmethod
    def staged(cls) -> Self:
        """Return a unit without state from the graph, which is merged later. It accepts any node."""
        return cls(fields=defaultdict(dict), spellings=defaultdict(Counter))

    def load_node(self, node: Node, properties: Mapping[str, Any]) -> None:
        label = node[0]
        if label in LATEST_FIELDS:
            self.fields[node] = read_fields(properties, LATEST_FIELDS[label])
        if label in NAMED_LABELS:
            self.spellings[node] = read_counts(properties)
            self.name_states[node] = NameState.read(node[1], properties)
        if label == "Item":
            self.item_names.titles[node[1]] = read_counts(properties)
        if label == "Group":
            self.group_counts.names[node[1]] = read_counts(properties)

    def load_learns(self, pair: Pair, properties: Mapping[str, Any]) -> None:
        self.learns[pair] = read_fields(properties, LEARNS_FIELDS)

    def add(self, facts: Facts) -> None:
        """Add the facts of one record or finding. Their nodes must be loaded, unless this unit is `staged`."""
        version_key = facts.version_key
        self.nodes |= facts.nodes
        for statement, row in facts.rows:
            self.rows[statement].append(row)
        for node, name, value in facts.fields:
            self.put_field(node, name, value, version_key)
        self.count_spellings(facts.spellings)
        self.sums.add(facts)
        # An update of a Counter takes half a microsecond even if there is nothing to add.
        if facts.called:
            self.called.update(facts.called)
        if facts.item_names is not None:
            self.add_item_names(facts.item_names)
        self.memberships.update(facts.memberships)
        self.contains |= facts.contains
        self.prerequisites |= facts.prerequisites
        add_days(self.active_days, facts.active_days)
        if facts.group_counts is not None:
            self.count_groups(facts.group_counts)
        if facts.learns is not None:
            pair, values = facts.learns
            self.add_learns(pair, {name: (value, version_key) for name, value in values.items()})

    def count_spellings(self, spellings: Mapping[Mention, int], times: int = 1) -> None:
        """Add the numbers of spellings. With -1 subtract them."""
        for (node, spelling), number in spellings.items():
            self.spellings[node][spelling] += times * number
            self.changed_nodes.add(node)

    def add_item_names(self, names: ItemNames, times: int = 1) -> None:
        """Add the names of items, and the spellings of the points that the items test. With -1 subtract them."""
        self.count_item_names(names, times)
        self.count_spellings(names.mentions(), times)

    def count_item_names(self, names: ItemNames, times: int = 1) -> None:
        """Add the names of items. With -1 subtract them."""
        self.item_names.merge(names, times)
        self.changed_nodes |= {("Item", item_id) for item_id in names.titles}

    def count_groups(self, counts: GroupCounts, times: int = 1) -> None:
        """Add the names and courses of groups. With -1 subtract them."""
        self.group_counts.merge(counts, times)
        self.changed_nodes |= {("Group", group_id) for group_id in counts.names}

    def add_learns(self, pair: Pair, fields: Fields) -> None:
        """Add fields from course_records to one LEARNS relationship."""
        if pair not in self.learns:
            self.learns[pair] = {}
            self.new_learns.add(pair)
        if merge_fields(self.learns[pair], fields):
            self.changed_learns.add(pair)

    def replace_learns(self, pair: Pair, fields: Fields | None) -> None:
        """Replace the fields of a LEARNS relationship. None removes it, since no course_record states it any more."""
        if fields is None:
            self.learns.pop(pair, None)
            self.removed_learns.add(pair)
            return
        if pair in self.learns:
            self.changed_learns.add(pair)
        else:
            self.new_learns.add(pair)
        self.learns[pair] = fields

    def merge(self, staged: "UnitOfWork") -> None:
        """Merge the staged state of nodes, LEARNS and TESTS. Staged rows and totals are written without merging."""
        for node, fields in staged.fields.items():
            if merge_fields(self.fields[node], fields):
                self.changed_nodes.add(node)
        for node, spellings in staged.spellings.items():
            self.spellings[node].update(spellings)
            if any(spellings.values()):
                self.changed_nodes.add(node)
        for pair, fields in staged.learns.items():
            self.add_learns(pair, fields)
        self.count_item_names(staged.item_names)
        self.count_groups(staged.group_counts)
        self.called.update(staged.called)

    def put_field(self, node: Node, name: str, value: Any, version_key: str) -> None:
        if put_field(self.fields[node], name, value, version_key):
            self.changed_nodes.add(node)


def lock_and_load(
    tx: neo4j.Transaction, nodes: Iterable[Node], learns: Iterable[Pair], tests: Iterable[Pair] = ()
) -> UnitOfWork:
    """Lock the nodes, create the missing ones, and read them and the LEARNS and TESTS relationships.

    Every transaction locks by label and then by id, so that no two of them can wait for each other. If the caller
    found the nodes in the graph before, it calls `delete_orphans` at its end: a node that another transaction deleted
    meanwhile is created here.
    """
    unit = UnitOfWork()
    ids: dict[str, set[str]] = defaultdict(set)
    for label, node_id in nodes:
        ids[label].add(node_id)
    for label in ENTITY_LABELS:
        if not ids[label]:
            continue
        statement = "lock_named" if label in NAMED_LABELS else "lock"
        row = tx.run(CYPHER[f"{statement}_{label}"], ids=sorted(ids[label])).single(strict=True)
        # The statement that locks the nodes also reads them. A read before the lock could be out of date.
        for node_id, properties in row["nodes"]:
            unit.load_node((label, node_id), properties)
    _load_learns(tx, unit, learns)
    _load_tests(tx, unit, tests)
    return unit


def delete_orphans(tx: neo4j.Transaction, nodes: Iterable[Node]) -> Counter[str]:
    """Delete the nodes that have no relationships left. Return the number of deleted nodes by label.

    The records that named such a node were removed, or a newer finding does not name it.
    """
    ids, deleted = defaultdict(list), Counter[str]()
    for label, node_id in sorted(nodes):
        ids[label].append(node_id)
    for label in ENTITY_LABELS:
        if ids[label]:
            row = tx.run(CYPHER[f"delete_orphans_{label}"], ids=ids[label]).single()
            deleted[label] = row["deleted"] if row else 0
    if deleted["Student"]:
        # No node with the word of this transaction is left of them.
        note_kind(tx, "people")
    return deleted


def _load_learns(tx: neo4j.Transaction, unit: UnitOfWork, learns: Iterable[Pair]) -> None:
    rows: list[Row] = [
        {"student": student_id, "course": course_id} for student_id, course_id in learns
    ]
    if not rows:
        return
    for row in tx.run(CYPHER["read_learns"], rows=rows):
        for student_id, course_id, properties in row["learns"]:
            unit.load_learns((student_id, course_id), properties)


def _load_tests(tx: neo4j.Transaction, unit: UnitOfWork, tests: Iterable[Pair]) -> None:
    rows: list[Row] = [{"item": item_id, "point": point} for item_id, point in tests]
    if not rows:
        return
    for row in tx.run(CYPHER["read_tests"], rows=rows):
        for item_id, point, properties in row["tests"]:
            pair = (item_id, point)
            counts = read_counts(properties)
            unit.stored_tests[pair] = counts
            unit.item_names.tests[pair] = counts.copy()
            if properties.get("stamp"):
                unit.tests_said[pair] = TestsSaid(properties["stamp"])


def write_records(tx: neo4j.Transaction, staged: UnitOfWork) -> None:
    """Write the new records, and add their amounts to the totals of relationships."""
    for name in _RECORD_STATEMENTS:
        # A new key is also a lock, so new nodes are created in the order of their ids.
        run_rows(tx, name, sorted(staged.rows[name], key=lambda row: str(row["id"])))
    staged.sums.write(tx)


def write_tests(tx: neo4j.Transaction, unit: UnitOfWork) -> None:
    """Write the TESTS relationships that changed."""
    tested: list[Row] = []
    not_tested: list[Row] = []
    removed: list[Row] = []
    for pair, counts in sorted(unit.item_names.tests.items()):
        before = unit.stored_tests.get(pair, Counter())
        said = unit.tests_said.get(pair)
        was_named = bool(before)
        is_named = bool(+counts)
        row: Row = {"item": pair[0], "point": pair[1]}
        if +counts != before and (is_named or said):
            is_tested = said is None or said.is_tested(counts)
            rows = tested if is_tested else not_tested
            rows.append(tests_row(pair, counts, said))
            if said and was_named != is_named:
                # After a withdrawn verdict the type changes between TESTS and NOT_TESTS when the first record names
                # the point, or when the last one is removed. The relationship of the other type is removed.
                removed.append(row)
        elif was_named and not is_named:
            removed.append(row)
    run_rows(tx, "remove_tests", removed)
    run_rows(tx, "set_tests", tested)
    run_rows(tx, "set_not_tests", not_tested)


def tests_row(pair: Pair, counts: Counter[str], said: TestsSaid | None) -> Row:
    stamp = said.stamp if said else None
    return {"item": pair[0], "point": pair[1], "stamp": stamp, **counts_properties(counts)}


def write_changed_state(tx: neo4j.Transaction, unit: UnitOfWork) -> None:
    """Write the fields and names of the nodes that changed, and the LEARNS relationships that changed."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for node in sorted(unit.changed_nodes):
        label, node_id = node
        rows[label].append({"id": node_id, "p": _node_properties(unit, node)})
    for label in ENTITY_LABELS:
        run_rows(tx, f"set_{label}", rows[label])

    removed: list[Row] = []
    for student_id, course_id in sorted(unit.removed_learns):
        removed.append({"student": student_id, "course": course_id})
    run_rows(tx, "remove_learns", removed)
    new = [learns_row(pair, unit.learns[pair]) for pair in sorted(unit.new_learns)]
    for row in new:
        # A new relationship has no properties to remove, and removing none takes as long as writing the rest.
        row["p"] = {name: value for name, value in row["p"].items() if value is not None}
    run_rows(tx, "create_learns", new)
    changed = sorted(unit.changed_learns - unit.new_learns)
    run_rows(tx, "set_learns", [learns_row(pair, unit.learns[pair]) for pair in changed])


def _node_properties(unit: UnitOfWork, node: Node) -> dict[str, Any]:
    """Return the properties for `SET n += …` that follow from the state of a node. None removes a property."""
    label, node_id = node
    properties: dict[str, Any] = {}
    if label in LATEST_FIELDS:
        properties |= field_properties(unit.fields[node], LATEST_FIELDS[label])
    if label in NAMED_LABELS:
        properties |= name_properties(unit.spellings[node])
        if node in unit.name_states:
            properties |= unit.name_states[node].properties()
    if label == "KnowledgePoint" and properties["title"]:
        # The title from a point_record is the name. The spellings stay beside it.
        properties["spelled"] = properties["name"]
        properties["name"] = properties["title"]
    elif label == "KnowledgePoint":
        properties["spelled"] = None
    if label == "KnowledgePoint":
        properties["shown_as"] = _shown_as(properties["label"], properties["name"])
    if label == "Item":
        titles = unit.item_names.titles[node_id]
        properties |= counts_properties(titles)
        properties["name"] = properties["title"] or usual(titles)
    if label == "Group":
        names = unit.group_counts.names[node_id]
        properties |= counts_properties(names)
        properties["name"] = usual(names)
    return properties


def _shown_as(label: str | None, name: str | None) -> str | None:
    """Return the label of a point and its name, or None if the name alone says as much."""
    if label is None or label == name:
        return None
    if name is None:
        return label
    return f"{label} {name}"


def learns_row(pair: Pair, fields: Fields) -> Row:
    properties = record_facts.dated_properties(field_properties(fields, LEARNS_FIELDS))
    return {"student": pair[0], "course": pair[1], **properties}
