"""Streams of Server-Sent Events: the limit for each client, and their end."""

from collections import Counter
from collections.abc import AsyncIterator, Callable

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from edugraph_common.runtime.service.problems import Problem

RETRY_AFTER_SECONDS = 30


class EventStreams:
    """Counts the open streams of each client in this process. It must be used in one event loop."""

    def __init__(self, max_for_client: int) -> None:
        self._max_for_client = max_for_client
        self._open: Counter[str] = Counter()

    def take(self, client_id: str) -> Callable[[], None]:
        """Take a place, and return the function that gives it back. Raises Problem 429."""
        if self._open[client_id] >= self._max_for_client:
            words = f"This client follows {self._max_for_client} jobs already; end a stream, or ask for jobs in turn."
            raise Problem(429, "streams", words, retry_after=RETRY_AFTER_SECONDS)
        self._open[client_id] += 1

        def give_back() -> None:
            self._open[client_id] -= 1
            if not self._open[client_id]:
                del self._open[client_id]

        return give_back


class EventStream(StreamingResponse):
    """A stream that gives its place back at any end, also if the client leaves before the first event."""

    def __init__(self, events: AsyncIterator[str], give_back: Callable[[], None]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._give_back = give_back

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._give_back()
