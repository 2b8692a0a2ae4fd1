"""The measured confidence of findings: the share that reviewers accepted, by the confidence that the analyser states.

Only claims that the queue of reviews selects by chance or by their stated confidence count. A claim that somebody
judged because it was plainly wrong would make the analyser look worse than it is.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf
from operator import attrgetter
from typing import Literal, NamedTuple

from edugraph_insights.reviewing import UNSURE_BELOW, Claim, Origin
from edugraph_insights.statistics import wilson

# Verdicts about findings of one model, prompt and aspect from which their confidence is measured.
FEWEST_JUDGED = 50
# Verdicts behind each step.
FEWEST_IN_A_STEP = 20
# The queue has all claims with a lower confidence, and a tenth of the others. So no step begins in one of these parts
# of the scale with verdicts of the other one.
_PARTS = ((0.0, UNSURE_BELOW), (UNSURE_BELOW, inf))

State = Literal["measured", "not calibrated"]


class Source(NamedTuple):
    """An analyser, model, prompt and aspect. Each source has a calibration of its own."""

    origin: Origin
    aspect: str


class Judged(NamedTuple):
    """A verdict about one target in one text, and the confidence that the analyser stated."""

    confidence: float
    is_accepted: bool


@dataclass(frozen=True)
class Step:
    """Findings with a stated confidence from `lowest` to below `end`: how many were judged and accepted."""

    lowest: float
    end: float
    accepted: int
    judged: int

    @property
    def share(self) -> float:
        return self.accepted / self.judged

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        return wilson(self.share, self.judged)


@dataclass(frozen=True)
class Calibration:
    """The verdicts about the findings of one source. With fewer than FEWEST_JUDGED there are no steps."""

    judged: int = 0
    steps: tuple[Step, ...] = ()

    def step_at(self, confidence: float) -> Step | None:
        """Return the step of a stated confidence, or None if too few like it were judged."""
        for step in self.steps:
            if step.lowest <= confidence < step.end:
                return step
        return None


NOT_CALIBRATED = Calibration()


def calibrations(claims: Iterable[Claim]) -> Mapping[Source, Calibration]:
    """Return the calibration of each source of these claims that has verdicts."""
    # source -> (hash of the text, target) -> claims
    judged: dict[Source, dict[tuple[str, str], list[Claim]]] = {}
    for claim in claims:
        source = source_of(claim)
        if source is not None and _counts(claim):
            of_source = judged.setdefault(source, defaultdict(list))
            of_source[claim.text_hash, claim.target].append(claim)
    found: dict[Source, Calibration] = {}
    for source, by_text in judged.items():
        verdicts = [_one_verdict(equal) for equal in by_text.values()]
        found[source] = calibration_of(verdicts)
    return found


def source_of(claim: Claim) -> Source | None:
    """Return the source of a claim. A proposal has none, since it does not measure the analyser."""
    if claim.origin is None or claim.proposed:
        return None
    return Source(claim.origin, claim.aspect)


def _counts(claim: Claim) -> bool:
    """Return whether a claim is judged, and the queue selects it whether it is right or wrong."""
    is_selected = claim.drawn or claim.confidence < UNSURE_BELOW
    return is_selected and claim.verdict is not None


def _one_verdict(claims: Sequence[Claim]) -> Judged:
    """Return the verdict of most reviews about a target in equal texts, and the highest confidence stated there.

    A tie is not accepted.
    """
    accepted = sum(claim.verdict == "accepted" for claim in claims)
    rejected = len(claims) - accepted
    confidence = max(claim.confidence for claim in claims)
    return Judged(confidence, accepted > rejected)


def calibration_of(verdicts: Sequence[Judged]) -> Calibration:
    """Return the calibration that these verdicts about one source lead to."""
    if len(verdicts) < FEWEST_JUDGED:
        return Calibration(len(verdicts))
    return Calibration(len(verdicts), steps_of(verdicts))


def steps_of(verdicts: Iterable[Judged]) -> tuple[Step, ...]:
    """Return the share that was accepted by stated confidence: isotonic regression over bins.

    Neighbouring bins are pooled until the shares rise (pool adjacent violators).
    """
    ordered = sorted(verdicts)
    pooled: list[Step] = []
    for lowest, end in _PARTS:
        part = [each for each in ordered if lowest <= each.confidence < end]
        for each in _bins(part, lowest, end):
            pooled.append(each)
            while len(pooled) > 1 and not _rises(pooled[-2], pooled[-1]):
                last = pooled.pop()
                pooled[-1] = _joined(pooled[-1], last)
    return tuple(pooled)


def _bins(ordered: Sequence[Judged], lowest: float, end: float) -> list[Step]:
    """Return bins of at least FEWEST_IN_A_STEP verdicts from `lowest` to `end`. Fewer verdicts make no bin.

    Verdicts about findings of equal confidence are in one bin.
    """
    bins: list[Step] = []
    filling = Step(lowest, end, 0, 0)
    for confidence, equal in groupby(ordered, attrgetter("confidence")):
        if filling.judged >= FEWEST_IN_A_STEP:
            bins.append(Step(filling.lowest, confidence, filling.accepted, filling.judged))
            filling = Step(confidence, end, 0, 0)
        verdicts = [each.is_accepted for each in equal]
        accepted = filling.accepted + sum(verdicts)
        filling = Step(filling.lowest, end, accepted, filling.judged + len(verdicts))
    if filling.judged >= FEWEST_IN_A_STEP:
        bins.append(filling)
    elif bins:
        bins[-1] = _joined(bins[-1], filling)
    return bins


def _joined(lower: Step, upper: Step) -> Step:
    accepted = lower.accepted + upper.accepted
    return Step(lower.lowest, upper.end, accepted, lower.judged + upper.judged)


def _rises(lower: Step, upper: Step) -> bool:
    """Return whether the share of the upper step is greater. Whole numbers are compared, so equal is equal."""
    return lower.accepted * upper.judged < upper.accepted * lower.judged
