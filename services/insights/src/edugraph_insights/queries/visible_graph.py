"""The part of the graph that one caller may see, and the relationships in it.

Permission is decided before anything is read. A caller who may see everybody sees all nodes, except restricted
students and their records. A caller who may see some students sees the catalogue (courses, groups, items, points) and
the nodes that these students' own relationships and records lead to: the relationships of a node of the catalogue
are read from the students on, so that no other student's record is read. A caller who may see no person sees the
catalogue only.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

from edugraph_common.contracts.graph_schema import NAMED_LABELS, RELATIONSHIPS
from edugraph_insights.graph import Graph, Row
from edugraph_insights.hidden_in_graph import ASPECT_OF, HiddenInGraph
from edugraph_insights.queries.hidden_ties import TiesOfFindings
from edugraph_insights.queries.links import CATALOGUE, LABELS, LINKS, RECORDS, SUMS, Link

# A node with more relationships of a type is not expanded along that type.
MOST_RELATIONSHIPS = 10_000
MOST_FOUND = 10_000  # nodes of a search


class Key(NamedTuple):
    """The identity of a node. Synonyms share the key of their canonical node."""

    label: str
    id: str

    def __str__(self) -> str:
        return f"{self.label}:{self.id}"


class Hub(NamedTuple):
    """A node with too many relationships of one type to be expanded along it."""

    node: Key
    type: str


class Tie(NamedTuple):
    """One stored relationship between two nodes. Synonyms of a node may bring several ties to the same node."""

    type: str
    source: Key
    target: Key
    weight: float | None
    confidence: float | None


@dataclass(frozen=True)
class VisibleGraph:
    """The part of the graph that one caller may see.

    `persons` maps each permitted student to the permitted courses; None instead of the courses stands for all
    courses. `persons` itself is None where everybody may be seen. Each method raises what `Graph.read` raises.
    """

    graph: Graph
    persons: Mapping[str, tuple[str, ...] | None] | None
    since: datetime | None = None
    until: datetime | None = None
    most_relationships: int = MOST_RELATIONSHIPS
    # The parameters of statements that limit records to the period.
    _times: dict[str, Any] = field(init=False, default_factory=dict)
    # Ids of relationships that were left out, since only hidden findings bring them.
    hidden: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        for name, moment in (("since", self.since), ("until", self.until)):
            self._times[name] = moment and moment.isoformat()
            self._times[f"{name}_day"] = moment and f"{moment:%F}"

    @cached_property
    def _findings(self) -> HiddenInGraph:
        return HiddenInGraph(self.graph)

    def links(self) -> tuple[Link, ...]:
        """Return the links that may be seen. A query with a period has no links that are sums over all time."""
        hidden: set[str] = set()
        if self.persons is not None:
            hidden |= {"derived", "unlimited"}
            if not self.persons:
                hidden |= {"direct", "owner", "record"}
        has_period = bool(self.since or self.until)
        found = []
        for link in LINKS:
            is_hidden_sum = has_period and link.type in SUMS
            if link.whose not in hidden and not is_hidden_sum:
                found.append(link)
        return tuple(found)

    def labels(self) -> tuple[str, ...]:
        """Return the labels whose nodes may be seen."""
        if self.persons is None:
            return LABELS
        if not self.persons:
            return CATALOGUE
        return (*CATALOGUE, "ErrorType", "Student", "Topic", *RECORDS)

    def shows(self, node: Key) -> bool:
        """Return whether a node exists and may be seen. A synonym does not exist here, only its canonical node."""
        label, node_id = node
        if label not in self.labels():
            return False
        if label not in RECORDS and (self.since or self.until):
            # The period limits records and relationships. Any other node exists whatever the period.
            return replace(self, since=None, until=None).shows(node)
        if self.persons is not None and label not in CATALOGUE:
            return node_id in self._of_persons(label, [node_id])
        if label in NAMED_LABELS:
            if node_id in self._without_hidden_names(label, self._named(label, node_id, "", 1)):
                return True
            return self.persons is not None and node_id in self._of_persons(label, [node_id])
        is_record = label in RECORDS
        return bool(self.graph.read_along("is_there", label, (), id=node_id, owned=is_record))

    def search(self, label: str, begins: str) -> list[str]:
        """Return the ids of visible nodes whose id or name begins with `begins`, in order.

        At most MOST_FOUND + 1 ids are returned: the last one only shows that there are more than MOST_FOUND.
        """
        limit = MOST_FOUND + 1
        if label not in self.labels():
            return []
        if self.persons is not None and label not in CATALOGUE:
            return self._search_of_persons(label, begins)[:limit]
        if label in NAMED_LABELS:
            return self._search_names(label, begins, limit)[:limit]
        if label in RECORDS or label == "CourseContent":
            rows = self.graph.read_along(
                "search_records", label, (), begins=begins, limit=limit, **self._times
            )
        else:
            rows = self.graph.read_along("search", label, (), begins=begins.lower(), limit=limit)
        return [row["id"] for row in rows]

    def _search_of_persons(self, label: str, begins: str) -> list[str]:
        """Return the matching ids among the nodes that permitted students or their records lead to."""
        ids = sorted(self._of_persons(label, None))
        if not begins:
            return ids
        names = {row["id"]: row["name"] for row in self.nodes(label, ids, whole=False)}
        wanted = begins.lower()
        found = []
        for node_id in ids:
            name = str(names.get(node_id, ""))
            if node_id.lower().startswith(wanted) or name.lower().startswith(wanted):
                found.append(node_id)
        return found

    def _search_names(self, label: str, begins: str, limit: int) -> list[str]:
        """Return the matching ids of a label with synonyms, also those that only permitted students' records name."""
        found = self._without_hidden_names(label, self._named(label, None, begins, limit))
        if self.persons:
            wanted = begins.lower()
            found |= {
                each for each in self._of_persons(label, None) if each.lower().startswith(wanted)
            }
        return sorted(found)

    def nodes(self, label: str, ids: Collection[str], *, whole: bool) -> list[Row]:
        """Return id, name and time of nodes that were found to be visible; with `whole` also their properties."""
        if not ids:
            return []
        return self.graph.read_along("nodes", label, (), ids=sorted(ids), whole=whole)

    def relationships_of(
        self, nodes: Iterable[Key], types: Collection[str]
    ) -> tuple[dict[str, Tie], set[Hub]]:
        """Return all visible relationships of these visible nodes along these types, and the hubs among the nodes.

        The relationships stand by their ids. Those of hubs are left out.
        """
        ids_by_label: dict[str, list[str]] = defaultdict(list)
        for node in nodes:
            ids_by_label[node.label].append(node.id)
        links = [link for link in self.links() if link.type in types]

        ties: dict[str, Tie] = {}
        hubs: set[Hub] = set()
        for label, ids in ids_by_label.items():
            links_of_label = [link for link in links if label in link.starts or label in link.ends]
            if self.persons is None:
                more_ties, more_hubs = self._from_nodes(label, ids, links_of_label)
            else:
                more_ties, more_hubs = self._by_persons(label, ids, links_of_label)
            ties |= more_ties
            hubs |= more_hubs
        shown = self._without_hidden(ties)
        self.hidden.update(ties.keys() - shown.keys())
        return shown, hubs

    def _without_hidden(self, ties: Mapping[str, Tie]) -> dict[str, Tie]:
        """Return these relationships without those that only hidden findings bring.

        A sum that counts hidden findings with others has neither weight nor confidence.
        """
        found = TiesOfFindings(self.graph, self._findings).among(ties.values())
        shown = {}
        for name, tie in ties.items():
            if name in found.mixed:
                shown[name] = tie._replace(weight=None, confidence=None)
            elif name not in found.hidden:
                shown[name] = tie
        return shown

    def _without_hidden_names(self, label: str, ids: Collection[str]) -> set[str]:
        """Return those of these nodes that a shown finding or something else than a finding names."""
        if self.persons is not None or label not in ASPECT_OF:
            # Others begin at nodes of the catalogue, which hidden findings do not name.
            return set(ids)
        return set(ids) - self._findings.names_of(label, ids)

    def _from_nodes(
        self, label: str, ids: list[str], links: list[Link]
    ) -> tuple[dict[str, Tie], set[Hub]]:
        """Return the relationships and hubs that are found by beginning at the nodes themselves.

        A node may be a hub of one type only, so nodes with the same types that are not hubs are read together.
        """
        if not links:
            return {}, set()
        hubs = self._hubs(label, ids, {link.type for link in links})
        types_by_statement: dict[str, set[str]] = defaultdict(set)
        for link in links:
            types_by_statement[link.statement(label)].add(link.type)

        ties: dict[str, Tie] = {}
        for statement, types in types_by_statement.items():
            parameters: dict[str, Any] = {}
            if statement == "to_records":
                parameters = self._times
            ids_by_types: dict[tuple[str, ...], list[str]] = defaultdict(list)
            for node_id in ids:
                node = Key(label, node_id)
                expanded = tuple(name for name in sorted(types) if Hub(node, name) not in hubs)
                if expanded:
                    ids_by_types[expanded].append(node_id)
            for expanded, of_ids in ids_by_types.items():
                rows = self.graph.read_along(statement, label, expanded, ids=of_ids, **parameters)
                ties |= self._ties(rows)
        return ties, hubs

    def _hubs(self, label: str, ids: list[str], types: Collection[str]) -> set[Hub]:
        """Return the hubs among these nodes. Neo4j knows the degree of a node without reading its relationships."""
        degrees: Counter[Hub] = Counter()
        in_order = [name for name in RELATIONSHIPS if name in types]
        for row in self.graph.read_along("degrees", label, types, ids=ids):
            node = Key(label, row["id"])
            for name, degree in zip(in_order, row["degrees"], strict=True):
                degrees[Hub(node, name)] += degree
        return self._too_large(degrees)

    def _too_large(self, degrees: Mapping[Hub, int]) -> set[Hub]:
        return {hub for hub, degree in degrees.items() if degree > self.most_relationships}

    def _by_persons(
        self, label: str, ids: list[str], links: list[Link]
    ) -> tuple[dict[str, Tie], set[Hub]]:
        """Return the relationships and hubs that are found by beginning at permitted students.

        Links of the catalogue and links of a record begin at the nodes themselves.
        """
        assert self.persons is not None  # noqa: S101 - `relationships_of` asks before
        types: dict[str, set[str]] = defaultdict(set)  # `whose` of links -> their types
        for link in links:
            types[link.whose].add(link.type)
        of_catalogue = [link for link in links if link.whose == "catalogue"]
        ties, hubs = self._from_nodes(label, ids, of_catalogue)
        if label == "Student":
            students = [each for each in ids if each in self.persons]
            ties |= self._persons_ties("direct", types["direct"], students, None)
            ties |= self._persons_ties("owner", types["owner"], students, None)
            return ties, hubs

        read = self._persons_ties("direct", types["direct"], self.persons, ids)
        read |= self._persons_ties("owner", types["owner"], self.persons, ids)
        if label not in RECORDS:
            read |= self._persons_ties("record", types["record"], self.persons, ids)
        elif types["record"]:
            read |= self._ties(self.graph.read_along("to_others", label, types["record"], ids=ids))
        # The statements find nodes by id only, so a row may be about a node of another label with the same id.
        found = {
            name: tie for name, tie in read.items() if label in (tie.source.label, tie.target.label)
        }

        degrees: Counter[Hub] = Counter()
        for tie in found.values():
            for end in {tie.source, tie.target}:
                if end.label == label:
                    degrees[Hub(end, tie.type)] += 1
        new_hubs = self._too_large(degrees)
        for name, tie in found.items():
            ends = {Hub(tie.source, tie.type), Hub(tie.target, tie.type)}
            if new_hubs.isdisjoint(ends):
                ties[name] = tie
        return ties, hubs | new_hubs

    def _persons_ties(
        self, whose: str, types: Collection[str], students: Collection[str], ids: list[str] | None
    ) -> dict[str, Tie]:
        """Return the relationships of these students or of their records.

        `whose` is "direct" (relationships of the student), "owner" (from the student to records) or "record" (from
        these records to other nodes). If `ids` are given, only relationships with nodes of these ids are returned.
        """
        if not types or not self.persons:
            return {}
        statement = {"direct": "of_persons", "owner": "records_of_persons", "record": "records_at"}[
            whose
        ]
        persons = []
        for student in sorted(students):
            courses = self.persons[student]
            persons.append(
                {"student": student, "courses": None if courses is None else list(courses)}
            )
        rows = self.graph.read_along(
            statement,
            None,
            types,
            ids=ids,
            persons=persons,
            students=sorted(self.persons),
            whole=sorted(student for student, courses in self.persons.items() if courses is None),
            **self._times,
        )
        return self._ties(rows)

    def _of_persons(self, label: str, ids: list[str] | None) -> set[str]:
        """Return the ids of the nodes of a label that permitted students or their records lead to.

        If `ids` are given, only nodes with these ids are looked for.
        """
        assert self.persons is not None  # noqa: S101 - the callers ask before
        if label == "Student":
            return {each for each in self.persons if ids is None or each in ids}
        ties: dict[str, Tie] = {}
        for whose in ("direct", "owner", "record"):
            types = set()
            for link in LINKS:
                # The links "owner" already find the records, which are the starts of the links "record".
                is_at_label = label in link.ends or (whose != "record" and label in link.starts)
                if link.whose == whose and is_at_label:
                    types.add(link.type)
            ties |= self._persons_ties(whose, types, self.persons, ids)

        found = set()
        if label in ASPECT_OF:
            ties = self._without_hidden(ties)
        for tie in ties.values():
            for end in (tie.source, tie.target):
                if end.label == label:
                    found.add(end.id)
        return found

    def _named(self, label: str, node_id: str | None, begins: str, limit: int) -> list[str]:
        """Return the ids of the canonical nodes that can be seen without beginning at permitted students.

        A caller who may see everybody sees each node that the catalogue or an unrestricted record names. Others see
        the nodes of the catalogue. If `node_id` is given, only this node is looked for.
        """
        statement = "in_catalogue"
        if self.persons is None:
            statement = "named_by_somebody"
        rows = self.graph.read_along(
            statement, label, (), id=node_id, begins=begins.lower(), limit=limit
        )
        return [row["id"] for row in rows]

    def _ties(self, rows: Iterable[Row]) -> dict[str, Tie]:
        """Return the relationships of rows by their ids, without those between two synonyms of one node."""
        ties = {}
        for row in rows:
            near = Key(row["label"], row["id"])
            far = Key(row["other_label"], row["other_id"])
            is_outward = (row["type"], near.label, far.label) in _DIRECTIONS
            is_inward = (row["type"], far.label, near.label) in _DIRECTIONS
            if near == far or not (is_outward or is_inward):
                continue
            if near.label == far.label:
                # The labels do not tell the direction here.
                is_outward = row["outward"]
            source = near if is_outward else far
            target = far if is_outward else near
            ties[row["relationship"]] = Tie(
                row["type"], source, target, row["weight"], row["confidence"]
            )
        return ties


def _directions() -> frozenset[tuple[str, str, str]]:
    """Return each type of relationship with each label that it starts from and each label that it leads to."""
    found = set()
    for link in LINKS:
        for start, end in product(link.starts, link.ends):
            found.add((link.type, start, end))
    return frozenset(found)


_DIRECTIONS = _directions()
