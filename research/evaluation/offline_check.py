"""`make evaluate-offline`: quality and speed of the offline analyser on labelled mistakes, texts and messages.

The command needs no provider and takes two minutes. The labelled mistakes and texts are in EDUGRAPH_SHARED_DATA, and
the messages with a mood and a topic in `research/evaluation/moods`. A fit learns from one half of a set and is judged
by the other half, for both halves. The command exits with 1 if a goal is missed.
"""

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from sklearn.metrics import f1_score

from edugraph_analyzer.documents import Document, read_document
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.rule_based.fitted import Fit, signs_of, words_of
from edugraph_analyzer.rule_based.fitting import FEWEST_ITEMS, by_course, fit_course
from edugraph_analyzer.rule_based.labels import LabelledItem
from edugraph_common.contracts.findings import ErrorFinding, InteractionFinding
from edugraph_common.contracts.messages import CourseContext
from evaluation.agreement import NO_TOPIC, row_of, topic_of
from evaluation.data_sets import DATA_SETS, DataSet, Sample, mood_record, sample
from evaluation.halves import SEED, halves_of, unseen
from evaluation.moods import second_labels
from evaluation.statistics import (
    Goal,
    Interval,
    bootstrapped,
    bootstrapped_strata,
    calibration_error,
    exactly,
    goals_table,
    share,
)

CHECKOUT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("EDUGRAPH_SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
REPORT = CHECKOUT / ".run" / "evaluate-offline.json"
SAMPLE, ALL = 400, 10_000
TAL_EN = DataSet("tal_en mistakes", "tal_en", "error", "en", "-error", has_points=True)
LINKED = (
    DATA_SETS["bridge"],
    DATA_SETS["tal_zh mistakes"],
    TAL_EN,
    DATA_SETS["tal_en texts"],
    DATA_SETS["tal_zh texts"],
)
# The sets that have courses with enough labelled mistakes in each half. The kinds of mistakes are learned from all
# courses of a set together.
FITTED = (DATA_SETS["tal_zh mistakes"], TAL_EN)
TYPED = (DATA_SETS["bridge"], DATA_SETS["stepverify"])
# Set -> the share of first points that the analyser of commit 2360cc2 had right.
BEFORE = {"bridge": 0.064, "tal_zh mistakes": 0.004, "tal_en mistakes": 0.012}
LEAST_GAIN, MOST_FALSE_ALARMS, MOST_MISCALIBRATED, LEAST_A_SECOND = 3.0, 0.05, 0.10, 300.0
LEAST_HIT, LEAST_F1 = 0.15, 0.20
TURN = re.compile(r"^(?:student|tutor|teacher|学生|老师)[:：]", re.MULTILINE)
A_SECOND = "a second of CPU"
Row = dict[str, Any]
FitOf = Callable[[Sequence[CourseContext]], Fit | None]
"""Returns the fit of courses, or None."""


def without_fit(_: Sequence[CourseContext]) -> None:
    """Return no fit."""


@dataclass
class Judged:
    """The rows of a set, and the CPU time of its findings in seconds.

    A row has `rank` (of the first right point, 0 for none), `first` and `type` (each is a confidence and whether it
    was right, or None without an answer) and `right_type`. `kind_by_words` is the kind that a fit has for the words,
    also where it does not name the kind because the most frequent one is right as often.
    """

    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: "Judged") -> None:
        self.rows += other.rows
        self.seconds += other.seconds

    def hits(self, places: int) -> Interval:
        ranked = [row["rank"] for row in self.rows if row["rank"] is not None]
        return share(sum(1 <= rank <= places for rank in ranked), len(ranked))

    def said(self, of: str) -> list[tuple[float, bool]]:
        return [row[of] for row in self.rows if row[of] is not None]

    @property
    def per_second(self) -> float:
        return len(self.rows) / self.seconds


def main() -> int:
    page, goals = checked()
    print(page)
    return 0 if all(goal.is_met for goal in goals) else 1


def checked() -> tuple[str, list[Goal]]:
    """Write the report, and return the page and its goals. Raises FileNotFoundError if there are no labels."""
    analyzer = RuleBasedAnalyzer()
    plain = {}
    for each in LINKED:
        plain[each.name] = judged(without_fit, each, sample(each, DATA, SAMPLE, SEED))
    fitted: dict[str, Judged] = {}
    at_new_questions: dict[str, Judged] = {}
    for each in (*FITTED, *TYPED):
        fitted[each.name], at_new_questions[each.name] = judged_in_halves(each)
    felt, about = moods(analyzer), topics(analyzer)
    goals = goals_of(plain, fitted, at_new_questions, felt)

    agreed = {
        aspect: bootstrapped(list(second_labels.both(aspect).values()), second_labels.kappa)
        for aspect in get_args(second_labels.Aspect)
    }
    REPORT.parent.mkdir(exist_ok=True)
    report = {
        "points": {name: _figures(each) for name, each in plain.items()},
        "fitted": {name: _figures(each) for name, each in fitted.items()},
        "new questions": {each.name: _figures(at_new_questions[each.name]) for each in FITTED},
        "moods": felt,
        "topics": about,
        "kappa": agreed,
        "goals": [goal.to_json() for goal in goals],
    }
    REPORT.write_text(
        json.dumps(report, ensure_ascii=False, indent=1, default=vars), encoding="utf-8"
    )
    twice = f"Cohen's kappa is {agreed['mood']} for moods, {agreed['topic']} for topics."
    tables = [
        _points_table(plain, fitted, at_new_questions),
        _kinds_table(fitted),
        _said_table("mood", felt),
    ]
    parts = [
        *tables,
        _said_table("topic", about),
        f"The messages were labelled twice. {twice}",
        goals_table(goals),
    ]
    return "\n\n".join(parts), goals


def _points_table(
    plain: dict[str, Judged], fitted: dict[str, Judged], at_new_questions: dict[str, Judged]
) -> str:
    shown = dict(plain)
    for each in FITTED:
        shown[f"{each.name}, fitted"] = fitted[each.name]
        shown[f"{each.name}, fitted, new questions"] = at_new_questions[each.name]
    head = (
        "labelled",
        "records",
        "first point right",
        "one of five",
        "evidence",
        "calibration error",
        A_SECOND,
    )
    rows = [
        f"| {name} | {len(each.rows)} | {_points_shown(each)} | {each.per_second:.0f} |"
        for name, each in shown.items()
    ]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])


def _kinds_table(fitted: dict[str, Judged]) -> str:
    head = (
        "kinds of mistakes",
        "records",
        "right by the words",
        "the most frequent kind",
        "difference",
        "named by the fit",
        A_SECOND,
    )
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for data_set in TYPED:
        each = fitted[data_set.name]
        rows = [row for row in each.rows if row["right_type"]]
        named = sum(row["type"] is not None for row in rows)
        shown = (
            data_set.name,
            len(rows),
            f"{_share_right(rows):.3f}",
            f"{_share_of_most_frequent(rows):.3f}",
            bootstrapped(rows, above_most_frequent),
            f"{named / len(rows):.3f}",
            f"{each.per_second:.0f}",
        )
        lines.append(f"| {' | '.join(map(str, shown))} |")
    return "\n".join(lines)


def _share_right(rows: Sequence[Row]) -> float:
    right = [row for row in rows if row["kind_by_words"] == row["right_type"]]
    return len(right) / len(rows)


def _share_of_most_frequent(rows: Sequence[Row]) -> float:
    """Return the share of the most frequent kind, which whoever knows the set could always say."""
    [(_, count)] = Counter(row["right_type"] for row in rows).most_common(1)
    return count / len(rows)


def above_most_frequent(rows: Sequence[Row]) -> float:
    """Return how much more often the words give the right kind than the most frequent kind is right."""
    return _share_right(rows) - _share_of_most_frequent(rows)


def _said_table(head: str, found: dict[str, tuple[int, int]]) -> str:
    rows = [
        f"| {label} | {count} | {share(recognised, count)} |"
        for label, (count, recognised) in found.items()
    ]
    return "\n".join([f"| {head} | messages | said so |", "|---|---|---|", *rows])


def goals_of(
    plain: dict[str, Judged],
    fitted: dict[str, Judged],
    at_new_questions: dict[str, Judged],
    felt: dict[str, tuple[int, int]],
) -> list[Goal]:
    """Return the goals. A figure over all sets is the mean over the sets, each of which has the same weight."""

    def gain(parts: list[list[Row]]) -> float:
        return sum(_share_of_firsts(part) for part in parts) / sum(BEFORE.values())

    def mean_hit(parts: list[list[Row]]) -> float:
        return sum(_share_of_firsts(part) for part in parts) / len(parts)

    def mean_f1(parts: list[list[Row]]) -> float:
        return sum(map(macro_f1, parts)) / len(parts)

    neutral, said_neutral = felt["neutral chats"]
    pairs = {
        **{f"points of {name}": each.said("first") for name, each in plain.items()},
        **{f"points of {each.name}, fitted": fitted[each.name].said("first") for each in FITTED},
        **{
            f"points of {each.name}, fitted, new questions": at_new_questions[each.name].said(
                "first"
            )
            for each in FITTED
        },
        **{f"kinds of {each.name}, fitted": fitted[each.name].said("type") for each in TYPED},
    }
    worst = max(
        (name for name in pairs if pairs[name]), key=lambda name: calibration_error(pairs[name])
    )
    typed = [[row for row in fitted[each.name].rows if row["right_type"]] for each in TYPED]
    speeds = [plain[name].per_second for name in BEFORE] + [
        each.per_second for each in fitted.values()
    ]
    return [
        Goal(
            "first points right against 2360cc2, times as many",
            LEAST_GAIN,
            True,
            bootstrapped_strata([plain[name].rows for name in BEFORE], gain),
        ),
        Goal(
            "first point right with fitting, mean of the sets",
            LEAST_HIT,
            True,
            bootstrapped_strata([fitted[each.name].rows for each in FITTED], mean_hit),
        ),
        *(
            Goal(
                f"first point right with fitting, {each.name}",
                LEAST_HIT,
                True,
                fitted[each.name].hits(1),
            )
            for each in FITTED
        ),
        Goal(
            "macro-F1 of kinds by the words, mean of the sets",
            LEAST_F1,
            True,
            bootstrapped_strata(typed, mean_f1),
        ),
        *(
            Goal(
                f"kinds above the most frequent one, or not named: {each.name}",
                0.0,
                True,
                _above_or_not_named(fitted[each.name]),
            )
            for each in TYPED
        ),
        Goal(
            "false alarms of mood, neutral chats",
            MOST_FALSE_ALARMS,
            False,
            share(neutral - said_neutral, neutral),
        ),
        Goal(
            f"calibration error, the largest ({worst})",
            MOST_MISCALIBRATED,
            False,
            bootstrapped(pairs[worst], calibration_error),
        ),
        Goal(
            "mistakes a second of CPU, the slowest set", LEAST_A_SECOND, True, exactly(min(speeds))
        ),
    ]


def _above_or_not_named(each: Judged) -> Interval:
    """Return the difference to the most frequent kind, or 0 if the fit names no kinds."""
    rows = [row for row in each.rows if row["right_type"]]
    if not any(row["type"] for row in rows):
        return exactly(0.0)
    return bootstrapped(rows, above_most_frequent)


def _share_of_firsts(rows: Sequence[Row]) -> float:
    return sum(1 for row in rows if row["rank"] == 1) / len(rows)


def _points_shown(each: Judged) -> str:
    evidence = sum(row["evidence"] for row in each.rows) / len(each.rows)
    calibration = f"{calibration_error(each.said('first')):.3f}" if each.said("first") else "–"
    return f"{each.hits(1)} | {each.hits(5)} | {evidence:.3f} | {calibration}"


def _figures(each: Judged) -> dict[str, Any]:
    named = [row for row in each.rows if row["right_type"]]
    return {
        "records": len(each.rows),
        "hit@1": each.hits(1),
        "hit@5": each.hits(5),
        "macro_f1": bootstrapped(named, macro_f1) if named else None,
        "calibration_of_points": calibration_error(each.said("first")),
        "calibration_of_kinds": calibration_error(each.said("type")),
        "per_second": each.per_second,
    }


def macro_f1(rows: Sequence[Row]) -> float:
    """Return the macro-F1 of the kinds by words. A missing answer counts as a miss."""
    right = [row["right_type"] for row in rows]
    said = [row["kind_by_words"] for row in rows]
    return float(f1_score(right, said, average="macro", labels=sorted(set(right)), zero_division=0))


def judged(fits: FitOf, data_set: DataSet, samples: Sequence[Sample]) -> Judged:
    """Judge the analyser's findings of labelled records. The time includes only the analyser itself."""
    analyzer = RuleBasedAnalyzer(fits)
    documents = [
        read_document(each.record, data_set.kind, [each.context] if each.context else [])
        for each in samples
    ]
    began = time.process_time()
    findings = [analyzer.finding(document).finding for document in documents]
    found = Judged(seconds=time.process_time() - began)
    for each, document, finding in zip(samples, documents, findings, strict=True):
        row = row_of(data_set, each, finding, nearest_type=False)
        points, types = (
            (finding.knowledge_points, finding.error_types)
            if isinstance(finding, ErrorFinding)
            else ((), ())
        )
        # The points are in the order of their scores. Only the first point is judged.
        first = (points[0].confidence, row["rank"] == 1) if points and each.points else None
        said = (
            (types[0].confidence, types[0].name == each.error_type)
            if types and each.error_type
            else None
        )
        row |= {"first": first, "type": said, "right_type": each.error_type}
        found.rows.append(row | {"kind_by_words": _kind_by_words(fits(document.courses), document)})
    return found


def judged_in_halves(data_set: DataSet) -> tuple[Judged, Judged]:
    """Fit to each half of a set and judge by the other half. All records of one student are in the same half.

    The second result has only those mistakes for which no learned one has nearly the same text.
    """
    halves = halves_of(sample(data_set, DATA, ALL, SEED))
    at_all = Judged()
    at_new_questions = Judged()
    for learned, held_out in (halves, halves[::-1]):
        fits = fit_of(learned, together=data_set in TYPED)
        at_all.add(judged(fits, data_set, held_out))
        at_new_questions.add(judged(fits, data_set, list(unseen(learned, held_out))))
    return at_all, at_new_questions


def _kind_by_words(fit: Fit | None, document: Document) -> str:
    said = None
    if fit is not None:
        said = fit.classifier.said(words_of(document), signs_of(document))
    return "(none)" if said is None else said[0]


def fit_of(learned: Sequence[Sample], *, together: bool) -> FitOf:
    """Fit each course that has enough labelled mistakes, or all courses together as if they were one."""
    items = (
        LabelledItem(each.record, (each.error_type,) if each.error_type else (), each.points)
        for each in learned
    )
    courses = by_course(items)
    now = datetime.now(UTC)
    if together:
        of_all = Fit.of(
            *fit_course("all", [each for labelled in courses.values() for each in labelled], now)
        )
        return lambda _: of_all
    fits = {
        name: Fit.of(*fit_course(name, labelled, now))
        for name, labelled in courses.items()
        if len(labelled) >= FEWEST_ITEMS
    }
    return lambda contexts: next(
        (fits[each.course_id] for each in contexts if each.course_id in fits), None
    )


def moods(analyzer: RuleBasedAnalyzer) -> dict[str, tuple[int, int]]:
    """Return mood -> (number of messages with it, number of those for which the analyser finds it).

    Neutral chats, in which turns are marked, and neutral sentences are also counted separately.
    """
    count, said = Counter[str](), Counter[str]()
    for message in second_labels.messages():
        finding = analyzer.finding(read_document(mood_record(message), "interaction", ())).finding
        is_right = isinstance(finding, InteractionFinding) and finding.sentiment == message["mood"]
        kinds = [message["mood"]]
        if message["mood"] == "neutral":
            kinds.append("neutral chats" if TURN.search(message["text"]) else "neutral sentences")
        count.update(kinds)
        said.update(kinds if is_right else ())
    return {kind: (number, said[kind]) for kind, number in count.items()}


def topics(analyzer: RuleBasedAnalyzer) -> dict[str, tuple[int, int]]:
    """Return topic -> (number of messages about it, number of those for which the analyser's first topic means it).

    The messages about any topic are also counted together.
    """
    count, said = Counter[str](), Counter[str]()
    for message in second_labels.messages():
        finding = analyzer.finding(read_document(mood_record(message), "interaction", ())).finding
        kinds = [message["topic"], *(["any topic"] if message["topic"] != NO_TOPIC else [])]
        count.update(kinds)
        said.update(kinds if topic_of(finding) == message["topic"] else ())
    in_order = sorted(count, key=lambda kind: (kind not in ("any topic", NO_TOPIC), kind))
    return {kind: (count[kind], said[kind]) for kind in in_order}


if __name__ == "__main__":
    sys.exit(main())
