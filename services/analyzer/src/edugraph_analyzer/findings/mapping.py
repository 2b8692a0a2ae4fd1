"""The finding that a valid answer becomes: words restored, evidence looked up, names brought to one spelling."""

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from edugraph_analyzer.documents import Document
from edugraph_analyzer.findings.evidence import found_in
from edugraph_analyzer.findings.schema import Answer, ContentAnswer, ErrorAnswer, InteractionAnswer
from edugraph_analyzer.redaction import Redactor, holds_placeholder
from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    Finding,
    FoundErrorType,
    FoundPoint,
    InteractionFinding,
    LinkedPoint,
    Prerequisite,
)

Named = TypeVar("Named")


@dataclass(frozen=True)
class MappingContext:
    """What an answer is checked against.

    `redactor` restores the record's own words. `cap` is the highest confidence of an answer without evidence.
    """

    document: Document
    redactor: Redactor
    cap: float

    def evidence_of(self, answer: Answer) -> tuple[str, ...]:
        return found_in(tuple(self.redactor.restore(quote) for quote in answer.evidence), self.document.text)

    def capped(self, confidence: float, evidence: tuple[str, ...]) -> float:
        """Nobody should rely much on an answer that quotes nothing that stands in the text."""
        return confidence if evidence else min(confidence, self.cap)


def to_finding(answer: Answer, context: MappingContext) -> Finding:
    match answer:
        case InteractionAnswer():
            evidence = context.evidence_of(answer)
            return InteractionFinding(
                sentiment=answer.sentiment,
                topics=tuple(_distinct(answer.topics, str)),
                confidence=context.capped(answer.confidence, evidence),
                evidence=evidence,
                evidence_found=bool(evidence),
            )
        case ErrorAnswer():
            return _error_finding(answer, context)
        case ContentAnswer():
            return _content_finding(answer, context)


def _error_finding(answer: ErrorAnswer, context: MappingContext) -> ErrorFinding:
    """Map a mistake. A knowledge point that the course has too takes the course's spelling."""
    evidence = context.evidence_of(answer)
    spelling = {same_name(point): point for point in context.document.known_points}
    return ErrorFinding(
        error_types=tuple(
            FoundErrorType(name=found.name, confidence=context.capped(found.confidence, evidence))
            for found in _distinct(answer.error_types, lambda found: found.name)
        ),
        knowledge_points=tuple(
            LinkedPoint(
                name=spelling.get(same_name(point.name), point.name),
                strength=point.strength,
                confidence=context.capped(point.confidence, evidence),
            )
            for point in _distinct(answer.knowledge_points, lambda point: point.name)
        ),
        difficulty=answer.difficulty,
        severity=answer.severity,
        confidence=context.capped(answer.confidence, evidence),
        evidence=evidence,
        evidence_found=bool(evidence),
    )


def _content_finding(answer: ContentAnswer, context: MappingContext) -> ContentFinding:
    """Map a course text. Its points come in the order of the text, and last those that do not appear in it.

    A prerequisite belongs to a point that the answer or the course has; what the point requires may be new. No point
    requires itself.
    """
    evidence = context.evidence_of(answer)
    points = _distinct(answer.knowledge_points, lambda point: point.name)
    names = (*context.document.known_points, *(point.name for point in points))
    spelling = {same_name(name): name for name in names}
    folded = context.document.text.casefold()
    places = [folded.find(point.name.casefold()) for point in points]
    order = sorted(range(len(points)), key=lambda index: (places[index] < 0, places[index], index))
    pairs = {
        (same_name(found.point), same_name(found.requires)): found
        for found in answer.prerequisites
        if not holds_placeholder(found.requires)
    }
    return ContentFinding(
        knowledge_points=tuple(
            FoundPoint(
                name=spelling[same_name(points[index].name)],
                description=context.redactor.restore(text) if (text := points[index].description) else None,
                category=points[index].category,
                importance=points[index].importance,
                order=number,
            )
            for number, index in enumerate(order, start=1)
        ),
        prerequisites=tuple(
            Prerequisite(
                point=spelling[point],
                requires=spelling.get(requires, found.requires),
                confidence=context.capped(found.confidence, evidence),
            )
            for (point, requires), found in pairs.items()
            if point in spelling and point != requires
        ),
        confidence=context.capped(answer.confidence, evidence),
        evidence=evidence,
        evidence_found=bool(evidence),
    )


def _distinct(found: Iterable[Named], name: Callable[[Named], str]) -> list[Named]:
    """Return the first of each name. A name that would become a person's once restored is left out."""
    first: dict[str, Named] = {}
    for each in found:
        if not holds_placeholder(name(each)):
            first.setdefault(same_name(name(each)), each)
    return list(first.values())


def same_name(name: str) -> str:
    """Return what two names have in common that differ in width, case and spaces only."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
