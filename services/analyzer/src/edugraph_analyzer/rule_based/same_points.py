"""Which knowledge points may mean the same: those whose names are nearest to each other in meaning (docs/adr/0068).

Two points are proposed if each is the nearest of the other, and the cosine of their names' embeddings is 0.5 or
more. Nearest is meant within each language by itself: names of neighbouring points in the same language are often
nearer than the name of the same point in the other one.
"""

import re
from collections.abc import Sequence
from typing import Any

from edugraph_analyzer.rule_based import encoder
from edugraph_common.contracts.messages import NamedPoint, ProposedPair

LEAST_LIKENESS = 0.5
_COMPARED_AT_ONCE = 1_000  # names with all others; the table of 1,000 with 10,000 takes 40 MB
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_DECIMALS = 4


def proposed(points: Sequence[NamedPoint]) -> tuple[ProposedPair, ...]:
    """Return the pairs, in the order of the points."""
    if not points:
        return ()
    languages = ["zh" if _CHINESE.search(point.name) else "" for point in points]
    pairs = mutual_nearest(encoder.embeddings([point.name for point in points]), languages)
    return tuple(
        ProposedPair(
            pair=(points[one].id, points[other].id), likeness=round(min(likeness, 1.0), _DECIMALS)
        )
        for (one, other), likeness in sorted(pairs.items())
    )


def mutual_nearest(vectors: Any, languages: Sequence[str]) -> dict[tuple[int, int], float]:
    """Return the places of the rows that are nearest to each other, the smaller first, with their likeness.

    `vectors`: a numpy array with a row of unit length for each name. Of equally near ones the first is the nearest.
    """
    import numpy as np  # It comes with the encoder.

    nearest: dict[tuple[int, str], tuple[int, float]] = {}
    for language in sorted(set(languages)):
        others = np.array([place for place, each in enumerate(languages) if each == language])
        for start in range(0, len(languages), _COMPARED_AT_ONCE):
            likenesses = vectors[start : start + _COMPARED_AT_ONCE] @ vectors[others].T
            places = np.arange(start, start + len(likenesses))
            likenesses[places[:, None] == others[None, :]] = -1  # no name is its own other one
            for place, row, best in zip(places, likenesses, likenesses.argmax(axis=1), strict=True):
                if row[best] >= LEAST_LIKENESS:
                    nearest[int(place), language] = (int(others[best]), float(row[best]))
    return {
        (place, other): likeness
        for (place, language), (other, likeness) in nearest.items()
        if place < other
        and languages[other] == language
        and nearest.get((other, languages[place]), (None,))[0] == place
    }
