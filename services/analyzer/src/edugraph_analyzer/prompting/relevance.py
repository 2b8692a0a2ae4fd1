"""Which of a course's knowledge points are nearest to a text, by the words that they share."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import snowballstemmer

_WORD = re.compile(r"[a-z][a-z']+|[0-9]+|[\u3400-\u9fff]+")


def most_relevant(text: str, points: Sequence[str], count: int) -> tuple[str, ...]:
    """Return at most `count` of `points`, the nearest to `text`; all of them if they are few enough.

    They come in the order given, because one order gives one prompt.
    """
    if len(points) <= count:
        return tuple(points)
    scores = likenesses(text, points)
    nearest = sorted(range(len(points)), key=lambda place: (-scores[place], place))[:count]
    return tuple(points[place] for place in sorted(nearest))


def likenesses(text: str, names: Sequence[str]) -> list[float]:
    """Return for each name, from 0 to 1, the share of its pieces that are in `text`. Rare pieces weigh more."""
    of_text = set(pieces(text))
    found = []
    for parts in _weighted_pieces(tuple(names)):
        whole = sum(parts.values())
        found.append(sum(weight for part, weight in parts.items() if part in of_text) / whole if whole else 0.0)
    return found


@lru_cache(maxsize=256)
def _weighted_pieces(names: tuple[str, ...]) -> tuple[dict[str, float], ...]:
    """Return the pieces of each name with their weights, once for all texts of a course: a course has many points."""
    of_names = [set(pieces(name)) for name in names]
    seen = Counter(piece for parts in of_names for piece in parts)
    return tuple({piece: math.log(1 + len(names) / seen[piece]) for piece in sorted(parts)} for parts in of_names)


def pieces(text: str) -> Iterator[str]:
    """Yield the stems of English words, and pairs of neighbouring Chinese characters."""
    for word in _WORD.findall(text.casefold()):
        if word[0] >= "\u3400":
            yield from (word[place : place + 2] for place in range(len(word) - 1)) if len(word) > 1 else (word,)
        else:
            yield _stem(word)


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    """Return the stem of an English word, by which "simplified" meets "simplifying". Finding one takes 20 µs."""
    return str(snowballstemmer.stemmer("english").stemWord(word))
