"""What words alone say of a text: its language, its sentences, the concepts it names and how its writer feels."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from edugraph_analyzer.prompting.relevance import pieces
from edugraph_analyzer.rule_based import lexicon

Language = Literal["zh", "en"]
_HAN = re.compile(r"[\u3400-\u9fff]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
_SENTENCE = re.compile(r"[^。！？!?；;\n.]+(?:\.(?=\S)[^。！？!?；;\n.]*)*[。！？!?；;.]*[”\"’']?")


def language_of(text: str) -> Language:
    """Name the language of most of a text. Two Chinese characters say about as much as one English word."""
    return "zh" if len(_HAN.findall(text)) >= len(_LATIN_WORD.findall(text)) else "en"


_TURN = re.compile(
    r"^[ \t]*(?P<speaker>[^\W\d][\w ]{0,19}?)[ \t]*[:：][ \t]*(?P<words>.*)$", re.MULTILINE
)
_STUDENT = re.compile(r"students?|pupil|learner|child|学生|同学|孩子|生", re.IGNORECASE)
_OTHER = re.compile(
    r"tutor|teacher|mentor|instructor|coach|assistant|老师|教师|助教|导师|师", re.IGNORECASE
)


def students_turns(text: str) -> str:
    """Return the student's words in a text with turns such as `tutor: …`. Any other text is returned whole.

    A line without a speaker continues the turn before it.
    """
    speakers = [match["speaker"] for match in _TURN.finditer(text)]
    if not any(map(_OTHER.fullmatch, speakers)) and not any(map(_STUDENT.fullmatch, speakers)):
        return text
    own: list[str] = []
    is_student = False
    for line in text.splitlines():
        words = line
        turn = _TURN.match(line)
        if turn is not None:
            begins_student = _STUDENT.fullmatch(turn["speaker"]) is not None
            begins_other = _OTHER.fullmatch(turn["speaker"]) is not None
            if begins_student or begins_other:
                is_student = begins_student
                words = turn["words"]
        if is_student:
            own.append(words)
    return "\n".join(own)


def sentence_with(text: str, word: str, longest: int = 200) -> str | None:
    """Return the first sentence with `word`, or the word itself if that sentence is longer than `longest`."""
    for match in _SENTENCE.finditer(text):
        sentence = match[0].strip()
        if word.casefold() not in sentence.casefold() or not sentence:
            continue
        if len(sentence) > longest:
            return word
        return sentence
    return None


def sentence_like(text: str, name: str, longest: int = 200) -> str | None:
    """Return the sentence that has most words of a name.

    Return None if it has none of them, or more than `longest` characters.
    """
    words_of_name = set(pieces(name))
    sentences = [match[0].strip() for match in _SENTENCE.finditer(text)]
    likest = max(
        sentences, key=lambda each: len(words_of_name.intersection(pieces(each))), default=""
    )
    if words_of_name.isdisjoint(pieces(likest)) or len(likest) > longest:
        return None
    return likest


# --- concepts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mention:
    """A concept that a text names: `words` as they stand there, at `place` (an index) for the first time."""

    name: str
    category: str | None
    words: str
    place: int
    times: int


def mentions(text: str, known_points: Sequence[str] = ()) -> list[Mention]:
    """Return the concepts of the course and of the word list that the text names, in the order of the text.

    A longer name hides a shorter one within it.
    """
    listed = {spelling: name for spelling, (name, _) in _catalogue().items()}
    for name in known_points:
        if len(name) > 1:
            listed[name.casefold()] = name
    found: dict[str, list[re.Match[str]]] = {}
    for match in _mention_pattern(tuple(known_points)).finditer(text):
        words = match[0].casefold()
        if words not in listed:
            words = _singular(words)
        found.setdefault(listed[words], []).append(match)
    mentioned = []
    for name, matches in found.items():
        first = matches[0]
        mentioned.append(Mention(name, _category(name), first[0], first.start(), len(matches)))
    return mentioned


def canonical(words: str, known_points: Sequence[str] = ()) -> str:
    """Return the listed name for these words, or the words themselves."""
    own = {name.casefold(): name for name in known_points}
    folded = words.casefold()
    if own.get(folded):
        return own[folded]
    for spelling in (folded, _singular(words)):
        if spelling in _catalogue():
            name, _ = _catalogue()[spelling]
            return name
    return words


def _category(name: str) -> str | None:
    return _catalogue().get(name.casefold(), (name, None))[1]


def _singular(words: str) -> str:
    return words.casefold().removesuffix("s")


@lru_cache
def _catalogue() -> dict[str, tuple[str, str | None]]:
    """Return folded spelling -> name and category of the concept."""
    concepts: dict[str, tuple[str, str | None]] = {}
    for name, category, *others in lexicon.entries("concepts"):
        for spelling in (name, *others):
            concepts[spelling.casefold()] = (name, category)
    return concepts


@lru_cache(maxsize=256)
def _mention_pattern(known_points: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern of all spellings, the longest first.

    Latin words stand alone, perhaps in the plural. Chinese words stand in the run of the sentence.
    """
    spellings = {*_catalogue(), *(name.casefold() for name in known_points if len(name) > 1)}
    patterns: list[str] = []
    for spelling in sorted(spellings, key=lambda each: (-len(each), each)):
        escaped = re.escape(spelling)
        if _HAN.search(spelling):
            patterns.append(escaped)
            continue
        plural = "s?" if spelling[-1].isalpha() else ""
        patterns.append(rf"(?<![A-Za-z]){escaped}{plural}(?![A-Za-z])")
    return re.compile("|".join(patterns), re.IGNORECASE)


# --- sentiment ------------------------------------------------------------------------------------------------

_NEGATED = -0.8
_REACH_OF_NEGATION = 16  # characters before a cue
# A negation belongs to the next word: 不太|开心, not really happy. In Chinese it stands right before it.
_CHINESE_NEGATION = re.compile(r"(?:不|没|没有|别|不用|不太|不是|不会|不怎么|并不|无)$")
_ENGLISH_NEGATION = re.compile(
    r"(?:\b(?:not|no|never|hardly|without)|n't)\s(?:\w+\s)?$", re.IGNORECASE
)


@dataclass(frozen=True)
class Feeling:
    """`score` is the sum of the weights of the cues, negated ones turned round.

    `cues` are as they stand in the text.
    """

    score: float
    cues: tuple[str, ...]


def feeling(text: str) -> Feeling:
    """Return the feeling that the words of a text show."""
    weights, pattern = _sentiment_words()
    found: dict[str, None] = {}
    scores: list[float] = []
    for match in pattern.finditer(text):
        weight = weights[match[0].casefold()]
        if weight == 0:
            continue
        before = text[max(match.start() - _REACH_OF_NEGATION, 0) : match.start()]
        negation = _CHINESE_NEGATION if _HAN.search(match[0]) else _ENGLISH_NEGATION
        if negation.search(before):
            weight *= _NEGATED
        scores.append(weight)
        found[match[0]] = None
    return Feeling(sum(scores), tuple(found))


@lru_cache
def _sentiment_words() -> tuple[dict[str, float], re.Pattern[str]]:
    """Return the weights by folded word, and a pattern of all the words, the longest first."""
    weights = {word.casefold(): float(weight) for word, weight in lexicon.entries("sentiment")}
    patterns: list[str] = []
    for word in sorted(weights, key=lambda each: (-len(each), each)):
        if _HAN.search(word):
            patterns.append(word)
        else:
            patterns.append(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])")
    return weights, re.compile("|".join(patterns), re.IGNORECASE)
