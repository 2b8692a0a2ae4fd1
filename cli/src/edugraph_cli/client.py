"""The gateway's API v1 as Python calls. One client is one connection pool; close it, or use it as a context."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, cast
from urllib.parse import quote

import httpx
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from edugraph_common.contracts.api import Accepted, Diagnosis, GraphSummary
from edugraph_common.contracts.messages import Compression, Format
from edugraph_common.contracts.outcomes import ENDED, JobReport, JobState

PIECE = 1 << 18  # bytes of a file sent at once
PATIENCE = 60.0  # seconds a job is followed through a gateway that does not answer
AGAIN = 0.5  # seconds before a stream of changes that broke off is asked for again


class ClientSettings(BaseSettings):
    """EDUGRAPH_URL and EDUGRAPH_API_KEY."""

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_", extra="ignore", frozen=True)

    url: str = "http://127.0.0.1:8080"
    api_key: SecretStr | None = None


@dataclass(frozen=True)
class FileSource:
    """What a file is. `mapping`: the text of a CSV's mapping file."""

    format: Format = "ndjson"
    compression: Compression | None = None
    mapping: str | None = None


_CONTENT_TYPES: dict[Format, str] = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "xapi": "application/octet-stream",
    "openedx": "application/octet-stream",
}


class Refused(Exception):
    """The gateway said no. `detail` is its own sentence; `status` the HTTP status."""

    def __init__(self, status: int, detail: str, body: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.status, self.detail, self.body = status, detail, body


class Unreachable(Exception):
    """The gateway does not answer at all."""


class Client:
    """Every call raises Refused or Unreachable."""

    def __init__(
        self, base_url: str, api_key: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._url = base_url
        self._http = httpx.Client(
            base_url=base_url, headers=headers, timeout=httpx.Timeout(60, connect=5), transport=transport
        )

    @classmethod
    def from_environment(cls) -> Self:
        settings = ClientSettings()
        return cls(settings.url, settings.api_key.get_secret_value() if settings.api_key else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def import_file(
        self,
        path: Path,
        *,
        batch_size: int = 1_000,
        analyze: bool = False,
        source: FileSource | None = None,
        sent: Callable[[int], None] = lambda _: None,
    ) -> Accepted:
        """Stream a file; `sent` is told the bytes of each piece. Raises OSError too."""
        with path.open("rb") as file:
            size = {"Content-Length": str(os.fstat(file.fileno()).st_size)} if path.is_file() else {}
            options = {"name": path.name, "batch_size": str(batch_size), "analyze": str(analyze).lower()}
            return self.import_stream(file, options, source=source, sent=sent, headers=size)

    def import_stream(
        self,
        file: IO[bytes],
        options: Mapping[str, str],
        *,
        source: FileSource | None = None,
        sent: Callable[[int], None] = lambda _: None,
        headers: Mapping[str, str] | None = None,
    ) -> Accepted:
        """`options` are those of POST /v1/imports: name, batch_size, parallel_batches, analyze."""
        source = source or FileSource()
        packed = {"Content-Encoding": source.compression} if source.compression else {}
        mapping = {"mapping": source.mapping} if source.mapping else {}
        return self._submit(
            "/v1/imports",
            params={**options, "format": source.format, **mapping},
            content=_file_pieces(file, sent),
            headers={"Content-Type": _CONTENT_TYPES[source.format], **packed, **(headers or {})},
        )

    def import_url(
        self, url: str, *, batch_size: int = 1_000, analyze: bool = False, source: FileSource | None = None
    ) -> Accepted:
        """A file that the gateway and the workers read where it is, from a place that the operator allows."""
        source = source or FileSource()
        options = {"format": source.format, "mapping": source.mapping, "batch_size": batch_size, "analyze": analyze}
        given = {name: value for name, value in options.items() if value is not None}
        return self._submit("/v1/imports", json={"url": url, **given})

    def import_records(self, records: Sequence[Mapping[str, Any]], **options: Any) -> Accepted:
        """At most 1,000 records. Options: batch_size, parallel_batches, analyze."""
        return self._submit("/v1/imports", json={"records": list(records), **options})

    def analyze(self, subject: str, records: Sequence[Mapping[str, Any]]) -> Accepted:
        """`subject`: interactions, errors or knowledge-points."""
        return self._submit(f"/v1/analyses/{subject}", json={"records": list(records)})

    def job(self, job_id: str) -> JobReport:
        return _report(self._json("GET", f"/v1/jobs/{job_id}"))

    def jobs(self, limit: int = 20, offset: int = 0, state: JobState | None = None) -> list[JobReport]:
        only = {"state": state} if state else {}
        answer = self._json("GET", "/v1/jobs", params={"limit": str(limit), "offset": str(offset), **only})
        return [_report(entry) for entry in answer["jobs"]]

    def follow(
        self,
        job_id: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[JobReport]:
        """Every change of the job up to its end. A gateway that is away for a while is waited for."""
        last: JobReport | None = None
        heard = clock()
        while last is None or last.state not in ENDED:
            try:
                for report in self._changes(job_id):
                    heard = clock()
                    if report is not None and report != last:
                        last = report
                        yield report
            except (Unreachable, Refused) as error:
                if not _may_come_back(error) or clock() - heard > PATIENCE:
                    raise
            if last is None or last.state not in ENDED:
                sleep(AGAIN)

    def _changes(self, job_id: str) -> Iterator[JobReport | None]:
        """The gateway's Server-Sent Events, one after the other; None is only a sign of life."""
        with _transport_errors(self._url), self._http.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
            if answer.is_error:
                answer.read()
                raise _refused(answer)
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                yield _report(json.loads(value)) if field == "data" else None

    @contextmanager
    def rejects(self, job_id: str) -> Iterator[Iterator[bytes]]:
        """All rejects as NDJSON, in pieces."""
        with _transport_errors(self._url), self._http.stream("GET", f"/v1/jobs/{job_id}/rejects") as answer:
            if answer.is_error:
                answer.read()
                raise _refused(answer)
            yield answer.iter_bytes()

    def cancel(self, job_id: str) -> JobReport:
        return _report(self._json("POST", f"/v1/jobs/{job_id}/cancel"))

    def resume(self, job_id: str) -> JobReport:
        return _report(self._json("POST", f"/v1/jobs/{job_id}/resume"))

    def dead_letters(self, queue: str | None, limit: int) -> dict[str, Any]:
        """`counts` by queue, and the oldest `letters`."""
        only = {"queue": queue} if queue else {}
        return self._json("GET", "/v1/dead-letters", params={"limit": str(limit), **only})

    def dead_letter(self, queue: str, task_id: str) -> dict[str, Any]:
        return self._json("GET", f"/v1/dead-letters/{queue}/{task_id}")

    def replay(self, queue: str, task_id: str | None = None, limit: int = 100) -> dict[str, Any]:
        """One, or the oldest `limit` of the queue."""
        if task_id:
            return self._json("POST", f"/v1/dead-letters/{queue}/{task_id}/replay")
        return self._json("POST", f"/v1/dead-letters/{queue}/replay", params={"limit": limit})

    def drop(self, queue: str, task_id: str | None = None) -> int:
        """One, or all of the queue."""
        part = f"/{task_id}" if task_id else ""
        return int(self._json("DELETE", f"/v1/dead-letters/{queue}{part}")["dropped"])

    def forget(self, student_id: str) -> Accepted:
        """Take a student out of the graph; follow the task."""
        return Accepted.model_validate(self._json("DELETE", f"/v1/students/{quote(student_id, safe='')}"))

    def diagnosis(self) -> Diagnosis:
        return Diagnosis.model_validate(self._json("GET", "/v1/diagnosis"))

    def task(self, task_id: str) -> dict[str, Any]:
        return self._json("GET", f"/v1/tasks/{task_id}")

    def follow_task(self, task_id: str, *, sleep: Callable[[float], None] = time.sleep) -> dict[str, Any]:
        """The task when it has ended, with its `state` and `result`."""
        while (task := self.task(task_id))["state"] not in ("SUCCESS", "FAILURE"):
            sleep(AGAIN)
        return task

    def graph_digest(self) -> str:
        """64 hex digits; reads the whole graph, which may take minutes."""
        return str(self._json("GET", "/v1/graph/digest", timeout=600)["digest"])

    def graph_summary(self) -> GraphSummary:
        return GraphSummary.model_validate(self._json("GET", "/v1/graph/summary", timeout=600))

    def graph_picture(self, limit: int = 500) -> dict[str, Any]:
        """Nodes of id, label and name; edges of source, target and type."""
        return self._json("GET", "/v1/graph/picture", params={"limit": limit}, timeout=600)

    def ready(self) -> dict[str, Any]:
        return self._json("GET", "/readyz")

    def version(self) -> dict[str, Any]:
        return self._json("GET", "/v1/version")

    def _submit(self, path: str, **request: Any) -> Accepted:
        return Accepted.model_validate(self._json("POST", path, **request))

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        with _transport_errors(self._url):
            answer = self._http.request(method, path, **request)
        if answer.is_error:
            raise _refused(answer)
        return cast("dict[str, Any]", answer.json())


@contextmanager
def _transport_errors(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        kind = type(error).__name__
        raise Unreachable(
            f"The gateway at {url} does not answer ({kind}); is it running, is EDUGRAPH_URL right?"
        ) from error


def _refused(answer: httpx.Response) -> Refused:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    detail = str(body.get("detail") or f"The gateway answered {answer.status_code}.")
    return Refused(answer.status_code, detail, body)


def _may_come_back(error: Exception) -> bool:
    return isinstance(error, Unreachable) or (isinstance(error, Refused) and error.status in (429, 502, 503, 504))


def _report(answer: Mapping[str, Any]) -> JobReport:
    """A newer gateway may say more than this client knows."""
    return JobReport.model_validate({key: value for key, value in answer.items() if key in JobReport.model_fields})


def _file_pieces(file: IO[bytes], sent: Callable[[int], None]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
        sent(len(piece))
