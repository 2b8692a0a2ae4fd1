"""Answers in the form that EduGraph's prompts ask for, the same for the same text and seed, without any model.

The text is the record's own: what was known of its course changes nothing.
"""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

_ITEM = re.compile(r'<(item[^ >]*) id="(r\d+)"[^>]*>\n(.*?)\n</\1>', re.DOTALL)
# What the graph knew of the course when the question was put: it differs with the order in which files came in.
_ABOUT = ("course: ", "known knowledge points: ")
_LABEL = re.compile(r"\A[a-z ]+: ")


def items_of(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(id, text) of each item in the first user message."""
    user = next(str(message["content"]) for message in messages if message["role"] == "user")
    return [(match[2], match[3]) for match in _ITEM.finditer(user)]


def kind_of(messages: list[dict[str, Any]]) -> str:
    system = str(messages[0]["content"])
    return (
        "error"
        if "diagnose" in system
        else "knowledge_points"
        if "course texts" in system
        else "interaction"
    )


def answer_to(messages: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    kind = kind_of(messages)
    return {"answers": [_ANSWER[kind](item_id, text, seed) for item_id, text in items_of(messages)]}


def _evidence(text: str) -> list[str]:
    line = _LABEL.sub("", _own(text)[0])
    return [line[:40].strip()]


def _choice(text: str, seed: int, *options: Any) -> Any:
    own = "\n".join(_own(text))
    digest = hashlib.sha256(f"{seed}:{own}".encode()).digest()
    return options[digest[0] % len(options)]


def _own(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(_ABOUT)]


def _interaction(item_id: str, text: str, seed: int) -> dict[str, Any]:
    return {
        "id": item_id,
        "sentiment": _choice(text, seed, "positive", "neutral", "negative"),
        # No course has a point with these names, so that they are proposals whatever was read before.
        "topics": [_choice(text, seed + 1, "other: homework", "other: 考试", "other: exams")],
        "evidence": _evidence(text),
        "confidence": 0.9,
    }


def _error(item_id: str, text: str, seed: int) -> dict[str, Any]:
    return {
        "id": item_id,
        "shows_mistake": "yes",
        "evidence": _evidence(text),
        "what_went_wrong": "Keeps the sign of a term that moves to the other side.",
        "error_types": [{"name": _choice(text, seed, "sign error", "计算错误"), "confidence": 0.8}],
        "knowledge_points": [
            {"name": _choice(text, seed, "fractions", "通分"), "strength": 0.7, "confidence": 0.8}
        ],
        "difficulty": "beginner",
        "severity": None,
        "confidence": 0.8,
    }


def _content(item_id: str, text: str, seed: int) -> dict[str, Any]:
    point = {"name": "fractions", "description": None, "category": None, "importance": "core"}
    quote = _evidence(text)[0]
    needed = {"quote": quote, "point": "fractions", "requires": "division", "confidence": 0.6}
    return {
        "id": item_id,
        "knowledge_points": [point, {**point, "name": _choice(text, seed, "slope", "通分")}],
        "prerequisites": [needed],
        "evidence": _evidence(text),
        "confidence": 0.7,
    }


_ANSWER = {"interaction": _interaction, "error": _error, "knowledge_points": _content}


def spoilt(kind: str, answer: dict[str, Any]) -> str:
    """The text of an answer that a model got wrong in the way of this name."""
    entries = answer["answers"]
    ways: dict[str, Callable[[], str]] = {
        "malformed": lambda: _text(answer)[:-1] + ', "and": ',
        "truncated": lambda: _text(answer)[: len(_text(answer)) * 2 // 3],
        "talks": lambda: (
            f"Sure! I read [all] of them.\n\n```json\n{_text(answer)}\n```\nThat is {{all}} I found."
        ),
        "thinks_aloud": lambda: (
            f"First I draft {_with(entries[:1], ['r1'])} …\n</think>\n{_text(answer)}"
        ),
        "prose": lambda: "Sure! Here is my analysis of the items you sent.",
        "wrong_ids": lambda: _with(entries, [entry["id"].replace("r", "x") for entry in entries]),
        "missing_item": lambda: _text({"answers": entries[:-1]}),
        "doubled_item": lambda: _text({"answers": [*entries, entries[0]]}),
        "exchanged": lambda: _with(entries, [entry["id"] for entry in entries][::-1]),
        "more_fields": lambda: _text(
            {"answers": [{**entry, "reasoning": "first", "n": [1]} for entry in entries]}
        ),
        "first_id": lambda: _text({"answers": [_with_first_id(entry) for entry in entries]}),
        "outside_schema": lambda: _text(
            {"answers": [{**entry, "confidence": 9, "do": "this"} for entry in entries]}
        ),
    }
    return ways.get(kind, lambda: _text(answer))()


def _with_first_id(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with the first point that the prompt lists, in place of its own points."""
    points = entry.get("knowledge_points", [])
    return entry | {"knowledge_points": [{**point, "name": "k1"} for point in points[:1]]}


def _with(entries: list[dict[str, Any]], ids: list[str]) -> str:
    return _text(
        {"answers": [{**entry, "id": own} for entry, own in zip(entries, ids, strict=True)]}
    )


def _text(answer: dict[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False)
