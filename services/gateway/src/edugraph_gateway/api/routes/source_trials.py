"""POST /v1/sources/{name}/test: show what would become of a file of a source. Nothing is stored."""

from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Request

from edugraph_common.contracts.messages import Format
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.rights import check_rights
from edugraph_common.sources.rows import MAX_FUTURE
from edugraph_common.sources.source_trial import SourceTrial, try_source
from edugraph_gateway.api.dependencies import (
    ClockDep,
    Importer,
    IntakeDep,
    PlatformPrefixesDep,
    SourcesDep,
)
from edugraph_gateway.api.routes.imports import NAME
from edugraph_gateway.api.routes.previews import FILE_BODY, look_at_body
from edugraph_gateway.api.routes.sources import Name, show_source
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.submission.rights import MARK_ID, rights_of

router = APIRouter(tags=["sources"])


@router.post(
    "/v1/sources/{name}/test",
    responses=problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": FILE_BODY},
)
async def try_file(
    *,
    request: Request,
    caller: Importer,
    intake: IntakeDep,
    sources: SourcesDep,
    prefixes: PlatformPrefixesDep,
    clock: ClockDep,
    name: Name,
    file: Annotated[
        str, Query(min_length=1, max_length=200, pattern=NAME, description="the name of the file")
    ] = "upload",
    file_format: Annotated[
        Format | None, Query(alias="format", description="detected if it is not given")
    ] = None,
    whole: Annotated[
        bool, Query(description="whether the body is all of the file, and not its first part")
    ] = True,
) -> SourceTrial:
    """Return what an import of a file for this source would do, and the persons, courses and points that it names.

    The file is read with the mapping, the time zone and the platform of the source. Rows that the caller may not
    import are rejected. Nothing is stored. If the file has more than 8 MiB, send its first part with `whole=false`.
    POST /v1/graph/known says which of the names are in the graph.
    """
    source = await anyio.to_thread.run_sync(
        partial(show_source, caller=caller, sources=sources, name=name)
    )
    platforms = Platforms.of_addresses(prefixes, source.platform)
    check = partial(check_rights, rights=rights_of(caller, MARK_ID, source.name), job_id=MARK_ID)
    latest = clock() + MAX_FUTURE

    def look(part: bytes) -> SourceTrial:
        return try_source(
            source,
            file,
            part,
            platforms,
            latest,
            is_whole=whole,
            check=check,
            file_format=file_format,
        )

    return await look_at_body(request, intake, look)
