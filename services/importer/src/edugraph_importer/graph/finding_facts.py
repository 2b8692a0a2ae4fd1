"""The facts of one finding in the terms of the graph. They are separate from the facts that its record states.

`FindingFacts` is a pure function of the finding. So the facts that an older finding wrote follow from its stored
JSON, and the changes for a newer finding follow from both (`FindingUpdate`, `FindingChanges`).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    Finding,
    InteractionFinding,
    RecordFinding,
)
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import AttemptRecord, CourseContent, ErrorRecord, Record, iso
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.model import (
    LABEL_OF_TYPE,
    Facts,
    Mention,
    Node,
    Outdated,
    Pair,
    spellings_by_id,
)
from edugraph_importer.graph.statements import Row
from edugraph_importer.graph.sums import RelatedSums, related
from edugraph_importer.graph.unit_of_work import FOUND_FIELDS

# Relationship type of a found link -> label of the node at its end.
TARGET_LABEL = {
    "ABOUT": "Topic",
    "OF_TYPE": "ErrorType",
    "CONCERNS": "KnowledgePoint",
    "DESCRIBES": "KnowledgePoint",
    "SHOWS": "Misconception",
}

# The properties that a finding sets on its record's node. The property `finding` has the whole finding as JSON.
PROPERTIES = (
    "found_analyser",
    "found_confidence",
    "found_difficulty",
    "found_evidence",
    "found_model",
    "found_prompt_version",
    "found_sentiment",
    "found_severity",
)

Links = dict[str, dict[str, Any]]  # id of the node at the end -> properties of the relationship

_CLAIMS = ("requires", "requires_confidence", "requires_quotes")
_DESCRIBES_PROPERTIES = ("importance", "order", "description", "category", *_CLAIMS)
# Relationship type -> properties of a link that a reviewer accepted and no model found. It has no spelling of its
# own.
_ACCEPTED: Mapping[str, Mapping[str, Any]] = {
    "ABOUT": {"found_as": []},
    "OF_TYPE": {"found_as": [], "confidence": 1.0},
    "CONCERNS": {"found_as": [], "confidence": 1.0, "strength": 1.0},
    "SHOWS": {"found_as": []},
    "DESCRIBES": {
        "found_as": [],
        **dict.fromkeys(_DESCRIBES_PROPERTIES),
        "importance": "supplementary",
    },
}
# Label of a record -> aspect of a review -> relationship type.
_LINK_OF_ASPECT: Mapping[str, Mapping[str, str]] = {
    "Interaction": {"topic": "ABOUT"},
    "ErrorRecord": {
        "error_type": "OF_TYPE",
        "knowledge_point": "CONCERNS",
        "misconception": "SHOWS",
    },
    "Attempt": {
        "error_type": "OF_TYPE",
        "knowledge_point": "CONCERNS",
        "misconception": "SHOWS",
        "topic": "ABOUT",
    },
    "CourseContent": {"knowledge_point": "DESCRIBES"},
}
_SINGLE_OF_LABEL: Mapping[str, tuple[str, ...]] = {
    "Interaction": ("sentiment",),
    "ErrorRecord": ("severity", "difficulty"),
    "Attempt": ("severity", "difficulty", "sentiment"),
    "CourseContent": (),
}
_FINDING: TypeAdapter[Finding] = TypeAdapter(Finding)


class Claim(NamedTuple):
    """A prerequisite that a text claims. Without a quote it is implied."""

    confidence: float
    quote: str | None = None


@dataclass(frozen=True, slots=True)
class FindingFacts:
    """The facts of one finding.

    `links` has the links by relationship type. `prerequisites` maps (point, required point) to the claim.
    `proposed` has topics and types of mistakes that no list of the school has: relationship type -> id of the node ->
    spellings. They become links when a reviewer accepts them.
    """

    links: Mapping[str, Links] = field(default_factory=dict)
    prerequisites: Mapping[Pair, Claim] = field(default_factory=dict)
    sentiment: str | None = None
    severity: str | None = None
    difficulty: str | None = None
    proposed: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)

    def links_of(self, relationship_type: str) -> Links:
        return self.links.get(relationship_type, {})

    def mentions(self) -> Iterator[Mention]:
        for relationship_type, links in self.links.items():
            for end, properties in links.items():
                node = (TARGET_LABEL[relationship_type], end)
                for spelling in properties["found_as"]:
                    yield node, spelling


NO_FACTS = FindingFacts()


def finding_key(message: Findings) -> str | None:
    """Return a text that sorts as (creation of the analysis job, job id, generation, edition). The greatest counts.

    Return None if nobody knows when the job was created. It sorts before all messages that have a key.
    """
    if message.asked_at is None:
        return None
    asked = iso(datetime.fromtimestamp(message.asked_at, UTC))
    return f"{asked}|{message.job_id}|{message.generation or 0:06d}|{message.edition or ''}"


def stored_text(finding: RecordFinding) -> str:
    """Return the JSON of the finding and its origin, without its cost.

    So the same answer is the same finding, even if a repeated request had another price.
    """
    origin = finding.origin
    whole = {
        "analyser": origin.analyser,
        "finding": finding.finding.model_dump(mode="json"),
        "model": origin.model,
        "prompt_version": origin.prompt_version,
    }
    return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def facts_of_stored(text: str | None, label: str, verdicts: str | None) -> FindingFacts:
    """Return the facts of a stored finding after the stored verdicts. `label` is the label of the record."""
    found = NO_FACTS
    if text is not None:
        finding = _FINDING.validate_python(json.loads(text)["finding"])
        found = facts_of(finding)
    if verdicts is None:
        return found
    return reviewed(found, label, verdicts)


def reviewed(facts: FindingFacts, label: str, verdicts: str) -> FindingFacts:
    """Return the facts that count: those that were found and not rejected, and those that were accepted.

    `verdicts` is the JSON that `applied_verdicts` returns.
    """
    said = json.loads(verdicts)
    accepted = said["accepted"]
    rejected = said["rejected"]
    links = {relationship_type: dict(of_type) for relationship_type, of_type in facts.links.items()}
    for aspect, relationship_type in _LINK_OF_ASPECT[label].items():
        if relationship_type not in links and aspect not in accepted:
            continue
        of_type = links.setdefault(relationship_type, {})
        for end in rejected.get(aspect, ()):
            of_type.pop(end, None)
        for end in accepted.get(aspect, ()):
            link = dict(_ACCEPTED[relationship_type])
            proposed = facts.proposed.get(relationship_type, {})
            if end in proposed:
                link["found_as"] = proposed[end]
            of_type.setdefault(end, link)

    rejected_points = set(rejected.get("knowledge_point", ()))
    found_claims = facts.prerequisites.items()
    claims = {pair: claim for pair, claim in found_claims if rejected_points.isdisjoint(pair)}
    if claims != facts.prerequisites:
        links["DESCRIBES"] = {
            end: link | dict.fromkeys(_CLAIMS) for end, link in links["DESCRIBES"].items()
        }
        _add_claims(links["DESCRIBES"], claims)

    single_values: dict[str, str | None] = {}
    for aspect in _SINGLE_OF_LABEL[label]:
        value = getattr(facts, aspect)
        if aspect in accepted:
            value = accepted[aspect][-1]
        if value in rejected.get(aspect, ()):
            value = None
        single_values[aspect] = value
    return FindingFacts(
        links,
        claims,
        sentiment=single_values.get("sentiment"),
        severity=single_values.get("severity"),
        difficulty=single_values.get("difficulty"),
    )


def _add_claims(links: Links, claims: Mapping[Pair, Claim]) -> None:
    """Add claims to the links of their points. A list cannot hold null, so an implied claim has an empty quote."""
    for (point_id, required_id), claim in sorted(claims.items()):
        link = links[point_id]
        link["requires"] = [*(link["requires"] or ()), required_id]
        link["requires_confidence"] = [*(link["requires_confidence"] or ()), claim.confidence]
        link["requires_quotes"] = [*(link["requires_quotes"] or ()), claim.quote or ""]


def facts_of(finding: Finding) -> FindingFacts:
    match finding:
        case InteractionFinding():
            return FindingFacts(
                {"ABOUT": _links_by_name(finding.topics)},
                sentiment=finding.sentiment,
                proposed={"ABOUT": spellings_by_id(finding.other_topics)},
            )
        case ErrorFinding():
            of_type = _links_by_name(found.name for found in finding.error_types)
            for found in finding.error_types:
                _raise(of_type[canonical_name(found.name)], "confidence", found.confidence)
            concerns = _links_by_name(point.name for point in finding.knowledge_points)
            for point in finding.knowledge_points:
                _raise(concerns[canonical_name(point.name)], "strength", point.strength)
                _raise(concerns[canonical_name(point.name)], "confidence", point.confidence)
            links = {"OF_TYPE": of_type, "CONCERNS": concerns}
            if finding.what_went_wrong is not None:
                links["SHOWS"] = _links_by_name((finding.what_went_wrong,))
            proposed_types = spellings_by_id(found.name for found in finding.other_error_types)
            return FindingFacts(
                links,
                severity=finding.severity,
                difficulty=finding.difficulty,
                proposed={"OF_TYPE": proposed_types},
            )
        case ContentFinding():
            return _facts_of_content(finding)


def _facts_of_content(finding: ContentFinding) -> FindingFacts:
    names = [point.name for point in finding.knowledge_points]
    prerequisites: dict[Pair, Claim] = {}
    for found in finding.prerequisites:
        names += (found.point, found.requires)
        point_id = canonical_name(found.point)
        required_id = canonical_name(found.requires)
        if point_id == required_id:
            continue  # A point that requires itself is dropped.
        pair = (point_id, required_id)
        claim = Claim(found.confidence, found.quote or None)
        prerequisites[pair] = max(claim, prerequisites.get(pair, claim), key=_rank_of_claim)
    links = _links_by_name(names)
    for link in links.values():
        link.update(dict.fromkeys(_DESCRIBES_PROPERTIES))
    # If one point is named twice, core wins over supplementary, the smaller order wins, and the first text wins.
    for point in finding.knowledge_points:
        link = links[canonical_name(point.name)]
        is_core = "core" in (link["importance"], point.importance)
        link["importance"] = "core" if is_core else "supplementary"
        link["order"] = _smaller_order(link["order"], point.order)
        link["description"] = link["description"] or point.description
        link["category"] = link["category"] or point.category
    _add_claims(links, prerequisites)
    return FindingFacts({"DESCRIBES": links}, prerequisites)


def _rank_of_claim(claim: Claim) -> tuple[bool, float, str]:
    """Return a key by which the claim that counts is the greatest: a quoted one, then the strongest."""
    return claim.quote is not None, claim.confidence, claim.quote or ""


def _smaller_order(first: int | None, second: int | None) -> int | None:
    """Return the smaller of two places in a course. None stands for a missing one."""
    if first is None:
        return second
    if second is None:
        return first
    return min(first, second)


def node_properties(update: "FindingUpdate") -> dict[str, Any]:
    """Return the properties for `SET n += …`. None removes a property that only the older finding had."""
    values: dict[str, Any] = dict.fromkeys(PROPERTIES)
    for name in ("difficulty", "sentiment", "severity"):
        values[f"found_{name}"] = getattr(update.new, name)
    if update.text is not None:
        whole = json.loads(update.text)
        for name in ("analyser", "model", "prompt_version"):
            values[f"found_{name}"] = whole[name]
        values["found_confidence"] = whole["finding"]["confidence"]
        values["found_evidence"] = whole["finding"]["evidence"] or None
    values["finding"] = update.text
    values["verdicts"] = update.verdicts
    if update.key is not None:
        values["finding_key"] = update.key
    return values


def error_types(record: Record, facts: FindingFacts) -> set[str]:
    """Return the error types that are stated or found; one that is both counts once."""
    stated = record_facts.error_types(record.data) if isinstance(record.data, ErrorRecord) else ()
    return {*stated, *facts.links_of("OF_TYPE")}


def severity(data: ErrorRecord | AttemptRecord, facts: FindingFacts) -> str | None:
    """Return the severity that the record gives, or else the one that the finding gives."""
    if isinstance(data, ErrorRecord) and data.severity:
        return data.severity
    return facts.severity


def relates_to(record: Record, facts: FindingFacts) -> dict[Pair, tuple[float, float]]:
    """Return (error type, knowledge point) -> (strength, confidence)."""
    points = facts.links_of("CONCERNS")
    if not points:
        return {}
    found: dict[Pair, tuple[float, float]] = {}
    for error_type in error_types(record, facts):
        for point, link in points.items():
            found[error_type, point] = (link["strength"], link["confidence"])
    return found


def contains(record: Record, facts: FindingFacts) -> dict[Pair, tuple[str, int | None]]:
    """Return (course, knowledge point) -> (importance, order). Points that are only prerequisites are left out."""
    data = record.data
    if not isinstance(data, CourseContent):
        return {}
    found: dict[Pair, tuple[str, int | None]] = {}
    for point, link in facts.links_of("DESCRIBES").items():
        if link["importance"] is not None:
            found[data.course_id, point] = (link["importance"], link["order"])
    return found


def _links_by_name(names: Iterable[str]) -> Links:
    return {
        node_id: {"found_as": spellings} for node_id, spellings in spellings_by_id(names).items()
    }


def _raise(link: dict[str, Any], name: str, value: float) -> None:
    link[name] = max(value, link.get(name, 0.0))


@dataclass(frozen=True, slots=True)
class FindingUpdate:
    """The new and the old facts of the finding of one record.

    `text` is the finding as stored, or None if there is no finding. `verdicts` has the verdicts of reviewers as
    stored; `old` and `new` already take them into account. `key` is the result of `finding_key`; None keeps the
    stored key.
    """

    record: Record
    old: FindingFacts
    new: FindingFacts
    text: str | None
    verdicts: str | None = None
    key: str | None = None

    def nodes(self) -> Iterator[Node]:
        """Yield all nodes that the update may change."""
        yield from record_facts.nodes(self.record)
        for relationship_type, label in TARGET_LABEL.items():
            ends = {*self.old.links_of(relationship_type), *self.new.links_of(relationship_type)}
            yield from ((label, end) for end in ends)

    def links(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield (relationship type, id of its end, properties) for each found link. Missing properties are None."""
        for relationship_type, links in self.new.links.items():
            yield from ((relationship_type, end, properties) for end, properties in links.items())

    def dropped_links(self) -> Iterator[tuple[str, str]]:
        """Yield (relationship type, id of its end) for each link that is no longer found."""
        for relationship_type, links in self.old.links.items():
            still_found = self.new.links_of(relationship_type)
            yield from ((relationship_type, end) for end in links if end not in still_found)


@dataclass(slots=True)
class FindingChanges:
    """The effects of the finding updates of one transaction.

    `rows` has the rows to write, by the name of the statement. `related` is added to the sums of RELATES_TO.
    `raised_contains` raises CONTAINS. `outdated` has the aggregates to recompute. `unlinked` has the nodes that lost
    a link and may be orphans now.
    """

    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    related: RelatedSums = field(default_factory=Counter)
    raised_contains: dict[Pair, tuple[str, int | None]] = field(default_factory=dict)
    outdated: Outdated = field(default_factory=Outdated)
    unlinked: set[Node] = field(default_factory=set)

    def add(self, update: FindingUpdate) -> Facts:
        """Add one update. Return the facts that are added to mistakes, names and descriptions."""
        record = update.record
        added = Facts(record.version_key, set(update.nodes()))
        self._add_rows(update)
        spellings = Counter(update.new.mentions())
        spellings.subtract(update.old.mentions())
        added.spellings = spellings
        self._add_descriptions(update, added)
        self._add_pairs(update)
        if isinstance(record.data, ErrorRecord | AttemptRecord):
            self._add_mistakes(update, record.data, added)
        return added

    def _add_rows(self, update: FindingUpdate) -> None:
        """Add the rows that write the finding and its links, and remove the links that are no longer found."""
        record_id = update.record.record_id
        label = LABEL_OF_TYPE[update.record.type]
        self.rows[f"set_finding_{label}"].append({"id": record_id, "p": node_properties(update)})
        for relationship_type, end in update.dropped_links():
            self.rows[f"unlink_{relationship_type}_{label}"].append({"id": record_id, "end": end})
            self.unlinked.add((TARGET_LABEL[relationship_type], end))
        for relationship_type, end, properties in update.links():
            self.rows[f"link_{relationship_type}_{label}"].append(
                {"id": record_id, "end": end, "p": properties}
            )

    def _add_descriptions(self, update: FindingUpdate, added: Facts) -> None:
        """Add the fields of points that come from findings. A changed one is recomputed for its point."""
        old_points = update.old.links_of("DESCRIBES")
        new_points = update.new.links_of("DESCRIBES")
        for point in {*old_points, *new_points}:
            for name in FOUND_FIELDS:
                old_value = old_points.get(point, {}).get(name)
                new_value = new_points.get(point, {}).get(name)
                if old_value is not None and old_value != new_value:
                    self.outdated.descriptions.add(point)
                added.fields.append((("KnowledgePoint", point), name, new_value))

    def _add_mistakes(
        self, update: FindingUpdate, data: ErrorRecord | AttemptRecord, added: Facts
    ) -> None:
        """Add the mistakes of the new error types. The mistakes of dropped ones are recomputed."""
        old_types = error_types(update.record, update.old)
        new_types = error_types(update.record, update.new)
        old_severity = severity(data, update.old)
        new_severity = severity(data, update.new)
        outdated_types = old_types - new_types
        if old_severity != new_severity:
            # The weight of all mistakes of the record has changed.
            outdated_types = old_types
        for error_type in outdated_types:
            for course_id in data.courses:
                self.outdated.mistakes.add((data.student_id, error_type, course_id))
        for error_type in new_types - old_types:
            added.mistakes += record_facts.mistakes(data, error_type, new_severity)

    def _add_pairs(self, update: FindingUpdate) -> None:
        """Add the changes of RELATES_TO and CONTAINS.

        Sums of RELATES_TO are counted up and down. A pair of CONTAINS is recomputed if it changed or went, and raised
        if it is new.
        """
        record = update.record
        self.related.update(related(relates_to(record, update.new)))
        self.related.subtract(related(relates_to(record, update.old)))
        old_contents = contains(record, update.old)
        new_contents = contains(record, update.new)
        for pair, content in old_contents.items():
            if new_contents.get(pair) != content:
                self.outdated.contains.add(pair)
        for pair in new_contents.keys() - old_contents.keys():
            importance, order = new_contents[pair]
            if pair in self.raised_contains:
                raised_importance, raised_order = self.raised_contains[pair]
                # "core" is smaller than "supplementary".
                importance = min(importance, raised_importance)
                order = _smaller_order(order, raised_order)
            self.raised_contains[pair] = (importance, order)
