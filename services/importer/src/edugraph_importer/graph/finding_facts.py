"""What one finding says, in the graph's words, kept apart from what its record states.

`Found` is a pure function of the finding, so that what an older finding wrote can be told from its stored JSON.
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

TARGET = {"ABOUT": "Topic", "OF_TYPE": "ErrorType", "CONCERNS": "KnowledgePoint", "DESCRIBES": "KnowledgePoint"}
"""Relationship type of a found link -> label of its end."""

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
"""Of a record's node; `finding` beside them holds the whole as JSON."""

Links = dict[str, dict[str, Any]]  # id of the end -> properties of the relationship

_DESCRIBES = ("importance", "order", "description", "category", "requires", "requires_confidence")
_FINDING: TypeAdapter[Finding] = TypeAdapter(Finding)


@dataclass(frozen=True, slots=True)
class Found:
    """`links`: by relationship type. `prerequisites`: (point, what it requires) -> confidence."""

    links: Mapping[str, Links] = field(default_factory=dict)
    prerequisites: Mapping[Pair, float] = field(default_factory=dict)
    severity: str | None = None

    def of(self, kind: str) -> Links:
        return self.links.get(kind, {})


NOTHING = Found()


def stored(finding: RecordFinding) -> str:
    """The finding and where it comes from, but not what it cost: asked again, the same answer is the same finding."""
    origin = finding.origin
    whole = {
        "analyser": origin.analyser,
        "finding": finding.finding.model_dump(mode="json"),
        "model": origin.model,
        "prompt_version": origin.prompt_version,
    }
    return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def of_stored(text: str | None) -> Found:
    return NOTHING if text is None else found(_FINDING.validate_python(json.loads(text)["finding"]))


def found(finding: Finding) -> Found:
    match finding:
        case InteractionFinding():
            return Found({"ABOUT": _topics(finding)})
        case ErrorFinding():
            links = {"OF_TYPE": _error_types(finding), "CONCERNS": _concerns(finding)}
            return Found(links, severity=finding.severity)
        case ContentFinding():
            claims = _claims(finding)
            return Found({"DESCRIBES": _describes(finding, claims)}, claims)


def node_properties(finding: RecordFinding, text: str) -> dict[str, Any]:
    """For `SET n += …`: what an older finding had and this one has not is removed."""
    body = finding.finding
    values: dict[str, Any] = dict.fromkeys(PROPERTIES)
    for name in ("confidence", "difficulty", "sentiment", "severity"):
        values[f"found_{name}"] = getattr(body, name, None)
    for name in ("analyser", "model", "prompt_version"):
        values[f"found_{name}"] = getattr(finding.origin, name)
    return values | {"found_evidence": list(body.evidence) or None, "finding": text}


def error_types(record: Record, said: Found) -> set[str]:
    """Stated or found; a type that is both counts once."""
    data = record.data
    return {*record_facts.error_types(data), *said.of("OF_TYPE")} if isinstance(data, ErrorRecord) else set()


def severity(data: ErrorRecord, said: Found) -> str | None:
    """The record's own word comes before the finding's."""
    return data.severity or said.severity


def relates(record: Record, said: Found) -> dict[Pair, tuple[float, float]]:
    """(error type, knowledge point) -> strength and confidence."""
    points = said.of("CONCERNS")
    kinds = error_types(record, said) if points else ()
    return {(kind, point): (link["strength"], link["confidence"]) for kind in kinds for point, link in points.items()}


def contains(record: Record, said: Found) -> dict[Pair, tuple[str, int | None]]:
    """(course, knowledge point) -> importance and order. A point that is only a prerequisite is not contained."""
    data = record.data
    if not isinstance(data, CourseContent):
        return {}
    return {
        (data.course_id, point): (link["importance"], link["order"])
        for point, link in said.of("DESCRIBES").items()
        if link["importance"] is not None
    }


def _topics(finding: InteractionFinding) -> Links:
    return {topic: {"found_as": names} for topic, names in record_facts.spelled(finding.topics).items()}


def _error_types(finding: ErrorFinding) -> Links:
    links = _spelled(kind.name for kind in finding.error_types)
    for kind in finding.error_types:
        _raise(links[canonical_name(kind.name)], "confidence", kind.confidence)
    return links


def _concerns(finding: ErrorFinding) -> Links:
    links = _spelled(point.name for point in finding.knowledge_points)
    for point in finding.knowledge_points:
        _raise(links[canonical_name(point.name)], "strength", point.strength)
        _raise(links[canonical_name(point.name)], "confidence", point.confidence)
    return links


def _describes(finding: ContentFinding, claims: Mapping[Pair, float]) -> Links:
    named = [point.name for point in finding.knowledge_points]
    named += [name for claim in finding.prerequisites for name in (claim.point, claim.requires)]
    links = _spelled(named)
    for link in links.values():
        link.update(dict.fromkeys(_DESCRIBES))
    _describe(finding, links)
    for (point, requires), confidence in sorted(claims.items()):
        link = links[point]
        link["requires"] = [*(link["requires"] or ()), requires]
        link["requires_confidence"] = [*(link["requires_confidence"] or ()), confidence]
    return links


def _describe(finding: ContentFinding, links: Links) -> None:
    """Of one point that is named twice: core before supplementary, the smaller order, the first text."""
    for point in finding.knowledge_points:
        link = links[canonical_name(point.name)]
        link["importance"] = "core" if "core" in (link["importance"], point.importance) else "supplementary"
        orders = [order for order in (link["order"], point.order) if order is not None]
        link["order"] = min(orders, default=None)
        link["description"] = link["description"] or point.description
        link["category"] = link["category"] or point.category


def _claims(finding: ContentFinding) -> dict[Pair, float]:
    """What requires itself is dropped."""
    claims: dict[Pair, float] = {}
    for claim in finding.prerequisites:
        pair = (canonical_name(claim.point), canonical_name(claim.requires))
        if pair[0] != pair[1]:
            claims[pair] = max(claim.confidence, claims.get(pair, 0.0))
    return claims


def _spelled(names: Iterable[str]) -> Links:
    return {known: {"found_as": spellings} for known, spellings in record_facts.spelled(names).items()}


def _raise(link: dict[str, Any], name: str, value: float) -> None:
    link[name] = max(value, link.get(name, 0.0))
