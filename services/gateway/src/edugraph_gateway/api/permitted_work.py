"""Work for a model on a body that insights permitted: a draft on records, or a choice for a text."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from fastapi import Request
from pydantic import ValidationError

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.drafts import DraftBasis
from edugraph_common.contracts.wordings import WordsBasis
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.model_permits import permit_of
from edugraph_gateway.api.dependencies import AUDIT_TIMEOUT_SECONDS
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import invalid
from edugraph_gateway.submission.idempotency import Done, idempotent_run, key_name
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.request_body import SMALL_BODY_BYTES, json_body

QUEUE = "llm_analysis"
B = TypeVar("B", DraftBasis, WordsBasis)


@dataclass(frozen=True)
class PermittedWork(Generic[B]):
    """Work that a caller may ask for with a permit.

    Args:
        name: The part of a key of idempotency that is the same for all requests of this kind.
        basis: The contract of the body.
        refusal: The sentence for a caller without a permit.
        send: Publishes the work for a body and its permit.

    """

    name: str
    basis: type[B]
    refusal: str
    send: Callable[[B, str], Awaitable[Accepted]]


async def take(
    request: Request,
    caller: Caller,
    intake: Intake,
    work: PermittedWork[B],
    idempotency_key: str | None,
) -> Accepted:
    """Publish the work that a request asks for, once for each key of idempotency.

    Raises Problem 422 for another body, Refusal 403 without a permit, and Retryable.
    """
    intake.backpressure.check(QUEUE)
    body = await json_body(request, intake.limits, SMALL_BODY_BYTES)
    try:
        basis = work.basis.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None
    fingerprint = hashlib.sha256(body).hexdigest()

    async def first() -> Done:
        # Within `first`, so that a repeated request gets its answer also when the permit has ended.
        permit = await _permit(caller, basis, intake, work.refusal)
        return Done(fingerprint, await work.send(basis, permit))

    async def seen() -> str:
        return fingerprint

    name = key_name(caller.client_id, work.name, idempotency_key) if idempotency_key else None
    return await idempotent_run(intake.idempotency, name, first, seen)


async def _permit(caller: Caller, basis: B, intake: Intake, refusal: str) -> str:
    """Return the permit of a body. Raises Refusal 403 if the caller has none, and Retryable."""
    permit = permit_of(caller, basis)
    is_valid = await in_time(
        partial(intake.model_permits.holds, permit),
        AUDIT_TIMEOUT_SECONDS,
        intake.submitter.threads,
    )
    if not is_valid:
        raise Refusal(403, "rows", refusal, caller.client_id)
    return permit
