"""GET /v1/graph/…: what is in the graph, without writing to it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from edugraph_common.contracts.api import GraphPicture, GraphSummary
from edugraph_gateway.api.answers import GraphDigest
from edugraph_gateway.auth.admission import Reader
from edugraph_gateway.gateway import gateway_of
from edugraph_gateway.problems import problem_responses

router = APIRouter(tags=["graph"], responses=problem_responses(401, 403, 422, 429, 503))


@router.get("/v1/graph/digest")
def graph_digest(request: Request, _caller: Reader) -> GraphDigest:
    """One hash over all nodes, relationships and properties; two imports of the same records give the same."""
    return GraphDigest(digest=gateway_of(request).graph.digest(), links={"self": "/v1/graph/digest"})


@router.get("/v1/graph/summary")
def graph_summary(request: Request, _caller: Reader) -> GraphSummary:
    """Nodes by label, relationships by type, and the knowledge points with the most mistakes."""
    summary = gateway_of(request).graph.summary()
    return summary.model_copy(update={"links": {"self": "/v1/graph/summary"}})


@router.get("/v1/graph/picture")
def graph_picture(
    request: Request, _caller: Reader, limit: Annotated[int, Query(ge=1, le=5_000)] = 500
) -> GraphPicture:
    """Some relationships and their ends, to be drawn."""
    picture = gateway_of(request).graph.picture(limit)
    return picture.model_copy(update={"links": {"self": f"/v1/graph/picture?limit={limit}"}})
