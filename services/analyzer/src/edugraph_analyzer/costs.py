"""Tokens and money: estimates, prices, and what each job has spent of its budget.

What a job has spent is kept in Redis, where the gateway reads it. `edugraph:cost:JOB` is a hash. Its field `cost` is
the whole sum and `budget` is the job's own budget, if it has one. All other fields are `KIND|MODEL|WHAT`, where WHAT
is requests, items, cached, input_tokens, cached_tokens, output_tokens, estimated or cost. `cached` counts items that
were answered before; `cached_tokens` are those of the input that the provider had in its own cache; `estimated`
counts the requests whose tokens are an estimate, since the provider told none that can be true. `reserved` is what
the batches under way will cost in all; `reserved|BATCH` and `settled|BATCH` say what each does, and that it was
counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import redis

from edugraph_analyzer import telemetry
from edugraph_analyzer.models_file import Price
from edugraph_common.contracts.errors import BudgetSpent, Refused
from edugraph_common.contracts.findings import Kind

TOKENS_PER_PRICE = 1_000_000
_WIDE_FROM = 0x2E80  # CJK radicals and all that follows them take about one token for each character
_KEPT_SECONDS = 90 * 86_400
_FIELD_PARTS = 3
_NO_COST = 1e-6  # of a cost is nothing


def cost_of(
    price: Price | None, input_tokens: int, output_tokens: int, cached_tokens: int = 0, *, batched: bool = False
) -> float:
    """Return the cost in the currency of the price table; 0 without a price.

    `cached_tokens` are those of the input that the provider had in its own cache. `batched`: they were asked in a
    batch of the provider's.
    """
    if price is None:
        return 0.0
    cached = price.input if price.cached is None else price.cached
    whole = (input_tokens - cached_tokens) * price.input + cached_tokens * cached + output_tokens * price.output
    return whole * (price.batch if batched else 1.0) / TOKENS_PER_PRICE


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a text, a little too high for current tokenizers.

    A wide character (Chinese, Japanese, Korean) counts as one token, and so do 3.5 other characters.
    """
    wide = 0 if text.isascii() else sum(1 for char in text if ord(char) >= _WIDE_FROM)
    return wide + -(-(len(text) - wide) * 2 // 7)


def split_in_proportion(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` into whole numbers in proportion to `weights`, so that the parts add up to it exactly."""
    whole = sum(weights)
    shares = weights if whole else [1] * len(weights)
    whole = whole or len(weights)
    edges = [so_far * total // whole for so_far in accumulate(shares)]
    return [edge - before for before, edge in zip([0, *edges], edges, strict=False)]


@dataclass(frozen=True)
class Usage:
    """What one model was used for one kind in one job; `cost` is in the currency of the price table.

    `estimated`: the tokens of so many of the requests are estimated.
    """

    requests: int = 0
    items: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    cached_tokens: int = 0
    estimated: int = 0


class Spending:
    """Adds up what jobs spend, and pauses a job that has spent its budget.

    `budget` applies to a job without a budget of its own. A paused job is looked at again after `pause_seconds`.
    All methods raise redis.RedisError.
    """

    def __init__(self, server: "redis.Redis", *, budget: float | None, pause_seconds: float) -> None:
        self._redis, self._budget, self._pause_seconds = server, budget, pause_seconds

    def add(self, job_id: str, kind: Kind, model: str, usage: Usage) -> None:
        key = cost_key(job_id)
        with self._redis.pipeline(transaction=True) as pipe:
            _count(pipe, key, f"{kind}|{model}", usage)
            pipe.execute()

    def check(self, job_id: str, model: str, price: Price | None) -> None:
        """Raise Wait when the budget is spent, and Refused for a budget without a price, which would never be spent.

        Requests that are under way go on, so a job may exceed its budget by one request of each process and thread.
        """
        spent, own = self._redis.hmget(cost_key(job_id), "cost", "budget")
        budget = float(own) if own is not None else self._budget
        if budget is not None and price is None:
            raise Refused(
                f"the job has a budget, and the model {model!r} has no price: set EDUGRAPH_PRICES="
                f'\'{{"{model}": {{"input": 0.15, "output": 0.6}}}}\' with what a million tokens cost, or add '
                f'[models."{model}"] price = {{input = 0.15, output = 0.6}} to the file of EDUGRAPH_MODELS_FILE'
            )
        if budget is not None:
            telemetry.budget_checked(float(spent or 0), budget)
        if budget is not None and float(spent or 0) >= budget:
            raise BudgetSpent(f"the job's budget of {budget:g} is spent", self._pause_seconds)

    def reserve(self, job_id: str, batch: str, model: str, price: Price | None, cost: float) -> bool:
        """Take what a batch will cost out of the job's budget. False if it has no room, also for this batch alone.

        Raises as `check` does, and BudgetSpent while other batches of the job may still leave room.
        """
        self.check(job_id, model, price)
        key = cost_key(job_id)

        def write(pipe: Any) -> Any:
            spent, reserved, own, there = pipe.hmget(key, "cost", "reserved", "budget", f"reserved|{batch}")
            pipe.multi()
            budget = float(own) if own is not None else self._budget
            # What is left of a sum of fractions after all were taken away again is no reservation.
            others = max(float(reserved or 0), 0.0)
            if there is None and budget is not None and float(spent or 0) + others + cost > budget:
                if others > cost * _NO_COST:
                    raise BudgetSpent("the batches under way may spend the job's budget", self._pause_seconds)
                return False
            if there is None:
                pipe.hset(key, f"reserved|{batch}", cost)
                pipe.hincrbyfloat(key, "reserved", cost)
                pipe.expire(key, _KEPT_SECONDS)
            return True

        return bool(self._redis.transaction(write, key, value_from_callable=True))

    def settle_batch(self, job_id: str, batch: str, kind: Kind, model: str, usage: Usage) -> bool:
        """Count what a batch was used for in place of what was reserved. False if that was done before."""
        key = cost_key(job_id)

        def write(pipe: Any) -> Any:
            reserved, settled = pipe.hmget(key, f"reserved|{batch}", f"settled|{batch}")
            pipe.multi()
            if settled is not None:
                return False
            pipe.hset(key, f"settled|{batch}", 1)
            if reserved is not None:
                pipe.hincrbyfloat(key, "reserved", -float(reserved))
                pipe.hdel(key, f"reserved|{batch}")
            _count(pipe, key, f"{kind}|{model}", usage)
            return True

        return bool(self._redis.transaction(write, key, value_from_callable=True))


def _count(pipe: Any, key: str, of: str, usage: Usage) -> None:
    """Add to what a job has spent, for one kind and model and in all."""
    for what, number in vars(usage).items():
        if number:
            pipe.hincrbyfloat(key, f"{of}|{what}", number)
    if usage.cost:
        pipe.hincrbyfloat(key, "cost", usage.cost)
    pipe.expire(key, _KEPT_SECONDS)


def set_budget(server: "redis.Redis", job_id: str, budget: float) -> None:
    """Give a job a budget of its own. A larger one lets a paused job go on."""
    server.hset(cost_key(job_id), "budget", budget)
    server.expire(cost_key(job_id), _KEPT_SECONDS)


def usage_of(server: "redis.Redis", job_id: str) -> dict[tuple[str, str], Usage]:
    """Return what a job has used, by (kind, model)."""
    numbers: dict[tuple[str, str], dict[str, float]] = {}
    for name, number in server.hgetall(cost_key(job_id)).items():
        parts = (name.decode() if isinstance(name, bytes) else name).split("|")
        if len(parts) >= _FIELD_PARTS:  # a model's name may hold the separator too
            kind, model, what = parts[0], "|".join(parts[1:-1]), parts[-1]
            numbers.setdefault((kind, model), {})[what] = float(number)
    usages = {}
    for key, values in numbers.items():
        counts = {what: int(number) for what, number in values.items() if what != "cost"}
        usages[key] = Usage(**counts, cost=values.get("cost", 0.0))
    return usages


def cost_key(job_id: str) -> str:
    return f"edugraph:cost:{job_id}"
