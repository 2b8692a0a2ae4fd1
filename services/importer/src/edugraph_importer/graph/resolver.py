"""The resolver: which ids and names mean the same type of mistake, knowledge point or topic (docs/adr/0039).

Each stated id and each canonical name is a separate node with its own links and sums. There are two kinds of facts
about them. CALLED counts the records that call an id by a name. JUDGED has the verdict of a reviewer about two nodes.
Classes follow only from these facts, so they do not depend on the order in which the facts arrive:

- A name joins an id if exactly one id claims it. A node that is itself an id does not count as a name.
- Pairs that were judged the same join in the order of (time, pair). A withdrawn verdict has no effect.
- A join is left out if it would unite a pair that was judged different.

`canonical` of a node is the smallest member of its class, ids before names. Most changes concern a name that nobody
reviewed and that one id claims at most: its class follows from this claim, however many members there are. If a
member was reviewed, the whole class is read and computed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

import neo4j

from edugraph_common.contracts.graph_schema import NAMED_LABELS
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.model import Node, Pair, time_of
from edugraph_importer.graph.statements import CYPHER, Row, run_rows
from edugraph_importer.graph.unit_of_work import (
    NameState,
    UnitOfWork,
    delete_orphans,
    lock_and_load,
    write_changed_state,
)

# (whether the two are the same, or None if withdrawn; the time of the review)
Verdict = tuple[bool | None, str]


@dataclass(slots=True)
class Component:
    """Some ids and names of one label with their facts. It has all nodes that may join one of its members.

    `ids` has the members that records state as ids. `claims` maps a name to the ids that are called by it. `verdicts`
    has pairs whose smaller id comes first.
    """

    ids: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    claims: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    verdicts: dict[Pair, Verdict] = field(default_factory=dict)

    def resolve(self) -> tuple[dict[str, str], set[Pair]]:
        """Return member -> canonical node, and the pairs that were judged the same but cannot be joined."""
        different = [pair for pair, (same, _) in self.verdicts.items() if same is False]
        classes = _Classes(self.members, different)
        claims: list[Pair] = []  # (id, name) if the id alone claims the name
        for name, ids in self.claims.items():
            if len(ids) == 1 and name not in self.ids:
                claims.append((min(ids), name))
        for an_id, name in sorted(claims):
            classes.join(an_id, name)

        judged_same = [
            (judged_at, pair) for pair, (same, judged_at) in self.verdicts.items() if same
        ]
        skipped: set[Pair] = set()
        for _, pair in sorted(judged_same):
            if not classes.join(*pair):
                skipped.add(pair)

        canonical: dict[str, str] = {}
        for members in classes.members.values():
            ids_in_class = members & self.ids
            smallest = min(ids_in_class or members)
            canonical.update(dict.fromkeys(members, smallest))
        return canonical, skipped


class _Classes:
    """Disjoint sets that are united, unless that would join a pair of `different`. The smaller joins the larger."""

    def __init__(self, nodes: Iterable[str], different: Iterable[Pair]) -> None:
        # A class is named by one of its members.
        self.members = {node_id: {node_id} for node_id in nodes}
        self._class_of = {node_id: node_id for node_id in self.members}
        # Class -> nodes that must not join it.
        self._different: dict[str, set[str]] = defaultdict(set)
        for a, b in different:
            self._different[a].add(b)
            self._different[b].add(a)

    def join(self, a: str, b: str) -> bool:
        """Unite the classes of two nodes if that is allowed. Return whether they are in one class now."""
        larger = self._class_of[a]
        smaller = self._class_of[b]
        if larger == smaller:
            return True
        if any(self._class_of.get(node_id) == smaller for node_id in self._different[larger]):
            return False
        if len(self.members[larger]) < len(self.members[smaller]):
            larger = self._class_of[b]
            smaller = self._class_of[a]
        for member in self.members[smaller]:
            self._class_of[member] = larger
        self.members[larger] |= self.members.pop(smaller)
        self._different[larger] |= self._different.pop(smaller, set())
        return True


def resolve(
    tx: neo4j.Transaction, unit: UnitOfWork, judged: Iterable[Node], wanted: set[Node]
) -> set[str]:
    """Write the counts of names (`unit.called`), and update in `unit` the classes that change by them.

    `judged` has nodes with a new review. All these nodes must be locked. If other nodes have to be locked as well,
    they are added to `wanted` and StaleRead is raised. The transaction then starts again with them.

    Return the knowledge points for which another point stands from now on.
    """
    canonical_before = _canonical_points(unit)
    before: dict[str, dict[str, NameState]] = defaultdict(dict)  # label -> id -> its former state
    for label, node_id in judged:
        before[label][node_id] = replace(unit.name_states[label, node_id])
    for label in NAMED_LABELS:
        _count_called(tx, unit, label, before[label])
        changed = before[label]
        if not changed:
            continue
        unit.changed_nodes.update((label, node_id) for node_id in changed)
        _place_unreviewed(tx, unit, label, changed, wanted)
        if any(unit.name_states[label, node_id].verdicts for node_id in changed):
            _place_reviewed(tx, unit, label, changed, wanted)
    moved: set[str] = set()
    for point, stands_for_it in _canonical_points(unit).items():
        if canonical_before[point] != stands_for_it:
            moved.add(point)
    return moved


def _canonical_points(unit: UnitOfWork) -> dict[str, str]:
    """Return point -> the point that stands for it, for all points of `unit`."""
    canonical: dict[str, str] = {}
    for (label, node_id), name_state in unit.name_states.items():
        if label == "KnowledgePoint":
            canonical[node_id] = name_state.canonical
    return canonical


def _count_called(
    tx: neo4j.Transaction, unit: UnitOfWork, label: str, before: dict[str, NameState]
) -> None:
    """Write the changed numbers of CALLED, and count the appeared and disappeared relationships in `unit`.

    `before` receives the former state of each node whose counts change.
    """
    rows: list[Row] = []
    for called, change in sorted(unit.called.items()):
        if called.label == label and change:
            rows.append({"from": called.id, "to": called.name, "records": change})
    without_records: list[Row] = []
    if rows:
        for row in tx.run(CYPHER[f"count_called_{label}"], rows=rows):
            an_id = row["from"]
            name = row["to"]
            for node_id in (an_id, name):
                before.setdefault(node_id, replace(unit.name_states[label, node_id]))

            appeared = row["records"] > 0
            change = 1 if appeared else -1
            unit.name_states[label, an_id].names += change
            if name != an_id:
                unit.name_states[label, name].claims += change
            if not appeared:
                without_records.append({"from": an_id, "to": name})
    run_rows(tx, f"remove_called_{label}", without_records)


def _place_unreviewed(
    tx: neo4j.Transaction,
    unit: UnitOfWork,
    label: str,
    before: Mapping[str, NameState],
    wanted: set[Node],
) -> None:
    """Set the canonical node of the nodes that were not reviewed. `before` has their former state."""
    claimed_names: list[str] = []
    for node_id, old in before.items():
        new = unit.name_states[label, node_id]
        if new.verdicts:
            continue
        is_claimed_once = new.names == 0 and new.claims == 1
        became_id_or_name = new.names == 0 or old.names == 0
        if is_claimed_once:
            claimed_names.append(node_id)
        elif became_id_or_name:
            new.canonical = node_id
    # The canonical nodes of ids are set by now. A name takes the canonical node of the one id that claims it.
    if claimed_names:
        for row in tx.run(CYPHER[f"claimers_{label}"], ids=sorted(claimed_names)):
            claimer = (label, row["claimer"])
            if claimer in unit.name_states:
                unit.name_states[label, row["id"]].canonical = unit.name_states[claimer].canonical
            else:
                wanted.add(claimer)
    if not wanted <= unit.name_states.keys():
        raise StaleRead


def _place_reviewed(
    tx: neo4j.Transaction,
    unit: UnitOfWork,
    label: str,
    before: Mapping[str, NameState],
    wanted: set[Node],
) -> None:
    """Read and resolve the classes with reviewed members, both in their former and in their present form."""
    known: dict[str, NameState] = {}
    for (state_label, node_id), name_state in unit.name_states.items():
        if state_label == label:
            known[node_id] = name_state
    component = _read_component(tx, label, before, known)
    for node_id in component.members:
        if (label, node_id) not in unit.name_states:
            wanted.add((label, node_id))
    if not wanted <= unit.name_states.keys():
        raise StaleRead
    component.ids = {node_id for node_id in component.members if known[node_id].names}
    run_rows(tx, f"set_skipped_{label}", _apply(unit, label, component))


def _read_component(
    tx: neo4j.Transaction, label: str, before: Mapping[str, NameState], known: dict[str, NameState]
) -> Component:
    """Return all nodes that may be joined with the nodes of `before`, with their claims and verdicts.

    `before` has the former state of the nodes that change, and `known` the present one. Name states that are read
    here are added to `known`.
    """

    def may_be_joined(node_id: str) -> bool:
        """Return whether a claim joins the name to an id, or joined it before."""
        new = known[node_id]
        old = before.get(node_id, new)
        has_one_claim = new.claims <= 1 or old.claims <= 1
        is_only_a_name = new.names == 0 or old.names == 0
        return has_one_claim and is_only_a_name

    def look_up(ids: set[str]) -> None:
        unknown = sorted(ids - known.keys())
        if unknown:
            for row in tx.run(CYPHER[f"derived_nodes_{label}"], ids=unknown):
                known[row["id"]] = NameState.read(row["id"], row["properties"])

    component = Component()
    frontier = set(before)
    look_up(frontier)
    while frontier:
        component.members |= frontier
        names: set[str] = set()
        neighbours: set[str] = set()
        for row in tx.run(CYPHER[f"named_and_judged_{label}"], ids=sorted(frontier)):
            neighbour = row["other"]
            if row["stamp"] is None:
                names.add(neighbour)
                continue
            pair = (min(row["id"], neighbour), max(row["id"], neighbour))
            component.verdicts[pair] = (row["same"], time_of(row["stamp"]))
            neighbours.add(neighbour)
        joinable = sorted(filter(may_be_joined, frontier))
        for row in tx.run(CYPHER[f"claimers_{label}"], ids=joinable):
            component.claims[row["id"]].add(row["claimer"])
            neighbours.add(row["claimer"])

        look_up(names)
        neighbours.update(filter(may_be_joined, names))
        look_up(neighbours)
        frontier = neighbours - component.members
    return component


def _apply(unit: UnitOfWork, label: str, component: Component) -> list[Row]:
    """Set the resolved canonical nodes in `unit`. Return, for each verdict, a row with whether it was skipped."""
    canonical, skipped = component.resolve()
    for node_id, stands_for_it in canonical.items():
        name_state = unit.name_states[label, node_id]
        if name_state.canonical != stands_for_it:
            name_state.canonical = stands_for_it
            unit.changed_nodes.add((label, node_id))
    rows: list[Row] = []
    for a, b in sorted(component.verdicts):
        rows.append({"from": a, "to": b, "skipped": (a, b) in skipped or None})
    return rows


def stated_names(tx: neo4j.Transaction, label: str, ids: list[str]) -> set[Node]:
    """Return the names that records give to these ids. `label` is one of IDENTIFIED_LABELS."""
    names: set[Node] = set()
    for row in tx.run(CYPHER[f"stated_called_{label}"], ids=ids):
        for called in record_facts.called(label, row["id"], row["stated"]):
            names.add((called.label, called.name))
    return names


def write_stated(tx: neo4j.Transaction, label: str, ids: list[str]) -> dict[Pair, int]:
    """Correct CALLED of these ids, which must be locked. Return (id, name) -> right number where it was wrong."""
    stated: Counter[Pair] = Counter()
    for row in tx.run(CYPHER[f"stated_called_{label}"], ids=ids):
        for called in record_facts.called(label, row["id"], row["stated"]):
            stated[called.id, called.name] += row["records"]
    stored: dict[Pair, int] = {}
    for row in tx.run(CYPHER[f"called_of_{label}"], ids=ids):
        stored[row["from"], row["to"]] = row["records"]

    corrections: dict[Pair, int] = {}
    without_records: list[Row] = []
    changed: list[Row] = []
    for pair in sorted({*stated, *stored}):
        records = stated[pair]
        if records == stored.get(pair, 0):
            continue
        corrections[pair] = records
        right: Row = {"from": pair[0], "to": pair[1], "records": records}
        if records:
            changed.append(right)
        else:
            without_records.append(right)
    run_rows(tx, f"remove_called_{label}", without_records)
    run_rows(tx, f"set_called_{label}", changed)
    return corrections


def derive_classes(
    tx: neo4j.Transaction, label: str, corrections: Mapping[Pair, int]
) -> tuple[list[str], list[Pair]]:
    """Resolve all ids and names of a label again. Return the nodes and the verdicts that were stored wrong.

    `corrections` has the right numbers of CALLED relationships that are stored wrong. Raise StaleRead if ids or names
    were added after they were read, since these are not locked.
    """
    ids = [row["id"] for row in tx.run(CYPHER[f"all_ids_{label}"])]
    locked = set(ids)
    unit = lock_and_load(tx, [(label, node_id) for node_id in ids], ())
    stored = {
        (row["from"], row["to"]): row["records"] for row in tx.run(CYPHER[f"all_called_{label}"])
    }
    judged = {(row["from"], row["to"]): row for row in tx.run(CYPHER[f"all_judged_{label}"])}
    if not all(locked.issuperset(pair) for pair in (*stored, *judged)):
        raise StaleRead
    corrected = stored | {
        pair: records for pair, records in corrections.items() if locked.issuperset(pair)
    }
    called = [pair for pair, records in corrected.items() if records]

    names = Counter(an_id for an_id, _ in called)
    component = Component(ids=set(names), members=locked)
    for an_id, name in called:
        if name != an_id:
            component.claims[name].add(an_id)
    for pair, row in judged.items():
        component.verdicts[pair] = (row["same"], time_of(row["stamp"]))
    verdicts = Counter(chain.from_iterable(judged))

    before = {node_id: replace(unit.name_states[label, node_id]) for node_id in ids}
    for node_id in ids:
        name_state = unit.name_states[label, node_id]
        name_state.names = names[node_id]
        name_state.claims = len(component.claims.get(node_id, ()))
        name_state.verdicts = verdicts[node_id]
    rows = _apply(unit, label, component)

    wrong_nodes = [
        node_id for node_id in ids if unit.name_states[label, node_id] != before[node_id]
    ]
    unit.changed_nodes.update((label, node_id) for node_id in wrong_nodes)
    write_changed_state(tx, unit)
    wrong_verdicts: list[Pair] = []
    wrong_rows: list[Row] = []
    for verdict in rows:
        pair = (verdict["from"], verdict["to"])
        was_skipped = bool(judged[pair]["skipped"])
        is_skipped = bool(verdict["skipped"])
        if is_skipped != was_skipped:
            wrong_verdicts.append(pair)
            wrong_rows.append(verdict)
    run_rows(tx, f"set_skipped_{label}", wrong_rows)
    delete_orphans(tx, unit.name_states)
    return wrong_nodes, wrong_verdicts
