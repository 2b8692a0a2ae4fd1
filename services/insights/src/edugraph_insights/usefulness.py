"""Findings of analysers that are not shown, because findings like them were right too rarely.

The queue of reviews shows all of them. Otherwise nobody could ever find out that they have become useful.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from edugraph_common.contracts.fits import has_measured_kinds
from edugraph_insights.calibration import Calibration, Source, calibrations, source_of
from edugraph_insights.facts import Facts
from edugraph_insights.graph import Row
from edugraph_insights.reviewing import Claim, claims_of

# A finding is hidden if reviewers accepted a smaller share of those like it: fewer than two of five.
USEFUL_FROM = 0.4
# Names of counts in `left_out`, which say why findings are hidden.
REJECTED = "findings hidden, since reviewers accepted under 40 % of those like them"
OFFLINE_KINDS = (
    "kinds of mistakes hidden, since without a model they are not named better than by the most "
    "frequent kind"
)
REASONS = (REJECTED, OFFLINE_KINDS)


class Finding(NamedTuple):
    """A type of mistake, a point or a sentence about what went wrong that an analyser found in a record.

    `aspect` is that of a review, and `target` the id of the node.
    """

    record: str
    aspect: str
    target: str


@dataclass
class Hidden:
    """The findings that are not shown: finding -> the name of a count that says why. `used` are those left out."""

    reasons: Mapping[Finding, str] = field(default_factory=dict)
    used: set[Finding] = field(default_factory=set)

    def has(self, record: str, aspect: str, target: str) -> bool:
        """Return whether a finding is hidden. If it is, it counts as left out of the answer."""
        finding = Finding(record, aspect, target)
        is_hidden = finding in self.reasons
        if is_hidden:
            self.used.add(finding)
        return is_hidden

    def shown(self, record: str, aspect: str, targets: Iterable[str]) -> list[str]:
        """Return those of the findings of one aspect in a record that are shown. The others count as left out."""
        found: list[str] = []
        for target in targets:
            if not self.has(record, aspect, target):
                found.append(target)
        return found

    @property
    def left_out(self) -> dict[str, int]:
        """The numbers of findings that were left out, as items of `left_out`."""
        return dict(Counter(self.reasons[finding] for finding in self.used))


def shown_mistakes(facts: Facts, course: str) -> tuple[list[Row], Hidden]:
    """Return the rows of `facts.mistakes`, and the points that are hidden in them.

    A mistake whose points are all hidden has one row without a point. Raises what `Graph.read` raises.
    """
    mistakes = facts.mistakes(course)
    with_points = {row["student"] for row in mistakes if row["point"] is not None}
    hidden = hidden_findings(facts, course, with_points)
    shown: list[Row] = []
    without_point: dict[str, Row] = {}
    for row in mistakes:
        is_found = row["point"] is not None
        if is_found and hidden.has(row["record"], "knowledge_point", row["found"]):
            nothing = dict.fromkeys(("found", "point", "name", "confidence"))
            without_point.setdefault(row["record"], {**row, **nothing})
        else:
            shown.append(row)
    known = {row["record"] for row in shown}
    for record, row in without_point.items():
        if record not in known:
            shown.append(row)
    return shown, hidden


def shown_types(facts: Facts, course: str) -> tuple[list[Row], Hidden]:
    """Return the rows of `facts.mistake_types`, and the types that are hidden in them.

    A mistake has one row for each canonical type. Raises what `Graph.read` raises.
    """
    mistakes = facts.mistake_types(course)
    students = {row["student"] for row in mistakes if not row["stated"]}
    hidden = hidden_findings(facts, course, students)
    shown: dict[tuple[str, str], Row] = {}
    for row in mistakes:
        record = row["record"]
        if row["stated"] or not hidden.has(record, "error_type", row["found"]):
            shown.setdefault((record, row["type"]), row)
    return list(shown.values()), hidden


def hidden_findings(facts: Facts, course: str, students: Iterable[str]) -> Hidden:
    """Return the findings in the mistakes of these students that are not shown.

    The verdicts of the whole time about all students of the question measure them, so a shorter period does not make
    a finding visible that a longer one hides. Cells do not depend on verdicts, and nothing is hidden there. Without
    students nothing is read. Raises what `Graph.read` raises.
    """
    asked_for = tuple(sorted(set(students)))
    if facts.in_cells or not asked_for:
        return Hidden()
    judged: list[Claim] = []
    for row in replace(facts, since=None).findings(course, reviewed=True):
        judged += claims_of(row)
    calibrated = calibrations(judged)
    reasons: dict[Finding, str] = {}
    for row in replace(facts, students=asked_for).findings(course):
        for claim in claims_of(row):
            reason = reason_to_hide(claim, calibrated)
            if reason is not None:
                reasons[Finding(claim.record, claim.aspect, claim.target)] = reason
    return Hidden(reasons)


def reason_to_hide(claim: Claim, calibrated: Mapping[Source, Calibration]) -> str | None:
    """Return the name of a count that says why a finding is hidden, or None if it is shown.

    A person has looked at a judged finding, so it is shown while it is accepted. If too few findings like it were
    judged, it is shown. Kinds of mistakes that the analyser without a model names are hidden until they are measured,
    unless they come from a fit whose kinds were right more often than the most frequent one.
    """
    source = source_of(claim)
    if source is None or claim.verdict is not None:
        return None
    step = None
    if source in calibrated:
        step = calibrated[source].step_at(claim.confidence)
    if step is not None:
        return REJECTED if step.share < USEFUL_FROM else None
    is_offline = source.origin.analyser == "offline"
    is_measured_otherwise = has_measured_kinds(source.origin.prompt_version)
    if source.aspect == "error_type" and is_offline and not is_measured_otherwise:
        return OFFLINE_KINDS
    return None
