"""needs-help names the weakest students of a synthetic school. `make bench-needs-help` tries four schools."""

from evaluation.needs_help import GOALS, figures_of, missed, weeks_of

STUDENTS = 120
SEED = 3
FEW_WEEKS = (8, 14)


def test_the_first_names_are_the_weakest_and_not_too_many_are_named() -> None:
    figures = figures_of(weeks_of(STUDENTS, SEED, FEW_WEEKS))
    # One school has eight courses, so its figures vary more than those of the bench.
    assert (
        figures["courses: share of the first 8 in the weakest quarter, lowest week from 8 on"]
        >= 0.7
    )
    assert (
        figures["classes: share of the first 4 in the weakest quarter, lowest week from 8 on"]
        >= 0.7
    )
    assert figures["courses: share flagged, lowest mean of a week"] >= 0.08
    assert figures["courses: share flagged, highest mean of a week"] <= 0.22
    assert figures["courses: largest share flagged"] <= 0.4


def test_a_figure_on_the_wrong_side_of_its_goal_is_missed() -> None:
    good = {goal.name: (goal.least + goal.most) / 2 for goal in GOALS}
    assert missed(good) == []
    for goal in GOALS:
        assert missed(good | {goal.name: goal.least - 0.001}) == [goal.name]
        assert missed(good | {goal.name: goal.most + 0.001}) == [goal.name]
