"""API v1 of gateway and insights as Python calls. A client holds connections, so use it as a context manager."""

import json
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import httpx

from edugraph_client import _async_io as io
from edugraph_client._async.connection import AsyncConnection, FileBody, given
from edugraph_client.answers import Answer, Choices, Details, GraphAnswer, PathAnswer, Question
from edugraph_client.errors import Refused, Unreachable, is_for_now
from edugraph_client.files import FileSource
from edugraph_client.parameters import Parameter, as_query
from edugraph_client.settings import ClientSettings
from edugraph_common.contracts.api import (
    Accepted,
    CallerAnswer,
    Check,
    Diagnosis,
    Erasures,
    GraphSummary,
    NamedNodes,
    Persons,
    Restricted,
    WarehouseRecords,
)
from edugraph_common.contracts.data_sources import (
    DataSource,
    LiveDay,
    LiveSource,
    SourceCursor,
)
from edugraph_common.contracts.drafts import DraftBasis, DraftLanguage
from edugraph_common.contracts.messages import Format, Removable, Renamable
from edugraph_common.contracts.outcomes import ENDED, JobReport, JobState
from edugraph_common.contracts.wordings import (
    ChosenQuestion,
    UnderstoodQuestion,
    WordsBasis,
    WordsLanguage,
)

# A job or task is followed for this long while the gateway does not answer.
PATIENCE_SECONDS = 60.0
# The pause before a broken stream of changes is opened again, and the longest pause before a task is asked for again.
RETRY_SECONDS = 0.5
# The first pause before a task is asked for again. Most tasks end at once.
FIRST_PAUSE_SECONDS = 0.1
NOT_FOUND = 404
# The time limit of requests that read the whole graph.
WHOLE_GRAPH_SECONDS = 600
# The ending of a file's name -> the media type of its content.
MEDIA_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".json": "application/json",
}


class AsyncClient:
    """A client of gateway and insights. Each call may raise Refused or Unreachable."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        insights_url: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: io.Sleep = io.sleep,
        clock: Callable[[], float] = time.monotonic,
        new_key: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        headers = {}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        http = httpx.AsyncClient(
            base_url=base_url,
            headers=headers,
            timeout=httpx.Timeout(60, connect=5),
            transport=transport,
        )
        self._api = AsyncConnection(
            http, (insights_url or "").rstrip("/"), sleep=sleep, clock=clock, new_key=new_key
        )

    @classmethod
    def from_environment(cls) -> Self:
        """Return a client with the addresses and the key of the environment variables EDUGRAPH_…"""
        settings = ClientSettings()
        key = None
        if settings.api_key:
            key = settings.api_key.get_secret_value()
        return cls(settings.url, key, insights_url=settings.insights_url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.close()

    # Imports and analyses. The client may send a submission several times; the gateway accepts it once.

    async def import_file(
        self,
        path: Path,
        *,
        name: str | None = None,
        batch_size: int = 1_000,
        analyze: bool = False,
        economy: bool = False,
        source: FileSource | None = None,
        sent: Callable[[int], None] = lambda _: None,
        key: str | None = None,
    ) -> Accepted:
        """Stream a file, and return its job. Raises OSError too.

        Within a day, the same `key` with the same file and options gives the same job.

        `name` is the name of the import in lists, by default the name of the file. `sent` is called with the number
        of bytes of each chunk. If the file has to be sent again, `sent` is first called with a negative number that
        takes back the bytes so far.
        """
        options = {
            "name": name or path.name,
            "batch_size": str(batch_size),
            "analyze": str(analyze).lower(),
        }
        if economy:
            options["economy"] = "true"
        with await io.open_file(path, "rb") as file:
            about = os.fstat(file.fileno())
            headers = {}
            if key is not None:
                headers["Idempotency-Key"] = key
            if stat.S_ISREG(about.st_mode):
                headers["Content-Length"] = str(about.st_size)
            return await self.import_stream(
                file, options, source=source, sent=sent, headers=headers
            )

    async def import_stream(
        self,
        file: IO[bytes],
        options: Mapping[str, str],
        *,
        source: FileSource | None = None,
        sent: Callable[[int], None] = lambda _: None,
        headers: Mapping[str, str] | None = None,
    ) -> Accepted:
        """Stream a file. `options` are those of POST /v1/imports: name, batch_size, parallel_batches, analyze, …"""
        source = source or FileSource()
        return await self._api.submit(
            "/v1/imports",
            params={**options, **source.options},
            body=FileBody(file, sent),
            headers={**source.headers, **(headers or {})},
        )

    async def import_url(
        self,
        url: str,
        *,
        batch_size: int = 1_000,
        analyze: bool = False,
        economy: bool = False,
        source: FileSource | None = None,
    ) -> Accepted:
        """Import a file from an address that the operator allows. Gateway and workers read it there."""
        source = source or FileSource()
        options = {"batch_size": batch_size, "analyze": analyze, **given(economy=economy)}
        described = {"url": url, **source.options, **given(mapping=source.mapping)}
        return await self._api.submit("/v1/imports", json={**described, **options})

    async def import_records(
        self, records: Sequence[Mapping[str, Any]], **options: Any
    ) -> Accepted:
        """Import at most 1,000 records. The options are source, batch_size, parallel_batches, analyze, economy."""
        return await self._api.submit("/v1/imports", json={"records": list(records), **options})

    async def analyze(
        self,
        subject: str,
        records: Sequence[Mapping[str, Any]],
        *,
        economy: bool = False,
        source: str | None = None,
    ) -> Accepted:
        """Let the model analyze records. `subject` is interactions, errors or knowledge-points.

        With `economy`, the records go into batches of the provider, which cost less and take up to a day. `source` is
        the name of the source that the records belong to.
        """
        body = {"records": list(records), **given(economy=economy, source=source)}
        return await self._api.submit(f"/v1/analyses/{subject}", json=body)

    async def estimate(
        self, subject: str, records: Sequence[Mapping[str, Any]], *, economy: bool = False
    ) -> Accepted:
        """Estimate the cost of `analyze`. An analyzer makes the estimate, which is the result of the task."""
        body = {"records": list(records), **given(economy=economy)}
        return await self._api.model(
            Accepted, f"/v1/analyses/{subject}/estimate", "POST", json=body
        )

    async def read_again(self, course: str, *, economy: bool = False) -> Accepted:
        """Let the model read the texts of a course again that it read before, for example after points were imported.

        The result of the task is a TextsAgain. If it has texts, a job with the same `job_id` reads them.
        """
        params = given(course=course, economy=economy)
        return await self._api.model(Accepted, "/v1/analyses/again", "POST", params=params)

    async def estimate_again(self, course: str, *, economy: bool = False) -> Accepted:
        """Estimate the cost of `read_again`. The result of the task is a TextsAgain with tasks that estimate."""
        params = given(course=course, economy=economy)
        return await self._api.model(Accepted, "/v1/analyses/again/estimate", "POST", params=params)

    async def review(self, reviews: Sequence[Mapping[str, Any]]) -> Accepted:
        """Submit at most 1,000 reviews of the graph. They count when the task has ended."""
        return await self._api.submit("/v1/reviews", json={"reviews": list(reviews)})

    async def propose_pairs(self) -> Accepted:
        """Start a comparison of the names of knowledge points. The result of the task has the number of `points`."""
        return await self._api.model(Accepted, "/v1/reviews/proposals", "POST")

    async def permit_draft(
        self,
        course_id: str,
        *,
        student_id: str | None = None,
        days: int | None = None,
        language: DraftLanguage = "en",
        purpose: str = "",
    ) -> DraftBasis:
        """Return the records of a draft: feedback to a student, or without one a summary of a course.

        The caller must lead the students. The gateway takes a draft on these records for some minutes.
        """
        wanted = {
            "course_id": course_id,
            "language": language,
            **given(student_id=student_id, days=days),
        }
        headers = _asked({}, purpose)["headers"]
        return await self._api.model(
            DraftBasis, _insight("draft-permits"), "POST", json=wanted, headers=headers
        )

    async def write_draft(self, basis: DraftBasis) -> Accepted:
        """Let a model write a draft on permitted records. The result of the task is a Draft."""
        return await self._api.submit("/v1/drafts", json=basis.model_dump(mode="json"))

    async def prepare_words(
        self, text: str, *, course_id: str | None = None, language: WordsLanguage = "en"
    ) -> WordsBasis:
        """Return a question in words without names, and the questions that the caller may ask.

        The gateway takes it for some minutes.
        """
        path = _insight("words")
        asked = given(text=text, language=language, course_id=course_id)
        return await self._api.model(WordsBasis, path, "POST", json=asked)

    async def choose_question(self, basis: WordsBasis) -> Accepted:
        """Let a model choose a typed question for a prepared text. The result of the task is a ChosenQuestion."""
        path = "/v1/questions"
        sent = basis.model_dump(mode="json")
        return await self._api.submit(path, json=sent)

    async def resolve_choice(
        self,
        text: str,
        chosen: ChosenQuestion,
        *,
        course_id: str | None = None,
        language: WordsLanguage = "en",
        purpose: str = "",
    ) -> UnderstoodQuestion:
        """Return the typed question that a choice means, or what must be chosen first."""
        path = "/v1/insights/words/choices"
        choice = chosen.model_dump(include={"question", "parameters"})
        asked = given(text=text, language=language, course_id=course_id, **choice)
        headers = _asked({}, purpose)["headers"]
        model = UnderstoodQuestion
        return await self._api.model(model, path, "POST", json=asked, headers=headers)

    # Jobs and tasks.

    async def job(self, job_id: str) -> JobReport:
        return await self._api.model(JobReport, f"/v1/jobs/{job_id}")

    async def jobs(
        self, state: JobState | None = None, *, page: int = 100
    ) -> AsyncIterator[JobReport]:
        """Yield all jobs, the newest first. Each page is asked for when it is reached."""
        cursor = None
        while True:
            reports, cursor = await self.job_page(page, cursor, state)
            for report in reports:
                yield report
            if cursor is None:
                return

    async def job_page(
        self, limit: int, cursor: str | None, state: JobState | None
    ) -> tuple[list[JobReport], str | None]:
        """Return the newest jobs after a cursor, and the cursor of the next page or None."""
        answer = await self._api.json(
            "/v1/jobs", params=given(limit=str(limit), cursor=cursor, state=state)
        )
        next_page = urlsplit(answer["links"].get("next", ""))
        cursors = parse_qs(next_page.query).get("cursor", [None])
        return [_report(entry) for entry in answer["jobs"]], cursors[0]

    async def follow(self, job_id: str) -> AsyncIterator[JobReport]:
        """Yield each change of a job until its end. If the gateway does not answer for a while, wait for it."""
        last: JobReport | None = None
        heard = self._api.clock()
        while last is None or last.state not in ENDED:
            try:
                async with self._api.stream(f"/v1/jobs/{job_id}/events") as answer:
                    # The lines are parsed here, since httpx-sse hides the comments that show that the gateway lives.
                    async for line in answer.aiter_lines():
                        heard = self._api.clock()
                        field, _, value = line.partition(": ")
                        if field != "data":
                            continue
                        report = _report(json.loads(value))
                        if report != last:
                            last = report
                            yield report
            except (Unreachable, Refused) as error:
                if not is_for_now(error) or self._api.clock() - heard > PATIENCE_SECONDS:
                    raise
            if last is None or last.state not in ENDED:
                await self._api.sleep(RETRY_SECONDS)

    @asynccontextmanager
    async def rejects(self, job_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the rejects of a job as NDJSON, in chunks."""
        async with self._api.stream(f"/v1/jobs/{job_id}/rejects") as answer:
            yield answer.aiter_bytes()

    async def cancel(self, job_id: str) -> JobReport:
        return await self._api.model(JobReport, f"/v1/jobs/{job_id}/cancel", "POST")

    async def undo(self, job_id: str) -> Accepted:
        """Take back what an import wrote. The result of the task says how much that was."""
        return await self._api.model(Accepted, f"/v1/jobs/{job_id}/undo", "POST")

    async def resume(self, job_id: str) -> JobReport:
        return await self._api.model(JobReport, f"/v1/jobs/{job_id}/resume", "POST")

    async def delete_job(self, job_id: str) -> None:
        """Delete the file, the rejects and the report of a job that has ended."""
        await self._api.json(f"/v1/jobs/{job_id}", "DELETE")

    async def task(self, task_id: str) -> dict[str, Any]:
        return await self._api.json(f"/v1/tasks/{task_id}")

    async def follow_task(self, task_id: str) -> dict[str, Any]:
        """Wait for the end of a task, and return it with its `state` and `result`.

        If the gateway does not answer for a while, or cannot answer now, wait for it.
        """
        heard = self._api.clock()
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            try:
                task = await self.task(task_id)
                heard = self._api.clock()
                if task["state"] in ("SUCCESS", "FAILURE"):
                    return task
            except (Unreachable, Refused) as error:
                if not is_for_now(error) or self._api.clock() - heard > PATIENCE_SECONDS:
                    raise
            await self._api.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, RETRY_SECONDS)

    # Sources.

    async def create_source(self, settings: Mapping[str, Any]) -> DataSource:
        """Create a source. `settings` are its name, its kind, and others of POST /v1/sources."""
        return await self._api.model(DataSource, "/v1/sources", "POST", json=dict(settings))

    async def change_source(self, name: str, settings: Mapping[str, Any]) -> DataSource:
        """Replace all settings of a source."""
        return await self._api.model(
            DataSource, f"/v1/sources/{quote(name, safe='')}", "PUT", json=dict(settings)
        )

    async def sources(self) -> tuple[DataSource, ...]:
        """Return the sources that the caller may see, in the order of their names."""
        answer = await self._api.json("/v1/sources")
        return tuple(DataSource.model_validate(each) for each in answer["sources"])

    async def source(self, name: str) -> DataSource:
        return await self._api.model(DataSource, f"/v1/sources/{quote(name, safe='')}")

    async def live_day(self, name: str, day: date | None = None) -> LiveDay:
        """Return the numbers of a day (UTC), or of today: what a source sent live."""
        params = {} if day is None else {"day": day.isoformat()}
        path = f"/v1/sources/{quote(name, safe='')}/live"
        return await self._api.model(LiveDay, path, params=params)

    async def live_sources(self) -> tuple[LiveSource, ...]:
        """Return the sources that the caller may see, each with the latest day on which it sent something live."""
        answer = await self._api.json("/v1/live-sources")
        return tuple(LiveSource.model_validate(each) for each in answer["sources"])

    async def source_cursor(self, name: str) -> SourceCursor:
        """Return how far a connector has pulled a source."""
        return await self._api.model(SourceCursor, f"/v1/sources/{quote(name, safe='')}/cursor")

    async def save_source_cursor(self, name: str, cursor: SourceCursor) -> SourceCursor:
        """Replace the cursor of a source, and return it with its next version. Refused with 409 if it was changed."""
        path = f"/v1/sources/{quote(name, safe='')}/cursor"
        body = cursor.model_dump(mode="json")
        return await self._api.model(SourceCursor, path, "PUT", json=body)

    async def try_source(
        self,
        name: str,
        part: bytes,
        *,
        file_name: str,
        file_format: Format | None = None,
        is_whole: bool = True,
    ) -> dict[str, Any]:
        """Return what would become of a file of a source. `part` is the file, or its first part: at most 8 MiB."""
        options = dict(given(file=file_name, format=file_format))
        options["whole"] = str(is_whole).lower()
        path = f"/v1/sources/{quote(name, safe='')}/test"
        headers = {"Content-Type": "application/octet-stream"}
        return await self._api.json(path, "POST", params=options, headers=headers, content=part)

    # Questions and the graph.

    async def questions(self) -> tuple[Question, ...]:
        """Return the questions that this caller may ask."""
        answer = await self._api.json("/v1/insights")
        return tuple(Question.model_validate(each) for each in answer["questions"])

    async def choices(self) -> Choices:
        """Return what this caller may ask about, and which rows the answers have."""
        return await self._api.model(Choices, "/v1/insights/choices")

    async def ask(self, question: str, *, purpose: str = "", **parameters: Parameter) -> Answer:
        """Return the answer to a question, for example `weak-points` with `course` and `from_`.

        `questions` names the parameters of each question. `purpose` says for the audit log why personal data is read.
        """
        try:
            return await self._api.model(Answer, _insight(question), **_asked(parameters, purpose))
        except Refused as error:
            raise await self._with_proposals(error, question) from None

    async def save_answer(
        self, path: Path, question: str, *, purpose: str = "", **parameters: Parameter
    ) -> None:
        """Write the answer to a question into a file: .parquet, .csv or .json, as its name says.

        Parquet has the types of the columns, and the other parts of the answer as JSON in its metadata, under
        `edugraph`. Raises ValueError for another name; may raise OSError too.
        """
        media_type = MEDIA_TYPES.get(path.suffix.lower())
        if media_type is None:
            raise ValueError(f"{path.name}: name a file that ends in {', '.join(MEDIA_TYPES)}")
        asked = _asked(parameters, purpose)
        asked["headers"] = {**asked["headers"], "Accept": media_type}
        try:
            async with self._api.stream(_insight(question), **asked) as answer:
                content = await answer.aread()
        except Refused as error:
            raise await self._with_proposals(error, question) from None
        with await io.open_file(path, "wb") as file:
            file.write(content)

    async def _with_proposals(self, error: Refused, question: str) -> Refused:
        """Return the refusal, with the questions that may be meant if there is no such question."""
        if error.status != NOT_FOUND:
            return error
        names = [each.name for each in await self.questions()]
        if question in names:
            return error
        proposals = ", ".join(get_close_matches(question, names)) or ", ".join(names)
        words = f"There is no question {question}; there is {proposals}."
        return Refused(error.status, words, error.body)

    async def nodes(self, label: str, *, purpose: str = "", **narrowed: Parameter) -> GraphAnswer:
        """Return nodes of a label, for example with `begins`, the beginning of their ids or names, and a `limit`."""
        return await self._api.model(
            GraphAnswer, "/v1/graph/nodes", **_asked({"label": label, **narrowed}, purpose)
        )

    async def node(self, node: str, *, purpose: str = "", **narrowed: Parameter) -> Details:
        """Return the properties of a node, written as `LABEL:ID`, and the numbers of its neighbours."""
        return await self._api.model(
            Details, "/v1/graph/node", **_asked({"node": node, **narrowed}, purpose)
        )

    async def neighbours(
        self, node: str, *, purpose: str = "", **filters: Parameter
    ) -> GraphAnswer:
        """Return the neighbours of a node. `type` and `label` take several values each."""
        asked = _asked({"node": node, **filters}, purpose)
        return await self._api.model(GraphAnswer, "/v1/graph/neighbours", **asked)

    async def subgraph(self, node: str, *, purpose: str = "", **filters: Parameter) -> GraphAnswer:
        """Return the nodes around a node, at most `depth` steps away."""
        asked = _asked({"node": node, **filters}, purpose)
        return await self._api.model(GraphAnswer, "/v1/graph/subgraph", **asked)

    async def path(
        self, node: str, other: str, *, purpose: str = "", **filters: Parameter
    ) -> PathAnswer:
        """Return a shortest path between two nodes with at most `steps` steps."""
        asked = _asked({"node": node, "other": other, **filters}, purpose)
        return await self._api.model(PathAnswer, "/v1/graph/path", **asked)

    async def graph_digest(self) -> str:
        """Return the hash of the graph, 64 hex digits. Insights reads the whole graph, which may take minutes."""
        answer = await self._api.json("/v1/graph/digest", timeout=WHOLE_GRAPH_SECONDS)
        return str(answer["digest"])

    async def graph_summary(self) -> GraphSummary:
        return await self._api.model(GraphSummary, "/v1/graph/summary", timeout=WHOLE_GRAPH_SECONDS)

    async def known_nodes(self, asked: NamedNodes) -> NamedNodes:
        """Return those of these nodes that are in the graph, and the titles that the graph has for the items."""
        body = asked.model_dump(mode="json")
        return await self._api.model(NamedNodes, "/v1/graph/known", "POST", json=body)

    async def person_ids(self, person_id: str | None = None) -> Persons:
        """Return what person_records claim: the contested ids, and the ids of one person if `person_id` is given."""
        query = {"id": person_id} if person_id else {}
        return await self._api.model(
            Persons, "/v1/graph/persons", params=query, timeout=WHOLE_GRAPH_SECONDS
        )

    @asynccontextmanager
    async def reviews(self) -> AsyncIterator[AsyncIterator[str]]:
        """Yield all reviews, each as a line of JSON."""
        async with self._api.stream("/v1/graph/reviews") as answer:
            yield answer.aiter_lines()

    @asynccontextmanager
    async def export_graph(self) -> AsyncIterator[AsyncIterator[str]]:
        """Yield all nodes and relationships, each as a line of JSON. The last line has the numbers of both.

        An export without this line was cut off.
        """
        async with self._api.stream("/v1/graph/export", timeout=WHOLE_GRAPH_SECONDS) as answer:
            yield answer.aiter_lines()

    @asynccontextmanager
    async def warehouse_changes(self, since: int | None) -> AsyncIterator[AsyncIterator[str]]:
        """Yield lines of JSON with names, all students, and the records that were written since a moment.

        `since` is `latest` of an earlier answer, in milliseconds. The last line has the number of rows as `end`.
        Without this line the answer was cut off.
        """
        query = {} if since is None else {"since": since}
        async with self._api.stream(
            "/v1/graph/warehouse", params=query, timeout=WHOLE_GRAPH_SECONDS
        ) as answer:
            yield answer.aiter_lines()

    async def warehouse_records(self, students: Sequence[str]) -> WarehouseRecords:
        """Return the rows of at most 100 students in the tables of records of a warehouse.

        `students` of the answer are the first of these, whose rows it has. Ask again for the others.
        """
        return await self._api.model(
            WarehouseRecords,
            "/v1/graph/warehouse",
            "POST",
            json={"students": list(students)},
            timeout=WHOLE_GRAPH_SECONDS,
        )

    async def derive_graph(self, *, repair: bool) -> Accepted:
        """Compare the graph with its records, or with `repair` derive it again. The result says what is wrong."""
        action = "verify"
        if repair:
            action = "rebuild"
        return await self._api.model(Accepted, f"/v1/graph/{action}", "POST")

    async def remove_from_graph(self, of: Removable, node_id: str) -> Accepted:
        """Remove a course or a group from the graph. The result of the task says what was left."""
        return await self._api.model(
            Accepted, "/v1/graph/remove", "POST", params={"of": of, "id": node_id}
        )

    async def rename_in_graph(
        self, of: Renamable, node_id: str, new_id: str, *, merge: bool = False
    ) -> Accepted:
        """Give something another id. The task's result says how many records have the id, or why it is refused."""
        params = given(of=of, id=node_id, to=new_id, merge=merge)
        return await self._api.model(Accepted, "/v1/graph/rename", "POST", params=params)

    # Persons.

    async def forget(
        self,
        student_id: str,
        also: Sequence[str] = (),
        names: Sequence[str] = (),
        *,
        dry_run: bool = False,
        block: bool = False,
    ) -> Accepted:
        """Erase a person with all these ids. The result of the task says what was removed and what was left."""
        params = given(also=list(also), name=list(names), dry_run=dry_run, block=block)
        return await self._api.model(Accepted, _student(student_id), "DELETE", params=params)

    async def erasures(self) -> tuple[str, ...]:
        """Return the tombstones of all persons who were erased."""
        erasures = await self._api.model(Erasures, "/v1/erasures")
        return erasures.tombstones

    async def replay_erasures(self) -> Accepted:
        """Erase all persons again who were erased before, for example after a backup was restored."""
        return await self._api.model(Accepted, "/v1/erasures/replay", "POST")

    async def admit(self, student_id: str) -> Accepted:
        """Allow records of a student again who was erased."""
        return await self._api.model(
            Accepted, f"/v1/erasures/{quote(student_id, safe='')}", "DELETE"
        )

    async def export_person(self, student_id: str) -> Accepted:
        """Export everything that is kept about a student. The result of the task has the name of the `export`."""
        return await self._api.model(Accepted, f"{_student(student_id)}/export", "POST")

    @asynccontextmanager
    async def export(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield an export in chunks. The gateway deletes it afterwards."""
        async with self._api.stream(f"/v1/exports/{name}") as answer:
            yield answer.aiter_bytes()

    async def restrict(self, student_id: str, *, lifted: bool = False) -> Accepted:
        """Restrict a student, who is then neither analysed nor shown, or with `lifted` end the restriction.

        The result of the task says whether the student exists.
        """
        path = f"{_student(student_id)}/restriction"
        if lifted:
            path += "/lift"
        return await self._api.model(Accepted, path, "POST")

    async def restricted(self) -> tuple[str, ...]:
        """Return the ids of all restricted students."""
        restricted = await self._api.model(Restricted, "/v1/restrictions")
        return restricted.students

    # Operation.

    async def dead_letters(self, queue: str | None, limit: int) -> dict[str, Any]:
        """Return the `counts` of dead letters by queue, and the oldest `letters`."""
        return await self._api.json("/v1/dead-letters", params=given(limit=str(limit), queue=queue))

    async def dead_letter(self, queue: str, task_id: str) -> dict[str, Any]:
        return await self._api.json(f"/v1/dead-letters/{queue}/{task_id}")

    async def replay(
        self, queue: str, task_id: str | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """Send one dead letter again, or the oldest `limit` of the queue."""
        if task_id:
            return await self._api.json(f"/v1/dead-letters/{queue}/{task_id}/replay", "POST")
        return await self._api.json(
            f"/v1/dead-letters/{queue}/replay", "POST", params={"limit": limit}
        )

    async def drop(self, queue: str, task_id: str | None = None) -> int:
        """Delete one dead letter, or all of the queue, and return their number."""
        path = f"/v1/dead-letters/{queue}"
        if task_id:
            path += f"/{task_id}"
        answer = await self._api.json(path, "DELETE")
        return int(answer["dropped"])

    async def diagnosis(self) -> Diagnosis:
        """Return the problems that the gateway finds with the servers behind it."""
        return await self._api.model(Diagnosis, "/v1/diagnosis")

    async def graph_check(self) -> Check:
        """Return the problems that insights finds with the graph."""
        return await self._api.model(Check, "/v1/graph/check")

    async def ready(self) -> dict[str, Any]:
        return await self._api.json("/readyz")

    async def version(self) -> dict[str, Any]:
        return await self._api.json("/v1/version")

    async def caller(self) -> CallerAnswer:
        """Return the scopes and roles that the gateway sees for this client's key."""
        return await self._api.model(CallerAnswer, "/v1/caller")


def _report(entry: Mapping[str, Any]) -> JobReport:
    return JobReport.model_validate(entry, extra="ignore")


def _student(student_id: str) -> str:
    return f"/v1/students/{quote(student_id, safe='')}"


def _insight(question: str) -> str:
    return f"/v1/insights/{quote(question, safe='')}"


def _asked(parameters: Mapping[str, Parameter], purpose: str) -> dict[str, Any]:
    """Return the query and headers of a question. A purpose with letters outside ASCII is percent-encoded."""
    purpose_header = quote(purpose, safe=" ,.:;/()")
    return {"params": as_query(parameters), "headers": given(**{"X-Purpose": purpose_header})}
