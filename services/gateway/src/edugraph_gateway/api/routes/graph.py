"""GET /v1/graph/…: what is in the graph, without writing to it."""

from typing import Annotated

from fastapi import APIRouter, Query

from edugraph_common.contracts.api import GraphPicture, GraphSummary
from edugraph_gateway.api.answers import GraphDigest
from edugraph_gateway.api.dependencies import GraphDep, Reader
from edugraph_gateway.problems import problem_responses

router = APIRouter(tags=["graph"], responses=problem_responses(401, 403, 422, 429, 503))


@router.get("/v1/graph/digest")
def graph_digest(_caller: Reader, graph: GraphDep) -> GraphDigest:
    """One hash over all nodes, relationships and properties; two imports of the same records give the same."""
    return GraphDigest(digest=graph.digest(), links={"self": "/v1/graph/digest"})


@router.get("/v1/graph/summary")
def graph_summary(_caller: Reader, graph: GraphDep) -> GraphSummary:
    """Nodes by label, relationships by type, and the knowledge points with the most mistakes."""
    return graph.summary().model_copy(update={"links": {"self": "/v1/graph/summary"}})


@router.get("/v1/graph/picture")
def graph_picture(
    _caller: Reader, graph: GraphDep, limit: Annotated[int, Query(ge=1, le=5_000)] = 500
) -> GraphPicture:
    """Some relationships and their ends, to be drawn."""
    return graph.picture(limit).model_copy(update={"links": {"self": f"/v1/graph/picture?limit={limit}"}})
