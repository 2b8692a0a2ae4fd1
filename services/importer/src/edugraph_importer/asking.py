"""Asks the analyzer to read what was imported, by messages that refer to the batch's rows or carry a small pack."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from celery import Celery

from edugraph_common.contracts.findings import Kind, kind_to_read
from edugraph_common.contracts.messages import (
    IMPORT_CONTENT_PACK,
    Analysis,
    AnalysisBatch,
    CourseContext,
    ImportBatch,
)
from edugraph_common.contracts.records import Record
from edugraph_common.messaging.publisher import send, task_id_for

BATCH_TASKS: dict[Kind, str] = {
    "interaction": "batch_analyze_interactions_task",
    "error": "batch_analyze_errors_task",
}


def ask(app: Celery, message: ImportBatch, records: Sequence[Record], contexts: tuple[CourseContext, ...]) -> int:
    """Returns how many records will be read. Asking twice is harmless: packs are named and counted once."""
    kinds = Counter(kind for record in records if (kind := kind_to_read(record)))
    for kind in BATCH_TASKS:
        if kinds[kind]:
            _ask_for_batch(app, message, kind, contexts, kinds[kind])
    _ask_for_contents(app, message, [r for r in records if kind_to_read(r) == "knowledge_points"])
    return kinds.total()


def _ask_for_batch(
    app: Celery, message: ImportBatch, kind: Kind, contexts: tuple[CourseContext, ...], expected: int
) -> None:
    request = AnalysisBatch(
        **_shared(message),
        batch=message.batch,
        kind=kind,
        rows=message.rows,
        records=message.records,
        contexts=contexts if kind == "error" else (),
        expected=expected,
    )
    send(app, BATCH_TASKS[kind], request, task_id=task_id_for(message.job_id, f"analysis-{kind}-{message.batch}"))


def _ask_for_contents(app: Celery, message: ImportBatch, records: Sequence[Record]) -> None:
    for start in range(0, len(records), IMPORT_CONTENT_PACK):
        pack = f"knowledge_points-{message.batch}-{start // IMPORT_CONTENT_PACK}"
        request = Analysis(
            **_shared(message),
            pack=pack,
            kind="knowledge_points",
            records=tuple(record.to_json() for record in records[start : start + IMPORT_CONTENT_PACK]),
        )
        send(app, "extract_knowledge_points_task", request, task_id=task_id_for(message.job_id, pack))


def _shared(message: ImportBatch) -> dict[str, Any]:
    return {"job_id": message.job_id, "traceparent": message.traceparent, "deadline": message.deadline}
