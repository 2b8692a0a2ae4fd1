"""POST /v1/insights/action-permits: may this caller write an action about a student?

The gateway takes actions and does not know the graph. It takes one only from a caller with a permit (docs/adr/0136).
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_fields import Id
from edugraph_common.runtime.service.described_body import described_body
from edugraph_insights.access import need_to_lead
from edugraph_insights.api import CallerDep, InsightsDep, body_as
from edugraph_insights.problems import problem_responses

router = APIRouter(tags=["actions"])


class WantedPermit(ContractModel):
    """The student and the course of the actions that a caller wants to write."""

    student_id: Id
    course_id: Id


async def wanted_permit(request: Request, _caller: CallerDep) -> WantedPermit:
    """Return the body of the request. It is read after the caller was admitted. Raises Problem 422."""
    return await body_as(WantedPermit, request)


@router.post(
    "/v1/insights/action-permits",
    status_code=204,
    response_class=Response,
    summary="Permit actions about a student",
    responses=problem_responses(400, 401, 403, 408, 413, 422, 429, 503),
    openapi_extra=described_body(WantedPermit),
)
def permit_action(
    wanted: Annotated[WantedPermit, Depends(wanted_permit)],
    insights: InsightsDep,
    caller: CallerDep,
) -> None:
    """Let a teacher who leads the student write actions at the gateway for five minutes (POST /v1/actions)."""
    need_to_lead(insights.graph, caller, wanted.student_id, wanted.course_id, insights.now())
    insights.action_permits.give(caller, wanted.student_id, wanted.course_id)
