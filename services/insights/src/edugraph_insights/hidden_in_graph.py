"""Hidden findings of the whole graph, for exports. The verdicts about all students of the school measure them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from edugraph_insights.calibration import Calibration, Source, calibrations
from edugraph_insights.graph import STATEMENTS, Graph, Row
from edugraph_insights.reviewing import Claim, claims_of
from edugraph_insights.usefulness import Finding, reason_to_hide

# Records whose findings are read at once.
RECORDS_AT_ONCE = 1_000
# As many findings of a name are looked at first. Most names have a shown finding among them.
FIRST_FINDINGS = 100
EVERY_FINDING = 2**31 - 1
# The labels of mistakes that an analyser reads.
_MISTAKES = ("ErrorRecord", "Attempt")
# The labels of names that findings of mistakes bring -> the aspect of such a finding.
ASPECT_OF = {"ErrorType": "error_type", "KnowledgePoint": "knowledge_point"}


@dataclass(frozen=True)
class HiddenInGraph:
    """Says which findings of mistakes are hidden. The verdicts are read once. Each method raises Retryable."""

    graph: Graph

    @cached_property
    def _calibrated(self) -> Mapping[Source, Calibration]:
        judged: list[Claim] = []
        for label in _MISTAKES:
            statement = STATEMENTS["judged_findings"].replace("{label}", label)
            for row in self.graph.scan(statement):
                judged += claims_of(row)
        return calibrations(judged)

    def in_records(self, records: Sequence[str]) -> set[Finding]:
        """Return the hidden findings of these mistakes."""
        hidden: set[Finding] = set()
        for start in range(0, len(records), RECORDS_AT_ONCE):
            portion = records[start : start + RECORDS_AT_ONCE]
            for label in _MISTAKES:
                statement = STATEMENTS["findings_of_records"].replace("{label}", label)
                for row in self.graph.scan(statement, records=list(portion)):
                    hidden |= self.in_row(row)
        return hidden

    def in_row(self, row: Row) -> set[Finding]:
        """Return the hidden findings of a mistake. `row` is one of the statement `findings_of_records`."""
        hidden: set[Finding] = set()
        for claim in claims_of(row):
            if reason_to_hide(claim, self._calibrated) is not None:
                hidden.add(Finding(claim.record, claim.aspect, claim.target))
        return hidden

    def names(self, label: str) -> set[str]:
        """Return those names of a label that only hidden findings have.

        A name with a shown finding among its first ones needs no look at the others, which may be most of a school.
        """
        statement = STATEMENTS["ids_of_label"].replace("{label}", label)
        every_name = {row["id"] for row in self.graph.scan(statement)}
        likely = self._names_among(label, every_name, FIRST_FINDINGS)
        return self._names_among(label, likely, EVERY_FINDING)

    def names_of(self, label: str, ids: Collection[str]) -> set[str]:
        """Return those of these names that only hidden findings have."""
        return self._names_among(label, self.likely_names(label, ids), EVERY_FINDING)

    def likely_names(self, label: str, ids: Collection[str]) -> set[str]:
        """Return those of these names whose first findings are all hidden."""
        return self._names_among(label, ids, FIRST_FINDINGS)

    def _names_among(self, label: str, ids: Collection[str], most: int) -> set[str]:
        """Return those of these names whose first `most` findings are all hidden."""
        statement = STATEMENTS[f"found_{ASPECT_OF[label]}s"]
        shown: set[str] = set()
        hidden: set[str] = set()
        for row in self.graph.scan(statement, ids=sorted(ids), most=most):
            name = row["id"]
            if name in shown:
                continue
            finding = Finding(row["record"], ASPECT_OF[label], name)
            if finding in self.in_row(row):
                hidden.add(name)
            else:
                shown.add(name)
        return hidden - shown

    def without_hidden(self, mistakes: Sequence[Row]) -> list[Row]:
        """Return the rows of mistakes of a warehouse without the types and points that are hidden.

        A type in `stated` is the record's own word, so it is shown. The rows that are returned lack `stated`.
        """
        with_names = [row["record"] for row in mistakes if row["types"] or row["points"]]
        hidden = self.in_records(with_names)
        found: list[Row] = []
        for row in mistakes:
            record = row["record"]
            types = []
            for name in row["types"]:
                if name in row["stated"] or Finding(record, "error_type", name) not in hidden:
                    types.append(name)
            points = []
            for name in row["points"]:
                if Finding(record, "knowledge_point", name) not in hidden:
                    points.append(name)
            shown = {name: value for name, value in row.items() if name != "stated"}
            found.append({**shown, "types": types, "points": points})
        return found
