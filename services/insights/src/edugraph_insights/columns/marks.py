"""Marks of answers: numbers by which equal answers are found without keeping their texts in the memory."""

from collections.abc import Sequence
from hashlib import blake2b
from secrets import token_bytes
from typing import Any

import numpy as np

# An attempt without an answer, and one with an answer that is too long to be read with all attempts. The text of a
# long answer is read from the graph when a question needs it.
NO_ANSWER = 0
LONG_ANSWER = 1
_MARK_BYTES = 8


class Marks:
    """Marks with a secret of this process, so that nobody can look for a text by its mark, or make two equal marks.

    Answers are compared without the spaces at their ends.
    """

    def __init__(self) -> None:
        self._key = token_bytes(32)

    def of_text(self, text: str) -> int:
        """Return the mark of one answer, which may be long."""
        stripped = text.strip()
        if not stripped:
            return NO_ANSWER
        digest = blake2b(stripped.encode(), digest_size=_MARK_BYTES, key=self._key).digest()
        # The two last bits are set, so that no mark is that of a missing or of a long answer.
        return int.from_bytes(digest, "big", signed=True) | 3

    def of(self, texts: Sequence[str], are_long: Sequence[bool]) -> Any:
        """Return a column with the marks of answers. The texts of long answers are not looked at."""
        known: dict[str, int] = {}
        for text in set(texts):
            known[text] = self.of_text(text)
        marks = np.array([known[text] for text in texts], dtype=np.int64)
        marks[np.array(are_long, dtype=np.bool_)] = LONG_ANSWER
        return marks
