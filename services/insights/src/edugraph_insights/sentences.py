"""The words of an answer in the language of the request.

The English words stand in the questions themselves. Names in records are never translated. The Chinese words that the
page shows too stand in `web/words/zh.json`, the others beside it in `answers.json`.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

WORDS = Path(__file__).parent / "web" / "words"

Language = Literal["en", "zh"]
Kind = Literal["title", "computed", "count", "protection"]


def said(kind: Kind, name: str, english: str, language: Language) -> str:
    """Return a sentence of an answer in a language, or in English if it has no translation."""
    if language == "en":
        return english
    return _chinese().get(f"{kind}.{name}", english)


def heading(question: str, column: str, language: Language) -> str:
    """Return the heading of a column in the table of a question. In English it is the name of the field."""
    if language == "en":
        return column
    words = _chinese()
    return words.get(f"column.{question}.{column}") or words.get(f"column.{column}", column)


@cache
def _chinese() -> Mapping[str, str]:
    words: dict[str, str] = {}
    for name in ("zh.json", "answers.json"):
        words |= json.loads((WORDS / name).read_text("utf-8"))
    return words
