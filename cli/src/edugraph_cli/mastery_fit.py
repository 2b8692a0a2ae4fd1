"""Fit the coefficients of mastery to first attempts, and judge how well they predict the answers of other students.

The model is the one of insights: logit P = β(point) + γ·ln(1 + right) + ρ·ln(1 + wrong), and the same two terms over
all points of the student, with γ ≥ 0 ≥ ρ. A point with few answers stays near the mean β. Each answer is predicted
from the counts before it. Answers at the same moment do not count for each other.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.mastery import Coefficients
from edugraph_common.contracts.records import (
    HALF,
    AttemptRecord,
    InvalidRecord,
    ItemRecord,
    Record,
    Withdrawal,
    parse_row,
)

# The share of the students who are held out. Their answers judge the fit.
HELD_OUT = 0.2
# The strength of the pull of each β towards the mean and of each slope towards 0. 1 is a normal prior of variance 1.
PULL = 1.0
BINS = 10
WRONG = {"0", "0.0", "false", "no", ""}
RIGHT = {"1", "1.0", "true", "yes"}
Floats = np.ndarray[Any, np.dtype[np.float64]]


class Answer(NamedTuple):
    """A first attempt at an item. `moment` sorts the answers of a student; it may be a time or a number."""

    student: str
    points: tuple[str, ...]
    right: bool
    moment: Any


class Columns(NamedTuple):
    """The names of the columns of a table of answers."""

    student: str
    skill: str
    correct: str


def answers_of_table(path: Path, columns: Columns) -> Iterator[Answer]:
    """Yield the answers of a CSV file that has one answer in each line, in the order in which they were given.

    An answer without a student, a skill or an outcome is left out. Raises ValueError with a sentence if a column is
    missing or if an outcome is neither right nor wrong.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        header = rows.fieldnames or ()
        for name in columns:
            if name not in header:
                raise ValueError(
                    f"{path} has no column {name}; its columns are {', '.join(header)}"
                )
        for row in rows:
            value = (row[columns.correct] or "").strip().lower()
            if value not in RIGHT | WRONG:
                raise ValueError(
                    f"{path}, line {rows.line_num}: {columns.correct} is neither 0 nor 1"
                )
            if value and row[columns.student] and row[columns.skill]:
                yield Answer(
                    row[columns.student], (row[columns.skill],), value in RIGHT, rows.line_num
                )


def answers_of_records(values: Iterable[object]) -> list[Answer]:
    """Return the first attempts in the rows of a source, at items whose points a record names.

    The latest version of a record counts. Raises ValueError with a sentence for a row that is not a valid record.
    """
    tests: dict[str, set[str]] = defaultdict(set)
    # (student, item) -> (time, number of the attempt, id of the record, whether it was right)
    first: dict[tuple[str, str], tuple[datetime, int, str, bool]] = {}
    for record in _latest_versions(values):
        data = record.data
        if isinstance(data, AttemptRecord | ItemRecord):
            tests[data.item_id].update(map(canonical_name, data.knowledge_points))
        if not isinstance(data, AttemptRecord):
            continue
        outcome = data.outcome_thousandths
        if outcome is None:
            continue
        attempt = (record.timestamp, data.attempt_number or 0, record.record_id, outcome >= HALF)
        key = (data.student_id, data.item_id)
        first[key] = min(attempt, first.get(key, attempt))
    answers = []
    for (student, item), (at, _, _, right) in first.items():
        if tests[item]:
            answers.append(Answer(student, tuple(sorted(tests[item])), right, at))
    return answers


def _latest_versions(values: Iterable[object]) -> Iterable[Record]:
    """Return the latest version of each record that was not withdrawn. Raises the errors of `answers_of_records`."""
    latest: dict[str, Record] = {}
    for line, value in enumerate(values, start=1):
        try:
            record = parse_row(value)
        except InvalidRecord as problem:
            raise ValueError(f"row {line}: {problem}") from None
        if isinstance(record, Withdrawal):
            latest.pop(record.record_id, None)
        elif (
            record.record_id not in latest or latest[record.record_id].timestamp <= record.timestamp
        ):
            latest[record.record_id] = record
    return latest.values()


class Rows(NamedTuple):
    """The answers as columns. An answer stands in one row for each of its points.

    `counts` has the logarithms of the four counts before the answer: right and wrong at the point, right and wrong
    over all points.
    """

    students: list[str]
    points: list[str]
    counts: Floats
    right: Floats


def rows_of(answers: Iterable[Answer]) -> Rows:
    """Return the answers as rows, each with the counts before it."""
    by_student: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_student[answer.student].append(answer)
    students: list[str] = []
    points: list[str] = []
    counts: list[tuple[int, int, int, int]] = []
    right: list[bool] = []
    for student, of_student in by_student.items():
        of_student.sort(key=lambda each: each.moment)
        # (point, right) -> answers before this moment
        at_point: Counter[tuple[str, bool]] = Counter()
        over_all: Counter[bool] = Counter()  # right -> answers before this moment
        for _, at_moment in groupby(of_student, key=lambda each: each.moment):
            simultaneous = list(at_moment)
            for answer in simultaneous:
                for point in answer.points:
                    students.append(student)
                    points.append(point)
                    counts.append(
                        (
                            at_point[point, True],
                            at_point[point, False],
                            over_all[True],
                            over_all[False],
                        )
                    )
                    right.append(answer.right)
            for answer in simultaneous:
                at_point.update((point, answer.right) for point in answer.points)
                over_all[answer.right] += len(answer.points)
    logarithms = np.log1p(np.array(counts, dtype=np.float64).reshape(-1, 4))
    return Rows(students, points, logarithms, np.array(right, dtype=np.float64))


def fit(rows: Rows) -> Coefficients:
    """Return the coefficients that make these answers most likely, pulled a little towards the mean and 0."""
    names = sorted(set(rows.points))
    index_of = {name: index for index, name in enumerate(names)}
    point_of_row = np.array([index_of[point] for point in rows.points])

    def loss(weights: Floats) -> tuple[float, Floats]:
        """Return the negative logarithm of the likelihood with the pull, and its gradient."""
        mean = weights[0]
        slopes = weights[1:5]
        differences = weights[5:]  # of each β from the mean
        logits = mean + differences[point_of_row] + rows.counts @ slopes
        error = expit(logits) - rows.right
        misfit = np.logaddexp(0, logits).sum() - (rows.right * logits).sum()
        pull = PULL / 2 * ((slopes**2).sum() + (differences**2).sum())
        of_mean = [error.sum()]
        of_slopes = rows.counts.T @ error + PULL * slopes
        of_differences = np.bincount(point_of_row, error, minlength=len(names)) + PULL * differences
        return float(misfit + pull), np.concatenate((of_mean, of_slopes, of_differences))

    free = (None, None)
    at_least_zero = (0, None)
    at_most_zero = (None, 0)
    bounds = [free, at_least_zero, at_most_zero, at_least_zero, at_most_zero, *[free] * len(names)]
    start = np.zeros(len(bounds))
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}
    )
    mean, gamma, rho, gamma_over_all, rho_over_all, *differences = map(float, found.x)
    return Coefficients(
        mean_beta=mean,
        betas={
            name: mean + difference for name, difference in zip(names, differences, strict=True)
        },
        gamma=gamma,
        rho=rho,
        gamma_over_all=gamma_over_all,
        rho_over_all=rho_over_all,
    )


def probabilities(rows: Rows, coefficients: Coefficients) -> Floats:
    """Return the probability of a right answer for each row."""
    slopes = [
        coefficients.gamma,
        coefficients.rho,
        coefficients.gamma_over_all,
        coefficients.rho_over_all,
    ]
    betas = [coefficients.betas.get(point, coefficients.mean_beta) for point in rows.points]
    found: Floats = expit(np.array(betas) + rows.counts @ np.array(slopes))
    return found


@dataclass(frozen=True)
class Judged:
    """How well the answers of held-out students were predicted.

    `auc` is the chance that a random right answer got a higher probability than a random wrong one. `auc_of_points`
    is the same for probabilities that depend only on the point and not on the student. A bin of `bins` is (mean
    probability, share right, number of answers), and `calibration_error` is the mean distance of the first two.
    """

    students: int
    answers: int
    auc: float
    auc_of_points: float
    log_loss: float
    calibration_error: float
    bins: tuple[tuple[float, float, int], ...]


def judge(rows: Rows, coefficients: Coefficients) -> Judged:
    """Return how well the coefficients predict these rows.

    Raises ValueError with a sentence if all answers are right or all are wrong.
    """
    if not 0 < rows.right.sum() < len(rows.right):
        raise ValueError(
            "the held-out answers are all right or all wrong, so nothing can be told apart"
        )
    chances = probabilities(rows, coefficients)
    without_student = [
        coefficients.betas.get(point, coefficients.mean_beta) for point in rows.points
    ]
    order = np.argsort(chances, kind="stable")
    bins = []
    for part in np.array_split(order, BINS):
        if len(part):
            bins.append((float(chances[part].mean()), float(rows.right[part].mean()), len(part)))
    distances = [abs(mean - share) * number for mean, share, number in bins]
    chances_of_answers = np.where(rows.right > 0, chances, 1 - chances)
    return Judged(
        students=len(set(rows.students)),
        answers=len(rows.right),
        auc=auc(rows.right, chances),
        auc_of_points=auc(rows.right, np.array(without_student)),
        log_loss=float(-np.log(chances_of_answers).mean()),
        calibration_error=sum(distances) / len(rows.right),
        bins=tuple(bins),
    )


def auc(right: Floats, scores: Floats) -> float:
    """Return the area under the ROC curve, by the ranks of the scores (Mann–Whitney)."""
    ranks = rankdata(scores)
    positive = right.sum()
    negative = len(right) - positive
    pairs_in_order = ranks[right > 0].sum() - positive * (positive + 1) / 2
    return float(pairs_in_order / (positive * negative))


def split(answers: Iterable[Answer], seed: int) -> tuple[list[Answer], list[Answer]]:
    """Return the answers for the fit, and the answers of the held-out students, who are drawn at random.

    Raises ValueError with a sentence if there are fewer than two students.
    """
    answers = list(answers)
    students = sorted({answer.student for answer in answers})
    if len(students) < 2:
        raise ValueError(
            "a fit needs the answers of at least two students at items whose points are known"
        )
    number = max(1, round(len(students) * HELD_OUT))
    held_out = set(Random(seed).sample(students, number))  # noqa: S311 - no secret
    for_fit = [answer for answer in answers if answer.student not in held_out]
    for_judgement = [answer for answer in answers if answer.student in held_out]
    return for_fit, for_judgement


def read_answers(path: Path, columns: Columns) -> list[Answer]:
    """Return the answers in a file, which is NDJSON of records or a table. Raises ValueError with a sentence."""
    with path.open("rb") as file:
        if file.read(1) != b"{":
            return list(answers_of_table(path, columns))
        file.seek(0)
        try:
            return answers_of_records(json.loads(line) for line in file if line.strip())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not NDJSON of records: {error.msg}") from None
