"""Running calls in threads, so that what goes wrong in one of them fails the test."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def at_once(calls: Iterable[Callable[[], Result]]) -> list[Result]:
    """Run each call in a thread of its own and return their results; the first error is raised when all have ended."""
    waiting = list(calls)
    with ThreadPoolExecutor(len(waiting)) as threads:
        running = [threads.submit(call) for call in waiting]
    return [each.result() for each in running]


def in_a_thread(call: Callable[[], Result]) -> Result:
    """Run a call to its end in another thread: it has that thread's locks and connections, not the caller's."""
    return at_once([call])[0]
