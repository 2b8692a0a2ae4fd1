"""The work of the analyzer: publish packs, analyse them, and send findings on. `tasks` says how work arrives."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog
from celery import Celery

from edugraph_analyzer import telemetry
from edugraph_analyzer.course_names import MembersUnknown
from edugraph_analyzer.drafting.writer import failed
from edugraph_analyzer.live_share import LiveShare, NoTurn
from edugraph_analyzer.pipeline import PackResult, Pipeline
from edugraph_analyzer.prompting.questions import Cancelled
from edugraph_analyzer.rule_based import encoder, same_points
from edugraph_analyzer.wording.chooser import failed as not_chosen
from edugraph_common.contracts.drafts import Draft
from edugraph_common.contracts.errors import ProviderBusy, Refused, Rejected, Wait
from edugraph_common.contracts.findings import Kind, kind_to_read
from edugraph_common.contracts.messages import (
    ECONOMY_PACKS,
    Analysis,
    AnalysisBatch,
    AnalysisEstimate,
    AnalysisWindow,
    ChooseQuestion,
    CompareNames,
    CourseMembersRequest,
    Findings,
    ProposedPair,
    ProposedPairs,
    WriteDraft,
    own_contexts,
)
from edugraph_common.contracts.outcomes import AnalysisProgress, PackOutcome
from edugraph_common.contracts.records import Record
from edugraph_common.contracts.routes import BATCH_TASKS
from edugraph_common.contracts.wordings import ChosenQuestion
from edugraph_common.runtime.messaging.lost_jobs import send_lost_job
from edugraph_common.runtime.messaging.publisher import send, task_id_for
from edugraph_common.runtime.shared_state.analysis_window import START, AnalysisWindows
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs
from edugraph_common.runtime.shared_state.model_permits import ModelPermits
from edugraph_common.runtime.shared_state.object_store import Blobs, cancelled_key
from edugraph_common.runtime.shared_state.stored_jobs import load_job, store_analysis
from edugraph_common.sources.rows import latest_timestamp, parse_rows

PACK_TASKS: dict[Kind, str] = {
    "interaction": "analyze_interaction_task",
    "error": "analyze_error_task",
    "knowledge_points": "extract_knowledge_points_task",
}
# Packs of large jobs wait while more messages of findings than this are in the queue. Each has about 25 kB, and the
# graph needs about half a minute to write 1,000 of them.
MOST_FINDINGS_WAITING = 1_000
# Such a pack is tried again after this time.
FINDINGS_SECONDS = 5.0
# Mistakes and messages wait at most this long for a course text of their job that is not in the graph yet.
TEXTS_FIRST_SECONDS = 600.0
# Mistakes and messages wait at most this long for an import that may still find course texts. Most imports are read
# by then.
READING_SECONDS = 120.0
# A pack that waits for course texts is tried again after this time.
TEXTS_SECONDS = 2.0
# A pack that waits for the names of its courses is tried again after this time.
MEMBERS_SECONDS = 2.0
NO_MEMBERS = "the importer has not told yet who is in the course"
PERMIT_ENDED = "the permit of this draft has ended, or a student of it was erased; ask for it again"
# A pack of live texts that the provider refuses is tried again after this time.
REFUSED_SECONDS = 600.0

log = structlog.get_logger()


@dataclass(frozen=True)
class AnalyzerService:
    """The work of the analyzer. Each process has one object of this class.

    `now` returns aware times. `pack_size` is the number of records of a pack. At most `packs_in_queue` packs of one
    job are in the queue at a time. `findings_waiting` returns the number of messages with findings that are not
    written yet, and raises Retryable. Without a provider there is no `live_share`.
    """

    app: Celery
    pipeline: Pipeline
    jobs: Jobs
    windows: AnalysisWindows
    members: CourseMembers
    model_permits: ModelPermits
    blobs: Blobs
    now: Callable[[], datetime]
    pack_size: int
    packs_in_queue: int
    findings_waiting: Callable[[], int] = lambda: 0
    live_share: LiveShare | None = None

    def packs(self, message: AnalysisBatch) -> Iterator[Analysis]:
        """Yield all records of a message's kind in packs. The packs are the same each time.

        Nothing is yielded for a cancelled job. Nothing is yielded either for a message that refers to its rows and
        has the number of its records: its packs are published in a window, a few at a time.
        """
        if self.jobs.message_state(message.job_id, message.generation) in ("cancelled", "stale"):
            return
        if message.records is None:
            if message.rows is None or message.expected is None:
                raise Rejected("the message has neither records nor rows with their number")
            self._begin(message)
            return
        records = list[Record]()
        rows = enumerate(message.records, start=1)
        for line, row in parse_rows(rows, latest_timestamp(message.accepted_at)):
            if not isinstance(row, Record) or line in message.left_out:
                continue
            if kind_to_read(row) == message.kind:
                records.append(row)
        size = message.pack_records or self.pack_size
        for number, start in enumerate(range(0, len(records), size)):
            pack = records[start : start + size]
            yield Analysis(
                job_id=message.job_id,
                traceparent=message.traceparent,
                deadline=message.deadline,
                pack=_pack_name(message, number),
                kind=message.kind,
                records=tuple(record.to_json() for record in pack),
                contexts=own_contexts(pack, message.contexts),
                acceptance=message.acceptance,
                generation=message.generation,
                economy=message.economy,
                share_percent=message.share_percent,
            )

    def _begin(self, request: AnalysisBatch) -> None:
        """Begin to publish the packs of a request that refers to its rows."""
        job_id = request.job_id
        if load_job(self.blobs, job_id) is None:
            # If Redis loses the job, a pack can create it again from the stored request.
            store_analysis(self.blobs, request)
            if self.jobs.message_state(
                job_id, request.generation
            ) == "unknown" and not self._recreate(request):
                return
        if self.windows.ask([request], START) == "unknown":
            self._begin_again(request)
            return
        window = AnalysisWindow(
            job_id=job_id,
            deadline=request.deadline,
            generation=request.generation,
            economy=request.economy,
        )
        self.publish_packs(window)

    def _recreate(self, request: AnalysisBatch) -> bool:
        """Create an analysis job that Redis has lost again, from its request. Return False if it was cancelled.

        Raises Rejected for a job whose deadline has passed.
        """
        if request.deadline is not None and request.deadline < self.now().timestamp():
            raise Rejected(
                "Redis does not know this job, and its deadline has passed; send its records again"
            )
        if self.blobs.exists(cancelled_key(request.job_id)):
            log.info("job_left_out", reason="it was cancelled before Redis lost it")
            return False
        task_id = task_id_for(request.job_id, f"analysis-{request.kind}-0")
        task = [BATCH_TASKS[request.kind], request.model_dump(mode="json"), task_id]
        is_created = self.jobs.create(
            request.job_id,
            "analysis",
            f"{request.kind} inline",
            self.now(),
            to_analyse=request.expected or 0,
            tasks=json.dumps([task]),
        )
        if is_created:
            log.warning("job_recreated", job=request.job_id, reason="Redis had lost it")
        return True

    def publish_packs(self, message: AnalysisWindow | Analysis) -> None:
        """Publish as many packs as the window has room for, now that this message is no longer in the queue.

        A message that is delivered again publishes the packs that it could not publish before. Raises QueueFull or
        Retryable if the broker did not take a pack.
        """
        by = START
        if isinstance(message, Analysis):
            by = message.pack
        most = self.packs_in_queue
        if message.economy:
            most = max(most, ECONOMY_PACKS)
        taken = self.windows.take(
            message.job_id,
            message.generation,
            by,
            self.now(),
            most=most,
            pack_records=self.pack_size,
        )
        if taken.state == "unknown":
            self._begin_again(message)
        for pack in taken.packs:
            # A pack of a resumed job is another task, so that the result of the earlier task does not count for it.
            step = pack.pack
            if pack.generation:
                step = f"{pack.pack}-{pack.generation}"
            send(self.app, PACK_TASKS[pack.kind], pack, task_id=task_id_for(pack.job_id, step))
            self.windows.sent(pack.job_id, by, pack.pack)

    def _begin_again(self, message: AnalysisBatch | AnalysisWindow | Analysis) -> bool:
        """Start a lost job again, so that all of its packs are asked for. Return False if it cannot be started."""
        return send_lost_job(self.app, self.blobs, message.job_id, message.generation, self.now())

    def analyse(self, message: Analysis) -> PackOutcome:
        """Analyse a pack, send its findings to the graph, and let the next packs of its job into the queue.

        A pack that is left out (see `_is_left_out`) is not counted: resuming the job asks for it again. A refused
        key, an empty account or a missing price fails the whole job with the reason, and lets a pack of live texts
        wait. A pack of a large job waits while the graph is far behind.
        """
        if message.rows is not None and self.findings_waiting() > MOST_FINDINGS_WAITING:
            raise Wait("the graph has not written yet what was found before", FINDINGS_SECONDS)
        try:
            if self._is_left_out(message):
                raise Cancelled  # noqa: TRY301 - the pipeline raises it as well, right before a request
            self._await_turn(message)
            result = self.pipeline.analyse(message, after_texts=self._after_texts(message))
        except Cancelled:
            log.info("pack_left_out", reason="its job was cancelled, resumed or lost")
            self._end_turn(message)
            return PackOutcome(job_id=message.job_id, pack=message.pack, state="cancelled")
        except NoTurn as late:
            # As a dead letter it could only be replayed into the same wait.
            self.pack_failed(message, late.reason)
            failed = message.count or len(message.records)
            return PackOutcome(
                job_id=message.job_id, pack=message.pack, state="analysed", failed=failed
            )
        except Refused as refused:
            if message.share_percent is not None:
                # The job of a source and day cannot be resumed, so a failed job would lose these texts.
                raise ProviderBusy(refused.reason, REFUSED_SECONDS) from refused
            # Every other pack of the job would be refused too. The failed job leaves them out, without dead letters.
            self.jobs.fail(message.job_id, refused.reason, self.now())
            log.error("job_refused", reason=refused.reason)  # noqa: TRY400 - the reason says what to set
            return PackOutcome(job_id=message.job_id, pack=message.pack, state="cancelled")
        except MembersUnknown as unknown:
            self._ask_for_members(message, unknown.course_ids)
            raise Wait(NO_MEMBERS, MEMBERS_SECONDS) from None
        return self._send_findings(message, result)

    def _send_findings(self, message: Analysis, result: PackResult) -> PackOutcome:
        """Send what was found in a pack to the graph, and let the next packs of its job into the queue."""
        error = None
        if result.failed:
            error = result.failed[0].reason
        asked_at = None
        created = self.jobs.created(message.job_id)
        if created:
            asked_at = created.timestamp()
        findings = Findings(
            job_id=message.job_id,
            traceparent=message.traceparent,
            pack=message.pack,
            edition=edition_of(result),
            findings=result.findings,
            failed=len(result.failed),
            error=error,
            generation=message.generation,
            withheld=len(result.withheld),
            textless=len(result.skipped),
            asked_at=asked_at,
            acceptance=message.acceptance,
            again=message.again,
        )
        # Each edition is a task, so that the result of another edition does not count for it.
        task_id = task_id_for(message.job_id, f"findings-{message.pack}-{findings.edition}")
        # Only packs of small jobs carry their records. If the model is faster than the graph, hundreds of findings of
        # a huge job wait in the queue, and the findings of a small job would wait behind them.
        is_of_small_job = message.rows is None
        send(self.app, "record_findings_task", findings, task_id=task_id, urgent=is_of_small_job)
        if message.rows is not None:
            self.publish_packs(message)
        self._end_turn(message)
        return PackOutcome(
            job_id=message.job_id,
            pack=message.pack,
            state="analysed",
            findings=len(result.findings),
            failed=len(result.failed),
            cached=sum(found.origin.cached for found in result.findings),
        )

    def _await_turn(self, message: Analysis) -> None:
        """Raise Wait until it is the turn of a pack of live texts."""
        if self.live_share is not None:
            self.live_share.await_turn(message, self.now())

    def _end_turn(self, message: Analysis) -> None:
        if self.live_share is not None:
            self.live_share.end(message)

    def _is_left_out(self, message: Analysis) -> bool:
        """Return whether a pack must not be analysed. A job that Redis has lost is started again, if it can be."""
        message_state = self.jobs.message_state(message.job_id, message.generation)
        if message_state == "cancelled":
            # A pack that the provider has in a batch goes on: it cancels the batch.
            has_batch = message.economy and self.pipeline.is_under_way(message)
            return not has_batch
        if message_state == "stale":
            return True
        if message_state == "unknown" and message.rows is not None:
            return self._begin_again(message)
        return False

    def _after_texts(self, message: Analysis) -> bool:
        """Return whether the job of this pack has course texts, all of them in the graph. Course texts never wait.

        Raises Wait while a course text is not in the graph, for at most `TEXTS_FIRST_SECONDS` after it was published.
        Raises Wait while the import may find more course texts, for at most `READING_SECONDS` after the job was made.
        """
        if message.kind == "knowledge_points":
            return False
        texts = self.windows.texts(message.job_id)
        now = self.now().timestamp()
        if texts.open_since is not None and now - texts.open_since < TEXTS_FIRST_SECONDS:
            raise Wait("the texts of its courses are read first", TEXTS_SECONDS)
        if texts.read_since is not None and now - texts.read_since < READING_SECONDS:
            raise Wait(
                "its import is still being read, and texts of its courses are read first",
                TEXTS_SECONDS,
            )
        return texts.published

    def _ask_for_members(
        self, message: Analysis | WriteDraft | ChooseQuestion, course_ids: tuple[str, ...]
    ) -> None:
        """Ask the importer for the members of courses, unless a process asked a moment ago.

        Only the importer reads the graph.
        """
        # The empty id, which no course has, stands for the list of restricted students.
        to_ask = self.members.to_ask(course_ids or ("",))
        if not to_ask:
            return
        request = CourseMembersRequest(
            job_id=message.job_id,
            traceparent=message.traceparent,
            deadline=message.deadline,
            course_ids=tuple(course_id for course_id in to_ask if course_id),
        )
        step = "members-asked"
        if isinstance(message, Analysis):
            step = f"members-{message.pack}"
        task_id = task_id_for(message.job_id, step)
        send(self.app, "tell_course_members_task", request, task_id=task_id)

    def compare_names(self, message: CompareNames) -> dict[str, int]:
        """Send the importer the pairs of points that may mean the same, or the fact that no encoder is installed."""
        version = None
        pairs: tuple[ProposedPair, ...] = ()
        if encoder.is_installed():
            version = encoder.version()
            pairs = same_points.proposed(message.points)
        proposed = ProposedPairs(
            job_id=message.job_id,
            traceparent=message.traceparent,
            encoder=version,
            compared=len(message.points),
            pairs=pairs,
        )
        send(
            self.app,
            "record_proposals_task",
            proposed,
            task_id=task_id_for(message.job_id, "proposals"),
        )
        return {"pairs": len(pairs)}

    def draft(self, message: WriteDraft) -> Draft:
        """Return a draft, or why there is none. Nothing is asked and nothing is returned without a permit.

        Raises Retryable, and Wait while the provider or the importer lets the draft wait. A draft whose deadline
        would pass meanwhile fails, since a person waits for it.
        """
        if not self.may_keep(message):
            return failed(message, PERMIT_ENDED)
        try:
            draft = self.pipeline.draft_writer(self.now).write(message)
        except MembersUnknown as unknown:
            self._ask_for_members(message, unknown.course_ids)
            return self._draft_waits(message, NO_MEMBERS, MEMBERS_SECONDS)
        except Wait as wait:
            return self._draft_waits(message, wait.reason, wait.seconds)
        if not self.may_keep(message):
            return failed(message, PERMIT_ENDED)
        return draft

    def choose_question(self, message: ChooseQuestion) -> ChosenQuestion:
        """Return the typed question for a text, or why there is none. Nothing is asked without a permit.

        Raises Retryable, and Wait while the provider or the importer lets the question wait. A question whose
        deadline would pass meanwhile fails, since a person waits for it.
        """
        if not self.model_permits.holds(message.permit):
            return not_chosen(message, "ended")
        try:
            return self.pipeline.question_chooser(self.now).choose(message)
        except MembersUnknown as unknown:
            self._ask_for_members(message, unknown.course_ids)
            wait = Wait(NO_MEMBERS, MEMBERS_SECONDS)
        except Wait as busy:
            wait = busy
        if self._ends_before(message, wait.seconds):
            return not_chosen(message, "provider")
        raise wait

    def may_keep(self, message: WriteDraft) -> bool:
        """Return whether the draft is still permitted: nobody in it was erased since insights gave the permit."""
        return self.model_permits.holds(message.permit)

    def _draft_waits(self, message: WriteDraft, reason: str, seconds: float) -> Draft:
        """Raise Wait, or return a failed draft if its deadline would pass meanwhile."""
        if self._ends_before(message, seconds):
            return failed(message, reason)
        raise Wait(reason, seconds) from None

    def _ends_before(self, message: WriteDraft | ChooseQuestion, seconds: float) -> bool:
        """Return whether the deadline of a message would pass while it waits."""
        ends = self.now().timestamp() + seconds + 1
        return message.deadline is not None and message.deadline < ends

    def estimate(self, message: AnalysisEstimate) -> dict[str, Any]:
        """Return an Estimate as JSON. Answers in the cache cost nothing."""
        pack = Analysis(
            pack="estimate",
            job_id=message.job_id,
            kind=message.kind,
            records=message.records,
            economy=message.economy,
        )
        return asdict(self.pipeline.estimate(pack))

    def pack_failed(self, message: Analysis, reason: str) -> None:
        """Count the records of this pack as failed: they will have no findings."""
        records = message.count or len(message.records)
        self._settle_failed(message.job_id, {message.pack: records}, reason)
        self._end_turn(message)
        if message.rows is not None:
            self.publish_packs(message)

    def window_failed(self, message: AnalysisWindow, reason: str) -> None:
        """Fail the job, since nobody would publish its packs. The job can be resumed."""
        if self.jobs.message_state(message.job_id, message.generation) == "open":
            self.jobs.fail(message.job_id, reason, self.now())

    def batch_failed(self, message: AnalysisBatch, reason: str) -> None:
        """Count the records of a batch as failed: its rows could not be cut into packs.

        The records are counted under the names of their packs. If such a pack was sent nevertheless, or is sent by a
        replay, its result replaces this count. The whole job fails only if the number of its records is unknown.
        """
        if message.expected is None:
            self.jobs.fail(message.job_id, reason, self.now())
            return
        size = message.pack_records or self.pack_size
        sizes = {}
        for number, start in enumerate(range(0, message.expected, size)):
            sizes[_pack_name(message, number)] = min(size, message.expected - start)
        self._settle_failed(message.job_id, sizes, reason)

    def _settle_failed(self, job_id: str, sizes: dict[str, int], reason: str) -> None:
        """Settle packs as failed. `sizes` has the number of records by the name of the pack."""
        for pack, records in sizes.items():
            self.jobs.settle_pack(
                job_id, pack, AnalysisProgress(failed=records), self.now(), reason
            )
        # The importer ends a job that waits for prerequisites.
        state = self.jobs.finish_if_complete(job_id, self.now())
        telemetry.job_ended(None if state == "deriving" else state)


def _pack_name(message: AnalysisBatch, number: int) -> str:
    return f"{message.kind}-{message.batch}-{number}"


def edition_of(result: PackResult) -> str:
    """Return a digest of the records that have a finding, and of its analyser, model and prompt. Cost is left out."""
    parts = []
    for found in result.findings:
        origin = found.origin
        parts.append(
            (found.record.get("record_id"), origin.analyser, origin.model, origin.prompt_version)
        )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
