"""Imports and analyses with the calls of Celery: `task.delay(…)` returns a result to ask or to wait for.

The names and arguments are those of the first design. A call goes to the API of the gateway and not to the broker, so
it needs an address and a key (EDUGRAPH_URL, EDUGRAPH_API_KEY) and no access to RabbitMQ or Redis.
"""

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edugraph_client._sync.client import Client
from edugraph_client.errors import Refused, Unreachable, is_for_now
from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.outcomes import ENDED, JobReport, JobState, Reject

# An analysis takes at most this number of records.
MOST_ANALYSED = 1_000
# The pause between two questions about a job.
PAUSE_SECONDS = 0.5

CeleryState = Literal["PENDING", "STARTED", "SUCCESS", "FAILURE", "REVOKED"]
# A job with rows that were rejected or failed has succeeded if others were applied: its result counts both.
CELERY_STATES: dict[JobState, CeleryState] = {
    "queued": "PENDING",
    "running": "STARTED",
    "waiting": "STARTED",
    "succeeded": "SUCCESS",
    "partly failed": "SUCCESS",
    "failed": "FAILURE",
    "cancelled": "REVOKED",
}


class JobFailed(Exception):
    """The job failed or was cancelled. The message is the job's own sentence, which quotes no record."""


@dataclass(frozen=True)
class Value:
    """The outcome of a job.

    - `success_count`: rows that were read and applied, or texts that were analysed. A row that changed nothing is a
      success, since the graph has it already.
    - `failure_count`: rows that were rejected, failed or never read, or texts without a finding.
    - `errors`: the first rejected rows, with line, field, expected form and reason.
    - `duration_seconds`: the time from the submission to the end of the job.
    """

    success_count: int
    failure_count: int
    errors: tuple[Reject, ...]
    duration_seconds: float


class TaskResult:
    """A submitted job. Each method opens a connection of its own, and may raise Refused or Unreachable."""

    def __init__(
        self,
        job_id: str,
        open_client: Callable[[], Client],
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = job_id
        self._open_client = open_client
        self._sleep = sleep
        self._clock = clock

    @property
    def state(self) -> CeleryState:
        return CELERY_STATES[self.report().state]

    def ready(self) -> bool:
        """Return whether the job has ended, in whatever way."""
        return self.report().state in ENDED

    def report(self) -> JobReport:
        """Return the counts and the state of the job, as the gateway shows them."""
        with self._open_client() as client:
            return client.job(self.id)

    def get(self, timeout: float = 300) -> Value:
        """Wait at most `timeout` seconds for the end of the job, and return its outcome.

        A gateway that does not answer now is asked again until then. Raises TimeoutError if the job has not ended,
        and JobFailed if it failed or was cancelled. The job goes on after a TimeoutError.
        """
        ends = self._clock() + timeout
        with self._open_client() as client:
            while True:
                report = self._report_for_now(client)
                if report is not None and report.state in ENDED:
                    return _value_of(report)
                if self._clock() >= ends:
                    raise TimeoutError(
                        f"job {self.id} has not ended after {timeout:g} s; it goes on"
                    )
                self._sleep(PAUSE_SECONDS)

    def _report_for_now(self, client: Client) -> JobReport | None:
        """Return the report, or None if the gateway cannot answer now."""
        try:
            return client.job(self.id)
        except (Refused, Unreachable) as error:
            if not is_for_now(error):
                raise
            return None


def _value_of(report: JobReport) -> Value:
    """Return the outcome of a job that has ended. Raises JobFailed."""
    if CELERY_STATES[report.state] != "SUCCESS":
        why = report.error or f"it was {report.state}"
        raise JobFailed(f"job {report.job_id} did not succeed: {why}")
    ended = report.finished or report.updated
    duration_seconds = (ended - report.created).total_seconds()
    if report.kind == "analysis":
        analysis = report.analysis
        return Value(analysis.done, analysis.failed, report.errors, duration_seconds)
    not_applied = report.rejected + report.failed
    never_read = report.expected - report.read
    return Value(
        report.read - not_applied, not_applied + never_read, report.errors, duration_seconds
    )


class ImportTask:
    """Imports records of any number. A job cuts them into batches, which are imported side by side."""

    def __init__(self, open_client: Callable[[], Client]) -> None:
        self._open_client = open_client

    def delay(self, records: Sequence[Mapping[str, Any]], batch_size: int = 1_000) -> TaskResult:
        """Submit records. May raise Refused or Unreachable; then nothing was accepted."""
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        options = {"format": "ndjson", "name": "records", "batch_size": str(batch_size)}
        with self._open_client() as client:
            accepted = client.import_stream(io.BytesIO(lines.encode()), options)
        return TaskResult(accepted.job_id, self._open_client)


class AnalysisTask:
    """Lets the model analyse one record."""

    def __init__(self, subject: str, open_client: Callable[[], Client]) -> None:
        self._subject = subject
        self._open_client = open_client

    def delay(self, record: Mapping[str, Any]) -> TaskResult:
        """Submit a record. May raise Refused or Unreachable; then nothing was accepted."""
        return _analysed(self._subject, [record], self._open_client)


class BatchAnalysisTask:
    """Lets the model analyse at most 1,000 records."""

    def __init__(self, subject: str, open_client: Callable[[], Client]) -> None:
        self._subject = subject
        self._open_client = open_client

    def delay(self, records: Sequence[Mapping[str, Any]]) -> TaskResult:
        """Submit records. Raises ValueError for too many records, and may raise Refused or Unreachable.

        After an error nothing was accepted.
        """
        if len(records) > MOST_ANALYSED:
            raise ValueError(f"{len(records)} records; an analysis takes at most {MOST_ANALYSED}")
        return _analysed(self._subject, records, self._open_client)


def _analysed(
    subject: str, records: Sequence[Mapping[str, Any]], open_client: Callable[[], Client]
) -> TaskResult:
    with open_client() as client:
        accepted: Accepted = client.analyze(subject, records)
    return TaskResult(accepted.job_id, open_client)


class Tasks:
    """All tasks at the addresses of `open_client`, which is called for each connection."""

    def __init__(self, open_client: Callable[[], Client]) -> None:
        self.import_batch_task = ImportTask(open_client)
        self.import_records_async = ImportTask(open_client)
        self.import_records_with_callback = ImportTask(open_client)
        self.analyze_interaction_task = AnalysisTask("interactions", open_client)
        self.analyze_error_task = AnalysisTask("errors", open_client)
        self.extract_knowledge_points_task = AnalysisTask("knowledge-points", open_client)
        self.batch_analyze_interactions_task = BatchAnalysisTask("interactions", open_client)
        self.batch_analyze_errors_task = BatchAnalysisTask("errors", open_client)


# The environment variables EDUGRAPH_… are read at each call and not here.
_tasks = Tasks(Client.from_environment)
import_batch_task = _tasks.import_batch_task
import_records_async = _tasks.import_records_async
import_records_with_callback = _tasks.import_records_with_callback
analyze_interaction_task = _tasks.analyze_interaction_task
analyze_error_task = _tasks.analyze_error_task
extract_knowledge_points_task = _tasks.extract_knowledge_points_task
batch_analyze_interactions_task = _tasks.batch_analyze_interactions_task
batch_analyze_errors_task = _tasks.batch_analyze_errors_task
