"""Estimate the cost and the time of an analysis before it is started. Nothing is sent."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edugraph_analyzer.costs import cost_of
from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import Document, Unreadable, read_document
from edugraph_analyzer.llm.rate_limiter import interval_seconds
from edugraph_analyzer.prompting.questions import (
    Question,
    TooLong,
    estimated_request,
    messages_of,
    packs,
    question_of,
)
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import Analysis

# Tokens of a usual answer to one item. The limit that is asked for is higher.
USUAL_ANSWER: dict[Kind, int] = {"interaction": 70, "error": 140, "knowledge_points": 450}


def _fence_of_estimate() -> str:
    """Return characters that no text has. They need not be random, since nothing is sent."""
    return "\ue000" * 16


@dataclass(frozen=True)
class Estimate:
    """The expected cost and time of an analysis. Tokens are estimates, a little high.

    `different` counts the different questions, and `kept` those whose answer is in the cache. `cost` is None for a
    model without a price. `minutes` is computed from the provider's limits only. With `economy` it is the longest
    time that a batch may take.
    """

    items: int
    without_text: int
    different: int
    kept: int
    requests: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    minutes: float
    economy: bool = False


def estimate(
    requests: Iterable[Analysis],
    settings: AnalyzerSettings,
    kept: Callable[[Kind, Sequence[str]], set[str]] = lambda _kind, _keys: set(),
    members: Callable[[Document], Sequence[CourseNames]] = lambda _document: (),
    points_of_neighbours: Callable[[Document], Sequence[str]] = lambda _document: (),
) -> Estimate:
    """Return the estimate for some requests. All must have the same kind and the same value of `economy`.

    `kept` returns the question keys whose answers the cache has (`AnswerStore.kept`). `members` returns the names of
    the people of a document's courses, and `points_of_neighbours` the points of labelled mistakes that are like it.
    """
    questions: dict[str, Question] = {}
    items = 0
    without_text = 0
    economy = False
    for request in requests:
        economy = request.economy
        for record in request.records:
            items += 1
            try:
                document = read_document(record, request.kind, request.contexts)
                question = question_of(
                    document, settings, members(document), points_of_neighbours(document)
                )
            except TooLong:
                # The text is not sent, so it costs nothing.
                continue
            except Unreadable:
                without_text += 1
            else:
                questions.setdefault(question.key, question)
    kinds: set[Kind] = {question.document.kind for question in questions.values()}
    answered_keys = set[str]()
    for kind in kinds:
        answered_keys |= kept(kind, list(questions))
    asked = [question for key, question in questions.items() if key not in answered_keys]
    if not asked:
        return Estimate(
            items, without_text, len(questions), len(answered_keys), 0, 0, 0, 0.0, 0.0, economy
        )
    kind = asked[0].document.kind
    packs_to_send = packs(asked, settings)
    input_tokens = 0
    for pack in packs_to_send:
        input_tokens += estimated_request(messages_of(kind, pack, _fence_of_estimate))
    output_tokens = USUAL_ANSWER[kind] * len(asked)
    model = settings.model_for(kind)
    price = settings.price_of(model)
    cost = None
    if price is not None:
        cost = cost_of(price, input_tokens, output_tokens, batched=economy)
    return Estimate(
        items=items,
        without_text=without_text,
        different=len(questions),
        kept=len(answered_keys),
        requests=len(packs_to_send),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost=cost,
        minutes=_minutes(
            settings, model, len(packs_to_send), input_tokens + output_tokens, economy=economy
        ),
        economy=economy,
    )


def _minutes(
    settings: AnalyzerSettings, model: str, requests: int, tokens: int, *, economy: bool
) -> float:
    """Return how long the requests of an analysis take at the limits of the model, or the longest time of a batch."""
    if economy:
        return settings.batch_deadline_seconds / 60
    limits = settings.limits_of(model)
    by_requests = requests * interval_seconds(limits.requests_per_minute or 1) / 60
    if not limits.tokens_per_minute:
        return by_requests
    return max(by_requests, tokens / limits.tokens_per_minute)
