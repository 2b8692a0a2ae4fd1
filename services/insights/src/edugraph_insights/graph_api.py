"""GET /v1/graph/…: the graph as a whole, for callers with the scopes of access.WHOLE_GRAPH."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from edugraph_common.contracts.api import (
    Check,
    GraphSummary,
    NamedNodes,
    Persons,
    WarehouseRecords,
    WarehouseStudents,
)
from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_fields import Id
from edugraph_common.contracts.reviews import REVIEW
from edugraph_common.runtime.service.described_body import described_body
from edugraph_insights import warehouse, whole_graph
from edugraph_insights.access import need_scopes
from edugraph_insights.api import CallerDep, InsightsDep, Purpose, body_as
from edugraph_insights.problems import problem_responses
from edugraph_insights.small_groups import SMALLEST_GROUP_STUDENTS

router = APIRouter(tags=["graph"], responses=problem_responses(401, 403, 422, 429, 503))


class GraphDigest(ContractModel):
    digest: str = Field(description="64 hex digits; the ledger does not change them")
    links: dict[str, str] = {}


@router.get("/v1/graph/digest")
def graph_digest(caller: CallerDep, insights: InsightsDep) -> GraphDigest:
    """Return one hash of all nodes, relationships and properties. Imports of the same records have the same hash."""
    need_scopes(caller, "digest")
    digest = whole_graph.graph_digest(insights.graph.scan)
    return GraphDigest(digest=digest, links={"self": "/v1/graph/digest"})


@router.get("/v1/graph/summary")
def graph_summary(caller: CallerDep, insights: InsightsDep) -> GraphSummary:
    """Return the numbers of nodes by label and relationships by type, and the points with the most mistakes.

    Without the scope personal, numbers are rounded to 5, and a point is shown only if ten or more students made
    mistakes at it, because a model may name points with words of a student's text.
    """
    need_scopes(caller, "summary")
    at_least = 0 if caller.may("personal") else SMALLEST_GROUP_STUDENTS
    found = whole_graph.summary(insights.graph, at_least)
    if at_least:
        found = whole_graph.rounded_summary(found)
    return found.model_copy(update={"links": {"self": "/v1/graph/summary"}})


@router.get("/v1/graph/persons")
def list_person_ids(
    caller: CallerDep,
    insights: InsightsDep,
    of: Annotated[Id | None, Query(alias="id", description="an id of one person")] = None,
    purpose: Purpose = "",
) -> Persons:
    """Return what person_records claim: the contested ids, and the ids of one person.

    Persons with a restricted id are left out.
    """
    need_scopes(caller, "persons")
    insights.note_shown(caller, "persons", ("student", of or ""), purpose)
    found = whole_graph.persons(insights.graph, of)
    return found.model_copy(update={"links": {"self": "/v1/graph/persons"}})


@router.get(
    "/v1/graph/reviews",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
def list_reviews(
    caller: CallerDep, insights: InsightsDep, purpose: Purpose = ""
) -> StreamingResponse:
    """Return all reviews as lines of JSON, in the form that POST /v1/reviews accepts."""
    need_scopes(caller, "reviews")
    insights.note_shown(caller, "reviews", ("reviews", ""), purpose)

    def lines() -> Iterator[bytes]:
        for value in whole_graph.reviews(insights.graph):
            yield REVIEW.dump_json(REVIEW.validate_python(value)) + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def _as_lines(values: Iterable[dict[str, Any]]) -> StreamingResponse:
    """Return values as lines of JSON, which are sent while they are read."""

    def lines() -> Iterator[bytes]:
        for value in values:
            yield json.dumps(value, ensure_ascii=False).encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.get(
    "/v1/graph/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
def export_graph(
    caller: CallerDep, insights: InsightsDep, purpose: Purpose = ""
) -> StreamingResponse:
    """Return all nodes and relationships as lines of JSON, without restricted students and their records.

    A node has label, id and properties. A relationship has type, from, to and properties, and stands after the node
    where it begins. The last line has the numbers of nodes and relationships. An export without it was cut off.
    """
    need_scopes(caller, "export")
    insights.note_shown(caller, "export", ("export", ""), purpose)

    return _as_lines(whole_graph.export(insights.graph))


@router.get(
    "/v1/graph/warehouse",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
def warehouse_changes(
    caller: CallerDep,
    insights: InsightsDep,
    since: Annotated[
        int | None, Query(ge=0, lt=2**46, description="`latest` of an earlier answer")
    ] = None,
    purpose: Purpose = "",
) -> StreamingResponse:
    """Return the tables of names, all students, and the records that were written lately, as lines of JSON.

    The first line has `latest`, the moment of the last write in milliseconds. With it as `since`, the next answer has
    all records with the word `settled` or a later one. Each other line maps names of tables to rows. The last line
    has the number of rows as `end`; an answer without it was cut off. Without `since` there are no records: ask for
    those of each student. Restricted students and their records are left out, and all texts.
    """
    need_scopes(caller, "warehouse")
    insights.note_shown(caller, "warehouse", ("warehouse", ""), purpose)

    return _as_lines(warehouse.changes(insights.graph, since))


async def asked_students(request: Request, caller: CallerDep) -> WarehouseStudents:
    """Return the students in the body, which is read once the caller is admitted. Raises Refusal 403, Problem 422."""
    need_scopes(caller, "warehouse")
    return await body_as(WarehouseStudents, request)


@router.post(
    "/v1/graph/warehouse",
    responses=problem_responses(400, 401, 403, 408, 413, 422, 429, 503),
    openapi_extra=described_body(WarehouseStudents),
)
def warehouse_records(
    asked: Annotated[WarehouseStudents, Depends(asked_students)],
    caller: CallerDep,
    insights: InsightsDep,
    purpose: Purpose = "",
) -> WarehouseRecords:
    """Return the rows of these students in all tables of records. Restricted students are left out.

    If the records are too many for one answer, it has those of the first students: ask again for the others.
    """
    insights.note_shown(caller, "warehouse", ("warehouse", ""), purpose)
    students, tables = warehouse.records_of(insights.graph, asked.students)
    return WarehouseRecords(students=tuple(students), tables=tables)


async def asked_nodes(request: Request, caller: CallerDep) -> NamedNodes:
    """Return the nodes in the body, which is read once the caller is admitted. Raises Refusal 403, Problem 422."""
    need_scopes(caller, "known")
    return await body_as(NamedNodes, request)


@router.post(
    "/v1/graph/known",
    responses=problem_responses(400, 401, 403, 408, 413, 422, 429, 503),
    openapi_extra=described_body(NamedNodes),
)
def known_nodes(
    asked: Annotated[NamedNodes, Depends(asked_nodes)],
    caller: CallerDep,
    insights: InsightsDep,
    purpose: Purpose = "",
) -> NamedNodes:
    """Return those of these nodes that are in the graph, and the titles that the graph has for the items.

    Restricted students are left out. The body has at most 64 KiB, so send many ids in several requests.
    """
    insights.note_shown(caller, "known", ("known", ""), purpose)
    return whole_graph.known(insights.graph, asked)


@router.get("/v1/graph/check")
def check_graph(caller: CallerDep, insights: InsightsDep) -> Check:
    """Return what is wrong with the graph and what to do, for `edugraph doctor`; 200 even if no graph answers."""
    need_scopes(caller, "check")
    return whole_graph.check(insights.graph)
