"""What words alone say of a text: its language, its sentences, the concepts it names and how its writer feels."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from edugraph_analyzer import lexicon

Language = Literal["zh", "en"]
_HAN = re.compile(r"[\u3400-\u9fff]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
_SENTENCE = re.compile(r"[^。！？!?；;\n.]+(?:\.(?=\S)[^。！？!?；;\n.]*)*[。！？!?；;.]*[”\"’']?")


def language_of(text: str) -> Language:
    """Two characters of Chinese say about as much as one English word."""
    return "zh" if len(_HAN.findall(text)) >= len(_LATIN_WORD.findall(text)) else "en"


def sentences(text: str) -> list[str]:
    return [found for match in _SENTENCE.finditer(text) if (found := match[0].strip())]


def sentence_with(text: str, word: str, longest: int = 200) -> str | None:
    """The first sentence that holds `word`; the word itself if that sentence is long."""
    for sentence in sentences(text):
        if word.casefold() in sentence.casefold():
            return sentence if len(sentence) <= longest else word
    return None


# --- concepts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mention:
    """A concept that a text names: `words` as they stand there, at `place` for the first time."""

    name: str
    category: str | None
    words: str
    place: int
    times: int


def mentions(text: str, known: Sequence[str] = ()) -> list[Mention]:
    """Concepts of the course and of our own list that the text names, in its order; a longer name hides one in it."""
    catalogue = {**_catalogue(), **{name.casefold(): (name, _category(name)) for name in known if len(name) > 1}}
    pattern = _pattern_of(tuple(known))
    found: dict[str, list[re.Match[str]]] = {}
    for match in pattern.finditer(text):
        name = (catalogue.get(match[0].casefold()) or catalogue[_singular(match[0])])[0]
        found.setdefault(name, []).append(match)
    return [
        Mention(name, _category(name), matches[0][0], matches[0].start(), len(matches))
        for name, matches in found.items()
    ]


def canonical(words: str, known: Sequence[str] = ()) -> str:
    """The listed name for these words, or the words themselves."""
    own = {name.casefold(): name for name in known}
    folded = words.casefold()
    return own.get(folded) or _catalogue().get(folded, _catalogue().get(_singular(words), (words, None)))[0]


def _category(name: str) -> str | None:
    return _catalogue().get(name.casefold(), (name, None))[1]


def _singular(words: str) -> str:
    return words.casefold().removesuffix("s")


@lru_cache
def _catalogue() -> dict[str, tuple[str, str | None]]:
    """Every spelling, folded: the concept's name and category."""
    return {
        spelling.casefold(): (name, category)
        for name, category, *others in lexicon.entries("concepts")
        for spelling in (name, *others)
    }


@lru_cache(maxsize=256)
def _pattern_of(known: tuple[str, ...]) -> re.Pattern[str]:
    spellings = {*_catalogue(), *(name.casefold() for name in known if len(name) > 1)}
    longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
    return re.compile("|".join(map(_bounded, longest_first)), re.IGNORECASE)


def _bounded(spelling: str) -> str:
    """Latin words stand alone, perhaps in the plural; Chinese ones stand in the run of the sentence."""
    if _HAN.search(spelling):
        return re.escape(spelling)
    return rf"(?<![A-Za-z]){re.escape(spelling)}{'s?' if spelling[-1].isalpha() else ''}(?![A-Za-z])"


# --- sentiment ------------------------------------------------------------------------------------------------

_NEGATED = -0.8


@dataclass(frozen=True)
class Feeling:
    """`score`: the sum of the weights of its cues (negated ones turned round); `cues` as they stand in the text."""

    score: float
    cues: tuple[str, ...]


def feeling(text: str) -> Feeling:
    found = list(_weighed(text))
    return Feeling(sum(weight for _, weight in found), tuple(dict.fromkeys(words for words, _ in found)))


def _weighed(text: str) -> Iterator[tuple[str, float]]:
    weights, pattern = _sentiment_words()
    for match in pattern.finditer(text):
        weight = weights[match[0].casefold()]
        before = text[max(match.start() - 16, 0) : match.start()]
        yield match[0], weight * (_NEGATED if _negated(before, match[0]) else 1)


def _negated(before: str, words: str) -> bool:
    """A negation belongs to the next word: 不太|开心, not really happy; in Chinese it stands right before it."""
    if _HAN.search(words):
        return re.search(r"(?:不|没|没有|别|不用|不太|不是|不会|不怎么|并不|无)$", before) is not None
    return re.search(r"(?:\b(?:not|no|never|hardly|without)|n't)\s(?:\w+\s)?$", before, re.IGNORECASE) is not None


@lru_cache
def _sentiment_words() -> tuple[dict[str, float], re.Pattern[str]]:
    weights = {word.casefold(): float(weight) for word, weight in lexicon.entries("sentiment")}
    longest_first = sorted(weights, key=lambda word: (-len(word), word))
    alone = [word if _HAN.search(word) else rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])" for word in longest_first]
    return weights, re.compile("|".join(alone), re.IGNORECASE)
