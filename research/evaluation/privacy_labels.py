"""Texts with labelled secrets, and their file format."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edugraph_analyzer.documents import Person

_MARK = re.compile(r"\[\[(\w+)\|(.*?)\]\]")


@dataclass(frozen=True)
class Labelled:
    """A text and its secrets as (start, end, class)."""

    id: str
    language: str
    people: tuple[Person, ...]
    text: str
    secrets: tuple[tuple[int, int, str], ...]


def read_labelled(path: Path) -> list[Labelled]:
    return [_labelled(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _labelled(row: dict[str, Any]) -> Labelled:
    people = [Person("STUDENT", name, is_name=True) for name in row.get("own", ())]
    if "student_id" in row:
        people.append(Person("STUDENT", row["student_id"], is_name=False))
    pieces: list[str] = []
    secrets = []
    last = length = 0
    for mark in _MARK.finditer(row["text"]):
        before = row["text"][last : mark.start()]
        start = length + len(before)
        length = start + len(mark[2])
        pieces += [before, mark[2]]
        secrets.append((start, length, mark[1]))
        last = mark.end()
    text = "".join([*pieces, row["text"][last:]])
    return Labelled(row["id"], row["language"], tuple(people), text, tuple(secrets))
