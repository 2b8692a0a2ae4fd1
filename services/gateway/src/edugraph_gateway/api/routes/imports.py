"""POST /v1/imports: up to 1,000 records inline, a file of any size that streams into the blob store, or its URL.

Records inline go into the blob store as well where they are more than a message should carry.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Self, cast, get_args

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import Field, ValidationError, model_validator

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.data_sources import FORMATS_OF_KIND, LONGEST_MAPPING, DataSource
from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import (
    INLINE_RECORDS,
    RECORDS_IN_MESSAGE_BYTES,
    BatchSize,
    ChangeTime,
    Compression,
    Format,
    ImportJob,
    ImportRights,
    OutsideFile,
)
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE, SourceName
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.object_store import shown
from edugraph_common.sources import Mapping, mapping_of_source, source_key, store_mapping
from edugraph_common.sources.compression import SUFFIXES, ContentEncoding, content_encoding_of
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_gateway.api.dependencies import Importer, IntakeDep
from edugraph_gateway.api.private_headers import (
    ENCODED,
    MAPPING_HEADER,
    text_in,
    wrong_place,
)
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import invalid, invalid_fields, problem_responses
from edugraph_gateway.submission.idempotency import Done, IdempotencyKey, idempotent_run, key_name
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.request_body import drain, json_body, pieces
from edugraph_gateway.submission.rights import rights_of
from edugraph_gateway.submission.submit import JobSubmitter, Submission, Task
from edugraph_gateway.submission.uploads import Upload, scan_of, store_upload

router = APIRouter(tags=["imports"])
TASK, QUEUE = "import_records_with_callback", "data_import"
SPLIT_QUEUE = "import_splits"  # for which a file makes work as well
ANALYSIS_QUEUE = "llm_analysis"  # for which an import with `analyze` makes work as well
FILES = ("application/x-ndjson", "text/csv", "application/octet-stream")
NAME = r"^[^\x00-\x1f\x7f]+$"
OPEN_TIMEOUT_SECONDS = 3.0  # in which a file outside must show that it is there
_BY_SOURCE = ("platform", "analyze", "changed_at")  # options that the settings of the source change
DRAIN_SECONDS = 2.0  # in which a client may go on sending what was refused already


class ImportOptions(ContractModel):
    """`source`: the source that the records belong to; without it, the only source of the caller, or else `default`.

    `economy`: the texts are read by the provider's batches, within a day and for less.

    `changed_at`: `import` makes the file the newest state. Rows that do not say when they were changed count as
    changed when the import was accepted; otherwise they count as changed at their timestamp. A mapping or the
    settings of a source may say `import`, too.
    """

    source: SourceName | None = None
    batch_size: BatchSize = 1_000
    parallel_batches: Annotated[int, Field(ge=1, le=1_000)] = 64
    analyze: bool = False
    economy: bool = False
    changed_at: ChangeTime = "record"

    @model_validator(mode="after")
    def economy_is_of_an_analysis(self) -> Self:
        """Raises ValueError."""
        if self.economy and not self.analyze:
            raise ValueError("economy is a way of an analysis: set analyze, too")
        return self


class FileImport(ImportOptions):
    """Options of an upload, as query parameters, except `mapping`. `name` is what the file is called in lists.

    `mapping` says which column of a table is which field, as JSON or YAML. An upload has it in a header. `platform`
    is the address of the platform that wrote an Open edX log, if it is not the school's own.
    """

    format: Format = "ndjson"
    mapping: Annotated[str | None, Field(max_length=LONGEST_MAPPING)] = None
    platform: Annotated[str | None, Field(min_length=1, max_length=100, pattern=NAME)] = None
    name: Annotated[str, Field(min_length=1, max_length=200, pattern=NAME)] = "upload"


class InlineImport(ImportOptions):
    """Records are not checked here: those that are not valid are set aside by the import, one by one."""

    records: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=INLINE_RECORDS)]


class OutsideImport(FileImport):
    """A file that is read where it is; it must be there, and stay as it is, until the job has ended.

    A job whose file was changed meanwhile fails: its size, its etag (or its date, where there is none) tell.

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
            "schema": {
                "oneOf": [InlineImport.model_json_schema(), OutsideImport.model_json_schema()]
            }
        },
        **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in FILES},
    },
}


def _parameters() -> list[dict[str, Any]]:
    """Return the parameters of an upload, as OpenAPI describes them."""
    schemas: dict[str, Any] = FileImport.model_json_schema()["properties"]
    of_mapping = {"type": "string"}
    described = f"the mapping of a table, {ENCODED}"
    parameters = [
        {"name": MAPPING_HEADER, "in": "header", "schema": of_mapping, "description": described}
    ]
    for name, schema in schemas.items():
        if name != "mapping":
            parameters.append(
                {"name": name, "in": "query", "schema": schema, "description": "of a file"}
            )
    return [{"required": False, **parameter} for parameter in parameters]


@router.post(
    "/v1/imports",
    status_code=202,
    responses=problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": _REQUEST_BODY, "parameters": _parameters()},
)
async def start_import(
    request: Request, caller: Importer, intake: IntakeDep, idempotency_key: IdempotencyKey = None
) -> Accepted:
    """Accepted means kept: the body is stored and the broker has confirmed the message."""
    intake.backpressure.check(QUEUE)
    name = key_name(caller.client_id, "imports", idempotency_key) if idempotency_key else None
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == "application/json":
        return await import_json(intake, caller, request, name)
    if content_type not in FILES:
        words = f"Send application/json with records, or a file as one of {', '.join(FILES)}."
        raise Problem(415, "content-type", words)
    # FastAPI does not read the options, because they are not allowed beside a JSON body, which has its own.
    given = dict(request.query_params)
    if "mapping" in given:
        raise wrong_place("mapping", MAPPING_HEADER)
    mapping = text_in(MAPPING_HEADER, request.headers.get(MAPPING_HEADER))
    if mapping is not None:
        given["mapping"] = mapping
    try:
        options = FileImport.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid_fields(
            [(("query", *detail["loc"]), detail["msg"]) for detail in found]
        ) from None
    return await import_upload(intake, caller, request, options, name)


async def import_json(
    intake: Intake, caller: Caller, request: Request, name: str | None
) -> Accepted:
    """Take records inline, or the URL of a file outside. `name` is that of the idempotency key."""
    submitter = intake.submitter
    # The number is given before the body is read: a correction that comes while a large file is being uploaded is the
    # later of the two.
    acceptance = await intake.next_acceptance_number()
    body = await json_body(request, intake.limits)
    wanted = _parse(body)
    if wanted.analyze:
        intake.backpressure.check(ANALYSIS_QUEUE)
    if isinstance(wanted, OutsideImport):
        intake.backpressure.check(SPLIT_QUEUE)
    fingerprint = hashlib.sha256(body).hexdigest()

    async def first() -> Done:
        job_id = submitter.new_id()
        file_format: Format = "ndjson"
        if isinstance(wanted, OutsideImport):
            file_format = wanted.format
        source = await intake.use_source(caller, wanted.source, file_format)
        if isinstance(wanted, OutsideImport):
            looked_at = await _look_outside(
                submitter,
                job_id,
                wanted,
                acceptance,
                rights_of(caller, job_id, name_of(source)),
                source=source,
            )
            return Done(fingerprint, await submitter.submit(looked_at, caller.client_id))
        fields = {
            **dict(wanted),
            "source": None,
            "analyze": _may_analyze(wanted, source),
            "changed_at": _change_time(wanted, source),
        }
        if len(body) > RECORDS_IN_MESSAGE_BYTES:
            stored = await submitter.store_records(job_id, wanted.records)
            fields = {**fields, "records": None, "source": stored, "unpacked_bytes": len(body)}
        accepted_at = submitter.now().timestamp()
        job = ImportJob(
            job_id=job_id,
            accepted_at=accepted_at,
            acceptance=acceptance,
            rights=rights_of(caller, job_id, name_of(source)),
            **fields,
        )
        return Done(
            fingerprint, await submitter.submit(import_submission(job, "inline"), caller.client_id)
        )

    async def seen() -> str:
        return fingerprint

    return await idempotent_run(intake.idempotency, name, first, seen)


def _parse(body: bytes) -> InlineImport | OutsideImport:
    """Return the import of a body. A body with a URL and no records means a file outside. Raises Problem 422."""
    try:
        return InlineImport.model_validate_json(body)
    except ValidationError as error:
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        if not (isinstance(given, dict) and "url" in given and "records" not in given):
            raise invalid(error) from None
    try:
        return OutsideImport.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None


def name_of(source: DataSource | None) -> str:
    if source is None:
        return DEFAULT_SOURCE
    return source.name


async def _look_outside(
    submitter: JobSubmitter,
    job_id: str,
    wanted: OutsideImport,
    acceptance: int,
    rights: ImportRights,
    *,
    source: DataSource | None,
) -> Submission:
    """Return the submission of a file outside that was looked at.

    Raises Rejected for a file that is not there or not allowed, MalformedFile for an empty one, Retryable.
    """
    mapping = _mapping_of(wanted, source)

    def look() -> OutsideFile:
        if "://" not in wanted.url:
            raise Rejected("url must be a URL: a path within the store is for nobody outside")
        if not submitter.blobs.read(wanted.url, 0, 1):
            raise MalformedFile("the file is empty: it holds no record")
        if mapping:
            store_mapping(submitter.blobs, job_id, mapping)
        return submitter.blobs.look_outside(wanted.url)

    try:
        outside = await in_time(look, OPEN_TIMEOUT_SECONDS, submitter.threads)
    except Exception:
        await anyio.to_thread.run_sync(submitter.blobs.delete, f"jobs/{job_id}")
        raise
    path = shown(wanted.url)
    by_name = content_encoding_of(path)
    options = wanted.model_dump(
        exclude={"name", "mapping", "url", "compression", "source", *_BY_SOURCE}
    )
    compression = wanted.compression
    if compression is None and by_name != "identity":
        compression = by_name
    accepted_at = submitter.now().timestamp()
    job = ImportJob(
        job_id=job_id,
        source=wanted.url,
        compression=compression,
        accepted_at=accepted_at,
        acceptance=acceptance,
        changed_at=_change_time(wanted, source, mapping),
        outside=outside,
        platform=_platform_of(wanted, source),
        analyze=_may_analyze(wanted, source),
        rights=rights,
        **options,
    )
    return import_submission(job, wanted.name or path.rsplit("/", 1)[-1])


def _mapping_of(options: FileImport, source: DataSource | None) -> Mapping | None:
    """Return the mapping of a table: that of the request, or else that of its source. Raises MalformedFile."""
    text = options.mapping
    if text is None and source is not None and options.format in FORMATS_OF_KIND["table"]:
        text = source.mapping
    if text is None:
        return None
    return mapping_of_source(text.encode(), source)


def _platform_of(options: FileImport, source: DataSource | None) -> str | None:
    if options.platform is None and source is not None:
        return source.platform
    return options.platform


def _may_analyze(options: ImportOptions, source: DataSource | None) -> bool:
    """Return whether the texts are analysed: if the request asks for it and the source allows it."""
    return options.analyze and (source is None or source.analyse)


def _change_time(
    options: ImportOptions, source: DataSource | None, mapping: Mapping | None = None
) -> ChangeTime:
    """Return `import` if the request, the mapping of its table or its source says so."""
    is_said_by_mapping = mapping is not None and mapping.changed_at == "import"
    is_said_by_source = source is not None and source.changed_at == "import"
    if is_said_by_mapping or is_said_by_source:
        return "import"
    return options.changed_at


async def import_upload(
    intake: Intake, caller: Caller, request: Request, options: FileImport, name: str | None
) -> Accepted:
    """Take a file. The options are part of the request, so they are part of the fingerprint."""
    limits, submitter = intake.limits, intake.submitter
    intake.backpressure.check(SPLIT_QUEUE)
    if options.analyze:
        intake.backpressure.check(ANALYSIS_QUEUE)
    named = request.headers.get("content-encoding", "identity").strip().lower()
    if named not in get_args(ContentEncoding):
        raise Problem(415, "content-encoding", "Send the file as it is, or packed by gzip or zstd.")
    encoding = cast("ContentEncoding", named)
    acceptance = await intake.next_acceptance_number()
    body = pieces(
        request, max_bytes=limits.max_upload_bytes, idle_timeout_seconds=limits.idle_timeout_seconds
    )

    def fingerprint(digest: str) -> str:
        return hashlib.sha256(f"{options.model_dump_json()}{digest}".encode()).hexdigest()

    async def first() -> Done:
        job, digest = await _store(
            submitter,
            options,
            encoding,
            body,
            limits.max_unpacked_bytes,
            acceptance=acceptance,
            caller=caller,
            source=await intake.use_source(caller, options.source, options.format),
        )
        submission = import_submission(job, options.name)
        return Done(fingerprint(digest), await submitter.submit(submission, caller.client_id))

    async def seen() -> str:
        digest = hashlib.sha256()
        async for piece in body:
            await anyio.to_thread.run_sync(digest.update, piece)
        return fingerprint(digest.hexdigest())

    try:
        async with intake.upload_slots.take():
            return await idempotent_run(intake.idempotency, name, first, seen)
    except Exception:
        await drain(request, DRAIN_SECONDS)
        raise


async def _store(
    submitter: JobSubmitter,
    options: FileImport,
    encoding: ContentEncoding,
    body: AsyncIterator[bytes],
    max_unpacked_bytes: int,
    *,
    acceptance: int,
    caller: Caller,
    source: DataSource | None,
) -> tuple[ImportJob, str]:
    """Return the job and the SHA-256 of the body. After an error nothing is left."""
    job_id, blobs = submitter.new_id(), submitter.blobs
    key = source_key(job_id, f"{options.format}{SUFFIXES[encoding]}")
    try:
        mapping = _mapping_of(options, source)
        upload = Upload(blobs, key, encoding, scan_of(options.format, mapping), max_unpacked_bytes)
        if mapping:
            await anyio.to_thread.run_sync(store_mapping, blobs, job_id, mapping)
        stored = await store_upload(upload, body)
    except Exception:
        await anyio.to_thread.run_sync(blobs.delete, f"jobs/{job_id}")
        raise
    wanted = options.model_dump(exclude={"name", "mapping", "source", *_BY_SOURCE})
    compression = None if encoding == "identity" else encoding
    accepted_at = submitter.now().timestamp()
    job = ImportJob(
        job_id=job_id,
        source=key,
        compression=compression,
        accepted_at=accepted_at,
        acceptance=acceptance,
        changed_at=_change_time(options, source, mapping),
        unpacked_bytes=stored.unpacked_bytes,
        platform=_platform_of(options, source),
        analyze=_may_analyze(options, source),
        rights=rights_of(caller, job_id, name_of(source)),
        **wanted,
    )
    return job, stored.digest


def import_submission(job: ImportJob, source: str) -> Submission:
    """`source` is what people see the job by."""
    task = Task(TASK, job, task_id_for(job.job_id, "split"))
    return Submission(
        job_id=job.job_id,
        kind="import",
        source=source,
        tasks=[task],
        source_name=job.rights.source,
    )
