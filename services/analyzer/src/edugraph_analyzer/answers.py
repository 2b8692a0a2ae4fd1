"""What a model must answer, one schema for each kind, and the finding that a valid answer becomes.

An answer that leaves the schema in any way is invalid as a whole; nothing in it is guessed at or put right.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edugraph_analyzer.evidence import found_in
from edugraph_analyzer.items import Item
from edugraph_analyzer.redaction import Redactor, holds_placeholder
from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    Finding,
    FoundErrorType,
    FoundPoint,
    Importance,
    InteractionFinding,
    Kind,
    LinkedPoint,
    Prerequisite,
    Sentiment,
)
from edugraph_common.contracts.records import Level, Severity

Named = TypeVar("Named")


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
class Parsed:
    """Valid answers by item id, and for every other item that was asked about what is wrong with its answer."""

    valid: dict[str, Answer]
    problems: dict[str, str]


def parse_answers(kind: Kind, text: str, asked: Iterable[str]) -> Parsed:
    """Reads {"answers": […]}; an item answered twice, or not at all, is a problem of that item alone."""
    wanted = list(asked)
    entries = _entries(text)
    if isinstance(entries, str):
        return Parsed({}, dict.fromkeys(wanted, entries))
    outcomes = {item_id: _answer_for(kind, item_id, entries) for item_id in wanted}
    valid = {item_id: outcome for item_id, outcome in outcomes.items() if not isinstance(outcome, str)}
    return Parsed(valid, {item_id: outcome for item_id, outcome in outcomes.items() if isinstance(outcome, str)})


def _answer_for(kind: Kind, item_id: str, entries: list[Any]) -> Answer | str:
    own = [entry for entry in entries if isinstance(entry, dict) and str(entry.get("id")) == item_id]
    if len(own) != 1:
        return "it is missing from the answer" if not own else "it was answered more than once"
    return as_answer(kind, {**own[0], "id": item_id})


def as_answer(kind: Kind, value: dict[str, Any]) -> Answer | str:
    """The valid answer, or a sentence about the schema (never about the text) saying what is wrong."""
    try:
        return ANSWER_OF[kind].model_validate(value)
    except ValidationError as error:
        return "; ".join(
            f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_input=False, include_context=False)[:3]
        )


_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_FENCE = re.compile(r"\A\s*```[a-z]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


def _entries(text: str) -> list[Any] | str:
    value = read_json(text)
    if isinstance(value, list):
        return value
    entries = value.get("answers") if isinstance(value, dict) else None
    if isinstance(entries, list):
        return entries
    if value is None:
        return "the answer is not JSON"
    return 'the answer is not an object with a list "answers"'


def read_json(text: str) -> Any:
    """The JSON value in an answer, thinking and a code fence around it taken off; None where there is none."""
    bare = _THINKING.sub("", text).strip()
    fenced = _FENCE.match(bare)
    text = fenced[1] if fenced else bare
    read = _loaded(text)
    return _loaded(_ESCAPE.sub(_escaped, text)) if read is None else read


_ESCAPE = re.compile(r'\\(?:[\\"/bfnrt]|u[0-9a-fA-F]{4})?')


def _escaped(found: re.Match[str]) -> str:
    """A formula that was copied into JSON as it stands holds backslashes that begin no escape."""
    return found[0] if len(found[0]) > 1 else r"\\"


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None


def schema_of(kind: Kind, items: int, points: int) -> dict[str, Any]:
    """JSON Schema of the whole answer, within what strict structured outputs take (no bounds on numbers or text).

    At most `items` entries, each with `points` knowledge points of a course text: small models go on while they may.
    """
    inner = ANSWER_OF[kind].model_json_schema()
    definitions = inner.pop("$defs", {})
    if kind == "knowledge_points":
        for name in ("knowledge_points", "prerequisites"):
            inner["properties"][name]["maxItems"] = points
    whole = {
        "type": "object",
        "properties": {"answers": {"type": "array", "items": inner, "maxItems": items}},
        "required": ["answers"],
        "additionalProperties": False,
        "$defs": definitions,
    }
    stripped: dict[str, Any] = _without(whole, _NOT_STRICT)
    return stripped if definitions else {key: value for key, value in stripped.items() if key != "$defs"}


_NOT_STRICT = frozenset({"maxLength", "minLength", "minimum", "maximum", "default"})


def _without(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_without(part, names) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without(part, names)
        for key, part in value.items()
        if key not in names and not (key in ("title", "description") and isinstance(part, str))
    }


# --- from an answer to a finding ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What an answer is checked against: its item, the record's own words, and the cap without evidence."""

    item: Item
    redactor: Redactor
    cap: float

    def evidence(self, answer: Answer) -> tuple[str, ...]:
        return found_in(tuple(self.redactor.restore(quote) for quote in answer.evidence), self.item.text)

    def capped(self, confidence: float, evidence: tuple[str, ...]) -> float:
        """Without a quote that stands in the text nobody should rely on the answer much."""
        return confidence if evidence else min(confidence, self.cap)


def to_finding(answer: Answer, reading: Reading) -> Finding:
    match answer:
        case InteractionAnswer():
            return _interaction(answer, reading)
        case ErrorAnswer():
            return _error(answer, reading)
        case ContentAnswer():
            return _content(answer, reading)


def _interaction(answer: InteractionAnswer, reading: Reading) -> InteractionFinding:
    evidence = reading.evidence(answer)
    return InteractionFinding(
        sentiment=answer.sentiment,
        topics=tuple(_distinct(answer.topics, str)),
        confidence=reading.capped(answer.confidence, evidence),
        evidence=evidence,
        evidence_found=bool(evidence),
    )


def _error(answer: ErrorAnswer, reading: Reading) -> ErrorFinding:
    evidence = reading.evidence(answer)
    spelling = {same_name(point): point for point in reading.item.known_points}
    points = _distinct(answer.knowledge_points, lambda point: point.name)
    return ErrorFinding(
        error_types=tuple(
            FoundErrorType(name=found.name, confidence=reading.capped(found.confidence, evidence))
            for found in _distinct(answer.error_types, lambda found: found.name)
        ),
        knowledge_points=tuple(
            LinkedPoint(
                name=spelling.get(same_name(point.name), point.name),
                strength=point.strength,
                confidence=reading.capped(point.confidence, evidence),
            )
            for point in points
        ),
        difficulty=answer.difficulty,
        severity=answer.severity,
        confidence=reading.capped(answer.confidence, evidence),
        evidence=evidence,
        evidence_found=bool(evidence),
    )


def _content(answer: ContentAnswer, reading: Reading) -> ContentFinding:
    evidence = reading.evidence(answer)
    points = _distinct(answer.knowledge_points, lambda point: point.name)
    spelling = {same_name(name): name for name in (*reading.item.known_points, *(point.name for point in points))}
    return ContentFinding(
        knowledge_points=tuple(
            FoundPoint(
                name=spelling[same_name(point.name)],
                description=reading.redactor.restore(point.description) if point.description else None,
                category=point.category,
                importance=point.importance,
                order=order,
            )
            for order, point in enumerate(_in_order(points, reading.item.text), start=1)
        ),
        prerequisites=_prerequisites(answer, spelling, reading, evidence),
        confidence=reading.capped(answer.confidence, evidence),
        evidence=evidence,
        evidence_found=bool(evidence),
    )


def _prerequisites(
    answer: ContentAnswer, spelling: dict[str, str], reading: Reading, evidence: tuple[str, ...]
) -> tuple[Prerequisite, ...]:
    """Of points that the answer or the course has; what a point needs may be new. No point needs itself."""
    pairs = {
        (same_name(found.point), same_name(found.requires)): found
        for found in answer.prerequisites
        if not holds_placeholder(found.requires)
    }
    return tuple(
        Prerequisite(
            point=spelling[point],
            requires=spelling.get(requires, found.requires),
            confidence=reading.capped(found.confidence, evidence),
        )
        for (point, requires), found in pairs.items()
        if point in spelling and point != requires
    )


def _in_order(points: list[PointAnswer], text: str) -> list[PointAnswer]:
    """By first appearance in the text; those that do not appear keep their place at the end."""
    folded = text.casefold()
    places = [folded.find(point.name.casefold()) for point in points]
    order = sorted(range(len(points)), key=lambda place: (places[place] < 0, places[place], place))
    return [points[place] for place in order]


def _distinct(found: Iterable[Named], name: Callable[[Named], str]) -> list[Named]:
    """The first of each name; a name that would become a person's once restored is left out."""
    first: dict[str, Named] = {}
    for each in found:
        if not holds_placeholder(name(each)):
            first.setdefault(same_name(name(each)), each)
    return list(first.values())


def same_name(name: str) -> str:
    """Names are one if they differ in width, case and spaces only."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
