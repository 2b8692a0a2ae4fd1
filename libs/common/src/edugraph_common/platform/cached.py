"""Values that are kept for a while, because to look them up takes a server's time."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def cached_for(seconds: float, look: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> Callable[[], T]:
    """Return a function that gives what `look` gave last, and looks again after so many seconds.

    Of several threads one looks, and the others wait for what it finds. What `look` raises is raised and not kept.
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
