"""GET /v1/diagnosis: for `edugraph doctor`."""

from fastapi import APIRouter, Request

from edugraph_common.contracts.api import Diagnosis
from edugraph_gateway.auth.admission import Operator
from edugraph_gateway.gateway import gateway_of
from edugraph_gateway.operations.diagnosis import diagnose
from edugraph_gateway.problems import problem_responses

router = APIRouter(tags=["health"])


@router.get("/v1/diagnosis", responses=problem_responses(401, 403, 429, 503))
def show_diagnosis(request: Request, _caller: Operator) -> Diagnosis:
    """Each server: what is wrong with it, and what to do. 200 even when all is wrong."""
    checks = tuple(diagnose(gateway_of(request)))
    return Diagnosis(ok=all(check.ok for check in checks), checks=checks, links={"self": "/v1/diagnosis"})
