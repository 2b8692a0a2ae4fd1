"""Write coalescing: jobs that come while others are on their way to Redis follow them together, in one round trip.

docs/adr/0014-small-submissions.md has the figures.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from anyio import CapacityLimiter

from edugraph_common.contracts.errors import Retryable
from edugraph_common.platform.job_store import NewJob
from edugraph_gateway.deadlines import in_time

TIMEOUT_SECONDS = 2.0
MAX_JOBS = 100  # in one round trip


class WriteCoalescing:
    """Belongs to one event loop. `create_all` blocks; what it raises is raised to each whose job was among them."""

    def __init__(self, create_all: Callable[[Sequence[NewJob]], object], limiter: CapacityLimiter) -> None:
        self._create_all, self._limiter = create_all, limiter
        self._waiting: list[tuple[NewJob, asyncio.Future[None]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def create(self, job: NewJob) -> None:
        """Return when the job is in Redis. Raises Retryable; the job may come into being all the same."""
        created: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, created))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await created
        except TimeoutError:
            raise Retryable(f"Redis did not take the job within {TIMEOUT_SECONDS:g} s") from None

    async def _send(self) -> None:
        """Send what waits, one round trip after the other, until nothing waits any more."""
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_JOBS], self._waiting[MAX_JOBS:]
            # Whoever gave up meanwhile has withdrawn the job.
            batch = [(job, created) for job, created in batch if not created.done()]
            jobs = [job for job, _ in batch]
            trip = asyncio.create_task(in_time(partial(self._create_all, jobs), TIMEOUT_SECONDS, self._limiter))
            await asyncio.wait([trip])
            failure = trip.exception()
            for _, created in batch:
                if created.done():
                    continue
                if failure is None:
                    created.set_result(None)
                else:
                    created.set_exception(failure)
                    created.exception()  # its task may be gone, and asyncio would warn of an unread error
        self._sender = None
