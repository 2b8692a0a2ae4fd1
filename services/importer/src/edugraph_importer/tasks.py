"""The importer's tasks. Each task parses its message, calls the importer and returns its answer.

The base class decides how a failure is handled.
"""

from functools import partial
from typing import Any, cast

from celery import chord, group, shared_task

from edugraph_common.contracts.messages import (
    AdmitPerson,
    CheckWorker,
    CleanJob,
    CourseMembersRequest,
    DeriveGraph,
    EndOldRecords,
    ErasePerson,
    ExportStudent,
    Findings,
    ImportAggregate,
    ImportBatch,
    ImportJob,
    LiveBatch,
    Message,
    ProposedPairs,
    ProposeSame,
    ReadAgain,
    RemoveFromGraph,
    RenameInGraph,
    ReplayErasures,
    RestrictStudent,
    SettlePrerequisites,
    SplitSource,
    UndoImport,
    WriteReviews,
)
from edugraph_common.contracts.routes import CHECK_TASKS, URGENT
from edugraph_common.runtime.messaging.celery_app import App
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.messaging.task_base import EduGraphTask
from edugraph_common.runtime.messaging.worker.self_check import check_worker
from edugraph_importer.graph import Cause
from edugraph_importer.service import Importer

# The messages that carry out a caller's request, except DeriveGraph.
ForCaller = ErasePerson | RemoveFromGraph | RenameInGraph | ReplayErasures | UndoImport


class DataImportTask(EduGraphTask):
    """The base of the importer's tasks. `importer` connects at its first use in each process, after the fork."""

    abstract = True

    @property
    def importer(self) -> Importer:
        return cast("Importer", cast("App", self.app).work())

    def on_given_up(self, message: Message, reason: str) -> None:
        if isinstance(message, ImportBatch):
            self.importer.batch_failed(message, reason)
        elif isinstance(message, LiveBatch):
            self.importer.live_failed(message, reason)
        elif isinstance(message, ImportJob):
            self.importer.fail_import(message, reason)
        elif isinstance(message, ImportAggregate):
            self.importer.fail_import(message.job, reason)
        elif isinstance(message, Findings):
            self.importer.findings_failed(message, reason)

    def on_waiting(self, message: Message, reason: str, until: float) -> None:
        self.importer.jobs.waits(message.job_id, reason, until, self.importer.now())


def _cause_of(message: ForCaller, by: str) -> Cause:
    return Cause(message.client, by, message.job_id, message.marks)


@shared_task(base=DataImportTask, bind=True, name="import_batch_task", contract=ImportBatch)
def import_batch_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Write one batch. Return its BatchOutcome."""
    return self.importer.write_batch(self.parse(ImportBatch, body)).model_dump(mode="json")


@shared_task(base=DataImportTask, bind=True, name="import_live_task", contract=LiveBatch)
def import_live_task(self: DataImportTask, body: Any) -> dict[str, int]:
    """Write a live batch. Return the number of its `parts`."""
    return {"parts": self.importer.write_live(self.parse(LiveBatch, body))}


def _import_window(self: DataImportTask, body: Any) -> str:
    """Import a window of batches as a chord that ends in aggregate_import_results.

    Return the task id of the chord, or an empty text if nothing is sent: the job was cancelled, its file is unusable,
    or its file has to be split first.
    """
    planned = self.importer.plan(self.parse(ImportJob, body))
    if planned is None:
        return ""
    batches, after = planned
    step = f"aggregate-{after.window_end}"
    callback = aggregate_import_results.s(after.model_dump(mode="json"))
    callback.set(task_id=task_id_for(after.job_id, step))
    # If a batch ends as FAILURE, Celery does not run the chord's body. The error callback runs instead and settles
    # that batch.
    instead = aggregate_import_results.si([], after.model_dump(mode="json"))
    callback.on_error(instead.set(task_id=task_id_for(after.job_id, f"{step}-instead")))
    with self.importer.sending(after.job):
        if not batches:
            return str(callback.clone(args=([],)).apply_async().id)
        return str(chord([_signature(batch, after.batches) for batch in batches])(callback).id)


_window_task = partial(shared_task, base=DataImportTask, bind=True, contract=ImportJob)
import_records_with_callback = _window_task(name="import_records_with_callback")(_import_window)
# Begins a job again that Redis has lost. The task has a routing key of its own, because analyzers send it too and
# their user of the broker has no permission for other import tasks.
begin_import_again_task = _window_task(name="begin_import_again_task")(_import_window)


@shared_task(base=DataImportTask, bind=True, name="import_records_async", contract=ImportJob)
def import_records_async(self: DataImportTask, body: Any) -> str:
    """Import all batches as a group, without a callback. Return the group's id."""
    # Without a callback nothing would start a next window, so all batches are sent at once.
    planned = self.importer.plan(self.parse(ImportJob, body), at_once=True)
    if planned is None:
        return ""
    batches, after = planned
    with self.importer.sending(after.job):
        self.importer.jobs.imported(after.job_id, self.importer.now())
        return str(group([_signature(batch, after.batches) for batch in batches]).apply_async().id)


@shared_task(base=DataImportTask, bind=True, name="split_source_task", contract=SplitSource)
def split_source_task(self: DataImportTask, body: Any) -> None:
    """Split a large source into batches, and start its import."""
    self.importer.split(self.parse(SplitSource, body))


@shared_task(
    base=DataImportTask, bind=True, name="aggregate_import_results", contract=ImportAggregate
)
def aggregate_import_results(
    self: DataImportTask, _outcomes: list[Any], body: Any
) -> dict[str, Any]:
    """Sum up a window as the body of its chord, then continue or end the job. Return an ImportReport."""
    return self.importer.sum_up(self.parse(ImportAggregate, body)).model_dump(mode="json")


@shared_task(base=DataImportTask, bind=True, name="record_findings_task", contract=Findings)
def record_findings_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Write the findings of one pack. Return a FindingsOutcome."""
    return self.importer.write_findings(self.parse(Findings, body)).model_dump(mode="json")


@shared_task(base=DataImportTask, bind=True, name="propose_same_task", contract=ProposeSame)
def propose_same_task(self: DataImportTask, body: Any) -> dict[str, int]:
    """Ask the analyzer to compare the names of knowledge points.

    Return the number of `points` that it compares and the number that is `left_out`.
    """
    return self.importer.compare_points(self.parse(ProposeSame, body).job_id)


@shared_task(base=DataImportTask, bind=True, name="record_proposals_task", contract=ProposedPairs)
def record_proposals_task(self: DataImportTask, body: Any) -> dict[str, int]:
    """Write the pairs of points that may mean the same. The analyzer found them. Return how many are `proposed`."""
    return self.importer.write_proposals(self.parse(ProposedPairs, body))


@shared_task(base=DataImportTask, bind=True, name="derive_graph_task", contract=DeriveGraph)
def derive_graph_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Check derived data of the graph against its records, or derive it again. Return the differences."""
    message = self.parse(DeriveGraph, body)
    # A rebuild restores what the records say. It is not refused if the caller leads a group by them.
    cause = Cause(message.client, f"the rebuild {message.job_id}")
    return self.importer.derive_anew(message.job_id, repair=message.repair, cause=cause)


@shared_task(
    base=DataImportTask, bind=True, name="remove_from_graph_task", contract=RemoveFromGraph
)
def remove_from_graph_task(self: DataImportTask, body: Any) -> dict[str, int | bool]:
    """Remove a course or a group from the graph. Return what was removed and left, and whether all is done."""
    message = self.parse(RemoveFromGraph, body)
    cause = _cause_of(message, f"the removal {message.job_id}")
    return self.importer.remove_from_graph(message.of, message.node_id, message.job_id, cause)


@shared_task(
    base=DataImportTask, bind=True, name="settle_prerequisites_task", contract=SettlePrerequisites
)
def settle_prerequisites_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Settle persons and prerequisites, and end the jobs that wait for this. Return SettledPrerequisites."""
    return self.importer.settle_prerequisites(
        self.parse(SettlePrerequisites, body).job_id
    ).model_dump(mode="json")


@shared_task(base=DataImportTask, bind=True, name="rename_in_graph_task", contract=RenameInGraph)
def rename_in_graph_task(self: DataImportTask, body: Any) -> dict[str, int | bool | str | None]:
    """Give a node another id. Return what was moved, whether the work is finished, or why nothing was done."""
    message = self.parse(RenameInGraph, body)
    cause = _cause_of(message, f"the renaming {message.job_id}")
    return self.importer.rename_in_graph(
        message.of, message.node_id, message.new_id, merge=message.merge, cause=cause
    )


@shared_task(base=DataImportTask, bind=True, name="read_again_task", contract=ReadAgain)
def read_again_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Start a job that reads the texts of a course again, or estimate its cost. Return TextsAgain."""
    message = self.parse(ReadAgain, body)
    outcome = self.importer.read_again(message)
    return outcome.model_dump(mode="json")


@shared_task(base=DataImportTask, bind=True, name="end_old_records_task", contract=EndOldRecords)
def end_old_records_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Delete data whose retention is over. Return the number of each kind, and whether the work is finished."""
    self.parse(EndOldRecords, body)
    return self.importer.end_old_records()


@shared_task(base=DataImportTask, bind=True, name="write_reviews_task", contract=WriteReviews)
def write_reviews_task(self: DataImportTask, body: Any) -> dict[str, int]:
    """Write reviews; the last one about each thing counts. Return the number of `reviews`."""
    message = self.parse(WriteReviews, body)
    self.importer.write_reviews(message.reviews, message.job_id)
    return {"reviews": len(message.reviews)}


@shared_task(base=DataImportTask, bind=True, name="undo_import_task", contract=UndoImport)
def undo_import_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Undo an import. Return how many records were taken back, came back, and were not restored."""
    message = self.parse(UndoImport, body)
    cause = _cause_of(message, f"the undo of job {message.import_id}")
    return self.importer.undo_import(message.import_id, cause)


@shared_task(base=DataImportTask, bind=True, name="export_student_task", contract=ExportStudent)
def export_student_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Write all data about a student into a ZIP in the blob store. Return the name of the export."""
    message = self.parse(ExportStudent, body)
    return self.importer.export_student(message.job_id, message.student_id)


@shared_task(base=DataImportTask, bind=True, name="restrict_student_task", contract=RestrictStudent)
def restrict_student_task(self: DataImportTask, body: Any) -> dict[str, bool]:
    """Restrict the use of a student's data, or lift the restriction. Return whether the student was `found`."""
    message = self.parse(RestrictStudent, body)
    return self.importer.restrict_student(message.student_id, restricted=not message.lifted)


@shared_task(
    base=DataImportTask, bind=True, name="tell_course_members_task", contract=CourseMembersRequest
)
def tell_course_members_task(self: DataImportTask, body: Any) -> None:
    """Write the members of some courses to Redis, where the analyzer reads them."""
    self.importer.tell_course_members(self.parse(CourseMembersRequest, body).course_ids)


@shared_task(base=DataImportTask, bind=True, name="erase_person_task", contract=ErasePerson)
def erase_person_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Erase a person by all their ids from every store. Return what was removed, and what was left and why."""
    asked = self.parse(ErasePerson, body)
    cause = _cause_of(asked, f"the erasure {asked.job_id}")
    return self.importer.erase_person(
        asked.ids, asked.names, dry_run=asked.dry_run, block=asked.block, cause=cause
    )


@shared_task(base=DataImportTask, bind=True, name="admit_person_task", contract=AdmitPerson)
def admit_person_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Allow records of an erased person to be imported again."""
    return self.importer.erasure.admit(self.parse(AdmitPerson, body).ids)


@shared_task(base=DataImportTask, bind=True, name="replay_erasures_task", contract=ReplayErasures)
def replay_erasures_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Repeat all erasures and undos. Return what a restored backup had brought back."""
    asked = self.parse(ReplayErasures, body)
    cause = _cause_of(asked, f"the replay {asked.job_id}")
    return self.importer.replay_erasures(asked.job_id, cause)


@shared_task(base=DataImportTask, bind=True, name="clean_job_task", contract=CleanJob)
def clean_job_task(self: DataImportTask, body: Any) -> dict[str, Any]:
    """Remove erased persons from the files and texts of an ended job. Return what was removed."""
    return self.importer.erasure.clean(self.parse(CleanJob, body).job_id)


def _check_worker(self: EduGraphTask, body: Any) -> dict[str, Any]:
    """Return the WorkerAnswer of this process."""
    self.parse(CheckWorker, body)
    return check_worker(self.app, str(self.request.hostname)).model_dump(mode="json")


_check_task = partial(shared_task, base=EduGraphTask, bind=True, contract=CheckWorker)
check_importer_task = _check_task(name=CHECK_TASKS["importer"])(_check_worker)
check_splits_task = _check_task(name=CHECK_TASKS["splits"])(_check_worker)
check_findings_task = _check_task(name=CHECK_TASKS["findings"])(_check_worker)


def _signature(batch: ImportBatch, of: int) -> Any:
    """Return the task of one of `of` batches. The only batch of a small job runs before the batches of large jobs."""
    signature = import_batch_task.s(batch.model_dump(mode="json"))
    signature.set(task_id=task_id_for(batch.job_id, f"batch-{batch.batch}"))
    if of == 1:
        return signature.set(priority=URGENT)
    return signature
