"""Fitting the coefficients of mastery to first attempts, and how well they foretell those of other students.

The model is that of insights: logit P = β(point) + γ·ln(1 + right) + ρ·ln(1 + wrong), and the same two terms over all
points of the student, with γ ≥ 0 ≥ ρ. A point of which little is known stays near the mean β. Each answer is foretold
from the counts before it; answers at one moment know nothing of each other.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
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

HELD_OUT = 0.2  # share of the students by whose answers a fit is judged
PULL = 1.0  # towards the mean β and towards 0, as of a normal prior of variance 1
BINS = 10
WRONG = {"0", "0.0", "false", "no", ""}
RIGHT = {"1", "1.0", "true", "yes"}
Floats = np.ndarray[Any, np.dtype[np.float64]]


class Answer(NamedTuple):
    """A first attempt at an item. `moment` has to sort within the student; equal ones know nothing of each other."""

    student: str
    points: tuple[str, ...]
    right: bool
    moment: Any


class Columns(NamedTuple):
    student: str
    skill: str
    correct: str


def answers_of_table(path: Path, columns: Columns) -> Iterator[Answer]:
    """Read a CSV with one answer a line, in the order in which they were given.

    An answer without a student, a skill or an outcome is left out. Raises ValueError with a sentence for a column
    that is not there, and for a value that says neither right nor wrong.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if absent := [name for name in columns if name not in (rows.fieldnames or ())]:
            raise ValueError(f"{path} has no column {absent[0]}; its columns are {', '.join(rows.fieldnames or ())}")
        for row in rows:
            value = (row[columns.correct] or "").strip().lower()
            if value not in RIGHT | WRONG:
                raise ValueError(f"{path}, line {rows.line_num}: {columns.correct} is neither 0 nor 1")
            if value and row[columns.student] and row[columns.skill]:
                yield Answer(row[columns.student], (row[columns.skill],), value in RIGHT, rows.line_num)


def answers_of_records(values: Iterable[object]) -> list[Answer]:
    """Return the first attempts of records as a source gives them, at items of which a record says what they test.

    The latest version of a record counts. Raises ValueError with a sentence for a row that is no record.
    """
    latest: dict[str, Record] = {}
    for line, value in enumerate(values, start=1):
        try:
            record = parse_row(value)
        except InvalidRecord as problem:
            raise ValueError(f"row {line}: {problem}") from None
        if isinstance(record, Withdrawal):
            latest.pop(record.record_id, None)
        elif record.record_id not in latest or latest[record.record_id].timestamp <= record.timestamp:
            latest[record.record_id] = record
    tests: dict[str, set[str]] = defaultdict(set)
    first: dict[tuple[str, str], tuple[datetime, int, str, bool]] = {}
    for record in latest.values():
        data = record.data
        if isinstance(data, AttemptRecord | ItemRecord):
            tests[data.item_id].update(map(canonical_name, data.knowledge_points))
        if isinstance(data, AttemptRecord):
            right = data.outcome_thousandths >= HALF
            place = (record.timestamp, data.attempt_number or 0, record.record_id, right)
            first[data.student_id, data.item_id] = min(place, first.get((data.student_id, data.item_id), place))
    return [
        Answer(student, tuple(sorted(tests[item])), right, at)
        for (student, item), (at, _, _, right) in first.items()
        if tests[item]
    ]


class Rows(NamedTuple):
    """Each answer once for each of its points: `counts` are the logarithms of the four counts before it."""

    students: list[str]
    points: list[str]
    counts: Floats
    right: Floats


def rows_of(answers: Iterable[Answer]) -> Rows:
    by_student: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_student[answer.student].append(answer)
    students, points, counts, right = list[str](), list[str](), list[tuple[int, int, int, int]](), list[bool]()
    for student, mine in by_student.items():
        mine.sort(key=lambda each: each.moment)
        known, waiting, moment = Counter[tuple[str, bool]](), list[Answer](), None
        over_all = Counter[bool]()
        for answer in mine:
            if answer.moment != moment:
                for before in waiting:
                    known.update((point, before.right) for point in before.points)
                    over_all[before.right] += len(before.points)
                waiting, moment = [], answer.moment
            waiting.append(answer)
            for point in answer.points:
                students.append(student)
                points.append(point)
                counts.append((known[point, True], known[point, False], over_all[True], over_all[False]))
                right.append(answer.right)
    logarithms = np.log1p(np.array(counts, dtype=np.float64).reshape(-1, 4))
    return Rows(students, points, logarithms, np.array(right, dtype=np.float64))


def fit(rows: Rows) -> Coefficients:
    """Return the coefficients under which these answers are most likely, pulled a little towards the mean and 0."""
    names = sorted(set(rows.points))
    number_of = {name: number for number, name in enumerate(names)}
    place = np.array([number_of[point] for point in rows.points])

    def loss(weights: Floats) -> tuple[float, Floats]:
        mean, slopes, apart = weights[0], weights[1:5], weights[5:]
        logits = mean + apart[place] + rows.counts @ slopes
        error = expit(logits) - rows.right
        likelihood = np.logaddexp(0, logits).sum() - (rows.right * logits).sum()
        gradient = np.concatenate(
            (
                [error.sum()],
                rows.counts.T @ error + PULL * slopes,
                np.bincount(place, error, minlength=len(names)) + PULL * apart,
            )
        )
        return float(likelihood + PULL / 2 * ((slopes**2).sum() + (apart**2).sum())), gradient

    bounds = [(None, None), (0, None), (None, 0), (0, None), (None, 0), *[(None, None)] * len(names)]
    start = np.zeros(len(bounds))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    mean, gamma, rho, gamma_over_all, rho_over_all, *apart = map(float, found.x)
    return Coefficients(
        mean_beta=mean,
        betas={name: mean + own for name, own in zip(names, apart, strict=True)},
        gamma=gamma,
        rho=rho,
        gamma_over_all=gamma_over_all,
        rho_over_all=rho_over_all,
    )


def probabilities(rows: Rows, coefficients: Coefficients) -> Floats:
    slopes = [coefficients.gamma, coefficients.rho, coefficients.gamma_over_all, coefficients.rho_over_all]
    betas = [coefficients.betas.get(point, coefficients.mean_beta) for point in rows.points]
    found: Floats = expit(np.array(betas) + rows.counts @ np.array(slopes))
    return found


@dataclass(frozen=True)
class Judged:
    """How well right answers of students who were held out are foretold.

    `auc` is the chance that a right answer had the higher probability of a right one and a wrong one; `auc_of_points`
    is that of the points' own shares, which know nothing of the student. `bins`: (mean probability, share right,
    answers); `calibration_error` is the mean distance of the two.
    """

    students: int
    answers: int
    auc: float
    auc_of_points: float
    log_loss: float
    calibration_error: float
    bins: tuple[tuple[float, float, int], ...]


def judge(rows: Rows, coefficients: Coefficients) -> Judged:
    """Raises ValueError with a sentence where all answers are right, or all wrong."""
    if not 0 < rows.right.sum() < len(rows.right):
        raise ValueError("the held-out answers are all right or all wrong, so nothing can be told apart")
    chances = probabilities(rows, coefficients)
    without_student = [coefficients.betas.get(point, coefficients.mean_beta) for point in rows.points]
    order = np.argsort(chances, kind="stable")
    bins = [
        (float(chances[part].mean()), float(rows.right[part].mean()), len(part))
        for part in np.array_split(order, BINS)
        if len(part)
    ]
    return Judged(
        students=len(set(rows.students)),
        answers=len(rows.right),
        auc=auc(rows.right, chances),
        auc_of_points=auc(rows.right, np.array(without_student)),
        log_loss=float(-np.log(np.where(rows.right > 0, chances, 1 - chances)).mean()),
        calibration_error=sum(abs(mean - share) * number for mean, share, number in bins) / len(rows.right),
        bins=tuple(bins),
    )


def auc(right: Floats, scores: Floats) -> float:
    ranks, positive = rankdata(scores), right.sum()
    return float((ranks[right > 0].sum() - positive * (positive + 1) / 2) / (positive * (len(right) - positive)))


def split(answers: Iterable[Answer], seed: int) -> tuple[list[Answer], list[Answer]]:
    """Return the answers of most students, and those of the ones that are held out; whole students are drawn.

    Raises ValueError with a sentence for fewer than two students.
    """
    answers = list(answers)
    students = sorted({answer.student for answer in answers})
    if len(students) < 2:
        raise ValueError("a fit needs the answers of at least two students at items whose points are known")
    drawn = Random(seed).sample(students, max(1, round(len(students) * HELD_OUT)))  # noqa: S311 - no secret
    held_out = set(drawn)
    return (
        [answer for answer in answers if answer.student not in held_out],
        [answer for answer in answers if answer.student in held_out],
    )


def read_answers(path: Path, columns: Columns) -> list[Answer]:
    """Read NDJSON of records, or a table. Raises ValueError with a sentence."""
    with path.open("rb") as file:
        if file.read(1) != b"{":
            return list(answers_of_table(path, columns))
        file.seek(0)
        try:
            return answers_of_records(json.loads(line) for line in file if line.strip())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is no NDJSON of records: {error.msg}") from None
