"""Live records: the gateway gathers what arrives within a moment into one message, and answers after its confirm.

A message of the broker and a transaction of the graph cost the same for one record as for fifty. So all requests of a
moment, of all sources, share a message (docs/adr/0116-live-records-are-gathered.md).

The number of waiting messages has no limit, since a gateway makes a few each second whatever comes. The bytes of the
queue have one, and the broker refuses what is beyond it.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from anyio import CapacityLimiter

from edugraph_common.contracts.errors import Failure, QueueFull, Retryable
from edugraph_common.contracts.live_days import live_job_id
from edugraph_common.contracts.messages import (
    INLINE_BYTES,
    INLINE_RECORDS,
    LiveBatch,
    LivePart,
    LiveTexts,
)
from edugraph_common.runtime.messaging.packed_rows import pack_rows
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.shared_state.acceptance import AcceptanceNumbers
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.live_waiting import LiveWaiting, WaitingBatch
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.submission.publisher import Publisher
from edugraph_gateway.submission.rights import rights_of
from edugraph_gateway.submission.submit import WRITE_TIMEOUT_SECONDS, deadline_of_job

TASK = "import_live_task"
GATHERED_SECONDS = 0.25
# Records of one message. A request that is larger than these limits has a message of its own.
MOST_RECORDS = INLINE_RECORDS
MOST_BYTES = INLINE_BYTES
TOO_MUCH_WAITS = "more records wait for the broker than one gateway holds"
# Records that wait for a confirm in one gateway. A broker that does not answer for seconds must not fill its memory.
MOST_WAITING_BYTES = 32 * INLINE_BYTES


@dataclass(frozen=True)
class LiveRecords:
    """The records of one request. `source` is the name of their source.

    With `are_statements` they are rows of xAPI statements (`sources.live_statements`). `texts` says how many of their
    texts are analysed.
    """

    caller: Caller
    source: str
    records: Sequence[dict[str, Any]]
    are_statements: bool = False
    texts: LiveTexts | None = None

    @property
    def sender(self) -> "Sender":
        """The facts that all records of a part have in common."""
        return Sender(self.source, self.caller, self.are_statements, self.texts)


class Sender(NamedTuple):
    """The source, the caller, the kind of records, and how many of their texts are analysed."""

    source: str
    caller: Caller
    are_statements: bool
    texts: LiveTexts | None


@dataclass
class _Waiting:
    """Requests that share a message, and the sums of their records and bytes.

    `sent` gets the job of each sender when the broker has confirmed the message.
    """

    requests: list[LiveRecords] = field(default_factory=list)
    records: int = 0
    bytes: int = 0
    sent: "asyncio.Future[dict[Sender, str]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class LiveGatherer:
    """Belongs to one event loop."""

    def __init__(
        self,
        acceptance_numbers: AcceptanceNumbers,
        waiting: LiveWaiting,
        publisher: Publisher,
        now: Callable[[], datetime],
        threads: CapacityLimiter,
        *,
        platform_prefixes: Mapping[str, str],
    ) -> None:
        self._platforms = dict(platform_prefixes)
        self._acceptance_numbers = acceptance_numbers
        self._waiting_batches = waiting
        self._publisher = publisher
        self._now = now
        self._threads = threads
        self._open: _Waiting | None = None
        self._waiting_bytes = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def send(self, request: LiveRecords) -> str:
        """Return the job of the records when the broker has them.

        Raises Retryable, QueueFull, and Rejected for records that do not fit into a message. Then no request of the
        same message was accepted.
        """
        # The size in the message counts, since the message writes letters and numbers longer than some bodies do.
        size = len(json.dumps(request.records))
        if self._waiting_bytes and self._waiting_bytes + size > MOST_WAITING_BYTES:
            raise QueueFull(TOO_MUCH_WAITS)
        waiting = self._place_for(request, size)
        waiting.requests.append(request)
        waiting.records += len(request.records)
        waiting.bytes += size
        self._waiting_bytes += size
        try:
            is_full = waiting.records >= MOST_RECORDS or waiting.bytes >= MOST_BYTES
            if is_full:
                self._close(waiting)
            # The message has the records of other requests, too. It is sent even if this client goes away.
            job_ids = await asyncio.shield(waiting.sent)
        finally:
            self._waiting_bytes -= size
        return job_ids[request.sender]

    def _place_for(self, request: LiveRecords, size: int) -> _Waiting:
        """Return the requests that this one joins. The first one waits for others for a moment."""
        waiting = self._open
        if waiting is not None:
            has_room = (
                waiting.records + len(request.records) <= MOST_RECORDS
                and waiting.bytes + size <= MOST_BYTES
            )
            if has_room:
                return waiting
            self._close(waiting)
        waiting = _Waiting()
        self._open = waiting
        asyncio.get_running_loop().call_later(GATHERED_SECONDS, self._close, waiting)
        return waiting

    def _close(self, waiting: _Waiting) -> None:
        """Send the message of these requests, unless it is being sent already."""
        if self._open is not waiting:
            return
        self._open = None
        task = asyncio.get_running_loop().create_task(self._publish(waiting))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _publish(self, waiting: _Waiting) -> None:
        try:
            job_ids = await self._confirmed(waiting.requests)
        except Failure as failure:
            waiting.sent.set_exception(failure)
        else:
            waiting.sent.set_result(job_ids)
        finally:
            if not waiting.sent.done():  # a bug, or the gateway is being stopped
                waiting.sent.set_exception(Retryable("the records could not be sent"))
            # All clients may be gone, and asyncio would warn of an error that nobody read.
            waiting.sent.exception()

    async def _confirmed(self, requests: Sequence[LiveRecords]) -> dict[Sender, str]:
        """Publish the message of these requests. Return the job of each part when the broker has confirmed it."""
        records: dict[Sender, list[dict[str, Any]]] = {}
        for request in requests:
            records.setdefault(request.sender, []).extend(request.records)
        batches = await in_time(
            lambda: self._begin(list(records)), WRITE_TIMEOUT_SECONDS, self._threads
        )
        parts = []
        job_ids = {}
        for batch, (sender, sent) in zip(batches, records.items(), strict=True):
            acceptance = batch.acceptance
            job_id = live_job_id(sender.source, acceptance)
            job_ids[sender] = job_id
            part = LivePart(
                acceptance=acceptance,
                rights=rights_of(sender.caller, job_id, sender.source),
                packed=pack_rows(sent),
                platforms=self._platforms if sender.are_statements else None,
                texts=sender.texts,
            )
            parts.append(part)
        now = self._now()
        first = batches[0]
        message = LiveBatch(
            job_id=live_job_id(first.source, first.acceptance),
            parts=tuple(parts),
            accepted_at=now.timestamp(),
            deadline=deadline_of_job(now),
        )
        task_id = task_id_for(message.job_id, f"live-{first.acceptance}")
        try:
            await self._publisher.send(TASK, message, task_id=task_id)
        except Failure:
            # If the broker has the message all the same, the importer adds its batches again.
            with suppress(Retryable):
                await in_time(
                    lambda: self._waiting_batches.remove(batches),
                    WRITE_TIMEOUT_SECONDS,
                    self._threads,
                )
            raise
        return job_ids

    def _begin(self, senders: Sequence[Sender]) -> list[WaitingBatch]:
        """Return a batch for each sender, with its acceptance number. Raises Retryable.

        The batches wait from before they are sent, because an importer may write them before the confirm comes.
        """
        first_number = self._acceptance_numbers.take(len(senders))
        batches = []
        for acceptance, sender in enumerate(senders, start=first_number):
            batches.append(WaitingBatch(sender.source, acceptance))
        self._waiting_batches.add(batches)
        return batches
