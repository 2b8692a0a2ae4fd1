"""The measured confidence of findings, compared with isotonic regression in another form, and who may change it."""

from dataclasses import replace
from fractions import Fraction
from itertools import groupby, pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_insights.calibration import (
    FEWEST_IN_A_STEP,
    FEWEST_JUDGED,
    NOT_CALIBRATED,
    Calibration,
    Judged,
    Source,
    calibration_of,
    calibrations,
    steps_of,
)
from edugraph_insights.reviewing import UNSURE_BELOW, Claim, Origin

LEXICON = Origin("offline", "lexicon", "1")
MODEL = Origin("model", "m", "3")
POINT = "knowledge_point"
# Models state few different numbers, so equal ones are frequent.
stated = st.one_of(
    st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.7, 0.9, 0.95, 1.0]), st.floats(min_value=0, max_value=1)
)


@st.composite
def judgements(draw: st.DrawFn) -> list[Judged]:
    """Up to 400 verdicts. For each of some confidences, how many were accepted and rejected."""
    numbers = st.integers(0, 20)
    judged: list[Judged] = []
    for confidence in draw(st.lists(stated, max_size=10)):
        judged += [Judged(confidence, is_accepted=True)] * draw(numbers)
        judged += [Judged(confidence, is_accepted=False)] * draw(numbers)
    return judged


def bins_of(part: list[Judged]) -> list[list[Judged]]:
    """Return bins of 20 or more in the order of confidence, and equal confidences together.

    The last ones that do not make a bin belong to the one before.
    """
    bins: list[list[Judged]] = [[]]
    for _, equal in groupby(sorted(part), key=lambda each: each.confidence):
        if len(bins[-1]) >= 20:
            bins.append([])
        bins[-1].extend(equal)
    if len(bins[-1]) < 20:
        rest = bins.pop()
        if bins:
            bins[-1].extend(rest)
    return bins


def isotonic(bins: list[list[Judged]]) -> list[Fraction]:
    """Return the isotonic regression of the bins, weighted by their sizes.

    The value of a bin is the greatest of all beginnings up to it of the least mean up to any end after it.
    """
    accepted = [sum(each.is_accepted for each in part) for part in bins]
    sizes = [len(part) for part in bins]
    values: list[Fraction] = []
    for place in range(len(bins)):
        least_means: list[Fraction] = []
        for start in range(place + 1):
            means: list[Fraction] = []
            for end in range(place + 1, len(bins) + 1):
                means.append(Fraction(sum(accepted[start:end]), sum(sizes[start:end])))
            least_means.append(min(means))
        values.append(max(least_means))
    return values


@given(judgements(), st.randoms(use_true_random=False))
def test_steps_are_isotonic_regression_over_bins(judged: list[Judged], random: object) -> None:
    """Out: the pooling in `steps_of`, the weights in `_rises`, the minimum of a bin, or the parts of the scale."""
    unsure = [each for each in judged if each.confidence < 0.6]
    sure = [each for each in judged if each.confidence >= 0.6]
    bins = [*bins_of(unsure), *bins_of(sure)]
    expected = isotonic(bins)
    random.shuffle(judged)  # type: ignore[attr-defined]
    calibration = Calibration(len(judged), steps_of(judged))

    for part, share in zip(bins, expected, strict=True):
        for each in part:
            step = calibration.step_at(each.confidence)
            assert step is not None
            assert Fraction(step.accepted, step.judged) == share
    binned = {each.confidence for part in bins for each in part}
    for each in judged:
        if each.confidence not in binned:
            assert calibration.step_at(each.confidence) is None
    assert sum(step.judged for step in calibration.steps) == sum(map(len, bins))


@given(judgements())
def test_steps_rise_and_each_has_enough_verdicts_and_an_interval(judged: list[Judged]) -> None:
    """Out: the minimum in `_bins`; `wilson` in `interval`."""
    steps = steps_of(judged)
    assert all(step.judged >= 20 for step in steps)
    for lower, upper in pairwise(steps):
        assert lower.share < upper.share
        assert lower.lowest < lower.end <= upper.lowest
    for step in steps:
        least, most = step.interval
        assert 0 <= least <= step.share <= most <= 1
        assert most - least > 9 / 1_000  # of 400 verdicts at most


def test_a_step_is_a_known_share_with_its_interval() -> None:
    judged = [Judged(0.9, is_accepted=number < 40) for number in range(50)]
    (step,) = calibration_of(judged).steps
    assert (step.lowest, step.end, step.share, step.judged) == (0.6, inf, 0.8, 50)
    # Wilson's formula by hand: (0.8 + 1.92 / 50 ± 1.96 · √(0.16 / 50 + 0.96 / 2,500)) / (1 + 3.84 / 50).
    assert step.interval == pytest.approx((0.6696, 0.8876), abs=5e-5)


def test_nothing_is_measured_until_fifty_are_judged() -> None:
    """Out: FEWEST_JUDGED in `calibration_of`."""
    judged = [Judged(0.9, is_accepted=True) for _ in range(FEWEST_JUDGED)]
    assert FEWEST_JUDGED == 50
    assert calibration_of(judged[1:]) == Calibration(49)
    assert calibration_of(judged[1:]).step_at(0.9) is None
    assert calibration_of(judged).step_at(0.9) is not None
    assert NOT_CALIBRATED.step_at(0.9) is None


def test_verdicts_about_unsure_findings_say_nothing_of_sure_ones() -> None:
    """The queue has all unsure findings and a tenth of the sure ones. Out: one of the two `_PARTS`."""
    unsure = [Judged(0.5, is_accepted=False) for _ in range(60)]
    sure = [Judged(0.9, is_accepted=True) for _ in range(FEWEST_IN_A_STEP)]
    few = calibration_of([*unsure, *sure[1:]])
    assert few.step_at(0.5) is not None
    assert few.step_at(0.9) is None
    enough = calibration_of([*unsure, *sure])
    assert [(step.share, step.judged) for step in enough.steps] == [(0.0, 60), (1.0, 20)]
    assert [enough.step_at(each) for each in (0.0, 0.6, 1.0)] == [
        enough.steps[0],
        enough.steps[1],
        enough.steps[1],
    ]


def claim(number: int, **more: object) -> Claim:
    """Return an unsure claim that was accepted, about a text of its own."""
    accepted = Claim(
        f"r{number}", f"text {number}", POINT, "p", "P", 0.5, "accepted", (), origin=LEXICON
    )
    return replace(accepted, **more)  # type: ignore[arg-type]


def source(origin: Origin = LEXICON, aspect: str = POINT) -> Source:
    return Source(origin, aspect)


def test_models_prompts_and_aspects_are_measured_apart() -> None:
    """Out: `origin` or `aspect` in `source_of`."""
    next_prompt = LEXICON._replace(prompt_version="2")
    claims: list[Claim] = []
    for number in range(60):
        claims.append(claim(number))
        claims.append(claim(number, verdict="rejected", origin=MODEL))
        if number < 30:
            claims.append(claim(number, aspect="error_type"))
        if number < 49:
            claims.append(claim(number, origin=next_prompt))
    found = calibrations(claims)
    assert {each: calibration.judged for each, calibration in found.items()} == {
        source(): 60,
        source(MODEL): 60,
        source(aspect="error_type"): 30,
        source(next_prompt): 49,
    }
    shares = {each: [step.share for step in found[each].steps] for each in found}
    assert shares == {
        source(): [1.0],
        source(MODEL): [0.0],
        source(aspect="error_type"): [],
        source(next_prompt): [],
    }


@given(st.permutations([True, True, True, False, False]), st.integers(0, 5))
def test_equal_texts_are_one_verdict(verdicts: list[bool], rejected: int) -> None:
    """Out: the grouping by text in `calibrations`, or the majority in `_one_verdict`."""
    claims = [claim(number) for number in range(49)]
    for number, is_accepted in enumerate(verdicts):
        verdict = "accepted" if is_accepted else "rejected"
        claims.append(claim(100 + number, text_hash="equal", verdict=verdict))
    for number in range(rejected):
        claims.append(claim(200 + number, text_hash="equal", verdict="rejected"))
    (step,) = calibrations(claims)[source()].steps
    is_accepted_by_most = 2 + rejected < 3
    assert (step.judged, step.accepted) == (50, 49 + is_accepted_by_most)
    assert calibrations(claims[1:])[source()] == Calibration(49)


def test_two_targets_in_one_text_are_two_verdicts() -> None:
    claims = [claim(0, target=f"p{number}") for number in range(50)]
    assert calibrations(claims)[source()].judged == 50


def test_a_claim_that_the_queue_does_not_select_does_not_count() -> None:
    """Somebody may judge a sure finding because it is plainly wrong. Out: `is_selected` in `_counts`."""
    sure = [claim(number, confidence=0.9) for number in range(2_000)]
    drawn = [each for each in sure if each.drawn]
    seen_wrong = [replace(each, verdict="rejected") for each in sure if not each.drawn]
    calibration = calibrations([*drawn, *seen_wrong])[source()]
    assert calibration.judged == len(drawn) > FEWEST_JUDGED
    assert [step.share for step in calibration.steps] == [1.0]
    assert UNSURE_BELOW == 0.6


def test_proposals_open_claims_and_findings_without_an_origin_do_not_count() -> None:
    """Out: `proposed` or `origin` in `source_of`, or the verdict in `_counts`."""
    claims = [claim(number, proposed=True) for number in range(60)]
    claims += [claim(number, verdict=None) for number in range(60)]
    claims += [claim(number, origin=None) for number in range(60)]
    assert calibrations(claims) == {}
