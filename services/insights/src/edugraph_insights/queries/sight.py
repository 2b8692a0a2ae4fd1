"""What of the graph one caller may see, and one hop in it. It is found before anything is read.

Whoever may see everybody sees all but students who are restricted and their records; there, a hop begins at the node.
Whoever may see some students sees the catalogue (courses, groups, items, points), and what these students' own
relationships and records lead to; there, a hop from the catalogue begins at the students, so that nobody else's
record is read. Whoever may see no person sees the catalogue alone.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from edugraph_common.contracts.graph_schema import NAMED_LABELS, RELATIONSHIPS
from edugraph_insights.graph import Graph, Row
from edugraph_insights.queries.links import CATALOGUE, LABELS, LINKS, RECORDS, SUMS, Link

# A node with more relationships of a type is not expanded along that type.
MOST_RELATIONSHIPS = 10_000
MOST_FOUND = 10_000  # nodes of a search


class Key(NamedTuple):
    """Which node. Of what has several names, the one that stands for all."""

    label: str
    id: str

    def __str__(self) -> str:
        return f"{self.label}:{self.id}"


class Hub(NamedTuple):
    node: Key
    type: str


class Tie(NamedTuple):
    """One relationship as it is stored, between things. Two names of one thing may bring several."""

    type: str
    source: Key
    target: Key
    weight: float | None
    confidence: float | None


@dataclass(frozen=True)
class Sight:
    """`persons` are the permitted students with their permitted courses; None stands for all courses.

    `persons` itself is None where everybody may be seen. Every method raises what `Graph.read` raises.
    """

    graph: Graph
    persons: Mapping[str, tuple[str, ...] | None] | None
    since: datetime | None = None
    until: datetime | None = None
    most_relationships: int = MOST_RELATIONSHIPS
    _times: dict[str, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name, moment in (("since", self.since), ("until", self.until)):
            self._times[name] = moment and moment.isoformat()
            self._times[f"{name}_day"] = moment and f"{moment:%F}"

    def links(self) -> tuple[Link, ...]:
        """Return which links may be seen at all. A sum over all time is none where a time is asked for."""
        if self.persons is None:
            hidden: set[str] = set()
        else:
            hidden = {"derived", "unlimited"} | (set() if self.persons else {"direct", "owner", "record"})
        sums = SUMS if self.since or self.until else ()
        return tuple(link for link in LINKS if link.whose not in hidden and link.type not in sums)

    def labels(self) -> tuple[str, ...]:
        """Return the labels of which nodes may be seen."""
        if self.persons is None:
            return LABELS
        rest = ("ErrorType", "Student", "Topic", *RECORDS) if self.persons else ()
        return (*CATALOGUE, *rest)

    def shows(self, node: Key) -> bool:
        """Whether a node is there and may be seen. Of a thing with several names, the one that stands for all is."""
        label, node_id = node
        if label not in self.labels():
            return False
        if label not in RECORDS and (self.since or self.until):
            # It is there at any time: that nothing is beside it in the one that is asked for is an answer.
            return replace(self, since=None, until=None).shows(node)
        if self.persons is not None and label not in CATALOGUE:
            return node_id in self._of_persons(label, [node_id])
        if label in NAMED_LABELS:
            return self._named(label, node_id, "", 1) == [node_id] or (
                self.persons is not None and node_id in self._of_persons(label, [node_id])
            )
        owned = label in RECORDS
        return bool(self.graph.read_along("is_there", label, (), id=node_id, owned=owned))

    def search(self, label: str, begins: str) -> list[str]:
        """Return the ids of visible nodes whose id or name begins so, in order: MOST_FOUND and one at most."""
        if label not in self.labels():
            return []
        if self.persons is not None and label not in CATALOGUE:
            ids = sorted(self._of_persons(label, None))
            if not begins:
                return ids[: MOST_FOUND + 1]
            names = {row["id"]: row["name"] for row in self.nodes(label, ids, whole=False)}
            wanted = begins.lower()
            found = [
                each
                for each in ids
                if any(text.lower().startswith(wanted) for text in (each, str(names.get(each, ""))))
            ]
            return found[: MOST_FOUND + 1]
        if label in NAMED_LABELS:
            found = self._named(label, None, begins, MOST_FOUND + 1)
            more = self._of_persons(label, None) if self.persons else set()
            return sorted({*found, *(each for each in more if each.lower().startswith(begins.lower()))})[
                : MOST_FOUND + 1
            ]
        if label in {*RECORDS, "CourseContent"}:
            rows = self.graph.read_along(
                "search_records", label, (), begins=begins, limit=MOST_FOUND + 1, **self._times
            )
        else:
            rows = self.graph.read_along("search", label, (), begins=begins.lower(), limit=MOST_FOUND + 1)
        return [row["id"] for row in rows]

    def nodes(self, label: str, ids: Collection[str], *, whole: bool) -> list[Row]:
        """Return id, name, time and, of whole nodes, the properties of nodes that were found to be visible."""
        return self.graph.read_along("nodes", label, (), ids=sorted(ids), whole=whole) if ids else []

    def hop(self, nodes: Iterable[Key], types: Collection[str]) -> tuple[dict[str, Tie], set[Hub]]:
        """Return all visible relationships of these visible nodes along these types, by their ids, but for hubs'."""
        ids: dict[str, list[str]] = defaultdict(list)
        for node in nodes:
            ids[node.label].append(node.id)
        ties: dict[str, Tie] = {}
        hubs: set[Hub] = set()
        for label, of_label in ids.items():
            links = [link for link in self.links() if link.type in types and label in {*link.starts, *link.ends}]
            if self.persons is None:
                found, of_hubs = self._from_nodes(label, of_label, links)
            else:
                found, of_hubs = self._by_persons(label, of_label, links)
            ties |= found
            hubs |= of_hubs
        return ties, hubs

    def _from_nodes(self, label: str, ids: list[str], links: list[Link]) -> tuple[dict[str, Tie], set[Hub]]:
        """Begin at the nodes themselves. Nodes that are hubs of different types are asked for different types."""
        by_statement: dict[str, set[str]] = defaultdict(set)
        for link in links:
            by_statement[link.statement(label)].add(link.type)
        types = sorted({link.type for link in links})
        if not types:
            return {}, set()
        degrees: Counter[Hub] = Counter()
        in_order = [each for each in RELATIONSHIPS if each in types]
        for row in self.graph.read_along("degrees", label, types, ids=ids):
            for name, number in zip(in_order, row["degrees"], strict=True):
                degrees[Hub(Key(label, row["id"]), name)] += number
        hubs = {hub for hub, number in degrees.items() if number > self.most_relationships}
        ties: dict[str, Tie] = {}
        for statement, of_types in by_statement.items():
            groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
            for node_id in ids:
                groups[tuple(t for t in sorted(of_types) if Hub(Key(label, node_id), t) not in hubs)].append(node_id)
            for asked, of_ids in groups.items():
                if asked:
                    parameters = self._times if statement == "to_records" else {}
                    ties |= self._ties(self.graph.read_along(statement, label, asked, ids=of_ids, **parameters))
        return ties, hubs

    def _by_persons(self, label: str, ids: list[str], links: list[Link]) -> tuple[dict[str, Tie], set[Hub]]:
        """Begin at permitted students, but for the catalogue's own links and a record's."""
        of = {whose: sorted({link.type for link in links if link.whose == whose}) for whose in _WHOSE}
        ties, hubs = self._from_nodes(label, ids, [link for link in links if link.whose == "catalogue"])
        assert self.persons is not None  # noqa: S101 - `hop` asks before
        if label == "Student":
            for whose in ("direct", "owner"):
                ties |= self._persons_ties(whose, of[whose], [each for each in ids if each in self.persons], None)
            return ties, hubs
        found = self._persons_ties("direct", of["direct"], self.persons, ids)
        found |= self._persons_ties("owner", of["owner"], self.persons, ids)
        if label in RECORDS:
            if of["record"]:
                found |= self._ties(self.graph.read_along("to_others", label, of["record"], ids=ids))
        else:
            found |= self._persons_ties("record", of["record"], self.persons, ids)
        found = {name: tie for name, tie in found.items() if label in {tie.source.label, tie.target.label}}
        ends = [(end, tie.type) for tie in found.values() for end in {tie.source, tie.target} if end.label == label]
        over = {Hub(end, name) for (end, name), n in Counter(ends).items() if n > self.most_relationships}
        ties |= {
            name: tie
            for name, tie in found.items()
            if not over & {Hub(tie.source, tie.type), Hub(tie.target, tie.type)}
        }
        return ties, hubs | over

    def _persons_ties(
        self, whose: str, types: Collection[str], students: Collection[str], ids: list[str] | None
    ) -> dict[str, Tie]:
        """Return relationships of these students or of their records, and of given ids only those to their nodes."""
        if not types or not self.persons:
            return {}
        statement = {"direct": "of_persons", "owner": "records_of_persons", "record": "records_at"}[whose]
        rows = self.graph.read_along(
            statement,
            None,
            types,
            ids=ids,
            persons=[{"student": each, "courses": _listed(self.persons[each])} for each in sorted(students)],
            students=sorted(self.persons),
            whole=sorted(each for each, courses in self.persons.items() if courses is None),
            **self._times,
        )
        return self._ties(rows)

    def _of_persons(self, label: str, ids: list[str] | None) -> set[str]:
        """Return the ids of the nodes of a label that permitted students or their records lead to."""
        assert self.persons is not None  # noqa: S101 - the callers ask before
        if label == "Student":
            return {each for each in self.persons if ids is None or each in ids}
        ties: dict[str, Tie] = {}
        for whose in ("direct", "owner", "record"):
            types = {
                link.type for link in LINKS if link.whose == whose and label in {*link.starts, *link.ends}
                and not (whose == "record" and label in link.starts)
            }  # fmt: skip
            ties |= self._persons_ties(whose, types, self.persons, ids)
        return {end.id for tie in ties.values() for end in (tie.source, tie.target) if end.label == label}

    def _named(self, label: str, node_id: str | None, begins: str, limit: int) -> list[str]:
        statement = "named_by_somebody" if self.persons is None else "in_catalogue"
        rows = self.graph.read_along(statement, label, (), id=node_id, begins=begins.lower(), limit=limit)
        return [row["id"] for row in rows]

    def _ties(self, rows: Iterable[Row]) -> dict[str, Tie]:
        """Return the relationships of rows by their ids. The two names of one thing are no relationship of it."""
        ties = {}
        for row in rows:
            near, far = Key(row["label"], row["id"]), Key(row["other_label"], row["other_id"])
            if near == far:
                continue
            link = _LINK_OF.get((row["type"], near.label, far.label))
            outward = row["outward"] if near.label == far.label else link is not None
            if link or (row["type"], far.label, near.label) in _LINK_OF:
                source, target = (near, far) if outward else (far, near)
                ties[row["relationship"]] = Tie(row["type"], source, target, row["weight"], row["confidence"])
        return ties


_WHOSE = ("catalogue", "direct", "owner", "record")
_LINK_OF = {(link.type, start, end): link for link in LINKS for start in link.starts for end in link.ends}


def _listed(courses: tuple[str, ...] | None) -> list[str] | None:
    return None if courses is None else list(courses)
