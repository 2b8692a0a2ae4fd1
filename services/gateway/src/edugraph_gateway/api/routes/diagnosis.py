"""GET /v1/diagnosis: for `edugraph doctor`."""

from fastapi import APIRouter

from edugraph_common.contracts.api import Diagnosis
from edugraph_gateway.api.dependencies import DiagnoseDep, Operator
from edugraph_gateway.problems import problem_responses

router = APIRouter(tags=["health"])


@router.get("/v1/diagnosis", responses=problem_responses(401, 403, 429, 503))
def show_diagnosis(_caller: Operator, diagnose: DiagnoseDep) -> Diagnosis:
    """Return the problems of each server, and what to do about them. The status is 200 even if all checks fail."""
    checks = tuple(diagnose())
    return Diagnosis(
        ok=all(check.ok for check in checks), checks=checks, links={"self": "/v1/diagnosis"}
    )
