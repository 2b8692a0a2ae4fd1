"""GET /v1/insights/…: the questions, each with its own parameters and rows. /healthz and /readyz are open to all."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.platform.callers import ANYBODY, Caller
from edugraph_common.platform.problems import Problem
from edugraph_common.platform.sessions import token_sent
from edugraph_insights.access import EVERY_QUESTION, RULES
from edugraph_insights.answers import Answer
from edugraph_insights.asking import ask
from edugraph_insights.exports import PARQUET, as_csv, as_parquet
from edugraph_insights.insights import Insights
from edugraph_insights.problems import problem_responses
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.questions.question import Question
from edugraph_insights.sentences import heading

router = APIRouter()
bearer = HTTPBearer(auto_error=False, description="An API key with a role (edugraph keys create), or an access token")


def insights_of(request: Request) -> Insights:
    insights: Insights = request.app.state.insights
    return insights


def admitted(
    request: Request, _described: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Caller:
    """Return who calls; FastAPI runs this in a thread, since it may ask Redis.

    The parameter of `bearer` is for the OpenAPI document alone. Raises Refusal 401, or 403 for a session that would
    change something without its CSRF token.
    """
    return insights_of(request).admit(token_sent(request.method, request.headers, request.cookies))


InsightsDep = Annotated[Insights, Depends(insights_of)]
CallerDep = Annotated[Caller, Depends(admitted)]
Purpose = Annotated[
    str,
    Header(
        alias="X-Purpose",
        max_length=200,
        pattern=r"^[\x20-\x7e]*$",
        description="why personal data is read, for the audit log; other letters than ASCII as %E7%94%A8",
    ),
]


class Health(ContractModel):
    status: str = "ok"


class Described(ContractModel):
    """One question: where it is asked, with which parameters, and by which roles."""

    name: str
    title: str
    computed_by: str
    parameters: tuple[str, ...]
    columns: tuple[str, ...]
    roles: tuple[str, ...]
    links: dict[str, str]


class Catalogue(ContractModel):
    questions: tuple[Described, ...]


@router.get("/healthz", tags=["health"])
def healthz() -> Health:
    return Health()


@router.get("/readyz", tags=["health"], responses=problem_responses(503))
def readyz(insights: InsightsDep) -> Health:
    """503 names what is missing: graph, redis."""
    if missing := insights.missing():
        words = f"No answer from: {', '.join(missing)}. Nothing is answered until it is back."
        raise Problem(503, "not-ready", words, retry_after=2, missing=missing)
    return Health()


@router.get("/v1/insights", tags=["insights"], responses=problem_responses(401, 429, 503))
def catalogue(caller: CallerDep) -> Catalogue:
    """The questions that this caller may ask."""
    may = (
        set(EVERY_QUESTION)
        if caller == ANYBODY
        else {name for role in caller.roles for name in RULES[role].questions}
    )
    return Catalogue(
        questions=tuple(
            Described(
                name=question.name,
                title=question.title,
                computed_by=question.computed_by,
                parameters=tuple(field.alias or name for name, field in question.parameters.model_fields.items()),
                columns=tuple(question.row.model_fields),
                roles=tuple(role for role, rule in RULES.items() if question.name in rule.questions),
                links={"ask": f"/v1/insights/{question.name}"},
            )
            for question in QUESTIONS.values()
            if question.name in may
        )
    )


def add_question(question: Question[Any, Any]) -> None:
    """Give a question its address, its parameters, and the schema of its rows."""

    def answer(
        request: Request,
        asked: Annotated[question.parameters, Query()],  # type: ignore[name-defined]
        insights: InsightsDep,
        caller: CallerDep,
        purpose: Purpose = "",
    ) -> Any:
        wanted = request.headers.get("accept", "*/*")
        table = next((form for form in ("text/csv", PARQUET) if form in wanted), None)
        if table is None and not any(form in wanted for form in ("application/json", "application/*", "*/*")):
            words = f"An answer is application/json, text/csv or {PARQUET}; send one of them as Accept."
            raise Problem(406, "form", words)
        found = ask(insights, caller, question, asked, purpose)
        times = {"X-As-Of": found.as_of.isoformat()}
        if table == PARQUET:
            return Response(as_parquet(found, question.row), media_type=PARQUET, headers=times)
        if table:
            columns = question.row.model_fields
            text = as_csv(found, {name: heading(question.name, name, asked.language) for name in columns})
            return Response(text, media_type="text/csv; charset=utf-8", headers=times)
        return found

    router.add_api_route(
        f"/v1/insights/{question.name}",
        answer,
        name=question.name,
        tags=["insights"],
        summary=question.title,
        description=question.computed_by,
        response_model=Answer[question.row],  # type: ignore[name-defined]
        responses={
            200: {
                "content": {
                    "text/csv": {"schema": {"type": "string"}},
                    PARQUET: {"schema": {"type": "string", "format": "binary"}},
                }
            },
            **problem_responses(401, 403, 404, 406, 422, 429, 503),
        },
    )


for _question in QUESTIONS.values():
    add_question(_question)
