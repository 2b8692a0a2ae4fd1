"""`make bench-candidates`: how often the right knowledge point is among the candidates that a model is shown.

Half of the labels of a set are known, and the mistakes of the other half are judged, for both halves. No student is
in both halves, and no question: a mistake is left out if a learned one has nearly the same text. The table compares
the words alone, the labelled neighbours alone, and both lists merged, which is what the analyzer sends.

A second table has the hits of a scripted perfect chooser: it names a right point whenever the prompt shows one, and
its answer is read as the analyzer reads every answer. No model can do better with the same prompts. The command needs
no provider and takes two minutes. It exits with 1 if a goal is missed.
"""

import json
import sys
from collections.abc import Collection, Iterator, Sequence

from edugraph_analyzer.documents import Document
from edugraph_analyzer.findings.mapping import MappingContext, same_name, to_finding
from edugraph_analyzer.pipeline import resolutions_of
from edugraph_analyzer.prompting.questions import LLMResponse, Question, item_ids, question_of
from edugraph_analyzer.prompting.relevance import candidates
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import ErrorFinding
from evaluation.data_sets import DATA_SETS, Sample, sample
from evaluation.halves import SEED, document_of, halves_of, unseen
from evaluation.offline_check import ALL, DATA, TAL_EN, fit_of
from evaluation.statistics import Goal, goals_table, share

SETTINGS = AnalyzerSettings(openai_api_key="none", model="scripted")
TOLD = SETTINGS.known_points
# The number of points that the analyzer showed before it used the labelled mistakes, ordered by words alone.
TOLD_BEFORE = 15
LEAST_SHOWN = {"tal_zh mistakes": 0.65, "tal_en mistakes": 0.60}
COUNTS = (15, 30, TOLD)
WAYS = ("words", "neighbours", "words and neighbours")


def main() -> int:
    print(f"Half of the labels are known. The analyzer shows {TOLD} candidates.\n")
    print("| mistakes | judged | candidates by | " + " | ".join(f"@{n}" for n in COUNTS) + " |")
    print("|---|---|---|" + "---|" * len(COUNTS))
    goals = []
    rows = []
    for data_set in (DATA_SETS["tal_zh mistakes"], TAL_EN):
        samples = sample(data_set, DATA, ALL, SEED)
        shown = shown_by_way(samples)
        for way, found in shown.items():
            judged = len(found[TOLD])
            shares = [share(sum(found[count]), judged) for count in COUNTS]
            print(f"| {data_set.name} | {judged} | {way} | {' | '.join(map(str, shares))} |")
        rows += hits_of_chooser(data_set.name, samples)
        right = shown["words and neighbours"][TOLD]
        goals.append(
            Goal(
                f"right point among the candidates, {data_set.name}",
                LEAST_SHOWN[data_set.name],
                is_least=True,
                figure=share(sum(right), len(right)),
            )
        )
    print("\nhit@1 of a perfect chooser:\n")
    print("| mistakes | judged | 15 by words, named | 60 by both lists, chosen by id |")
    print("|---|---|---|---|")
    print("\n".join(rows))
    print()
    print(goals_table(goals))
    return 0 if all(goal.is_met for goal in goals) else 1


def shown_by_way(samples: Sequence[Sample]) -> dict[str, dict[int, list[bool]]]:
    """Return, by way and number of candidates, whether each judged mistake has a right point among them."""
    shown: dict[str, dict[int, list[bool]]] = {}
    for way in WAYS:
        shown[way] = {count: [] for count in COUNTS}
    for each, document, of_neighbours in judged_mistakes(samples):
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


def judged_mistakes(
    samples: Sequence[Sample],
) -> Iterator[tuple[Sample, Document, Sequence[str]]]:
    """Yield each mistake that is judged, with the points of the learned mistakes that are like it."""
    halves = halves_of(samples)
    for learned, judged in (halves, halves[::-1]):
        fit_in = fit_of(learned, together=False)
        analyzer = RuleBasedAnalyzer(fit_in)
        for each in unseen(learned, judged):
            document = document_of(each)
            if fit_in(document.courses) is not None:
                yield each, document, analyzer.points_of_neighbours(document)


def hits_of_chooser(name: str, samples: Sequence[Sample]) -> list[str]:
    """Return the row of a set in the table of the perfect chooser."""
    few = SETTINGS.model_copy(update={"known_points": TOLD_BEFORE})
    before = list[bool]()
    after = list[bool]()
    for each, document, of_neighbours in judged_mistakes(samples):
        before.append(is_hit(question_of(document, few), each.points, by_id=False))
        asked = question_of(document, SETTINGS, (), of_neighbours)
        after.append(is_hit(asked, each.points, by_id=True))
    hits_before = share(sum(before), len(before))
    hits_after = share(sum(after), len(after))
    return [f"| {name} | {len(before)} | {hits_before} | {hits_after} |"]


def is_hit(asked: Question, right: Collection[str], *, by_id: bool) -> bool:
    """Return whether the first point of the finding is right, if the model names a right point that it was shown."""
    named = list[str]()
    for number, point in enumerate(asked.points, start=1):
        if point in right:
            named.append(f"k{number}" if by_id else point)
    (item_id,) = item_ids(1)
    links = [{"name": name, "strength": 1, "confidence": 1} for name in named[:1]]
    entry = {
        "id": item_id,
        "evidence": [],
        "error_types": [],
        "knowledge_points": links,
        "difficulty": None,
        "severity": None,
        "confidence": 1,
    }
    response = LLMResponse(json.dumps({"answers": [entry]}), True, 0, 0)
    (resolution,) = resolutions_of([asked], response, [item_id])
    if resolution.answer is None:
        raise ValueError(resolution.reason)
    context = MappingContext(asked.document, asked.redactor, 1.0)
    finding = to_finding(resolution.answer, context)
    if not isinstance(finding, ErrorFinding) or not finding.knowledge_points:
        return False
    return same_name(finding.knowledge_points[0].name) in set(map(same_name, right))


if __name__ == "__main__":
    sys.exit(main())
