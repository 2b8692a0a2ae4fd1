"""Waiting in tests: for what becomes true, and for what must stay true."""

import time
from collections.abc import Callable
from typing import Any

import pytest

# The limits are those of a quiet machine. On a slow machine and beside other programs, the same work takes up to five times
# as long.
BESIDE_OTHERS = 5


def until(true: Callable[[], Any], seconds: float = 20, every: float = 0.05) -> Any:
    """Return what `true` answers as soon as that is true; fail when it stays false.

    `seconds` is the limit on a quiet machine. The test fails after five times this time.
    """
    limit = BESIDE_OTHERS * seconds
    end = time.monotonic() + limit
    while not (answer := true()):
        if time.monotonic() > end:
            pytest.fail(f"not within {limit:.0f} s: {getattr(true, '__doc__', None) or true}")
        time.sleep(every)
    return answer


def stays(true: Callable[[], Any], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not true():
            return False
        time.sleep(0.1)
    return True
