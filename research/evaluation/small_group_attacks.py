"""Attacks on one student behind numbers with noise, and the use of these numbers. `make bench-small-groups`.

The attacker knows the method, every set of students, and how students and points vary, but not the secret and no
other student's results. From all published shares of a made-up course the attacker computes the best linear estimate
of one student's share right. R² is the part of its variance that the attacker explains: 0 is nothing, 1 is all.
The shares come from the product's own code. The command prints a table and exits with 1 if a figure misses its goal.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edugraph_insights.answers import mean_of, number_of
from edugraph_insights.cell_noise import NOISE_VARIANCE, CellNoise
from edugraph_insights.small_groups import published_amount, published_ratio
from evaluation.goals import Goal, missed_goals, print_goals

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SIZES = (30, 44, 120, 1_000)
POINTS = 20
POINTS_OF_WEEK = 2
ITEMS = 4  # of each point
PARTICIPATION = 0.85
MEAN_SHARE = 0.6
# Standard deviations of the share right of students, of points, and of one student at one item.
OF_STUDENTS = 0.2
OF_POINTS = 0.15
OF_ANSWERS = 0.46  # of answers that are right or wrong, near MEAN_SHARE
WEAKEST = 5
CHANGED_STUDENTS = 10

# The bound of the decision record, by students.
LARGEST_R2 = {30: 0.20, 44: 0.20, 120: 0.13, 1_000: 0.05}
SHOWN = ("points and weeks", "all questions", "points of 11 courses")
# Two published sets that differ by one student. Questions do not give an analyst such a pair in one state of the
# cells, so the bound does not cover pairs. Their goals only note the effect of the noise alone.
PAIRS = ("one pair", "pair and 10 courses")
LARGEST_R2_OF_PAIRS = {"one pair": 0.20, "pair and 10 courses": 0.30}


def _goals() -> tuple[Goal, ...]:
    found = []
    for size in SIZES:
        for attack in SHOWN:
            found.append(Goal(f"R², {attack}, {size} students", most=LARGEST_R2[size]))
        for attack in PAIRS:
            found.append(Goal(f"R², {attack}, {size} students", most=LARGEST_R2_OF_PAIRS[attack]))
    return tuple(found)


GOALS = (
    *_goals(),
    Goal("yes or no of one student from a pair of counts: right", most=0.62),
    Goal("one answer from two weeks at which ten students changed: right", most=0.65),
    Goal("mean error of a share, 44 students", most=0.04),
    Goal("mean error of a share, 120 students", most=0.015),
    Goal("rank correlation of points, 44 students", least=0.93),
    Goal("share of the 5 weakest points that is found, 44 students", least=0.8),
    # The expected R² stand on this spread of the noise.
    Goal("spread of the noise of a share, in students", least=1.3, most=1.7),
)


@dataclass(frozen=True)
class Course:
    """A made-up course. `outcomes` and `tried` have a place for each student, point and item."""

    ability: Floats
    outcomes: Floats
    tried: Flags

    @property
    def students(self) -> list[str]:
        return [f"s{number}" for number in range(len(self.ability))]


def made_up(students: int, random: np.random.Generator, ability: Floats | None = None) -> Course:
    if ability is None:
        ability = MEAN_SHARE + random.normal(0, OF_STUDENTS, students)
    level = random.normal(0, OF_POINTS, POINTS)
    shape = (students, POINTS, ITEMS)
    chance = np.clip(ability[:, None] + level[None, :], 0.02, 0.98)
    outcomes = (random.random(shape) < chance[:, :, None]).astype(np.float64)
    takes_part = random.random((students, POINTS)) < PARTICIPATION
    return Course(ability, outcomes, np.repeat(takes_part[:, :, None], ITEMS, axis=2))


class Observation(NamedTuple):
    """A published share: its value, and the weight of each outcome in it (student, point, item)."""

    value: float
    weights: Floats


def mean_weights(tried: Flags) -> Floats:
    """Return the weight of each outcome in the mean over students. Each student counts with the own mean."""
    of_student = tried.sum(axis=(1, 2))
    students = int((of_student > 0).sum())
    weights: Floats = tried / np.maximum(of_student, 1)[:, None, None] / students
    return weights


def published(course: Course, cells: Flags, statistic: str, noise: CellNoise) -> Observation | None:
    """Return the published mean over students of their outcomes in some cells (student, point, item)."""
    tried = course.tried & cells
    of_student = tried.sum(axis=(1, 2))
    sums = np.where(tried, course.outcomes, 0).sum(axis=(1, 2))
    values = {
        name: float(total / number)
        for name, total, number in zip(course.students, sums, of_student, strict=True)
        if number > 0
    }
    share = published_ratio(mean_of(statistic, values), noise)
    if share is None:
        return None
    return Observation(share, mean_weights(tried))


def cells_of(attack: str, course: Course) -> Iterator[tuple[str, Flags]]:
    """Yield the name and the cells of each share that an analyst is shown."""
    everything = np.ones_like(course.tried)
    for point in range(POINTS):
        at_point = np.zeros_like(everything)
        at_point[:, point] = True
        yield f"point {point}", at_point
        if attack == "all questions":
            # The estimate of mastery is nearly the same number again, with noise of its own.
            yield f"mastery {point}", at_point
            for item in range(ITEMS):
                at_item = np.zeros_like(everything)
                at_item[:, point, item] = True
                yield f"item {point} {item}", at_item
    for first in range(0, POINTS, POINTS_OF_WEEK):
        in_week = np.zeros_like(everything)
        in_week[:, first : first + POINTS_OF_WEEK] = True
        yield f"week {first}", in_week
    if attack == "all questions":
        yield "course", everything


def without(course: Course, student: int) -> Course:
    """Return the course in which one student tried nothing."""
    tried = course.tried.copy()
    tried[student] = False
    return Course(course.ability, course.outcomes, tried)


def observed(attack: str, course: Course, target: int, noise: CellNoise) -> list[Observation]:
    found = []
    for name, cells in cells_of(attack, course):
        found.append(published(course, cells, name, noise))
        if attack in PAIRS:
            found.append(published(without(course, target), cells, name, noise))
    return [each for each in found if each is not None]


def explained(blocks: list[list[Observation]], target: int) -> tuple[float, float]:
    """Return the best linear estimate of the target's ability less its mean, and the R² that it should have.

    `blocks` are the observations of each course. Courses share the abilities of the students, and nothing else.
    """
    values = np.array([each.value for block in blocks for each in block])
    of_student = np.array([each.weights.sum(axis=(1, 2)) for block in blocks for each in block])
    covariance = OF_STUDENTS**2 * of_student @ of_student.T
    start = 0
    for block in blocks:
        weights = np.array([each.weights for each in block])
        place = slice(start, start + len(block))
        start += len(block)
        of_points = weights.sum(axis=(1, 3))
        flat = weights.reshape(len(block), -1)
        covariance[place, place] += OF_POINTS**2 * of_points @ of_points.T
        covariance[place, place] += OF_ANSWERS**2 * flat @ flat.T
    members = np.array(
        [(each.weights.sum(axis=(1, 2)) > 0).sum() for block in blocks for each in block]
    )
    rounding = 0.01**2 / 12
    covariance += np.diag(NOISE_VARIANCE / members**2 + rounding)
    shared = OF_STUDENTS**2 * of_student[:, target]
    solved = np.linalg.solve(covariance, shared)
    estimate = float(solved @ (values - MEAN_SHARE))
    return estimate, float(solved @ shared) / OF_STUDENTS**2


class Attack(NamedTuple):
    """The R² that the estimate should have by the model, and the one that it had."""

    expected: float
    measured: float


def attacked(attack: str, students: int, draws: int, seed: int) -> Attack:
    """Return the R² of an attack on one student of each of many made-up courses."""
    random = np.random.default_rng([seed, students])
    expected = []
    errors = 0.0
    variance = 0.0
    others = 10 if attack.endswith("courses") else 0
    for draw in range(draws):
        course = made_up(students, random)
        noise = CellNoise(f"secret {seed} {students} {draw}")
        target = int(random.integers(students))
        blocks = [observed(attack, course, target, noise)]
        for number in range(others):
            other = made_up(students, random, course.ability)
            blocks.append(of_other_course(other, number, noise))
        estimate, share = explained(blocks, target)
        truth = float(course.ability[target]) - MEAN_SHARE
        expected.append(share)
        errors += (estimate - truth) ** 2
        variance += truth**2
    return Attack(float(np.mean(expected)), 1 - errors / variance)


def of_other_course(course: Course, number: int, noise: CellNoise) -> list[Observation]:
    found = []
    for name, cells in cells_of("points and weeks", course):
        found.append(published(course, cells, f"course {number} {name}", noise))
    return [each for each in found if each is not None]


def yes_or_no(pairs: int, seed: int) -> float:
    """Return how often an attacker tells whether one student counts, from two counts that differ by this student.

    The best guess from two counts with independent noise is yes if the larger set has the larger count.
    """
    random = np.random.default_rng(seed)
    right = 0.0
    for pair in range(pairs):
        noise = CellNoise(f"secret {seed} {pair}")
        students = [f"s{number}" for number in range(30)]
        counts = random.random(30) < 0.5
        members = [name for name, count in zip(students, counts, strict=True) if count]
        with_target = published_amount(number_of("mastered", members), students, noise)
        others = [name for name in members if name != "s0"]
        without_target = published_amount(number_of("mastered", others), students[1:], noise)
        difference = with_target - without_target
        truth = bool(counts[0])
        right += (difference > 0) == truth
    return right / pairs


def one_answer(looks: int, seed: int) -> float:
    """Return how often an attacker tells the next answer of one student from a share at two weeks.

    The set is the same, so its noise is the same. The cell moved on because ten students gave another answer.
    """
    random = np.random.default_rng(seed)
    right = 0
    for look in range(looks):
        noise = CellNoise(f"secret {seed} {look}")
        students = [f"s{number}" for number in range(30)]
        before = dict.fromkeys(students, MEAN_SHARE)
        answers = random.random(CHANGED_STUDENTS) < MEAN_SHARE
        after = dict(before)
        for student, answer in zip(students, answers, strict=False):
            # The fifth answer of each of them.
            after[student] = (4 * before[student] + float(answer)) / 5
        shares = [published_ratio(mean_of("right", of), noise) for of in (before, after)]
        gained = (float(shares[1] or 0) - float(shares[0] or 0)) * len(students) * 5
        # The target's answer is right if more of the ten answers were right than on the average.
        number_right = gained + CHANGED_STUDENTS * MEAN_SHARE
        guess = number_right > CHANGED_STUDENTS * MEAN_SHARE
        right += guess == bool(answers[0])
    return right / looks


class Usefulness(NamedTuple):
    error: float
    rank: float
    weakest_found: float
    noise_students: float  # root mean square of the noise, times the students of the share


def usefulness(students: int, draws: int, seed: int) -> Usefulness:
    """Return the mean error of a share, the rank correlation of the points, and the share of the 5 weakest found."""
    random = np.random.default_rng([seed, students, 1])
    errors: list[float] = []
    noises: list[float] = []
    ranks = []
    found = []
    for draw in range(draws):
        course = made_up(students, random)
        noise = CellNoise(f"secret {seed} {students} {draw}")
        exact = []
        shown = []
        for point in range(POINTS):
            at_point = np.zeros_like(course.tried)
            at_point[:, point] = True
            share = published(course, at_point, f"point {point}", noise)
            if share is None:
                continue
            exact.append(float((share.weights * course.outcomes).sum()))
            shown.append(share.value)
            members = int((share.weights.sum(axis=(1, 2)) > 0).sum())
            noises.append((shown[-1] - exact[-1]) * members)
        errors += [abs(one - other) for one, other in zip(exact, shown, strict=True)]
        ranks.append(float(np.corrcoef(ranks_of(exact), ranks_of(shown))[0, 1]))
        weakest = set(np.argsort(exact)[:WEAKEST].tolist())
        found.append(len(weakest & set(np.argsort(shown, kind="stable")[:WEAKEST].tolist())))
    return Usefulness(
        float(np.mean(errors)),
        float(np.mean(ranks)),
        float(np.mean(found)) / WEAKEST,
        float(np.sqrt(np.mean(np.square(noises)))),
    )


def ranks_of(values: list[float]) -> Floats:
    """Return the rank of each value; equal ones have the mean of their ranks."""
    array = np.array(values)
    below = (array[:, None] > array[None, :]).sum(axis=1)
    equal = (array[:, None] == array[None, :]).sum(axis=1)
    ranks: Floats = below + (equal - 1) / 2
    return ranks


def figures_of_attacks(
    attacks: tuple[str, ...], sizes: tuple[int, ...], draws: int, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the expected and the measured R² of each attack, by the name of the goal."""
    expected = {}
    measured = {}
    for attack in attacks:
        for size in sizes:
            name = f"R², {attack}, {size} students"
            found = attacked(attack, size, draws, seed)
            expected[name] = found.expected
            measured[name] = found.measured
    return expected, measured


def other_figures(draws: int, seed: int) -> dict[str, float]:
    of_44 = usefulness(44, 5 * draws, seed)
    of_120 = usefulness(120, 5 * draws, seed)
    return {
        "yes or no of one student from a pair of counts: right": yes_or_no(200 * draws, seed),
        "one answer from two weeks at which ten students changed: right": one_answer(
            200 * draws, seed
        ),
        "mean error of a share, 44 students": of_44.error,
        "mean error of a share, 120 students": of_120.error,
        "rank correlation of points, 44 students": of_44.rank,
        "share of the 5 weakest points that is found, 44 students": of_44.weakest_found,
        "spread of the noise of a share, in students": of_44.noise_students,
    }


def missed(figures: Mapping[str, float]) -> list[str]:
    return missed_goals(GOALS, figures)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-small-groups", description=__doc__)
    parser.add_argument("--draws", type=int, default=20, help="made-up courses of each row")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    expected, measured = figures_of_attacks((*SHOWN, *PAIRS), SIZES, given.draws, given.seed)
    figures = {**expected, **other_figures(given.draws, given.seed)}
    print_goals(GOALS, figures)
    print("\nR² as measured, which varies with the made-up courses:")
    for name, figure in measured.items():
        print(f"{name:<78}{figure:>8.4f}")
    return 1 if missed(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
