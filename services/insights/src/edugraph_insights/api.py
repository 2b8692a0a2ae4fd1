"""GET /v1/insights/…: the questions, each with its own parameters and rows. /healthz and /readyz need no key."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ValidationError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.permissions import Role
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_common.runtime.shared_state.sessions import token_sent
from edugraph_insights.access import EVERY_QUESTION, Rule, rules_of
from edugraph_insights.answers import Answer
from edugraph_insights.asking import ask
from edugraph_insights.exports import PARQUET, as_csv, as_parquet
from edugraph_insights.insights import Insights
from edugraph_insights.problems import problem_responses
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.questions.question import Question
from edugraph_insights.sentences import heading

Body = TypeVar("Body", bound=BaseModel)

router = APIRouter()
bearer = HTTPBearer(
    auto_error=False,
    description="An API key with a role (edugraph keys create), or an access token",
)


def insights_of(request: Request) -> Insights:
    insights: Insights = request.app.state.insights
    return insights


def admitted(
    request: Request, _described: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Caller:
    """Return the caller. FastAPI runs this in a thread, since it may ask Redis.

    The parameter of `bearer` serves only the OpenAPI document. Raises Refusal 401, and Refusal 403 if a session
    changes something without its CSRF token.
    """
    return insights_of(request).admit(token_sent(request.method, request.headers, request.cookies))


async def body_as(model: type[Body], request: Request) -> Body:
    """Return the JSON body of a request as a model. Raises Problem 422.

    Dependencies that have the caller call this, so the body is read after the caller was admitted. FastAPI reads a
    body that is a parameter before that.
    """
    body = await request.body()
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, ("body", *first["loc"])))
        raise Problem(422, "invalid", f"{place}: {first['msg']}") from None


InsightsDep = Annotated[Insights, Depends(insights_of)]
CallerDep = Annotated[Caller, Depends(admitted)]
Purpose = Annotated[
    str,
    Header(
        alias="X-Purpose",
        max_length=200,
        pattern=r"^[\x20-\x7e]*$",
        description="why personal data is read, for the audit log; letters outside ASCII as %E7%94%A8",
    ),
]


class Health(ContractModel):
    status: str = "ok"


class Described(ContractModel):
    """The description of one question: its address, parameters, columns, and the roles that may ask it."""

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
    """Return 200 if graph and Redis answer. The problem 503 names those that do not answer."""
    missing = insights.missing()
    if missing:
        words = f"No answer from: {', '.join(missing)}. Nothing is answered until it is back."
        raise Problem(503, "not-ready", words, retry_after=2, missing=missing)
    return Health()


@router.get("/v1/insights", tags=["insights"], responses=problem_responses(401, 429, 503))
def catalogue(caller: CallerDep, insights: InsightsDep) -> Catalogue:
    """Return the questions that this caller may ask."""
    rules = rules_of(insights.settings.head_sees)
    permitted: set[str] = set()
    if caller == ANYBODY:
        permitted |= EVERY_QUESTION
    for role in caller.roles:
        permitted |= rules[role].questions
    return Catalogue(
        questions=tuple(
            _described(question, rules)
            for question in QUESTIONS.values()
            if question.name in permitted
        )
    )


def _described(question: Question[Any, Any], rules: Mapping[Role, Rule]) -> Described:
    parameters = [field.alias or name for name, field in question.parameters.model_fields.items()]
    roles = [role for role, rule in rules.items() if question.name in rule.questions]
    return Described(
        name=question.name,
        title=question.title,
        computed_by=question.computed_by,
        parameters=tuple(parameters),
        columns=tuple(question.row.model_fields),
        roles=tuple(roles),
        links={"ask": f"/v1/insights/{question.name}"},
    )


def add_question(question: Question[Any, Any]) -> None:
    """Add the route of a question, with its parameters and the schema of its rows."""

    def answer(
        request: Request,
        asked: Annotated[question.parameters, Query()],  # type: ignore[name-defined]
        insights: InsightsDep,
        caller: CallerDep,
        purpose: Purpose = "",
    ) -> Any:
        accepted = request.headers.get("accept", "*/*")
        is_csv_wanted = "text/csv" in accepted
        is_parquet_wanted = PARQUET in accepted
        is_json_accepted = any(
            form in accepted for form in ("application/json", "application/*", "*/*")
        )
        if not (is_csv_wanted or is_parquet_wanted or is_json_accepted):
            words = (
                f"An answer is application/json, text/csv or {PARQUET}; send one of them as Accept."
            )
            raise Problem(406, "form", words)
        found = ask(insights, caller, question, asked, purpose)
        times = {"X-As-Of": found.as_of.isoformat()}
        if is_csv_wanted:
            headings = {
                name: heading(question.name, name, asked.language)
                for name in question.row.model_fields
            }
            return Response(
                as_csv(found, headings), media_type="text/csv; charset=utf-8", headers=times
            )
        if is_parquet_wanted:
            return Response(as_parquet(found, question.row), media_type=PARQUET, headers=times)
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
