"""What an analysis will cost and how long it will take, told before it is started. Nothing is sent."""

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
    """Characters that no text has; nothing is sent, so they need not be random."""
    return "\ue000" * 16


@dataclass(frozen=True)
class Estimate:
    """What an analysis will take. Tokens are estimates, a little high.

    `different` counts the different questions, `kept` those whose answer is in the cache. `cost` is None for a model
    without a price. `minutes` follows from the provider's limits alone; with `economy` it is the longest that a
    batch is waited for.
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
) -> Estimate:
    """Estimate some requests, which must all be of one kind, and all with `economy` or all without it.

    `kept` returns those of the given question keys whose answers the cache has (`AnswerStore.kept`).
    `members` returns the names of the people of a document's courses.
    """
    questions: dict[str, Question] = {}
    items = without_text = 0
    economy = False
    for request in requests:
        economy = request.economy
        for record in request.records:
            items += 1
            try:
                document = read_document(record, request.kind, request.contexts)
                question = question_of(document, settings, members(document))
            except TooLong:
                continue  # it is not sent, so it costs nothing
            except Unreadable:
                without_text += 1
            else:
                questions.setdefault(question.key, question)
    kinds: set[Kind] = {question.document.kind for question in questions.values()}
    answered = {key for kind in kinds for key in kept(kind, list(questions))}
    asked = [question for key, question in questions.items() if key not in answered]
    if not asked:
        return Estimate(items, without_text, len(questions), len(answered), 0, 0, 0, 0.0, 0.0, economy)
    kind = asked[0].document.kind
    made = packs(asked, settings)
    sent = sum(estimated_request(messages_of(kind, pack, _fence_of_estimate)) for pack in made)
    received = USUAL_ANSWER[kind] * len(asked)
    model = settings.model_for(kind)
    limits, price = settings.limits_of(model), settings.price_of(model)
    minutes_by_requests = len(made) * interval_seconds(limits.requests_per_minute or 1) / 60
    minutes_by_tokens = (sent + received) / limits.tokens_per_minute if limits.tokens_per_minute else 0.0
    return Estimate(
        items=items,
        without_text=without_text,
        different=len(questions),
        kept=len(answered),
        requests=len(made),
        input_tokens=sent,
        output_tokens=received,
        cost=cost_of(price, sent, received, batched=economy) if price else None,
        minutes=settings.batch_deadline_seconds / 60 if economy else max(minutes_by_requests, minutes_by_tokens),
        economy=economy,
    )
