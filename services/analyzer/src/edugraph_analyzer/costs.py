"""Tokens and money: estimates, prices, and the spending and budget of each job.

Redis keeps the spending of a job in the hash `edugraph:cost:JOB`, which the gateway reads. It has these fields:

- `cost` is the sum of all costs, and `budget` is the job's own budget, if it has one.
- `KIND|MODEL|WHAT` are numbers, where WHAT is requests, items, cached, input_tokens, cached_tokens, output_tokens,
  estimated or cost. `cached` counts items that were answered before. `cached_tokens` is the part of the input that
  the provider had in its own cache. `estimated` counts requests whose tokens are an estimate, because the provider
  sent no numbers that can be true.
- `reserved` is the expected cost of all batches that are under way, and `reserved|BATCH` the expected cost of one.
- `settled|BATCH` says that the cost of a batch was counted.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import redis

from edugraph_analyzer import telemetry
from edugraph_analyzer.models_file import Price
from edugraph_common.contracts.errors import BudgetSpent, Refused
from edugraph_common.contracts.findings import Kind, Purpose

TOKENS_PER_PRICE = 1_000_000
# Each character from the CJK radicals on takes about one token.
_WIDE = re.compile("[\u2e80-\U0010ffff]+")
_KEPT_SECONDS = 90 * 86_400
_FIELD_PARTS = 3
# A smaller share of a cost is a rounding error.
_NO_COST = 1e-6


def cost_of(
    price: Price | None,
    input_tokens: int,
    output_tokens: int,
    cached_tokens: int = 0,
    *,
    batched: bool = False,
) -> float:
    """Return the cost in the currency of the price table, or 0 without a price.

    `cached_tokens` is the part of the input that the provider had in its own cache. `batched` says that the request
    was in a batch of the provider.
    """
    if price is None:
        return 0.0
    price_of_cached = price.cached
    if price_of_cached is None:
        price_of_cached = price.input
    new_tokens = input_tokens - cached_tokens
    whole = (
        new_tokens * price.input + cached_tokens * price_of_cached + output_tokens * price.output
    )
    if batched:
        whole *= price.batch
    return whole / TOKENS_PER_PRICE


def estimated_tokens(text: str) -> int:
    """Return an estimate of the tokens of a text, a little too high for current tokenizers.

    A wide character (Chinese, Japanese, Korean) counts as one token, and so do 3.5 other characters.
    """
    wide = 0
    if not text.isascii():
        wide = sum(map(len, _WIDE.findall(text)))
    narrow = len(text) - wide
    return wide + math.ceil(narrow * 2 / 7)


def split_in_proportion(total: int, weights: Sequence[int]) -> list[int]:
    """Return whole numbers in proportion to `weights`. Their sum is exactly `total`."""
    shares: Sequence[int] = weights
    if sum(weights) == 0:
        shares = [1] * len(weights)
    whole = sum(shares)
    edges = [so_far * total // whole for so_far in accumulate(shares)]
    return [edge - before for before, edge in zip([0, *edges], edges, strict=False)]


@dataclass(frozen=True)
class Usage:
    """The use of one model for one kind in one job. `cost` is in the currency of the price table.

    `estimated` is the number of requests whose tokens are estimated.
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
    """Adds up the spending of jobs, and pauses a job that has spent its budget.

    `budget` applies to a job without a budget of its own. A paused job is tried again after `pause_seconds`.
    All methods raise redis.RedisError.
    """

    def __init__(
        self, server: "redis.Redis", *, budget: float | None, pause_seconds: float
    ) -> None:
        self._redis = server
        self._budget = budget
        self._pause_seconds = pause_seconds

    def _budget_of_job(self, own: bytes | str | None) -> float | None:
        """Return the budget of a job: its `own` one in Redis, or the one of the settings."""
        if own is None:
            return self._budget
        return float(own)

    def add(self, job_id: str, kind: Purpose, model: str, usage: Usage) -> None:
        key = cost_key(job_id)
        with self._redis.pipeline(transaction=True) as pipe:
            _count(pipe, key, f"{kind}|{model}", usage)
            pipe.execute()

    def check(self, job_id: str, model: str, price: Price | None) -> None:
        """Raise BudgetSpent if the budget is spent, and Refused if there is a budget and the model has no price.

        Requests that are under way go on, so a job may exceed its budget by one request of each process and thread.
        """
        spent, own = self._redis.hmget(cost_key(job_id), "cost", "budget")
        budget = self._budget_of_job(own)
        if budget is None:
            return
        if price is None:
            raise Refused(
                f"the job has a budget, and the model {model!r} has no price: set EDUGRAPH_PRICES="
                f'\'{{"{model}": {{"input": 0.15, "output": 0.6}}}}\' with what a million tokens cost, or add '
                f'[models."{model}"] price = {{input = 0.15, output = 0.6}} to the file of EDUGRAPH_MODELS_FILE'
            )
        spent_now = float(spent or 0)
        telemetry.budget_checked(spent_now, budget)
        if spent_now >= budget:
            raise BudgetSpent(f"the job's budget of {budget:g} is spent", self._pause_seconds)

    def reserve(
        self, job_id: str, batch: str, model: str, price: Price | None, cost: float
    ) -> bool:
        """Reserve the cost of a batch in the job's budget. Return False if the budget has no room for the batch.

        Raises BudgetSpent if the budget is spent, or while other batches of the job may still leave room. Raises
        Refused if there is a budget and the model has no price.
        """
        self.check(job_id, model, price)
        key = cost_key(job_id)

        def write(pipe: Any) -> Any:
            spent, reserved, own, there = pipe.hmget(
                key, "cost", "reserved", "budget", f"reserved|{batch}"
            )
            pipe.multi()
            budget = self._budget_of_job(own)
            if there is not None:
                return True
            # Adding and subtracting fractions may leave a rounding error, which is not a reservation.
            others = max(float(reserved or 0), 0.0)
            if budget is not None and float(spent or 0) + others + cost > budget:
                if others > cost * _NO_COST:
                    raise BudgetSpent(
                        "the batches under way may spend the job's budget", self._pause_seconds
                    )
                return False
            pipe.hset(key, f"reserved|{batch}", cost)
            pipe.hincrbyfloat(key, "reserved", cost)
            pipe.expire(key, _KEPT_SECONDS)
            return True

        return bool(self._redis.transaction(write, key, value_from_callable=True))

    def settle_batch(self, job_id: str, batch: str, kind: Kind, model: str, usage: Usage) -> bool:
        """Count the usage of a batch and drop its reservation. Return False if the batch was counted before."""
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


def _count(pipe: Any, key: str, prefix: str, usage: Usage) -> None:
    """Add usage to the numbers of one kind and model, and to the sum of the job. `prefix` is KIND|MODEL."""
    for what, number in vars(usage).items():
        if number:
            pipe.hincrbyfloat(key, f"{prefix}|{what}", number)
    if usage.cost:
        pipe.hincrbyfloat(key, "cost", usage.cost)
    pipe.expire(key, _KEPT_SECONDS)


def set_budget(server: "redis.Redis", job_id: str, budget: float) -> None:
    """Give a job a budget of its own. A larger one lets a paused job go on."""
    server.hset(cost_key(job_id), "budget", budget)
    server.expire(cost_key(job_id), _KEPT_SECONDS)


def usage_of(server: "redis.Redis", job_id: str) -> dict[tuple[str, str], Usage]:
    """Return the usage of a job by (kind, model)."""
    numbers: dict[tuple[str, str], dict[str, float]] = {}
    for name, number in server.hgetall(cost_key(job_id)).items():
        field = name.decode() if isinstance(name, bytes) else name
        parts = field.split("|")
        if len(parts) < _FIELD_PARTS:
            continue
        # The name of a model may contain the separator.
        model = "|".join(parts[1:-1])
        kind = parts[0]
        what = parts[-1]
        numbers.setdefault((kind, model), {})[what] = float(number)
    usages = {}
    for key, values in numbers.items():
        counts = {what: int(number) for what, number in values.items() if what != "cost"}
        usages[key] = Usage(**counts, cost=values.get("cost", 0.0))
    return usages


def cost_key(job_id: str) -> str:
    return f"edugraph:cost:{job_id}"
