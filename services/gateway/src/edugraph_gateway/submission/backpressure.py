"""How many messages wait in a queue: past a limit the gateway takes no more, so that the broker stays healthy."""

import threading
import time
from collections.abc import Callable
from typing import Any

from celery import Celery

from edugraph_common.contracts.errors import Retryable
from edugraph_common.messaging.publisher import broker_errors
from edugraph_gateway.problems import Problem

LOOKED = 1.0  # seconds between two looks at a queue
RETRY_AFTER = 15  # seconds


class Depths:
    """Asked by passive declaration, which is exact, unlike the management API's figures of some seconds ago.

    A request never waits for a look: it goes by the last one and, when that is old, has the next one made beside it.
    """

    def __init__(self, look: Callable[[str], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._look, self._clock = look, clock
        self._looking = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def check(self, queue: str, limit: int) -> None:
        """Raises Problem 503 when more than `limit` messages waited at the last look."""
        when, number = self._seen.get(queue, (-LOOKED, 0))
        if self._clock() - when >= LOOKED and self._looking.acquire(blocking=False):
            threading.Thread(target=self._renew, args=(queue, number), daemon=True).start()
        if number > limit:
            words = (
                f"{number:,} messages wait in {queue}, more than {limit:,}; nothing was taken, send it again later."
            )
            raise Problem(503, "pressure", words, retry_after=RETRY_AFTER)

    def _renew(self, queue: str, last: int) -> None:
        try:
            self._seen[queue] = (self._clock(), self._look(queue))
        except Retryable:
            # A broker that does not answer is the publisher's business to report.
            self._seen[queue] = (self._clock(), last)
        finally:
            self._looking.release()


def depth_of(app: Celery) -> Callable[[str], int]:
    """Messages in a queue that are ready; raises Retryable."""

    def look(queue: str) -> int:
        with broker_errors(), app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=0)
            channel: Any = connection.default_channel
            return int(channel.queue_declare(queue, passive=True).message_count)

    return look
