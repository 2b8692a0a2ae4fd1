"""Halves of a labelled set: one is learned, and the other judges what was learned."""

import random
from collections.abc import Iterator, Sequence

from edugraph_analyzer.documents import Document, read_document
from edugraph_analyzer.rule_based.fitted import TfIdf, words_of
from evaluation.data_sets import Sample

SEED = 1
# Two mistakes with texts as like as this were made at the same question.
SAME_TEXT_COSINE = 0.8


def halves_of(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Return both halves. All records of one student are in the same half."""
    students = sorted({_student(each) for each in samples})
    random.Random(SEED).shuffle(students)  # noqa: S311 - a draw, no secret
    in_first_half = set(students[::2])
    first_half = [each for each in samples if _student(each) in in_first_half]
    second_half = [each for each in samples if _student(each) not in in_first_half]
    return first_half, second_half


def _student(each: Sample) -> str:
    return str(each.record["data"]["student_id"])


def unseen(learned: Sequence[Sample], judged: Sequence[Sample]) -> Iterator[Sample]:
    """Yield each judged mistake, unless a learned one has nearly the same text."""
    learned_bags = [words_of(document_of(each)) for each in learned]
    tf_idf = TfIdf(learned_bags)
    vectors = [tf_idf.vector(bag) for bag in learned_bags]
    # word -> [(index of the learned mistake, weight)]
    postings: dict[str, list[tuple[int, float]]] = {}
    for index, vector in enumerate(vectors):
        for word, weight in vector.items():
            postings.setdefault(word, []).append((index, weight))
    for each in judged:
        cosines: dict[int, float] = {}
        for word, weight in tf_idf.vector(words_of(document_of(each))).items():
            for index, other in postings[word]:
                cosines[index] = cosines.get(index, 0.0) + weight * other
        if max(cosines.values(), default=0.0) < SAME_TEXT_COSINE:
            yield each


def document_of(each: Sample) -> Document:
    contexts = [each.context] if each.context else []
    return read_document(each.record, "error", contexts)
