"""Records of a running system in our own form: they are sent on, or only counted in a source that is observed."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from anyio import CapacityLimiter

from edugraph_common.contracts.data_sources import DataSource
from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.live_days import day_of_live_job, live_job_id_of_day
from edugraph_common.contracts.records import Record, Withdrawal, parse_row
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.live_counts import LiveCounts
from edugraph_common.sources.rights import check_rights
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.submission.live_records import LiveGatherer, LiveRecords
from edugraph_gateway.submission.live_sources import is_too_old, observed, texts_to_analyse
from edugraph_gateway.submission.rights import MARK_ID, rights_of
from edugraph_gateway.submission.submit import WRITE_TIMEOUT_SECONDS

# Statuses of requests that are refused because of their content or their signature.
REFUSED_STATUSES = frozenset({400, 401, 413, 415, 422})


class ReceivedRecords(NamedTuple):
    """The number of records that the broker has, and the job of their source and day."""

    accepted: int
    job_id: str


@dataclass(frozen=True)
class RecordReceiver:
    """Belongs to one event loop, like its gatherer."""

    live: LiveGatherer
    counts: LiveCounts
    now: Callable[[], datetime]
    threads: CapacityLimiter

    async def receive(
        self,
        caller: Caller,
        name: str,
        source: DataSource | None,
        records: Sequence[dict[str, Any]],
    ) -> ReceivedRecords:
        """Send records on for the source with this name. Return once the broker has confirmed them.

        Raises Retryable, QueueFull and Rejected.
        """
        at = self.now()
        younger = tuple(each for each in records if not is_too_old(source, each.get("timestamp")))
        numbers = Counter(older=len(records) - len(younger))
        job_id = live_job_id_of_day(name, at.astimezone(UTC).date())
        if source is not None and source.live == "observe":
            numbers.update(await self._observed(caller, name, younger, at))
        elif younger:
            texts = texts_to_analyse(source, at)
            job_id = await self.live.send(LiveRecords(caller, name, younger, texts=texts))
            numbers["accepted"] = len(younger)
        await self._count(name, numbers, job_id, at if numbers["accepted"] else None)
        return ReceivedRecords(numbers["accepted"], job_id)

    @asynccontextmanager
    async def noting_refusals(self, name: str) -> AsyncIterator[None]:
        """Count the request at the source with this name if it is refused. The Problem is raised on."""
        try:
            yield
        except Problem as problem:
            if problem.status in REFUSED_STATUSES:
                note = partial(self.counts.add_refusal, name, problem.name, self.now())
                with suppress(Retryable):  # the request is refused anyway
                    await in_time(
                        note,
                        WRITE_TIMEOUT_SECONDS,
                        self.threads,
                    )
            raise

    async def _observed(
        self, caller: Caller, name: str, records: Sequence[dict[str, Any]], at: datetime
    ) -> Counter[str]:
        """Return how many of the records would become which type of record. Raises Retryable."""
        stored = await in_time(
            lambda: self.counts.of(name, at.date()), WRITE_TIMEOUT_SECONDS, self.threads
        )
        rights = rights_of(caller, MARK_ID, name)

        def read(row: Any) -> Record | Withdrawal:
            content = parse_row(row)
            if isinstance(content, Record):
                check_rights(content, rights, MARK_ID)
            return content

        return observed(records, read, stored, at)

    async def _count(
        self,
        name: str,
        numbers: Mapping[str, int],
        job_id: str,
        accepted_at: datetime | None,
    ) -> None:
        day = day_of_live_job(job_id)
        with suppress(Retryable):  # the records are accepted
            await in_time(
                lambda: self.counts.add(name, numbers, day, accepted_at=accepted_at),
                WRITE_TIMEOUT_SECONDS,
                self.threads,
            )
