"""POST /v1/reviews and /v1/reviews/proposals: people's decisions about the graph, and pairs to decide about.

The importer stores the reviews. The last review of a subject counts.
"""

import hashlib
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, ValidationError

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import ProposeSame, WriteReviews
from edugraph_common.contracts.records import iso
from edugraph_common.contracts.reviews import REVIEW, REVIEWS_AT_ONCE, Review
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.api.dependencies import (
    AUDIT_TIMEOUT_SECONDS,
    AuditTrailDep,
    IntakeDep,
    Reviewer,
)
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import invalid, problem_responses
from edugraph_gateway.submission.idempotency import Done, IdempotencyKey, idempotent_run, key_name
from edugraph_gateway.submission.request_body import json_body
from edugraph_gateway.submission.submit import Task

router = APIRouter(tags=["reviews"])
# The later review decides, so nobody may date a review ahead. Clocks may differ by this much.
MOST_AHEAD = timedelta(minutes=5)


class ReviewsRequest(ContractModel):
    reviews: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=REVIEWS_AT_ONCE)]


@router.post(
    "/v1/reviews",
    status_code=202,
    responses=problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=described_body(ReviewsRequest),
)
async def write_reviews(
    request: Request,
    caller: Reviewer,
    trail: AuditTrailDep,
    intake: IntakeDep,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Take reviews of findings. If one of them is wrong, none is taken.

    A review without `at` and `by` gets the current time and the caller. Another `by` needs the scope `operate`, and
    is for reviews that were exported and are sent again.
    """
    submitter = intake.submitter
    body = await json_body(request, intake.limits)
    reviews = parse_reviews(body, caller, submitter.now())
    fingerprint = hashlib.sha256(body).hexdigest()

    async def first() -> Done:
        message = WriteReviews(job_id=submitter.new_id(), reviews=tuple(reviews))
        task = Task("write_reviews_task", message, task_id_for(message.job_id, "reviews"))
        note = partial(trail.did, caller, "graph.review", f"{len(reviews)} reviews")
        await in_time(note, AUDIT_TIMEOUT_SECONDS, submitter.threads)
        return Done(fingerprint, await submitter.send_task(task, caller.client_id))

    async def seen() -> str:
        return fingerprint

    name = key_name(caller.client_id, "reviews", idempotency_key) if idempotency_key else None
    return await idempotent_run(intake.idempotency, name, first, seen)


@router.post(
    "/v1/reviews/proposals", status_code=202, responses=problem_responses(401, 403, 429, 503)
)
async def propose_pairs(caller: Reviewer, intake: IntakeDep) -> Accepted:
    """Compare the names of knowledge points now, as an import with new points does at its end.

    A little later the question `review-points` shows the points that may mean the same.
    """
    message = ProposeSame(job_id=intake.submitter.new_id())
    task = Task("propose_same_task", message, task_id_for(message.job_id, "propose"))
    return await intake.submitter.send_task(task, caller.client_id)


def parse_reviews(body: bytes, caller: Caller, now: datetime) -> list[Review]:
    """Return the reviews of a body. Raises Problem 422, which lists the wrong reviews."""
    try:
        values = ReviewsRequest.model_validate_json(body).reviews
    except ValidationError as error:
        raise invalid(error) from None
    reviews: list[Review] = []
    wrong: list[dict[str, Any]] = []
    for index, value in enumerate(values):
        try:
            review = REVIEW.validate_python({"at": iso(now), "by": caller.client_id} | value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"][1:]))
            wrong.append({"review": index, "field": field, "reason": first["msg"]})
            continue
        if review.at > now + MOST_AHEAD:
            wrong.append({"review": index, "field": "at", "reason": "is in the future"})
        if review.by != caller.client_id and not caller.may("operate"):
            wrong.append(
                {
                    "review": index,
                    "field": "by",
                    "reason": "is somebody else; that needs the scope operate",
                }
            )
        reviews.append(review)
    if wrong:
        few = f"{len(wrong)} of {len(values)} reviews cannot be taken; correct them and send all again."
        raise Problem(422, "invalid-reviews", few, errors=wrong)
    return reviews
