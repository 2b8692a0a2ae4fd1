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

import neo4j

from edugraph_common.contracts.graph_schema import NAMED_LABELS
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.aggregates import delete_orphans
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import Node, Pair
from edugraph_importer.graph.unit_of_work import (
    Standing,
    UnitOfWork,
    lock_and_load,
    run_rows,
    write_changed_state,
)

Verdict = tuple[bool | None, str]  # (whether the two are the same, or None if withdrawn; the time of the review)


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
        classes = _Classes(self.members, [pair for pair, (same, _) in self.verdicts.items() if same is False])
        for an_id, name in sorted((min(ids), name) for name, ids in self.claims.items() if len(ids) == 1):
            if name not in self.ids:
                classes.join(an_id, name)
        agreed = sorted((at, pair) for pair, (same, at) in self.verdicts.items() if same)
        skipped = {pair for _, pair in agreed if not classes.join(*pair)}
        canonical = {}
        for members in classes.members.values():
            smallest = min(members, key=lambda each: (each not in self.ids, each))
            canonical.update(dict.fromkeys(members, smallest))
        return canonical, skipped


class _Classes:
    """Disjoint sets that can be united, unless that would join a pair of `apart`. The smaller joins the larger."""

    def __init__(self, nodes: Iterable[str], apart: Iterable[Pair]) -> None:
        self.members = {each: {each} for each in nodes}
        self._class_of = {each: each for each in self.members}
        self._apart: dict[str, set[str]] = defaultdict(set)
        for a, b in apart:
            self._apart[a].add(b)
            self._apart[b].add(a)

    def join(self, a: str, b: str) -> bool:
        """Unite the classes of two nodes if that is allowed. Return whether they are in one class now."""
        one, other = self._class_of[a], self._class_of[b]
        if one == other:
            return True
        if any(self._class_of.get(each) == other for each in self._apart[one]):
            return False
        if len(self.members[one]) < len(self.members[other]):
            one, other = other, one
        for member in self.members[other]:
            self._class_of[member] = one
        self.members[one] |= self.members.pop(other)
        self._apart[one] |= self._apart.pop(other, set())
        return True


def resolve(tx: neo4j.Transaction, unit: UnitOfWork, judged: Iterable[Node], wanted: set[Node]) -> None:
    """Write the counts of names (`unit.called`), and update in `unit` the classes that change by them.

    `judged` has nodes with a new review. All these nodes must be locked. If other nodes have to be locked as well,
    they are added to `wanted` and StaleRead is raised. The transaction then starts again with them.
    """
    before: dict[str, dict[str, Standing]] = defaultdict(dict)
    for label, node_id in judged:
        before[label][node_id] = replace(unit.standings[label, node_id])
    for label in NAMED_LABELS:
        rows: list[Row] = [
            {"from": each.id, "to": each.name, "records": records}
            for each, records in sorted(unit.called.items())
            if each.label == label and records
        ]
        gone: list[Row] = []
        for row in tx.run(CYPHER[f"count_called_{label}"], rows=rows) if rows else ():
            an_id, name, by = row["from"], row["to"], 1 if row["records"] > 0 else -1
            for node_id in {an_id, name}:
                before[label].setdefault(node_id, replace(unit.standings[label, node_id]))
            unit.standings[label, an_id].names += by
            unit.standings[label, name].claims += by if name != an_id else 0
            gone += [{"from": an_id, "to": name}] if by < 0 else []
        run_rows(tx, f"remove_called_{label}", gone)
        if before[label]:
            unit.changed_nodes.update((label, node_id) for node_id in before[label])
            _place_unreviewed(tx, unit, label, before[label], wanted)
            if any(unit.standings[label, node_id].verdicts for node_id in before[label]):
                _place_reviewed(tx, unit, label, before[label], wanted)


def _place_unreviewed(
    tx: neo4j.Transaction, unit: UnitOfWork, label: str, before: Mapping[str, Standing], wanted: set[Node]
) -> None:
    """Set the canonical node of the nodes that were not reviewed. `before` has their former standing."""
    names = []
    for node_id, old in before.items():
        new = unit.standings[label, node_id]
        if new.verdicts:
            continue
        if new.names == 0 and new.claims == 1:
            names.append(node_id)
        elif new.names == 0 or old.names == 0:
            new.canonical = node_id
    # The canonical nodes of ids are set by now. A name takes the canonical node of the one id that claims it.
    for row in tx.run(CYPHER[f"claimers_{label}"], ids=sorted(names)) if names else ():
        claimer = (label, row["claimer"])
        if claimer in unit.standings:
            unit.standings[label, row["id"]].canonical = unit.standings[claimer].canonical
        else:
            wanted.add(claimer)
    if not wanted <= unit.standings.keys():
        raise StaleRead


def _place_reviewed(
    tx: neo4j.Transaction, unit: UnitOfWork, label: str, before: Mapping[str, Standing], wanted: set[Node]
) -> None:
    """Read and resolve the classes with reviewed members, both in their former and in their present form."""
    component, known = Component(), {key[1]: each for key, each in unit.standings.items() if key[0] == label}

    def may_be_joined(node_id: str) -> bool:
        """Return whether a claim joins the name to an id, or joined it before."""
        new = known[node_id]
        old = before.get(node_id, new)
        return min(old.claims, new.claims) <= 1 and 0 in (old.names, new.names)

    def look_up(ids: set[str]) -> set[str]:
        unknown = sorted(ids - known.keys())
        for row in tx.run(CYPHER[f"derived_nodes_{label}"], ids=unknown) if unknown else ():
            known[row["id"]] = Standing.read(row["id"], row["properties"])
        return ids

    frontier = look_up(set(before))
    while frontier:
        component.members |= frontier
        named, others = set[str](), set[str]()
        for row in tx.run(CYPHER[f"named_and_judged_{label}"], ids=sorted(frontier)):
            if row["stamp"] is None:
                named.add(row["other"])
            else:
                pair = (min(row["id"], row["other"]), max(row["id"], row["other"]))
                component.verdicts[pair] = (row["same"], record_facts.time_of(row["stamp"]))
                others.add(row["other"])
        for row in tx.run(CYPHER[f"claimers_{label}"], ids=sorted(filter(may_be_joined, frontier))):
            component.claims[row["id"]].add(row["claimer"])
            others.add(row["claimer"])
        frontier = look_up(others | set(filter(may_be_joined, look_up(named)))) - component.members
    wanted.update(node for each in component.members if (node := (label, each)) not in unit.standings)
    if not wanted <= unit.standings.keys():
        raise StaleRead
    component.ids = {each for each in component.members if known[each].names}
    run_rows(tx, f"set_skipped_{label}", _apply(unit, label, component))


def _apply(unit: UnitOfWork, label: str, component: Component) -> list[Row]:
    """Set the resolved canonical nodes in `unit`. Return, for each verdict, a row with whether it was skipped."""
    canonical, skipped = component.resolve()
    for node_id, stands_for_it in canonical.items():
        standing = unit.standings[label, node_id]
        if standing.canonical != stands_for_it:
            standing.canonical = stands_for_it
            unit.changed_nodes.add((label, node_id))
    return [{"from": a, "to": b, "skipped": (a, b) in skipped or None} for a, b in sorted(component.verdicts)]


def stated_names(tx: neo4j.Transaction, label: str, ids: list[str]) -> set[Node]:
    """Return the names that records give to these ids. `label` is one of IDENTIFIED_LABELS."""
    return {
        (each.label, each.name)
        for row in tx.run(CYPHER[f"stated_called_{label}"], ids=ids)
        for each in record_facts.called(label, row["id"], row["stated"])
    }


def write_stated(tx: neo4j.Transaction, label: str, ids: list[str]) -> dict[Pair, int]:
    """Correct CALLED of these ids, which must be locked. Return (id, name) -> right number where it was wrong."""
    stated, stored = Counter[Pair](), dict[Pair, int]()
    for row in tx.run(CYPHER[f"stated_called_{label}"], ids=ids):
        for each in record_facts.called(label, row["id"], row["stated"]):
            stated[each.id, each.name] += row["records"]
    for row in tx.run(CYPHER[f"called_of_{label}"], ids=ids):
        stored[row["from"], row["to"]] = row["records"]
    wrong = {pair: stated[pair] for pair in sorted({*stated, *stored}) if stated[pair] != stored.get(pair, 0)}
    rows: list[Row] = [{"from": a, "to": b, "records": records} for (a, b), records in wrong.items()]
    run_rows(tx, f"remove_called_{label}", [row for row in rows if not row["records"]])
    run_rows(tx, f"set_called_{label}", [row for row in rows if row["records"]])
    return wrong


def derive_classes(
    tx: neo4j.Transaction, label: str, corrections: Mapping[Pair, int]
) -> tuple[list[str], list[Pair]]:
    """Resolve all ids and names of a label again. Return the nodes and the verdicts that were stored wrong.

    `corrections` has the right numbers of CALLED relationships that are stored wrong. Raise StaleRead if ids or names
    were added after they were read, since these are not locked.
    """
    ids = [row["id"] for row in tx.run(CYPHER[f"all_ids_{label}"])]
    unit, locked = lock_and_load(tx, [(label, node_id) for node_id in ids], ()), set(ids)
    called = {(row["from"], row["to"]): row["records"] for row in tx.run(CYPHER[f"all_called_{label}"])}
    judged = {(row["from"], row["to"]): row for row in tx.run(CYPHER[f"all_judged_{label}"])}
    if not all(map(locked.issuperset, (*called, *judged))):
        raise StaleRead
    called |= {pair: records for pair, records in corrections.items() if locked.issuperset(pair)}
    component, skipped_before = Component(members=set(ids)), set[Pair]()
    names, verdicts = Counter[str](), Counter[str]()
    for (an_id, name), records in called.items():
        if records:
            names[an_id] += 1
            if name != an_id:
                component.claims[name].add(an_id)
    for pair, row in judged.items():
        component.verdicts[pair] = (row["same"], record_facts.time_of(row["stamp"]))
        verdicts.update(pair)
        skipped_before |= {pair} if row["skipped"] else set()
    component.ids = set(names)
    before = {node_id: replace(unit.standings[label, node_id]) for node_id in ids}
    for node_id in ids:
        standing = unit.standings[label, node_id]
        standing.names, standing.verdicts = names[node_id], verdicts[node_id]
        standing.claims = len(component.claims.get(node_id, ()))
    rows = _apply(unit, label, component)
    wrong = [node_id for node_id in ids if unit.standings[label, node_id] != before[node_id]]
    unit.changed_nodes.update((label, node_id) for node_id in wrong)
    write_changed_state(tx, unit)
    wrong_rows = [row for row in rows if bool(row["skipped"]) != ((row["from"], row["to"]) in skipped_before)]
    run_rows(tx, f"set_skipped_{label}", wrong_rows)
    delete_orphans(tx, unit.standings)
    return wrong, [(row["from"], row["to"]) for row in wrong_rows]
