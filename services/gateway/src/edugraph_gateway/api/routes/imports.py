"""POST /v1/imports: up to 1,000 records inline, a file of any size that streams into the blob store, or its URL."""

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, cast, get_args

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import Field, ValidationError

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import INLINE_RECORDS, BatchSize, Compression, Format, ImportJob
from edugraph_common.messaging.publisher import task_id_for
from edugraph_common.platform.object_store import shown
from edugraph_common.sources import parse_mapping, store_mapping
from edugraph_common.sources.compression import SUFFIXES, Encoding, encoding_of
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_gateway.auth.admission import Submitter
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.gateway import Gateway, gateway_of
from edugraph_gateway.problems import Problem, invalid, invalid_fields, problem_responses
from edugraph_gateway.submission.idempotency import IdempotencyKey, key_name
from edugraph_gateway.submission.idempotent_run import Done, once
from edugraph_gateway.submission.request_body import drain, json_body, pieces
from edugraph_gateway.submission.submit import Submission, Task, submit
from edugraph_gateway.submission.uploads import Upload, scan_of, store_upload

router = APIRouter(tags=["imports"])
TASK, QUEUE = "import_records_with_callback", "data_import"
FILES = ("application/x-ndjson", "text/csv", "application/octet-stream")
NAME = r"^[^\x00-\x1f\x7f]+$"
OPENED = 3.0  # seconds in which a file outside must show that it is there
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

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=NAME)] = "upload"


class InlineImport(ImportOptions):
    """Records are not checked here: those that are not valid are set aside by the import, one by one."""

    records: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=INLINE_RECORDS)]


class OutsideImport(FileImport):
    """A file that is read where it is; it must be there, and stay as it is, until the job has ended.

    `compression`: found by the URL's ending where it is not given. `mapping` and `format` as those of an upload.
    """

    url: Annotated[str, Field(min_length=1, max_length=2_000)]
    name: Annotated[str | None, Field(min_length=1, max_length=200, pattern=NAME)] = None  # type: ignore[assignment]
    compression: Compression | None = None


_REQUEST_BODY = {
    "required": True,
    "description": "Records inline, the URL of a file outside, or a file, plain, gzip or zstd (Content-Encoding).",
    "content": {
        "application/json": {
            "schema": {"oneOf": [InlineImport.model_json_schema(), OutsideImport.model_json_schema()]}
        },
        **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in FILES},
    },
}


_QUERY = [
    {"name": name, "in": "query", "required": False, "schema": schema, "description": "of a file"}
    for name, schema in FileImport.model_json_schema()["properties"].items()
]


@router.post(
    "/v1/imports",
    status_code=202,
    responses=problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": _REQUEST_BODY, "parameters": _QUERY},
)
async def start_import(request: Request, caller: Submitter, idempotency_key: IdempotencyKey = None) -> Accepted:
    """Accepted means kept: the body is stored and the broker has confirmed the message."""
    gateway = gateway_of(request)
    gateway.depths.check(QUEUE, gateway.settings.deepest_queue)
    name = key_name(caller, "imports", idempotency_key) if idempotency_key else None
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/json":
        return await _import_inline(gateway, request, name)
    if kind in FILES:
        return await _import_file(gateway, request, _file_options(request), name)
    raise Problem(415, "content-type", f"Send application/json with records, or a file as one of {', '.join(FILES)}.")


def _file_options(request: Request) -> FileImport:
    """Read for files alone: as parameters they would cost each small request a seventh of its time."""
    try:
        return FileImport.model_validate(dict(request.query_params))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid_fields([(("query", *detail["loc"]), detail["msg"]) for detail in found]) from None


async def _import_inline(gateway: Gateway, request: Request, name: str | None) -> Accepted:
    body = await json_body(request, gateway.settings)
    wanted = _wanted(body)
    fingerprint = hashlib.sha256(body).hexdigest()

    async def first() -> Done:
        if isinstance(wanted, OutsideImport):
            return Done(fingerprint, await _submit_outside(gateway, wanted))
        job = ImportJob(job_id=gateway.new_id(), **dict(wanted))
        return Done(fingerprint, await submit(gateway, _submission(job, "inline")))

    async def seen() -> str:
        return fingerprint

    return await once(gateway, name, first, seen)


def _wanted(body: bytes) -> InlineImport | OutsideImport:
    try:
        return InlineImport.model_validate_json(body)
    except ValidationError as error:
        if _names_a_url(body):
            return _outside(body)
        raise invalid(error) from None


def _names_a_url(body: bytes) -> bool:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(given, dict) and "url" in given and "records" not in given


def _outside(body: bytes) -> OutsideImport:
    try:
        return OutsideImport.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None


async def _submit_outside(gateway: Gateway, wanted: OutsideImport) -> Accepted:
    job_id = gateway.new_id()
    try:
        await in_time(lambda: _look(gateway, job_id, wanted), OPENED, gateway.publishing)
    except Exception:
        await anyio.to_thread.run_sync(gateway.blobs.delete, f"jobs/{job_id}")
        raise
    path = shown(wanted.url)
    by_name = encoding_of(path)
    options = wanted.model_dump(exclude={"name", "mapping", "url", "compression"})
    packed = wanted.compression or (None if by_name == "identity" else by_name)
    job = ImportJob(job_id=job_id, source=wanted.url, compression=packed, **options)
    return await submit(gateway, _submission(job, wanted.name or path.rsplit("/", 1)[-1]))


def _look(gateway: Gateway, job_id: str, wanted: OutsideImport) -> None:
    """Raises Rejected for a file that is not there or not allowed, MalformedFile for an empty one."""
    if "://" not in wanted.url:
        raise Rejected("url must be a URL: a path within the store is for nobody outside")
    with gateway.blobs.open(wanted.url) as file:
        if not file.read(1):
            raise MalformedFile("the file is empty: it holds no record")
    if wanted.mapping:
        store_mapping(gateway.blobs, job_id, parse_mapping(wanted.mapping.encode()))


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
