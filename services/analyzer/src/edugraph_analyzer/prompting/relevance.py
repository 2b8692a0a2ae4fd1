"""Find the knowledge points of a course that are nearest to a text, by the words that they share."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import snowballstemmer

_WORD = re.compile(r"[a-z][a-z']+|[0-9]+|[\u3400-\u9fff]+")


def most_relevant(text: str, points: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the `count` points that are nearest to `text`, or all points if there are no more.

    The points keep their order, so that the same points give the same prompt.
    """
    if len(points) <= count:
        return tuple(points)
    scores = likenesses(text, points)
    nearest = sorted(range(len(points)), key=lambda index: (-scores[index], index))[:count]
    return tuple(points[index] for index in sorted(nearest))


def likenesses(text: str, names: Sequence[str]) -> list[float]:
    """Return, for each name, the share of its pieces that are in `text`, from 0 to 1. Rare pieces weigh more."""
    in_text = set(pieces(text))
    shares = []
    for weights in _weighted_pieces(tuple(names)):
        whole = sum(weights.values())
        if not whole:
            shares.append(0.0)
            continue
        common = sum(weight for piece, weight in weights.items() if piece in in_text)
        shares.append(common / whole)
    return shares


@lru_cache(maxsize=256)
def _weighted_pieces(names: tuple[str, ...]) -> tuple[dict[str, float], ...]:
    """Return, for each name, its pieces with their weights. They are cached, since a course has many points."""
    pieces_by_name = [set(pieces(name)) for name in names]
    # piece -> number of the names that have it
    counts = Counter[str]()
    for own_pieces in pieces_by_name:
        counts.update(own_pieces)
    weighted = []
    for own_pieces in pieces_by_name:
        weighted.append(
            {piece: math.log(1 + len(names) / counts[piece]) for piece in sorted(own_pieces)}
        )
    return tuple(weighted)


def pieces(text: str) -> Iterator[str]:
    """Yield the stems of English words, and pairs of neighbouring Chinese characters."""
    for word in _WORD.findall(text.casefold()):
        if word[0] < "\u3400":
            yield _stem(word)
        elif len(word) == 1:
            yield word
        else:
            for start in range(len(word) - 1):
                yield word[start : start + 2]


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    """Return the stem of an English word, which "simplified" and "simplifying" share. Finding a stem takes 20 µs."""
    return str(snowballstemmer.stemmer("english").stemWord(word))
