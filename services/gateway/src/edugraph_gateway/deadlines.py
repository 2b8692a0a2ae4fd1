"""Run blocking work in threads, with a time limit. No `async def` body calls a blocking function.

A thread cannot be stopped. After the limit the caller goes on, and the thread ends by its own time-outs.
"""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio import CapacityLimiter

from edugraph_common.contracts.errors import Retryable

T = TypeVar("T")


async def in_time(work: Callable[[], T], seconds: float, limiter: CapacityLimiter) -> T:
    """Return the result of the work. Raises Retryable after the limit; the work may go on, so it must do no harm."""
    try:
        with anyio.fail_after(seconds):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)
    except TimeoutError:
        raise Retryable(
            f"no answer from the servers behind the gateway within {seconds:g} s"
        ) from None
