"""Answers that are kept for a short while in this process, as JSON, so that no caller can change another's.

A key is a hash of all that an answer depends on: the question with its parameters, of whom and of which time it is,
and the epochs of its courses (docs/adr/0064). What is not under the key of now is never found again, and goes after
a minute.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence

from cachetools import TTLCache

KEPT_SECONDS = 60.0


class AnswerCache:
    """Threads may share it. `epochs` gives those of courses (`AnswerEpochs.of`); `max_bytes` bounds the JSON of all
    answers together.
    """

    def __init__(
        self,
        max_bytes: int,
        epochs: Callable[[Sequence[str]], tuple[str | None, ...]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epochs = epochs
        self._max_bytes = max_bytes
        self._answers: TTLCache[bytes, bytes] = TTLCache(max_bytes, KEPT_SECONDS, clock, getsizeof=len)
        self._lock = threading.Lock()

    def find(self, key: bytes) -> bytes | None:
        with self._lock:
            return self._answers.get(key)

    def keep(self, key: bytes, answer: bytes) -> None:
        """Keep an answer, unless it alone is larger than all may be."""
        if len(answer) <= self._max_bytes:
            with self._lock:
                self._answers[key] = answer


def key_of(*parts: object) -> bytes:
    """Return a hash of values that JSON or `str` tells apart."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).digest()
