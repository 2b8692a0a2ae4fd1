"""/healthz: the process is alive. /readyz: it can take work. Both are open to everybody, and show nothing else."""

from fastapi import APIRouter, Request

from edugraph_common.contracts.api import CallerAnswer
from edugraph_common.runtime.service.problems import Problem
from edugraph_gateway.api.answers import Health, Version
from edugraph_gateway.api.dependencies import AnyCaller, ProbesDep, Reader
from edugraph_gateway.problems import problem_responses

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> Health:
    return Health()


@router.get("/readyz", responses=problem_responses(503))
async def readyz(probes: ProbesDep) -> Health:
    """Return 200 if the gateway can take work. 503 names the missing servers: broker, redis, blobs."""
    missing = await probes.missing()
    if missing:
        detail = f"No answer from: {', '.join(missing)}. Nothing is accepted until it is back."
        raise Problem(503, "not-ready", detail, retry_after=2, missing=missing)
    return Health()


@router.get("/v1/version", responses=problem_responses(401, 403, 429, 503))
async def version(request: Request, _caller: Reader) -> Version:
    return Version(version=request.app.version)


@router.get("/v1/caller", responses=problem_responses(401, 403, 429, 503))
async def who_calls(caller: AnyCaller) -> CallerAnswer:
    """Return the scopes and roles of the key, token or session of this request, and the person whose it is."""
    return CallerAnswer(
        client=caller.client_id, scopes=caller.scopes, roles=caller.roles, person=caller.person
    )
