"""A cache of answers in this process. Answers are kept as JSON, so that no caller can change the answer of another.

A key is a hash of everything that an answer depends on: the question with its parameters, the students, the period,
and the epochs of its courses (docs/adr/0128). When an epoch changes, the older answer is not found anymore. It is
dropped after a minute.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence

from cachetools import TTLCache

KEPT_SECONDS = 60.0


class AnswerCache:
    """A cache of answers that threads may share.

    `epochs` returns the epochs of courses (`CourseEpochs.of`). `max_bytes` limits the JSON of all answers together.
    """

    def __init__(
        self,
        max_bytes: int,
        epochs: Callable[[Sequence[str]], tuple[str | None, ...]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epochs = epochs
        self._max_bytes = max_bytes
        self._answers: TTLCache[bytes, bytes] = TTLCache(
            max_bytes, KEPT_SECONDS, clock, getsizeof=len
        )
        self._lock = threading.Lock()

    def find(self, key: bytes) -> bytes | None:
        """Return the answer with this key, or None."""
        with self._lock:
            return self._answers.get(key)

    def keep(self, key: bytes, answer: bytes) -> None:
        """Keep an answer, unless it alone is larger than the cache may be."""
        if len(answer) <= self._max_bytes:
            with self._lock:
                self._answers[key] = answer


def key_of(*parts: object) -> bytes:
    """Return a hash of values. Different values must differ as JSON, or by `str` if JSON cannot hold them."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).digest()
