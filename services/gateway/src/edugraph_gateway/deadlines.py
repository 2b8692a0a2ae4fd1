"""Blocking work runs in threads and is waited for only so long. No `async def` body calls what blocks.

A thread cannot be stopped: when its time is up, the caller goes on and the thread ends by its own time-outs.
"""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio import CapacityLimiter

from edugraph_common.contracts.errors import Retryable

T = TypeVar("T")


async def in_time(work: Callable[[], T], seconds: float, limiter: CapacityLimiter) -> T:
    """Raises Retryable when the time is up. What the work does after that must do no harm."""
    try:
        with anyio.fail_after(seconds):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)
    except TimeoutError:
        raise Retryable(f"no answer from the servers behind the gateway within {seconds:g} s") from None
