"""What the analyzer does, apart from how its work arrives: cut rows into packs, analyse them, send findings on."""

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
from edugraph_common.contracts.errors import Rejected, Wait
from edugraph_common.contracts.findings import kind_to_read
from edugraph_common.contracts.messages import (
    Analysis,
    AnalysisBatch,
    AnalysisEstimate,
    CourseMembersRequest,
    Findings,
)
from edugraph_common.contracts.outcomes import AnalysisProgress
from edugraph_common.contracts.records import Record
from edugraph_common.messaging.publisher import send, task_id_for
from edugraph_common.platform.course_members import CourseMembers
from edugraph_common.platform.job_store import Jobs
from edugraph_common.platform.object_store import Blobs
from edugraph_common.sources import Row, load_rows
from edugraph_common.sources.rows import latest_timestamp, parse_rows

MEMBERS_SECONDS = 2.0  # until a text is looked at again that waits for the names of its course

log = structlog.get_logger()


@dataclass(frozen=True)
class AnalyzerService:
    """The analyzer's work. There is one in each process; `now` gives aware times."""

    app: Celery
    pipeline: Pipeline
    jobs: Jobs
    members: CourseMembers
    blobs: Blobs
    now: Callable[[], datetime]
    pack_size: int

    def packs(self, message: AnalysisBatch) -> Iterator[Analysis]:
        """Yield all records of the kind among the rows, in packs; they are the same packs each time.

        A cancelled job has none.
        """
        if self.jobs.is_cancelled(message.job_id):
            return
        if message.records is not None:
            rows: Iterable[Row] = parse_rows(
                enumerate(message.records, start=1), latest_timestamp(message.accepted_at)
            )
        elif message.rows is not None:
            rows = load_rows(self.blobs, message.rows, message.accepted_at)
        else:
            raise Rejected("the message has neither rows nor records")
        read = (row for _, row in rows if isinstance(row, Record))
        records = [record for record in read if kind_to_read(record) == message.kind]
        for number, start in enumerate(range(0, len(records), self.pack_size)):
            yield Analysis(
                job_id=message.job_id,
                traceparent=message.traceparent,
                deadline=message.deadline,
                pack=_pack_name(message, number),
                kind=message.kind,
                records=tuple(record.to_json() for record in records[start : start + self.pack_size]),
                contexts=message.contexts,
            )

    def analyse(self, message: Analysis) -> list[dict[str, Any]]:
        """Analyse a pack and send its findings on to the graph. Returns them as JSON, without their records.

        A pack of a cancelled job is left out and stays uncounted: whoever resumes the job asks for it again.
        """
        try:
            if self.jobs.is_cancelled(message.job_id):
                raise Cancelled  # noqa: TRY301 - as it comes from within, right before a request
            result = self.pipeline.analyse(message)
        except Cancelled:
            log.info("pack_left_out", reason="the job was cancelled")
            return []
        except MembersUnknown as unknown:
            self._ask_for_members(message, unknown.course_ids)
            raise Wait("the importer has not told yet who is in the course", MEMBERS_SECONDS) from None
        findings = Findings(
            job_id=message.job_id,
            traceparent=message.traceparent,
            pack=message.pack,
            edition=edition_of(result),
            findings=result.findings,
            failed=len(result.failed),
            error=result.failed[0].reason if result.failed else None,
            withheld=len(result.withheld),
        )
        task_id = task_id_for(message.job_id, f"findings-{message.pack}")
        send(self.app, "record_findings_task", findings, task_id=task_id)
        return [
            {"record_id": found.record.get("record_id"), **found.model_dump(mode="json", exclude={"record"})}
            for found in result.findings
        ]

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

    def estimate(self, message: AnalysisEstimate) -> dict[str, Any]:
        """Return an Estimate as JSON; what the cache has costs nothing."""
        pack = Analysis(job_id=message.job_id, pack="estimate", kind=message.kind, records=message.records)
        return asdict(self.pipeline.estimate(pack))

    def pack_failed(self, message: Analysis, reason: str) -> None:
        """Tell the job that this pack's records will have no findings."""
        self._settle_failed(message.job_id, {message.pack: len(message.records)}, reason)

    def batch_failed(self, message: AnalysisBatch, reason: str) -> None:
        """Tell the job that the rows could not be cut into packs: the batch's records will have no findings.

        They are counted under the names of the packs, so that packs which were sent nevertheless, or are sent by a
        replay, replace what is counted here. The job as a whole fails only if nobody knows how many records it
        waits for.
        """
        if message.expected is None:
            self.jobs.fail(message.job_id, reason, self.now())
            return
        starts = range(0, message.expected, self.pack_size)
        sizes = {
            _pack_name(message, number): min(self.pack_size, message.expected - start)
            for number, start in enumerate(starts)
        }
        self._settle_failed(message.job_id, sizes, reason)

    def _settle_failed(self, job_id: str, sizes: dict[str, int], reason: str) -> None:
        """Settle packs as failed; `sizes` has the number of records by the name of the pack."""
        for pack, records in sizes.items():
            self.jobs.settle_pack(job_id, pack, AnalysisProgress(failed=records), self.now(), reason)
        telemetry.job_ended(self.jobs.finish_if_complete(job_id, self.now()))


def _pack_name(message: AnalysisBatch, number: int) -> str:
    return f"{message.kind}-{message.batch}-{number}"


def edition_of(result: PackResult) -> str:
    """Return a digest that says which records have a finding, and of which prompt and model; not what it cost."""
    parts = [
        (found.record.get("record_id"), found.origin.analyser, found.origin.model, found.origin.prompt_version)
        for found in result.findings
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
