"""Send one request to the model within a budget, and count what it cost."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from edugraph_analyzer import telemetry
from edugraph_analyzer.costs import Spending, Usage, cost_of
from edugraph_analyzer.models_file import Price
from edugraph_analyzer.prompting.questions import LLMRequest, LLMResponse, Unanswerable
from edugraph_common.contracts.findings import Purpose


class Completes(Protocol):
    """The methods of `llm.client.LLMClient` that are needed to ask.

    `complete` calls `check` when the request has its slot, right before it is sent, and does not catch what `check`
    raises. It calls `count_lost(input_tokens, output_tokens)` with estimates for each attempt that was sent and
    brought no answer. `judge` takes the reason why the last response was useless, or "" if it was useful, and returns
    the length of the pause that follows, in seconds.
    """

    def complete(
        self, request: LLMRequest, check: Callable[[], None], count_lost: Callable[[int, int], None]
    ) -> LLMResponse: ...

    def judge(self, reason: str) -> float: ...


@dataclass
class Bill:
    """The tokens and cost of all requests for one result. It counts those that brought nothing, too."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    def stated(self, model: str) -> dict[str, Any]:
        """Return the model, tokens and cost as fields of a result. They are left out if nothing was sent."""
        if self.input_tokens == 0:
            return {}
        return {"model": model, **vars(self)}


@dataclass(frozen=True)
class Payer:
    """The payer of requests: a job with the purpose of the request, the model, and the model's price.

    Each request is added to the `bill`, if there is one.
    """

    spending: Spending
    job_id: str
    purpose: Purpose
    model: str
    price: Price | None
    bill: Bill | None = None

    def send(
        self, client: Completes, request: LLMRequest, check: Callable[[], None]
    ) -> LLMResponse:
        """Check the budget, send one request, and count its cost. The client waits for the slot of the request.

        Filtered answers and answers that came too late were paid for, too, so they are counted. Raises Unanswerable
        for a filtered answer, and what `Spending.check` and `complete` raise.
        """
        self.spending.check(self.job_id, self.model, self.price)
        response = client.complete(request, check, self._count_lost)
        self._count(
            response.input_tokens,
            response.output_tokens,
            response.cached_tokens,
            estimated=response.estimated,
        )
        if response.filtered:
            raise Unanswerable("the provider's content filter refused it")
        return response

    def _count_lost(self, input_tokens: int, output_tokens: int) -> None:
        self._count(input_tokens, output_tokens, 0, estimated=True)

    def _count(
        self, input_tokens: int, output_tokens: int, cached_tokens: int, *, estimated: bool
    ) -> None:
        cost = cost_of(self.price, input_tokens, output_tokens, cached_tokens)
        usage = Usage(
            requests=1,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost=cost,
            cached_tokens=cached_tokens,
            estimated=int(estimated),
        )
        self.spending.add(self.job_id, self.purpose, self.model, usage)
        if self.bill is not None:
            self.bill.input_tokens += input_tokens
            self.bill.output_tokens += output_tokens
            self.bill.cost += cost
        telemetry.tokens_used(self.model, self.purpose, input_tokens, output_tokens, cost)
