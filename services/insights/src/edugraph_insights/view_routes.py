"""/v1/insights/views: the saved views of a caller. No caller sees the views of another.

A view holds the parameters of a question and never its answer. Opening a view asks the question again, with the
permissions of that moment.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field, ValidationError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.saved_views import (
    MAX_STATE_BYTES,
    MOST_VIEWS,
    SavedView,
    ViewState,
)
from edugraph_insights.access import widest_rows
from edugraph_insights.api import CallerDep, InsightsDep, body_as
from edugraph_insights.insights import Insights
from edugraph_insights.own_lists import need_list
from edugraph_insights.problems import problem_responses
from edugraph_insights.queries.registry import QUERIES, GraphQuery
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.questions.question import Question

VIEWS = "/v1/insights/views"
# The kinds of views whose parameters are checked here. The values of a page are checked by the page itself.
ASKED_FOR: Mapping[str, Mapping[str, Question[Any, Any] | GraphQuery]] = {
    "question": QUESTIONS,
    "query": QUERIES,
}

# One line without control characters, and not only spaces.
NAME = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"

router = APIRouter(tags=["views"])
ViewId = Path(pattern=r"^[0-9a-f]{32}$")


class View(ContractModel):
    """A view as a caller sends it: a name and a state. Two views may have the same name."""

    name: str = Field(min_length=1, max_length=80, pattern=NAME)
    state: ViewState


async def sent_view(request: Request, _caller: CallerDep) -> View:
    """Return the view in the body. The body is read after the caller was admitted. Raises Problem 422."""
    return await body_as(View, request)


SentView = Annotated[View, Depends(sent_view)]


class KeptView(View):
    id: str
    links: dict[str, str]


class Views(ContractModel):
    views: tuple[KeptView, ...]
    most: int = Field(description="the largest number of views of one caller")


def _described_body() -> dict[str, Any]:
    """Return the description of the body for the OpenAPI document."""
    schema = View.model_json_schema(ref_template="#/components/schemas/{model}")
    # The document already has the schemas of the parts, since answers have the same parts.
    schema.pop("$defs")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.get(VIEWS, summary="What have I saved?", responses=problem_responses(401, 403, 429, 503))
def list_views(insights: InsightsDep, caller: CallerDep) -> Views:
    """Return all views of this caller, in the order of their names."""
    widest_rows(caller)
    found = insights.views.of(caller.client_id)
    return Views(
        views=tuple(_kept(view_id, view) for view_id, view in found.items()), most=MOST_VIEWS
    )


@router.post(
    VIEWS,
    status_code=201,
    summary="Save a view",
    responses=problem_responses(400, 401, 403, 408, 413, 422, 429, 503),
    openapi_extra=_described_body(),
)
def add_view(view: SentView, insights: InsightsDep, caller: CallerDep) -> KeptView:
    """Save a view. A state may have at most 4 KiB as JSON, and a caller at most 50 views."""
    kept = _to_keep(insights, view, caller)
    view_id = uuid4().hex
    if not insights.views.add(caller.client_id, view_id, kept):
        words = f"You have {MOST_VIEWS} saved views, and there is room for no more; delete one that you do not need."
        raise Problem(422, "too-many", words)
    return _kept(view_id, kept)


@router.put(
    f"{VIEWS}/{{view_id}}",
    summary="Rename a view, or save another state in it",
    responses=problem_responses(400, 401, 403, 404, 408, 413, 422, 429, 503),
    openapi_extra=_described_body(),
)
def replace_view(
    view: SentView, insights: InsightsDep, caller: CallerDep, view_id: str = ViewId
) -> KeptView:
    kept = _to_keep(insights, view, caller)
    if not insights.views.replace(caller.client_id, view_id, kept):
        raise _unknown()
    return _kept(view_id, kept)


@router.delete(
    f"{VIEWS}/{{view_id}}",
    status_code=204,
    response_class=Response,
    summary="Delete a view",
    responses=problem_responses(401, 403, 404, 422, 429, 503),
)
def delete_view(insights: InsightsDep, caller: CallerDep, view_id: str = ViewId) -> None:
    widest_rows(caller)
    if not insights.views.delete(caller.client_id, view_id):
        raise _unknown()


def _to_keep(insights: Insights, view: View, caller: Caller) -> SavedView:
    """Return the view to save. Raises Problem 422, and Refusal 403 without a question or without a listed student."""
    widest_rows(caller)
    state = view.state
    if len(state.model_dump_json().encode()) > MAX_STATE_BYTES:
        words = (
            f"A view's state is at most {MAX_STATE_BYTES:,} bytes as JSON; leave out what is long."
        )
        raise Problem(422, "too-large", words, narrower=words)
    if state.kind == "list":
        need_list(insights, caller, state)
    known = ASKED_FOR.get(state.kind)
    if known:
        if state.name not in known:
            raise Problem(422, "invalid", f"state.name: there is no {state.kind} {state.name}")
        try:
            known[state.name].parameters.model_validate(state.values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, ("state.values", *first["loc"])))
            raise Problem(422, "invalid", f"{place}: {first['msg']}") from error
    return SavedView(name=view.name, state=state, person=caller.person)


def _kept(view_id: str, view: SavedView) -> KeptView:
    return KeptView(
        id=view_id, name=view.name, state=view.state, links={"self": f"{VIEWS}/{view_id}"}
    )


def _unknown() -> Problem:
    return Problem(
        404,
        "not-found",
        "You have no view with this id; it may be deleted. List them: GET /v1/insights/views.",
    )
