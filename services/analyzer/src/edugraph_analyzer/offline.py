"""The analyser without a model: word lists and rules of our own, better ears where the extra `offline` is there.

It fills what words can show and leaves the rest empty: an error type only if a rule fires, no difficulty.
Each finding names it, with the libraries that it had.
"""

import re
from collections.abc import Callable, Sequence

from edugraph_analyzer import lexicon, offline_libraries
from edugraph_analyzer.cue_rules import Stated, mistakes_in, prerequisites_in
from edugraph_analyzer.items import Item
from edugraph_analyzer.lexicon_reading import (
    Mention,
    canonical,
    feeling,
    language_of,
    mentions,
    sentence_with,
)
from edugraph_analyzer.relevance import likenesses
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


class Offline:
    """`finding` never fails and asks nobody; the libraries are loaded by the first text that needs them."""

    def finding(self, item: Item) -> RecordFinding:
        origin = Origin(analyser="offline", model=model_name(), prompt_version=lexicon.VERSION)
        found = _READ[item.kind](item)
        said = found.model_copy(update={"evidence_found": bool(found.evidence)})
        return RecordFinding(record=item.record.to_json(), finding=said, origin=origin)


def model_name() -> str:
    """offline-lexicon, and the libraries that helped: offline-lexicon+vader+yake+jieba+use."""
    return "+".join(("offline-lexicon", *offline_libraries.installed()))


# --- interactions ---------------------------------------------------------------------------------------------


def _interaction(item: Item) -> InteractionFinding:
    text = _own_words(item)
    sentiment, confidence, cues = _sentiment(text)
    topics = _topics(item, text)
    shown = (*cues, *topics)
    return InteractionFinding(
        sentiment=sentiment, topics=topics, confidence=confidence, evidence=_quoted(text, shown)
    )


def _own_words(item: Item) -> str:
    return "\n".join(text for label, text in item.sections if label not in ("subject", "question", "title"))


def _sentiment(text: str) -> tuple[Sentiment, float, tuple[str, ...]]:
    """Also how sure, and the words that say so. Without any cue "neutral" is hardly more than a guess."""
    felt = feeling(text)
    if abs(felt.score) >= _FELT:
        return _sign(felt.score), min(0.5 + abs(felt.score) / 10, 0.85), felt.cues
    heard = offline_libraries.polarity(text) if language_of(text) == "en" else None
    if heard is not None and abs(heard) >= _FELT_BY_VADER:
        return _sign(heard), 0.5, felt.cues
    return "neutral", 0.5 if heard is not None else 0.4, felt.cues


def _sign(score: float) -> Sentiment:
    return "positive" if score > 0 else "negative"


def _topics(item: Item, text: str) -> tuple[str, ...]:
    """What the record names itself, then what the text names; keywords only if there is nothing else."""
    data = item.record.data
    given = data.topics if isinstance(data, StudentInteraction) else ()
    subject = (data.subject,) if isinstance(data, TeacherInteraction) and data.subject else ()
    found = [mention.name for mention in mentions(text, item.known_points)]
    named = _distinct([*given, *subject, *found])
    return tuple((named or _keywords(text, item))[:_TOPICS])


def _keywords(text: str, item: Item) -> list[str]:
    people = " ".join(person.value for person in item.people).casefold()
    listed: Callable[[str, int], list[str]] = (
        offline_libraries.chinese_keywords if language_of(text) == "zh" else offline_libraries.english_keywords
    )
    return [word for word in listed(text, 4) if word.casefold() not in people][:2]


def _distinct(names: Sequence[str]) -> list[str]:
    return list({name.casefold(): name for name in reversed(names)}.values())[::-1]


def _quoted(text: str, words: Sequence[str]) -> tuple[str, ...]:
    found = (sentence_with(text, word) for word in words)
    return tuple(dict.fromkeys(sentence for sentence in found if sentence))[:_QUOTES]


# --- mistakes -------------------------------------------------------------------------------------------------


def _error(item: Item) -> ErrorFinding:
    fired = mistakes_in(_own_words(item))
    points = _links(item)
    sure = max([0.3, *(rule.confidence for rule in fired), *(point.confidence for point in points)])
    return ErrorFinding(
        error_types=tuple(FoundErrorType(name=rule.name, confidence=rule.confidence) for rule in fired[:_LINKS]),
        knowledge_points=tuple(points),
        confidence=sure,
        evidence=_quoted(item.text, [*(rule.words for rule in fired), *(point.name for point in points)]),
    )


def _links(item: Item) -> list[LinkedPoint]:
    """Points that the text names, then the nearest of the course's own."""
    named = sorted(mentions(item.text, item.known_points), key=lambda mention: (-mention.times, mention.place))
    sure = 0.6 if item.known_points else 0.5
    links = [LinkedPoint(name=each.name, strength=_NAMED_STRENGTH, confidence=sure) for each in named[:_LINKS]]
    taken = {link.name.casefold() for link in links}
    near = [link for link in _near(item) if link.name.casefold() not in taken]
    return [*links, *near][:_LINKS]


def _near(item: Item) -> list[LinkedPoint]:
    points = item.known_points
    by_meaning = offline_libraries.nearness(item.text, points)
    scores, least = (likenesses(item.text, points), _LIKE) if by_meaning is None else (by_meaning, _NEAR)
    ranked = sorted(zip(scores, points, strict=True), reverse=True)
    return [
        LinkedPoint(name=point, strength=min(round(score, 2), 1.0), confidence=min(round(score, 2), 0.5))
        for score, point in ranked[:_LINKS]
        if score >= least
    ]


# --- course contents ------------------------------------------------------------------------------------------


def _content(item: Item) -> ContentFinding:
    text = _own_words(item)
    stated = prerequisites_in(text)
    points = _points(item, text, stated)
    prerequisites = _prerequisites(stated, item)
    return ContentFinding(
        knowledge_points=points,
        prerequisites=prerequisites,
        confidence=0.5 if points else 0.3,
        evidence=_quoted(text, [*(each.words for each in stated), *(point.name for point in points)]),
    )


def _points(item: Item, text: str, stated: Sequence[Stated]) -> tuple[FoundPoint, ...]:
    """In the order of the text. The title and what it defines are core; what it names or needs is supplementary."""
    named = {mention.name: mention for mention in mentions(text, item.known_points)}
    core = [canonical(name, item.known_points) for name in (*_title(item), *_defined(text))]
    needed = [canonical(name, item.known_points) for each in stated for name in (each.point, each.requires)]
    names = _by_place(_distinct([*core, *named, *needed])[:_POINTS], named, text)
    return tuple(
        FoundPoint(
            name=name,
            description=sentence_with(text, named[name].words if name in named else name),
            category=_category(name, named),
            importance="core" if name in core else "supplementary",
            order=order,
        )
        for order, name in enumerate(names, start=1)
    )


def _by_place(names: Sequence[str], named: dict[str, Mention], text: str) -> list[str]:
    folded = text.casefold()
    places = {name: named[name].place if name in named else folded.find(name.casefold()) for name in names}
    return sorted(names, key=lambda name: (places[name] < 0, places[name]))


def _category(name: str, named: dict[str, Mention]) -> str | None:
    return named[name].category if name in named else None


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


def _title(item: Item) -> list[str]:
    """A title is a knowledge point if the text says the same words; "Week 3" and "Reading together" are none."""
    titles = [text.strip() for label, text in item.sections if label == "title" and len(text) <= _LONGEST_TITLE]
    content = _own_words(item).casefold()
    return [title for title in titles if title.casefold() in content and not _NOT_A_CONCEPT.search(title)]


def _defined(text: str) -> list[str]:
    return [match[1].strip() for pattern in _DEFINITIONS for match in pattern.finditer(text)]


def _prerequisites(stated: Sequence[Stated], item: Item) -> tuple[Prerequisite, ...]:
    return tuple(
        Prerequisite(
            point=canonical(each.point, item.known_points),
            requires=canonical(each.requires, item.known_points),
            confidence=0.6,
        )
        for each in stated
        if canonical(each.point, item.known_points) != canonical(each.requires, item.known_points)
    )


_READ: dict[Kind, Callable[[Item], Finding]] = {
    "interaction": _interaction,
    "error": _error,
    "knowledge_points": _content,
}
