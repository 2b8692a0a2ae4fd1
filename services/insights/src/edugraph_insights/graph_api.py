"""GET /v1/graph/…: what is in the graph as a whole, for who has the scopes (access.WHOLE_GRAPH)."""

import json
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import Field

from edugraph_common.contracts.api import Check, GraphSummary
from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.reviews import REVIEW
from edugraph_insights import whole_graph
from edugraph_insights.access import need_scopes
from edugraph_insights.api import CallerDep, InsightsDep, Purpose
from edugraph_insights.problems import problem_responses
from edugraph_insights.small_groups import SMALLEST_GROUP_STUDENTS

router = APIRouter(tags=["graph"], responses=problem_responses(401, 403, 422, 429, 503))


class GraphDigest(ContractModel):
    digest: str = Field(description="64 hex digits over all nodes, relationships and properties but the ledger")
    links: dict[str, str] = {}


@router.get("/v1/graph/digest")
def graph_digest(caller: CallerDep, insights: InsightsDep) -> GraphDigest:
    """One hash over all nodes, relationships and properties; two imports of the same records give the same."""
    need_scopes(caller, "digest")
    digest = whole_graph.graph_digest(insights.graph.scan)
    return GraphDigest(digest=digest, links={"self": "/v1/graph/digest"})


@router.get("/v1/graph/summary")
def graph_summary(caller: CallerDep, insights: InsightsDep) -> GraphSummary:
    """Nodes by label, relationships by type, and the knowledge points with the most mistakes.

    Without the scope personal counts are rounded to 5, and of points there are only those behind mistakes of ten
    students or more: a model names points by words of the texts.
    """
    need_scopes(caller, "summary")
    at_least = 0 if caller.may("personal") else SMALLEST_GROUP_STUDENTS
    found = whole_graph.summary(insights.graph, at_least)
    if at_least:
        found = whole_graph.rounded_summary(found)
    return found.model_copy(update={"links": {"self": "/v1/graph/summary"}})


@router.get(
    "/v1/graph/reviews",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
def list_reviews(caller: CallerDep, insights: InsightsDep, purpose: Purpose = "") -> StreamingResponse:
    """All reviews, one JSON a line, as they may be sent again (POST /v1/reviews)."""
    need_scopes(caller, "reviews")
    insights.note_shown(caller, "reviews", ("reviews", ""), purpose)

    def lines() -> Iterator[bytes]:
        for value in whole_graph.reviews(insights.graph):
            yield REVIEW.dump_json(REVIEW.validate_python(value)) + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.get(
    "/v1/graph/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
def export_graph(caller: CallerDep, insights: InsightsDep, purpose: Purpose = "") -> StreamingResponse:
    """All nodes and relationships, one JSON a line, without those of who is restricted.

    A node has label, id and properties; a relationship type, from, to and properties, after the node where it begins.
    The last line has the numbers of both: without it the export was cut off.
    """
    need_scopes(caller, "export")
    insights.note_shown(caller, "export", ("export", ""), purpose)

    def lines() -> Iterator[bytes]:
        for value in whole_graph.export(insights.graph):
            yield json.dumps(value, ensure_ascii=False).encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.get("/v1/graph/check")
def check_graph(caller: CallerDep, insights: InsightsDep) -> Check:
    """What is wrong with the graph, and what to do, for `edugraph doctor`. 200 even when it is away."""
    need_scopes(caller, "check")
    return whole_graph.check(insights.graph)
