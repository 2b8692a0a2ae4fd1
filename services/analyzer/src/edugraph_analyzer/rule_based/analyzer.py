"""The analyser without a model: word lists and rules, and what it learned of a course from labelled mistakes.

It fills what words can show and leaves the rest empty: an error type only if a rule fires or labelled mistakes tell
it, no topic but those that are named, and no difficulty. `make evaluate-offline` prints its figures, and
research/journal/offline.md explains them.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from edugraph_analyzer.documents import Document
from edugraph_analyzer.prompting.relevance import likenesses
from edugraph_analyzer.rule_based import lexicon
from edugraph_analyzer.rule_based.cue_rules import mistakes_in, prerequisites_in
from edugraph_analyzer.rule_based.fitted import Fit
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
    Kind,
    LinkedPoint,
    Origin,
    Prerequisite,
    RecordFinding,
    Sentiment,
)
from edugraph_common.contracts.messages import CourseContext
from edugraph_common.contracts.records import StudentInteraction, TeacherInteraction

_TOPICS, _LINKS, _POINTS, _QUOTES = 5, 3, 12, 3
_FELT = 0.8  # score from which a text is said to have a sentiment
_LIKE = 0.1  # share of the name of a course's point in the text, from which the point is linked
_WHOLE = 0.95
_NAMED_STRENGTH = 0.7
# In 15 OpenStax books, two prerequisites were stated and both were right: the lower end of the interval of 95 %.
_STATED_CONFIDENCE = 0.34
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

    def __init__(self, fit_of: Callable[[Sequence[CourseContext]], Fit | None] = lambda _: None) -> None:
        self._fit_of = fit_of

    def finding(self, document: Document) -> RecordFinding:
        """Return the finding, whose origin names the fit. It asks nobody, and raises what `fit_of` does."""
        fit = self._fit_of(document.courses) if document.kind == "error" else None
        version = f"{lexicon.VERSION}, fit {fit.header.version}" if fit else lexicon.VERSION
        origin = Origin(analyser="offline", model=MODEL, prompt_version=version)
        found = _error_finding(document, fit) if document.kind == "error" else _FINDING_OF[document.kind](document)
        said = found.model_copy(update={"evidence_found": bool(found.evidence)})
        return RecordFinding(record=document.record.to_json(), finding=said, origin=origin)


def _interaction_finding(document: Document) -> InteractionFinding:
    """Find sentiment and topics.

    Where the text has turns of a student and of somebody else, the sentiment is that of the student's own: a tutor
    praises in nearly every chat. The topics are those that the record names itself, then those that the text names.
    """
    text = _own_words(document)
    felt = feeling(students_turns(text))
    is_felt = abs(felt.score) >= _FELT  # without any cue "neutral" is hardly more than a guess
    score, confidence = (felt.score, min(0.5 + abs(felt.score) / 10, 0.85)) if is_felt else (0.0, 0.4)
    sentiment: Sentiment = "positive" if score > 0 else "negative" if score < 0 else "neutral"

    data = document.record.data
    given = data.topics if isinstance(data, StudentInteraction) else ()
    subject = (data.subject,) if isinstance(data, TeacherInteraction) and data.subject else ()
    named = (mention.name for mention in mentions(text, document.known_points))
    shown = tuple(_distinct([*given, *subject, *named])[:_TOPICS])
    return InteractionFinding(
        sentiment=sentiment,
        topics=shown,
        confidence=confidence,
        evidence=_quotes(sentence_with(text, word) for word in (*felt.cues, *shown)),
    )


def _own_words(document: Document) -> str:
    return "\n".join(text for label, text in document.sections if label not in ("subject", "question", "title"))


def _distinct(names: Sequence[str]) -> list[str]:
    return list({name.casefold(): name for name in reversed(names)}.values())[::-1]


def _quotes(sentences: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sentence for sentence in sentences if sentence))[:_QUOTES]


def _error_finding(document: Document, fit: Fit | None) -> ErrorFinding:
    """Find error types, and link the points of the course.

    A fit links by labelled mistakes that are like this one. Without it, or where it knows nothing, the points are
    linked whose names the text has most of.

    The word list answers only for a course whose points are not known, or none of whose points is like the text: its
    concepts are those of any school, and beside a course's own points they were right in one mistake of fifty.
    """
    text = document.text
    fired = mistakes_in(_own_words(document))
    types = [FoundErrorType(name=rule.name, confidence=rule.confidence) for rule in fired]
    if fit and (learned := fit.error_type(document)):
        types = sorted([*types, learned], key=lambda found: -found.confidence)
    points = fit.points(document, _LINKS) if fit else []
    points = points or _own_points(text, document.known_points)[:_LINKS]
    if not points:
        named = sorted(mentions(text), key=lambda mention: (-mention.times, mention.place))
        sure = 0.2 if document.known_points else 0.5
        points = [LinkedPoint(name=each.name, strength=_NAMED_STRENGTH, confidence=sure) for each in named[:_LINKS]]
    return ErrorFinding(
        error_types=tuple(types[:_LINKS]),
        knowledge_points=tuple(points),
        confidence=max([0.3, *(found.confidence for found in types), *(point.confidence for point in points)]),
        evidence=_quotes(
            [
                *(sentence_with(text, rule.words) for rule in fired),
                *(sentence_with(text, point.name) or sentence_like(text, point.name) for point in points),
            ]
        ),
    )


def _own_points(text: str, known_points: Sequence[str]) -> list[LinkedPoint]:
    """Return the points of the course that are like the text, the likest first.

    The confidence is the share that was right among labelled mistakes: in a course of some 34 points 0.69 where the
    whole name stands in the text and 0.14 where a part does; with 340 to 610 points a tenth of that.
    """
    # Of two whole names the longer one says more: "adding fractions" comes before "fractions".
    ranked = sorted(
        zip(likenesses(text, known_points), known_points, strict=True), key=lambda pair: (-pair[0], -len(pair[1]))
    )
    of_so_many = min(1.0, 40 / max(len(known_points), 1))
    return [
        LinkedPoint(
            name=name, strength=round(like, 2), confidence=round(of_so_many * (0.65 if like >= _WHOLE else 0.15), 2)
        )
        for like, name in ranked
        if like >= _LIKE
    ]


def _content_finding(document: Document) -> ContentFinding:
    """Find knowledge points, in the order of the text, and prerequisites between points that the course has already.

    What the title and a definition name is core; what the text only names or needs is supplementary. A title is a
    knowledge point if the text says the same words; "Week 3" and "Reading together" are none.
    """
    text = _own_words(document)
    folded = text.casefold()
    titles = [each.strip() for label, each in document.sections if label == "title" and len(each) <= _LONGEST_TITLE]
    said = [title for title in titles if title.casefold() in folded and not _NOT_A_CONCEPT.search(title)]
    defined = [match[1].strip() for pattern in _DEFINITIONS for match in pattern.finditer(text)]
    core = [canonical(name, document.known_points) for name in (*said, *defined)]

    stated = prerequisites_in(text, document.known_points)
    named = {mention.name: mention for mention in mentions(text, document.known_points)}
    own = [point.name for point in _own_points(document.text, document.known_points)[:_LINKS]]
    needs = [name for each in stated for name in (each.point, each.requires)]
    names = _distinct([*core, *own, *named, *needs])[:_POINTS]
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
            Prerequisite(point=each.point, requires=each.requires, confidence=_STATED_CONFIDENCE) for each in stated
        ),
        confidence=0.5 if points else 0.3,
        evidence=_quotes(
            sentence_with(text, words)
            for words in (*(each.words for each in stated), *(point.name for point in points))
        ),
    )


_FINDING_OF: dict[Kind, Callable[[Document], Finding]] = {
    "interaction": _interaction_finding,
    "knowledge_points": _content_finding,
}
