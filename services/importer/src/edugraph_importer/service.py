"""The importer's service: it splits a file, writes batches, sums a job up, writes findings and erases students.

How its work arrives is the business of the tasks.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import accumulate
from typing import Any

import structlog
from celery import Celery

from edugraph_common.contracts.errors import Failure, Rejected, Retryable, Wait
from edugraph_common.contracts.events import Event, EventType
from edugraph_common.contracts.messages import (
    COMPARED_POINTS,
    INLINE_BYTES,
    CompareNames,
    Findings,
    ImportAggregate,
    ImportBatch,
    ImportJob,
    NamedPoint,
    ProposedPairs,
    ProposeSame,
    Removable,
    Renamable,
    SettlePrerequisites,
    SplitSource,
)
from edugraph_common.contracts.outcomes import (
    ROW_COUNTS,
    AnalysisProgress,
    BatchOutcome,
    FindingsOutcome,
    ImportReport,
    LeaderChange,
    Reject,
    SettledPrerequisites,
)
from edugraph_common.contracts.records import Record, course_ids_of, parse_record
from edugraph_common.contracts.reviews import Review
from edugraph_common.messaging.lost_jobs import send_lost_job
from edugraph_common.messaging.publisher import LARGEST_BODY, emit, send, task_id_for
from edugraph_common.platform.analysis_window import AnalysisWindows
from edugraph_common.platform.answer_epochs import ALL_COURSES, AnswerEpochs, touched_by
from edugraph_common.platform.audit import Audit
from edugraph_common.platform.course_members import MOST_MEMBERS, CourseMembers, names_by_course
from edugraph_common.platform.job_store import CLAIM_SECONDS, Jobs
from edugraph_common.platform.object_store import (
    EXPORTS,
    Blobs,
    Changed,
    cancelled_key,
    delete_old_exports,
    export_key,
    shown,
)
from edugraph_common.platform.stored_jobs import load_job, store_job
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.rows import as_invalid_record
from edugraph_common.sources.stored import index_persons
from edugraph_importer import telemetry
from edugraph_importer.analysis_requests import AnalysisRequests
from edugraph_importer.batching import (
    count_batches,
    delete_upload,
    expected_rows,
    is_long_to_split,
    is_split,
    read_batch,
    store_rejects,
    window,
)
from edugraph_importer.erasure import MAX_SHOWN, Erasure, forget_lists, tell_restricted
from edugraph_importer.graph import REFUSED, Graph
from edugraph_importer.person_export import Elsewhere, PersonExport
from edugraph_importer.undo import JOBS_FOLDER, replay_undos, undo_import

MOST_SECONDS_ENDING_RECORDS = 600
MOST_SECONDS_COMPACTING = 60
MOST_SECONDS_DERIVING = 600
UNKNOWN_CLIENT = "unknown"  # in the audit log, for a message that does not say who sent it
LOST_ANALYSIS = (
    "Redis lost this job while it was being analysed, and what was done of it is not known any more. What was found "
    "is in the graph; send its records again to have the rest, nothing is written twice."
)
SPLIT_QUEUE_SECONDS = 15.0  # until a large file is sent again to a queue that did not take it
DERIVING = "the prerequisites that its texts changed are being derived"
DERIVING_SECONDS = 60.0  # for which a job is not looked at as lost
FAILED_BATCHES_IN_A_ROW = 20  # after so many, the rest of the job would fail as well; others' queues stay open

log = structlog.get_logger("edugraph.importer")


class SplitEnded(Exception):
    """The job of a file was cancelled or resumed while the file was being split."""


@dataclass(frozen=True)
class Importer:
    """One for each process. `now` gives times with a time zone; `platform_prefixes` are by platform_key.

    `keeps_uploads`: whether an uploaded file stays after it was split.
    """

    app: Celery
    graph: Graph
    jobs: Jobs
    windows: AnalysisWindows
    members: CourseMembers
    epochs: AnswerEpochs
    blobs: Blobs
    erasure: Erasure
    elsewhere: Elsewhere
    now: Callable[[], datetime]
    audit: Audit
    platform_prefixes: Mapping[str, str] = field(default_factory=dict)
    keeps_uploads: bool = False

    def plan(self, job: ImportJob, *, at_once: bool = False) -> tuple[list[ImportBatch], ImportAggregate] | None:
        """Return the next window of batches, and the message that sums them up. Whoever gets it must be `sending` it.

        `at_once`: one window holds all batches. None for a job that was cancelled, for a window that was sent before
        (a message may be delivered twice), and for a large source, which is sent to be split first. Batches that are
        done already are left out. Raises Wait while another process sends the same window.

        A file that is unusable as a whole, or was changed, ends its job. It becomes no dead letter, which would count
        against the importer.
        """
        standing = self.jobs.standing(job.job_id, job.generation)
        if standing in ("cancelled", "stale"):
            return None
        if standing == "unknown":
            # Nothing is known of its batches either. The graph's ledger answers for those that are written.
            job = job.model_copy(update={"next_batch": 0})
            if not self.recreate(job):
                return None
        if is_long_to_split(self.blobs, job):
            self._send_to_be_split(job, at_once=at_once)
            return None
        total = self._scan_at_once(job)
        if total is None:
            return None
        rows = expected_rows(self.blobs, job)
        # The first window makes sure that the constraints exist: without them nothing is written exactly once.
        if job.next_batch == 0:
            self.graph.prepare()
            # People look at the job from now on, while every importer may be at work.
            tell_restricted(self.members, self.graph)
            store_job(self.blobs, job)
            self.audit.record(job.rights.client or UNKNOWN_CLIENT, "job.submit", job.job_id, self.now())
        claim = self.jobs.begin(
            job.job_id,
            total,
            self.now(),
            expected=rows,
            first_batch=job.next_batch,
            generation=job.generation,
        )
        if claim == "unknown":
            # Redis has lost the job since it was looked at, so the job is recreated like any unknown one.
            return self.plan(job, at_once=at_once)
        if claim == "busy":
            raise Wait("another process sends these batches, or died while it did", CLAIM_SECONDS / 4)
        if claim != "begun":
            log.info("window_left_out", batch=job.next_batch, reason=claim)
            return None
        end = total if at_once else min(job.next_batch + job.parallel_batches, total)
        after = ImportAggregate(
            job_id=job.job_id, traceparent=job.traceparent, job=job, batches=total, window_end=end
        )
        still_open = self.jobs.open_batches(job.job_id, range(job.next_batch, end))
        return [batch for batch in window(self.blobs, job, end) if batch.batch in still_open], after

    def _scan_at_once(self, job: ImportJob) -> int | None:
        """Return the number of batches of a job that is inline, small, or split already. None as `_scan`."""
        was_split = job.source is None or is_split(self.blobs, job)
        total = self._scan(job)
        if total is not None and not was_split:
            index_persons(self.blobs, job.job_id)
        return total

    def _send_to_be_split(self, job: ImportJob, *, at_once: bool) -> None:
        then = "import_records_async" if at_once else "import_records_with_callback"
        task_id = task_id_for(job.job_id, f"split-source-{job.generation}")
        try:
            send(self.app, "split_source_task", SplitSource(**dict(job), then=then), task_id=task_id)
        except Retryable as away:
            # During an upgrade from a release without this queue, workers may begin before it is declared.
            raise Wait(f"the file cannot be sent to be split: {away.reason}", SPLIT_QUEUE_SECONDS) from away

    def split(self, message: SplitSource) -> None:
        """Find where the batches of a large source lie, and have its import begin.

        It is done apart from batches and small jobs, which would wait for it (ADR 34).
        """
        if self.jobs.standing(message.job_id, message.generation) in ("cancelled", "stale"):
            log.info("split_left_out", reason="its job was cancelled or resumed")
        elif self._scan(message) is not None:
            job = ImportJob(**message.model_dump(exclude={"then"}))
            task_id = task_id_for(message.job_id, f"after-split-{message.generation}")
            send(self.app, message.then, job, task_id=task_id)
            # The import need not wait for this.
            index_persons(self.blobs, message.job_id)

    def _scan(self, job: ImportJob) -> int | None:
        """Return the number of batches of the whole job.

        None for a file that is unusable, which ends the job, and for a job that was cancelled or resumed meanwhile.
        """

        def go_on() -> None:
            if self.jobs.standing(job.job_id, job.generation) in ("cancelled", "stale"):
                raise SplitEnded

        try:
            total = count_batches(self.blobs, job, self.platform_prefixes, go_on, keeps_upload=self.keeps_uploads)
        except (MalformedFile, Changed) as problem:
            self.fail_import(job, str(problem))
            if not self.keeps_uploads:
                delete_upload(self.blobs, job)  # Nobody can ever read it.
        except SplitEnded:
            log.info("split_left_out", reason="its job was cancelled or resumed")
        else:
            if job.next_batch == 0 and not self.keeps_uploads:
                # The process that split the file may have died before it deleted it.
                delete_upload(self.blobs, job)
            return total
        return None

    @contextmanager
    def sending(self, job: ImportJob) -> Iterator[None]:
        """Around the sending of a planned window: it is sent once, and may be sent again if that failed."""
        try:
            yield
        except BaseException:
            self.jobs.unclaim(job.job_id, job.next_batch)
            raise
        self.jobs.sent(job.job_id, job.next_batch)

    def write_batch(self, message: ImportBatch) -> BatchOutcome:
        """Write a batch, unless its job was cancelled meanwhile, or resumed: then the same batch was sent again."""
        standing = self.jobs.standing(message.job_id, message.generation)
        if standing == "unknown":
            self._begin_again_from(message)
        if standing in ("cancelled", "stale"):
            log.info("batch_left_out", batch=message.batch, reason=standing)
            return BatchOutcome(job_id=message.job_id, batch=message.batch, state="cancelled")
        with telemetry.step("read"):
            found = read_batch(self.blobs, message)
        records = [record for _, record in found.graph.records]
        epoch = self.members.epoch()
        with telemetry.step("write"), telemetry.retries_of(self.graph):
            batch = replace(found.graph, rejects=self.erasure.cleared(message, found.graph.rejects))
            written = self.graph.write_batch(batch)
        # The ledger answers a batch that comes again, so a process that dies here leaves no change out of the log.
        self._note_leaders(message.rights.client, f"job {message.job_id}", written.leaders)
        # Also when the ledger answered: whoever wrote the batch may have died before this line.
        self.epochs.begin(touched_by(records) | ({ALL_COURSES} if batch.withdrawn else set()))
        refused: Sequence[Reject] = ()
        if written.rejected > len(batch.rejects):
            refused = self.graph.rejects(message.job_id, message.batch)
        lines = {reject.line for reject in refused}
        # A list that was told to the analyzer is whole again before any text of this batch is read. Nobody is told of
        # whom the graph refused, nor reads what they wrote: they may have been erased.
        kept = [record for line, record in found.graph.records if line not in lines]
        members = names_by_course(kept)
        self.members.add(members, epoch, self.now())
        outcome = written.model_copy(update={"not_relevant": found.not_relevant, "leaders": ()})
        if REFUSED in outcome.reasons or (found.not_relevant and self.graph.has_erased()):
            # What the graph does not keep may name somebody, too.
            self.jobs.clean_later(message.job_id)
        store_rejects(self.blobs, message.job_id, message.batch, [*batch.rejects, *refused])
        if message.analyze:
            self.tell_course_members(members.keys() - self.members.of(members).keys())
            requests = AnalysisRequests(self.app, self.windows, self.blobs, self.graph.course_contexts, self.now)
            asked = requests.ask(message, kept, sorted(lines))
            outcome = outcome.model_copy(update={"analysis_expected": asked})
        with telemetry.step("settle"):
            types = [record.type for record in records]
            if not self._settle(outcome, types) and self.jobs.unsettled(
                message.job_id, range(message.batch, message.batch + 1)
            ):
                # Redis lost the job while this batch was being written, and nothing else may carry the job on.
                if self.jobs.standing(message.job_id, message.generation) == "unknown":
                    self._begin_again_from(message)
                self._settle(outcome, types)
        return outcome

    def _note_leaders(self, client: str, cause: str, changes: Sequence[LeaderChange]) -> None:
        """Write into the audit log who leads which group now, and whose import or undo made it so."""
        for change in changes:
            verb = "leads" if change.leads else "does not lead"
            what = f"{verb} group {change.group}, by {cause}"
            self.audit.record(client or UNKNOWN_CLIENT, "group.leader", what, self.now(), keyed=change.person)

    def batch_failed(self, message: ImportBatch, reason: str) -> BatchOutcome:
        """Settle a batch that was given up; its job goes on, unless too many failed in a row. Return its outcome.

        All rows that the split saw count as read and failed, also when nobody can read them any more.
        """
        if message.records is not None:
            read = len(message.records)
        elif message.expected is not None:
            read = message.expected
        else:  # the sender is of a release that did not count them
            try:
                read = read_batch(self.blobs, message).graph.read
            except Exception as error:  # noqa: BLE001 - a failed batch fails its job, however many rows are counted
                # Whatever keeps the rows from being counted must not keep the batch from being settled as failed.
                log.warning("rows_not_counted", batch=message.batch, error=type(error).__name__)
                read = 0
        outcome = BatchOutcome(
            job_id=message.job_id, batch=message.batch, state="failed", read=read, failed=read, error=reason
        )
        self._settle(outcome)
        in_a_row = self.jobs.failed_in_a_row(message.job_id)
        if in_a_row >= FAILED_BATCHES_IN_A_ROW:
            why = f"{in_a_row} batches failed one after another, so the rest was left out; the last one: {reason}"
            self._stop(message.job_id, why)
        return outcome

    def _stop(self, job_id: str, reason: str) -> None:
        """End the whole job as failed and leave out the rest of it, unless it has ended."""
        if self.jobs.fail(job_id, reason, self.now(), stop=True):
            log.error("job_stopped", job=job_id, reason=reason)
            self._ended(job_id, "failed")

    def sum_up(self, message: ImportAggregate) -> ImportReport:
        """Continue with the next window, or end the import. Raises Rejected for a job that Redis does not know."""
        job = message.job
        standing = self.jobs.standing(message.job_id, job.generation)
        if standing == "unknown":
            self._begin_again(job)
        elif standing not in ("cancelled", "stale"):
            self._carry_on(message)
        report = self.jobs.report(message.job_id, self.now())
        if report is None:
            # Redis has lost the job since it was looked at.
            self._begin_again(job)
            report = self.jobs.report(message.job_id, self.now())
        if report is None:
            raise Rejected("Redis does not know this job; what was written stays in the graph")
        seconds = max((report.updated - report.created).total_seconds(), 0.001)
        same = (
            "job_id",
            "batches",
            "failed_batches",
            "expected",
            "read",
            *ROW_COUNTS,
            "unknown",
        )
        return ImportReport(
            deriving=report.deriving,
            **{name: getattr(report, name) for name in (*same, "by_type", "reasons", "not_relevant", "errors")},
            seconds=seconds,
            records_per_second=report.read / seconds,
        )

    def _carry_on(self, message: ImportAggregate) -> None:
        """Send the next window, or end the import after the last one.

        Nothing is done for a window that Redis has lost: its job has begun again, or begins again after this.
        """
        job = message.job
        lost = self.jobs.unsettled_of_window(job.job_id, range(job.next_batch, message.window_end))
        if lost is None:
            log.info("window_left_out", batch=job.next_batch, reason="Redis had lost it")
            return
        if lost:
            self._settle_lost(message, lost)
        if message.window_end < message.batches:
            following = job.model_copy(update={"next_batch": message.window_end})
            task_id = task_id_for(job.job_id, f"split-{message.window_end}")
            send(self.app, "import_records_with_callback", following, task_id=task_id)
        else:
            if job.source is not None:
                # A process may have died between the split and this. Without the index an erasure reads all rows.
                with suppress(Rejected):  # Rows that nobody can read have failed their batches.
                    index_persons(self.blobs, job.job_id)
            self.jobs.imported(job.job_id, self.now())
        self._finish(job.job_id)

    def undo_import(self, job_id: str, client: str = "") -> dict[str, Any]:
        """Take back what an import wrote. Raises what `undo.undo_import` does, and Rejected for one that goes on."""
        if self.jobs.is_open(job_id):
            raise Rejected("the import has not ended: cancel it first, then undo it")
        note = partial(self._note_leaders, client, f"the undo of job {job_id}")
        undone = undo_import(self.graph, self.blobs, job_id, note)
        self._send_settler(job_id)
        self.epochs.begin_everywhere()
        return undone

    def replay_erasures(self, request_id: str) -> dict[str, Any]:
        """Erase again all who were erased, and undo again what was undone, after a backup was restored."""
        erased = self.erasure.replay()
        counts, left = replay_undos(self.graph, self.blobs)
        if counts["imports"]:
            self._send_settler(request_id)
            forget_lists(self.members, self.graph)
            self.epochs.begin_everywhere()
        not_undone = [{"store": "graph", "key": job_id, "reason": reason} for job_id, reason in left.items()]
        return {
            **erased,
            "undone": counts,
            "left": (erased["left"] + not_undone)[:MAX_SHOWN],
            "left_in_all": erased["left_in_all"] + len(not_undone),
        }

    def recreate(self, job: ImportJob) -> bool:
        """Make a job that Redis has lost known again, from its message. False if it was cancelled.

        Raises Rejected for a job whose deadline has passed: Redis forgets jobs that are over, and a message which was
        kept for longer must not bring one back.
        """
        if job.deadline is not None and job.deadline < self.now().timestamp():
            raise Rejected("Redis does not know this job, and its deadline has passed; send its file again")
        if self.blobs.exists(cancelled_key(job.job_id)):
            log.info("job_left_out", reason="it was cancelled before Redis lost it")
            return False
        name = shown(job.source).rsplit("/", 1)[-1] if job.source else "inline"
        task = ["import_records_with_callback", job.model_dump(mode="json"), task_id_for(job.job_id, "split")]
        inline = job.records is not None
        if self.jobs.create(
            job.job_id, "import", name, self.now(), tasks=json.dumps([task]), tasks_hold_records=inline
        ):
            log.warning("job_recreated", job=job.job_id, reason="Redis had lost it")
        return True

    def _begin_again(self, job: ImportJob) -> None:
        """Send a job that Redis has lost from its first batch on. Several workers may do so: windows are claimed."""
        first = job.model_copy(update={"next_batch": 0})
        if not self.blobs.exists(cancelled_key(job.job_id)):
            # The split comes first: it makes the job known, too, if this process dies before it could.
            send(self.app, "import_records_with_callback", first, task_id=task_id_for(job.job_id, "split-again"))
            self.recreate(first)

    def _begin_again_from(self, message: ImportBatch) -> None:
        """Send the batch's job from its first batch on, if it was stored.

        Any other job begins again at the end of its chord, whose message has the whole job.
        """
        if job := load_job(self.blobs, message.job_id):
            self._begin_again(job.model_copy(update={"generation": message.generation}))

    def _bring_back(self, job_id: str, generation: int | None) -> None:
        """Send a job that was stored again from its beginning; any other one is known as failed from now on.

        What of an analysis was counted before Redis lost it is counted nowhere else, and nobody else has its records.
        """
        with suppress(Rejected):  # its deadline has passed: the findings are written none the less
            if not send_lost_job(self.app, self.blobs, job_id, generation, self.now()):
                self.jobs.create(job_id, "analysis", "inline", self.now())
                self.fail(job_id, LOST_ANALYSIS)

    def fail_import(self, job: ImportJob, reason: str) -> None:
        """End the whole import as failed, unless it was cancelled. A job that Redis has lost is known again then."""
        if self.fail(job.job_id, reason):
            return
        if self.jobs.standing(job.job_id, job.generation) == "unknown" and self.recreate(job):
            self.fail(job.job_id, reason)

    def fail(self, job_id: str, reason: str) -> bool:
        """End the whole job. False for one that was cancelled, or that Redis does not know."""
        has_failed = self.jobs.fail(job_id, reason, self.now())
        if has_failed:
            self._ended(job_id, "failed")
        return has_failed

    def write_findings(self, message: Findings) -> FindingsOutcome:
        with telemetry.retries_of(self.graph):
            outcome = self.graph.write_findings(message)
        self.epochs.begin(touched_by(valid_records(message)))
        if outcome.failed > message.failed:
            self.erasure.note_refused(message)
        if message.pack.startswith("knowledge_points-"):
            # Mistakes that waited for these texts are told what the graph knows now.
            texts = [parse_record(found.record) for found in message.findings]
            self.members.forget_contexts(course_id for text in texts for course_id in course_ids_of(text))
        self._settle_pack(message, message.done, message.failed, message.error, claims_changed=outcome.claims_changed)
        return outcome

    def write_reviews(self, reviews: Sequence[Review], request_id: str) -> None:
        self.graph.write_reviews(reviews)
        self._send_settler(request_id)
        self.epochs.begin_everywhere()

    def compare_points(self, job_id: str) -> dict[str, int]:
        """Have the analyzer tell which knowledge points may mean the same. Return how many it is asked about.

        Names travel, and nothing that a student wrote.
        """
        counted, points = self.graph.points_to_compare(COMPARED_POINTS + 1)
        asked = within_a_message(points[:COMPARED_POINTS])
        if len(asked) < len(points):
            log.warning("points_left_out", compared=len(asked), points=counted)
        message = CompareNames(job_id=job_id, points=asked)
        send(self.app, "compare_names_task", message, task_id=task_id_for(job_id, "compare"))
        self.graph.note_comparison(counted, self.now().timestamp())
        self._ask_for_comparison(job_id, "compare-again")  # of what came since the points were read
        return {"points": len(asked), "left_out": len(points) - len(asked)}

    def write_proposals(self, message: ProposedPairs) -> dict[str, int]:
        proposed = self.graph.write_proposals(message)
        if message.encoder is None:
            log.warning("points_not_compared", reason="the analyzer has no sentence encoder (its extra `offline`)")
        self.epochs.begin_everywhere()
        return {"proposed": proposed}

    def derive_anew(self, request_id: str, *, repair: bool) -> dict[str, Any]:
        """Compare what the graph derives with its records, or derive it anew, for ten minutes at most.

        Raises Wait if there is more to do; the same request goes on there.
        """
        end = self.now() + timedelta(seconds=MOST_SECONDS_DERIVING)
        found = self.graph.derive_anew(repair=repair, request_id=request_id, go_on=lambda: self.now() < end)
        self.epochs.begin_everywhere()
        return found

    def settle_prerequisites(self, job_id: str) -> SettledPrerequisites:
        """Derive which prerequisites are followed, and end the jobs that waited for it, this one among them.

        Doing it again changes nothing. Raises Wait while another process is at it.
        """
        with self.jobs.settling():
            # Read before the claims: what a job changes from here on, it waits for itself.
            waiting = self.jobs.deriving({job_id, *self.graph.jobs_with_changed_claims()} - {""})
            settled = self.graph.settle_prerequisites()
        changes = settled.changes.pairs
        if changes or waiting:
            self.epochs.begin_everywhere()
        if settled.finished:
            for each, number in waiting.items():
                self.jobs.derived(each, number)
            # Whoever died after the line above has not ended the job that its message names.
            for each in sorted({job_id, *waiting}):
                self._finish(each)
        if self.jobs.standing(job_id, None) == "unknown":
            # Redis may have lost a job that waited for this alone. The id may also be that of a request, of which
            # nothing is stored.
            with suppress(Rejected):  # its deadline has passed
                send_lost_job(self.app, self.blobs, job_id, None, self.now())
        return SettledPrerequisites(finished=settled.finished, changed=len(changes), set_aside=settled.set_aside)

    def _send_settler(self, job_id: str) -> None:
        """Have prerequisites derived, if what is claimed has changed. The gateways ask for it each minute, too."""
        if self.graph.jobs_with_changed_claims():
            task_id = task_id_for(job_id, "settle-prerequisites")
            send(self.app, "settle_prerequisites_task", SettlePrerequisites(job_id=job_id), task_id=task_id)

    def tell_course_members(self, course_ids: Collection[str]) -> None:
        """Tell the analyzer what it must know of each course, and who is not to be read or shown."""
        tell_restricted(self.members, self.graph)
        for course_id in sorted(course_ids):
            epoch, now = self.members.epoch(), self.now()
            self.members.tell(course_id, self.graph.course_members(course_id, MOST_MEMBERS), epoch, now)
        epoch = self.members.epoch()
        for context in self.graph.course_contexts(course_ids):
            self.members.tell_context(context, epoch)

    def end_old_records(self) -> dict[str, int | bool]:
        """End records, texts and reviews of the graph whose retention is over, for ten minutes at most.

        So do, for a minute more, the ledger's rows of jobs of which nothing else is kept (docs/adr/0076).
        """
        end = self.now() + timedelta(seconds=MOST_SECONDS_ENDING_RECORDS)
        ended = self.graph.end_old_records(lambda: self.now() < end)
        if ended.removed:
            forget_lists(self.members, self.graph)  # Somebody may be in a course no more.
        self.epochs.begin_everywhere()
        folders = frozenset(self.blobs.folders(JOBS_FOLDER))

        def is_over(job_ids: Collection[str]) -> set[str]:
            return set(job_ids) - folders - self.jobs.known(sorted(job_ids))

        late = self.now() + timedelta(seconds=MOST_SECONDS_COMPACTING)
        compacted = self.graph.compact_ledger(is_over, lambda: self.now() < late)
        finished = ended.finished and compacted.finished
        return {**ended._asdict(), "ledger_rows": compacted.rows, "finished": finished}

    def remove_from_graph(self, of: Removable, node_id: str, request_id: str) -> dict[str, int | bool]:
        """Take a course or a group out of the graph, for ten minutes at most."""
        end = self.now() + timedelta(seconds=MOST_SECONDS_ENDING_RECORDS)
        removed = self.graph.remove(of, node_id, lambda: self.now() < end)
        self._send_settler(request_id)
        forget_lists(self.members, self.graph)
        self.epochs.begin_everywhere()
        return removed._asdict()

    def rename_in_graph(
        self, of: Renamable, node_id: str, new_id: str, *, merge: bool
    ) -> dict[str, int | bool | str | None]:
        """Call a person, a course, a group or an item by another id, for ten minutes at most."""
        end = self.now() + timedelta(seconds=MOST_SECONDS_ENDING_RECORDS)
        renamed = self.graph.rename(of, node_id, new_id, lambda: self.now() < end, merge=merge)
        forget_lists(self.members, self.graph)
        self.epochs.begin_everywhere()
        return renamed._asdict()

    def restrict_student(self, student_id: str, *, restricted: bool) -> dict[str, bool]:
        """Keep what is known of a student, but neither analyse nor show it; or end that. Say whether there is one."""
        found = self.graph.restrict_student(student_id, restricted=restricted)
        forget_lists(self.members, self.graph)  # What analyzer and gateway were told is of before.
        self.epochs.begin_everywhere()
        return {"found": found, "restricted": restricted and found}

    def export_student(self, request_id: str, student_id: str) -> dict[str, Any]:
        """Write all that is kept of a student as a ZIP. Return its name, and how many entries each part of it has.

        Raises Wait while somebody is erased: an erasure deletes all exports, and this one would come after it.
        """
        now = self.now()
        delete_old_exports(self.blobs, now)
        key = export_key(request_id, now)
        with self.jobs.erasing() as go_on, self.blobs.write(key) as file:
            export = PersonExport(
                student_id, self.graph, self.blobs, self.elsewhere, self.platform_prefixes, go_on=go_on
            )
            counts = export.write(file, now)
        return {"export": key.removeprefix(f"{EXPORTS}/"), "entries": counts}

    def findings_failed(self, message: Findings, reason: str) -> FindingsOutcome:
        number = message.done + message.failed
        self._settle_pack(message, 0, number, reason)
        return FindingsOutcome(job_id=message.job_id, pack=message.pack, state="failed", failed=number, error=reason)

    def _settle_lost(self, message: ImportAggregate, lost: Collection[int]) -> None:
        """Settle batches of the window whose task ended without doing so, for example because it was revoked."""
        for batch in window(self.blobs, message.job, message.window_end):
            if batch.batch in lost:
                self.batch_failed(batch, "its task ended without an outcome")

    def _settle(self, outcome: BatchOutcome, types: Sequence[str] = ()) -> bool:
        # A redelivered batch settles nothing, and so is not counted again. Its event has the same id as before.
        settled = self.jobs.settle_batch(outcome, self.now())
        if settled:
            telemetry.batch(outcome, types)
        shown = outcome.model_dump(mode="json", exclude={"errors"})
        self._emit("io.edugraph.batch.completed", outcome.job_id, shown, f"batch-{outcome.batch}")
        self._finish(outcome.job_id)
        return settled

    def _settle_pack(
        self, message: Findings, done: int, failed: int, error: str | None, *, claims_changed: bool = False
    ) -> None:
        origins = [found.origin for found in message.findings]
        progress = AnalysisProgress(
            done=done,
            failed=failed,
            cached=sum(origin.cached for origin in origins),
            input_tokens=sum(origin.input_tokens for origin in origins),
            output_tokens=sum(origin.output_tokens for origin in origins),
            cost=sum(origin.cost for origin in origins),
            withheld=message.withheld if done else 0,
        )
        if self.jobs.settle_pack(
            message.job_id, message.pack, progress, self.now(), error, claims_changed=claims_changed
        ):
            telemetry.findings(done, failed)
        elif self.jobs.standing(message.job_id, message.generation) == "unknown":
            # Redis lost the job after its last pack was analysed, and nothing else may carry the job on.
            self._bring_back(message.job_id, message.generation)
        shown = {"job_id": message.job_id, "pack": message.pack, "done": done, "failed": failed}
        self._emit("io.edugraph.analysis.completed", message.job_id, shown, message.pack)
        self._finish(message.job_id)

    def _finish(self, job_id: str) -> None:
        state = self.jobs.finish_if_complete(job_id, self.now())
        if state == "deriving":
            # A message that came again must not be answered by what an earlier change of the job led to.
            number, now = self.jobs.deriving([job_id]).get(job_id, ""), self.now()
            self.jobs.waits(job_id, DERIVING, now.timestamp() + DERIVING_SECONDS, now)
            task_id = task_id_for(job_id, f"settle-prerequisites-{number}")
            send(self.app, "settle_prerequisites_task", SettlePrerequisites(job_id=job_id), task_id=task_id)
        elif state:
            self._ended(job_id, state)
            self._ask_for_comparison(job_id, "propose")

    def _ask_for_comparison(self, job_id: str, step: str) -> None:
        """Have names of knowledge points compared, if there are more or fewer points than at the last time.

        The job has ended: what keeps its points from being compared is logged, and the next job that ends asks again.
        """
        try:
            delay = self.graph.comparison_due(self.now().timestamp())
            if delay is not None:
                message, task_id = ProposeSame(job_id=job_id), task_id_for(job_id, step)
                send(self.app, "propose_same_task", message, task_id=task_id, delay_seconds=delay)
        except Failure as failure:
            log.warning("points_not_compared", reason=failure.reason)

    def _ended(self, job_id: str, state: str) -> None:
        telemetry.job(state)
        self._emit("io.edugraph.import.completed", job_id, {"job_id": job_id, "state": state}, state)

    def _emit(self, event_type: EventType, job_id: str, data: dict[str, object], step: str) -> None:
        event_id = task_id_for(job_id, f"{event_type}:{step}")
        event = Event(
            id=event_id, source="/edugraph/importer", type=event_type, subject=job_id, time=self.now(), data=data
        )
        emit(self.app, event)


def within_a_message(points: Sequence[NamedPoint]) -> tuple[NamedPoint, ...]:
    """Return the first of the points, as many as a message has room for."""
    sizes = accumulate(len(each.model_dump_json()) + 1 for each in points)
    return tuple(each for each, size in zip(points, sizes, strict=True) if size < LARGEST_BODY - INLINE_BYTES)


def valid_records(message: Findings) -> Iterator[Record]:
    """Yield the records of findings. One that is invalid was set aside by the graph, too."""
    for finding in message.findings:
        try:
            yield parse_record(finding.record)
        except Exception as fault:  # noqa: BLE001 - this is the boundary of the row
            as_invalid_record(fault)
