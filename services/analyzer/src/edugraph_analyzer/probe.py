"""`edugraph provider check`: what an endpoint is and accepts, found with one small request through the usual way."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import redis

from edugraph_analyzer.costs import cost_of
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.findings.schema import parse_answers
from edugraph_analyzer.llm.rate_limiter import RateLimiter
from edugraph_analyzer.prompting.questions import Unanswerable, item_ids, question_of, request_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Failure, Rejected, Wait

_TEXTS = ("谢谢老师，我终于明白通分了！", "I am stuck: why does the sign change when I move a term?")
_ENVELOPE = {"type": "teacher_interaction", "timestamp": "2026-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Fact:
    """A row of the table. `good` says whether a check held; it is None for plain information."""

    name: str
    value: str
    good: bool | None = None


def check(
    settings: AnalyzerSettings, server: "redis.Redis", *, clock: Callable[[], float] = time.monotonic
) -> tuple[Fact, ...]:
    """Return rows for each model in use: is it reachable, what does it accept, which are its limits? Never raises."""
    if not settings.has_provider:
        return (Fact("provider", "none set: the offline analyser answers", None),)
    names = dict.fromkeys(settings.model_for(kind) for kind in ("interaction", "error", "knowledge_points"))
    facts = list[Fact]()
    for name in names:
        address = settings.address_of(name) or "the SDK's own (api.openai.com)"
        facts += [Fact("address", address), Fact("model", name)]
        try:
            facts += _answered(settings.model_copy(update={"interaction_model": name}), server, clock)
        except Unanswerable as error:
            facts.append(Fact("answer", error.reason, good=False))
        except Wait as wait:  # says nothing against the endpoint
            facts += [Fact("reachable", "yes", good=True), Fact("limit", f"{wait.reason} ({wait.seconds:.0f} s)")]
        except Failure as failure:
            reached = isinstance(failure, Rejected)  # a refusal came from a server that was reached
            facts += [
                Fact("reachable", "yes" if reached else "no", good=reached),
                Fact("refused", failure.reason, good=False),
            ]
    return tuple(facts)


def _answered(settings: AnalyzerSettings, server: "redis.Redis", clock: Callable[[], float]) -> list[Fact]:
    """Ask one pack of two, and return what its answer shows. Raises as `LLMClient.complete` does."""
    from edugraph_analyzer.llm.client import LLMClient

    limiter_of = RateLimiter.of_settings(settings, server)
    client = LLMClient(settings, server, limiter_of, process_id=lambda: 0, now=time.time)
    began = clock()
    questions = []
    for text in _TEXTS:
        record = {**_ENVELOPE, "data": {"teacher_id": "check", "student_id": "check", "text": text}}
        questions.append(question_of(read_document(record, "interaction", ()), settings))
    answered = client.complete_with_headers(request_of("interaction", questions, settings, lambda: uuid.uuid4().hex))
    seconds = clock() - began

    response, accepted = answered.response, client.capabilities("interaction")
    parsed = parse_answers("interaction", response.text, item_ids(len(questions)))
    name = settings.model_for("interaction")
    price, limits = settings.price_of(name), settings.limits_of(name)
    cost = cost_of(price, response.input_tokens, response.output_tokens, response.cached_tokens)
    priced = f"{cost:.6f} {settings.models.currency}".strip() if price else "no price is set: see EDUGRAPH_PRICES"
    headers = {header.lower(): value for header, value in answered.headers.items()}
    told = "; ".join(f"{header}: {headers[header]}" for header in sorted(headers) if header.startswith("x-ratelimit"))
    tokens = f", {limits.tokens_per_minute} tokens" if limits.tokens_per_minute else ""
    proven = "" if accepted.proven else " (not proven)"
    return [
        Fact("reachable", f"yes, {seconds:.1f} s with the wait for its slot", good=True),
        Fact("key", "accepted", good=True),
        Fact("structured answers", f"{accepted.step}{proven}", good=accepted.proven),
        Fact("parameters", accepted.limit_name + (", temperature" if accepted.temperature else ", no temperature")),
        Fact("a pack of 2", f"{len(parsed.valid)} of 2 valid", good=not parsed.problems),
        Fact("tokens", f"{response.input_tokens} in, {response.output_tokens} out", good=response.input_tokens > 0),
        Fact("cost of this check", priced),
        Fact("limits it tells", told or "none in its headers"),
        Fact("limits that are kept", f"{limits.requests_per_minute} requests{tokens} a minute"),
    ]
