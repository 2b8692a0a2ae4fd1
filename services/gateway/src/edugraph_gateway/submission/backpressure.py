"""Backpressure: past a number of waiting messages the gateway takes no more, so that the broker stays healthy."""

import threading
import time
from collections.abc import Callable

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.problems import Problem

LOOK_INTERVAL_SECONDS = 1.0
RETRY_AFTER_SECONDS = 15


class Backpressure:
    """Refuses work for a queue in which more than `max_depth` messages wait.

    `look` gives the number of messages of a queue; it blocks, and raises Retryable. A request never waits for a look:
    it goes by the last one and, when that is old, has the next one made beside it.
    """

    def __init__(
        self,
        look: Callable[[str], int],
        max_depth: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._max_depth = max_depth
        self._clock = clock
        self._looking = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def check(self, queue: str) -> None:
        """Raises Problem 503 when too many messages waited at the last look."""
        when, depth = self._seen.get(queue, (-LOOK_INTERVAL_SECONDS, 0))
        if self._clock() - when >= LOOK_INTERVAL_SECONDS and self._looking.acquire(blocking=False):

            def look_again() -> None:
                try:
                    self._seen[queue] = (self._clock(), self._look(queue))
                except Retryable:
                    # The publisher reports a broker that does not answer; the last depth stays until it is back.
                    self._seen[queue] = (self._clock(), depth)
                finally:
                    self._looking.release()

            threading.Thread(target=look_again, daemon=True).start()
        if depth > self._max_depth:
            words = (
                f"{depth:,} messages wait in {queue}, more than {self._max_depth:,}; "
                "nothing was taken, send it again later."
            )
            raise Problem(503, "pressure", words, retry_after=RETRY_AFTER_SECONDS)
