"""Turn a valid answer into a finding: restore words, look evidence up, and give each name one spelling."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from edugraph_analyzer.documents import Document
from edugraph_analyzer.error_types import OTHER, Language
from edugraph_analyzer.findings.evidence import found_in, whole_quote_in
from edugraph_analyzer.findings.schema import (
    Answer,
    ContentAnswer,
    ErrorAnswer,
    InteractionAnswer,
    PrerequisiteAnswer,
)
from edugraph_analyzer.findings.sentence import usable_sentence
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
    confidence_of_claim,
)

Named = TypeVar("Named")


@dataclass(frozen=True)
class MappingContext:
    """The document of an answer, and the tools to check the answer.

    `redactor` restores the record's own words. `cap` is the highest confidence of an answer without evidence.
    `language` is that of the school.
    """

    document: Document
    redactor: Redactor
    cap: float
    language: Language = "en"

    def evidence_of(self, answer: Answer) -> tuple[str, ...]:
        return found_in(
            tuple(self.redactor.restore(quote) for quote in answer.evidence), self.document.text
        )

    def capped(self, confidence: float, evidence: tuple[str, ...]) -> float:
        """Return the confidence, or at most `cap` for an answer whose quotes are not in the text."""
        if evidence:
            return confidence
        return min(confidence, self.cap)


def to_finding(answer: Answer, context: MappingContext) -> Finding:
    """Return the finding of an answer."""
    match answer:
        case InteractionAnswer():
            return _interaction_finding(answer, context)
        case ErrorAnswer():
            return _error_finding(answer, context)
        case ContentAnswer():
            return _content_finding(answer, context)


def _interaction_finding(answer: InteractionAnswer, context: MappingContext) -> InteractionFinding:
    """Return the finding of a message. A topic is a knowledge point of the course, or else a proposal.

    The list is looked at here again: the answer may have been kept when the course had other points.
    """
    evidence = context.evidence_of(answer)
    names = []
    for topic in answer.topics:
        # A name with a placeholder stands for a person.
        if not holds_placeholder(topic):
            names.append(topic.removeprefix(OTHER))
    topics, other_topics = context.document.topics_among(names)
    return InteractionFinding(
        sentiment=answer.sentiment,
        topics=topics,
        other_topics=other_topics,
        confidence=context.capped(answer.confidence, evidence),
        evidence=evidence,
        evidence_found=bool(evidence),
    )


def _error_finding(answer: ErrorAnswer, context: MappingContext) -> ErrorFinding:
    """Return the finding of a mistake. A knowledge point that the course has gets the course's spelling.

    A text that shows no mistake, such as "bye", has neither kinds nor points, whatever else its answer says.
    """
    evidence = context.evidence_of(answer)
    if answer.shows_mistake == "no":
        return ErrorFinding(
            confidence=context.capped(answer.confidence, evidence),
            evidence=evidence,
            evidence_found=bool(evidence),
        )
    spelling = {same_name(point): point for point in context.document.known_points}
    error_types = []
    other_error_types = []
    for error_type in _distinct(answer.error_types, lambda found: found.name):
        confidence = context.capped(error_type.confidence, evidence)
        if error_type.name.startswith(OTHER):
            name = error_type.name.removeprefix(OTHER)
            other_error_types.append(FoundErrorType(name=name, confidence=confidence))
        else:
            error_types.append(FoundErrorType(name=error_type.name, confidence=confidence))
    points = []
    for point in _distinct(answer.knowledge_points, lambda found: found.name):
        name = spelling.get(same_name(point.name), point.name)
        confidence = context.capped(point.confidence, evidence)
        points.append(LinkedPoint(name=name, strength=point.strength, confidence=confidence))
    return ErrorFinding(
        what_went_wrong=_what_went_wrong(answer, evidence, context),
        error_types=tuple(error_types),
        other_error_types=tuple(other_error_types),
        knowledge_points=tuple(points),
        difficulty=answer.difficulty,
        severity=answer.severity,
        confidence=context.capped(answer.confidence, evidence),
        evidence=evidence,
        evidence_found=bool(evidence),
    )


def _what_went_wrong(
    answer: ErrorAnswer, evidence: tuple[str, ...], context: MappingContext
) -> str | None:
    """Return the sentence about a mistake, or None if the answer sees no mistake or quotes nothing of the text."""
    if answer.shows_mistake != "yes" or not evidence:
        return None
    return usable_sentence(
        answer.what_went_wrong, context.document, context.redactor, context.language
    )


def _content_finding(answer: ContentAnswer, context: MappingContext) -> ContentFinding:
    """Return the finding of a course text. Its points are in the order of the text, then those that it does not name.

    A prerequisite belongs to a point of the answer or of the course. The point that it requires may be new. No point
    requires itself.
    """
    evidence = context.evidence_of(answer)
    points = _distinct(answer.knowledge_points, lambda point: point.name)
    spelling = {same_name(name): name for name in context.document.known_points}
    spelling |= {same_name(point.name): point.name for point in points}

    text = context.document.text.casefold()
    starts = [text.find(point.name.casefold()) for point in points]
    order = sorted(range(len(points)), key=lambda index: (starts[index] < 0, starts[index], index))
    found_points = []
    for number, index in enumerate(order, start=1):
        point = points[index]
        description = None
        if point.description:
            description = context.redactor.restore(point.description)
        found_point = FoundPoint(
            name=spelling[same_name(point.name)],
            description=description,
            category=point.category,
            importance=point.importance,
            order=number,
        )
        found_points.append(found_point)

    return ContentFinding(
        knowledge_points=tuple(found_points),
        prerequisites=tuple(_prerequisites(answer, spelling, evidence, context)),
        confidence=context.capped(answer.confidence, evidence),
        evidence=evidence,
        evidence_found=bool(evidence),
    )


def _prerequisites(
    answer: ContentAnswer,
    spelling: Mapping[str, str],
    evidence: tuple[str, ...],
    context: MappingContext,
) -> list[Prerequisite]:
    """Return the prerequisites of an answer, each pair once. `spelling` has the names of the points by their keys.

    A prerequisite whose quote is not in the text is implied. If a pair was given twice, a quote counts first, and
    then the later one.
    """
    # (name of the point, name of the required point) -> the prerequisite
    pairs: dict[tuple[str, str], Prerequisite] = {}
    for named in answer.prerequisites:
        name = same_name(named.point)
        required_name = same_name(named.requires)
        if holds_placeholder(named.requires) or name not in spelling or name == required_name:
            continue
        quote = _quote_of(named, context)
        confidence = confidence_of_claim(context.capped(named.confidence, evidence), quote)
        before = pairs.get((name, required_name))
        if quote is None and before is not None and before.quote is not None:
            continue
        pairs[name, required_name] = Prerequisite(
            point=spelling[name],
            requires=spelling.get(required_name, named.requires),
            confidence=confidence,
            quote=quote,
        )
    return list(pairs.values())


def _quote_of(named: PrerequisiteAnswer, context: MappingContext) -> str | None:
    """Return the words of the text that say a prerequisite, or None if the answer quotes none that stand there.

    The name of a point alone does not say that it is needed.
    """
    if named.quote is None:
        return None
    quote = whole_quote_in(context.redactor.restore(named.quote), context.document.text)
    if quote is None or same_name(quote) in (same_name(named.point), same_name(named.requires)):
        return None
    return quote


def _distinct(found: Iterable[Named], name: Callable[[Named], str]) -> list[Named]:
    """Return the first entry of each name. A name with a placeholder, which stands for a person, is left out."""
    first: dict[str, Named] = {}
    for each in found:
        if not holds_placeholder(name(each)):
            first.setdefault(same_name(name(each)), each)
    return list(first.values())


def same_name(name: str) -> str:
    """Return a key that is the same for names that differ only in width, case and spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
