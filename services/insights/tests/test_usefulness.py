"""Which findings are hidden: those like which reviewers accepted too few, and kinds that nothing shows to be useful."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.fits import FitHeader, has_measured_kinds
from edugraph_insights.calibration import FEWEST_JUDGED, calibrations
from edugraph_insights.reviewing import Claim, Origin
from edugraph_insights.usefulness import (
    OFFLINE_KINDS,
    REJECTED,
    USEFUL_FROM,
    Finding,
    Hidden,
    reason_to_hide,
)

MODEL = Origin("model", "m", "3")
LEXICON = Origin("offline", "lexicon", "1")
FIT = FitHeader(
    version="v",
    course_id="c",
    fitted_at="2026-12-02",
    items=200,
    name_weight=0.1,
    type_steps=((0.0, 0.5),),
    held_out={"kinds_right": 0.5, "most_frequent_kind": 0.3},
)


def claim(
    number: int,
    verdict: str | None = None,
    *,
    aspect: str = "error_type",
    origin: Origin | None = MODEL,
    confidence: float = 0.5,
    proposed: bool = False,
) -> Claim:
    return Claim(
        f"r{number}", f"text {number}", aspect, "t", "T", confidence, verdict, (), proposed, origin
    )


def judged(accepted: int, rejected: int, *, origin: Origin = MODEL) -> list[Claim]:
    """Return claims with verdicts about different texts. All state the same confidence."""
    claims = [claim(number, "accepted", origin=origin) for number in range(accepted)]
    for number in range(accepted, accepted + rejected):
        claims.append(claim(number, "rejected", origin=origin))
    return claims


@given(st.integers(0, 120), st.integers(0, 120))
def test_a_finding_is_hidden_if_too_few_like_it_were_accepted(accepted: int, rejected: int) -> None:
    """Out, each alone: `USEFUL_FROM`, or FEWEST_JUDGED in calibration.py."""
    number = accepted + rejected
    expected = None
    if number >= FEWEST_JUDGED and accepted < USEFUL_FROM * number:
        expected = REJECTED
    reasons = calibrations(judged(accepted, rejected))
    assert reason_to_hide(claim(1_000), reasons) == expected


def test_only_findings_of_the_same_model_prompt_aspect_and_confidence_are_hidden() -> None:
    """Out: let `reason_to_hide` ask for any step."""
    reasons = calibrations(judged(0, 60))
    assert reason_to_hide(claim(1_000), reasons) == REJECTED
    for shown in (
        claim(1_000, aspect="knowledge_point"),
        claim(1_000, origin=Origin("model", "m", "4")),
        claim(1_000, origin=Origin("model", "n", "3")),
        # No finding that is so sure was judged.
        claim(1_000, confidence=0.9),
        claim(1_000, origin=None),
    ):
        assert reason_to_hide(shown, reasons) is None


def test_a_finding_that_a_person_accepted_is_shown() -> None:
    """Out: the verdict in `reason_to_hide`."""
    reasons = calibrations(judged(5, 60))
    assert reason_to_hide(claim(1_000, "accepted"), reasons) is None
    assert reason_to_hide(claim(1_000, "accepted", origin=LEXICON), {}) is None


def test_kinds_without_a_model_are_hidden_until_they_are_measured() -> None:
    """Out, each alone: OFFLINE_KINDS, its aspect, its analyser, `has_measured_kinds`, or the step before it."""
    named = claim(1_000, origin=LEXICON)
    assert reason_to_hide(named, {}) == OFFLINE_KINDS
    assert reason_to_hide(replace(named, aspect="knowledge_point"), {}) is None
    assert reason_to_hide(replace(named, origin=MODEL), {}) is None
    of_fit = Origin("offline", "lexicon", f"1, {FIT.in_origin}")
    assert reason_to_hide(replace(named, origin=of_fit), {}) is None
    # Reviewers have said enough of them.
    assert reason_to_hide(named, calibrations(judged(25, 25, origin=LEXICON))) is None
    assert reason_to_hide(named, calibrations(judged(24, 25, origin=LEXICON))) == OFFLINE_KINDS
    assert reason_to_hide(named, calibrations(judged(5, 60, origin=LEXICON))) == REJECTED


@pytest.mark.parametrize(
    ("update", "is_measured"),
    [
        ({}, True),
        ({"type_steps": ()}, False),
        ({"held_out": {"kinds_right": 0.3, "most_frequent_kind": 0.3}}, False),
        # A fit of an earlier state was not compared with the most frequent kind.
        ({"held_out": {"kinds_right": 0.5}}, False),
    ],
    ids=["useful", "names none", "not better", "not compared"],
)
def test_a_finding_says_whether_the_kinds_of_its_fit_are_measured(
    update: dict[str, object], is_measured: bool
) -> None:
    """Out: one of the two conditions in `FitHeader.in_origin`."""
    fit = FIT.model_copy(update=update)
    assert has_measured_kinds(f"1, {fit.in_origin}") == is_measured


def test_what_is_left_out_is_counted_once_by_its_reason() -> None:
    """Out: a list in place of the set `used`."""
    kind = Finding("r", "error_type", "t")
    point = Finding("r", "knowledge_point", "p")
    unused = Finding("s", "knowledge_point", "p")
    hidden = Hidden({kind: OFFLINE_KINDS, point: REJECTED, unused: REJECTED})
    assert hidden.left_out == {}
    assert hidden.has(*kind)
    assert hidden.has(*kind)
    assert hidden.has(*point)
    assert not hidden.has("r", "error_type", "other")
    assert hidden.left_out == {OFFLINE_KINDS: 1, REJECTED: 1}
