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

from edugraph_common.contracts.findings import KINDS_WITH_CONTEXTS, Kind, kind_to_read
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
from edugraph_common.messaging.publisher import send, task_id_for
from edugraph_common.platform.analysis_window import START, AnalysisWindows
from edugraph_common.platform.object_store import Blobs

CONTEXTS = TypeAdapter(tuple[CourseContext, ...])


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

    def ask(self, message: ImportBatch, records: Sequence[Record], left_out: Sequence[int] = ()) -> int:
        """Ask the analyzer to read each of the `records` that has a text. Return the number of these records.

        `left_out` has the lines of the batch that the graph refused. Their records are not in `records`.

        Asking twice is harmless: packs have names, and each is counted once. A job that was cancelled, resumed or
        lost meanwhile asks for nothing here, since it asks for the batch again when it continues.
        """
        kinds = Counter(kind for record in records if (kind := kind_to_read(record)))
        if not kinds:
            return 0
        told = (record for record in records if kind_to_read(record) in KINDS_WITH_CONTEXTS)
        contexts = self.course_contexts(sorted({course_id for record in told for course_id in course_ids_of(record)}))
        moments = ("accepted_at", "acceptance", "generation")
        handed_on = ("job_id", "traceparent", "deadline", "batch", "rows", *moments, "economy")
        common: dict[str, Any] = {name: getattr(message, name) for name in handed_on}
        # A batch request to the model provider takes many records, so that its files are worth their cost.
        common |= {"pack_records": PACK_RECORDS} if message.economy else {}
        # Course texts come first, since the mistakes of the job wait for them.
        in_order = sorted(kinds.items(), key=lambda each: (each[0] != "knowledge_points", each[0]))
        requests = [AnalysisBatch(**common, kind=kind, expected=number) for kind, number in in_order]
        if message.rows is None:
            lines = enumerate(message.records or (), start=message.first_line)
            values = tuple(value for line, value in lines if line not in left_out)
            self._send_at_once(requests, values, records, contexts)
        else:
            if left_out:
                requests = [each.model_copy(update={"left_out": tuple(left_out)}) for each in requests]
            self._let_wait(requests, contexts)
        return kinds.total()

    def _let_wait(self, requests: Sequence[AnalysisBatch], contexts: tuple[CourseContext, ...]) -> None:
        first = requests[0]
        told: dict[Kind, dict[str, Any]] = {"knowledge_points": {"pack_records": _contents(first)}}
        if contexts:
            key = contexts_key(first.job_id, first.batch)
            with self.blobs.write(key) as file:
                file.write(CONTEXTS.dump_json(contexts))
            for kind in KINDS_WITH_CONTEXTS:
                told.setdefault(kind, {})["contexts_key"] = key
        by = f"batch-{first.batch}"
        complete = [request.model_copy(update=told.get(request.kind, {})) for request in requests]
        if self.windows.ask(complete, by) != "start":
            return
        names = ("job_id", "traceparent", "deadline", "generation", "economy")
        start = AnalysisWindow(**{name: getattr(first, name) for name in names})
        task_id = task_id_for(first.job_id, f"window-{first.generation}-{first.batch}")
        send(self.app, "continue_analysis_task", start, task_id=task_id)
        self.windows.sent(first.job_id, by, START)

    def _send_at_once(
        self,
        requests: Sequence[AnalysisBatch],
        values: tuple[dict[str, Any], ...],
        records: Sequence[Record],
        contexts: tuple[CourseContext, ...],
    ) -> None:
        for request in requests:
            if request.kind != "knowledge_points":
                known = contexts if request.kind in KINDS_WITH_CONTEXTS else ()
                whole = request.model_copy(update={"records": values, "contexts": known})
                task_id = task_id_for(request.job_id, f"analysis-{request.kind}-{request.batch}")
                send(self.app, BATCH_TASKS[request.kind], whole, task_id=task_id)
                continue
            names = ("job_id", "traceparent", "deadline", "acceptance", "generation", "kind", "economy")
            common: dict[str, Any] = {name: getattr(request, name) for name in names}
            contents = [record for record in records if kind_to_read(record) == "knowledge_points"]
            size = _contents(request)
            packs = [contents[start : start + size] for start in range(0, len(contents), size)]
            named = {f"knowledge_points-{request.batch}-{number}": pack for number, pack in enumerate(packs)}
            self.windows.texts_sent(request.job_id, list(named), self.now())
            for name, pack in named.items():
                message = Analysis(
                    **common,
                    pack=name,
                    records=tuple(record.to_json() for record in pack),
                    contexts=own_contexts(pack, contexts),
                )
                send(self.app, "extract_knowledge_points_task", message, task_id=task_id_for(request.job_id, name))


def _contents(request: AnalysisBatch) -> int:
    """Return how many course texts are sent in one message."""
    return REQUEST_CONTENT_PACK if request.economy else IMPORT_CONTENT_PACK
