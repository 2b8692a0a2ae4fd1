"""Values that are cached for a while, because looking them up needs a server."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def cached_for(
    seconds: float, look: Callable[[], T], clock: Callable[[], float] = time.monotonic
) -> Callable[[], T]:
    """Return a function that returns the last result of `look`, and calls `look` again after `seconds`.

    If several threads ask at once, one calls `look` and the others wait. An exception of `look` is raised and not
    cached.
    """
    lock = threading.Lock()
    last: tuple[float, T] | None = None

    def value() -> T:
        nonlocal last
        with lock:
            if last is None or clock() - last[0] >= seconds:
                last = clock(), look()
            return last[1]

    return value
