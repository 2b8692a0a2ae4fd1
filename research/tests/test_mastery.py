"""The estimate of mastery is sure where it says so. The synthetic school is small; `make bench-mastery` has a large one."""

import csv
from pathlib import Path
from random import Random

import pytest

from evaluation.mastery import (
    GOALS,
    Student,
    answers_of,
    auc,
    calibration_error,
    missed,
    on_a_synthetic_school,
    on_real_answers,
    students_of_assistments,
)


def test_the_intervals_cover_the_truth_of_a_synthetic_school() -> None:
    """Out: MISFIT_VARIANCE."""
    figures = on_a_synthetic_school(100, 60_000, (3,))
    assert missed(figures) == []
    assert len(figures) == 3


def test_a_figure_on_the_wrong_side_of_its_goal_is_missed() -> None:
    for goal in GOALS:
        assert missed({goal.name: goal.least - 0.001}) == [goal.name]
        assert missed({goal.name: goal.most + 0.001}) == [goal.name]
        assert missed({goal.name: goal.least}) == []


def test_real_answers_are_predicted_from_the_answers_before_them(tmp_path: Path) -> None:
    """Students who are right at each point or at none: only the answers before can tell the two apart."""
    random = Random(1)
    for name in ("train_valid", "test"):
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["fold", "uid", "concepts", "responses"])
            for number in range(40):
                points = [str(random.randrange(2)) for _ in range(24)]
                writer.writerow(
                    [0, f"{name}{number}", ",".join(points), ",".join([str(number % 2)] * 24)]
                )
    students = students_of_assistments(tmp_path)
    assert len(students) == 80
    assert sum(each.number for each in answers_of(students).values()) == 1_920
    figures = on_real_answers(tmp_path)
    # The first answer of each student cannot be predicted.
    assert 0.9 < figures["insights: AUC"] < 1
    assert figures["insights: AUC, from 5 attempts on"] == 1


def test_the_measures_are_those_of_their_names() -> None:
    import numpy as np

    right = np.array([1.0, 0.0, 1.0, 0.0])
    assert auc(right, np.array([0.9, 0.1, 0.8, 0.2])) == 1
    assert auc(right, np.array([0.5, 0.5, 0.5, 0.5])) == 0.5
    assert calibration_error(np.ones(20), np.full(20, 0.75)) == pytest.approx(0.25)
    assert answers_of([Student(("a", "a"), (True, False))])["a"] == (1, 2)
