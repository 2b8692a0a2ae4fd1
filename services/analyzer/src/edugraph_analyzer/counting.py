"""What the analyzer tells its metrics, in its own words."""

from edugraph_common.contracts.findings import Kind
from edugraph_common.platform import metrics

NEARLY = 0.9  # of a budget


def open_models(models: dict[Kind, str], requests: int, tokens: int | None) -> None:
    """Everything that is counted of these models is there from the start, at zero."""
    for kind, model in models.items():
        limits(model, requests, tokens)
        for status in metrics.ANSWERS:
            metrics.PROVIDER_REQUESTS.open(model=model, status=status)
        for direction in ("input", "output"):
            metrics.TOKENS.open(model=model, kind=kind, direction=direction)
        metrics.COST.open(model=model, kind=kind)
        for instrument in (metrics.PROVIDER_SECONDS, metrics.LIMITER_WAIT):
            instrument.open(model=model)
        for counter in (metrics.LIMITER_REFUSALS, metrics.LIMITER_PAUSES):
            counter.open(model=model)


def waited_for_place(model: str, seconds: float) -> None:
    metrics.LIMITER_WAIT.observe(seconds, model=model)


def place_refused(model: str) -> None:
    metrics.LIMITER_REFUSALS.add(model=model)


def paused(model: str) -> None:
    metrics.LIMITER_PAUSES.add(model=model)


def limits(model: str, requests: int, tokens: int | None) -> None:
    metrics.LIMITER_LIMIT.set(requests, model=model, unit="requests")
    metrics.LIMITER_LIMIT.set(tokens or 0, model=model, unit="tokens")


def answered(model: str, status: str, seconds: float) -> None:
    """One HTTP attempt; `status` is a number, or why there is none: timeout, cut, unreadable."""
    metrics.PROVIDER_REQUESTS.add(model=model, status=status)
    metrics.PROVIDER_SECONDS.observe(seconds, model=model)


def used(model: str, kind: Kind, tokens: tuple[int, int], cost: float) -> None:
    """`tokens` of the question and of the answer."""
    for number, direction in zip(tokens, ("input", "output"), strict=True):
        metrics.TOKENS.add(number, model=model, kind=kind, direction=direction)
    metrics.COST.add(cost, model=model, kind=kind)


def packed(kind: Kind, items: int) -> None:
    metrics.PACK_ITEMS.observe(items, kind=kind)


def asked_again(kind: Kind, way: metrics.PartWay) -> None:
    metrics.REPAIRS.add(kind=kind, way=way)


def waited_for_another(kind: Kind, seconds: float) -> None:
    metrics.FLIGHT_WAITS.observe(seconds, kind=kind)


def looked_up(kind: Kind, hits: int, misses: int) -> None:
    metrics.CACHE.add(hits, kind=kind, result="hit")
    metrics.CACHE.add(misses, kind=kind, result="miss")


def analysed(kind: Kind, numbers: dict[metrics.AnalysisOutcome, int]) -> None:
    for outcome, number in numbers.items():
        metrics.ANALYSES.add(number, kind=kind, outcome=outcome)


def budget(spent: float, whole: float) -> None:
    level = "spent" if spent >= whole else "nearly" if spent >= NEARLY * whole else "under"
    metrics.BUDGETS.add(level=level)


def job_ended(state: str | None) -> None:
    """None: it goes on."""
    if state:
        metrics.JOBS_ENDED.add(state=state)
