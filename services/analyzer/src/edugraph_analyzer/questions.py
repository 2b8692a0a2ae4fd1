"""What is sent to a model for some items of one kind, and the key under which an answer is kept."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from edugraph_analyzer import prompts
from edugraph_analyzer.answers import schema_of
from edugraph_analyzer.items import Item
from edugraph_analyzer.prices import estimated_tokens
from edugraph_analyzer.redaction import Redactor
from edugraph_analyzer.relevance import most_relevant
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import Kind

Message = dict[str, str]
# Tokens that one item's answer may take: about twice what good answers take, so that a model that runs on is stopped.
ANSWER_TOKENS: dict[Kind, int] = {"interaction": 256, "error": 512, "knowledge_points": 2_048}
_ENVELOPE_TOKENS = 32


@dataclass(frozen=True)
class Ask:
    """`messages` without the schema; `limit`: tokens that the answer may take.

    `items`: entries of the answer at most; `points`: knowledge points that a course text may have at most.
    """

    kind: Kind
    messages: list[Message]
    limit: int
    items: int
    points: int


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


class Cancelled(Exception):
    """The job was cancelled: no more of it is asked, and no more paid. What was answered before is in the cache."""


@dataclass(frozen=True)
class Question:
    """An item as it leaves: `body` and `course` are redacted. `key` (SHA-256) is the same for the same question.

    `language`: what the model is told to answer in; empty: that of the text.
    """

    item: Item
    redactor: Redactor
    body: str
    course: str
    language: str
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
    about = [*_course_names(item, settings), *_listed(shared)]
    apart = estimated_tokens(_lines(about)) > _COURSE_WITH_ITEM
    # The text comes last: small models quote what they have read last, be it a name of a knowledge point.
    body = _lines([*([] if apart else about), *_listed(own), *sections])
    course = _lines(about) if apart else ""
    language = _language(_lines(sections))
    courses = [hide(each.name) if each.name else each.course_id for each in item.courses]
    return Question(item, redactor, body, course, language, _key(item.kind, courses, sections, settings))


_HAN, _LATIN_WORD = re.compile(r"[\u3400-\u9fff]"), re.compile(r"[a-z]+", re.IGNORECASE)


def _language(text: str) -> str:
    """Chinese is told: small models fall back to the language of the instructions."""
    return "中文" if len(_HAN.findall(text)) > len(_LATIN_WORD.findall(text)) else ""


# Tokens: a course told in fewer is told with each item, so that items of many courses go in one pack.
_COURSE_WITH_ITEM = 60


def _lines(labelled: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"{label}: {text}" for label, text in labelled)


def _known_points(item: Item, most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Few enough to be told once for all items of the course, or the nearest ones for this item alone."""
    points = () if item.kind == "interaction" else _own_language_first(item.known_points, item.text)
    return (points, ()) if len(points) <= most else ((), most_relevant(item.text, points, most))


def _own_language_first(points: Sequence[str], text: str) -> tuple[str, ...]:
    """Small models go on in the language of the first name that they read."""
    chinese = bool(_language(text))
    return tuple(sorted(points, key=lambda point: bool(_HAN.search(point)) != chinese))


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


def _key(kind: Kind, courses: Sequence[str], sections: Sequence[tuple[str, str]], settings: AnalyzerSettings) -> str:
    """What is known of a course is no part of it: that grows with each import, which then would ask all again."""
    about = courses if kind != "interaction" else ()
    parts = [kind, prompts.version_of(kind), settings.model_for(kind), settings.temperature, about, sections]
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


def ask_of(kind: Kind, pack: Sequence[Question], settings: AnalyzerSettings) -> Ask:
    limit = answer_limit(kind, len(pack), settings)
    return Ask(kind, messages_of(kind, pack), limit, len(pack), most_points(pack))


# Estimated tokens of a text, and the most knowledge points it has: a text no longer than an exercise has few.
# Three steps, because a provider prepares each schema that it has not seen.
_POINTS = ((200, 3), (600, 6))
MOST_POINTS = 10


def most_points(pack: Sequence[Question]) -> int:
    """Of the longest text of the pack."""
    longest = max(estimated_tokens(question.item.text) for question in pack)
    return next((points for tokens, points in _POINTS if longest <= tokens), MOST_POINTS)


def messages_of(kind: Kind, pack: Sequence[Question]) -> list[Message]:
    """Instructions first and the same for all (providers cache a common beginning), students' text last, fenced."""
    course = pack[0].course
    fence = _fence([question.body for question in pack])
    shown = [
        f"<{fence} {_marks(item_id, question)}>\n{_as_in_json(question.body)}\n</{fence}>"
        for item_id, question in zip(item_ids(len(pack)), pack, strict=True)
    ]
    head = f"{course}\n\n" if course else ""
    asked = f"{head}Items ({len(pack)}), each between <{fence}> marks:\n\n" + "\n".join([*shown, *_reminder(pack)])
    return [
        {"role": "system", "content": prompts.instructions(prompts.version_of(kind))},
        {"role": "user", "content": asked},
    ]


def _reminder(pack: Sequence[Question]) -> list[str]:
    """Beside a course whose knowledge points have English names, small models forget what the instructions said."""
    told = dict.fromkeys(question.language for question in pack if question.language)
    return [f'\nlanguage="{language}"：名称、主题、说明和类别一律用中文书写。' for language in told]


def _marks(item_id: str, question: Question) -> str:
    return f'id="{item_id}"' + (f' language="{question.language}"' if question.language else "")


def _as_in_json(body: str) -> str:
    """With the backslashes of formulas doubled, so that a passage copied as it stands is right within JSON."""
    return body.replace("\\", "\\\\")


def _fence(bodies: Sequence[str]) -> str:
    """A mark that no text of the pack holds, so that none can close it and speak as somebody else."""
    digest = hashlib.sha256("\0".join(bodies).encode()).hexdigest()
    marks = ("item", *(f"item-{digest[:length]}" for length in (4, 8, 16, 64)))
    return next(mark for mark in marks if not any(mark in body for body in bodies))


def with_schema(ask: Ask) -> list[Message]:
    """For servers that do not take the schema beside the messages."""
    schema = json.dumps(schema_of(ask.kind, ask.items, ask.points), ensure_ascii=False, separators=(",", ":"))
    first, *others = ask.messages
    system = {**first, "content": f"{first['content']}\nThe JSON must follow this JSON Schema:\n{schema}\n"}
    return [system, *others]


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
