"""What a provider answered: its text, its tokens, or the error that it names.

A body is read as JSON or as server-sent events, whichever it is, and nothing in it is relied on: any value may have
any type. What cannot be read raises Unreadable, and every other answer becomes an LLMResponse or raises ToldError.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from edugraph_analyzer.costs import estimated_tokens
from edugraph_analyzer.findings.schema import entries_of, read_json
from edugraph_analyzer.llm.refusals import status_in, words_of
from edugraph_analyzer.prompting.questions import LLMResponse

_FILTERED = ("content_filter", "sensitive")
_BROKEN_OFF = ("insufficient_system_resource", "network_error")
_SERVER_ERROR = 502
# A field begins each line of server-sent events; a line that begins with a colon is a remark.
_EVENT_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_LINE_END = re.compile(r"\r\n|\r|\n")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A number beyond is taken for none: no request has so many tokens.
_MOST_TOKENS = 100_000_000
# A told number that is smaller than this share of the estimate is not believed.
_LEAST_SHARE = 0.1


class Unreadable(Exception):
    """The body is no chat completion. `reason` says what it is, and holds nothing of it.

    `output_tokens` is the estimate for what came of an answer. A page of a web server is not billed.
    """

    def __init__(self, reason: str, output_tokens: int = 0, *, is_billed: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.output_tokens, self.is_billed = reason, output_tokens, is_billed


class ToldError(Exception):
    """The body names an error although the response's status says that there is none.

    `words` are for matching only. `output_tokens` is the estimate for what was written before the error came.
    """

    def __init__(self, status: int, words: str, output_tokens: int) -> None:
        super().__init__(status)
        self.status, self.words, self.output_tokens = status, words, output_tokens


@dataclass(frozen=True)
class Asked:
    """What a response answers to: the estimated tokens of the request, the limit of the answer, and its headroom."""

    input_tokens: int
    limit: int = 0
    headroom: int = 0


def body_of(content: bytes) -> Any:
    """Return the JSON value of a body; server-sent events become one completion. Raises Unreadable."""
    bare = content.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if bare.startswith(_EVENT_FIELDS):
        return _gathered(bare)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        if bare.startswith(b"<"):
            page = "the provider's answer cannot be read: it is a web page, so look whether the address is its API's"
            raise Unreadable(page, is_billed=False) from None
        written = estimated_tokens(content.decode("utf-8", "replace"))
        raise Unreadable("the provider's answer cannot be read: it is not JSON", written) from None
    # Gemini has its errors in a list of one.
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def response_of(body: Any, asked: Asked) -> LLMResponse:
    """Read the JSON value of a body. Raises Unreadable and ToldError."""
    told = body if isinstance(body, dict) else {}
    choice = _first(told.get("choices"))
    message = choice.get("message")
    parts = message if isinstance(message, dict) else {}
    text = _text_of(parts)
    finish = choice.get("finish_reason")

    error = told.get("error") or choice.get("error")
    if error or finish == "error" or not choice:
        status = status_in(error) or status_in(told)
        if status is None and (error or finish == "error"):
            status = _SERVER_ERROR
        if status is not None:
            detail = error if isinstance(error, dict) else told
            words = words_of(detail, error if isinstance(error, str) else "")
            raise ToldError(status, words, estimated_tokens(text))
    if finish in _BROKEN_OFF:
        raise Unreadable(f"the provider broke off its answer ({finish})", estimated_tokens(text))
    if not isinstance(message, dict):
        raise Unreadable("the provider answered something that is not a chat completion")
    usage = told.get("usage") or choice.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    thought = parts.get("reasoning_content")
    written = estimated_tokens(text) + (estimated_tokens(thought) if isinstance(thought, str) else 0)
    input_tokens = _believed(usage.get("prompt_tokens"), asked.input_tokens)
    output_tokens = _believed(usage.get("completion_tokens"), written)
    is_estimated = input_tokens is None or output_tokens is None
    if input_tokens is None:
        usage = {}
        input_tokens = asked.input_tokens
    if output_tokens is None:
        output_tokens = written
    return LLMResponse(
        text=text,
        complete=finish != "length",
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=min(_cached_tokens(usage), input_tokens),
        filtered=finish in _FILTERED or bool(parts.get("refusal")),
        limit=asked.limit,
        headroom=asked.headroom,
        estimated=is_estimated,
    )


def _gathered(content: bytes) -> dict[str, Any]:
    """Put server-sent events together to one completion. Raises Unreadable for a stream that broke off.

    A stream that ends without a reason to finish may lack something. Pieces that cannot be read are left out.
    """
    whole: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    deltas = list[dict[str, Any]]()
    for event in _events(content):
        for name in ("usage", "error"):
            if event.get(name):
                whole[name] = event[name]
        piece = _first(event.get("choices"))
        for name in ("usage", "error", "finish_reason"):
            if piece.get(name):
                choice[name] = piece[name]
        delta = piece.get("delta") or piece.get("message")
        if isinstance(delta, dict):
            deltas.append(delta)
    message = _message_of(deltas)
    if not (whole.get("error") or choice.get("error") or choice.get("finish_reason")):
        raise Unreadable("the provider's stream broke off", estimated_tokens(message["content"]))
    return whole | {"choices": [choice | {"message": message}]}


def _message_of(deltas: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the message whose pieces these are."""
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": [], "refusal": []}
    arguments: dict[int, list[str]] = {}
    for delta in deltas:
        for name, pieces in texts.items():
            pieces.append(_joined(delta.get(name)))
        for call in _list(delta.get("tool_calls")):
            if isinstance(call, dict):
                index = call.get("index")
                arguments.setdefault(index if isinstance(index, int) else 0, []).append(_arguments(call))
    message: dict[str, Any] = {name: "".join(pieces) for name, pieces in texts.items()}
    message["tool_calls"] = [{"function": {"arguments": "".join(pieces)}} for pieces in arguments.values()]
    return message


def _events(content: bytes) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of server-sent events. An empty line ends an event."""
    lines = list[str]()
    for line in [*_LINE_END.split(content.decode("utf-8", "replace")), ""]:
        if line.startswith("data:"):
            lines.append(line.removeprefix("data:"))
        if line or not lines:
            continue
        try:
            event = json.loads("\n".join(lines))
        except (ValueError, RecursionError):
            event = None
        lines.clear()
        if isinstance(event, dict):
            yield event


def _text_of(message: dict[str, Any]) -> str:
    """Return the text of a message, or what it gives to tools if the text holds no JSON."""
    content = message.get("content")
    # A server that reads the answer as JSON itself may give the object in place of its text.
    text = _written(content) if isinstance(content, dict) else _joined(content)
    calls = [call for call in _list(message.get("tool_calls")) if isinstance(call, dict)]
    if isinstance(message.get("function_call"), dict):
        calls.append({"function": message["function_call"]})
    if calls and read_json(text) is None:
        entries = list[Any]()
        for call in calls:
            entries += entries_of(read_json(_arguments(call))) or []
        text = _written({"answers": entries}) if entries else text
    # Half of a pair of surrogates, which JSON may hold, could be neither kept nor sent again.
    return text.encode("utf-8", "replace").decode("utf-8")


def _arguments(call: dict[str, Any]) -> str:
    function = call.get("function")
    given = function.get("arguments") if isinstance(function, dict) else None
    return _written(given) if isinstance(given, dict) else _joined(given)


def _written(value: dict[str, Any]) -> str:
    """Return the JSON of a value, or nothing for one that is nested too deeply to be written."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return ""


def _joined(content: Any) -> str:
    """Return the text of a content, which may come in parts: those of another type hold what a model thought."""
    if isinstance(content, str):
        return content
    texts = []
    for part in _list(content):
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
        if isinstance(text, str):
            texts.append(text)
    return "".join(texts)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(choices: Any) -> dict[str, Any]:
    for choice in _list(choices):
        if isinstance(choice, dict):
            return choice
    return {}


def _believed(told: Any, estimate: int) -> int | None:
    """Return a told number of tokens, or None for what is no number or cannot be true."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    if not estimate * _LEAST_SHARE <= told <= _MOST_TOKENS:
        return None
    return math.floor(told)


def _cached_tokens(usage: dict[str, Any]) -> int:
    """Return how many tokens of the input the provider had in its cache. There are three names for it."""
    details = usage.get("prompt_tokens_details")
    of_details = details.get("cached_tokens") if isinstance(details, dict) else None
    for told in (of_details, usage.get("prompt_cache_hit_tokens"), usage.get("cached_tokens")):
        if told and (number := _believed(told, 0)):
            return number
    return 0
