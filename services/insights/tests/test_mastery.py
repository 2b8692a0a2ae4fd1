"""Mastery by performance factors analysis, and the path of what is to be learned."""

from datetime import UTC, datetime, timedelta
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.mastery import Coefficients, read_coefficients
from edugraph_insights.mastery import Attempts, learning_path, mastery
from edugraph_insights.statistics import wilson, wilson_lower

NOW = datetime(2026, 6, 1, tzinfo=UTC)
count = st.integers(0, 40)
counts = st.dictionaries(st.sampled_from("abc"), st.tuples(count, count), min_size=1)


def of(pairs: dict[str, tuple[int, int]], last: datetime | None = NOW) -> dict[str, Attempts]:
    return {point: Attempts(*pair, last) for point, pair in pairs.items()}


@given(counts)
def test_one_more_right_answer_never_lowers_mastery_and_a_wrong_one_never_raises_it(pairs) -> None:
    for point, (right, wrong) in pairs.items():
        changed = [(right, wrong + 1), (right, wrong), (right + 1, wrong)]
        found = [mastery(of({**pairs, point: each}), NOW)[point].probability for each in changed]
        if right + wrong < 5:
            assert found[1] is None
        else:
            known = [probability for probability in found if probability is not None]
            assert len(known) == 3
            assert 0 < known[0] < known[1] < known[2] < 1


@given(counts)
def test_the_state_follows_the_probability_the_number_and_the_last_attempt(pairs) -> None:
    long_ago = NOW - timedelta(days=181)
    for point, found in mastery(of(pairs), NOW).items():
        later = mastery(of(pairs, long_ago), NOW)[point]
        if sum(pairs[point]) < 5:
            assert found == later == (None, "not enough information")
        else:
            assert found.state == (
                "mastered" if (found.probability or 0) >= 0.75 else "not mastered"
            )
            assert later.state == "long ago"


@given(
    counts,
    st.tuples(*[st.floats(-2, 2)] * 2, *[st.floats(0, 1)] * 2, *[st.floats(-1, 0)] * 2),
)
def test_the_probability_is_that_of_the_formula(pairs, chosen) -> None:
    """β(point) + γ·ln(1 + right) + ρ·ln(1 + wrong), and the same two terms over all points of the student."""
    mean, own, gamma, gamma_all, rho, rho_all = chosen
    use = Coefficients(
        mean_beta=mean,
        betas={"a": own},
        gamma=gamma,
        gamma_over_all=gamma_all,
        rho=rho,
        rho_over_all=rho_all,
    )
    right, wrong = (sum(each) for each in zip(*pairs.values(), strict=True))
    for point, found in mastery(of(pairs), NOW, use).items():
        here, there = pairs[point]
        logit = (own if point == "a" else mean) + gamma * log(1 + here) + rho * log(1 + there)
        odds = exp(logit + gamma_all * log(1 + right) + rho_all * log(1 + wrong))
        if here + there >= 5:
            assert found.probability == pytest.approx(odds / (1 + odds))
        else:
            assert found == (None, "not enough information")


def test_three_quarters_are_mastered_and_half_a_year_is_not_long_ago() -> None:
    three_to_one = log(3) + 1e-9
    for beta, state in ((three_to_one, "mastered"), (three_to_one - 1e-6, "not mastered")):
        use = Coefficients(mean_beta=beta, gamma=0, rho=0, gamma_over_all=0, rho_over_all=0)
        last = {
            NOW: state,
            NOW - timedelta(days=180): state,
            NOW - timedelta(days=180, seconds=1): "long ago",
        }
        assert {at: mastery(of({"a": (3, 2)}, at), NOW, use)["a"].state for at in last} == last
        assert mastery(of({"a": (3, 2)}, None), NOW, use)["a"].state == state


def test_without_a_fit_the_coefficients_are_those_that_the_documents_name() -> None:
    """docs/mastery.md and the settings of every school without a fit: another default changes each answer."""
    untuned = {
        "mean_beta": 0.0,
        "betas": {},
        "gamma": 0.8,
        "rho": -0.6,
        "gamma_over_all": 0.2,
        "rho_over_all": -0.2,
    }
    assert Coefficients().model_dump() == untuned
    assert mastery(of({"a": (5, 5)}), NOW) == mastery(
        of({"a": (5, 5)}), NOW, Coefficients.model_validate(untuned)
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{", "it"),
        ('{"gamma": "much"}', "gamma"),
        ('{"betas": {"a": "b"}}', "betas.a"),
        ('{"rho": 0.5}', "it"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_the_place(tmp_path, text: str, place: str) -> None:
    file = tmp_path / "fit.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(
        ValueError, match=f"fit.json has no coefficients of mastery: {place}: "
    ) as refused:
        read_coefficients(file)
    assert str(refused.value).endswith("; write it with edugraph mastery fit")
    assert "https://" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"fit\.json has no coefficients of mastery: No such file"):
        read_coefficients(tmp_path / "fit.json")


def test_a_file_of_coefficients_is_read(tmp_path) -> None:
    use = Coefficients(mean_beta=0.5, betas={"a": 1.0}, gamma=0.1, rho=0.0)
    (tmp_path / "fit.json").write_text(use.model_dump_json(), encoding="utf-8")
    assert read_coefficients(tmp_path / "fit.json") == use


def test_a_point_takes_its_own_beta_and_a_new_one_the_mean() -> None:
    use = Coefficients(mean_beta=1.0, betas={"hard": -2.0})
    found = mastery(of({"hard": (5, 5), "new": (5, 5)}), NOW, use)
    assert (found["hard"].probability or 1) < (found["new"].probability or 0)


@pytest.mark.parametrize(
    "wrong", [{"gamma": -0.1}, {"rho": 0.1}, {"gamma_over_all": -1.0}, {"rho_over_all": 1.0}]
)
def test_coefficients_that_punish_right_answers_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="right answers"):
        Coefficients(**wrong)


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
