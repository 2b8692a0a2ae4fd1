"""Fitting the offline analyser to labelled mistakes of a course, with confidence from mistakes it has not seen."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from edugraph_analyzer.documents import Document, Unreadable, read_document
from edugraph_analyzer.prompting.relevance import likenesses
from edugraph_analyzer.rule_based.fitted import Classifier, Linker, ranked_points, signs_of, words_of
from edugraph_analyzer.rule_based.labels import LabelledItem
from edugraph_common.contracts.fits import FitHeader, LabelledRow, Steps

FEWEST_ITEMS = 100  # labelled mistakes of a course
MOST_ITEMS = 5_000  # of a course; more would take a finding longer than 3 ms
LINKS = 3
_FOLDS = 5
_NAME_WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.8, 8.0)  # with the last one votes decide between equal names alone
_BINS, _FEWEST_IN_A_BIN = 10, 20

Scored = list[tuple[float, bool]]
"""Pairs of a score and whether what had it was right."""


def by_course(items: Iterable[LabelledItem]) -> dict[str, list[tuple[Document, LabelledItem]]]:
    """Return the readable labelled mistakes of each course. A mistake of several courses counts in each."""
    found: dict[str, list[tuple[Document, LabelledItem]]] = {}
    for item in items:
        try:
            document = read_document(item.record, "error", ())
        except Unreadable:
            continue
        for course in document.courses:
            found.setdefault(course.course_id, []).append((document, item))
    return found


def fit_course(
    course_id: str, labelled: Sequence[tuple[Document, LabelledItem]], at: datetime
) -> tuple[FitHeader, list[LabelledRow]]:
    """Return the header and the rows of a fit. The first MOST_ITEMS mistakes count.

    The scores become confidence by cross-validation: each fifth of the students is judged by what the others'
    mistakes teach. What is not better than chance there stays unsaid, by an empty step function.
    """
    labelled = labelled[:MOST_ITEMS]
    bags = [words_of(document) for document, _ in labelled]
    common = Counter(word for bag in bags for word in bag)
    rows = [
        LabelledRow(
            record_id=document.record.record_id,
            students=document.students,
            # A word of a single row finds no neighbour, and may be a name.
            words={word: count for word, count in bag.items() if common[word] > 1},
            signs=signs_of(document),
            knowledge_points=item.knowledge_points,
            error_types=item.error_types,
        )
        for (document, item), bag in zip(labelled, bags, strict=True)
    ]
    texts = [document.text for document, _ in labelled]
    weight, hits, point_steps = _points_held_out(rows, texts)
    recall, type_steps = _types_held_out(rows)
    digest = hashlib.sha256("\n".join(row.model_dump_json() for row in rows).encode()).hexdigest()[:8]
    header = FitHeader(
        version=f"{at:%Y%m%dT%H%M%SZ}-{digest}",
        course_id=course_id,
        fitted_at=at.isoformat(),
        items=len(rows),
        name_weight=weight,
        point_steps=point_steps,
        type_steps=type_steps,
        held_out={"hit@1": round(hits, 3), "mean_recall_of_types": round(recall, 3)},
    )
    return header, rows


def _folds(rows: Sequence[LabelledRow]) -> Iterator[tuple[list[LabelledRow], list[int]]]:
    """Yield rows to learn from, and the places of those to judge. All mistakes of one student are on one side."""
    folds = [
        int(hashlib.sha256((row.students or (row.record_id,))[0].encode()).hexdigest(), 16) % _FOLDS for row in rows
    ]
    for fold in range(_FOLDS):
        yield (
            [row for row, own in zip(rows, folds, strict=True) if own != fold],
            [place for place, own in enumerate(folds) if own == fold],
        )


def _points_held_out(rows: Sequence[LabelledRow], texts: Sequence[str]) -> tuple[float, float, Steps]:
    """Return the weight of names that hits most first points, the share that it hits, and the steps of confidence."""
    names = tuple(sorted({name for row in rows for name in row.knowledge_points}))
    hits = dict.fromkeys(_NAME_WEIGHTS, 0)
    scored: dict[float, Scored] = {weight: [] for weight in _NAME_WEIGHTS}
    judged = 0
    for learned, held_out in _folds(rows):
        linker = Linker(learned)
        for place in held_out:
            right = set(rows[place].knowledge_points)
            if not right:
                continue
            judged += 1
            votes = linker.votes(rows[place].words)
            likes = dict(zip(names, likenesses(texts[place], names), strict=True))
            for weight in _NAME_WEIGHTS:
                ranked = ranked_points(votes, likes, weight)[:LINKS]
                hits[weight] += bool(ranked) and ranked[0][0] in right
                scored[weight] += [(score, name in right) for name, score in ranked]
    best = max(_NAME_WEIGHTS, key=lambda weight: (hits[weight], -weight))
    return best, hits[best] / judged if judged else 0.0, steps_of(scored[best])


def _types_held_out(rows: Sequence[LabelledRow]) -> tuple[float, Steps]:
    """Return the mean over the kinds of the share that is recognised, and the steps of confidence.

    The steps are empty where the mean is no larger than that of a guess.
    """
    scored: Scored = []
    seen, right_of = Counter[str](), Counter[str]()
    for learned, held_out in _folds(rows):
        classifier = Classifier(learned)
        for place in held_out:
            row = rows[place]
            if not row.error_types or (said := classifier.said(row.words, row.signs)) is None:
                continue
            name, margin = said
            scored.append((margin, name in row.error_types))
            seen.update(row.error_types)
            right_of.update(each for each in row.error_types if each == name)
    known = Classifier(rows).types
    recall = sum(right_of[name] / seen[name] for name in known if seen[name]) / len(known) if known else 0.0
    return recall, steps_of(scored) if known and recall > 1 / len(known) else ()


def steps_of(scored: Scored) -> Steps:
    """Return the share that was right by score: at most ten bins of equal size, made rising by pooling neighbours."""
    ordered = sorted(scored)
    bins = max(1, min(_BINS, len(ordered) // _FEWEST_IN_A_BIN))
    pooled: list[list[float]] = []  # lowest score, right ones, all
    for number in range(bins if ordered else 0):
        part = ordered[number * len(ordered) // bins : (number + 1) * len(ordered) // bins]
        pooled.append([part[0][0], sum(right for _, right in part), len(part)])
        while len(pooled) > 1 and (
            pooled[-2][1] / pooled[-2][2] >= pooled[-1][1] / pooled[-1][2] or pooled[-2][0] == pooled[-1][0]
        ):
            _, right, count = pooled.pop()
            pooled[-1][1] += right
            pooled[-1][2] += count
    return tuple((lowest, right / count) for lowest, right, count in pooled)
