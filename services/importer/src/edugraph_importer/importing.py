"""What the importer does, apart from how its work arrives: split, write a batch, sum up, write findings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from celery import Celery

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.events import Event, EventType
from edugraph_common.contracts.messages import Findings, ImportAggregate, ImportBatch, ImportJob
from edugraph_common.contracts.outcomes import (
    AnalysisProgress,
    BatchOutcome,
    FindingsOutcome,
    ImportReport,
    JobReport,
)
from edugraph_common.contracts.records import ErrorRecord, Record
from edugraph_common.messaging.publisher import emit, send, task_id_for
from edugraph_common.platform.job_store import Jobs
from edugraph_common.platform.object_store import Blobs
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_importer import counting
from edugraph_importer.asking import ask
from edugraph_importer.erasing import erase_from_blobs
from edugraph_importer.graph import Graph, RecordBatch
from edugraph_importer.reading import read_batch, store_rejects
from edugraph_importer.splitting import count_batches, window

log = structlog.get_logger("edugraph.importer")


@dataclass(frozen=True)
class Importer:
    """One per process. `now` gives aware times."""

    app: Celery
    graph: Graph
    jobs: Jobs
    blobs: Blobs
    now: Callable[[], datetime]

    def plan(self, job: ImportJob) -> tuple[list[ImportBatch], ImportAggregate] | None:
        """The next window of batches, and what sums them up; None when the job has ended.

        A file that is unusable as a whole ends its job and is no dead letter: that would count against the importer.
        """
        if self.jobs.is_cancelled(job.job_id):
            return None
        try:
            total = count_batches(self.blobs, job)
        except MalformedFile as problem:
            self.fail(job.job_id, str(problem))
            return None
        if job.next_batch == 0:
            self.graph.prepare()
        if not self.jobs.begin(job.job_id, total, self.now()):
            return None
        end = min(job.next_batch + job.parallel_batches, total)
        after = ImportAggregate(
            job_id=job.job_id, traceparent=job.traceparent, job=job, batches=total, window_end=end
        )
        return window(self.blobs, job, end), after

    def write_batch(self, message: ImportBatch) -> BatchOutcome:
        """A batch of a job that was cancelled meanwhile is left out."""
        if self.jobs.is_cancelled(message.job_id):
            return BatchOutcome(job_id=message.job_id, batch=message.batch, state="cancelled")
        with counting.step("read"):
            found = read_batch(self.blobs, message)
        with counting.step("write"), counting.repeats_of(self.graph):
            written = self.graph.write_batch(found.graph)
        outcome = written.model_copy(update={"not_relevant": found.not_relevant})
        self._store_rejects(found.graph, outcome)
        if message.analyze:
            records = [record for _, record in found.graph.records]
            asked = ask(self.app, message, records, self.graph.course_contexts(_courses(records)))
            outcome = outcome.model_copy(update={"analysis_expected": asked})
        with counting.step("settle"):
            self._settle(outcome, [record.type for _, record in found.graph.records])
        return outcome

    def batch_failed(self, message: ImportBatch, reason: str) -> BatchOutcome:
        """The outcome of a batch that was given up; its job goes on."""
        read = len(message.records) if message.records is not None else self._count(message)
        outcome = BatchOutcome(
            job_id=message.job_id, batch=message.batch, state="failed", read=read, failed=read, error=reason
        )
        self._settle(outcome)
        return outcome

    def sum_up(self, message: ImportAggregate) -> ImportReport:
        """Continue with the next window, or end the import. Raises Rejected for a job that Redis does not know."""
        if not self.jobs.is_cancelled(message.job_id):
            self._go_on(message)
        report = self.jobs.report(message.job_id, self.now())
        if report is None:
            raise Rejected("Redis does not know this job; what was written stays in the graph")
        return _import_report(report)

    def _go_on(self, message: ImportAggregate) -> None:
        job = message.job
        self._settle_lost(message)
        if message.window_end < message.batches:
            following = job.model_copy(update={"next_batch": message.window_end})
            step = f"split-{message.window_end}"
            send(self.app, "import_records_with_callback", following, task_id=task_id_for(job.job_id, step))
        else:
            self.jobs.imported(job.job_id, self.now())
        self._finish(job.job_id)

    def fail(self, job_id: str, reason: str) -> None:
        """End the whole job."""
        self.jobs.fail(job_id, reason, self.now())
        self._ended(job_id, "failed")

    def write_findings(self, message: Findings) -> FindingsOutcome:
        with counting.repeats_of(self.graph):
            outcome = self.graph.write_findings(message)
        self._settle_pack(message, len(message.findings), message.failed, message.error)
        return outcome

    def forget(self, student_id: str) -> dict[str, Any]:
        """How much was removed: from the graph by label, and from the blob store; and what was left of it, and why.

        Doing it again removes nothing. Raises Wait while another student is being forgotten: both would replace the
        same files.
        """
        with self.jobs.erasing() as go_on:
            removed = self.graph.forget(student_id)
            erased = erase_from_blobs(self.blobs, student_id, self.jobs.is_open, go_on)
        return {**removed, **erased.to_json()}

    def findings_failed(self, message: Findings, reason: str) -> FindingsOutcome:
        number = len(message.findings) + message.failed
        self._settle_pack(message, 0, number, reason)
        return FindingsOutcome(job_id=message.job_id, pack=message.pack, state="failed", failed=number, error=reason)

    def _settle_lost(self, message: ImportAggregate) -> None:
        """Batches of the window whose tasks all ended, but one without settling its batch: it was revoked, say."""
        lost = self.jobs.unsettled(message.job_id, range(message.job.next_batch, message.window_end))
        if lost:
            for batch in window(self.blobs, message.job, message.window_end):
                if batch.batch in lost:
                    self.batch_failed(batch, "its task ended without an outcome")

    def _store_rejects(self, batch: RecordBatch, outcome: BatchOutcome) -> None:
        """All that were set aside: by their form, and by the graph."""
        by_graph = outcome.rejected > len(batch.rejects)
        conflicts = self.graph.set_aside(batch.job_id, batch.batch) if by_graph else ()
        store_rejects(self.blobs, batch.job_id, batch.batch, [*batch.rejects, *conflicts])

    def _settle(self, outcome: BatchOutcome, types: Sequence[str] = ()) -> None:
        if self.jobs.settle_batch(outcome, self.now()):
            counting.batch(outcome, types)
        shown = outcome.model_dump(mode="json", exclude={"errors"})
        self._emit("io.edugraph.batch.completed", outcome.job_id, shown, f"batch-{outcome.batch}")
        self._finish(outcome.job_id)

    def _settle_pack(self, message: Findings, done: int, failed: int, error: str | None) -> None:
        origins = [found.origin for found in message.findings]
        progress = AnalysisProgress(
            done=done,
            failed=failed,
            cached=sum(origin.cached for origin in origins),
            input_tokens=sum(origin.input_tokens for origin in origins),
            output_tokens=sum(origin.output_tokens for origin in origins),
            cost=sum(origin.cost for origin in origins),
        )
        if self.jobs.settle_pack(message.job_id, message.pack, progress, self.now(), error):
            counting.findings(done, failed)
        shown = {"job_id": message.job_id, "pack": message.pack, "done": done, "failed": failed}
        self._emit("io.edugraph.analysis.completed", message.job_id, shown, message.pack)
        self._finish(message.job_id)

    def _finish(self, job_id: str) -> None:
        state = self.jobs.finish_if_complete(job_id, self.now())
        if state:
            self._ended(job_id, state)

    def _ended(self, job_id: str, state: str) -> None:
        counting.job(state)
        self._emit("io.edugraph.import.completed", job_id, {"job_id": job_id, "state": state}, state)

    def _emit(self, kind: EventType, job_id: str, data: dict[str, object], step: str) -> None:
        event_id = task_id_for(job_id, f"{kind}:{step}")
        emit(
            self.app,
            Event(id=event_id, source="/edugraph/importer", type=kind, subject=job_id, time=self.now(), data=data),
        )

    def _count(self, message: ImportBatch) -> int:
        """Rows of a failed batch, so that the job's sums add up; 0 where even they cannot be read.

        Whatever keeps them from being read must not keep the batch from being settled as failed.
        """
        try:
            return read_batch(self.blobs, message).graph.read
        except Exception as error:  # noqa: BLE001 - a failed batch fails its job, however many rows are counted
            log.warning("rows_not_counted", batch=message.batch, error=type(error).__name__)
            return 0


def _courses(records: list[Record]) -> list[str]:
    errors = (record.data for record in records if isinstance(record.data, ErrorRecord))
    return sorted({course for data in errors for course in data.courses})


def _import_report(report: JobReport) -> ImportReport:
    seconds = max((report.updated - report.created).total_seconds(), 0.001)
    same = ("job_id", "batches", "failed_batches", "read", "written", "unchanged", "rejected", "failed")
    return ImportReport(
        **{name: getattr(report, name) for name in (*same, "by_type", "reasons", "not_relevant", "errors")},
        seconds=seconds,
        records_per_second=report.read / seconds,
    )
