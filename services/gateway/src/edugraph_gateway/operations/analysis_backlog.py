"""The number of records that are still to be analysed, for /metrics. The queue has only a window of each job."""

import time
from collections.abc import Callable, Iterable

from prometheus_client import Metric
from prometheus_client.registry import Collector

from edugraph_common.contracts.errors import Failure
from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.service.cached import cached_for

# Reading the number takes long, because it reads each job of two weeks.
LOOK_INTERVAL_SECONDS = 30.0


class AnalysisBacklog(Collector):
    """`count` returns the number of records. If it raises Failure, the figure is missing until the next look."""

    def __init__(
        self, count: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._families = cached_for(LOOK_INTERVAL_SECONDS, self._read, clock)

    def collect(self) -> Iterable[Metric]:
        return self._families()

    def _read(self) -> list[Metric]:
        waiting = metrics.ANALYSIS_WAITING.family()
        try:
            waiting.add_metric([], self._count())
        except Failure:
            return []
        return [waiting]
