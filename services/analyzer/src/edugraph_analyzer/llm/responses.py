"""What a provider answered: a whole completion, or one that comes piece by piece."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx2
from openai.types import CompletionUsage

from edugraph_analyzer.prompting.questions import LLMResponse
from edugraph_common.contracts.errors import Retryable

_FILTERED = ("content_filter", "sensitive")
_BROKEN_OFF = ("insufficient_system_resource", "network_error")


@dataclass
class Gathered:
    """The pieces of a completion put together, with the names that a whole one has."""

    content: str = ""
    refusal: str | None = None
    finish_reason: str | None = None
    usage: Any = None
    pieces: list[str] = field(default_factory=list)


def gathered(pieces: Iterable[Any], clock: Callable[[], float], longest_seconds: float | None) -> Gathered:
    """Put a stream together. Thinking, which comes in a field of its own, is left out.

    Raises httpx2.ReadTimeout for one that has not ended after so many seconds: each piece alone may be in time.
    Raises Retryable for one that ends without saying so, because something of it may be missing.
    """
    begun, whole = clock(), Gathered()
    for piece in pieces:
        if longest_seconds is not None and clock() - begun > longest_seconds:
            raise httpx2.ReadTimeout("the stream did not end")
        whole.usage = getattr(piece, "usage", None) or whole.usage
        for choice in getattr(piece, "choices", None) or ():
            if told := getattr(choice, "usage", None):  # where Moonshot tells it
                whole.usage = CompletionUsage.model_construct(**told)
            whole.finish_reason = getattr(choice, "finish_reason", None) or whole.finish_reason
            delta = getattr(choice, "delta", None)
            whole.refusal = getattr(delta, "refusal", None) or whole.refusal
            whole.pieces.append(_text_of(getattr(delta, "content", None)))
    if whole.finish_reason is None:
        raise Retryable("the provider's stream broke off")
    whole.content = "".join(whole.pieces)
    return whole


def response_of(completion: Any, limit: int, headroom: int) -> LLMResponse:
    """Read a body; `limit` is what was allowed, and `headroom` what of it is beyond the answer's own tokens.

    Raises Retryable for one that is no chat completion, and for one that the provider broke off.
    """
    choice = next(iter(getattr(completion, "choices", None) or ()), None)
    message: Any = completion if isinstance(completion, Gathered) else getattr(choice, "message", None)
    if message is None:
        raise Retryable("the provider answered something that is not a chat completion")
    finish = completion.finish_reason if isinstance(completion, Gathered) else getattr(choice, "finish_reason", None)
    if finish in _BROKEN_OFF:
        raise Retryable(f"the provider broke off its answer ({finish})")
    usage = getattr(completion, "usage", None)
    return LLMResponse(
        text=_text_of(message.content),
        complete=finish != "length",
        input_tokens=getattr(usage, "prompt_tokens", None) or 0,
        output_tokens=getattr(usage, "completion_tokens", None) or 0,
        cached_tokens=_cached_tokens(usage),
        filtered=finish in _FILTERED or bool(getattr(message, "refusal", None)),
        limit=limit,
        headroom=headroom,
    )


def _text_of(content: Any) -> str:
    """Return the text of a content, which may come in parts: those of another type hold what a model thought."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return content or ""


def _cached_tokens(usage: Any) -> int:
    """Return how many tokens of the input the provider had in its cache. There are three names for it."""
    details = getattr(usage, "prompt_tokens_details", None)
    names = ((details, "cached_tokens"), (usage, "prompt_cache_hit_tokens"), (usage, "cached_tokens"))
    return next((int(number) for holder, name in names if (number := getattr(holder, name, None))), 0)
