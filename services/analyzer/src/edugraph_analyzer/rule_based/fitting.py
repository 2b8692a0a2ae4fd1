"""Fitting the offline analyser to labelled mistakes of a course, with confidence from mistakes it has not seen."""

import hashlib
import math
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from statistics import fmean, stdev

from edugraph_analyzer.documents import Document, Unreadable, read_document
from edugraph_analyzer.prompting.relevance import likenesses
from edugraph_analyzer.rule_based.fitted import (
    Classifier,
    Linker,
    ranked_points,
    signs_of,
    words_of,
)
from edugraph_analyzer.rule_based.labels import LabelledItem
from edugraph_common.contracts.fits import FitHeader, LabelledRow, Steps

FEWEST_ITEMS = 100  # labelled mistakes of a course
MOST_ITEMS = 5_000  # of a course; more would take a finding longer than 3 ms
LINKS = 3
_FOLDS = 5
# With the last weight, votes decide only between equal names.
_NAME_WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.8, 8.0)
_BINS = 10
_FEWEST_IN_A_BIN = 20
# Mistakes with a known kind from which the comparison with the most frequent kind says something.
_FEWEST_WITH_A_KIND = 20
# The half width of a 95 % interval in standard errors.
_NORMAL_95 = 1.96

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

    Scores become confidence by cross-validation: a fit to the mistakes of the other students judges each fifth of the
    students. The fit names kinds of mistakes only if it was right more often than the most frequent kind. The points
    of a mistake are judged twice: with the labelled mistakes at the same question, if there are any, and without
    them, because a school gives new questions to whole classes.
    """
    labelled = labelled[:MOST_ITEMS]
    bags = [words_of(document) for document, _ in labelled]
    rows_with: Counter[str] = Counter()
    for bag in bags:
        rows_with.update(bag.keys())
    rows: list[LabelledRow] = []
    for (document, item), bag in zip(labelled, bags, strict=True):
        # A word of a single row finds no neighbour, and may be a name.
        words = {word: count for word, count in bag.items() if rows_with[word] > 1}
        rows.append(
            LabelledRow(
                record_id=document.record.record_id,
                students=document.students,
                words=words,
                signs=signs_of(document),
                knowledge_points=item.knowledge_points,
                error_types=item.error_types,
            )
        )
    texts = [document.text for document, _ in labelled]
    points = _points_held_out(rows, texts)
    kinds = _kinds_held_out(rows)
    type_steps: Steps = ()
    if kinds.is_useful:
        type_steps = steps_of(kinds.scored)
    lines = "\n".join(row.model_dump_json() for row in rows)
    digest = hashlib.sha256(lines.encode()).hexdigest()[:8]
    header = FitHeader(
        version=f"{at:%Y%m%dT%H%M%SZ}-{digest}",
        course_id=course_id,
        fitted_at=at.isoformat(),
        items=len(rows),
        name_weight=points.name_weight,
        same_question_steps=steps_of(points.same_question.scored),
        new_question_steps=steps_of(points.new_question.scored),
        type_steps=type_steps,
        held_out={
            "hit@1_same_question": round(points.same_question.share_of_hits, 3),
            "hit@1_new_question": round(points.new_question.share_of_hits, 3),
            "kinds_right": kinds.share(kinds.right),
            "most_frequent_kind": kinds.share(kinds.right_by_frequency),
        },
    )
    return header, rows


def _folds(rows: Sequence[LabelledRow]) -> Iterator[tuple[list[LabelledRow], list[int]]]:
    """Yield rows to learn from, and the indices of the rows to judge. All mistakes of a student are on one side."""
    folds = [_fold_of(row) for row in rows]
    for fold in range(_FOLDS):
        learned = [row for row, own in zip(rows, folds, strict=True) if own != fold]
        held_out = [index for index, own in enumerate(folds) if own == fold]
        yield learned, held_out


def _fold_of(row: LabelledRow) -> int:
    """Return the number of the fold. A hash of the student decides it, or of the record if no student is known."""
    owner = next(iter(row.students), row.record_id)
    return int(hashlib.sha256(owner.encode()).hexdigest(), 16) % _FOLDS


@dataclass
class _Judged:
    """The judged mistakes of one kind: their number, how often the first point was right, and all scores."""

    count: int = 0
    hits: int = 0
    scored: Scored = field(default_factory=list)

    @property
    def share_of_hits(self) -> float:
        return self.hits / self.count if self.count else 0.0

    def judge(self, ranked: Sequence[tuple[str, float]], right: Container[str]) -> None:
        self.count += 1
        self.scored += [(score, name in right) for name, score in ranked]
        if ranked:
            first, _ = ranked[0]
            self.hits += first in right


@dataclass
class _PointsHeldOut:
    """How a weight of names does at mistakes whose question has labelled mistakes, and at new questions."""

    name_weight: float
    same_question: _Judged = field(default_factory=_Judged)
    new_question: _Judged = field(default_factory=_Judged)

    @property
    def hits(self) -> int:
        return self.same_question.hits + self.new_question.hits


def _points_held_out(rows: Sequence[LabelledRow], texts: Sequence[str]) -> _PointsHeldOut:
    """Return the judgement of the weight that hits most first points. The smaller one of two equal weights counts."""
    names = tuple(sorted(set(chain.from_iterable(row.knowledge_points for row in rows))))
    tried = [_PointsHeldOut(weight) for weight in _NAME_WEIGHTS]
    for learned, held_out in _folds(rows):
        linker = Linker(learned)
        for index in held_out:
            right = set(rows[index].knowledge_points)
            if not right:
                continue
            votes = linker.votes(rows[index].words)
            without_question = linker.votes(rows[index].words, without_same_question=True)
            likes = dict(zip(names, likenesses(texts[index], names), strict=True))
            for each in tried:
                ranked = ranked_points(without_question.by_point, likes, each.name_weight)
                each.new_question.judge(ranked[:LINKS], right)
                if votes.is_same_question:
                    ranked = ranked_points(votes.by_point, likes, each.name_weight)
                    each.same_question.judge(ranked[:LINKS], right)
    return max(tried, key=lambda each: (each.hits, -each.name_weight))


@dataclass
class _KindsHeldOut:
    """Held-out mistakes with a known kind: how many had it named right, by the fit and by the most frequent kind.

    `differences` has for each mistake 1 if only the fit was right, -1 if only the most frequent kind was, and else 0.
    """

    scored: Scored = field(default_factory=list)
    right: int = 0
    right_by_frequency: int = 0
    differences: list[int] = field(default_factory=list)

    def judge(self, is_right: bool, is_most_frequent: bool) -> None:
        self.right += is_right
        self.right_by_frequency += is_most_frequent
        self.differences.append(is_right - is_most_frequent)

    def share(self, count: int) -> float:
        number = len(self.differences)
        if number == 0:
            return 0.0
        return round(count / number, 3)

    @property
    def is_useful(self) -> bool:
        """Whether the 95 % interval of the mean difference lies above 0."""
        number = len(self.differences)
        if number < _FEWEST_WITH_A_KIND:
            return False
        mean = fmean(self.differences)
        error = stdev(self.differences) / math.sqrt(number)
        lowest = mean - _NORMAL_95 * error
        return lowest > 0


def _kinds_held_out(rows: Sequence[LabelledRow]) -> _KindsHeldOut:
    """Return how the fit names the kinds of mistakes that it has not seen."""
    found = _KindsHeldOut()
    for learned, held_out in _folds(rows):
        classifier = Classifier(learned)
        counts = Counter(chain.from_iterable(row.error_types for row in learned))
        most_frequent = max(counts, key=lambda name: (counts[name], name), default=None)
        for index in held_out:
            row = rows[index]
            if not row.error_types:
                continue
            said = classifier.said(row.words, row.signs)
            is_right = False
            if said is not None:
                name, lead = said
                is_right = name in row.error_types
                found.scored.append((lead, is_right))
            found.judge(is_right, most_frequent in row.error_types)
    return found


def steps_of(scored: Scored) -> Steps:
    """Return the share that was right by score, in at most ten bins of equal size.

    Neighbouring bins are pooled until the shares rise.
    """
    ordered = sorted(scored)
    if not ordered:
        return ()
    bins = max(1, min(_BINS, len(ordered) // _FEWEST_IN_A_BIN))
    pooled: list[_Bin] = []
    for number in range(bins):
        part = ordered[number * len(ordered) // bins : (number + 1) * len(ordered) // bins]
        lowest, _ = part[0]
        pooled.append(_Bin(lowest, right=sum(is_right for _, is_right in part), count=len(part)))
        while len(pooled) > 1 and not _rises(pooled[-2], pooled[-1]):
            last = pooled.pop()
            pooled[-1].right += last.right
            pooled[-1].count += last.count
    return tuple((each.lowest, each.share) for each in pooled)


@dataclass
class _Bin:
    """Scores from `lowest` on. `right` is the number of right answers among `count`."""

    lowest: float
    right: int
    count: int

    @property
    def share(self) -> float:
        return self.right / self.count


def _rises(lower: _Bin, upper: _Bin) -> bool:
    """Return whether a step leads from the lower bin to the upper one, in the score and in the share."""
    return lower.share < upper.share and lower.lowest != upper.lowest
