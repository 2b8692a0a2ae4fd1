"""What a fit says of a mistake: the knowledge points of the most similar labelled mistakes, and the kind of mistake.

Plain Python does it in under a millisecond beside some thousand rows; scikit-learn would make the image 270 MB larger
(docs/adr/0044). Both parts are sums over the rows of the fit, and nothing else is kept.
"""

import math
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

from edugraph_analyzer.documents import Document
from edugraph_analyzer.prompting.relevance import likenesses, pieces
from edugraph_analyzer.rule_based.lexicon_reading import students_turns
from edugraph_common.contracts.findings import FoundErrorType, LinkedPoint
from edugraph_common.contracts.fits import FitHeader, LabelledRow, Steps

NEIGHBOURS = 20
FEWEST_OF_A_TYPE = 5  # labelled mistakes; a kind of which there are fewer is not known
# A word counts if at most so many of the labelled mistakes have it, or a fifth of them where that is more: comparing
# by commoner words takes most of the time.
_MOST_WITH_A_WORD = 200
_LEAST_CONFIDENCE = 0.05  # what is right more rarely than this is not said
_LONGEST_SHAPE = 8
_SIGN = re.compile(r"[^\w\s]")

Vector = dict[str, float]


def words_of(document: Document) -> Counter[str]:
    """Count the stems of a text, without the names of the people whom its record names."""
    names = {piece for person in document.people for piece in pieces(person.value)}
    return Counter(piece for piece in pieces(document.text) if piece not in names)


def signs_of(document: Document) -> tuple[str, ...]:
    """Return what the form of the student's own words shows: how long they are, and how their last line looks."""
    own = students_turns("\n".join(text for label, text in document.sections if label == "mistake")).strip()
    lines = own.splitlines()
    last = lines[-1].strip() if lines else ""
    shape = re.sub(r"\d+", "9", last)[:_LONGEST_SHAPE]
    lengths = {"length": len(own), "lines": len(lines), "last line": len(last)}
    return (
        *(f"{name} {int(math.log2(length + 1))}" for name, length in lengths.items()),
        f"shape {shape}",
        "number" if re.search(r"\d", last) else "no number",
        *sorted(f"sign {sign}" for sign in set(_SIGN.findall(own))),
    )


class TfIdf:
    """Vectors of unit length of bags of words: (1 + ln count) times ln((1 + bags) / (1 + bags with it)) + 1.

    A word counts if at most this many bags have it.
    """

    def __init__(self, bags: Sequence[Mapping[str, int]], most: float = math.inf) -> None:
        seen = Counter(word for bag in bags for word in bag)
        self._rarity = {
            word: math.log((1 + len(bags)) / (1 + count)) + 1 for word, count in seen.items() if count <= most
        }

    def vector(self, bag: Mapping[str, int]) -> Vector:
        """Return the vector of a bag. A word that no bag has counts nothing; a bag without any other is empty."""
        found = {
            word: (1 + math.log(count)) * self._rarity[word] for word, count in bag.items() if word in self._rarity
        }
        length = math.sqrt(sum(weight * weight for weight in found.values()))
        return {word: weight / length for word, weight in found.items()}


class Linker:
    """The knowledge points of the nearest labelled mistakes: each votes with the square of its cosine."""

    def __init__(self, rows: Sequence[LabelledRow]) -> None:
        labelled = [row for row in rows if row.knowledge_points]
        self._tf_idf = TfIdf([row.words for row in labelled], max(_MOST_WITH_A_WORD, len(labelled) / 5))
        self._points = [row.knowledge_points for row in labelled]
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for place, row in enumerate(labelled):
            for word, weight in self._tf_idf.vector(row.words).items():
                self._postings[word].append((place, weight))
        self.points = tuple(sorted({point for points in self._points for point in points}))

    def votes(self, words: Mapping[str, int]) -> dict[str, float]:
        """Return the votes by point."""
        cosines: dict[int, float] = defaultdict(float)
        for word, weight in self._tf_idf.vector(words).items():
            for place, other in self._postings[word]:
                cosines[place] += weight * other
        votes: dict[str, float] = defaultdict(float)
        # Of equal ones the earlier row counts, so that one fit gives one answer.
        for place, cosine in nlargest(NEIGHBOURS, cosines.items(), key=lambda each: (each[1], -each[0])):
            for point in self._points[place]:
                votes[point] += cosine * cosine
        return votes


class Classifier:
    """The kind of mistake whose labelled mistakes are nearest in the mean: the cosine with their mean vector."""

    def __init__(self, rows: Sequence[LabelledRow]) -> None:
        counts = Counter(name for row in rows for name in row.error_types)
        self.types = tuple(sorted(name for name, count in counts.items() if count >= FEWEST_OF_A_TYPE))
        typed = [row for row in rows if row.error_types]
        self._tf_idf = TfIdf([self._bag(row.words, row.signs) for row in typed])
        sums: dict[str, Vector] = {name: defaultdict(float) for name in self.types}
        for row in typed:
            vector = self._tf_idf.vector(self._bag(row.words, row.signs))
            for name in row.error_types:
                for word, weight in vector.items() if name in sums else ():
                    sums[name][word] += weight
        self._means: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for name, total in sums.items():
            length = math.sqrt(sum(weight * weight for weight in total.values()))
            for word, weight in total.items():
                self._means[word].append((name, weight / length))

    @staticmethod
    def _bag(words: Mapping[str, int], signs: Iterable[str]) -> Counter[str]:
        """Count words and signs. Of a number its length counts alone: which one it is belongs to the question."""
        bag = Counter(f"sign: {sign}" for sign in signs)
        for word, count in words.items():
            bag[f"{len(word)} digits" if word.isdecimal() else word] += count
        return bag

    def said(self, words: Mapping[str, int], signs: Iterable[str]) -> tuple[str, float] | None:
        """Return the kind and how much nearer it is than the next, or None where fewer than two kinds are known."""
        scores = dict.fromkeys(self.types, 0.0)
        for word, weight in self._tf_idf.vector(self._bag(words, signs)).items():
            for name, other in self._means.get(word, ()):
                scores[name] += weight * other
        ranked = nlargest(2, scores.items(), key=lambda each: each[1])
        return (ranked[0][0], ranked[0][1] - ranked[1][1]) if len(ranked) > 1 else None


def ranked_points(votes: Mapping[str, float], likes: Mapping[str, float], weight: float) -> list[tuple[str, float]]:
    """Return the points with their scores, the best first; of equal ones the longer name, which says more."""
    scores = {name: votes.get(name, 0.0) + weight * likes.get(name, 0.0) for name in {*votes, *likes}}
    found = [(name, score) for name, score in scores.items() if score > 0]
    return sorted(found, key=lambda each: (-each[1], -len(each[0]), each[0]))


def confidence_of(steps: Steps, score: float) -> float:
    """Return the share that was right at such a score, and less in proportion below all scores that were seen."""
    if not steps:
        return 0.0
    place = bisect_right([start for start, _ in steps], score)
    return steps[place - 1][1] if place else steps[0][1] * score / steps[0][0]


@dataclass(frozen=True)
class Fit:
    """A fit, ready to be asked."""

    header: FitHeader
    linker: Linker
    classifier: Classifier

    @classmethod
    def of(cls, header: FitHeader, rows: Sequence[LabelledRow]) -> "Fit":
        return cls(header, Linker(rows), Classifier(rows))

    def points(self, document: Document, most: int) -> list[LinkedPoint]:
        """Return the points behind a mistake, the best first; none that is hardly ever right."""
        names = tuple(dict.fromkeys((*document.known_points, *self.linker.points)))
        likes = dict(zip(names, likenesses(document.text, names), strict=True)) if self.header.name_weight else {}
        ranked = ranked_points(self.linker.votes(words_of(document)), likes, self.header.name_weight)[:most]
        total = sum(score for _, score in ranked)
        linked = (
            LinkedPoint(
                name=name,
                strength=round(score / total, 2),
                confidence=round(confidence_of(self.header.point_steps, score), 2),
            )
            for name, score in ranked
        )
        return [point for point in linked if point.confidence >= _LEAST_CONFIDENCE]

    def error_type(self, document: Document) -> FoundErrorType | None:
        """Return the kind of mistake, or None where the labelled mistakes cannot tell it."""
        said = self.classifier.said(words_of(document), signs_of(document)) if self.header.type_steps else None
        confidence = confidence_of(self.header.type_steps, said[1]) if said else 0.0
        if said is None or confidence < _LEAST_CONFIDENCE:
            return None
        return FoundErrorType(name=said[0], confidence=round(confidence, 2))
