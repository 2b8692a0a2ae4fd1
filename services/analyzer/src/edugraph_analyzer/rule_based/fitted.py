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
from itertools import chain

from edugraph_analyzer.documents import Document
from edugraph_analyzer.prompting.relevance import likenesses, pieces
from edugraph_analyzer.rule_based.lexicon_reading import students_turns
from edugraph_common.contracts.findings import FoundErrorType, LinkedPoint
from edugraph_common.contracts.fits import FitHeader, LabelledRow, Steps

NEIGHBOURS = 20
# Two mistakes whose texts are as like as this were made at the same question.
SAME_QUESTION_COSINE = 0.8
FEWEST_OF_A_TYPE = 5  # labelled mistakes; a kind of which there are fewer is not known
# A word counts if at most so many of the labelled mistakes have it, or a fifth of them where that is more: comparing
# by commoner words takes most of the time.
_MOST_WITH_A_WORD = 200
_LEAST_CONFIDENCE = 0.05  # what is right more rarely than this is not said
_LONGEST_SHAPE = 8
_SIGN = re.compile(r"[^\w\s]")

Vector = dict[str, float]


def words_of(document: Document) -> Counter[str]:
    """Return the number of each stem in a text, without the names of the people whom its record names."""
    names: set[str] = set()
    for person in document.people:
        names.update(pieces(person.value))
    return Counter(piece for piece in pieces(document.text) if piece not in names)


def signs_of(document: Document) -> tuple[str, ...]:
    """Return features of the form of the student's own words: their length, and the form of their last line."""
    mistakes = "\n".join(text for label, text in document.sections if label == "mistake")
    own = students_turns(mistakes).strip()
    lines = own.splitlines()
    last_line = lines[-1].strip() if lines else ""
    signs: list[str] = []
    for name, length in (
        ("length", len(own)),
        ("lines", len(lines)),
        ("last line", len(last_line)),
    ):
        magnitude = int(math.log2(length + 1))
        signs.append(f"{name} {magnitude}")
    shape = re.sub(r"\d+", "9", last_line)
    signs.append(f"shape {shape[:_LONGEST_SHAPE]}")
    has_number = re.search(r"\d", last_line) is not None
    signs.append("number" if has_number else "no number")
    signs += sorted(f"sign {sign}" for sign in set(_SIGN.findall(own)))
    return tuple(signs)


class TfIdf:
    """Makes vectors of unit length from bags of words.

    The weight of a word is (1 + ln count) · (ln((1 + bags) / (1 + bags with the word)) + 1). A word that more than
    `most` bags have is ignored.
    """

    def __init__(self, bags: Sequence[Mapping[str, int]], most: float = math.inf) -> None:
        bags_with: Counter[str] = Counter()
        for bag in bags:
            bags_with.update(bag.keys())
        self._rarity: Vector = {}
        for word, number in bags_with.items():
            if number <= most:
                self._rarity[word] = math.log((1 + len(bags)) / (1 + number)) + 1

    def vector(self, bag: Mapping[str, int]) -> Vector:
        """Return the vector of a bag. Words that no bag had are ignored, so the vector may be empty."""
        weights: Vector = {}
        for word, count in bag.items():
            if word in self._rarity:
                weights[word] = (1 + math.log(count)) * self._rarity[word]
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()}


@dataclass(frozen=True)
class Votes:
    """The votes of the nearest labelled mistakes by point, and the cosine of the nearest one (0 for none)."""

    by_point: dict[str, float]
    nearest_cosine: float

    @property
    def is_same_question(self) -> bool:
        return self.nearest_cosine >= SAME_QUESTION_COSINE


class Linker:
    """Finds the knowledge points of the nearest labelled mistakes. Each votes with the square of its cosine."""

    def __init__(self, rows: Sequence[LabelledRow]) -> None:
        labelled = [row for row in rows if row.knowledge_points]
        self._tf_idf = TfIdf(
            [row.words for row in labelled], max(_MOST_WITH_A_WORD, len(labelled) / 5)
        )
        self._points = [row.knowledge_points for row in labelled]
        # word -> [(index of the row, weight)]
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for index, row in enumerate(labelled):
            for word, weight in self._tf_idf.vector(row.words).items():
                self._postings[word].append((index, weight))
        self.points = tuple(sorted(set(chain.from_iterable(self._points))))

    def votes(
        self,
        words: Mapping[str, int],
        neighbours: int = NEIGHBOURS,
        *,
        without_same_question: bool = False,
    ) -> Votes:
        """Return the votes of the nearest labelled mistakes.

        `without_same_question` leaves out the mistakes at the same question, as if nobody had labelled any of them.
        """
        cosines: dict[int, float] = defaultdict(float)  # index of the row -> cosine
        for word, weight in self._tf_idf.vector(words).items():
            for index, weight_in_row in self._postings[word]:
                cosines[index] += weight * weight_in_row
        if without_same_question:
            cosines = {
                index: cosine for index, cosine in cosines.items() if cosine < SAME_QUESTION_COSINE
            }
        # If two rows are equally near, the earlier one counts, so that one fit gives one answer.
        nearest = nlargest(neighbours, cosines.items(), key=lambda each: (each[1], -each[0]))
        by_point: dict[str, float] = defaultdict(float)
        for index, cosine in nearest:
            for point in self._points[index]:
                by_point[point] += cosine * cosine
        return Votes(by_point, max(cosines.values(), default=0.0))


class Classifier:
    """The kind of mistake whose labelled mistakes are nearest in the mean: the cosine with their mean vector."""

    def __init__(self, rows: Sequence[LabelledRow]) -> None:
        counts: Counter[str] = Counter()
        for row in rows:
            counts.update(row.error_types)
        self.types = tuple(
            sorted(name for name, count in counts.items() if count >= FEWEST_OF_A_TYPE)
        )
        typed = [row for row in rows if row.error_types]
        self._tf_idf = TfIdf([self._bag(row.words, row.signs) for row in typed])
        sums: dict[str, Vector] = {name: defaultdict(float) for name in self.types}
        for row in typed:
            vector = self._tf_idf.vector(self._bag(row.words, row.signs))
            for name in row.error_types:
                if name not in sums:
                    continue
                for word, weight in vector.items():
                    sums[name][word] += weight
        # word -> [(type, weight in the mean vector of the type)]
        self._means: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for name, total in sums.items():
            length = math.sqrt(sum(weight * weight for weight in total.values()))
            for word, weight in total.items():
                self._means[word].append((name, weight / length))

    @staticmethod
    def _bag(words: Mapping[str, int], signs: Iterable[str]) -> Counter[str]:
        """Return the numbers of words and signs.

        A number counts only by its length, because the number itself belongs to the question.
        """
        bag = Counter(f"sign: {sign}" for sign in signs)
        for word, count in words.items():
            key = word
            if word.isdecimal():
                key = f"{len(word)} digits"
            bag[key] += count
        return bag

    def said(self, words: Mapping[str, int], signs: Iterable[str]) -> tuple[str, float] | None:
        """Return the nearest type and its lead over the next one, or None if fewer than two types are known."""
        if len(self.types) < 2:
            return None
        scores = dict.fromkeys(self.types, 0.0)
        for word, weight in self._tf_idf.vector(self._bag(words, signs)).items():
            for name, weight_in_mean in self._means.get(word, ()):
                scores[name] += weight * weight_in_mean
        (best, best_score), (_, next_score) = nlargest(2, scores.items(), key=lambda each: each[1])
        return best, best_score - next_score


def ranked_points(
    votes: Mapping[str, float], likes: Mapping[str, float], weight: float
) -> list[tuple[str, float]]:
    """Return the points with their scores, the best first. Of two equal ones the longer name is first."""
    scores: dict[str, float] = {}
    for name in {*votes, *likes}:
        score = votes.get(name, 0.0) + weight * likes.get(name, 0.0)
        if score > 0:
            scores[name] = score
    return sorted(scores.items(), key=lambda each: (-each[1], -len(each[0]), each[0]))


def confidence_of(steps: Steps, score: float) -> float:
    """Return the share of right answers at such a score. Below all scores that were seen it falls in proportion."""
    if not steps:
        return 0.0
    steps_reached = bisect_right([start for start, _ in steps], score)
    if steps_reached == 0:
        first_start, first_share = steps[0]
        return first_share * score / first_start
    _, share = steps[steps_reached - 1]
    return share


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
        """Return the points behind a mistake, the best first. Points that are hardly ever right are left out."""
        names = tuple(dict.fromkeys((*document.known_points, *self.linker.points)))
        likes: dict[str, float] = {}
        if self.header.name_weight:
            likes = dict(zip(names, likenesses(document.text, names), strict=True))
        votes = self.linker.votes(words_of(document))
        steps = self.header.new_question_steps
        if votes.is_same_question:
            steps = self.header.same_question_steps
        ranked = ranked_points(votes.by_point, likes, self.header.name_weight)[:most]
        total = sum(score for _, score in ranked)
        linked: list[LinkedPoint] = []
        for name, score in ranked:
            confidence = round(confidence_of(steps, score), 2)
            if confidence >= _LEAST_CONFIDENCE:
                linked.append(
                    LinkedPoint(name=name, strength=round(score / total, 2), confidence=confidence)
                )
        return linked

    def error_type(self, document: Document) -> FoundErrorType | None:
        """Return the type of a mistake, or None if it does not follow from the labelled mistakes."""
        if not self.header.type_steps:
            return None
        said = self.classifier.said(words_of(document), signs_of(document))
        if said is None:
            return None
        name, lead = said
        confidence = confidence_of(self.header.type_steps, lead)
        if confidence < _LEAST_CONFIDENCE:
            return None
        return FoundErrorType(name=name, confidence=round(confidence, 2))
