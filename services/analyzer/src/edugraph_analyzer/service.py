"""What the analyzer does, apart from how its work arrives: publish packs, analyse them, send findings on."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog
from celery import Celery

from edugraph_analyzer import telemetry
from edugraph_analyzer.pipeline import MembersUnknown, PackResult, Pipeline
from edugraph_analyzer.prompting.questions import Cancelled
from edugraph_analyzer.rule_based import encoder, same_points
from edugraph_common.contracts.errors import Refused, Rejected, Wait
from edugraph_common.contracts.findings import Kind, kind_to_read
from edugraph_common.contracts.messages import (
    ECONOMY_PACKS,
    Analysis,
    AnalysisBatch,
    AnalysisEstimate,
    AnalysisWindow,
    CompareNames,
    CourseMembersRequest,
    Findings,
    ProposedPairs,
    own_contexts,
)
from edugraph_common.contracts.outcomes import AnalysisProgress, PackOutcome
from edugraph_common.contracts.records import Record
from edugraph_common.contracts.routes import BATCH_TASKS
from edugraph_common.messaging.lost_jobs import send_lost_job
from edugraph_common.messaging.publisher import send, task_id_for
from edugraph_common.platform.analysis_window import START, AnalysisWindows
from edugraph_common.platform.course_members import CourseMembers
from edugraph_common.platform.job_store import Jobs
from edugraph_common.platform.object_store import Blobs, cancelled_key
from edugraph_common.platform.stored_jobs import load_job, store_analysis
from edugraph_common.sources import Row, load_rows
from edugraph_common.sources.rows import latest_timestamp, parse_rows

PACK_TASKS: dict[Kind, str] = {
    "interaction": "analyze_interaction_task",
    "error": "analyze_error_task",
    "knowledge_points": "extract_knowledge_points_task",
}
# Messages of findings, some 25 kB each. The graph has work for half a minute with so many.
MOST_FINDINGS_WAITING, FINDINGS_SECONDS = 1_000, 5.0
TEXTS_FIRST_SECONDS = 600.0  # how long a course text that is not in the graph yet holds up mistakes of its job
# How long an import that may still come upon course texts holds up its mistakes. Most are read whole by then.
READING_SECONDS = 120.0
TEXTS_SECONDS = 2.0  # until such a mistake is looked at again
MEMBERS_SECONDS = 2.0  # until a text is looked at again that waits for the names of its course

log = structlog.get_logger()


@dataclass(frozen=True)
class AnalyzerService:
    """The analyzer's work. There is one in each process; `now` gives aware times.

    `pack_size`: the records of a pack. `packs_in_queue`: the most packs of one job that are in the queue at a time.
    `findings_waiting` gives the number of messages with findings that are not written yet; it raises Retryable.
    """

    app: Celery
    pipeline: Pipeline
    jobs: Jobs
    windows: AnalysisWindows
    members: CourseMembers
    blobs: Blobs
    now: Callable[[], datetime]
    pack_size: int
    packs_in_queue: int
    findings_waiting: Callable[[], int] = lambda: 0

    def packs(self, message: AnalysisBatch) -> Iterator[Analysis]:
        """Yield all records of the kind that a message holds, in packs; they are the same packs each time.

        A cancelled job has none. Of a message that refers to its rows the packs are published a window at a time,
        and none is yielded; but those of an older sender, which does not say how many records there are.
        """
        if self.jobs.standing(message.job_id, message.generation) in ("cancelled", "stale"):
            return
        if message.records is not None:
            rows: Iterable[Row] = parse_rows(
                enumerate(message.records, start=1), latest_timestamp(message.accepted_at)
            )
        elif message.rows is None:
            raise Rejected("the message has neither rows nor records")
        elif message.expected is None:
            rows = load_rows(self.blobs, message.rows, message.accepted_at)
        else:
            self._begin(message)
            return
        read = (row for line, row in rows if isinstance(row, Record) and line not in message.left_out)
        records = [record for record in read if kind_to_read(record) == message.kind]
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
            )

    def _begin(self, request: AnalysisBatch) -> None:
        """Begin to publish the packs of a request that refers to its rows."""
        job_id = request.job_id
        if load_job(self.blobs, job_id) is None:
            store_analysis(self.blobs, request)  # a pack of it can bring the job back if Redis loses it
            if self.jobs.standing(job_id, request.generation) == "unknown" and not self._recreate(request):
                return
        if self.windows.ask([request], START) == "unknown":
            self._begin_again(request)
            return
        names = ("job_id", "deadline", "generation", "economy")
        self.publish_packs(AnalysisWindow(**{name: getattr(request, name) for name in names}))

    def _recreate(self, request: AnalysisBatch) -> bool:
        """Make an analysis job that Redis has lost known again, from its request. False if it was cancelled.

        Raises Rejected for a job whose deadline has passed.
        """
        if request.deadline is not None and request.deadline < self.now().timestamp():
            raise Rejected("Redis does not know this job, and its deadline has passed; send its records again")
        if self.blobs.exists(cancelled_key(request.job_id)):
            log.info("job_left_out", reason="it was cancelled before Redis lost it")
            return False
        task_id = task_id_for(request.job_id, f"analysis-{request.kind}-0")
        task = [BATCH_TASKS[request.kind], request.model_dump(mode="json"), task_id]
        source, records = f"{request.kind} inline", request.expected or 0
        if self.jobs.create(
            request.job_id, "analysis", source, self.now(), to_analyse=records, tasks=json.dumps([task])
        ):
            log.warning("job_recreated", job=request.job_id, reason="Redis had lost it")
        return True

    def publish_packs(self, message: AnalysisWindow | Analysis) -> None:
        """Publish the packs for which there is room, now that this message is in the queue no more.

        A message that comes again publishes what it could not. Raises QueueFull or Retryable when the broker did not
        take one of them.
        """
        by = message.pack if isinstance(message, Analysis) else START
        taken = self.windows.take(
            message.job_id,
            message.generation,
            by,
            self.now(),
            most=max(self.packs_in_queue, ECONOMY_PACKS) if message.economy else self.packs_in_queue,
            pack_records=self.pack_size,
        )
        if taken.standing == "unknown":
            self._begin_again(message)
        for pack in taken.packs:
            # A pack of a resumed job is another task: what became of the one before must not answer for it.
            step = f"{pack.pack}-{pack.generation}" if pack.generation else pack.pack
            send(self.app, PACK_TASKS[pack.kind], pack, task_id=task_id_for(pack.job_id, step))
            self.windows.sent(pack.job_id, by, pack.pack)

    def _begin_again(self, message: AnalysisBatch | AnalysisWindow | Analysis) -> bool:
        """Have a job that Redis has lost begin again, which asks for all of its packs. False for one that cannot."""
        return send_lost_job(self.app, self.blobs, message.job_id, message.generation, self.now())

    def analyse(self, message: Analysis) -> PackOutcome:
        """Analyse a pack, send its findings on to the graph, and let the next packs of its job into the queue.

        A pack of a cancelled job is left out and stays uncounted: whoever resumes the job asks for it again. One that
        the provider has in a batch goes on until that is cancelled. Left out is also one of a job that Redis has
        lost, and one that a refused key, an empty account or a missing price ends: it fails the whole job with the
        reason. A pack of a large job waits while the graph is far behind.
        """
        if message.rows is not None and self.findings_waiting() > MOST_FINDINGS_WAITING:
            raise Wait("the graph has not written yet what was found before", FINDINGS_SECONDS)
        try:
            standing = self.jobs.standing(message.job_id, message.generation)
            under_way = standing == "cancelled" and message.economy and self.pipeline.is_under_way(message)
            left_out = standing in ("cancelled", "stale") and not under_way
            if left_out or (standing == "unknown" and message.rows is not None and self._begin_again(message)):
                raise Cancelled  # noqa: TRY301 - as it comes from within, right before a request
            result = self.pipeline.analyse(message, after_texts=self._after_texts(message))
        except Cancelled:
            log.info("pack_left_out", reason="its job was cancelled, resumed or lost")
            return PackOutcome(job_id=message.job_id, pack=message.pack, state="cancelled")
        except Refused as refused:
            # No pack of the job would fare better. Its others are left out likewise, and none is a dead letter.
            self.jobs.fail(message.job_id, refused.reason, self.now())
            log.error("job_refused", reason=refused.reason)  # noqa: TRY400 - the reason says what to set
            return PackOutcome(job_id=message.job_id, pack=message.pack, state="cancelled")
        except MembersUnknown as unknown:
            self._ask_for_members(message, unknown.course_ids)
            raise Wait("the importer has not told yet who is in the course", MEMBERS_SECONDS) from None
        created = self.jobs.created(message.job_id)
        findings = Findings(
            job_id=message.job_id,
            traceparent=message.traceparent,
            pack=message.pack,
            edition=edition_of(result),
            findings=result.findings,
            failed=len(result.failed),
            error=result.failed[0].reason if result.failed else None,
            generation=message.generation,
            withheld=len(result.withheld),
            textless=len(result.skipped),
            asked_at=created.timestamp() if created else None,
            acceptance=message.acceptance,
        )
        # An edition is a task of its own: what became of another one must not answer for it.
        task_id = task_id_for(message.job_id, f"findings-{message.pack}-{findings.edition}")
        # Packs that carry their records are those of small jobs. Where the model is faster than the graph, findings
        # of a huge job wait by the hundred, and those of a small one would stand behind them.
        send(self.app, "record_findings_task", findings, task_id=task_id, urgent=message.rows is None)
        if message.rows is not None:
            self.publish_packs(message)
        return PackOutcome(
            job_id=message.job_id,
            pack=message.pack,
            state="analysed",
            findings=len(result.findings),
            failed=len(result.failed),
            cached=sum(found.origin.cached for found in result.findings),
        )

    def _after_texts(self, message: Analysis) -> bool:
        """Whether this is a pack of mistakes, and the course texts of its job are in the graph.

        Raises Wait as long as they are not, for at most `TEXTS_FIRST_SECONDS` after a text was published, and while
        the import may come upon more of them, for at most `READING_SECONDS` after the job was made.
        """
        if message.kind != "error":
            return False
        texts, now = self.windows.texts(message.job_id), self.now().timestamp()
        if texts.open_since is not None and now - texts.open_since < TEXTS_FIRST_SECONDS:
            raise Wait("the texts of its courses are read first", TEXTS_SECONDS)
        if texts.read_since is not None and now - texts.read_since < READING_SECONDS:
            raise Wait("its import is still being read, and texts of its courses are read first", TEXTS_SECONDS)
        return texts.published

    def _ask_for_members(self, message: Analysis, course_ids: tuple[str, ...]) -> None:
        """Ask the importer, who alone knows the graph, unless somebody did so a moment ago."""
        # An empty id, which no course has, stands for the list of the students who are restricted.
        if asked := self.members.to_ask(course_ids or ("",)):
            request = CourseMembersRequest(
                job_id=message.job_id,
                traceparent=message.traceparent,
                deadline=message.deadline,
                course_ids=tuple(filter(None, asked)),
            )
            send(
                self.app,
                "tell_course_members_task",
                request,
                task_id=task_id_for(message.job_id, f"members-{message.pack}"),
            )

    def compare_names(self, message: CompareNames) -> dict[str, int]:
        """Tell the importer which points may mean the same, or that there is no encoder to compare them."""
        pairs = same_points.proposed(message.points) if encoder.is_installed() else ()
        told = ProposedPairs(
            job_id=message.job_id,
            traceparent=message.traceparent,
            encoder=encoder.version() if encoder.is_installed() else None,
            compared=len(message.points),
            pairs=pairs,
        )
        send(self.app, "record_proposals_task", told, task_id=task_id_for(message.job_id, "proposals"))
        return {"pairs": len(pairs)}

    def estimate(self, message: AnalysisEstimate) -> dict[str, Any]:
        """Return an Estimate as JSON; what the cache has costs nothing."""
        common = {name: getattr(message, name) for name in ("job_id", "kind", "records", "economy")}
        pack = Analysis(pack="estimate", **common)
        return asdict(self.pipeline.estimate(pack))

    def pack_failed(self, message: Analysis, reason: str) -> None:
        """Tell the job that this pack's records will have no findings."""
        self._settle_failed(message.job_id, {message.pack: message.count or len(message.records)}, reason)
        if message.rows is not None:
            self.publish_packs(message)

    def window_failed(self, message: AnalysisWindow, reason: str) -> None:
        """End the job, whose packs nobody would publish; it can be resumed."""
        if self.jobs.standing(message.job_id, message.generation) == "open":
            self.jobs.fail(message.job_id, reason, self.now())

    def batch_failed(self, message: AnalysisBatch, reason: str) -> None:
        """Tell the job that the rows could not be cut into packs: the batch's records will have no findings.

        They are counted under the names of the packs, so that packs which were sent nevertheless, or are sent by a
        replay, replace what is counted here. The job as a whole fails only if nobody knows how many records it
        waits for.
        """
        if message.expected is None:
            self.jobs.fail(message.job_id, reason, self.now())
            return
        size = message.pack_records or self.pack_size
        starts = range(0, message.expected, size)
        sizes = {
            _pack_name(message, number): min(size, message.expected - start) for number, start in enumerate(starts)
        }
        self._settle_failed(message.job_id, sizes, reason)

    def _settle_failed(self, job_id: str, sizes: dict[str, int], reason: str) -> None:
        """Settle packs as failed; `sizes` has the number of records by the name of the pack."""
        for pack, records in sizes.items():
            self.jobs.settle_pack(job_id, pack, AnalysisProgress(failed=records), self.now(), reason)
        # What waits for prerequisites is ended by the importer.
        state = self.jobs.finish_if_complete(job_id, self.now())
        telemetry.job_ended(None if state == "deriving" else state)


def _pack_name(message: AnalysisBatch, number: int) -> str:
    return f"{message.kind}-{message.batch}-{number}"


def edition_of(result: PackResult) -> str:
    """Return a digest that says which records have a finding, and of which prompt and model; not what it cost."""
    parts = [
        (found.record.get("record_id"), found.origin.analyser, found.origin.model, found.origin.prompt_version)
        for found in result.findings
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
