"""Which of a course's knowledge points are nearest to a text."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"[a-z][a-z']+|[0-9]+|[\u3400-\u9fff]+")


def most_relevant(text: str, points: Sequence[str], count: int) -> tuple[str, ...]:
    """At most `count` of `points`, in the order given (one order makes one cache key); all of them if few enough."""
    if len(points) <= count:
        return tuple(points)
    scores = likenesses(text, points)
    nearest = sorted(range(len(points)), key=lambda place: (-scores[place], place))[:count]
    return tuple(points[place] for place in sorted(nearest))


def likenesses(text: str, names: Sequence[str]) -> list[float]:
    """0 to 1 for each name: the share of its words (pairs of characters in Chinese) in `text`, rare ones more."""
    of_text = set(pieces(text))
    of_names = [set(pieces(name)) for name in names]
    seen = Counter(piece for parts in of_names for piece in parts)
    weight = {piece: math.log(1 + len(names) / count) for piece, count in seen.items()}
    return [_share(parts, of_text, weight) for parts in of_names]


def _share(parts: set[str], of_text: set[str], weight: dict[str, float]) -> float:
    whole = sum(weight[part] for part in parts)
    return sum(weight[part] for part in parts & of_text) / whole if whole else 0.0


def pieces(text: str) -> Iterator[str]:
    """English words without their plural, pairs of Chinese characters."""
    for word in _WORD.findall(text.casefold()):
        if word[0] < "\u3400":
            yield _singular(word)
        elif len(word) == 1:
            yield word
        else:
            yield from (word[place : place + 2] for place in range(len(word) - 1))


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:  # noqa: PLR2004 - ties, dies
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
