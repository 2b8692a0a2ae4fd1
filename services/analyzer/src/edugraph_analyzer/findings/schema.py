"""What a model must answer: one schema for each kind, and the reading of an answer by it.

An answer that leaves the schema in any way is invalid as a whole; nothing in it is guessed at or put right.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edugraph_common.contracts.findings import Importance, Kind, Sentiment
from edugraph_common.contracts.record_fields import Level, Severity

_MARK = r"(?:think|thinking|thought|reasoning)"
# A server that takes the opening mark for part of the prompt sends the closing one alone.
_THOUGHT_BEFORE = re.compile(rf"\A.*</{_MARK}>", re.DOTALL)
_THOUGHT_CUT = re.compile(rf"<{_MARK}>.*\Z", re.DOTALL)
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_ANSWERS = re.compile(r'\{\s*"answers"\s*:\s*\[')
_BETWEEN_ENTRIES = re.compile(r"[\s,]*")
_ESCAPE = re.compile(r'\\(?:[\\"/bfnrt]|u[0-9a-fA-F]{4})?')
# Strict structured outputs take no bounds on numbers or text, and titles and descriptions only cost tokens.
_NOT_STRICT = frozenset({"maxLength", "minLength", "minimum", "maximum", "default"})
_SHOWN_PROBLEMS = 3


class Wire(BaseModel):
    """Part of a model's answer. Every field is required, because strict schemas ask for that."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _one_line(value: str) -> str:
    cleaned = " ".join("".join(char if char.isprintable() else " " for char in value).split())
    if not cleaned:
        raise ValueError("is blank")
    return cleaned


Label = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
Likely = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Quotes = Annotated[list[Annotated[str, Field(max_length=2_000)]], Field(max_length=3)]


class InteractionAnswer(Wire):
    id: str
    evidence: Quotes
    sentiment: Sentiment
    topics: list[Label] = Field(max_length=5)
    confidence: Likely


class TypeAnswer(Wire):
    name: Label
    confidence: Likely


class LinkAnswer(Wire):
    name: Label
    strength: Likely
    confidence: Likely


class ErrorAnswer(Wire):
    id: str
    evidence: Quotes
    error_types: list[TypeAnswer] = Field(max_length=3)
    knowledge_points: list[LinkAnswer] = Field(max_length=5)
    difficulty: Level | None
    severity: Severity | None
    confidence: Likely


class PointAnswer(Wire):
    name: Label
    description: Annotated[str, Field(max_length=1_000)] | None
    category: Label | None
    importance: Importance


class PrerequisiteAnswer(Wire):
    point: Label
    requires: Label
    confidence: Likely


class ContentAnswer(Wire):
    id: str
    evidence: Quotes
    knowledge_points: list[PointAnswer] = Field(max_length=15)
    prerequisites: list[PrerequisiteAnswer] = Field(max_length=15)
    confidence: Likely


Answer = InteractionAnswer | ErrorAnswer | ContentAnswer
ANSWER_OF: dict[Kind, type[Answer]] = {
    "interaction": InteractionAnswer,
    "error": ErrorAnswer,
    "knowledge_points": ContentAnswer,
}


@dataclass(frozen=True)
class ParsedAnswers:
    """Valid answers by item id, and for every other item that was asked about what is wrong with its answer."""

    valid: dict[str, Answer]
    problems: dict[str, str]


def parse_answers(kind: Kind, text: str, asked: Iterable[str]) -> ParsedAnswers:
    """Read {"answers": […]}, or the bare list, for the ids in `asked`.

    An item that was answered twice, or not at all, is a problem of that item alone.
    """
    wanted = list(asked)
    value = read_json(text)
    entries = value.get("answers") if isinstance(value, dict) else value
    if not isinstance(entries, list):
        problem = "the answer is not JSON" if value is None else 'the answer is not an object with a list "answers"'
        return ParsedAnswers({}, dict.fromkeys(wanted, problem))
    valid: dict[str, Answer] = {}
    problems: dict[str, str] = {}
    for item_id in wanted:
        own = [entry for entry in entries if isinstance(entry, dict) and str(entry.get("id")) == item_id]
        if len(own) != 1:
            problems[item_id] = "it is missing from the answer" if not own else "it was answered more than once"
            continue
        answer = as_answer(kind, {**own[0], "id": item_id})
        if isinstance(answer, str):
            problems[item_id] = answer
        else:
            valid[item_id] = answer
    return ParsedAnswers(valid, problems)


def as_answer(kind: Kind, value: dict[str, Any]) -> Answer | str:
    """Return the valid answer, or a sentence that says what is wrong. The sentence never repeats the text."""
    try:
        return ANSWER_OF[kind].model_validate(value)
    except ValidationError as error:
        return "; ".join(
            f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_input=False, include_context=False)[
                :_SHOWN_PROBLEMS
            ]
        )


def read_json(text: str) -> Any:
    """Return the JSON value in an answer, or None where there is none.

    Thinking, code fences and prose around the value are taken off. Of an answer that was cut, or that goes wrong
    somewhere, the entries that are whole are returned. If a value cannot be read as it stands, backslashes that begin
    no escape are doubled: a model may have copied a formula into its JSON.
    """
    bare = _THOUGHT_CUT.sub("", _THOUGHT_BEFORE.sub("", text)).strip()
    for candidate in (text, bare, *(fenced[1] for fenced in reversed(list(_FENCE.finditer(bare))))):
        for escaped in (candidate, _escaped(candidate)):
            try:
                value = json.loads(escaped)
            except (json.JSONDecodeError, RecursionError):
                continue
            if value is not None:
                return value
    entries = _whole_entries(bare)
    return {"answers": entries} if entries else None


def _whole_entries(text: str) -> list[Any]:
    """Return the entries of the first {"answers": [… in a text, up to the first one that is not whole."""
    most, decoder = list[Any](), json.JSONDecoder()
    for reading in (text, _escaped(text)):
        entries, begun = list[Any](), _ANSWERS.search(reading)
        place = begun.end() if begun else len(reading)
        while between := _BETWEEN_ENTRIES.match(reading, place):
            try:
                entry, place = decoder.raw_decode(reading, between.end())
            except (json.JSONDecodeError, RecursionError):
                break
            entries.append(entry)
        most = max(most, entries, key=len)
    return most


def _escaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: found[0] if len(found[0]) > 1 else r"\\", text)


@lru_cache
def schema_of(kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema of the whole answer, within what strict structured outputs take.

    It is the same for each pack of a kind: a provider prepares it once, and may keep what follows it in a prompt. It
    is kept here, because making it takes longer than all else of a request; nobody may change it.
    """
    inner = ANSWER_OF[kind].model_json_schema()
    definitions = inner.pop("$defs", {})
    whole = {
        "type": "object",
        "properties": {"answers": {"type": "array", "items": inner}},
        "required": ["answers"],
        "additionalProperties": False,
        "$defs": definitions,
    }
    strict: dict[str, Any] = _strict(whole)
    return strict if definitions else {key: value for key, value in strict.items() if key != "$defs"}


def _strict(value: Any) -> Any:
    """Return a part of a schema without what strict structured outputs refuse or do not need."""
    if isinstance(value, list):
        return [_strict(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _strict(part)
        for key, part in value.items()
        if key not in _NOT_STRICT and not (key in ("title", "description") and isinstance(part, str))
    }
