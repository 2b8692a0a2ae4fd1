"""The analyser without a model: word lists and rules, and better ears where the extra `offline` is installed.

It fills what words can show and leaves the rest empty: an error type only if a rule fires, and no difficulty.
Each finding names the analyser, with the libraries that it had.
"""

import re
from collections.abc import Callable, Sequence

from edugraph_analyzer.documents import Document
from edugraph_analyzer.prompting.relevance import likenesses
from edugraph_analyzer.rule_based import lexicon, libraries
from edugraph_analyzer.rule_based.cue_rules import mistakes_in, prerequisites_in
from edugraph_analyzer.rule_based.lexicon_reading import canonical, feeling, language_of, mentions, sentence_with
from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    Finding,
    FoundErrorType,
    FoundPoint,
    InteractionFinding,
    Kind,
    LinkedPoint,
    Origin,
    Prerequisite,
    RecordFinding,
    Sentiment,
)
from edugraph_common.contracts.records import StudentInteraction, TeacherInteraction

_TOPICS, _LINKS, _POINTS, _QUOTES = 5, 3, 12, 3
_FELT = 0.8  # score from which a text is said to have a sentiment
_FELT_BY_VADER = 0.5
_NEAR = 0.35  # cosine from which an unnamed knowledge point is linked
_LIKE = 0.5  # share of a point's name in the text, likewise, without embeddings
_NAMED_STRENGTH = 0.7
_LONGEST_TITLE = 40
_NOT_A_CONCEPT = re.compile(
    r"\d{2,}|[-_/\\]\w*\d|workshop|lesson|chapter|unit|week|第.{1,3}[章节课周讲]", re.IGNORECASE
)
_DEFINITIONS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:叫做|称为|叫作)(?:这种|这个|该)?(?:物质|物体)?的?([\u3400-\u9fff]{2,10})(?=[，。；、（(\s]|$)",
        r"(?:^|[。；\n])([\u3400-\u9fff]{2,10})(?:是指|指的是|的定义是)",
        r"\b(?:is|are) called (?:an? |the )?([a-z][a-z \-]{2,30}?)(?=[.,;(]|$| and | because )",
        r"(?:^|[.!?]\s)(?:An? |The )?([a-z][a-z \-]{2,30}?) (?:is|are) defined (?:as|by)\b",
    )
)


class RuleBasedAnalyzer:
    """`finding` never fails and asks nobody. The libraries are loaded by the first text that needs them."""

    def finding(self, document: Document) -> RecordFinding:
        origin = Origin(analyser="offline", model=model_name(), prompt_version=lexicon.VERSION)
        found = _FINDING_OF[document.kind](document)
        said = found.model_copy(update={"evidence_found": bool(found.evidence)})
        return RecordFinding(record=document.record.to_json(), finding=said, origin=origin)


def model_name() -> str:
    """Return offline-lexicon and the libraries that helped, such as offline-lexicon+vader+yake+jieba+use."""
    return "+".join(("offline-lexicon", *libraries.installed()))


def _interaction_finding(document: Document) -> InteractionFinding:
    """Find sentiment and topics.

    The topics are those that the record names itself, then those that the text names. Keywords are taken only if
    there is nothing else.
    """
    text = _own_words(document)
    felt = feeling(text)
    if abs(felt.score) >= _FELT:
        score, confidence = felt.score, min(0.5 + abs(felt.score) / 10, 0.85)
    else:  # without any cue "neutral" is hardly more than a guess
        heard = libraries.polarity(text) if language_of(text) == "en" else None
        score = heard if heard is not None and abs(heard) >= _FELT_BY_VADER else 0.0
        confidence = 0.4 if heard is None else 0.5
    sentiment: Sentiment = "positive" if score > 0 else "negative" if score < 0 else "neutral"

    data = document.record.data
    given = data.topics if isinstance(data, StudentInteraction) else ()
    subject = (data.subject,) if isinstance(data, TeacherInteraction) and data.subject else ()
    topics = _distinct([*given, *subject, *(mention.name for mention in mentions(text, document.known_points))])
    if not topics:
        people = " ".join(person.value for person in document.people).casefold()
        keywords = libraries.chinese_keywords if language_of(text) == "zh" else libraries.english_keywords
        topics = [word for word in keywords(text) if word.casefold() not in people][:2]
    shown = tuple(topics[:_TOPICS])
    return InteractionFinding(
        sentiment=sentiment, topics=shown, confidence=confidence, evidence=_quoted(text, (*felt.cues, *shown))
    )


def _own_words(document: Document) -> str:
    return "\n".join(text for label, text in document.sections if label not in ("subject", "question", "title"))


def _distinct(names: Sequence[str]) -> list[str]:
    return list({name.casefold(): name for name in reversed(names)}.values())[::-1]


def _quoted(text: str, words: Sequence[str]) -> tuple[str, ...]:
    found = (sentence_with(text, word) for word in words)
    return tuple(dict.fromkeys(sentence for sentence in found if sentence))[:_QUOTES]


def _error_finding(document: Document) -> ErrorFinding:
    """Find error types, and link the points that the text names, then the nearest of the course's own."""
    text, known_points = document.text, document.known_points
    fired = mistakes_in(_own_words(document))
    named = sorted(mentions(text, known_points), key=lambda mention: (-mention.times, mention.place))
    sure = 0.6 if known_points else 0.5
    points = [LinkedPoint(name=each.name, strength=_NAMED_STRENGTH, confidence=sure) for each in named[:_LINKS]]
    linked = {point.name.casefold() for point in points}
    by_meaning = libraries.nearness(text, known_points)
    scores, least = (likenesses(text, known_points), _LIKE) if by_meaning is None else (by_meaning, _NEAR)
    ranked = sorted(zip(scores, known_points, strict=True), reverse=True)
    points += [
        LinkedPoint(name=name, strength=min(round(score, 2), 1.0), confidence=min(round(score, 2), 0.5))
        for score, name in ranked[:_LINKS]
        if score >= least and name.casefold() not in linked
    ]
    points = points[:_LINKS]
    return ErrorFinding(
        error_types=tuple(FoundErrorType(name=rule.name, confidence=rule.confidence) for rule in fired[:_LINKS]),
        knowledge_points=tuple(points),
        confidence=max([0.3, *(rule.confidence for rule in fired), *(point.confidence for point in points)]),
        evidence=_quoted(text, [*(rule.words for rule in fired), *(point.name for point in points)]),
    )


def _content_finding(document: Document) -> ContentFinding:
    """Find knowledge points, in the order of the text, and prerequisites.

    What the title and a definition name is core; what the text only names or needs is supplementary. A title is a
    knowledge point if the text says the same words; "Week 3" and "Reading together" are none.
    """
    text = _own_words(document)
    folded = text.casefold()
    titles = [each.strip() for label, each in document.sections if label == "title" and len(each) <= _LONGEST_TITLE]
    said = [title for title in titles if title.casefold() in folded and not _NOT_A_CONCEPT.search(title)]
    defined = [match[1].strip() for pattern in _DEFINITIONS for match in pattern.finditer(text)]
    core = [canonical(name, document.known_points) for name in (*said, *defined)]

    stated = prerequisites_in(text)
    pairs = [
        (canonical(each.point, document.known_points), canonical(each.requires, document.known_points))
        for each in stated
    ]
    named = {mention.name: mention for mention in mentions(text, document.known_points)}
    names = _distinct([*core, *named, *(name for pair in pairs for name in pair)])[:_POINTS]
    places = {name: named[name].place if name in named else folded.find(name.casefold()) for name in names}
    names.sort(key=lambda name: (places[name] < 0, places[name]))
    points = tuple(
        FoundPoint(
            name=name,
            description=sentence_with(text, named[name].words if name in named else name),
            category=named[name].category if name in named else None,
            importance="core" if name in core else "supplementary",
            order=order,
        )
        for order, name in enumerate(names, start=1)
    )
    return ContentFinding(
        knowledge_points=points,
        prerequisites=tuple(
            Prerequisite(point=point, requires=requires, confidence=0.6)
            for point, requires in pairs
            if point != requires
        ),
        confidence=0.5 if points else 0.3,
        evidence=_quoted(text, [*(each.words for each in stated), *(point.name for point in points)]),
    )


_FINDING_OF: dict[Kind, Callable[[Document], Finding]] = {
    "interaction": _interaction_finding,
    "error": _error_finding,
    "knowledge_points": _content_finding,
}
