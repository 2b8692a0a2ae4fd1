"""POST /v1/imports: up to 1,000 records inline, or a file of any size that streams into the blob store."""

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any, cast, get_args

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from pydantic import Field, ValidationError

from edugraph_common.answers import Accepted
from edugraph_common.broker.publishing import task_id_for
from edugraph_common.compression import SUFFIXES, Encoding
from edugraph_common.frozen import Frozen
from edugraph_common.messages import INLINE_RECORDS, BatchSize, Format, ImportJob
from edugraph_common.sources import parse_mapping, store_mapping
from edugraph_gateway.admission import Submitter
from edugraph_gateway.bodies import drain, json_body, pieces
from edugraph_gateway.gateway import Gateway, gateway_of
from edugraph_gateway.idempotency import IdempotencyKey, key_name
from edugraph_gateway.once import Done, once
from edugraph_gateway.problems import Problem, invalid, problem_responses
from edugraph_gateway.submitting import Submission, Task, submit
from edugraph_gateway.uploads import Upload, scan_of, store_upload

router = APIRouter(tags=["imports"])
TASK, QUEUE = "import_records_with_callback", "data_import"
FILES = ("application/x-ndjson", "text/csv", "application/octet-stream")
DRAIN = 2.0  # seconds a client may go on sending what was refused already


class ImportOptions(Frozen):
    batch_size: BatchSize = 1_000
    parallel_batches: Annotated[int, Field(ge=1, le=1_000)] = 64
    analyze: bool = False


class FileImport(ImportOptions):
    """Options of an upload, as query parameters. `name`: what the file is called in lists.

    `mapping`: of a CSV, which column is which field, as JSON.
    """

    format: Format = "ndjson"
    mapping: Annotated[str | None, Field(max_length=16_384)] = None

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")] = "upload"


class InlineImport(ImportOptions):
    """Records are not checked here: those that are not valid are set aside by the import, one by one."""

    records: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=INLINE_RECORDS)]


_REQUEST_BODY = {
    "required": True,
    "description": "Records inline, or a file of one record a line; the file may be gzip or zstd (Content-Encoding).",
    "content": {
        "application/json": {"schema": InlineImport.model_json_schema()},
        **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in FILES},
    },
}


@router.post(
    "/v1/imports",
    status_code=202,
    responses=problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def start_import(
    request: Request,
    caller: Submitter,
    options: Annotated[FileImport, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Accepted means kept: the body is stored and the broker has confirmed the message."""
    gateway = gateway_of(request)
    gateway.depths.check(QUEUE, gateway.settings.deepest_queue)
    name = key_name(caller, "imports", idempotency_key) if idempotency_key else None
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/json":
        return await _import_inline(gateway, request, name)
    if kind in FILES:
        return await _import_file(gateway, request, options, name)
    raise Problem(415, "content-type", f"Send application/json with records, or a file as one of {', '.join(FILES)}.")


async def _import_inline(gateway: Gateway, request: Request, name: str | None) -> Accepted:
    body = await json_body(request, gateway.settings)
    try:
        wanted = InlineImport.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None
    fingerprint = hashlib.sha256(body).hexdigest()

    async def first() -> Done:
        job = ImportJob(job_id=gateway.new_id(), **dict(wanted))
        return Done(fingerprint, await submit(gateway, _submission(job, "inline")))

    async def seen() -> str:
        return fingerprint

    return await once(gateway, name, first, seen)


async def _import_file(gateway: Gateway, request: Request, options: FileImport, name: str | None) -> Accepted:
    """The options are part of what was asked for, so they are part of the fingerprint."""
    encoding, settings = _encoding(request), gateway.settings
    body = pieces(request, limit=settings.largest_upload, idle=settings.idle_upload)

    async def first() -> Done:
        job, digest = await _store(gateway, encoding, options, body)
        return Done(_asked(options, digest), await submit(gateway, _submission(job, options.name)))

    async def seen() -> str:
        digest = hashlib.sha256()
        async for piece in body:
            await anyio.to_thread.run_sync(digest.update, piece)
        return _asked(options, digest.hexdigest())

    try:
        await _check_room(gateway)
        async with gateway.uploading:
            return await once(gateway, name, first, seen)
    except Exception:
        await drain(request, DRAIN)
        raise


async def _check_room(gateway: Gateway) -> None:
    """Said before a large body comes in, not after."""
    if not await gateway.probes.broker_answers():
        raise Problem(503, "unavailable", "The broker does not answer; nothing was taken.", retry_after=5)
    if gateway.uploading.available_tokens < 1:
        raise Problem(503, "busy", "As many uploads as the gateway takes are under way.", retry_after=5)


async def _store(
    gateway: Gateway, encoding: Encoding, options: FileImport, body: AsyncIterator[bytes]
) -> tuple[ImportJob, str]:
    """Returns the job and the SHA-256 of the body. After an error nothing is left."""
    job_id = gateway.new_id()
    key = f"jobs/{job_id}/source.{options.format}{SUFFIXES[encoding]}"
    try:
        mapping = parse_mapping(options.mapping.encode()) if options.mapping else None
        scan = scan_of(options.format, mapping)
        upload = Upload(gateway.blobs, key, encoding, scan, gateway.settings.largest_unpacked)
        if mapping:
            await anyio.to_thread.run_sync(store_mapping, gateway.blobs, job_id, mapping)
        digest = await store_upload(upload, body)
    except Exception:
        await anyio.to_thread.run_sync(gateway.blobs.delete, f"jobs/{job_id}")
        raise
    wanted = options.model_dump(exclude={"name", "mapping"})
    packed = None if encoding == "identity" else encoding
    return ImportJob(job_id=job_id, source=key, compression=packed, **wanted), digest


def _asked(options: FileImport, digest: str) -> str:
    return hashlib.sha256(f"{options.model_dump_json()}{digest}".encode()).hexdigest()


def _encoding(request: Request) -> Encoding:
    named = request.headers.get("content-encoding", "identity").strip().lower()
    if named not in get_args(Encoding):
        raise Problem(415, "content-encoding", "Send the file as it is, or packed by gzip or zstd.")
    return cast("Encoding", named)


def _submission(job: ImportJob, source: str) -> Submission:
    task = Task(TASK, job, task_id_for(job.job_id, "split"))
    return Submission(job_id=job.job_id, kind="import", source=source, tasks=[task])
