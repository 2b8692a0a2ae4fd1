"""Attacks on numbers with noise stay within the bound. `make bench-small-groups` tries more courses, sizes and attacks."""

from evaluation.small_group_attacks import GOALS, figures_of_attacks, missed, other_figures

SEED = 2
ATTACKS = ("points and weeks", "all questions", "one pair")  # the others take a minute


def test_an_outsider_learns_little_of_one_student_and_a_reader_much_of_a_class() -> None:
    """Out: the noise of shares or of counts, or the statistic or the students of the key."""
    expected, _ = figures_of_attacks(ATTACKS, (44,), draws=1, seed=SEED)
    figures = expected | other_figures(draws=6, seed=SEED)
    assert missed(figures) == []
    assert len(figures) == len(ATTACKS) + 7


def test_a_figure_on_the_wrong_side_of_its_goal_is_missed() -> None:
    good = {goal.name: (goal.least + goal.most) / 2 for goal in GOALS}
    assert missed(good) == []
    for goal in GOALS:
        assert missed(good | {goal.name: goal.least - 0.001}) == [goal.name]
        assert missed(good | {goal.name: goal.most + 0.001}) == [goal.name]
