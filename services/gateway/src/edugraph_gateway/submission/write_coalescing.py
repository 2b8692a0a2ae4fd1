"""Write coalescing: jobs that come while others are on their way to Redis follow them together, in one round trip."""

import asyncio
from collections.abc import Callable, Sequence

from anyio import CapacityLimiter

from edugraph_common.contracts.errors import Retryable
from edugraph_common.platform.job_store import NewJob
from edugraph_gateway.deadlines import in_time

TIMEOUT_SECONDS = 2.0
MAX_JOBS = 100  # in one round trip


class WriteCoalescing:
    """Belongs to one event loop. `create_all` blocks, and raises Retryable."""

    def __init__(self, create_all: Callable[[Sequence[NewJob]], object], limiter: CapacityLimiter) -> None:
        self._create_all, self._limiter = create_all, limiter
        self._gathered: list[NewJob] = []
        self._sending: asyncio.Task[Retryable | None] | None = None

    async def create(self, job: NewJob) -> None:
        """Return when the job is in Redis. Raises Retryable; the job may come into being all the same."""
        if self._sending is None or not 0 < len(self._gathered) < MAX_JOBS:
            self._gathered = []
            self._sending = asyncio.create_task(self._send(self._gathered, after=self._sending))
        self._gathered.append(job)
        sending = self._sending
        done, _ = await asyncio.wait([sending], timeout=TIMEOUT_SECONDS)
        failure = sending.result() if done else Retryable(f"Redis did not take the job within {TIMEOUT_SECONDS:g} s")
        if failure is not None:
            raise Retryable(failure.reason)

    async def _send(self, jobs: list[NewJob], after: "asyncio.Task[Retryable | None] | None") -> Retryable | None:
        """Return the failure instead of raising it, because nobody may be left to hear of it."""
        if after is not None:
            await asyncio.wait([after])
        if self._gathered is jobs:
            self._gathered = []
        try:
            await in_time(lambda: self._create_all(jobs), TIMEOUT_SECONDS, self._limiter)
        except Retryable as error:
            return error
        return None
