"""`make bench-candidates`: how often the right knowledge point is among the candidates that a model is shown.

Half of the labels of a set are known, and the mistakes of the other half are judged, for both halves. No student is
in both halves, and no question: a mistake is left out if a learned one has nearly the same text. The table compares
the words alone, the labelled neighbours alone, and both lists merged, which is what the analyzer sends. The command
needs no provider and takes a minute. It exits with 1 if a goal is missed.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from edugraph_analyzer.documents import Document
from edugraph_analyzer.prompting.relevance import candidates
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.rule_based.fitted import Fit
from edugraph_analyzer.rule_based.fitting import FEWEST_ITEMS, by_course, fit_course
from edugraph_analyzer.rule_based.labels import LabelledItem
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.messages import CourseContext
from evaluation.data_sets import DATA_SETS, Sample, sample
from evaluation.halves import SEED, document_of, halves_of, unseen
from evaluation.offline_check import ALL, DATA, TAL_EN
from evaluation.statistics import Goal, goals_table, share

TOLD = AnalyzerSettings().known_points
LEAST_SHOWN = {"tal_zh mistakes": 0.65, "tal_en mistakes": 0.60}
COUNTS = (15, 30, TOLD)

Ranking = Callable[[Document, int], Iterable[str]]


def main() -> int:
    print(f"Half of the labels are known. The analyzer shows {TOLD} candidates.\n")
    print("| mistakes | judged | candidates by | " + " | ".join(f"@{n}" for n in COUNTS) + " |")
    print("|---|---|---|" + "---|" * len(COUNTS))
    goals = []
    for data_set in (DATA_SETS["tal_zh mistakes"], TAL_EN):
        samples = sample(data_set, DATA, ALL, SEED)
        shown = shown_by_way(samples)
        for way, found in shown.items():
            judged = len(found[TOLD])
            shares = [share(sum(found[count]), judged) for count in COUNTS]
            print(f"| {data_set.name} | {judged} | {way} | {' | '.join(map(str, shares))} |")
        right = shown["words and neighbours"][TOLD]
        goals.append(
            Goal(
                f"right point among the candidates, {data_set.name}",
                LEAST_SHOWN[data_set.name],
                is_least=True,
                figure=share(sum(right), len(right)),
            )
        )
    print()
    print(goals_table(goals))
    return 0 if all(goal.is_met for goal in goals) else 1


def shown_by_way(samples: Sequence[Sample]) -> dict[str, dict[int, list[bool]]]:
    """Return, by way and number of candidates, whether each judged mistake has a right point among them."""
    shown: dict[str, dict[int, list[bool]]] = {}
    for way in ("words", "neighbours", "words and neighbours"):
        shown[way] = {count: [] for count in COUNTS}
    halves = halves_of(samples)
    for learned, judged in (halves, halves[::-1]):
        fits = fits_of(learned)
        analyzer = RuleBasedAnalyzer(partial(fit_in, fits))
        for each in unseen(learned, judged):
            document = document_of(each)
            if fit_in(fits, document.courses) is None:
                continue
            for way, candidates_of in ways(analyzer).items():
                for count in COUNTS:
                    found = set(candidates_of(document, count))
                    shown[way][count].append(not found.isdisjoint(each.points))
    return shown


def ways(analyzer: RuleBasedAnalyzer) -> dict[str, Ranking]:
    """Return the ways to find candidates, by name. Each takes a document and the number of candidates."""

    def by_words(document: Document, count: int) -> Iterable[str]:
        return candidates(document.text, document.known_points, (), count)

    def by_neighbours(document: Document, count: int) -> Iterable[str]:
        return analyzer.points_of_neighbours(document)[:count]

    def by_both(document: Document, count: int) -> Iterable[str]:
        of_neighbours = analyzer.points_of_neighbours(document)
        return candidates(document.text, document.known_points, of_neighbours, count)

    return {"words": by_words, "neighbours": by_neighbours, "words and neighbours": by_both}


def fits_of(learned: Iterable[Sample]) -> dict[str, Fit]:
    """Return the fit of each course that has enough labelled mistakes, by the id of the course."""
    items = [LabelledItem(each.record, (), each.points) for each in learned]
    fits = {}
    for course_id, labelled in by_course(items).items():
        if len(labelled) >= FEWEST_ITEMS:
            fits[course_id] = Fit.of(*fit_course(course_id, labelled, datetime.now(UTC)))
    return fits


def fit_in(fits: dict[str, Fit], courses: Iterable[CourseContext]) -> Fit | None:
    for course in courses:
        if course.course_id in fits:
            return fits[course.course_id]
    return None


if __name__ == "__main__":
    sys.exit(main())
