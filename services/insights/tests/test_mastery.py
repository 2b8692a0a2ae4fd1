"""The Bayesian estimate of mastery, and the path of the points to be learned."""

from datetime import UTC, datetime, timedelta
from math import exp, pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_insights.mastery import (
    Answers,
    Attempts,
    Mastery,
    is_shown,
    learning_path,
    mastery_of_students,
    mean_mastery,
)
from edugraph_insights.statistics import wilson, wilson_lower

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=180, seconds=1)
count = st.integers(0, 40)
tries = st.tuples(count, count, st.booleans()).filter(lambda each: each[0] + each[1] > 0)
counts = st.dictionaries(st.sampled_from("abc"), tries, min_size=1)
# Right and wrong answers at a point, in their order.
outcomes = st.lists(st.booleans(), min_size=1, max_size=12)
CLASS = {"a": Answers(300, 400), "b": Answers(90, 300), "c": Answers(2, 2)}


def of(
    pairs: dict[str, tuple[int, int, bool]],
    answers: dict[str, Answers] | None = None,
    last: datetime | None = NOW,
) -> dict[str, Mastery]:
    """The mastery of one student."""
    mine = {point: Attempts(pair[0], pair[1], last, pair[2]) for point, pair in pairs.items()}
    found, _ = mastery_of_students({"s": mine}, CLASS if answers is None else answers, NOW)
    return found["s"]


def numbers(each: Mastery) -> tuple[float, float, float]:
    assert each.probability is not None
    assert each.low is not None
    assert each.high is not None
    return each.probability, each.low, each.high


@given(counts)
def test_who_tried_once_has_a_value_within_its_interval(pairs) -> None:
    for each in of(pairs).values():
        probability, low, high = numbers(each)
        assert 0 < low < probability < high < 1


@given(outcomes, st.data())
def test_a_right_answer_in_place_of_a_wrong_one_never_lowers_mastery(given_outcomes, data) -> None:
    """The last answer counts twice, so its constants must not be the other way round."""
    place = data.draw(st.integers(0, len(given_outcomes) - 1))
    found = []
    for value in (False, True):
        changed = [*given_outcomes[:place], value, *given_outcomes[place + 1 :]]
        right = sum(changed)
        pair = (right, len(changed) - right, changed[-1])
        found.append(numbers(of({"a": pair})["a"])[0])
    assert found[0] < found[1]


@given(counts, st.sampled_from("abc"), st.booleans())
def test_more_answers_make_the_interval_of_the_logit_narrower(pairs, point, right) -> None:
    before = of(pairs)
    old = pairs.get(point, (0, 0, right))
    after = of({**pairs, point: (old[0] + 30 * right, old[1] + 30 * (not right), old[2])})

    def width(each: Mastery) -> float:
        _, low, high = numbers(each)
        return np.log(high / (1 - high)) - np.log(low / (1 - low))

    balanced = min(old[:2]) > 0
    if point in before and balanced and abs(old[0] - old[1]) < 5 and old[0] + old[1] < 10:
        assert width(after[point]) < width(before[point])


@given(counts)
def test_the_estimate_is_the_maximum_of_the_posterior_distribution(pairs) -> None:
    """A dense system of equations, solved by damped steps until nothing changes."""
    level = {}
    share_at_all = (392 + 1) / (702 + 2)
    for point, answers in CLASS.items():
        share = (answers.right + 15 * share_at_all) / (answers.number + 15)
        variance = 1 / ((answers.number + 15) * share * (1 - share))
        level[point] = float(np.log(share / (1 - share))), variance
    names = sorted(pairs)
    size = len(names)
    design = np.hstack([np.ones((size, 1)), np.eye(size)])
    prior = np.diag([1 / 0.8**2, *[1 / 0.7**2] * size])
    number = np.array([sum(pairs[name][:2]) for name in names])
    right = np.array([pairs[name][0] for name in names])
    levels = np.array([level[name][0] for name in names])
    effects = np.zeros(size + 1)
    hessian = prior
    for _ in range(200):
        chance = 1 / (1 + np.exp(-(levels + design @ effects)))
        gradient = design.T @ (right - number * chance) - prior @ effects
        hessian = design.T @ np.diag(number * chance * (1 - chance)) @ design + prior
        effects = effects + 0.5 * np.linalg.solve(hessian, gradient)
    covariance = np.linalg.inv(hessian)
    found = of(pairs)
    for row, name in enumerate(names):
        variance = design[row] @ covariance @ design[row]
        shrunk = (design[row] @ effects) / sqrt(1 + pi * variance / 8)
        logit = -0.638 + 1.082 * levels[row] + 0.924 * shrunk + 0.165 * np.log(1 + number[row])
        logit += 0.734 if pairs[name][2] else 0.391
        error = sqrt(0.924**2 * variance + 1.082**2 * level[name][1] + 0.12)
        ends = [logit, logit - 1.959963984540054 * error, logit + 1.959963984540054 * error]
        assert numbers(found[name]) == pytest.approx([1 / (1 + exp(-each)) for each in ends])


@given(st.dictionaries(st.sampled_from("rst"), counts, min_size=2))
def test_the_estimate_of_a_student_does_not_depend_on_who_else_is_asked_about(school) -> None:
    attempts = {
        student: {point: Attempts(each[0], each[1], NOW, each[2]) for point, each in pairs.items()}
        for student, pairs in school.items()
    }
    together, abilities = mastery_of_students(attempts, CLASS, NOW)
    for student, mine in attempts.items():
        alone, ability = mastery_of_students({student: mine}, CLASS, NOW)
        assert alone[student] == together[student]
        assert ability[student] == abilities[student]


@pytest.mark.parametrize(
    "answers", [{}, {"a": Answers(0, 0)}, {"a": Answers(0, 9)}, {"a": Answers(9, 9)}]
)
def test_a_class_with_one_kind_of_answers_or_none_has_estimates(answers) -> None:
    for pair in ((1, 0, True), (0, 1, False), (1_000, 0, True), (0, 1_000, False)):
        probability, low, high = numbers(of({"a": pair}, answers)["a"])
        assert 0 < low < probability < high < 1


@given(counts)
def test_the_state_follows_the_width_the_last_attempt_and_the_probability(pairs) -> None:
    later = of(pairs, last=LONG_AGO)
    at_the_limit = of(pairs, last=NOW - timedelta(days=180))
    never = of(pairs, last=None)
    for point, each in of(pairs).items():
        probability, low, high = numbers(each)
        if (high - low) / 2 > 0.25:
            assert {each.state, later[point].state} == {"too few for an estimate"}
            continue
        expected = "mastered" if probability >= 0.75 else "not mastered"
        assert each.state == at_the_limit[point].state == never[point].state == expected
        assert later[point].state == "long ago"


def test_one_attempt_is_too_few_to_be_shown_and_ten_are_enough() -> None:
    assert of({"b": (1, 0, True)})["b"].state == "too few for an estimate"
    assert of({"b": (10, 0, True)})["b"].state == "mastered"
    assert of({"b": (0, 10, False)})["b"].state == "not mastered"


def test_the_last_answer_counts() -> None:
    right, wrong = (of({"a": (3, 3, last)})["a"] for last in (True, False))
    assert numbers(right)[0] > numbers(wrong)[0] + 0.03


def test_a_mean_is_surer_than_its_parts_and_stays_within_0_and_1() -> None:
    one = [np.array([each]) for each in (0.5, 0.2, 0.8)]
    assert mean_mastery(*one) == pytest.approx((0.5, 0.2, 0.8))
    assert mean_mastery(*(each.repeat(9) for each in one)) == pytest.approx((0.5, 0.4, 0.6))
    assert not is_shown(0.2, 0.8)
    assert is_shown(0.4, 0.6)
    sure = [np.array([each]) for each in (0.95, 0.7, 0.99)]
    assert mean_mastery(*sure)[2] == 1.0


points = st.sampled_from("abcdef")
# Circles are drawn too: points that were judged the same make them.
needs = st.lists(st.tuples(points, points), max_size=12)


@given(needs, st.sets(points))
def test_the_path_has_all_that_is_not_mastered_and_each_at_its_first_possible_step(
    pairs, mastered
) -> None:
    path = learning_path("f", pairs, dict.fromkeys(mastered, "mastered"))
    before = {point: reached(pairs, point) for point in "abcdef"}
    left = ({"f"} | before["f"]) - mastered
    assert {point for step in path for point in step} == left
    assert all(list(step) == sorted(step) for step in path)
    places = {point: place for place, step in enumerate(path) for point in step}
    for point in left:
        strictly = [places[each] for each in before[point] & left if point not in before[each]]
        assert places[point] == max(strictly, default=-1) + 1


def reached(pairs, point) -> set[str]:
    found = {needed for one, needed in pairs if one == point}
    for _ in range(6):
        found |= {needed for one, needed in pairs if one in found}
    return found


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_ends_of_wilson_s_interval_are_as_far_off_as_95_percent_allow(pair) -> None:
    right, n = pair
    share = right / n
    low, high = wilson(share, n)
    assert low == wilson_lower(share, n)
    assert 0 <= low <= share <= high <= 1
    assert abs((share - low) - 1.959963984540054 * (low * (1 - low) / n) ** 0.5) < 1e-9
    assert abs((high - share) - 1.959963984540054 * (high * (1 - high) / n) ** 0.5) < 1e-9
