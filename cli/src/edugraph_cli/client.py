"""API v1 of gateway and insights as Python calls. A client holds connections: use it as a context manager."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, cast
from urllib.parse import parse_qs, quote, urlsplit

import httpx
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from edugraph_common.contracts.api import Accepted, Check, Diagnosis, Erasures, GraphSummary, Restricted
from edugraph_common.contracts.messages import Compression, Format, Removable
from edugraph_common.contracts.outcomes import ENDED, JobReport, JobState

CHUNK_BYTES = 1 << 18  # how much of a file is read and sent at a time
PATIENCE_SECONDS = 60.0  # how long a job is followed while the gateway does not answer
RETRY_SECONDS = 0.5  # the pause before a stream of changes that broke off is asked for again


class ClientSettings(BaseSettings):
    """EDUGRAPH_URL and EDUGRAPH_API_KEY, by which the command line finds its gateway.

    Insights has the same address where a proxy or an ingress is in front of both; elsewhere it has its own.
    """

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_", extra="ignore", frozen=True)

    url: str = "http://127.0.0.1:8080"
    api_key: SecretStr | None = None
    insights_url: str | None = None


@dataclass(frozen=True)
class FileSource:
    """What a file is. `mapping`: the text of the mapping file of a table. `platform`: whose log it is."""

    format: Format = "ndjson"
    compression: Compression | None = None
    mapping: str | None = None
    platform: str | None = None


_CONTENT_TYPES: dict[Format, str] = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "xapi": "application/octet-stream",
    "openedx": "application/octet-stream",
    "workbook": "application/octet-stream",
    "parquet": "application/octet-stream",
}


class Refused(Exception):
    """The gateway refused the request. `detail` is its own sentence, `status` the HTTP status."""

    def __init__(self, status: int, detail: str, body: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.status, self.detail, self.body = status, detail, body


class Unreachable(Exception):
    """The gateway does not answer."""


class Client:
    """Every call raises Refused or Unreachable."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        insights_url: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # What insights answers is asked at its own address, or at the one that leads to both.
        self._url, self._insights = base_url, (insights_url or "").rstrip("/")
        self._http = httpx.Client(
            base_url=base_url, headers=headers, timeout=httpx.Timeout(60, connect=5), transport=transport
        )

    @classmethod
    def from_environment(cls) -> Self:
        settings = ClientSettings()
        key = settings.api_key.get_secret_value() if settings.api_key else None
        return cls(settings.url, key, insights_url=settings.insights_url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def import_file(
        self,
        path: Path,
        *,
        name: str | None = None,
        batch_size: int = 1_000,
        analyze: bool = False,
        economy: bool = False,
        source: FileSource | None = None,
        sent: Callable[[int], None] = lambda _: None,
    ) -> Accepted:
        """Stream a file; `sent` is called with the number of bytes of each chunk. Raises OSError too.

        `name`: what it is called in lists, its own name if it is not given.
        """
        with path.open("rb") as file:
            size = {"Content-Length": str(os.fstat(file.fileno()).st_size)} if path.is_file() else {}
            options = {"name": name or path.name, "batch_size": str(batch_size), "analyze": str(analyze).lower()}
            options |= {"economy": "true"} if economy else {}
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
        """Stream a file. `options` are those of POST /v1/imports: name, batch_size, parallel_batches, analyze …"""
        source = source or FileSource()
        compression = {"Content-Encoding": source.compression} if source.compression else {}
        given = {"mapping": source.mapping, "platform": source.platform}
        about = {name: value for name, value in given.items() if value}

        def chunks() -> Iterator[bytes]:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
                sent(len(chunk))

        return self._submit(
            "/v1/imports",
            params={**options, "format": source.format, **about},
            content=chunks(),
            headers={"Content-Type": _CONTENT_TYPES[source.format], **compression, **(headers or {})},
        )

    def import_url(
        self,
        url: str,
        *,
        batch_size: int = 1_000,
        analyze: bool = False,
        economy: bool = False,
        source: FileSource | None = None,
    ) -> Accepted:
        """Import a file that gateway and workers read where it is, from a place that the operator allows."""
        source = source or FileSource()
        options: dict[str, Any] = {"format": source.format, "mapping": source.mapping, "platform": source.platform}
        options |= {"batch_size": batch_size, "analyze": analyze, "economy": economy or None}
        given = {name: value for name, value in options.items() if value is not None}
        return self._submit("/v1/imports", json={"url": url, **given})

    def import_records(self, records: Sequence[Mapping[str, Any]], **options: Any) -> Accepted:
        """Import at most 1,000 records. The options are batch_size, parallel_batches, analyze, economy."""
        return self._submit("/v1/imports", json={"records": list(records), **options})

    def analyze(self, subject: str, records: Sequence[Mapping[str, Any]], *, economy: bool = False) -> Accepted:
        """Have records read by the model. `subject` is interactions, errors or knowledge-points.

        `economy`: by the provider's batches, within a day and for less.
        """
        more = {"economy": True} if economy else {}
        return self._submit(f"/v1/analyses/{subject}", json={"records": list(records), **more})

    def estimate(self, subject: str, records: Sequence[Mapping[str, Any]]) -> Accepted:
        """Ask what `analyze` would cost. The estimate is the result of the task, which an analyzer makes."""
        return self._submit(f"/v1/analyses/{subject}/estimate", json={"records": list(records)})

    def job(self, job_id: str) -> JobReport:
        return _report(self._json("GET", f"/v1/jobs/{job_id}"))

    def jobs(self, limit: int = 20, cursor: str | None = None, state: JobState | None = None) -> list[JobReport]:
        return self.job_page(limit, cursor, state)[0]

    def job_page(self, limit: int, cursor: str | None, state: JobState | None) -> tuple[list[JobReport], str | None]:
        """Return the newest jobs after a cursor, and the cursor of the page after them, if there is one."""
        given = {"limit": str(limit), "cursor": cursor, "state": state}
        answer = self._json("GET", "/v1/jobs", params={name: value for name, value in given.items() if value})
        following = parse_qs(urlsplit(answer["links"].get("next", "")).query)
        return [_report(entry) for entry in answer["jobs"]], following.get("cursor", [None])[0]

    def follow(
        self,
        job_id: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[JobReport]:
        """Yield every change of the job up to its end, and wait for a gateway that is away for a while."""
        last: JobReport | None = None
        heard = clock()
        while last is None or last.state not in ENDED:
            try:
                with self._stream(f"/v1/jobs/{job_id}/events") as answer:
                    for line in answer.iter_lines():
                        heard = clock()  # a line without data is the gateway's sign of life
                        field, _, value = line.partition(": ")
                        if field == "data" and (report := _report(json.loads(value))) != last:
                            last = report
                            yield report
            except (Unreachable, Refused) as error:
                away = isinstance(error, Unreachable) or error.status in (429, 502, 503, 504)
                if not away or clock() - heard > PATIENCE_SECONDS:
                    raise
            if last is None or last.state not in ENDED:
                sleep(RETRY_SECONDS)

    @contextmanager
    def rejects(self, job_id: str) -> Iterator[Iterator[bytes]]:
        """Yield all rejects as NDJSON, in chunks."""
        with self._stream(f"/v1/jobs/{job_id}/rejects") as answer:
            yield answer.iter_bytes()

    def cancel(self, job_id: str) -> JobReport:
        return _report(self._json("POST", f"/v1/jobs/{job_id}/cancel"))

    def undo(self, job_id: str) -> Accepted:
        """Have what an import wrote taken back. The task says how much that was."""
        return Accepted.model_validate(self._json("POST", f"/v1/jobs/{job_id}/undo"))

    def resume(self, job_id: str) -> JobReport:
        return _report(self._json("POST", f"/v1/jobs/{job_id}/resume"))

    def delete_job(self, job_id: str) -> None:
        """Delete the file, the rejects and the report of a job that has ended."""
        self._json("DELETE", f"/v1/jobs/{job_id}")

    def dead_letters(self, queue: str | None, limit: int) -> dict[str, Any]:
        """Return `counts` by queue, and the oldest `letters`."""
        only = {"queue": queue} if queue else {}
        return self._json("GET", "/v1/dead-letters", params={"limit": str(limit), **only})

    def dead_letter(self, queue: str, task_id: str) -> dict[str, Any]:
        return self._json("GET", f"/v1/dead-letters/{queue}/{task_id}")

    def replay(self, queue: str, task_id: str | None = None, limit: int = 100) -> dict[str, Any]:
        """Send one dead letter again, or the oldest `limit` of the queue."""
        if task_id:
            return self._json("POST", f"/v1/dead-letters/{queue}/{task_id}/replay")
        return self._json("POST", f"/v1/dead-letters/{queue}/replay", params={"limit": limit})

    def drop(self, queue: str, task_id: str | None = None) -> int:
        """Delete one dead letter, or all of the queue, and return how many."""
        part = f"/{task_id}" if task_id else ""
        return int(self._json("DELETE", f"/v1/dead-letters/{queue}{part}")["dropped"])

    def forget(
        self,
        student_id: str,
        also: Sequence[str] = (),
        names: Sequence[str] = (),
        *,
        dry_run: bool = False,
        block: bool = False,
    ) -> Accepted:
        """Erase a person with all these ids. The task says when it is done, what was removed, and what was left."""
        chosen: dict[str, Any] = {"also": list(also), "name": list(names), "dry_run": dry_run, "block": block}
        params = {name: value for name, value in chosen.items() if value}
        path = f"/v1/students/{quote(student_id, safe='')}"
        return Accepted.model_validate(self._json("DELETE", path, params=params))

    def erasures(self) -> tuple[str, ...]:
        """Return the tombstones of all who were erased."""
        return Erasures.model_validate(self._json("GET", "/v1/erasures")).tombstones

    def replay_erasures(self) -> Accepted:
        """Have all who were erased erased again, after a backup was restored."""
        return Accepted.model_validate(self._json("POST", "/v1/erasures/replay"))

    def admit(self, student_id: str) -> Accepted:
        """Let a student who was erased come in again."""
        return Accepted.model_validate(self._json("DELETE", f"/v1/erasures/{quote(student_id, safe='')}"))

    def export_person(self, student_id: str) -> Accepted:
        """Have all that is kept of a student written. The task's result has the name of the `export`."""
        return Accepted.model_validate(self._json("POST", f"/v1/students/{quote(student_id, safe='')}/export"))

    @contextmanager
    def export(self, name: str) -> Iterator[Iterator[bytes]]:
        """Yield an export in chunks. The gateway has it no more afterwards."""
        with self._stream(f"/v1/exports/{name}") as answer:
            yield answer.iter_bytes()

    def restrict(self, student_id: str, *, lifted: bool = False) -> Accepted:
        """Have a student neither analysed nor shown, or again. The task says whether there is such a student."""
        path = f"/v1/students/{quote(student_id, safe='')}/restriction{'/lift' if lifted else ''}"
        return Accepted.model_validate(self._json("POST", path))

    def restricted(self) -> tuple[str, ...]:
        """Return the ids of all students who are neither analysed nor shown."""
        return Restricted.model_validate(self._json("GET", "/v1/restrictions")).students

    def review(self, reviews: Sequence[Mapping[str, Any]]) -> Accepted:
        """Say something of what the graph holds, at most 1,000 things. The task says when it counts."""
        return self._submit("/v1/reviews", json={"reviews": list(reviews)})

    @contextmanager
    def reviews(self) -> Iterator[Iterator[str]]:
        """Yield all reviews, one JSON object a line."""
        with self._stream(f"{self._insights}/v1/graph/reviews") as answer:
            yield answer.iter_lines()

    def derive_graph(self, *, repair: bool) -> Accepted:
        """Have the graph compared with its records, or derived anew. The task's result says what is wrong."""
        return Accepted.model_validate(self._json("POST", f"/v1/graph/{'rebuild' if repair else 'verify'}"))

    def remove_from_graph(self, of: Removable, node_id: str) -> Accepted:
        """Have a course or a group taken out of the graph. The task's result says what was left."""
        return Accepted.model_validate(self._json("POST", "/v1/graph/remove", params={"of": of, "id": node_id}))

    def diagnosis(self) -> Diagnosis:
        """Return what the gateway finds wrong with the servers behind it."""
        return Diagnosis.model_validate(self._json("GET", "/v1/diagnosis"))

    def graph_check(self) -> Check:
        """Return what insights finds wrong with the graph."""
        return Check.model_validate(self._json("GET", f"{self._insights}/v1/graph/check"))

    def task(self, task_id: str) -> dict[str, Any]:
        return self._json("GET", f"/v1/tasks/{task_id}")

    def follow_task(self, task_id: str, *, sleep: Callable[[float], None] = time.sleep) -> dict[str, Any]:
        """Wait for the end of the task, and return it with its `state` and `result`."""
        while (task := self.task(task_id))["state"] not in ("SUCCESS", "FAILURE"):
            sleep(RETRY_SECONDS)
        return task

    def graph_digest(self) -> str:
        """Return 64 hex digits. Insights reads the whole graph, which may take minutes."""
        return str(self._json("GET", f"{self._insights}/v1/graph/digest", timeout=600)["digest"])

    def graph_summary(self) -> GraphSummary:
        return GraphSummary.model_validate(self._json("GET", f"{self._insights}/v1/graph/summary", timeout=600))

    def graph_picture(self, limit: int = 500) -> dict[str, Any]:
        """Return nodes of id, label and name, and edges of source, target and type."""
        return self._json("GET", f"{self._insights}/v1/graph/picture", params={"limit": limit}, timeout=600)

    def insights(self) -> dict[str, Any]:
        """Return the questions that this caller may ask."""
        return self._json("GET", f"{self._insights}/v1/insights")

    def insight(self, question: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer to a question, which has `rows` and says how and of how many they are computed."""
        path = f"{self._insights}/v1/insights/{quote(question, safe='')}"
        return self._json("GET", path, params=dict(parameters))

    def ready(self) -> dict[str, Any]:
        return self._json("GET", "/readyz")

    def version(self) -> dict[str, Any]:
        return self._json("GET", "/v1/version")

    def _submit(self, path: str, **request: Any) -> Accepted:
        return Accepted.model_validate(self._json("POST", path, **request))

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        with self._stream(path, method, **request) as answer:
            return cast("dict[str, Any]", json.loads(answer.read()))

    @contextmanager
    def _stream(self, path: str, method: str = "GET", **request: Any) -> Iterator[httpx.Response]:
        """Yield the answer before its body is read. Raises Refused or Unreachable, also while the body is read."""
        try:
            with self._http.stream(method, path, **request) as answer:
                if answer.is_error:
                    raise _refused(answer)
                yield answer
        except httpx.HTTPError as error:
            of_insights = self._insights and path.startswith(self._insights)
            who, where, setting = (
                ("Insights", self._insights, "EDUGRAPH_INSIGHTS_URL")
                if of_insights
                else ("The gateway", self._url, "EDUGRAPH_URL")
            )
            raise Unreachable(
                f"{who} at {where} does not answer ({type(error).__name__}). "
                f"Check that it runs, and that {setting} is its address."
            ) from error


def _refused(answer: httpx.Response) -> Refused:
    """Return what a problem document (RFC 9457) says, or only the status if the answer is none."""
    try:
        body = json.loads(answer.read())
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    detail = str(body.get("detail") or f"The gateway answered {answer.status_code}.")
    return Refused(answer.status_code, detail, body)


def _report(answer: Mapping[str, Any]) -> JobReport:
    """Read a report, and leave out what a newer gateway says beyond what this client knows."""
    return JobReport.model_validate({key: value for key, value in answer.items() if key in JobReport.model_fields})
