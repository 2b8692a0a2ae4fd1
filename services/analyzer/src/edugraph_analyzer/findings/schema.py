"""The answers of a model: one schema for each kind, and the reading of an answer.

The schema for the provider is strict, and an answer is read leniently, because not every server enforces a schema.
Unknown fields are ignored. Ids and words of a list are compared without case, width, white space and quotation marks.
Percentages become shares. A point that cannot be read is left out, and its answer stays valid. Missing values are
never invented.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from edugraph_common.contracts.findings import Importance, Kind, Sentiment
from edugraph_common.contracts.record_fields import LONGEST_NAME, LONGEST_SENTENCE, Level, Severity

_MARK = r"(?:think|thinking|thought|reasoning)"
# A server that counts the opening mark as part of the prompt sends only the closing one.
_THOUGHT_BEFORE = re.compile(rf"\A.*</{_MARK}>", re.DOTALL)
_THOUGHT_CUT = re.compile(rf"<{_MARK}>.*\Z", re.DOTALL)
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_ANSWERS = re.compile(r'\{\s*"answers"\s*:\s*\[')
_BETWEEN_ENTRIES = re.compile(r"[\s,]*")
_ESCAPE = re.compile(r'\\(?:[\\"/bfnrt]|u[0-9a-fA-F]{4})?')
# Strict structured outputs do not allow limits of numbers or texts.
_NOT_STRICT = frozenset({"maxLength", "minLength", "minimum", "maximum", "default"})
_SHOWN_PROBLEMS = 3
# An object in a list in an object, each perhaps as a text, is as deep as an answer is looked for.
_MOST_WRAPPINGS = 6
# In characters.
_LONGEST_QUOTE = 2_000
_LONGEST_DESCRIPTION = 1_000
_NUMBER = re.compile(r"[0-9]*[.,]?[0-9]+")
# A larger number is a percentage of a share. A number from 1 to this one may be on a scale of ten, so it is invalid.
_LARGEST_OF_TEN = 10
_HUNDRED = 100
_AROUND_WORDS = " \t\n\r\"'`“”„«»「」『』‘’<>[](){}#.:"
_AROUND_NUMBERS = " \t\n\r\"'`“”"


class Wire(BaseModel):
    """Part of a model's answer. The strict schema requires every field; see `schema_of`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, value: Any) -> Any:
        """Name fields as the schema does: "Knowledge Points" and "knowledgePoints" are knowledge_points.

        A field that has its right name is never replaced by another one.
        """
        if not isinstance(value, dict) or value.keys() >= cls.model_fields.keys():
            return value
        names = {_letters_of(name): name for name in cls.model_fields}
        renamed = dict[str, Any]()
        for given, field in value.items():
            name = names.get(_letters_of(given))
            if name is not None:
                renamed.setdefault(name, field)
        return renamed | {name: value[name] for name in cls.model_fields if name in value}


def _letters_of(name: str) -> str:
    """Return the letters and digits of a field's name, to compare by."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in plain if char.isalnum())


def _one_line(value: str) -> str:
    """Return a text in one line, without characters that cannot be printed."""
    printable = "".join(char if char.isprintable() else " " for char in value)
    cleaned = " ".join(printable.split())
    if not cleaned:
        raise ValueError("is blank")
    return cleaned


def _share(value: Any) -> float:
    """Return a share from 0.85, "0.85", "85 %" or 85."""
    is_percent = False
    if isinstance(value, str):
        text = unicodedata.normalize("NFKC", value).strip(_AROUND_NUMBERS)
        number = text.removesuffix("%").removesuffix("percent").rstrip()
        is_percent = number != text
        if not _NUMBER.fullmatch(number):
            raise ValueError("is not a share")
        value = float(number.replace(",", "."))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _HUNDRED:
        raise ValueError("is not a share from 0 to 1")
    if is_percent or value > _LARGEST_OF_TEN:
        return value / _HUNDRED
    if value > 1:
        raise ValueError("is not a share from 0 to 1")
    return float(value)


def folded(text: str) -> str:
    """Return a text without the differences of case and width, and without spaces and quotation marks around it."""
    return unicodedata.normalize("NFKC", text).strip(_AROUND_WORDS).casefold()


def _word(value: Any) -> Any:
    """Return a word of a list in the spelling of the schema."""
    if isinstance(value, str):
        return folded(value)
    return value


def _or_none(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Return the value of an optional field, or None if it cannot be read."""
    try:
        return read(value)
    except ValidationError:
        return None


def _only_entry(value: Any) -> Any:
    """Return the entry of a list of one. `evidence` is a list, so a model may give a quote as a list as well."""
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def _cut(longest: int) -> Callable[[Any], Any]:
    """Return a function that cuts a text, and replaces the characters in it that cannot be encoded."""

    def cut(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return value[:longest].encode("utf-8", "replace").decode()

    return cut


def _readable(entry_type: Any, most: int) -> Callable[[Any], list[Any]]:
    """Return a function that reads a list: the entries that can be read, and at most `most` of them.

    A list of one may be given as the entry alone.
    """
    adapter = TypeAdapter[Any](entry_type)

    def read(value: Any) -> list[Any]:
        kept = list[Any]()
        entries = value
        if not isinstance(value, list):
            entries = [value]
        for entry in entries:
            try:
                kept.append(adapter.validate_python(entry))
            except ValidationError:
                continue
            if len(kept) == most:
                break
        return kept

    return read


# A model repeats the names of known points, which may be as long as a record allows.
Label = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_one_line)]
# A longer sentence is left out and never cut, because half a sentence may say the opposite.
ShortSentence = Annotated[str, Field(max_length=LONGEST_SENTENCE), AfterValidator(_one_line)]
Likely = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_share)]
Quote = Annotated[str, Field(max_length=_LONGEST_QUOTE), BeforeValidator(_cut(_LONGEST_QUOTE))]
Quotes = Annotated[list[Quote], Field(max_length=3), BeforeValidator(_readable(Quote, 3))]
Topics = Annotated[list[Label], Field(max_length=5), BeforeValidator(_readable(Label, 5))]


class InteractionAnswer(Wire):
    id: str
    evidence: Quotes = Field(default_factory=list)
    sentiment: Annotated[Sentiment, BeforeValidator(_word)]
    topics: Topics = Field(default_factory=list)
    confidence: Likely


class TypeAnswer(Wire):
    name: Label
    confidence: Likely


class LinkAnswer(Wire):
    name: Label
    strength: Likely
    confidence: Likely


class ErrorAnswer(Wire):
    """A diagnosis. `shows_mistake` comes first, so that a model decides it before it names anything.

    For the same reason it says `what_went_wrong` before it chooses kinds and points.
    """

    id: str
    shows_mistake: Annotated[
        Literal["yes", "no", "cannot tell"] | None, BeforeValidator(_word), WrapValidator(_or_none)
    ] = None
    evidence: Quotes = Field(default_factory=list)
    what_went_wrong: Annotated[ShortSentence | None, WrapValidator(_or_none)] = None
    error_types: Annotated[
        list[TypeAnswer], Field(max_length=3), BeforeValidator(_readable(TypeAnswer, 3))
    ]
    knowledge_points: Annotated[
        list[LinkAnswer], Field(max_length=5), BeforeValidator(_readable(LinkAnswer, 5))
    ]
    difficulty: Annotated[Level | None, BeforeValidator(_word), WrapValidator(_or_none)] = None
    severity: Annotated[Severity | None, BeforeValidator(_word), WrapValidator(_or_none)] = None
    confidence: Likely


class PointAnswer(Wire):
    name: Label
    description: Annotated[
        Annotated[str, Field(max_length=_LONGEST_DESCRIPTION)] | None,
        BeforeValidator(_cut(_LONGEST_DESCRIPTION)),
        WrapValidator(_or_none),
    ] = None
    category: Annotated[Label | None, WrapValidator(_or_none)] = None
    importance: Annotated[Importance, BeforeValidator(_word)]


class PrerequisiteAnswer(Wire):
    """A prerequisite. `quote` comes first, so that a model looks for the words before it names anything."""

    quote: Annotated[Quote | None, BeforeValidator(_only_entry), WrapValidator(_or_none)] = None
    point: Label
    requires: Label
    confidence: Likely


class ContentAnswer(Wire):
    id: str
    evidence: Quotes = Field(default_factory=list)
    knowledge_points: Annotated[
        list[PointAnswer], Field(max_length=15), BeforeValidator(_readable(PointAnswer, 15))
    ]
    prerequisites: Annotated[
        list[PrerequisiteAnswer],
        Field(max_length=15),
        BeforeValidator(_readable(PrerequisiteAnswer, 15)),
    ] = Field(default_factory=list)
    confidence: Likely


Answer = InteractionAnswer | ErrorAnswer | ContentAnswer
ANSWER_OF: dict[Kind, type[Answer]] = {
    "interaction": InteractionAnswer,
    "error": ErrorAnswer,
    "knowledge_points": ContentAnswer,
}
# An answer is invalid if it has entries in these fields, and none of the entries can be read.
_NAMED: dict[Kind, tuple[str, ...]] = {
    "interaction": (),
    "error": ("error_types", "knowledge_points"),
    "knowledge_points": ("knowledge_points",),
}


@dataclass(frozen=True)
class ParsedAnswers:
    """Valid answers by item id, and a problem by item id for each other item of the request."""

    valid: dict[str, Answer]
    problems: dict[str, str]


def parse_answers(kind: Kind, text: str, asked: Iterable[str]) -> ParsedAnswers:
    """Return the answers in {"answers": […]}, or in a list or an answer alone, to the item ids in `asked`.

    If an item was answered twice or not at all, only this item has a problem.
    """
    wanted = list(asked)
    value = read_json(text)
    entries = entries_of(value)
    if entries is None:
        problem = 'the answer is not an object with a list "answers"'
        if value is None:
            problem = "the answer is not JSON"
        return ParsedAnswers({}, dict.fromkeys(wanted, problem))
    by_id: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_id.setdefault(_id_in(entry), []).append(entry)
    if len(wanted) == 1 and by_id.keys() == {""}:
        by_id = {folded(wanted[0]): by_id[""]}
    valid: dict[str, Answer] = {}
    problems: dict[str, str] = {}
    for item_id in wanted:
        own = by_id.get(folded(item_id), [])
        # A model may return "r1" as 1. If its numbers begin with 0, they do not fit our ids.
        if not own and "0" not in by_id:
            own = by_id.get(folded(item_id).removeprefix("r"), [])
        if not own:
            problems[item_id] = "it is missing from the answer"
            continue
        if len(own) > 1:
            problems[item_id] = "it was answered more than once"
            continue
        answer = as_answer(kind, {**own[0], "id": item_id})
        if isinstance(answer, str):
            problems[item_id] = answer
        else:
            valid[item_id] = answer
    return ParsedAnswers(valid, problems)


def _unwrapped(value: Any) -> Any:
    """Return what is in a text with JSON, or in an object or a list that only holds the answers. Else the value."""
    if isinstance(value, str):
        return read_json(value)
    if isinstance(value, list) and len(value) == 1:
        only = value[0]
        holds_answers = isinstance(only, str) or (isinstance(only, dict) and "answers" in only)
        return only if holds_answers else value
    if not isinstance(value, dict):
        return value
    if "answers" in value:
        return value["answers"]
    if len(value) == 1:
        [only] = value.values()
        is_list_of_answers = isinstance(only, list) and any(isinstance(each, dict) for each in only)
        holds_answers = isinstance(only, str) or (isinstance(only, dict) and "answers" in only)
        if is_list_of_answers or holds_answers:
            return only
    return value


def entries_of(value: Any) -> list[dict[str, Any]] | None:
    """Return the answers of a JSON value, or None for a value of another form.

    The answers are a list, or an object with the ids as names. A single answer may stand alone, and each may be a
    text with JSON. The list may have another name than "answers", and an object or a list of one around it.
    """
    for _ in range(_MOST_WRAPPINGS):
        inner = _unwrapped(value)
        if inner is value:
            break
        value = inner
    if isinstance(value, list):
        return [entry for entry in value if isinstance(entry, dict)]
    if not isinstance(value, dict) or not value:
        return None
    names = {_letters_of(name) for name in value}
    if "id" in names or "confidence" in names:
        return [value]
    if all(isinstance(entry, dict) for entry in value.values()):
        return [{"id": item_id} | entry for item_id, entry in value.items()]
    return None


def _id_in(entry: dict[str, Any]) -> str:
    """Return the id of an answer to compare by, or an empty text if it has none."""
    item_id = entry.get("id")
    if item_id is None:
        item_id = next((entry[name] for name in entry if _letters_of(name) == "id"), None)
    if isinstance(item_id, float) and item_id.is_integer():
        item_id = int(item_id)
    if isinstance(item_id, bool) or not isinstance(item_id, str | int):
        return ""
    return folded(str(item_id))


def as_answer(kind: Kind, value: dict[str, Any]) -> Answer | str:
    """Return the valid answer, or a sentence that says what is wrong. The sentence never quotes the text."""
    try:
        answer = ANSWER_OF[kind].model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        problems = []
        for detail in details[:_SHOWN_PROBLEMS]:
            field = ".".join(map(str, detail["loc"]))
            problems.append(f"{field}: {detail['msg']}")
        return "; ".join(problems)
    named = [field for field in _NAMED[kind] if value.get(field)]
    if named and not any(getattr(answer, field) for field in _NAMED[kind]):
        return f"{named[0]}: none of its entries has the fields that the schema asks for"
    return answer


def read_json(text: str) -> Any:
    """Return the JSON value in an answer, or None if there is none.

    Thoughts, code fences and prose around the value are ignored. If the answer was cut or is wrong in one place, its
    complete entries are returned. If a value cannot be read, backslashes that are not part of an escape are doubled,
    because a model may have copied a formula into its JSON.
    """
    bare = _THOUGHT_CUT.sub("", _THOUGHT_BEFORE.sub("", text)).strip()
    in_fences = [fence[1] for fence in _FENCE.finditer(bare)]
    for candidate in (text, bare, *reversed(in_fences)):
        for escaped in (candidate, _escaped(candidate)):
            try:
                value = json.loads(escaped)
            except (ValueError, RecursionError):
                # A number with too many digits raises ValueError as well.
                continue
            if value is not None:
                return value
    entries = _whole_entries(bare)
    if not entries:
        return None
    return {"answers": entries}


def _whole_entries(text: str) -> list[Any]:
    """Return the entries of the first {"answers": [… in a text, up to the first incomplete entry."""
    decoder = json.JSONDecoder()
    most = list[Any]()
    for reading in (text, _escaped(text)):
        opening = _ANSWERS.search(reading)
        if opening is None:
            continue
        entries = list[Any]()
        end = opening.end()
        while True:
            between = _BETWEEN_ENTRIES.match(reading, end)
            if between is None:
                break
            try:
                entry, end = decoder.raw_decode(reading, between.end())
            except (ValueError, RecursionError):
                break
            entries.append(entry)
        most = max(most, entries, key=len)
    return most


def _escaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: found[0] if len(found[0]) > 1 else r"\\", text)


@lru_cache
def schema_of(kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema of the whole answer, within the rules of strict structured outputs.

    The schema is the same for each pack of a kind, so that a provider prepares it once and may cache the prompt. It
    is cached here too, because making it takes longer than the rest of a request. Callers must not change it.
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
    if not definitions:
        del strict["$defs"]
    return strict


def _strict(value: Any) -> Any:
    """Return a part of a schema without the keywords that strict structured outputs refuse or do not need."""
    if isinstance(value, list):
        return [_strict(part) for part in value]
    if not isinstance(value, dict):
        return value
    strict = {}
    for key, part in value.items():
        # Titles and descriptions only cost tokens.
        is_only_prose = key in ("title", "description") and isinstance(part, str)
        if key not in _NOT_STRICT and not is_only_prose:
            strict[key] = _strict(part)
    # The schema requires every field and allows no other, although an answer is read leniently.
    if value.get("type") == "object" and "properties" in value:
        strict["required"] = list(value["properties"])
        strict["additionalProperties"] = False
    return strict
