"""POST /v1/imports/preview: show what an import of a file would do. Nothing is stored."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar

import anyio
import anyio.to_thread
from fastapi import APIRouter, Header, Query, Request

from edugraph_common.contracts.record_keys import DEFAULT_SOURCE
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.sources.preview import Preview, preview
from edugraph_common.sources.rights import check_rights
from edugraph_common.sources.rows import MAX_FUTURE
from edugraph_gateway.api.dependencies import ClockDep, Importer, IntakeDep
from edugraph_gateway.api.private_headers import (
    ANSWERS_HEADER,
    ENCODED,
    MAPPING_HEADER,
    POINTS_HEADER,
    text_in,
    wrong_place,
)
from edugraph_gateway.api.routes.imports import NAME
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.request_body import pieces
from edugraph_gateway.submission.rights import MARK_ID, rights_of

router = APIRouter(tags=["imports"])
LookT = TypeVar("LookT")
# Most files of a school are smaller. The client sends the first part of a larger file.
MAX_BYTES = 8 << 20
CONTENT_TYPE = "application/octet-stream"
TIMEOUT_SECONDS = 30.0
RETRY_AFTER_SECONDS = 5
_TEXTS = {"mapping": MAPPING_HEADER, "points": POINTS_HEADER, "answers": ANSWERS_HEADER}

FILE_BODY = {
    "required": True,
    "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}


@router.post(
    "/v1/imports/preview",
    responses=problem_responses(400, 401, 403, 408, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": FILE_BODY},
)
async def preview_import(
    *,
    request: Request,
    caller: Importer,
    intake: IntakeDep,
    clock: ClockDep,
    name: Annotated[str, Query(min_length=1, max_length=200, pattern=NAME)] = "upload",
    whole: Annotated[
        bool, Query(description="whether the body is all of the file, and not its first part")
    ] = True,
    mapping: Annotated[
        str | None,
        Header(alias=MAPPING_HEADER, description=f"of a table, {ENCODED}; one is suggested"),
    ] = None,
    points: Annotated[
        str | None,
        Header(
            alias=POINTS_HEADER,
            description=f"a JSON object {ENCODED}: points of a right answer, by column",
        ),
    ] = None,
    answers: Annotated[
        str | None,
        Header(
            alias=ANSWERS_HEADER,
            description=f"a JSON object {ENCODED}: what the form of the mapping was answered",
        ),
    ] = None,
) -> Preview:
    """Return the format of a file, a suggested mapping for a table, and its first rows as an import reads them.

    `form` has the mapping as a form. Send what a person answers in it as `Edugraph-Mapping-Answers`, with the mapping
    before, as in `{"columns": {"SIS User ID": "student_id"}, "constants": {"timestamp": "2026-11-27"}}`.

    Rows that the caller may not import are rejected. Nothing is stored. If the file has more than 8 MiB, send its
    first part with `whole=false`.
    """
    latest = clock() + MAX_FUTURE
    mapping_text = text_in(MAPPING_HEADER, mapping)
    points_text = text_in(POINTS_HEADER, points)
    answers_text = text_in(ANSWERS_HEADER, answers)
    for parameter, header in _TEXTS.items():
        if parameter in request.query_params:
            raise wrong_place(parameter, header)

    def look(part: bytes) -> Preview:
        return preview(
            name,
            part,
            mapping_text,
            latest,
            is_whole=whole,
            points=points_text,
            answers=answers_text,
            check=partial(
                check_rights, rights=rights_of(caller, MARK_ID, DEFAULT_SOURCE), job_id=MARK_ID
            ),
        )

    return await look_at_body(request, intake, look)


async def look_at_body(request: Request, intake: Intake, look: Callable[[bytes], LookT]) -> LookT:
    """Return what `look` returns for the body of the request, which is a file or its first part.

    `look` runs in a thread. Raises Problem: 415, 413, 503 if other files are being looked at, 408.
    """
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != CONTENT_TYPE:
        raise Problem(415, "content-type", f"Send the file as {CONTENT_TYPE}.")
    slots = intake.preview_slots
    if slots.available_tokens < 1:
        words = "As many previews as the gateway makes are under way."
        raise Problem(503, "busy", words, retry_after=RETRY_AFTER_SECONDS)
    idle = intake.limits.idle_timeout_seconds
    try:
        async with slots:
            with anyio.fail_after(TIMEOUT_SECONDS):
                body = [
                    piece
                    async for piece in pieces(
                        request, max_bytes=MAX_BYTES, idle_timeout_seconds=idle
                    )
                ]
                return await anyio.to_thread.run_sync(look, b"".join(body), abandon_on_cancel=True)
    except TimeoutError:
        words = (
            f"The preview took more than {TIMEOUT_SECONDS:g} s. Send a smaller part of the file."
        )
        raise Problem(408, "slow", words) from None
