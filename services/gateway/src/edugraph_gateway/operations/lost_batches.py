"""Live batches whose message is lost wait no longer. The queue was purged, or a gateway died before it sent them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from edugraph_common.runtime.shared_state.job_store import Jobs
from edugraph_common.runtime.shared_state.live_waiting import LiveWaiting
from edugraph_common.runtime.shared_state.source_registry import SourceRegistry

QUEUE = "live_records"
# A message that left the queue is with a worker, and the longest task takes a quarter of an hour. A message that is
# tried again later than this adds its batches again.
WITH_A_WORKER = timedelta(minutes=20)


@dataclass(frozen=True)
class LostBatches:
    """`held_queues` returns the task queues from which no worker takes messages, with the reason."""

    sources: SourceRegistry
    waiting: LiveWaiting
    jobs: Jobs
    queue_depth: Callable[[str], int]
    held_queues: Callable[[], Mapping[str, str]]
    now: Callable[[], datetime]

    def forget(self) -> int:
        """Forget the batches whose message cannot be in the queue or with a worker. Return their number.

        Those of a source with a message in a delay queue are kept, since the depth of the queue does not count it.
        Several gateways may do this at once. Raises Failure.
        """
        gone_before = self._no_older_message()
        if gone_before is None:
            return 0
        names = [source.name for source in self.sources.all()]
        return self.waiting.forget(names, gone_before - WITH_A_WORKER)

    def _no_older_message(self) -> datetime | None:
        """Return a time such that no message that was published before it is in the queue. None: it is unknown."""
        if QUEUE in self.held_queues():
            # A message that waits for a server is in a delay queue of the broker.
            return None
        asked_at = self.now()
        if not self.queue_depth(QUEUE):
            return asked_at
        return self.jobs.delivered_up_to(QUEUE)
