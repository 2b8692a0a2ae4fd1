"""`make bench-candidates`: how often the right knowledge point is among the candidates that a model is shown.

Half of the labels of a set are known, and the mistakes of the other half are judged, for both halves. No student is
in both halves, and no question: a mistake is left out if a learned one has nearly the same text. The table compares
the words alone, the labelled neighbours alone, and both lists merged, which is what the analyzer sends. The command
needs no provider and takes a minute. It exits with 1 if a goal is missed.
"""

import sys
from collections.abc import Sequence

from edugraph_analyzer.prompting.relevance import candidates
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.settings import AnalyzerSettings
from evaluation.data_sets import DATA_SETS, Sample, sample
from evaluation.halves import SEED, document_of, halves_of, unseen
from evaluation.offline_check import ALL, DATA, TAL_EN, fit_of
from evaluation.statistics import Goal, goals_table, share

TOLD = AnalyzerSettings().known_points
LEAST_SHOWN = {"tal_zh mistakes": 0.65, "tal_en mistakes": 0.60}
COUNTS = (15, 30, TOLD)
WAYS = ("words", "neighbours", "words and neighbours")


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
    for way in WAYS:
        shown[way] = {count: [] for count in COUNTS}
    halves = halves_of(samples)
    for learned, judged in (halves, halves[::-1]):
        fit_in = fit_of(learned, together=False)
        analyzer = RuleBasedAnalyzer(fit_in)
        for each in unseen(learned, judged):
            document = document_of(each)
            if fit_in(document.courses) is None:
                continue
            of_neighbours = analyzer.points_of_neighbours(document)
            for count in COUNTS:
                found = {
                    "words": candidates(document.text, document.known_points, (), count),
                    "neighbours": of_neighbours[:count],
                    "words and neighbours": candidates(
                        document.text, document.known_points, of_neighbours, count
                    ),
                }
                for way, points in found.items():
                    shown[way][count].append(not set(points).isdisjoint(each.points))
    return shown


if __name__ == "__main__":
    sys.exit(main())
