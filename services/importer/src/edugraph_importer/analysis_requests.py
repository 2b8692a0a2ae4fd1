"""Requests to the analyzer to read the texts of imported records.

If a batch refers to its stored rows, its requests refer to the same rows, and they wait in Redis until the window of
the job has room. If the message of a batch contains the records (at most 64 KiB), its requests contain them too and
are sent at once (docs/adr/0025-analysis-window.md).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery import Celery
from pydantic import TypeAdapter

from edugraph_common.contracts.findings import Kind, kind_to_read
from edugraph_common.contracts.messages import (
    IMPORT_CONTENT_PACK,
    PACK_RECORDS,
    REQUEST_CONTENT_PACK,
    Analysis,
    AnalysisBatch,
    AnalysisWindow,
    CourseContext,
    ImportBatch,
    own_contexts,
)
from edugraph_common.contracts.records import Record, course_ids_of
from edugraph_common.contracts.routes import BATCH_TASKS
from edugraph_common.runtime.messaging.publisher import send, task_id_for
from edugraph_common.runtime.shared_state.analysis_window import START, AnalysisWindows
from edugraph_common.runtime.shared_state.object_store import Blobs

CONTEXTS = TypeAdapter(tuple[CourseContext, ...])
# The fields that each request has from its batch.
_HANDED_ON = (
    "job_id",
    "traceparent",
    "deadline",
    "batch",
    "rows",
    "accepted_at",
    "acceptance",
    "generation",
    "economy",
)


def contexts_key(job_id: str, batch: int) -> str:
    return f"jobs/{job_id}/contexts/{batch:08d}.json"


@dataclass(frozen=True)
class AnalysisRequests:
    """Sends the requests of batches. `course_contexts` maps ids of courses to what the graph knows about them."""

    app: Celery
    windows: AnalysisWindows
    blobs: Blobs
    course_contexts: Callable[[Sequence[str]], tuple[CourseContext, ...]]
    now: Callable[[], datetime]

    def ask(
        self, message: ImportBatch, records: Sequence[Record], left_out: Sequence[int] = ()
    ) -> int:
        """Ask the analyzer to read each of the `records` that has a text. Return the number of these records.

        `left_out` has the lines of the batch that the graph refused. Their records are not in `records`.

        Asking twice is harmless: packs have names, and each is counted once. A job that was cancelled, resumed or
        lost meanwhile asks for nothing here, since it asks for the batch again when it continues.
        """
        kinds: Counter[Kind] = Counter()
        course_ids: set[str] = set()  # the courses whose context is sent
        for record in records:
            kind = kind_to_read(record)
            if kind is None:
                continue
            kinds[kind] += 1
            course_ids.update(course_ids_of(record))
        if not kinds:
            return 0
        contexts = self.course_contexts(sorted(course_ids))
        common: dict[str, Any] = {name: getattr(message, name) for name in _HANDED_ON}
        if message.texts is not None:
            common["share_percent"] = message.texts.share_percent
        if message.economy:
            # A batch request to the model provider takes many records, so that its files are worth their cost.
            common["pack_records"] = PACK_RECORDS
        requests = [
            AnalysisBatch(**common, kind=kind, expected=kinds[kind])
            for kind in sorted(kinds, key=order_of)
        ]
        if message.rows is None:
            # The records have the keys of their source, and the values of the message have not.
            values = tuple(record.to_json() for record in records)
            self._send_at_once(requests, values, records, contexts)
            return kinds.total()
        if left_out:
            requests = [
                request.model_copy(update={"left_out": tuple(left_out)}) for request in requests
            ]
        self._let_wait(requests, contexts)
        return kinds.total()

    def _let_wait(
        self, requests: Sequence[AnalysisBatch], contexts: tuple[CourseContext, ...]
    ) -> None:
        first = requests[0]
        key = contexts_key(first.job_id, first.batch)
        if contexts:
            with self.blobs.write(key) as file:
                file.write(CONTEXTS.dump_json(contexts))
        complete = list[AnalysisBatch]()
        for request in requests:
            additions: dict[str, Any] = {}
            if contexts:
                additions["contexts_key"] = key
            if request.kind == "knowledge_points":
                additions["pack_records"] = contents_in_message(economy=request.economy)
            complete.append(request.model_copy(update=additions))
        asked_by = f"batch-{first.batch}"
        if self.windows.ask(complete, asked_by) != "start":
            return
        names = ("job_id", "traceparent", "deadline", "generation", "economy")
        start = AnalysisWindow(**{name: getattr(first, name) for name in names})
        task_id = task_id_for(first.job_id, f"window-{first.generation}-{first.batch}")
        send(self.app, "continue_analysis_task", start, task_id=task_id)
        self.windows.sent(first.job_id, asked_by, START)

    def _send_at_once(
        self,
        requests: Sequence[AnalysisBatch],
        values: tuple[dict[str, Any], ...],
        records: Sequence[Record],
        contexts: tuple[CourseContext, ...],
    ) -> None:
        for request in requests:
            if request.kind == "knowledge_points":
                self._send_course_texts(request, records, contexts)
                continue
            whole = request.model_copy(update={"records": values, "contexts": contexts})
            task_id = task_id_for(request.job_id, f"analysis-{request.kind}-{request.batch}")
            send(self.app, BATCH_TASKS[request.kind], whole, task_id=task_id)

    def _send_course_texts(
        self, request: AnalysisBatch, records: Sequence[Record], contexts: tuple[CourseContext, ...]
    ) -> None:
        """Send the course texts among the records in packs."""
        names = (
            "job_id",
            "traceparent",
            "deadline",
            "acceptance",
            "generation",
            "kind",
            "economy",
            "share_percent",
        )
        common: dict[str, Any] = {name: getattr(request, name) for name in names}
        texts = [record for record in records if kind_to_read(record) == "knowledge_points"]
        size = contents_in_message(economy=request.economy)
        packs: dict[str, Sequence[Record]] = {}
        for number, start in enumerate(range(0, len(texts), size)):
            packs[f"knowledge_points-{request.batch}-{number}"] = texts[start : start + size]
        self.windows.texts_sent(request.job_id, list(packs), self.now())
        for name, pack in packs.items():
            message = Analysis(
                **common,
                pack=name,
                records=tuple(record.to_json() for record in pack),
                contexts=own_contexts(pack, contexts),
            )
            send(
                self.app,
                "extract_knowledge_points_task",
                message,
                task_id=task_id_for(request.job_id, name),
            )


def order_of(kind: Kind) -> tuple[bool, str]:
    """Return the sort key of a kind. Course texts come first, since the other texts of the job wait for them."""
    return kind != "knowledge_points", kind


def contents_in_message(*, economy: bool) -> int:
    """Return how many course texts are sent in one message."""
    if economy:
        return REQUEST_CONTENT_PACK
    return IMPORT_CONTENT_PACK
