"""The importer's service: it splits files, writes batches, sums jobs up, writes findings and erases students.

The tasks receive the messages and call it.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import structlog
from celery import Celery

from edugraph_common.contracts.errors import Failure, Rejected, Retryable, Wait
from edugraph_common.contracts.events import Event, EventType
from edugraph_common.contracts.findings import kind_to_read
from edugraph_common.contracts.live_days import is_live_job
from edugraph_common.contracts.messages import (
    COMPARED_POINTS,
    INLINE_BYTES,
    AnalysisBatch,
    AnalysisEstimate,
    CompareNames,
    Findings,
    ImportAggregate,
    ImportBatch,
    ImportJob,
    LiveBatch,
    NamedPoint,
    ProposedPairs,
    ProposeSame,
    ReadAgain,
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
    Reject,
    SettledPrerequisites,
    TextsAgain,
)
from edugraph_common.contracts.records import (
    ROSTER_TYPES,
    Record,
    course_ids_of,
    parse_record,
)
from edugraph_common.contracts.reviews import Review
from edugraph_common.contracts.routes import BATCH_TASKS
from edugraph_common.contracts.school_records import PersonRecord
from edugraph_common.runtime.messaging.lost_jobs import send_lost_job
from edugraph_common.runtime.messaging.publisher import LARGEST_BODY, emit, send, task_id_for
from edugraph_common.runtime.messaging.task_base import LONGEST_BACKOFF_SECONDS
from edugraph_common.runtime.shared_state.analysis_window import AnalysisWindows
from edugraph_common.runtime.shared_state.audit import Audit
from edugraph_common.runtime.shared_state.course_members import (
    MOST_MEMBERS,
    CourseMembers,
    names_by_course,
)
from edugraph_common.runtime.shared_state.job_store import (
    CLAIM_SECONDS,
    SETTLING_WAIT_SECONDS,
    Jobs,
    NewJob,
)
from edugraph_common.runtime.shared_state.live_texts import LiveTextNumbers
from edugraph_common.runtime.shared_state.live_waiting import LiveWaiting, WaitingBatch
from edugraph_common.runtime.shared_state.object_store import (
    EXPORTS,
    Blobs,
    Changed,
    cancelled_key,
    delete_old_exports,
    export_key,
    shown,
)
from edugraph_common.runtime.shared_state.stored_jobs import load_job, store_job
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.stored import index_persons
from edugraph_importer import telemetry
from edugraph_importer.analysis_requests import AnalysisRequests
from edugraph_importer.batching import (
    batches_of,
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
from edugraph_importer.graph import NOBODY, REFUSED, Cause, Graph
from edugraph_importer.graph.groups import IdClaimChange
from edugraph_importer.person_export import Elsewhere, PersonExport
from edugraph_importer.reading_again import TextsToRead, sample, texts_to_read
from edugraph_importer.undo import JOBS_FOLDER, replay_undos, undo_import

MOST_SECONDS_ENDING_RECORDS = 600
MOST_SECONDS_COMPACTING = 60
MOST_SECONDS_DERIVING = 600
UNKNOWN_CLIENT = "unknown"  # the sender in the audit log if a message does not name it
LOST_ANALYSIS = (
    "Redis lost this job while it was being analysed, and what was done of it is not known any more. What was found "
    "is in the graph; send its records again to have the rest, nothing is written twice."
)
SPLIT_QUEUE_SECONDS = 15.0  # the wait before a large file is sent again to a queue that refused it
DERIVING = "prerequisites and owners of ids are being derived"
DERIVING_SECONDS = 60.0  # a job that waits for prerequisites does not count as lost for this long
# After this number of failed batches in a row the rest of the job is left out. It would fail as well, and the queues
# stay free for other jobs.
FAILED_BATCHES_IN_A_ROW = 20
# A live batch that failed is in its queue again after this time. A minute is for the broker.
AGAIN_SECONDS = LONGEST_BACKOFF_SECONDS + 60
LIVE = "live"  # shown in place of the name of a file

# The fields that the report of an import has from the report of its job.
_OF_JOB_REPORT = (
    "deriving",
    "job_id",
    "batches",
    "failed_batches",
    "expected",
    "read",
    *ROW_COUNTS,
    "unknown",
    "by_type",
    "reasons",
    "not_relevant",
    "errors",
)

log = structlog.get_logger("edugraph.importer")


class SplitEnded(Exception):
    """The job of a file was cancelled or resumed while the file was being split."""


@dataclass(frozen=True)
class Importer:
    """The service. Each process has one.

    `now` returns times with a time zone. `platform_prefixes` maps the platform_key of a platform to the prefix of its
    ids. `keeps_uploads` says whether an uploaded file is kept after its split.
    """

    app: Celery
    graph: Graph
    jobs: Jobs
    windows: AnalysisWindows
    live_waiting: LiveWaiting
    live_texts: LiveTextNumbers
    members: CourseMembers
    blobs: Blobs
    erasure: Erasure
    elsewhere: Elsewhere
    now: Callable[[], datetime]
    audit: Audit
    platform_prefixes: Mapping[str, str] = field(default_factory=dict)
    keeps_uploads: bool = False

    def plan(
        self, job: ImportJob, *, at_once: bool = False
    ) -> tuple[list[ImportBatch], ImportAggregate] | None:
        """Return the next window of batches, and the message that sums them up. The caller sends both in `sending`.

        With `at_once` one window holds all batches. Batches that are done already are left out.

        Return None if the job was cancelled, if this window was sent before (a message may be delivered twice), or if
        the source is large and is sent to be split first. Raises Wait while another process sends the same window.

        If a file cannot be used at all, or was changed, its job ends as failed. The message does not become a dead
        letter, since dead letters count as failures of the importer.
        """
        message_state = self.jobs.message_state(job.job_id, job.generation)
        if message_state in ("cancelled", "stale"):
            return None
        if message_state == "unknown":
            # Redis has lost the job and the state of its batches. The graph's ledger answers for written batches.
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
        if job.next_batch == 0:
            self._prepare_import(job)
        claim = self.jobs.begin(
            job.job_id,
            total,
            self.now(),
            expected=rows,
            first_batch=job.next_batch,
            generation=job.generation,
        )
        if claim == "unknown":
            # Redis has lost the job since `message_state` read it, so the job is recreated like any unknown job.
            return self.plan(job, at_once=at_once)
        if claim == "busy":
            raise Wait(
                "another process sends these batches, or died while it did", CLAIM_SECONDS / 4
            )
        if claim != "begun":
            log.info("window_left_out", batch=job.next_batch, reason=claim)
            return None
        end = total if at_once else min(job.next_batch + job.parallel_batches, total)
        after = ImportAggregate(
            job_id=job.job_id, traceparent=job.traceparent, job=job, batches=total, window_end=end
        )
        still_open = self.jobs.open_batches(job.job_id, range(job.next_batch, end))
        batches = [batch for batch in window(self.blobs, job, end) if batch.batch in still_open]
        return batches, after

    def _prepare_import(self, job: ImportJob) -> None:
        """Do what must be done before the first window of a job is sent."""
        # Without the constraints of the graph a record could be written twice.
        self.graph.prepare()
        # From now on people look at the job. The list of restricted students must be there before that, since all
        # importers may be too busy to write it when the gateway asks for it.
        tell_restricted(self.members, self.graph)
        store_job(self.blobs, job)
        self.audit.record(job.rights.client or UNKNOWN_CLIENT, "job.submit", job.job_id, self.now())

    def _scan_at_once(self, job: ImportJob) -> int | None:
        """Return the number of batches of a job that is inline, small or already split.

        Return None if the file is unusable, which ends the job, or if the job was cancelled or resumed meanwhile.
        """
        was_split = job.source is None or is_split(self.blobs, job)
        total = self._scan(job)
        if total is not None and not was_split:
            index_persons(self.blobs, job.job_id)
        return total

    def _send_to_be_split(self, job: ImportJob, *, at_once: bool) -> None:
        message = SplitSource(**dict(job))
        if at_once:
            message = SplitSource(**dict(job), then="import_records_async")
        task_id = task_id_for(job.job_id, f"split-source-{job.generation}")
        try:
            send(self.app, "split_source_task", message, task_id=task_id)
        except Retryable as away:
            # During an upgrade workers may begin before the topology is applied.
            reason = f"the file cannot be sent to be split: {away.reason}"
            raise Wait(reason, SPLIT_QUEUE_SECONDS) from away

    def split(self, message: SplitSource) -> None:
        """Split a large source into batches, and start its import.

        Splits have a queue of their own, so that batches and small jobs do not wait for them (ADR 34).
        """
        if self.jobs.message_state(message.job_id, message.generation) in ("cancelled", "stale"):
            log.info("split_left_out", reason="its job was cancelled or resumed")
        elif self._scan(message) is not None:
            job = ImportJob(**message.model_dump(exclude={"then"}))
            task_id = task_id_for(message.job_id, f"after-split-{message.generation}")
            send(self.app, message.then, job, task_id=task_id)
            # The import runs while the persons are indexed.
            index_persons(self.blobs, message.job_id)

    def _scan(self, job: ImportJob) -> int | None:
        """Return the number of batches of the whole job.

        Return None if the file is unusable, which ends the job, or if the job was cancelled or resumed meanwhile.
        """

        def go_on() -> None:
            if self.jobs.message_state(job.job_id, job.generation) in ("cancelled", "stale"):
                raise SplitEnded

        try:
            total = count_batches(
                self.blobs, job, self.platform_prefixes, go_on, keeps_upload=self.keeps_uploads
            )
        except (MalformedFile, Changed) as problem:
            self.fail_import(job, str(problem))
            if not self.keeps_uploads:
                delete_upload(self.blobs, job)  # The file can never be read.
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
        """Mark a planned window as sent when the block ends. If the block raises, the window may be sent again."""
        try:
            yield
        except BaseException:
            self.jobs.unclaim(job.job_id, job.next_batch)
            raise
        self.jobs.sent(job.job_id, job.next_batch)

    def write_batch(self, message: ImportBatch) -> BatchOutcome:
        """Write a batch. It is left out if its job was cancelled, or was resumed, which sent the same batch again."""
        message_state = self.jobs.message_state(message.job_id, message.generation)
        if message_state == "unknown":
            self._begin_again_from(message)
        if message_state in ("cancelled", "stale"):
            log.info("batch_left_out", batch=message.batch, reason=message_state)
            return BatchOutcome(job_id=message.job_id, batch=message.batch, state="cancelled")
        return self._write(message)

    def write_live(self, message: LiveBatch) -> int:
        """Write the records of a live batch, each part in its own transaction. Return the number of parts.

        The gateway has accepted these records, so they are written whatever the state of their job. Raises Rejected
        after the last part if a part was rejected.
        """
        rejected: list[Rejected] = []
        batches = batches_of(message)
        waiting = _waiting_of(message)
        self._note_waiting(batches, waiting)
        for batch, waiting_batch in zip(batches, waiting, strict=True):
            try:
                self._open_day(batch)
                self._write(batch)
            except Rejected as problem:
                # The other parts belong to other sources or callers.
                rejected.append(problem)
            except (Retryable, Wait):
                # The message is not in its queue until then, so the gateway must not take it for lost.
                self.live_waiting.tried_again(waiting, AGAIN_SECONDS)
                raise
            else:
                self.live_waiting.remove([waiting_batch])
        if rejected:
            raise rejected[0]
        return len(message.parts)

    def _note_waiting(
        self, batches: Sequence[ImportBatch], waiting: Sequence[WaitingBatch]
    ) -> None:
        """Note again that the batches wait that have no outcome. Redis may have lost what the gateway noted."""
        still_waiting = []
        for batch, waiting_batch in zip(batches, waiting, strict=True):
            if self.jobs.unsettled(batch.job_id, range(batch.batch, batch.batch + 1)):
                still_waiting.append(waiting_batch)
        self.live_waiting.add(still_waiting)

    def live_failed(self, message: LiveBatch, reason: str) -> None:
        """Settle the parts of a live batch that was given up, except those that were written."""
        self.live_waiting.remove(_waiting_of(message))
        try:
            batches = batches_of(message)
        except Rejected:
            return  # Nobody knows how many records it had. Its dead letter says why it was given up.
        for batch in batches:
            self._open_day(batch)
            self._settle(_failed(batch, reason))

    def _open_day(self, batch: ImportBatch) -> None:
        """Create the job of a source and day if Redis does not know it."""
        if self.jobs.message_state(batch.job_id, None) != "unknown":
            return
        # Without the constraints of the graph a record could be written twice.
        self.graph.prepare()
        tell_restricted(self.members, self.graph)
        client = batch.rights.client
        job = NewJob(
            job_id=batch.job_id,
            kind="import",
            source=LIVE,
            created=self.now(),
            owner=client,
            first_task=task_id_for(batch.job_id, f"live-{batch.acceptance}"),
            source_name=batch.rights.source,
        )
        if self.jobs.open_day(job):
            self.audit.record(client or UNKNOWN_CLIENT, "job.submit", batch.job_id, self.now())

    def _write(self, message: ImportBatch) -> BatchOutcome:
        """Write a batch and settle it in its job."""
        with telemetry.step("read"):
            found = read_batch(self.blobs, message)
        records = [record for _, record in found.graph.records]
        epoch = self.members.epoch()
        # A definition may move a point to another course, or change one that other records put into courses.
        courses_before = self.graph.courses_of_points(found.graph)
        with telemetry.step("write"), telemetry.retries_of(self.graph):
            batch = replace(found.graph, rejects=self.erasure.cleared(message, found.graph.rejects))
            written = self.graph.write_batch(batch)
        # The change of the batch is in the stream of changes now.
        # If this process dies here, the batch is delivered again, and the ledger answers.
        if batch.withdrawn or any(record.type in ROSTER_TYPES for record in records):
            self.log_noted_changes()
        refused: Sequence[Reject] = ()
        if written.rejected > len(batch.rejects):
            refused = self.graph.rejects(message.job_id, message.batch)
        refused_lines = {reject.line for reject in refused}
        # The lists of course members in Redis must be complete before the analyzer reads a text of this batch.
        # Records that the graph refused are left out of lists and analysis: their persons may have been erased.
        kept = [record for line, record in found.graph.records if line not in refused_lines]
        members = names_by_course(kept)
        self.members.add(members, epoch, self.now())
        if any(isinstance(each.data, PersonRecord) and each.data.name for each in kept):
            # The names of a list are names in each course of the person.
            forget_lists(self.members, self.graph)
        # The contexts of these points' courses are out of date now, and the next pack asks for them again.
        courses_of_points = courses_before | self.graph.courses_of_points(found.graph)
        self.members.forget_contexts(courses_of_points)
        if written.written or written.replaced:
            self._note_read_before(message.job_id, courses_of_points)
        outcome = written.model_copy(update={"not_relevant": found.not_relevant})
        if REFUSED in outcome.reasons or (found.not_relevant and self.graph.has_erased()):
            # Rows that are not in the graph may name an erased person, too.
            self.jobs.clean_later(message.job_id)
        if REFUSED in written.reasons:
            self._note_tied_ids(records)
        store_rejects(self.blobs, message.job_id, message.batch, [*batch.rejects, *refused])
        if message.analyze:
            analysed, over_budget = self._within_budget(message, kept)
            if analysed:
                courses_without_list = members.keys() - self.members.of(members).keys()
                self.tell_course_members(courses_without_list)
            requests = AnalysisRequests(
                self.app, self.windows, self.blobs, self.graph.course_contexts, self.now
            )
            asked = requests.ask(message, analysed, sorted(refused_lines))
            counts = {"analysis_expected": asked, "over_budget": over_budget}
            outcome = outcome.model_copy(update=counts)
        with telemetry.step("settle"):
            self._settle_written(message, outcome, [record.type for record in records])
        return outcome

    def _note_read_before(self, job_id: str, course_ids: Collection[str]) -> None:
        """Note in the job how many texts were read before the points of their course were written.

        The job of a source and day says nothing of it, since its batches come all day long.
        """
        if is_live_job(job_id):
            return
        for course_id in sorted(course_ids):
            texts = self.graph.count_texts_read(course_id)
            if texts:
                self.jobs.note_read_before(job_id, course_id, texts, self.now())

    def _within_budget(
        self, message: ImportBatch, records: Sequence[Record]
    ) -> tuple[Sequence[Record], int]:
        """Return the records whose texts are analysed, and the number of texts beyond the number of the day.

        The texts of a file have no such number.
        """
        texts = message.texts
        if texts is None:
            return records, 0
        with_text = [record for record in records if kind_to_read(record) is not None]
        if not with_text:
            return (), 0
        taken = self.live_texts.take(
            message.rights.source, texts, message.acceptance or 0, len(with_text)
        )
        # A batch that comes again may have fewer texts, if persons were erased meanwhile.
        number = min(taken, len(with_text))
        return with_text[:number], len(with_text) - number

    def _note_tied_ids(self, records: Sequence[Record]) -> None:
        """Note the tombstones of ids that the person_records of a batch tie to erased persons."""
        ids: set[str] = set()
        for record in records:
            if isinstance(record.data, PersonRecord):
                ids |= {record.data.person_id, *record.data.claimed}
        if ids:
            self.erasure.note_tied(ids)

    def _settle_written(
        self, message: ImportBatch, outcome: BatchOutcome, types: Sequence[str]
    ) -> None:
        """Settle a batch that is in the graph. If Redis lost its job meanwhile, the job begins again."""
        if self._settle(outcome, types):
            return
        this_batch = range(message.batch, message.batch + 1)
        if not self.jobs.unsettled(message.job_id, this_batch):
            return
        # Redis lost the job while this batch was being written, so no other message may continue the job.
        if self.jobs.message_state(message.job_id, message.generation) == "unknown":
            self._begin_again_from(message)
        self._settle(outcome, types)

    def log_noted_changes(self) -> None:
        """Move the noted changes of group leaders and of claims to ids from the graph into the audit log.

        If a process dies meanwhile, or two do this at once, a change is still in the log once.
        """
        while changes := self.graph.leader_changes():
            for change in changes:
                verb = "does not lead"
                if change.leads:
                    verb = "leads"
                self.audit.record(
                    change.client or UNKNOWN_CLIENT,
                    "group.leader",
                    f"{verb} group {change.group}, by {change.by}",
                    self.now(),
                    keyed=change.person,
                    once=change.id,
                )
            self.graph.forget_leader_changes([change.id for change in changes])
        while claims := self.graph.id_claim_changes():
            noted = []
            for claim in claims:
                noted.append(claim.id)
                client = claim.client or UNKNOWN_CLIENT
                what = f"{_claim_in_words(claim)}, by {claim.by}"
                now = self.now()
                self.audit.record(
                    client, "person.claim", what, now, keyed=claim.person, once=claim.id
                )
            self.graph.forget_id_claim_changes(noted)

    def batch_failed(self, message: ImportBatch, reason: str) -> BatchOutcome:
        """Settle a batch that was given up. Its job goes on, unless too many batches failed in a row.

        Return the outcome of the batch. All rows that the split saw count as read and failed, even if they cannot be
        read any more.
        """
        outcome = _failed(message, reason)
        self._settle(outcome)
        in_a_row = self.jobs.failed_in_a_row(message.job_id)
        if in_a_row >= FAILED_BATCHES_IN_A_ROW:
            why = f"{in_a_row} batches failed one after another, so the rest was left out; the last one: {reason}"
            self._stop(message.job_id, why)
        return outcome

    def _stop(self, job_id: str, reason: str) -> None:
        """End the whole job as failed and leave out its other batches, unless the job has already ended."""
        if self.jobs.fail(job_id, reason, self.now(), stop=True):
            log.error("job_stopped", job=job_id, reason=reason)
            self._ended(job_id, "failed")

    def sum_up(self, message: ImportAggregate) -> ImportReport:
        """Continue with the next window, or end the import. Raises Rejected for a job that Redis does not know."""
        job = message.job
        message_state = self.jobs.message_state(message.job_id, job.generation)
        if message_state == "unknown":
            self._begin_again(job)
        elif message_state not in ("cancelled", "stale"):
            self._carry_on(message)
        report = self.jobs.report(message.job_id, self.now())
        if report is None:
            # Redis has lost the job since `message_state` read it.
            self._begin_again(job)
            report = self.jobs.report(message.job_id, self.now())
        if report is None:
            raise Rejected("Redis does not know this job; what was written stays in the graph")
        seconds = max((report.updated - report.created).total_seconds(), 0.001)
        same = {name: getattr(report, name) for name in _OF_JOB_REPORT}
        return ImportReport(**same, seconds=seconds, records_per_second=report.read / seconds)

    def _carry_on(self, message: ImportAggregate) -> None:
        """Send the next window, or end the import after the last one.

        If Redis has lost the window, nothing is done, since its job has begun again or is about to.
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
                # The process that split the file may have died before it wrote the index of persons. Without the
                # index an erasure reads all rows.
                with suppress(
                    Rejected
                ):  # Rows that cannot be read have already failed their batches.
                    index_persons(self.blobs, job.job_id)
            self.jobs.imported(job.job_id, self.now())
        self._finish(job.job_id)

    def undo_import(self, job_id: str, cause: Cause = NOBODY) -> dict[str, Any]:
        """Take back what an import wrote. Return the report of `undo.undo_import`.

        Raises Rejected if the import has not ended, if its rows are not kept, or if the undo would make the caller's
        own person the leader of a group.
        """
        if self.jobs.is_open(job_id):
            raise Rejected("the import has not ended: cancel it first, then undo it")
        undone = undo_import(self.graph, self.blobs, job_id, cause, self.log_noted_changes)
        self._send_settler(job_id)
        self.graph.tell_changes()
        return undone

    def erase_person(
        self,
        ids: Collection[str],
        names: Collection[str] = (),
        *,
        dry_run: bool = False,
        block: bool = False,
        cause: Cause = NOBODY,
    ) -> dict[str, Any]:
        """Erase a person by all their ids from every store. Return the report of `Erasure.erase`."""
        report = self.erasure.erase(ids, names, dry_run=dry_run, block=block, cause=cause)
        self.log_noted_changes()
        return report

    def replay_erasures(self, request_id: str, cause: Cause = NOBODY) -> dict[str, Any]:
        """After a backup was restored, repeat all erasures and undos."""
        erased = self.erasure.replay(cause)
        counts, left = replay_undos(self.graph, self.blobs, cause)
        self.log_noted_changes()
        if counts["imports"]:
            self._send_settler(request_id)
            forget_lists(self.members, self.graph)
        # A backup was restored, so records may have gone and come without a word.
        self.graph.tell_changes("whole")
        not_undone = [
            {"store": "graph", "key": job_id, "reason": reason} for job_id, reason in left.items()
        ]
        return {
            **erased,
            "undone": counts,
            "left": (erased["left"] + not_undone)[:MAX_SHOWN],
            "left_in_all": erased["left_in_all"] + len(not_undone),
        }

    def recreate(self, job: ImportJob) -> bool:
        """Create a job that Redis has lost again, from its message. Return False if the job was cancelled.

        Raises Rejected if the deadline of the job has passed. Redis forgets old jobs on purpose, and a message that
        was kept for longer must not bring them back.
        """
        if job.deadline is not None and job.deadline < self.now().timestamp():
            raise Rejected(
                "Redis does not know this job, and its deadline has passed; send its file again"
            )
        if self.blobs.exists(cancelled_key(job.job_id)):
            log.info("job_left_out", reason="it was cancelled before Redis lost it")
            return False
        name = "inline"
        if job.source:
            name = shown(job.source).rsplit("/", 1)[-1]
        task = [
            "import_records_with_callback",
            job.model_dump(mode="json"),
            task_id_for(job.job_id, "split"),
        ]
        inline = job.records is not None
        if self.jobs.create(
            job.job_id,
            "import",
            name,
            self.now(),
            tasks=json.dumps([task]),
            tasks_hold_records=inline,
            source_name=job.rights.source,
        ):
            log.warning("job_recreated", job=job.job_id, reason="Redis had lost it")
        return True

    def _begin_again(self, job: ImportJob) -> None:
        """Send a job that Redis has lost again, from its first batch on.

        Several workers may do so at once: each window is claimed, so that it is sent once.
        """
        first = job.model_copy(update={"next_batch": 0})
        if not self.blobs.exists(cancelled_key(job.job_id)):
            # The message comes first: if this process dies before `recreate`, the message's task creates the job.
            send(
                self.app,
                "import_records_with_callback",
                first,
                task_id=task_id_for(job.job_id, "split-again"),
            )
            self.recreate(first)

    def _begin_again_from(self, message: ImportBatch) -> None:
        """Send the batch's job again from its first batch on, if the job was stored.

        A job that was not stored begins again at the end of its chord, whose message contains the whole job. The job
        of a source and day has no chord, and is created again.
        """
        if is_live_job(message.job_id):
            self._open_day(message)
            return
        if job := load_job(self.blobs, message.job_id):
            self._begin_again(job.model_copy(update={"generation": message.generation}))

    def _bring_back(self, job_id: str, generation: int | None) -> None:
        """Send a lost job again from its beginning if it was stored. Otherwise create it as a failed job.

        The next batch creates the job of a source and day again.

        A job that was not stored is an analysis. Its counts were only in Redis, and its records only in its messages.
        """
        if is_live_job(job_id):
            return
        with suppress(Rejected):  # The deadline has passed. The findings are written all the same.
            if not send_lost_job(self.app, self.blobs, job_id, generation, self.now()):
                self.jobs.create(job_id, "analysis", "inline", self.now())
                self.fail(job_id, LOST_ANALYSIS)

    def fail_import(self, job: ImportJob, reason: str) -> None:
        """End the whole import as failed, unless it was cancelled. If Redis has lost the job, it is created again."""
        if self.fail(job.job_id, reason):
            return
        if self.jobs.message_state(job.job_id, job.generation) == "unknown" and self.recreate(job):
            self.fail(job.job_id, reason)

    def fail(self, job_id: str, reason: str) -> bool:
        """End the whole job as failed. Return False if it was cancelled, or if Redis does not know it."""
        has_failed = self.jobs.fail(job_id, reason, self.now())
        if has_failed:
            self._ended(job_id, "failed")
        return has_failed

    def write_findings(self, message: Findings) -> FindingsOutcome:
        with telemetry.retries_of(self.graph):
            outcome = self.graph.write_findings(message)
        if outcome.failed > message.failed:
            self.erasure.note_refused(message)
        if message.pack.startswith("knowledge_points-"):
            # The graph knows more about these courses now. Mistakes that waited for these texts get a new context.
            course_ids = set[str]()
            for found in message.findings:
                course_ids.update(course_ids_of(parse_record(found.record)))
            self.members.forget_contexts(course_ids)
        self._settle_pack(
            message,
            message.done,
            message.failed,
            message.error,
            claims_changed=outcome.claims_changed,
        )
        return outcome

    def write_reviews(self, reviews: Sequence[Review], request_id: str) -> None:
        self.graph.write_reviews(reviews)
        self._send_settler(request_id)
        self.graph.tell_changes()

    def compare_points(self, job_id: str) -> dict[str, int]:
        """Ask the analyzer which knowledge points may mean the same.

        Return the number of points in the request and the number left out. The request has the names of points and
        nothing that a student wrote.
        """
        counted, points = self.graph.points_to_compare(COMPARED_POINTS + 1)
        asked = within_a_message(points[:COMPARED_POINTS])
        if len(asked) < len(points):
            log.warning("points_left_out", compared=len(asked), points=counted)
        message = CompareNames(job_id=job_id, points=asked)
        send(self.app, "compare_names_task", message, task_id=task_id_for(job_id, "compare"))
        self.graph.note_comparison(counted, self.now().timestamp())
        # Points may have been created since they were read.
        self._ask_for_comparison(job_id, "compare-again")
        return {"points": len(asked), "left_out": len(points) - len(asked)}

    def write_proposals(self, message: ProposedPairs) -> dict[str, int]:
        proposed = self.graph.write_proposals(message)
        if message.encoder is None:
            log.warning(
                "points_not_compared",
                reason="the analyzer has no sentence encoder (its extra `offline`)",
            )
        self.graph.tell_changes()
        return {"proposed": proposed}

    def derive_anew(
        self, request_id: str, *, repair: bool, cause: Cause = NOBODY
    ) -> dict[str, Any]:
        """Check derived data of the graph against its records, or with `repair` derive it again.

        Return the differences. Raises Wait after ten minutes if there is more to do. A repeated request continues.
        """
        end = self.now() + timedelta(seconds=MOST_SECONDS_DERIVING)
        found = self.graph.derive_anew(
            repair=repair, request_id=request_id, go_on=lambda: self.now() < end, cause=cause
        )
        self.log_noted_changes()
        self.graph.tell_changes("whole")
        return found

    def settle_prerequisites(self, job_id: str) -> SettledPrerequisites:
        """Give records to the owners of their ids, and decide which prerequisites are followed.

        End the jobs that waited for this, including the job `job_id`.

        A second call changes nothing. Raises Wait while another process does the same.
        """
        with self.jobs.settling():
            # The waiting jobs are read before the claims. A job that changes claims later waits for a later call.
            waiting = self.jobs.deriving({job_id, *self.graph.jobs_with_changed_claims()} - {""})
            persons = self.graph.settle_persons()
            settled = self.graph.settle_prerequisites()
        changes = settled.changes.pairs
        finished = settled.finished and persons.finished
        self.log_noted_changes()
        persons_changed = persons.changed > 0 or persons.moved > 0
        if persons_changed:
            log.info("persons_settled", ids=persons.changed, records=persons.moved)
            forget_lists(self.members, self.graph)
        if changes or waiting or persons_changed:
            self.graph.tell_changes()
        else:
            # An earlier process may have died before it told what it had moved.
            self.graph.tell_noted_changes()
        if finished:
            for each, number in waiting.items():
                self.jobs.derived(each, number)
            # An earlier process may have died after `derived`, before it ended the job that its message names. So
            # that job is finished too.
            for each in sorted({job_id, *waiting}):
                self._finish(each)
        if not finished and waiting:
            # Another process overtook this one and may have deleted the note of the job. So this message comes again.
            raise Wait("another process gives records to their owners", SETTLING_WAIT_SECONDS)
        if self.jobs.message_state(job_id, None) == "unknown":
            # Redis may have lost a job that waited only for this, or the id belongs to a request. Requests are not
            # stored.
            with suppress(Rejected):  # The deadline of the job has passed.
                send_lost_job(self.app, self.blobs, job_id, None, self.now())
        return SettledPrerequisites(
            finished=finished, changed=len(changes), set_aside=settled.set_aside
        )

    def _send_settler(self, job_id: str) -> None:
        """Send a request to settle if claims have changed. The gateways send one each minute, too."""
        if self.graph.jobs_with_changed_claims():
            task_id = task_id_for(job_id, "settle-prerequisites")
            send(
                self.app,
                "settle_prerequisites_task",
                SettlePrerequisites(job_id=job_id),
                task_id=task_id,
            )

    def tell_course_members(self, course_ids: Collection[str]) -> None:
        """Write to Redis the members and the context of each course, and the list of restricted students."""
        tell_restricted(self.members, self.graph)
        for course_id in sorted(course_ids):
            epoch, now = self.members.epoch(), self.now()
            self.members.tell(
                course_id, self.graph.course_members(course_id, MOST_MEMBERS), epoch, now
            )
        epoch = self.members.epoch()
        for context in self.graph.course_contexts(course_ids):
            self.members.tell_context(context, epoch)

    def read_again(self, message: ReadAgain) -> TextsAgain:
        """Start a job that reads the texts of a course again, or ask analyzers what that would cost.

        A second call for the same message starts nothing new.
        """
        # The points of the course may have been imported a moment ago.
        self.tell_course_members([message.course_id])
        found = texts_to_read(self.graph, self.blobs, message)
        outcome = TextsAgain(texts=found.counts(), not_kept=found.not_kept, left=found.left)
        if message.estimate:
            return self._ask_for_estimates(message, found, outcome)
        if found.requests:
            self._start_reading(message, found)
        return outcome

    def _ask_for_estimates(
        self, message: ReadAgain, found: TextsToRead, outcome: TextsAgain
    ) -> TextsAgain:
        """Send an analyzer a sample of each kind of text. Return the outcome with the tasks that estimate."""
        sampled: dict[str, int] = {}
        tasks: dict[str, str] = {}
        for kind, records in found.records.items():
            request = AnalysisEstimate(
                job_id=message.job_id, kind=kind, records=sample(records), economy=message.economy
            )
            task_id = task_id_for(message.job_id, f"estimate-{kind}")
            send(self.app, "estimate_analysis_task", request, task_id=task_id)
            sampled[kind] = len(request.records)
            tasks[kind] = task_id
        return outcome.model_copy(update={"sampled": sampled, "estimates": tasks})

    def _start_reading(self, message: ReadAgain, found: TextsToRead) -> None:
        """Create the job, and send its requests. They are stored with the job, so that it can be resumed."""
        tasks = []
        task_ids = list[str]()
        for request in found.requests:
            task_id = task_id_for(message.job_id, f"analysis-{request.kind}-{request.batch}")
            task_ids.append(task_id)
            tasks.append([BATCH_TASKS[request.kind], request.model_dump(mode="json"), task_id])
        job = NewJob(
            job_id=message.job_id,
            kind="analysis",
            source=f"course {message.course_id}",
            created=self.now(),
            to_analyse=sum(found.counts().values()),
            tasks=json.dumps(tasks),
            owner=message.client,
            first_task=task_ids[0],
        )
        self.jobs.create_job(job)
        # If this message comes again, the job has the requests of the first time.
        stored = self.jobs.tasks(message.job_id) or job.tasks
        for name, body, task_id in json.loads(stored):
            request = AnalysisBatch.model_validate(body)
            send(self.app, name, request, task_id=task_id)

    def end_old_records(self) -> dict[str, int | bool]:
        """Delete records, texts and reviews of the graph whose retention is over, for ten minutes at most.

        After that, for one more minute, compact the ledger rows of jobs that no other store knows (docs/adr/0076).
        """
        end = self.now() + timedelta(seconds=MOST_SECONDS_ENDING_RECORDS)
        ended = self.graph.end_old_records(lambda: self.now() < end)
        # This task runs each hour. So it also moves the changes of a process that died before it could.
        self.log_noted_changes()
        if ended.removed:
            forget_lists(self.members, self.graph)  # A person may no longer be in a course.
        self.graph.tell_changes()
        folders = frozenset(self.blobs.folders(JOBS_FOLDER))

        def is_over(job_ids: Collection[str]) -> set[str]:
            return set(job_ids) - folders - self.jobs.known(sorted(job_ids))

        late = self.now() + timedelta(seconds=MOST_SECONDS_COMPACTING)
        compacted = self.graph.compact_ledger(is_over, lambda: self.now() < late)
        finished = ended.finished and compacted.finished
        return {**ended._asdict(), "ledger_rows": compacted.rows, "finished": finished}

    def remove_from_graph(
        self, of: Removable, node_id: str, request_id: str, cause: Cause = NOBODY
    ) -> dict[str, int | bool]:
        """Remove a course or a group from the graph, for ten minutes at most. Return what was removed and left."""
        end = self.now() + timedelta(seconds=MOST_SECONDS_ENDING_RECORDS)
        removed = self.graph.remove(of, node_id, lambda: self.now() < end, cause)
        self.log_noted_changes()
        self._send_settler(request_id)
        forget_lists(self.members, self.graph)
        self.graph.tell_changes()
        return removed._asdict()

    def rename_in_graph(
        self, of: Renamable, node_id: str, new_id: str, *, merge: bool, cause: Cause = NOBODY
    ) -> dict[str, int | bool | str | None]:
        """Give a person, a course, a group or an item another id, for ten minutes at most. Return what was moved."""
        end = self.now() + timedelta(seconds=MOST_SECONDS_ENDING_RECORDS)
        renamed = self.graph.rename(
            of, node_id, new_id, lambda: self.now() < end, merge=merge, cause=cause
        )
        self.log_noted_changes()
        forget_lists(self.members, self.graph)
        self.graph.tell_changes()
        return renamed._asdict()

    def restrict_student(self, student_id: str, *, restricted: bool) -> dict[str, bool]:
        """Restrict a student or lift the restriction. Return whether the student was found and is restricted now.

        The data about a restricted student is kept, but is neither analysed nor shown.
        """
        found = self.graph.restrict_student(student_id, restricted=restricted)
        # The list of restricted students in Redis is out of date now.
        forget_lists(self.members, self.graph)
        self.graph.tell_changes()
        return {"found": found, "restricted": restricted and found}

    def export_student(self, request_id: str, student_id: str) -> dict[str, Any]:
        """Write all data about a student into a ZIP. Return its name, and the number of entries in each file of it.

        Raises Wait while a person is being erased. An erasure deletes all exports, and must not miss this one.
        """
        now = self.now()
        delete_old_exports(self.blobs, now)
        key = export_key(request_id, now)
        with self.jobs.erasing() as go_on, self.blobs.write(key) as file:
            export = PersonExport(
                student_id,
                self.graph,
                self.blobs,
                self.elsewhere,
                self.platform_prefixes,
                go_on=go_on,
            )
            counts = export.write(file, now)
        return {"export": key.removeprefix(f"{EXPORTS}/"), "entries": counts}

    def findings_failed(self, message: Findings, reason: str) -> FindingsOutcome:
        number = message.done + message.failed
        self._settle_pack(message, 0, number, reason)
        return FindingsOutcome(
            job_id=message.job_id, pack=message.pack, state="failed", failed=number, error=reason
        )

    def _settle_lost(self, message: ImportAggregate, lost: Collection[int]) -> None:
        """Settle batches of the window whose task ended without doing so, for example because it was revoked."""
        for batch in window(self.blobs, message.job, message.window_end):
            if batch.batch in lost:
                self.batch_failed(batch, "its task ended without an outcome")

    def _settle(self, outcome: BatchOutcome, types: Sequence[str] = ()) -> bool:
        # A redelivered batch was settled before, so it is not counted again. Its event has the same id as before.
        settled = self.jobs.settle_batch(outcome, self.now())
        if settled:
            telemetry.batch(outcome, types)
        shown = outcome.model_dump(mode="json", exclude={"errors"})
        self._emit("io.edugraph.batch.completed", outcome.job_id, shown, f"batch-{outcome.batch}")
        self._finish(outcome.job_id)
        return settled

    def _settle_pack(
        self,
        message: Findings,
        done: int,
        failed: int,
        error: str | None,
        *,
        claims_changed: bool = False,
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
        elif self.jobs.message_state(message.job_id, message.generation) == "unknown":
            # Redis lost the job after its last pack was analysed, so no other message may continue the job.
            self._bring_back(message.job_id, message.generation)
        shown = {"job_id": message.job_id, "pack": message.pack, "done": done, "failed": failed}
        self._emit("io.edugraph.analysis.completed", message.job_id, shown, message.pack)
        self._finish(message.job_id)

    def _finish(self, job_id: str) -> None:
        state = self.jobs.finish_if_complete(job_id, self.now())
        if state == "deriving":
            # The number grows with each change of claims. The task id contains it, so that a request for a new change
            # is not taken for a repetition of an earlier one.
            number, now = self.jobs.deriving([job_id]).get(job_id, ""), self.now()
            self.jobs.waits(job_id, DERIVING, now.timestamp() + DERIVING_SECONDS, now)
            task_id = task_id_for(job_id, f"settle-prerequisites-{number}")
            send(
                self.app,
                "settle_prerequisites_task",
                SettlePrerequisites(job_id=job_id),
                task_id=task_id,
            )
        elif state:
            self._ended(job_id, state)
            self._ask_for_comparison(job_id, "propose")

    def _ask_for_comparison(self, job_id: str, step: str) -> None:
        """Request a comparison of the names of knowledge points if their number has changed since the last one.

        The job has already ended. So a failure is only logged, and the next job that ends asks again.
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
        self._emit(
            "io.edugraph.import.completed", job_id, {"job_id": job_id, "state": state}, state
        )

    def _emit(self, event_type: EventType, job_id: str, data: dict[str, object], step: str) -> None:
        event_id = task_id_for(job_id, f"{event_type}:{step}")
        event = Event(
            id=event_id,
            source="/edugraph/importer",
            type=event_type,
            subject=job_id,
            time=self.now(),
            data=data,
        )
        emit(self.app, event)


def _claim_in_words(claim: IdClaimChange) -> str:
    """Return what a person claims now, or claims no longer, as the audit log says it."""
    if claim.claims is None:
        return f"was forgotten, and a list still gives this person the id {claim.claimed}"
    verb = "claims" if claim.claims else "no longer claims"
    if not claim.decides:
        return f"{verb} the id {claim.claimed}"
    if claim.person != claim.claimed:
        return f"by decision {verb} the id {claim.claimed}"
    if claim.claims:
        return "by decision belongs to nobody else"
    return "by decision is no longer kept apart"


def _waiting_of(message: LiveBatch) -> list[WaitingBatch]:
    """Return the parts of a live batch as the gateway has counted them."""
    return [WaitingBatch(part.rights.source, part.acceptance) for part in message.parts]


def _failed(message: ImportBatch, reason: str) -> BatchOutcome:
    """Return the outcome of a batch that was given up. All its rows count as read and failed."""
    if message.records is not None:
        read = len(message.records)
    else:
        read = message.expected or 0
    return BatchOutcome(
        job_id=message.job_id,
        batch=message.batch,
        state="failed",
        read=read,
        failed=read,
        error=reason,
    )


def within_a_message(points: Sequence[NamedPoint]) -> tuple[NamedPoint, ...]:
    """Return as many of the first points as fit into a message."""
    sizes = accumulate(len(each.model_dump_json()) + 1 for each in points)
    return tuple(
        each for each, size in zip(points, sizes, strict=True) if size < LARGEST_BODY - INLINE_BYTES
    )
