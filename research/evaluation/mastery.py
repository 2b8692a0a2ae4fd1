"""The quality of the mastery estimate of insights, on real answers and on a synthetic school. `make bench-mastery`.

With `--answers FOLDER` the answers of students who were held out are predicted, each from the answers before it.
FOLDER has train_valid.csv and test.csv of ASSISTments 2015 in the form of pykt-toolkit: a line for each student, with
`concepts` and `responses` in their order. They are not part of the project. The levels of the points are those of the
other students, and the constants of insights were fitted to other students of the same split.

On a synthetic school the true mastery is known, so the intervals are checked, too. No server is needed. The command
prints one table and writes it to .run/mastery.json. It exits with 1 if a figure misses its goal.
"""

import argparse
import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata, spearmanr

from edugraph_cli.synthetic_school import School
from edugraph_insights.mastery import (
    CONSTANTS,
    Answers,
    Attempts,
    Constants,
    Mastery,
    Pairs,
    estimated,
    levels_of,
    mastery_of_students,
)
from evaluation.goals import Goal, missed_goals, print_goals

HELD_OUT = 0.2  # of the students of ASSISTments
SPLIT_SEED = 0
MANY = 5  # first attempts at the point before the answer
BINS = 10
SEEDS = (3, 4, 5)
STUDENTS, RECORDS = 200, 120_000
REPORT = Path(__file__).resolve().parents[2] / ".run" / "mastery.json"
# The estimate without the last answer at the point. Insights does not use it.
COUNTS_ALONE = Constants(-0.472, 1.161, 1.088, 0.387, 0.0, 0.0)
Floats = np.ndarray[Any, np.dtype[np.float64]]


GOALS = (
    Goal("counts alone: AUC", least=0.711),
    Goal("counts alone: AUC, from 5 attempts on", least=0.681),
    Goal("insights: AUC", least=0.719),
    Goal("insights: AUC, from 5 attempts on", least=0.692),
    Goal("insights: calibration error", most=0.01),
    Goal("insights: calibration error, from 5 attempts on", most=0.02),
    Goal("synthetic school: truth in the 95 % interval, 1 to 4 attempts", least=0.90),
    Goal("synthetic school: truth in the 95 % interval, from 5 attempts on", least=0.90),
    Goal("synthetic school: rank correlation above that of the share right", least=0.03),
)


class Student(NamedTuple):
    """The answers of a student in their order."""

    points: tuple[str, ...]
    right: tuple[bool, ...]


def students_of_assistments(folder: Path) -> list[Student]:
    """Return the students of both files. Raises OSError and KeyError if a file or a column is missing."""
    csv.field_size_limit(10**8)
    found: list[tuple[str, Student]] = []
    for name in ("train_valid.csv", "test.csv"):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                points = tuple(row["concepts"].split(","))
                right = tuple(value == "1" for value in row["responses"].split(","))
                found.append((row["uid"], Student(points, right)))
    return [student for _, student in sorted(found)]


def split(students: list[Student], seed: int) -> tuple[list[Student], list[Student]]:
    """Return the other students, and those who are held out."""
    number = round(len(students) * HELD_OUT)
    held_out = set(Random(seed).sample(range(len(students)), number))  # noqa: S311 - no secret
    others = []
    judges = []
    for index, student in enumerate(students):
        if index in held_out:
            judges.append(student)
        else:
            others.append(student)
    return others, judges


def answers_of(students: Iterable[Student]) -> dict[str, Answers]:
    """Return the answers at each point by all these students."""
    right: dict[str, int] = defaultdict(int)
    number: dict[str, int] = defaultdict(int)
    for student in students:
        for point, is_right in zip(student.points, student.right, strict=True):
            right[point] += is_right
            number[point] += 1
    return {point: Answers(right[point], number[point]) for point in number}


class Cases(NamedTuple):
    """Each answer as a case of its own: `pairs` has what the student had answered before.

    `asked` are the rows of the points that the answers are about, `before` the first attempts at these points.
    """

    pairs: Pairs
    asked: np.ndarray[Any, np.dtype[np.bool_]]
    before: Floats
    right: Floats


def cases_of(students: Iterable[Student], levels: dict[str, tuple[float, float]]) -> Cases:
    rows: list[tuple[float, ...]] = []
    asked: list[bool] = []
    outcomes: list[bool] = []
    for student in students:
        so_far: dict[str, list[float]] = {}  # point -> [number, right, last answer]
        for point, is_right in zip(student.points, student.right, strict=True):
            so_far.setdefault(point, [0, 0, 0])
            for each, (number, right, last) in so_far.items():
                rows.append((len(outcomes), *levels[each], number, right, last))
                asked.append(each == point)
            outcomes.append(is_right)
            here = so_far[point]
            here[0] += 1
            here[1] += is_right
            here[2] = is_right
    columns = np.array(rows, dtype=np.float64).T
    pairs = Pairs(columns[0].astype(np.int64), *columns[1:])
    is_asked = np.array(asked)
    return Cases(pairs, is_asked, pairs.number[is_asked], np.array(outcomes, dtype=np.float64))


def auc(right: Floats, scores: Floats) -> float:
    """Return the area under the ROC curve, by the ranks of the scores (Mann–Whitney)."""
    ranks = rankdata(scores)
    positive = right.sum()
    smallest = positive * (positive + 1) / 2
    return float((ranks[right > 0].sum() - smallest) / (positive * (len(right) - positive)))


def calibration_error(right: Floats, chances: Floats) -> float:
    """Return the mean distance of the mean probability and the share right in ten bins of equal size."""
    order = np.argsort(chances, kind="stable")
    distance = 0.0
    for part in np.array_split(order, BINS):
        distance += abs(chances[part].mean() - right[part].mean()) * len(part)
    return float(distance / len(right))


def on_real_answers(folder: Path, seed: int = SPLIT_SEED) -> dict[str, float]:
    others, judges = split(students_of_assistments(folder), seed)
    points = {point for student in (*others, *judges) for point in student.points}
    cases = cases_of(judges, levels_of(answers_of(others), points))
    many = cases.before >= MANY
    figures = {}
    for name, constants in (("counts alone", COUNTS_ALONE), ("insights", CONSTANTS)):
        chances = estimated(cases.pairs, len(cases.right), constants).value[cases.asked]
        figures[f"{name}: AUC"] = auc(cases.right, chances)
        figures[f"{name}: AUC, from 5 attempts on"] = auc(cases.right[many], chances[many])
        figures[f"{name}: calibration error"] = calibration_error(cases.right, chances)
        figures[f"{name}: calibration error, from 5 attempts on"] = calibration_error(
            cases.right[many], chances[many]
        )
    return figures


class Tried(NamedTuple):
    """An attempt in the records of a school. The smallest one of a student at an item is the first."""

    at: datetime
    number: int
    record: str
    right: bool


def practice_of(
    school: School,
) -> dict[str, dict[str, dict[str, Attempts]]]:
    """Run the year of a school. Return course -> student -> stated point -> first attempts."""
    stated: dict[str, str] = {}  # item -> point
    latest: dict[str, dict[str, Any]] = {}  # id of a record -> its latest version
    for record in school.records():
        if record["type"] == "item_record" and "knowledge_points" in record["data"]:
            stated[record["data"]["item_id"]] = record["data"]["knowledge_points"][0]
        # Nobody has judged homework, so it says nothing of mastery.
        if record["type"] == "attempt_record" and "correct" in record["data"]:
            latest[record["record_id"]] = record
    # (course, student, item) -> the first attempt
    first: dict[tuple[str, str, str], Tried] = {}
    for record_id, record in latest.items():
        data = record["data"]
        at = datetime.fromisoformat(record["timestamp"])
        tried = Tried(at, data["attempt_number"], record_id, data["correct"])
        key = (data["course_id"], data["student_id"], data["item_id"])
        first[key] = min(tried, first.get(key, tried))
    found: dict[str, dict[str, dict[str, Attempts]]] = defaultdict(lambda: defaultdict(dict))
    for (course, student, item), tried in sorted(first.items(), key=lambda each: each[1]):
        of_student = found[course][student]
        before = of_student.get(stated[item], Attempts(0, 0))
        of_student[stated[item]] = Attempts(
            before.right + tried.right, before.wrong + (not tried.right), tried.at, tried.right
        )
    return found


class Compared(NamedTuple):
    """The estimate of a student at a point beside the truth."""

    point: tuple[str, str]  # course and point
    attempts: Attempts
    mastery: Mastery
    truth: float

    @property
    def is_covered(self) -> bool:
        low = self.mastery.low
        high = self.mastery.high
        return low is not None and high is not None and low <= self.truth <= high


def compared(students: int, records: int, seed: int) -> Iterator[Compared]:
    """Yield the estimates of a synthetic school at the end of its year, in each course by itself."""
    school = School(students, seed, records)
    practice = practice_of(school)
    truth = {
        (each["student_id"], each["knowledge_point"]): each["mastery"] for each in school.truth()
    }
    for course, attempts in practice.items():
        answers: dict[str, Answers] = {}
        as_of = None
        for of_student in attempts.values():
            for point, each in of_student.items():
                before = answers.get(point, Answers(0, 0))
                answers[point] = Answers(before.right + each.right, before.number + each.number)
                as_of = max(filter(None, (as_of, each.last)))
        if as_of is None:
            continue
        found, _ = mastery_of_students(attempts, answers, as_of)
        for student, of_points in found.items():
            for point, mastery in of_points.items():
                # A point that a student has only because of wrong tags has no true mastery.
                if (student, point) in truth:
                    yield Compared(
                        (course, point), attempts[student][point], mastery, truth[student, point]
                    )


def on_a_synthetic_school(students: int, records: int, seeds: Iterable[int]) -> dict[str, float]:
    few: list[bool] = []
    many: list[bool] = []
    gains: list[float] = []
    for seed in seeds:
        of_point: dict[tuple[str, str], list[Compared]] = defaultdict(list)
        for each in compared(students, records, seed):
            of_point[each.point].append(each)
            if each.attempts.number < MANY:
                few.append(each.is_covered)
            else:
                many.append(each.is_covered)
        for rows in of_point.values():
            if len(rows) < 2 * BINS:
                continue
            truth = [each.truth for each in rows]
            estimates = [each.mastery.probability for each in rows]
            shares = [each.attempts.right / each.attempts.number for each in rows]
            gains.append(spearmanr(truth, estimates).statistic - spearmanr(truth, shares).statistic)
    where = "synthetic school"
    return {
        f"{where}: truth in the 95 % interval, 1 to 4 attempts": float(np.mean(few)),
        f"{where}: truth in the 95 % interval, from 5 attempts on": float(np.mean(many)),
        f"{where}: rank correlation above that of the share right": float(np.median(gains)),
    }


def missed(figures: dict[str, float]) -> list[str]:
    """Return the names of the measured figures that miss their goals."""
    return missed_goals(GOALS, figures)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--answers", type=Path, help="the folder with ASSISTments 2015")
    arguments.add_argument(
        "--smoke", action="store_true", help="a small school: only an error counts, not the figures"
    )
    given = arguments.parse_args()
    figures: dict[str, float] = {}
    if given.answers is not None:
        figures |= on_real_answers(given.answers)
    else:
        print("ASSISTments 2015 was not measured: name its folder with --answers.")
    if given.smoke:
        figures |= on_a_synthetic_school(60, 30_000, SEEDS[:1])
    else:
        figures |= on_a_synthetic_school(STUDENTS, RECORDS, SEEDS)
    misses = missed(figures)
    print_goals(GOALS, figures)
    REPORT.parent.mkdir(exist_ok=True)
    goals = [goal._asdict() for goal in GOALS]
    REPORT.write_text(json.dumps({"figures": figures, "goals": goals}, indent=1), encoding="utf-8")
    if given.smoke:
        return 0
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
