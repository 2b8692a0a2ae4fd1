"""On the synthetic school, the estimate of mastery is better than the share of right answers."""

from evaluation.mastery import measure


def test_the_estimate_ranks_students_by_true_mastery_better_than_the_share_right() -> None:
    found = measure(120, 96_000, 1)
    assert found.many.estimate > 0.75
    assert found.many.estimate > found.many.share + 0.03
    assert found.held_out.auc > found.held_out.auc_of_points + 0.03
    assert found.held_out.calibration_error < 0.03
