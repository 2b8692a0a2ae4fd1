"""The analyser without a model: word lists and rules, and what it learned of a course from labelled mistakes.

It fills what words can show and leaves the rest empty: an error type only if a rule fires or labelled mistakes tell
it, no topic except those that are named, and no difficulty. `make evaluate-offline` prints its figures, and
research/journal/offline.md explains them.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from edugraph_analyzer.documents import Document
from edugraph_analyzer.prompting.relevance import likenesses
from edugraph_analyzer.rule_based import lexicon
from edugraph_analyzer.rule_based.cue_rules import mistakes_in, prerequisites_in
from edugraph_analyzer.rule_based.fitted import Fit, ranked_points, words_of
from edugraph_analyzer.rule_based.lexicon_reading import (
    canonical,
    feeling,
    mentions,
    sentence_like,
    sentence_with,
    students_turns,
)
from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    Finding,
    FoundErrorType,
    FoundPoint,
    InteractionFinding,
    LinkedPoint,
    Origin,
    Prerequisite,
    RecordFinding,
    Sentiment,
)
from edugraph_common.contracts.messages import CourseContext
from edugraph_common.contracts.records import StudentInteraction, TeacherInteraction

# The number of labelled mistakes that propose points to a model. More of them find hardly more (docs/adr/0118).
_PROPOSING_NEIGHBOURS = 100
# The largest numbers of topics, links, points and quotes in a finding.
_TOPICS = 5
_LINKS = 3
_POINTS = 12
_QUOTES = 3
_FELT = 0.8  # A text with a smaller score is neutral.
_LIKE = 0.1  # A point is linked if at least this share of its name stands in the text.
_WHOLE = 0.95
_NAMED_STRENGTH = 0.7
MODEL = "offline-lexicon"
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
    """`fit_of` gives the fit of the first of these courses that has one; without it there are none."""

    def __init__(
        self, fit_of: Callable[[Sequence[CourseContext]], Fit | None] = lambda _: None
    ) -> None:
        self._fit_of = fit_of

    def points_of_neighbours(self, document: Document) -> tuple[str, ...]:
        """Return the points of the labelled mistakes that are most like this mistake, the likeliest first.

        Without a fit, and for other texts, there are none. Raises what `fit_of` raises.
        """
        if document.kind != "error":
            return ()
        fit = self._fit_of(document.courses)
        if fit is None:
            return ()
        votes = fit.linker.votes(words_of(document), _PROPOSING_NEIGHBOURS)
        ranked = ranked_points(votes.by_point, {}, 0.0)
        return tuple(name for name, _ in ranked)

    def finding(self, document: Document) -> RecordFinding:
        """Return the finding. Its origin names the fit that was used. Raises what `fit_of` raises."""
        version = lexicon.VERSION
        found: Finding
        if document.kind == "error":
            fit = self._fit_of(document.courses)
            if fit is not None:
                version = f"{lexicon.VERSION}, {fit.header.in_origin}"
            found = _error_finding(document, fit)
        elif document.kind == "interaction":
            found = _interaction_finding(document)
        else:
            found = _content_finding(document)
        origin = Origin(analyser="offline", model=MODEL, prompt_version=version)
        said = found.model_copy(update={"evidence_found": bool(found.evidence)})
        return RecordFinding(record=document.record.to_json(), finding=said, origin=origin)


def _interaction_finding(document: Document) -> InteractionFinding:
    """Find sentiment and topics.

    If the text has turns of a student and of somebody else, only the student's turns count for the sentiment, because
    a tutor praises in nearly every chat. The topics are those that the record states, then the knowledge points of
    the course that the text names. A subject and words of the word list are only proposals, as with a model.
    """
    text = _own_words(document)
    felt = feeling(students_turns(text))
    sentiment: Sentiment = "neutral"
    confidence = 0.4  # Without any cue "neutral" is hardly more than a guess.
    if abs(felt.score) >= _FELT:
        sentiment = "positive" if felt.score > 0 else "negative"
        confidence = min(0.5 + abs(felt.score) / 10, 0.85)

    data = document.record.data
    names: list[str] = []
    if isinstance(data, StudentInteraction):
        names += data.topics
    if isinstance(data, TeacherInteraction) and data.subject:
        names.append(data.subject)
    names += [mention.name for mention in mentions(text, document.known_points)]
    named = _distinct(names)[:_TOPICS]
    topics, other_topics = document.topics_among(named)
    return InteractionFinding(
        sentiment=sentiment,
        topics=topics,
        other_topics=other_topics,
        confidence=confidence,
        evidence=_quotes(sentence_with(text, word) for word in (*felt.cues, *named)),
    )


def _own_words(document: Document) -> str:
    return "\n".join(
        text for label, text in document.sections if label not in ("subject", "question", "title")
    )


def _distinct(names: Sequence[str]) -> list[str]:
    """Return each name once, in its first spelling and in the order of the last ones.

    Upper and lower case do not distinguish names.
    """
    spellings: dict[str, str] = {}
    for name in names:
        folded = name.casefold()
        spellings[folded] = spellings.pop(folded, name)
    return list(spellings.values())


def _quotes(sentences: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sentence for sentence in sentences if sentence))[:_QUOTES]


def _error_finding(document: Document, fit: Fit | None) -> ErrorFinding:
    """Find error types, and link the points of the course.

    A fit links by labelled mistakes that are like this one. Without a fit, or if it finds nothing, those points are
    linked whose names the text has most words of.

    The word list is used only if the points of the course are unknown, or if none of them is like the text. Its
    concepts are those of any school, and beside a course's own points they were right in one mistake of fifty.
    """
    text = document.text
    fired = mistakes_in(_own_words(document))
    types = [FoundErrorType(name=rule.name, confidence=rule.confidence) for rule in fired]
    points: list[LinkedPoint] = []
    if fit is not None:
        learned = fit.error_type(document)
        if learned is not None:
            types.append(learned)
            types.sort(key=lambda found: -found.confidence)
        points = fit.points(document, _LINKS)
    if not points:
        points = _own_points(text, document.known_points)[:_LINKS]
    if not points:
        points = _listed_points(text, confidence=0.2 if document.known_points else 0.5)

    quotes = [sentence_with(text, rule.words) for rule in fired]
    for point in points:
        quotes.append(sentence_with(text, point.name) or sentence_like(text, point.name))
    confidences = [found.confidence for found in types] + [point.confidence for point in points]
    return ErrorFinding(
        error_types=tuple(types[:_LINKS]),
        knowledge_points=tuple(points),
        confidence=max([0.3, *confidences]),
        evidence=_quotes(quotes),
    )


def _listed_points(text: str, confidence: float) -> list[LinkedPoint]:
    """Return the concepts of the word list that the text names most often."""
    named = sorted(mentions(text), key=lambda mention: (-mention.times, mention.place))
    points = []
    for mention in named[:_LINKS]:
        points.append(
            LinkedPoint(name=mention.name, strength=_NAMED_STRENGTH, confidence=confidence)
        )
    return points


def _own_points(text: str, known_points: Sequence[str]) -> list[LinkedPoint]:
    """Return the points of the course that are like the text, the likest first.

    The confidence is the share that was right among labelled mistakes. In a course of some 34 points it was 0.69 if
    the whole name stands in the text, and 0.14 if a part does. With 340 to 610 points it was a tenth of that.
    """
    likes = zip(likenesses(text, known_points), known_points, strict=True)
    # If two whole names stand in the text, the longer one says more: "adding fractions" comes before "fractions".
    ranked = sorted(likes, key=lambda pair: (-pair[0], -len(pair[1])))
    share_of_few = min(1.0, 40 / max(len(known_points), 1))
    points: list[LinkedPoint] = []
    for like, name in ranked:
        if like < _LIKE:
            break
        is_whole = like >= _WHOLE
        confidence = share_of_few * (0.65 if is_whole else 0.15)
        points.append(
            LinkedPoint(name=name, strength=round(like, 2), confidence=round(confidence, 2))
        )
    return points


def _content_finding(document: Document) -> ContentFinding:
    """Find knowledge points, in the order of the text, and prerequisites between points that the course has already.

    Points in the title or in a definition are core, the others are supplementary. A title is a knowledge point if the
    text has the same words. "Week 3" and "Reading together" are not knowledge points.
    """
    text = _own_words(document)
    known_points = document.known_points
    core = [
        canonical(name, known_points) for name in (*_titles_in(document, text), *_defined_in(text))
    ]
    own = [point.name for point in _own_points(document.text, known_points)[:_LINKS]]
    named = {mention.name: mention for mention in mentions(text, known_points)}
    stated = prerequisites_in(text, known_points)
    names = [*core, *own, *named]
    for each in stated:
        names += [each.point, each.requires]
    names = _distinct(names)[:_POINTS]

    folded = text.casefold()
    places: dict[str, int] = {}  # name -> index in the text, or -1
    for name in names:
        if name in named:
            places[name] = named[name].place
        else:
            places[name] = folded.find(name.casefold())
    names.sort(key=lambda name: (places[name] < 0, places[name]))
    points: list[FoundPoint] = []
    for order, name in enumerate(names, start=1):
        mention = named.get(name)
        words = name if mention is None else mention.words
        points.append(
            FoundPoint(
                name=name,
                description=sentence_with(text, words),
                category=None if mention is None else mention.category,
                importance="core" if name in core else "supplementary",
                order=order,
            )
        )

    prerequisites: list[Prerequisite] = []
    for each in stated:
        prerequisite = Prerequisite(
            point=each.point, requires=each.requires, confidence=each.confidence, quote=each.words
        )
        prerequisites.append(prerequisite)
    quoted = [*(each.words for each in stated), *(point.name for point in points)]
    return ContentFinding(
        knowledge_points=tuple(points),
        prerequisites=tuple(prerequisites),
        confidence=0.5 if points else 0.3,
        evidence=_quotes(sentence_with(text, words) for words in quoted),
    )


def _titles_in(document: Document, text: str) -> list[str]:
    """Return the short titles that the text repeats and that may name a concept."""
    folded = text.casefold()
    titles: list[str] = []
    for label, section in document.sections:
        if label != "title" or len(section) > _LONGEST_TITLE:
            continue
        title = section.strip()
        is_repeated = title.casefold() in folded
        if is_repeated and not _NOT_A_CONCEPT.search(title):
            titles.append(title)
    return titles


def _defined_in(text: str) -> list[str]:
    """Return the words that the text defines."""
    defined: list[str] = []
    for pattern in _DEFINITIONS:
        defined += [match[1].strip() for match in pattern.finditer(text)]
    return defined
