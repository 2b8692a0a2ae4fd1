"""GET /v1/insights/choices: the courses, groups, terms and lists that a caller may ask about."""

from fastapi import APIRouter

from edugraph_insights.api import CallerDep, InsightsDep
from edugraph_insights.available import Choices, available, lists_of
from edugraph_insights.problems import problem_responses

router = APIRouter()


@router.get(
    "/v1/insights/choices",
    tags=["insights"],
    summary="About which courses, groups and terms may this caller ask?",
    responses=problem_responses(401, 403, 429, 503),
)
def choices(insights: InsightsDep, caller: CallerDep) -> Choices:
    """Return the courses, groups, terms and own lists that the caller may ask about, at most 2,000 of each."""
    return available(insights, caller, lists_of(insights, caller))
