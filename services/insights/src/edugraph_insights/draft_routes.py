"""POST /v1/insights/draft-permits: on which records may a model write a draft for this caller?

The gateway takes requests for drafts and does not know the graph. It takes one only with the records that a permit
names (docs/adr/0150).
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from edugraph_common.contracts.drafts import DraftBasis
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.runtime.service.problems import Refusal
from edugraph_insights.api import CallerDep, InsightsDep, Purpose, body_as
from edugraph_insights.draft_basis import WantedDraft, basis_of
from edugraph_insights.problems import problem_responses

router = APIRouter(tags=["drafts"])


async def wanted_draft(request: Request, _caller: CallerDep) -> WantedDraft:
    """Return the body of the request. It is read after the caller was admitted. Raises Problem 422."""
    return await body_as(WantedDraft, request)


@router.post(
    "/v1/insights/draft-permits",
    summary="Choose the records of a draft",
    responses=problem_responses(400, 401, 403, 404, 408, 413, 422, 429, 503),
    openapi_extra=described_body(WantedDraft),
)
def permit_draft(
    wanted: Annotated[WantedDraft, Depends(wanted_draft)],
    insights: InsightsDep,
    caller: CallerDep,
    purpose: Purpose = "",
) -> DraftBasis:
    """Return the records on which a draft would be based, and permit the draft for some minutes (POST /v1/drafts).

    Only a teacher who leads the students may ask, with the scope personal. A text is shown only if a model has read
    it before, since only then it is known that there is consent.
    """
    if not caller.may("personal"):
        words = "A draft quotes persons, which needs the scope personal."
        raise Refusal(403, "scope", words, caller.client_id)
    basis = basis_of(insights, caller, wanted)
    about = ("course", wanted.course_id)
    if wanted.student_id is not None:
        about = ("student", wanted.student_id)
    insights.note_shown(caller, "records of a draft", about, purpose)
    insights.model_permits.give(caller, basis)
    return basis
