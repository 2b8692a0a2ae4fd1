"""Which of a course's knowledge points are nearest to a text, by the words that they share."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"[a-z][a-z']+|[0-9]+|[\u3400-\u9fff]+")
_SHORTEST_IES = 4  # "ties" and "dies" are not the plural of "ty" and "dy"


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
    of_names = [set(pieces(name)) for name in names]
    seen = Counter(piece for parts in of_names for piece in parts)
    weight = {piece: math.log(1 + len(names) / count) for piece, count in seen.items()}
    found = []
    for parts in of_names:
        whole = sum(weight[part] for part in parts)
        found.append(sum(weight[part] for part in parts & of_text) / whole if whole else 0.0)
    return found


def pieces(text: str) -> Iterator[str]:
    """Yield English words without their plural, and pairs of neighbouring Chinese characters."""
    for word in _WORD.findall(text.casefold()):
        if word[0] >= "\u3400":
            yield from (word[place : place + 2] for place in range(len(word) - 1)) if len(word) > 1 else (word,)
        elif word.endswith("ies") and len(word) > _SHORTEST_IES:
            yield word[:-3] + "y"
        else:
            yield word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
