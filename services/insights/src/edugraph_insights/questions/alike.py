"""Sentences about what went wrong that are nearly equal, as pairs for people to judge. Nothing is merged here."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from edugraph_insights.facts import Facts
from edugraph_insights.graph import Row

# Two sentences are proposed if this share of their pairs of neighbouring characters is the same (Dice).
LEAST_LIKENESS = 0.7
# Only the most frequent sentences at a point are compared, because each is compared with each.
MOST_SENTENCES = 200


class Sentence(NamedTuple):
    """A sentence about what went wrong. `canonical` is the id of the sentence that stands for its whole group."""

    id: str
    name: str
    canonical: str


class AlikeSentences(NamedTuple):
    """The ids and names of two sentences, the smaller id first, as `PointsToReview` has them.

    `records` and `other_records` are the numbers of their mistakes. `same` is the verdict, or None.
    """

    point: str
    name: str
    other: str
    other_name: str
    records: int
    other_records: int
    likeness: float
    same: bool | None
    skipped: bool


def alike_sentences(facts: Facts, course: str) -> Iterator[AlikeSentences]:
    """Yield the pairs of sentences at one point that are nearly equal, and those that somebody judged.

    Sentences that mean the same through others need no verdict, so they are left out.
    """
    rows = facts.misconceptions(course)
    records: dict[Sentence, set[str]] = defaultdict(set)
    # point -> the sentences of its mistakes. A mistake without a point is at None.
    at_point: dict[str | None, set[Sentence]] = defaultdict(set)
    for row in rows:
        sentence = Sentence(row["id"], row["name"], row["canonical"])
        records[sentence].add(row["record"])
        for point in row["points"] or [None]:
            at_point[point].add(sentence)
    verdicts = _verdicts(facts, records)
    # A sentence is compared with many others, so its pairs of characters are counted once.
    neighbours: dict[Sentence, Counter[str]] = {}
    for sentence in records:
        neighbours[sentence] = _neighbours(sentence.name)
    for one, other in sorted(_pairs(at_point, records)):
        judged = verdicts.get((one.id, other.id))
        likeness = _likeness(neighbours[one], neighbours[other])
        same = None
        skipped = False
        if judged is not None:
            same = judged["same"]
            skipped = bool(judged["skipped"])
        is_open = one.canonical != other.canonical and likeness >= LEAST_LIKENESS
        if same is None and not is_open:
            continue
        yield AlikeSentences(
            one.id,
            one.name,
            other.id,
            other.name,
            len(records[one]),
            len(records[other]),
            likeness,
            same,
            skipped,
        )


def _pairs(
    at_point: Mapping[str | None, set[Sentence]], records: Mapping[Sentence, set[str]]
) -> set[tuple[Sentence, Sentence]]:
    """Return each pair of sentences that are at one point, the smaller id first."""
    pairs: set[tuple[Sentence, Sentence]] = set()
    for sentences in at_point.values():
        most_frequent = sorted(sentences, key=lambda each: (-len(records[each]), each.id))
        compared = sorted(most_frequent[:MOST_SENTENCES])
        pairs.update(combinations(compared, 2))
    return pairs


def _verdicts(facts: Facts, sentences: Mapping[Sentence, set[str]]) -> dict[tuple[str, str], Row]:
    """Return (smaller id, larger id) -> the row with the verdict of reviewers."""
    verdicts: dict[tuple[str, str], Row] = {}
    for row in facts.judged_misconceptions(sentence.id for sentence in sentences):
        smaller, larger = sorted((row["one"], row["other"]))
        verdicts[smaller, larger] = row
    return verdicts


def likeness_of(sentence: str, other: str) -> float:
    """Return the share of pairs of neighbouring characters that both sentences have, from 0 to 1."""
    return _likeness(_neighbours(sentence), _neighbours(other))


def _likeness(pairs: Counter[str], other_pairs: Counter[str]) -> float:
    number = pairs.total() + other_pairs.total()
    if number == 0:
        return 0.0
    shared = (pairs & other_pairs).total()
    return 2 * shared / number


def _neighbours(sentence: str) -> Counter[str]:
    letters = [char for char in sentence.casefold() if char.isalnum() or char == " "]
    text = " ".join("".join(letters).split())
    return Counter(text[start : start + 2] for start in range(len(text) - 1))
