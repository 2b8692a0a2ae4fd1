"""The parts that the routes for new work share."""

from dataclasses import dataclass

from anyio import CapacityLimiter

from edugraph_common.contracts.data_sources import DataSource
from edugraph_common.contracts.messages import Format
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.runtime.shared_state.acceptance import AcceptanceNumbers
from edugraph_common.runtime.shared_state.action_permits import ActionPermits
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_common.runtime.shared_state.model_permits import ModelPermits
from edugraph_common.runtime.shared_state.source_registry import (
    NotOwnSource,
    SeveralSources,
    SourceRegistry,
    WrongFormat,
)
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import not_found_for
from edugraph_gateway.submission.backpressure import Backpressure
from edugraph_gateway.submission.idempotency import IdempotencyStore
from edugraph_gateway.submission.live_sources import refuse_paused
from edugraph_gateway.submission.request_body import BodyLimits
from edugraph_gateway.submission.submit import WRITE_TIMEOUT_SECONDS, JobSubmitter
from edugraph_gateway.submission.uploads import UploadSlots


@dataclass(frozen=True)
class Intake:
    """The parts that take new work in.

    `preview_slots` limits the previews that run at the same time. `unproven_slots` limits the signed bodies that are
    read at the same time, since anybody can send one.
    """

    backpressure: Backpressure
    acceptance_numbers: AcceptanceNumbers
    idempotency: IdempotencyStore
    submitter: JobSubmitter
    upload_slots: UploadSlots
    limits: BodyLimits
    preview_slots: CapacityLimiter
    unproven_slots: CapacityLimiter
    sources: SourceRegistry
    action_permits: ActionPermits
    model_permits: ModelPermits

    async def next_acceptance_number(self) -> int:
        """Return the number that decides between two contents of one record with equal times. Raises Retryable."""
        return await in_time(
            self.acceptance_numbers.take, WRITE_TIMEOUT_SECONDS, self.submitter.threads
        )

    async def use_source(
        self,
        caller: Caller,
        named: str | None,
        file_format: Format | None = None,
        *,
        is_live: bool = False,
        is_signed: bool = False,
    ) -> DataSource | None:
        """Return the source of new work, and note that it is in use. None means the default source.

        An import has a `file_format`, which the source must take. A source that is paused or observed is not in use
        by what `is_live`. With `is_signed` the caller is the sender of this source, and needs no key that writes it.

        Raises Refusal 422 for a source that is not the caller's, Problem 422, Retryable.
        """
        try:
            return await in_time(
                lambda: self.sources.use(
                    caller.client_id,
                    named,
                    file_format,
                    may_any=is_signed or caller is ANYBODY,
                    is_live=is_live,
                ),
                WRITE_TIMEOUT_SECONDS,
                self.submitter.threads,
            )
        except NotOwnSource:
            words = f"Your key writes no source {named}; see: edugraph sources list"
            raise Refusal(422, "source", words, caller.client_id) from None
        except SeveralSources as several:
            words = f"Your key writes several sources: name one of {several}."
            raise Problem(422, "source", words) from None
        except WrongFormat as wrong:
            raise Problem(422, "source", str(wrong)) from None

    async def use_live_source(
        self, caller: Caller, name: str, file_format: Format, *, is_signed: bool = False
    ) -> DataSource | None:
        """Return the source with this name for rows that come live, and note that it is in use.

        With `is_signed` the caller is its sender.

        Raises Refusal 404 for a source that is not the caller's, Problem 422, Problem 503 if it is paused, Retryable.
        """
        try:
            source = await self.use_source(
                caller, name, file_format, is_live=True, is_signed=is_signed
            )
        except Refusal:
            raise not_found_for(caller.client_id, "source", name) from None
        refuse_paused(source)
        return source
