"""What an answer says in words, in the language that was asked for.

English is what the questions themselves say; names of records are as records give them. The Chinese of what the page
shows is the page's own (`web/words/zh.json`), that of all else stands beside it in `answers.json`.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

WORDS = Path(__file__).parent / "web" / "words"

Language = Literal["en", "zh"]
Kind = Literal["title", "computed", "count"]


def said(kind: Kind, name: str, english: str, language: Language) -> str:
    """Return a sentence of an answer, in English where it has no other."""
    return english if language == "en" else _chinese().get(f"{kind}.{name}", english)


def heading(question: str, column: str, language: Language) -> str:
    """Return what stands above a column of a question's table; in English it is the name of the field."""
    if language == "en":
        return column
    words = _chinese()
    return words.get(f"column.{question}.{column}") or words.get(f"column.{column}", column)


@cache
def _chinese() -> Mapping[str, str]:
    files = (WORDS / name for name in ("zh.json", "answers.json"))
    return {key: words for file in files for key, words in json.loads(file.read_text("utf-8")).items()}
