"""The analyzer's metrics. Each function names an event of the analysis and hides the instruments behind it."""

from edugraph_common.contracts.findings import Kind, Purpose
from edugraph_common.runtime.service import metrics

# A budget is nearly spent from this share on.
_NEARLY_SPENT = 0.9


def open_models(models: dict[Kind, str], limits: dict[str, tuple[int, int | None]]) -> None:
    """Start every metric of these models at zero, so that a rate has a beginning.

    `limits` has the requests and tokens a minute of each model.
    """
    for direction in ("input", "output"):
        for purpose in ("draft", "question"):
            metrics.TOKENS.open(model=models["error"], kind=purpose, direction=direction)
    for purpose in ("draft", "question"):
        metrics.COST.open(model=models["error"], kind=purpose)
    for kind, model in models.items():
        rate_limits(model, *limits[model])
        for status in metrics.ANSWERS:
            metrics.PROVIDER_REQUESTS.open(model=model, status=status)
        for direction in ("input", "output"):
            metrics.TOKENS.open(model=model, kind=kind, direction=direction)
        metrics.COST.open(model=model, kind=kind)
        for instrument in (metrics.PROVIDER_SECONDS, metrics.LIMITER_WAIT):
            instrument.open(model=model)
        for counter in (metrics.LIMITER_REFUSALS, metrics.LIMITER_PAUSES):
            counter.open(model=model)


def waited_for_slot(model: str, seconds: float) -> None:
    metrics.LIMITER_WAIT.observe(seconds, model=model)


def slot_refused(model: str) -> None:
    metrics.LIMITER_REFUSALS.add(model=model)


def provider_paused(model: str) -> None:
    metrics.LIMITER_PAUSES.add(model=model)


def rate_limits(model: str, requests_per_minute: int, tokens_per_minute: int | None) -> None:
    metrics.LIMITER_LIMIT.set(requests_per_minute, model=model, unit="requests")
    metrics.LIMITER_LIMIT.set(tokens_per_minute or 0, model=model, unit="tokens")


def provider_answered(model: str, status: str, seconds: float) -> None:
    """Count one HTTP attempt. `status` is a number, or timeout, cut or unreadable if there is no number."""
    metrics.PROVIDER_REQUESTS.add(model=model, status=status)
    metrics.PROVIDER_SECONDS.observe(seconds, model=model)


def tokens_used(
    model: str, kind: Purpose, input_tokens: int, output_tokens: int, cost: float
) -> None:
    metrics.TOKENS.add(input_tokens, model=model, kind=kind, direction="input")
    metrics.TOKENS.add(output_tokens, model=model, kind=kind, direction="output")
    metrics.COST.add(cost, model=model, kind=kind)


def pack_sent(kind: Kind, items: int) -> None:
    metrics.PACK_ITEMS.observe(items, kind=kind)


def asked_again(kind: Kind, way: metrics.PartWay) -> None:
    metrics.REPAIRS.add(kind=kind, way=way)


def names_dropped(kind: Kind, number: int) -> None:
    """Count the names in an answer that were left out, such as an id that its question did not show."""
    metrics.DROPPED_NAMES.add(number, kind=kind)


def waited_for_another_process(kind: Kind, seconds: float) -> None:
    metrics.FLIGHT_WAITS.observe(seconds, kind=kind)


def cache_looked_up(kind: Kind, hits: int, misses: int) -> None:
    metrics.CACHE.add(hits, kind=kind, result="hit")
    metrics.CACHE.add(misses, kind=kind, result="miss")


def pack_analysed(kind: Kind, numbers: dict[metrics.AnalysisOutcome, int]) -> None:
    for outcome, number in numbers.items():
        metrics.ANALYSES.add(number, kind=kind, outcome=outcome)


def budget_checked(spent: float, budget: float) -> None:
    """Count one check of a budget, by the level that it has reached."""
    if spent >= budget:
        metrics.BUDGETS.add(level="spent")
    elif spent >= _NEARLY_SPENT * budget:
        metrics.BUDGETS.add(level="nearly")
    else:
        metrics.BUDGETS.add(level="under")


def job_ended(state: str | None) -> None:
    """Count a job that has ended. `state` is None for a job that goes on."""
    if state:
        metrics.JOBS_ENDED.add(state=state)
