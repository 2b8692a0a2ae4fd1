"""The interval of did-it-help has the true gain. `make bench-did-it-help` tries 1,000 courses."""

from evaluation.did_it_help import figures_of, runs_of


def test_the_interval_has_the_true_gain() -> None:
    figures = figures_of(list(runs_of(40, seed=3)))
    assert figures["share of the runs with an answer"] >= 0.95
    assert figures["share of the intervals that have the true gain"] >= 0.85
    assert abs(figures["mean of the difference less the true gain"]) <= 0.03
