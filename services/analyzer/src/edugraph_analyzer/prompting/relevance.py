"""Find the knowledge points of a course that a text may be about."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import snowballstemmer

_WORD = re.compile(r"[a-z][a-z']+|[0-9]+|[\u3400-\u9fff]+")


# A point scores 1 / (this number + rank) in each list, so the first ranks differ little, and a point that both lists
# have comes before the first point of one list. The value is that of Cormack, Clarke and Büttcher, "Reciprocal rank
# fusion outperforms Condorcet and individual rank learning methods" (SIGIR 2009).
_RANK_OFFSET = 60


def candidates(
    text: str, points: Sequence[str], of_neighbours: Sequence[str], count: int
) -> tuple[str, ...]:
    """Return the `count` points that `text` is most likely about, or all points if there are no more.

    `points` are those of the course. `of_neighbours` are the points of labelled mistakes that are like the text, the
    most likely one first; they may be points that the course does not name. Both rankings, by the words that a point
    shares with the text and by the neighbours, are merged by reciprocal rank. The points keep the order of `points`,
    so that the same points give the same prompt.
    """
    all_points = tuple(dict.fromkeys((*points, *of_neighbours)))
    if len(all_points) <= count:
        return all_points
    words = likenesses(text, all_points)
    by_words = sorted(range(len(all_points)), key=lambda index: (-words[index], index))
    scores = dict.fromkeys(all_points, 0.0)
    for rank, index in enumerate(by_words, start=1):
        # A point that shares no word with the text has no place in this list.
        if words[index] > 0:
            scores[all_points[index]] += 1 / (_RANK_OFFSET + rank)
    for rank, point in enumerate(of_neighbours, start=1):
        scores[point] += 1 / (_RANK_OFFSET + rank)
    likeliest = set(sorted(all_points, key=lambda point: -scores[point])[:count])
    return tuple(point for point in all_points if point in likeliest)


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
