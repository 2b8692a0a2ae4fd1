"""What one finding says, in the terms of the graph, kept apart from what its record states.

`FindingFacts` is a pure function of the finding, so that what an older finding wrote follows from its stored JSON.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    Finding,
    InteractionFinding,
    RecordFinding,
)
from edugraph_common.contracts.records import CourseContent, ErrorRecord, Record
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.record_facts import Pair

# Relationship type of a found link -> label of the node at its end.
TARGET_LABEL = {
    "ABOUT": "Topic",
    "OF_TYPE": "ErrorType",
    "CONCERNS": "KnowledgePoint",
    "DESCRIBES": "KnowledgePoint",
}

# The properties that a finding sets on its record's node. `finding` stands beside them and holds the whole as JSON.
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

_DESCRIBES_PROPERTIES = ("importance", "order", "description", "category", "requires", "requires_confidence")
_FINDING: TypeAdapter[Finding] = TypeAdapter(Finding)


@dataclass(frozen=True, slots=True)
class FindingFacts:
    """`links`: by relationship type. `prerequisites`: (point, what it requires) -> confidence."""

    links: Mapping[str, Links] = field(default_factory=dict)
    prerequisites: Mapping[Pair, float] = field(default_factory=dict)
    severity: str | None = None

    def links_of(self, relationship_type: str) -> Links:
        return self.links.get(relationship_type, {})


NO_FACTS = FindingFacts()


def stored_text(finding: RecordFinding) -> str:
    """Return the JSON of the finding and its origin, without its cost.

    So the same answer, asked for again at another price, is the same finding.
    """
    origin = finding.origin
    whole = {
        "analyser": origin.analyser,
        "finding": finding.finding.model_dump(mode="json"),
        "model": origin.model,
        "prompt_version": origin.prompt_version,
    }
    return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def facts_of_stored(text: str | None) -> FindingFacts:
    return NO_FACTS if text is None else facts_of(_FINDING.validate_python(json.loads(text)["finding"]))


def facts_of(finding: Finding) -> FindingFacts:
    match finding:
        case InteractionFinding():
            return FindingFacts({"ABOUT": _links_by_name(finding.topics)})
        case ErrorFinding():
            of_type = _links_by_name(found.name for found in finding.error_types)
            for found in finding.error_types:
                _raise(of_type[canonical_name(found.name)], "confidence", found.confidence)
            concerns = _links_by_name(point.name for point in finding.knowledge_points)
            for point in finding.knowledge_points:
                _raise(concerns[canonical_name(point.name)], "strength", point.strength)
                _raise(concerns[canonical_name(point.name)], "confidence", point.confidence)
            return FindingFacts({"OF_TYPE": of_type, "CONCERNS": concerns}, severity=finding.severity)
        case ContentFinding():
            return _facts_of_content(finding)


def _facts_of_content(finding: ContentFinding) -> FindingFacts:
    prerequisites: dict[Pair, float] = {}
    for claim in finding.prerequisites:
        pair = (canonical_name(claim.point), canonical_name(claim.requires))
        if pair[0] != pair[1]:  # A point that requires itself is dropped.
            prerequisites[pair] = max(claim.confidence, prerequisites.get(pair, 0.0))
    names = [point.name for point in finding.knowledge_points]
    names += [name for claim in finding.prerequisites for name in (claim.point, claim.requires)]
    links = _links_by_name(names)
    for link in links.values():
        link.update(dict.fromkeys(_DESCRIBES_PROPERTIES))
    # If one point is named twice, core wins over supplementary, the smaller order wins, and the first text wins.
    for point in finding.knowledge_points:
        link = links[canonical_name(point.name)]
        link["importance"] = "core" if "core" in (link["importance"], point.importance) else "supplementary"
        orders = [order for order in (link["order"], point.order) if order is not None]
        link["order"] = min(orders, default=None)
        link["description"] = link["description"] or point.description
        link["category"] = link["category"] or point.category
    for (point_id, required_id), confidence in sorted(prerequisites.items()):
        link = links[point_id]
        link["requires"] = [*(link["requires"] or ()), required_id]
        link["requires_confidence"] = [*(link["requires_confidence"] or ()), confidence]
    return FindingFacts({"DESCRIBES": links}, prerequisites)


def node_properties(finding: RecordFinding, text: str) -> dict[str, Any]:
    """Return what `SET n += …` needs: None removes a property that an older finding had and this one has not."""
    body = finding.finding
    values: dict[str, Any] = dict.fromkeys(PROPERTIES)
    for name in ("confidence", "difficulty", "sentiment", "severity"):
        values[f"found_{name}"] = getattr(body, name, None)
    for name in ("analyser", "model", "prompt_version"):
        values[f"found_{name}"] = getattr(finding.origin, name)
    return values | {"found_evidence": list(body.evidence) or None, "finding": text}


def error_types(record: Record, facts: FindingFacts) -> set[str]:
    """Return the error types that are stated or found; one that is both counts once."""
    data = record.data
    return {*record_facts.error_types(data), *facts.links_of("OF_TYPE")} if isinstance(data, ErrorRecord) else set()


def severity(data: ErrorRecord, facts: FindingFacts) -> str | None:
    """Return the severity that the record gives, or else the one that the finding gives."""
    return data.severity or facts.severity


def relates_to(record: Record, facts: FindingFacts) -> dict[Pair, tuple[float, float]]:
    """Return (error type, knowledge point) -> (strength, confidence)."""
    points = facts.links_of("CONCERNS")
    types = error_types(record, facts) if points else ()
    return {
        (error_type, point): (link["strength"], link["confidence"])
        for error_type in types
        for point, link in points.items()
    }


def contains(record: Record, facts: FindingFacts) -> dict[Pair, tuple[str, int | None]]:
    """Return (course, knowledge point) -> (importance, order). A course does not contain a mere prerequisite."""
    data = record.data
    if not isinstance(data, CourseContent):
        return {}
    return {
        (data.course_id, point): (link["importance"], link["order"])
        for point, link in facts.links_of("DESCRIBES").items()
        if link["importance"] is not None
    }


def _links_by_name(names: Iterable[str]) -> Links:
    return {node_id: {"found_as": spellings} for node_id, spellings in record_facts.spellings_by_id(names).items()}


def _raise(link: dict[str, Any], name: str, value: float) -> None:
    link[name] = max(value, link.get(name, 0.0))
