"""Find the relationships that hidden findings bring, for the general queries."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edugraph_insights.graph import STATEMENTS, Graph, Row
from edugraph_insights.hidden_in_graph import ASPECT_OF, HiddenInGraph
from edugraph_insights.usefulness import Finding

if TYPE_CHECKING:
    from edugraph_insights.queries.visible_graph import Tie

# Nodes whose mistakes are read at once.
NODES_AT_ONCE = 1_000
# The labels of mistakes.
MISTAKES = frozenset({"Attempt", "ErrorRecord"})


@dataclass
class HiddenTies:
    """Ids of relationships. Only hidden findings bring those in `hidden`, and shown ones as well those in `mixed`."""

    hidden: set[str] = field(default_factory=set)
    mixed: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class TiesOfFindings:
    """Looks for relationships of hidden findings. Each method raises Retryable."""

    graph: Graph
    findings: HiddenInGraph

    def among(self, ties: Iterable["Tie"]) -> HiddenTies:
        """Return those of these relationships that hidden findings bring."""
        mistakes: dict[str, set[str]] = defaultdict(set)
        students: set[str] = set()
        types_of_students: set[str] = set()
        points: set[str] = set()
        types_of_points: set[str] = set()
        for tie in ties:
            if tie.source.label in MISTAKES and tie.target.label in ASPECT_OF:
                mistakes[tie.source.label].add(tie.source.id)
            elif tie.type == "HAS_ERROR":
                students.add(tie.source.id)
                types_of_students.add(tie.target.id)
            elif tie.type == "RELATES_TO":
                points.add(tie.target.id)
                types_of_points.add(tie.source.id)
        found = HiddenTies()
        for label, ids in mistakes.items():
            found.hidden |= self.of_mistakes(label, ids)
        self._add_sums(found, "mistakes_of_has_error", students, types_of_students)
        self._add_sums(found, "mistakes_of_relates_to", points, types_of_points)
        return found

    def of_mistakes(self, label: str, ids: Collection[str]) -> set[str]:
        """Return the hidden relationships of these mistakes of one label to types and points."""
        statement = STATEMENTS["names_of_mistakes"].replace("{label}", label)
        found: set[str] = set()
        for row in self._rows(statement, ids, ()):
            finding = Finding(row["record"], ASPECT_OF[row["label"]], row["name"])
            if finding in self.findings.in_row(row):
                found.add(row["relationship"])
        return found

    def _add_sums(
        self, found: HiddenTies, statement: str, ids: Collection[str], types: Collection[str]
    ) -> None:
        """Add the sums of these types that count hidden findings. `ids` are those of students or of points."""
        hidden: set[str] = set()
        shown: set[str] = set()
        for row in self._rows(STATEMENTS[statement], ids, types):
            if self._is_hidden(row):
                hidden.add(row["relationship"])
            else:
                shown.add(row["relationship"])
        found.hidden |= hidden - shown
        found.mixed |= hidden & shown

    def _is_hidden(self, row: Row) -> bool:
        """Return whether the type or the point of a counted mistake is hidden in it."""
        if row["finding"] is None:
            return False
        hidden = self.findings.in_row(row)
        is_type_hidden = Finding(row["record"], "error_type", row["error_type"]) in hidden
        if is_type_hidden and not row["stated"]:
            return True
        return Finding(row["record"], "knowledge_point", row["point"]) in hidden

    def _rows(self, statement: str, ids: Collection[str], types: Collection[str]) -> Iterator[Row]:
        in_order = sorted(ids)
        for start in range(0, len(in_order), NODES_AT_ONCE):
            portion = in_order[start : start + NODES_AT_ONCE]
            yield from self.graph.scan(statement, ids=portion, types=sorted(types))
