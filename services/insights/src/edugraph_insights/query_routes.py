"""GET /v1/graph/…: the general queries, each with its own parameters. No address takes a database statement."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from edugraph_insights.api import CallerDep, InsightsDep, Purpose
from edugraph_insights.problems import problem_responses
from edugraph_insights.queries.registry import QUERIES, GraphQuery, run_query

router = APIRouter()


def add_query(query: GraphQuery) -> None:
    """Add the route of a query, with its parameters and the schema of its answer."""

    def answer(
        asked: Annotated[query.parameters, Query()],  # type: ignore[name-defined]
        insights: InsightsDep,
        caller: CallerDep,
        purpose: Purpose = "",
    ) -> Any:
        return run_query(insights, caller, query, asked, purpose)

    router.add_api_route(
        f"/v1/graph/{query.name}",
        answer,
        name=query.name,
        tags=["graph"],
        summary=query.title,
        response_model=query.answer,
        responses=problem_responses(401, 403, 404, 422, 429, 503),
    )


for _query in QUERIES.values():
    add_query(_query)
