"""`edugraph provider check`: what an endpoint is and accepts, found with one small request through the usual way."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis

from edugraph_analyzer.analysis import limiter_of
from edugraph_analyzer.answers import parse_answers
from edugraph_analyzer.items import read_item
from edugraph_analyzer.prices import cost_of
from edugraph_analyzer.questions import Question, Unanswerable, ask_of, item_ids, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Failure, Rejected, Wait

if TYPE_CHECKING:
    from edugraph_analyzer.model import Answered, Form, Model

_TEXTS = ("谢谢老师，我终于明白通分了！", "I am stuck: why does the sign change when I move a term?")


@dataclass(frozen=True)
class Fact:
    """A row of the table. `good`: True or False for a check that held or did not, None for plain information."""

    name: str
    value: str
    good: bool | None = None


def check(
    settings: AnalyzerSettings, server: "redis.Redis", *, clock: Callable[[], float] = time.monotonic
) -> tuple[Fact, ...]:
    """Rows for each model in use: reachable? key? which structured answers? limits in its headers? Never raises."""
    if not settings.has_provider:
        return (Fact("provider", "none set: the offline analyser answers", None),)
    names = dict.fromkeys(settings.model_for(kind) for kind in ("interaction", "error", "knowledge_points"))
    address = Fact("address", settings.openai_base_url or "the SDK's own (api.openai.com)")
    return (address, *(fact for name in names for fact in _of_model(name, settings, server, clock)))


def _of_model(
    name: str, settings: AnalyzerSettings, server: "redis.Redis", clock: Callable[[], float]
) -> tuple[Fact, ...]:
    from edugraph_analyzer.model import Model

    asked = settings.model_copy(update={"interaction_model": name})
    limiter = limiter_of(asked, server)
    model = Model(asked, server, limiter, process_id=lambda: 0, now=time.time)
    began = clock()
    try:
        answered, questions = _asked(model, asked)
    except Unanswerable as error:
        return Fact("model", name), Fact("answer", error.reason, good=False)
    except Failure as failure:
        return Fact("model", name), *_failed(failure)
    return Fact("model", name), *_facts(answered, questions, asked, model.step("interaction"), clock() - began)


def _asked(model: "Model", settings: AnalyzerSettings) -> tuple["Answered", list[Question]]:
    questions = [question_of(read_item(_record(text), "interaction", ()), settings) for text in _TEXTS]
    return model.ask_in_full(ask_of("interaction", questions, settings)), questions


def _record(text: str) -> dict[str, Any]:
    data = {"teacher_id": "check", "student_id": "check", "text": text}
    return {"type": "teacher_interaction", "timestamp": "2026-01-01T00:00:00Z", "data": data}


def _failed(failure: Failure) -> tuple[Fact, ...]:
    """A refusal came from a server that was reached; a Wait says nothing against it."""
    if isinstance(failure, Wait):
        return Fact("reachable", "yes", good=True), Fact("limit", f"{failure.reason} ({failure.seconds:.0f} s)")
    reached = isinstance(failure, Rejected)
    return Fact("reachable", "yes" if reached else "no", good=reached), Fact("refused", failure.reason, good=False)


def _facts(
    answered: "Answered", questions: list[Question], settings: AnalyzerSettings, form: "Form", seconds: float
) -> tuple[Fact, ...]:
    reply = answered.reply
    parsed = parse_answers("interaction", reply.text, item_ids(len(questions)))
    name = settings.model_for("interaction")
    cost = cost_of(name, reply.input_tokens, reply.output_tokens, settings.prices)
    priced = f"{cost:.6f}" if name in settings.prices else "no price is set: see EDUGRAPH_PRICES"
    return (
        Fact("reachable", f"yes, {seconds:.1f} s with its place in the limit", good=True),
        Fact("key", "accepted", good=True),
        Fact("structured answers", f"{form.step}{'' if form.proven else ' (not proven)'}", good=form.proven),
        Fact("parameters", form.limit_name + (", temperature" if form.temperature else ", no temperature")),
        Fact("a pack of 2", f"{len(parsed.valid)} of 2 valid", good=not parsed.problems),
        Fact("tokens", f"{reply.input_tokens} in, {reply.output_tokens} out", good=reply.input_tokens > 0),
        Fact("cost of this check", priced),
        Fact("limits it tells", _limits(answered) or "none in its headers"),
        Fact("limits that are kept", _kept(settings)),
    )


def _limits(answered: "Answered") -> str:
    told = {name.lower(): value for name, value in answered.headers.items()}
    return "; ".join(f"{name}: {told[name]}" for name in sorted(told) if name.startswith("x-ratelimit"))


def _kept(settings: AnalyzerSettings) -> str:
    tokens = f", {settings.tokens_per_minute} tokens" if settings.tokens_per_minute else ""
    return f"{settings.requests_per_minute} requests{tokens} a minute"
