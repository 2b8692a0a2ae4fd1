"""Read the answer of a provider: its text, its tokens, or the error that it names.

A body is JSON or server-sent events. Nothing in it is trusted, since any value may have any type. A body that cannot
be read raises Unreadable. Every other answer becomes an LLMResponse or raises AnsweredError.
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
# A larger number of tokens is ignored, since no request has more.
_MOST_TOKENS = 100_000_000
# A reported number that is smaller than this share of the estimate is ignored.
_LEAST_SHARE = 0.1


class Unreadable(Exception):
    """The body is not a chat completion. `reason` says what it is, and never quotes it.

    `output_tokens` is the estimate for the part of an answer that arrived. A page of a web server is not billed.
    """

    def __init__(self, reason: str, output_tokens: int = 0, *, is_billed: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.output_tokens = output_tokens
        self.is_billed = is_billed


class AnsweredError(Exception):
    """The body names an error, although the status of the response is a success.

    `words` are for matching only. `output_tokens` is the estimate for the text that came before the error.
    """

    def __init__(self, status: int, words: str, output_tokens: int) -> None:
        super().__init__(status)
        self.status = status
        self.words = words
        self.output_tokens = output_tokens


@dataclass(frozen=True)
class Asked:
    """The request of a response: its estimated tokens, the limit of the answer in tokens, and its headroom."""

    input_tokens: int
    limit: int = 0
    headroom: int = 0


def body_of(content: bytes) -> Any:
    """Return the JSON value of a body. Server-sent events become one completion. Raises Unreadable."""
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
    # Gemini sends its errors in a list of one.
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def response_of(body: Any, asked: Asked) -> LLMResponse:
    """Return the response in the JSON value of a body. Raises Unreadable and AnsweredError."""
    fields = _object(body)
    choice = _first(fields.get("choices"))
    message = choice.get("message")
    parts = _object(message)
    text = _text_of(parts)
    finish = choice.get("finish_reason")

    error = _error_in(fields, choice)
    if error is not None:
        status, words = error
        raise AnsweredError(status, words, estimated_tokens(text))
    if finish in _BROKEN_OFF:
        raise Unreadable(f"the provider broke off its answer ({finish})", estimated_tokens(text))
    if not isinstance(message, dict):
        raise Unreadable("the provider answered something that is not a chat completion")
    usage = fields.get("usage") or choice.get("usage")
    if not isinstance(usage, dict):
        usage = {}
    written = estimated_tokens(text)
    thought = parts.get("reasoning_content")
    if isinstance(thought, str):
        written += estimated_tokens(thought)
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


def _error_in(fields: dict[str, Any], choice: dict[str, Any]) -> tuple[int, str] | None:
    """Return the status and the words of an error in a body and its first choice, or None."""
    error = fields.get("error") or choice.get("error")
    names_error = error or choice.get("finish_reason") == "error"
    if choice and not names_error:
        return None
    status = status_in(error) or status_in(fields)
    if status is None and names_error:
        status = _SERVER_ERROR
    if status is None:
        return None
    if isinstance(error, dict):
        return status, words_of(error, "")
    if isinstance(error, str):
        return status, words_of(fields, error)
    return status, words_of(fields, "")


def _gathered(content: bytes) -> dict[str, Any]:
    """Return one completion from server-sent events. Raises Unreadable for a stream that broke off.

    A stream that ends without a `finish_reason` may be incomplete. Pieces that cannot be read are left out.
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
    """Return the message that the pieces make."""
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": [], "refusal": []}
    arguments: dict[int, list[str]] = {}
    for delta in deltas:
        for name, pieces in texts.items():
            pieces.append(_joined(delta.get(name)))
        for call in _list(delta.get("tool_calls")):
            if isinstance(call, dict):
                index = call.get("index")
                if not isinstance(index, int):
                    index = 0
                arguments.setdefault(index, []).append(_arguments(call))
    message: dict[str, Any] = {name: "".join(pieces) for name, pieces in texts.items()}
    message["tool_calls"] = [
        {"function": {"arguments": "".join(pieces)}} for pieces in arguments.values()
    ]
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
    """Return the text of a message, or the arguments of its tool calls if the text has no JSON."""
    content = message.get("content")
    # A server that parses the answer itself may send the object instead of its text.
    if isinstance(content, dict):
        text = _written(content)
    else:
        text = _joined(content)
    calls = [call for call in _list(message.get("tool_calls")) if isinstance(call, dict)]
    if isinstance(message.get("function_call"), dict):
        calls.append({"function": message["function_call"]})
    if calls and read_json(text) is None:
        entries = list[Any]()
        for call in calls:
            entries += entries_of(read_json(_arguments(call))) or []
        if entries:
            text = _written({"answers": entries})
    # JSON may have half of a pair of surrogates, which could be neither stored nor sent again.
    return text.encode("utf-8", "replace").decode("utf-8")


def _arguments(call: dict[str, Any]) -> str:
    given = _object(call.get("function")).get("arguments")
    if isinstance(given, dict):
        return _written(given)
    return _joined(given)


def _written(value: dict[str, Any]) -> str:
    """Return the JSON of a value, or "" for a value that is nested too deeply."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return ""


def _joined(content: Any) -> str:
    """Return the text of a content, which may be a list of parts. Parts of other types have the model's thoughts."""
    if isinstance(content, str):
        return content
    texts = []
    for part in _list(content):
        text = part
        if isinstance(part, dict) and part.get("type") == "text":
            text = part.get("text")
        if isinstance(text, str):
            texts.append(text)
    return "".join(texts)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        return []
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    return value


def _first(choices: Any) -> dict[str, Any]:
    for choice in _list(choices):
        if isinstance(choice, dict):
            return choice
    return {}


def _believed(reported: Any, estimate: int) -> int | None:
    """Return a reported number of tokens, or None if it is not a number or cannot be true."""
    if isinstance(reported, bool) or not isinstance(reported, int | float):
        return None
    if not estimate * _LEAST_SHARE <= reported <= _MOST_TOKENS:
        return None
    return math.floor(reported)


def _cached_tokens(usage: dict[str, Any]) -> int:
    """Return the number of input tokens that the provider had in its cache. Providers have three names for it."""
    in_details = _object(usage.get("prompt_tokens_details")).get("cached_tokens")
    for reported in (in_details, usage.get("prompt_cache_hit_tokens"), usage.get("cached_tokens")):
        number = _believed(reported, 0)
        if number:
            return number
    return 0
