"""Acceptance numbers for requests that come side by side, in one round trip to Redis."""

import asyncio
from collections.abc import Callable
from functools import partial

from anyio import CapacityLimiter

from edugraph_common.contracts.errors import Retryable
from edugraph_gateway.deadlines import in_time

TIMEOUT_SECONDS = 2.0


class AcceptanceLine:
    """Belongs to one event loop. `take_numbers` blocks, and its exceptions are raised to each that waits for it.

    A request that comes while others are asking waits for the next round trip: a number from a round trip that began
    before the request could be smaller than the number of an earlier answer.
    """

    def __init__(self, take_numbers: Callable[[int], range], limiter: CapacityLimiter) -> None:
        self._take_numbers, self._limiter = take_numbers, limiter
        self._waiting: list[asyncio.Future[int]] = []
        self._asking: asyncio.Task[None] | None = None

    async def take(self) -> int:
        """Return the next acceptance number. Raises Retryable."""
        given: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(given)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await given
        except TimeoutError:
            raise Retryable(f"Redis gave no acceptance number within {TIMEOUT_SECONDS:g} s") from None

    async def _ask(self) -> None:
        """Ask for as many numbers as requests wait, until nobody waits any more."""
        while self._waiting:
            asking = [given for given in self._waiting if not given.done()]
            self._waiting = []
            trip = asyncio.create_task(
                in_time(partial(self._take_numbers, len(asking)), TIMEOUT_SECONDS, self._limiter)
            )
            await asyncio.wait([trip])
            failure = trip.exception()
            if failure is None:
                for given, number in zip(asking, trip.result(), strict=True):
                    if not given.done():
                        given.set_result(number)
                continue
            for given in asking:
                if not given.done():
                    given.set_exception(failure)
                    given.exception()  # its task may be gone, and asyncio would warn of an unread error
        self._asking = None
