"""`edugraph provider check`: send one small request as an analysis does, and show what the endpoint accepts."""

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

_TEXTS = (
    "谢谢老师，我终于明白通分了！",
    "I am stuck: why does the sign change when I move a term?",
)
_ENVELOPE = {"type": "teacher_interaction", "timestamp": "2026-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Fact:
    """A row of the table. `good` is the result of a check, or None for a row that only informs."""

    name: str
    value: str
    good: bool | None = None


def check(
    settings: AnalyzerSettings,
    server: "redis.Redis",
    *,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Fact, ...]:
    """Return the facts of each model in use: if it is reachable, what it accepts, and its limits. Never raises."""
    if not settings.has_provider:
        return (Fact("provider", "none set: the offline analyser answers", None),)
    names = dict.fromkeys(
        settings.model_for(kind) for kind in ("interaction", "error", "knowledge_points")
    )
    facts = list[Fact]()
    for name in names:
        facts.append(Fact("address", settings.address_of(name) or "the SDK's own (api.openai.com)"))
        facts.append(Fact("model", name))
        try:
            facts += _answered(
                settings.model_copy(update={"interaction_model": name}), server, clock
            )
        except Unanswerable as error:
            facts.append(Fact("answer", error.reason, good=False))
        except Wait as wait:
            # A limit that is reached says nothing against the endpoint.
            facts.append(Fact("reachable", "yes", good=True))
            facts.append(Fact("limit", f"{wait.reason} ({wait.seconds:.0f} s)"))
        except Failure as failure:
            # Only a server that was reached can reject a request.
            is_reached = isinstance(failure, Rejected)
            facts.append(Fact("reachable", "yes" if is_reached else "no", good=is_reached))
            facts.append(Fact("refused", failure.reason, good=False))
    return tuple(facts)


def _answered(
    settings: AnalyzerSettings, server: "redis.Redis", clock: Callable[[], float]
) -> list[Fact]:
    """Ask one pack of two questions and return the facts of its answer. Raises the errors of `LLMClient.complete`."""
    from edugraph_analyzer.llm.client import LLMClient

    limiter_of = RateLimiter.of_settings(settings, server)
    client = LLMClient(settings, server, limiter_of, process_id=lambda: 0, now=time.time)
    began = clock()
    questions = []
    for text in _TEXTS:
        record = {**_ENVELOPE, "data": {"teacher_id": "check", "student_id": "check", "text": text}}
        questions.append(question_of(read_document(record, "interaction", ()), settings))
    answered = client.complete_with_headers(
        request_of("interaction", questions, settings, lambda: uuid.uuid4().hex)
    )
    seconds = clock() - began

    response = answered.response
    accepted = client.capabilities("interaction")
    proven = "" if accepted.proven else " (not proven)"
    temperature = ", temperature" if accepted.temperature else ", no temperature"
    parsed = parse_answers("interaction", response.text, item_ids(len(questions)))

    name = settings.model_for("interaction")
    price = settings.price_of(name)
    cost = "no price is set: see EDUGRAPH_PRICES"
    if price is not None:
        money = cost_of(
            price, response.input_tokens, response.output_tokens, response.cached_tokens
        )
        cost = f"{money:.6f} {settings.models.currency}".strip()

    limits = settings.limits_of(name)
    kept_limits = f"{limits.requests_per_minute} requests"
    if limits.tokens_per_minute:
        kept_limits += f", {limits.tokens_per_minute} tokens"
    headers = {header.lower(): value for header, value in answered.headers.items()}
    limits_in_headers = []
    for header in sorted(headers):
        if header.startswith("x-ratelimit"):
            limits_in_headers.append(f"{header}: {headers[header]}")
    return [
        Fact("reachable", f"yes, {seconds:.1f} s with the wait for its slot", good=True),
        Fact("key", "accepted", good=True),
        Fact("structured answers", f"{accepted.step}{proven}", good=accepted.proven),
        Fact("parameters", accepted.limit_name + temperature),
        Fact("a pack of 2", f"{len(parsed.valid)} of 2 valid", good=not parsed.problems),
        Fact(
            "tokens",
            f"{response.input_tokens} in, {response.output_tokens} out",
            good=response.input_tokens > 0,
        ),
        Fact("cost of this check", cost),
        Fact("limits it tells", "; ".join(limits_in_headers) or "none in its headers"),
        Fact("limits that are kept", f"{kept_limits} a minute"),
    ]
