"""Requests to the analyzer to read what was imported: they refer to the batch's rows, or carry a few records."""

from collections import Counter
from collections.abc import Sequence

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


def request_analysis(
    app: Celery, message: ImportBatch, records: Sequence[Record], contexts: tuple[CourseContext, ...]
) -> int:
    """Return how many records will be read. Asking twice is harmless: packs are named, and are counted once."""
    kinds = Counter(kind for record in records if (kind := kind_to_read(record)))
    common = {"job_id": message.job_id, "traceparent": message.traceparent, "deadline": message.deadline}
    for kind, task in BATCH_TASKS.items():
        if kinds[kind]:
            batch_request = AnalysisBatch(
                **common,
                batch=message.batch,
                kind=kind,
                rows=message.rows,
                records=message.records,
                contexts=contexts if kind == "error" else (),
                expected=kinds[kind],
                accepted_at=message.accepted_at,
            )
            task_id = task_id_for(message.job_id, f"analysis-{kind}-{message.batch}")
            send(app, task, batch_request, task_id=task_id)
    contents = [record for record in records if kind_to_read(record) == "knowledge_points"]
    for start in range(0, len(contents), IMPORT_CONTENT_PACK):
        pack = f"knowledge_points-{message.batch}-{start // IMPORT_CONTENT_PACK}"
        request = Analysis(
            **common,
            pack=pack,
            kind="knowledge_points",
            records=tuple(record.to_json() for record in contents[start : start + IMPORT_CONTENT_PACK]),
        )
        send(app, "extract_knowledge_points_task", request, task_id=task_id_for(message.job_id, pack))
    return kinds.total()
