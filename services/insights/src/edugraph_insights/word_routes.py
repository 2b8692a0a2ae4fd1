"""POST /v1/insights/words: questions in words, before and after a model has chosen (docs/adr/0154)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from edugraph_common.contracts.wordings import UnderstoodQuestion, WordsBasis
from edugraph_common.runtime.service.described_body import described_body
from edugraph_insights.api import CallerDep, InsightsDep, Purpose, body_as
from edugraph_insights.asked_in_words import (
    AskedInWords,
    ChoiceForWords,
    basis_of,
    understood,
)
from edugraph_insights.problems import problem_responses

router = APIRouter(tags=["questions"])


async def asked_in_words(request: Request, _caller: CallerDep) -> AskedInWords:
    """Return the body of the request. It is read after the caller was admitted. Raises Problem 422."""
    return await body_as(AskedInWords, request)


async def choice_for_words(request: Request, _caller: CallerDep) -> ChoiceForWords:
    """Return the body of the request. It is read after the caller was admitted. Raises Problem 422."""
    return await body_as(ChoiceForWords, request)


@router.post(
    "/v1/insights/words",
    summary="Prepare a question in words for a model",
    responses=problem_responses(400, 401, 403, 404, 408, 413, 422, 429, 503),
    openapi_extra=described_body(AskedInWords),
)
def prepare_words(
    asked: Annotated[AskedInWords, Depends(asked_in_words)],
    insights: InsightsDep,
    caller: CallerDep,
) -> WordsBasis:
    """Return the text with marks in the place of names, and the questions that the caller may ask.

    The gateway takes exactly this for some minutes (POST /v1/questions).
    """
    basis = basis_of(insights, caller, asked)
    insights.model_permits.give(caller, basis)
    return basis


@router.post(
    "/v1/insights/words/choices",
    summary="Which typed question does a choice mean?",
    responses=problem_responses(400, 401, 403, 404, 408, 413, 422, 429, 503),
    openapi_extra=described_body(ChoiceForWords),
)
def resolve_choice(
    asked: Annotated[ChoiceForWords, Depends(choice_for_words)],
    insights: InsightsDep,
    caller: CallerDep,
    purpose: Purpose = "",
) -> UnderstoodQuestion:
    """Return the typed question with its address, or what the caller must choose first.

    The address gives the answer, with the rights of the caller and nothing from the model.
    """
    found = understood(insights, caller, asked)
    names_students = "student" in found.candidates
    for parameter in found.parameters:
        if parameter.parameter == "student":
            names_students = True
    if names_students:
        about = ("course", _course_of(found))
        insights.note_shown(caller, "names for a question in words", about, purpose)
    return found


def _course_of(found: UnderstoodQuestion) -> str:
    """Return the id of the course of a question, or "" if the caller must choose it first."""
    for parameter in found.parameters:
        if parameter.parameter == "course":
            return parameter.id
    return ""
