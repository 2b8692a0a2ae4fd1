"""What the analyzer does, apart from how its work arrives: cut into packs, ask the analyst, send what was found."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog
from celery import Celery

from edugraph_analyzer import counting
from edugraph_analyzer.analysis import Analyst, PackResult
from edugraph_analyzer.questions import Cancelled
from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.findings import kind_to_read
from edugraph_common.contracts.messages import Analysis, AnalysisBatch, AnalysisEstimate, Findings
from edugraph_common.contracts.outcomes import AnalysisProgress
from edugraph_common.contracts.records import Record
from edugraph_common.messaging.publisher import send, task_id_for
from edugraph_common.platform.job_store import Jobs
from edugraph_common.platform.object_store import Blobs
from edugraph_common.sources import Row, load_rows
from edugraph_common.sources.rows import parse_rows

log = structlog.get_logger()


@dataclass(frozen=True)
class Analyzer:
    """One per process. `now` gives aware times."""

    app: Celery
    analyst: Analyst
    jobs: Jobs
    blobs: Blobs
    now: Callable[[], datetime]
    pack_size: int

    def packs(self, message: AnalysisBatch) -> Iterator[Analysis]:
        """All records of the kind among the rows, in packs; the same packs each time. None of a cancelled job."""
        if self.jobs.is_cancelled(message.job_id):
            return
        records = [record for record in self._records(message) if kind_to_read(record) == message.kind]
        for start in range(0, len(records), self.pack_size):
            yield _pack(message, start // self.pack_size, records[start : start + self.pack_size])

    def analyse(self, message: Analysis) -> list[dict[str, Any]]:
        """Send the findings on to the graph. Returns them without their records.

        A pack of a cancelled job is left out and stays uncounted: to resume the job is to ask for it again.
        """
        try:
            if self.jobs.is_cancelled(message.job_id):
                raise Cancelled  # noqa: TRY301 - as it comes from within, right before a request
            result = self.analyst.analyse(message)
        except Cancelled:
            log.info("pack_left_out", reason="the job was cancelled")
            return []
        send(self.app, "record_findings_task", _findings(message, result), task_id=_findings_id(message))
        return [
            {"record_id": found.record.get("record_id"), **found.model_dump(mode="json", exclude={"record"})}
            for found in result.findings
        ]

    def estimate(self, message: AnalysisEstimate) -> dict[str, Any]:
        """An Estimate; what the cache has costs nothing."""
        pack = Analysis(job_id=message.job_id, pack="estimate", kind=message.kind, records=message.records)
        return asdict(self.analyst.estimate(pack))

    def pack_failed(self, message: Analysis, reason: str) -> None:
        """Tell the job that this pack's records will have no findings."""
        self._settle_failed(message.job_id, {message.pack: len(message.records)}, reason)

    def batch_failed(self, message: AnalysisBatch, reason: str) -> None:
        """The rows could not be cut into packs: the batch's records will have no findings, and its job goes on.

        Counted under the names of the packs, so that those which were sent nevertheless, or are sent by a replay,
        replace what is counted here. The job as a whole fails only if nobody knows how many records it waits for.
        """
        if message.expected is None:
            self.jobs.fail(message.job_id, reason, self.now())
        else:
            self._settle_failed(message.job_id, self._sizes(message, message.expected), reason)

    def _sizes(self, message: AnalysisBatch, expected: int) -> dict[str, int]:
        size = self.pack_size
        starts = enumerate(range(0, expected, size))
        return {_pack_name(message, place): min(size, expected - start) for place, start in starts}

    def _settle_failed(self, job_id: str, packs: Mapping[str, int], reason: str) -> None:
        for pack, records in packs.items():
            self.jobs.settle_pack(job_id, pack, AnalysisProgress(failed=records), self.now(), reason)
        counting.job_ended(self.jobs.finish_if_complete(job_id, self.now()))

    def _records(self, message: AnalysisBatch) -> Iterator[Record]:
        if message.records is not None:
            rows: Iterable[Row] = parse_rows(enumerate(message.records, start=1))
        elif message.rows is not None:
            rows = load_rows(self.blobs, message.rows)
        else:
            raise Rejected("the message has neither rows nor records")
        return (row for _, row in rows if isinstance(row, Record))


def _pack(message: AnalysisBatch, number: int, records: Sequence[Record]) -> Analysis:
    return Analysis(
        job_id=message.job_id,
        traceparent=message.traceparent,
        deadline=message.deadline,
        pack=_pack_name(message, number),
        kind=message.kind,
        records=tuple(record.to_json() for record in records),
        contexts=message.contexts,
    )


def _pack_name(message: AnalysisBatch, number: int) -> str:
    return f"{message.kind}-{message.batch}-{number}"


def _findings(message: Analysis, result: PackResult) -> Findings:
    return Findings(
        job_id=message.job_id,
        traceparent=message.traceparent,
        pack=message.pack,
        edition=_edition(result),
        findings=result.findings,
        failed=len(result.failed),
        error=result.failed[0].reason if result.failed else None,
    )


def _edition(result: PackResult) -> str:
    """Which records have a finding, and of which prompt and model; not what it cost."""
    parts = [
        (found.record.get("record_id"), found.origin.analyser, found.origin.model, found.origin.prompt_version)
        for found in result.findings
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _findings_id(message: Analysis) -> str:
    return task_id_for(message.job_id, f"findings-{message.pack}")
