"""What a job has cost, by model and kind, and the budget that pauses it. Kept in Redis, for the gateway to show.

`edugraph:cost:JOB` is a hash. `cost` is the whole sum; `budget` is the job's own budget, if it has one; the rest are
`KIND|MODEL|WHAT`, where WHAT is requests, items, cached, input_tokens, output_tokens or cost.
"""

from dataclasses import dataclass

import redis

from edugraph_analyzer import counting
from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.findings import Kind

_KEPT = 90 * 86_400


@dataclass(frozen=True)
class Usage:
    """Of one model for one kind in one job; cost in the currency of the price table."""

    requests: int = 0
    items: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


class Spending:
    """`budget` is that of a job without one of its own; `pause` the seconds until a paused job is looked at again."""

    def __init__(self, server: "redis.Redis", *, budget: float | None, pause: float) -> None:
        self._redis, self._budget, self._pause = server, budget, pause

    def add(self, job_id: str, kind: Kind, model: str, usage: Usage) -> None:
        key = cost_key(job_id)
        with self._redis.pipeline(transaction=True) as pipe:
            for what, number in vars(usage).items():
                if number:
                    pipe.hincrbyfloat(key, f"{kind}|{model}|{what}", number)
            if usage.cost:
                pipe.hincrbyfloat(key, "cost", usage.cost)
            pipe.expire(key, _KEPT)
            pipe.execute()

    def check(self, job_id: str) -> None:
        """Raises Wait when the budget is spent. Requests under way go on: one for each process may go over."""
        spent, own = self._redis.hmget(cost_key(job_id), "cost", "budget")
        budget = float(own) if own is not None else self._budget
        if budget is not None:
            counting.budget(float(spent or 0), budget)
        if budget is not None and float(spent or 0) >= budget:
            raise Wait(f"the job's budget of {budget:g} is spent", self._pause)


def set_budget(server: "redis.Redis", job_id: str, budget: float) -> None:
    """A larger budget lets a paused job go on."""
    server.hset(cost_key(job_id), "budget", budget)
    server.expire(cost_key(job_id), _KEPT)


def usage_of(server: "redis.Redis", job_id: str) -> dict[tuple[str, str], Usage]:
    """By (kind, model)."""
    numbers: dict[tuple[str, str], dict[str, float]] = {}
    for name, number in server.hgetall(cost_key(job_id)).items():
        parts = (name.decode() if isinstance(name, bytes) else name).split("|")
        if len(parts) >= _PARTS:
            kind, model, what = parts[0], "|".join(parts[1:-1]), parts[-1]
            numbers.setdefault((kind, model), {})[what] = float(number)
    return {key: _usage(values) for key, values in numbers.items()}


_PARTS = 3


def _usage(values: dict[str, float]) -> Usage:
    counts = {what: int(number) for what, number in values.items() if what != "cost"}
    return Usage(**counts, cost=values.get("cost", 0.0))


def cost_key(job_id: str) -> str:
    return f"edugraph:cost:{job_id}"
