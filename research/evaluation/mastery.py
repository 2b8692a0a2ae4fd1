"""The quality of the mastery estimate: how well it ranks the students of a synthetic school. `make bench-mastery`.

The coefficients are fitted to one half of the students. The other half is ranked within each point, by the estimate
of insights and by the plain share of right first attempts, and compared with the truth. No server is needed. The
command prints one table and writes it to .run/mastery.json. It exits with 1 if a figure misses its goal.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from scipy.stats import spearmanr

from edugraph_cli.mastery_fit import Answer, Judged, answers_of_records, fit, judge, rows_of
from edugraph_cli.synthetic_school import School
from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_insights.mastery import Attempts, mastery

SMOKE = "--smoke" in sys.argv  # as short as possible: only an error counts, not the figures
SEEDS = (1,) if SMOKE else (1, 2, 3)
STUDENTS, RECORDS = (120, 100_000) if SMOKE else (500, 400_000)
FEWEST = 10  # the least number of students of a point for a meaningful rank correlation
REPORT = Path(__file__).resolve().parents[2] / ".run" / "mastery.json"
GOALS = {
    "20 attempts or more": 0.85,
    "20 attempts or more, above the share right": 0.03,
    "5 to 9 attempts, above the share right": 0.10,
}


class Ranked(NamedTuple):
    """Medians over the points: the rank correlations of the estimate and of the plain share with the truth."""

    estimate: float
    share: float
    points: int


class Measured(NamedTuple):
    many: Ranked  # at 20 attempts or more
    few: Ranked  # at 5 to 9
    held_out: Judged


def measure(students: int, records: int, seed: int) -> Measured:
    school = School(students, seed, records)
    answers = answers_of_records(school.records())
    truth = {
        (each["student_id"], canonical_name(each["knowledge_point"])): each["mastery"]
        for each in school.truth()
    }
    learned = {student.id for student in school.students[: students // 2]}
    coefficients = fit(rows_of(answer for answer in answers if answer.student in learned))
    others = [answer for answer in answers if answer.student not in learned]
    counts = counted(others)
    as_of = max(answer.moment for answer in others)
    estimates = {
        (student, point): found.probability
        for student, of_points in counts.items()
        for point, found in mastery(of_points, as_of, coefficients).items()
        if found.probability is not None
    }
    shares = {
        (student, point): each.right / (each.right + each.wrong)
        for student, of_points in counts.items()
        for point, each in of_points.items()
    }

    def ranked(wanted: Callable[[int], bool]) -> Ranked:
        of_point: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for (student, point), estimate in estimates.items():
            each = counts[student][point]
            # A point that a student has only because of wrong tags has no true mastery.
            if wanted(each.right + each.wrong) and (student, point) in truth:
                of_point[point].append((truth[student, point], estimate, shares[student, point]))
        enough = [
            list(zip(*each, strict=True)) for each in of_point.values() if len(each) >= FEWEST
        ]
        by_estimate = median(spearmanr(true, estimate).statistic for true, estimate, _ in enough)
        return Ranked(
            by_estimate,
            median(spearmanr(true, share).statistic for true, _, share in enough),
            len(enough),
        )

    held_out = judge(rows_of(others), coefficients)
    return Measured(
        ranked(lambda number: number >= 20), ranked(lambda number: 5 <= number <= 9), held_out
    )


def counted(answers: list[Answer]) -> dict[str, dict[str, Attempts]]:
    found: dict[str, dict[str, Attempts]] = defaultdict(dict)
    for answer in answers:
        for point in answer.points:
            before = found[answer.student].get(point, Attempts(0, 0))
            found[answer.student][point] = Attempts(
                before.right + answer.right, before.wrong + (not answer.right)
            )
    return found


def main() -> int:
    runs = [measure(STUDENTS, RECORDS, seed) for seed in SEEDS]
    figures = {
        "20 attempts or more": median(run.many.estimate for run in runs),
        "20 attempts or more, above the share right": median(
            run.many.estimate - run.many.share for run in runs
        ),
        "5 to 9 attempts, above the share right": median(
            run.few.estimate - run.few.share for run in runs
        ),
    }
    missed = [name for name, figure in figures.items() if figure < GOALS[name]]
    print("median rank correlation with the true mastery within a point")
    for name, figure in figures.items():
        print(
            f"{name:<45}{figure:>8.3f} {'MISSED' if name in missed else 'ok'} (goal {GOALS[name]})"
        )
    for seed, run in zip(SEEDS, runs, strict=True):
        held_out = run.held_out
        print(
            f"seed {seed}: 20 or more {run.many.estimate:.3f} (share right {run.many.share:.3f}, {run.many.points} "
            f"points), 5 to 9 {run.few.estimate:.3f} ({run.few.share:.3f}, {run.few.points} points), held-out AUC "
            f"{held_out.auc:.3f} (points alone {held_out.auc_of_points:.3f}), "
            f"calibration error {held_out.calibration_error:.3f}"
        )
    REPORT.parent.mkdir(exist_ok=True)
    whole = {
        "figures": figures,
        "goals": GOALS,
        "students": STUDENTS,
        "records": RECORDS,
        "seeds": SEEDS,
    }
    measured = [
        {"many": run.many._asdict(), "few": run.few._asdict(), "held_out": run.held_out.auc}
        for run in runs
    ]
    REPORT.write_text(json.dumps({**whole, "runs": measured}, indent=1), encoding="utf-8")
    return 1 if missed and not SMOKE else 0


if __name__ == "__main__":
    sys.exit(main())
