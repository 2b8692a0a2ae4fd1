"""Which knowledge points may mean the same: those whose names are nearest to each other in meaning (docs/adr/0068).

Two points are proposed if each is the nearest of the other, and the cosine of their names' embeddings is 0.5 or
more. Nearest is meant within each language by itself: names of neighbouring points in the same language are often
nearer than the name of the same point in the other one.

The names of other points are compared with the labels and statements of a curriculum in the same way, because a text
seldom calls a point as its standard does.
"""

import re
from collections.abc import Sequence
from typing import Any

from edugraph_analyzer.rule_based import encoder
from edugraph_common.contracts.messages import NamedPoint, ProposedPair

LEAST_LIKENESS = 0.5
_COMPARED_AT_ONCE = 1_000  # names with all others; the table of 1,000 with 10,000 takes 40 MB
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[^\W\d_]{3}|[\u3400-\u9fff]")
_DECIMALS = 4

Places = tuple[int, int]
"""The places of two points or rows, the smaller first."""


def proposed(points: Sequence[NamedPoint]) -> tuple[ProposedPair, ...]:
    """Return the pairs, in the order of the points."""
    if not points:
        return ()
    # The names of all points, and after them the labels and statements.
    texts = [point.name for point in points]
    owners = list(range(len(points)))
    for place, point in enumerate(points):
        for text in point.said:
            texts.append(text)
            owners.append(place)
    languages = [_language_of(text) for text in texts]
    vectors = encoder.embeddings(texts)

    named = []
    for place, point in enumerate(points):
        if not _is_code(point):
            named.append(place)
    languages_of_names = [languages[place] for place in named]
    by_name = mutual_nearest(vectors[named], languages_of_names)
    pairs: dict[Places, float] = {}
    for (one, other), likeness in by_name.items():
        pairs[named[one], named[other]] = likeness
    by_curriculum = _with_the_curriculum(points, owners, vectors, languages)
    for pair, likeness in by_curriculum.items():
        by_their_names = pairs.get(pair, likeness)
        pairs[pair] = max(likeness, by_their_names)

    found = []
    for (one, other), likeness in sorted(pairs.items()):
        ids = (points[one].id, points[other].id)
        rounded = round(min(likeness, 1.0), _DECIMALS)
        found.append(ProposedPair(pair=ids, likeness=rounded))
    return tuple(found)


def _language_of(text: str) -> str:
    if _CHINESE.search(text):
        return "zh"
    return ""


def _is_code(point: NamedPoint) -> bool:
    """Return whether a point of a curriculum has only a code as its name. All codes are near each other."""
    is_of_a_curriculum = bool(point.said)
    has_a_word = _WORD.search(point.name) is not None
    return is_of_a_curriculum and not has_a_word


def _with_the_curriculum(
    points: Sequence[NamedPoint], owners: Sequence[int], vectors: Any, languages: Sequence[str]
) -> dict[Places, float]:
    """Return the pairs of a point that no curriculum describes and one that a curriculum describes.

    `owners` are the places of the points of the rows of `vectors`.
    """
    number = len(points)
    if number == len(owners):
        return {}
    rows = []
    for place, point in enumerate(points):
        if not point.said:
            rows.append(place)
    rows += range(number, len(owners))
    is_said = [row >= number for row in rows]
    languages_of_rows = [languages[row] for row in rows]
    found = mutual_nearest(vectors[rows], languages_of_rows, is_said)

    pairs: dict[Places, float] = {}
    for (one, other), likeness in found.items():
        first = owners[rows[one]]
        second = owners[rows[other]]
        pair = (min(first, second), max(first, second))
        by_another_text = pairs.get(pair, likeness)
        pairs[pair] = max(likeness, by_another_text)
    return pairs


def mutual_nearest(
    vectors: Any, languages: Sequence[str], sides: Sequence[bool] | None = None
) -> dict[Places, float]:
    """Return the places of the rows that are nearest to each other, the smaller first, with their likeness.

    `vectors`: a numpy array with a row of unit length for each text. If several are equally near, the first is the
    nearest. With `sides`, only rows of different sides are compared.
    """
    import numpy as np  # It comes with the encoder.

    # Rows of the same group are not compared. Without sides, a row is only not compared with itself.
    groups = np.arange(len(languages))
    if sides is not None:
        groups = np.array(sides, dtype=int)

    # (row, language) -> the nearest row in this language, with the likeness
    nearest: dict[tuple[int, str], tuple[int, float]] = {}
    for language in sorted(set(languages)):
        in_language = [place for place, each in enumerate(languages) if each == language]
        others = np.array(in_language)
        other_vectors = vectors[others].T
        for start in range(0, len(languages), _COMPARED_AT_ONCE):
            end = start + _COMPARED_AT_ONCE
            likenesses = vectors[start:end] @ other_vectors
            own_groups = groups[start:end, None]
            is_same_group = own_groups == groups[others]
            likenesses[is_same_group] = -1
            best_columns = likenesses.argmax(axis=1)
            for offset, column in enumerate(best_columns):
                likeness = float(likenesses[offset, column])
                if likeness >= LEAST_LIKENESS:
                    nearest[start + offset, language] = (in_language[column], likeness)

    pairs: dict[Places, float] = {}
    for (place, _), (other, likeness) in nearest.items():
        if place > other:
            continue
        nearest_of_other = nearest.get((other, languages[place]))
        if nearest_of_other is None:
            continue
        if nearest_of_other[0] == place:
            pairs[place, other] = likeness
    return pairs
