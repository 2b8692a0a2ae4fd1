"""What an analysis will cost and how long it will take, told before it is started. Nothing is sent."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edugraph_analyzer.items import Unreadable, read_item
from edugraph_analyzer.limiter import Limits
from edugraph_analyzer.prices import cost_of
from edugraph_analyzer.questions import Question, estimated_request, messages_of, packs, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import Analysis

# Tokens of a usual answer to one item; the limit that is asked for is higher.
USUAL_ANSWER: dict[Kind, int] = {"interaction": 70, "error": 140, "knowledge_points": 450}


@dataclass(frozen=True)
class Estimate:
    """Tokens are estimates, a little high. `cost`: None without a price; `minutes`: by the limits alone."""

    items: int
    without_text: int
    different: int
    kept: int
    requests: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    minutes: float


def estimate(
    requests: Iterable[Analysis],
    settings: AnalyzerSettings,
    kept: Callable[[Kind, Sequence[str]], set[str]] = lambda _kind, _keys: set(),
) -> Estimate:
    """All requests must be of one kind. `kept` says which keys the cache has (`Cache.kept`)."""
    questions: dict[str, Question] = {}
    items = without_text = 0
    for request in requests:
        for record in request.records:
            items += 1
            question = _question(record, request, settings)
            if question is None:
                without_text += 1
            else:
                questions.setdefault(question.key, question)
    kinds: set[Kind] = {question.item.kind for question in questions.values()}
    known = {key for kind in kinds for key in kept(kind, list(questions))}
    asked = [question for key, question in questions.items() if key not in known]
    costs = _costs(asked, settings)
    return Estimate(items, without_text, len(questions), len(known), *costs)


def _question(record: dict[str, Any], request: Analysis, settings: AnalyzerSettings) -> Question | None:
    try:
        return question_of(read_item(record, request.kind, request.contexts), settings)
    except Unreadable:
        return None


def _costs(asked: Sequence[Question], settings: AnalyzerSettings) -> tuple[int, int, int, float | None, float]:
    """The last five fields of an estimate."""
    if not asked:
        return 0, 0, 0, 0.0, 0.0
    kind = asked[0].item.kind
    made = packs(asked, settings.pack_size, settings.pack_tokens)
    sent = sum(estimated_request(messages_of(kind, pack)) for pack in made)
    answered = USUAL_ANSWER[kind] * len(asked)
    model = settings.model_for(kind)
    limits = Limits(settings.requests_per_minute, settings.tokens_per_minute, 0)
    by_tokens = (sent + answered) / limits.tokens if limits.tokens else 0.0
    cost = cost_of(model, sent, answered, settings.prices) if model in settings.prices else None
    return len(made), sent, answered, cost, max(len(made) * limits.interval / 60, by_tokens)
