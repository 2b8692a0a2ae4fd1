"""What is sent to a model for some items of one kind, and the key under which an answer is kept."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from edugraph_analyzer import prompts
from edugraph_analyzer.answers import schema_of
from edugraph_analyzer.items import Item
from edugraph_analyzer.prices import estimated_tokens
from edugraph_analyzer.redaction import Redactor
from edugraph_analyzer.relevance import most_relevant
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.findings import Kind

Message = dict[str, str]
# Tokens that one item's answer may take: about twice what good answers take, so that a model that runs on is stopped.
ANSWER_TOKENS: dict[Kind, int] = {"interaction": 256, "error": 512, "knowledge_points": 2_048}
_ENVELOPE_TOKENS = 32


@dataclass(frozen=True)
class Ask:
    """`messages` without the schema; `limit`: tokens that the answer may take."""

    kind: Kind
    messages: list[Message]
    limit: int


@dataclass(frozen=True)
class Reply:
    """`complete` is False for an answer that was cut at its limit of tokens."""

    text: str
    complete: bool
    input_tokens: int
    output_tokens: int


class Unanswerable(Exception):
    """The provider will not or cannot answer these items (too long, content filter); others are not concerned."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Question:
    """An item as it leaves: `body` and `course` are redacted. `key` (SHA-256) is the same for the same question."""

    item: Item
    redactor: Redactor
    body: str
    course: str
    key: str

    @property
    def tokens(self) -> int:
        return estimated_tokens(self.body)


def question_of(item: Item, settings: AnalyzerSettings) -> Question:
    people = item.people if settings.redaction else ()
    redactor = Redactor(people)
    hide = redactor.redact if settings.redaction else str
    sections = [(label, hide(text)) for label, text in item.sections]
    shared, own = _known_points(item, settings.known_points)
    about = _lines([*_course_names(item, settings), *_listed(shared)])
    apart = estimated_tokens(about) > _COURSE_WITH_ITEM
    body = (
        _lines([*sections, *_listed(own)]) if apart or not about else f"{_lines([*sections, *_listed(own)])}\n{about}"
    )
    course = about if apart else ""
    return Question(item, redactor, body, course, _key(item.kind, body, course, settings))


# Tokens: a course told in fewer is told with each item, so that items of many courses go in one pack.
_COURSE_WITH_ITEM = 60


def _lines(labelled: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"{label}: {text}" for label, text in labelled)


def _known_points(item: Item, most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Few enough to be told once for all items of the course, or the nearest ones for this item alone."""
    points = () if item.kind == "interaction" else item.known_points
    return (points, ()) if len(points) <= most else ((), most_relevant(item.text, points, most))


def _listed(points: tuple[str, ...]) -> list[tuple[str, str]]:
    return [("known knowledge points", "; ".join(points))] if points else []


def _course_names(item: Item, settings: AnalyzerSettings) -> list[tuple[str, str]]:
    """Names and descriptions of the item's courses, which may name people too."""
    hide = Redactor(item.people).redact if settings.redaction else str
    return [
        ("course", hide(course.name) + (f" ({hide(course.description)})" if course.description else ""))
        for course in item.courses
        if course.name
    ]


def _key(kind: Kind, body: str, course: str, settings: AnalyzerSettings) -> str:
    parts = [kind, prompts.version_of(kind), settings.model_for(kind), settings.temperature, course, body]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def packs(questions: Sequence[Question], size: int, tokens: int) -> list[list[Question]]:
    """Questions about one course context together, at most `size` and `tokens` (of their texts) in each pack."""
    made: list[list[Question]] = []
    for same_course in _by_course(questions):
        pack: list[Question] = []
        for question in same_course:
            full = len(pack) == size or sum(packed.tokens for packed in pack) + question.tokens > tokens
            if pack and full:
                made.append(pack)
                pack = []
            pack.append(question)
        made.append(pack)
    return made


def _by_course(questions: Sequence[Question]) -> list[list[Question]]:
    grouped: dict[str, list[Question]] = {}
    for question in questions:
        grouped.setdefault(question.course, []).append(question)
    return list(grouped.values())


def item_ids(count: int) -> list[str]:
    return [f"r{number}" for number in range(1, count + 1)]


def messages_of(kind: Kind, pack: Sequence[Question]) -> list[Message]:
    """Instructions first and the same for all (providers cache a common beginning), students' text last, fenced."""
    course = pack[0].course
    fence = _fence([question.body for question in pack])
    shown = [
        f"<{fence} id={json.dumps(item_id)}>\n{question.body}\n</{fence}>"
        for item_id, question in zip(item_ids(len(pack)), pack, strict=True)
    ]
    head = f"{course}\n\n" if course else ""
    asked = f"{head}Items ({len(pack)}), each between <{fence}> marks:\n\n" + "\n".join(shown)
    return [
        {"role": "system", "content": prompts.instructions(prompts.version_of(kind))},
        {"role": "user", "content": asked},
    ]


def _fence(bodies: Sequence[str]) -> str:
    """A mark that no text of the pack holds, so that none can close it and speak as somebody else."""
    digest = hashlib.sha256("\0".join(bodies).encode()).hexdigest()
    marks = ("item", *(f"item-{digest[:length]}" for length in (4, 8, 16, 64)))
    return next(mark for mark in marks if not any(mark in body for body in bodies))


def with_schema(messages: list[Message], kind: Kind) -> list[Message]:
    """For servers that do not take the schema beside the messages."""
    schema = json.dumps(schema_of(kind), ensure_ascii=False, separators=(",", ":"))
    system = {
        **messages[0],
        "content": f"{messages[0]['content']}\nThe JSON must follow this JSON Schema:\n{schema}\n",
    }
    return [system, *messages[1:]]


def repair_of(answer: str, problem: str) -> list[Message]:
    """The one further turn after an answer that does not validate."""
    return [
        {"role": "assistant", "content": answer},
        {"role": "user", "content": f"That answer is not valid: {problem}. Send the corrected JSON object only."},
    ]


def answer_limit(kind: Kind, count: int, settings: AnalyzerSettings) -> int:
    """Tokens that the answer to `count` items may take."""
    each = settings.answer_tokens or ANSWER_TOKENS[kind]
    return each * count + _ENVELOPE_TOKENS + settings.thinking_tokens


def estimated_request(messages: Sequence[Message]) -> int:
    return sum(estimated_tokens(message["content"]) + 4 for message in messages)
