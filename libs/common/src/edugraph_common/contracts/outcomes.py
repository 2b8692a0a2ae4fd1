"""Outcomes of batches, packs and jobs: the answers of tasks and of the gateway."""

from datetime import datetime
from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, Field

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE
from edugraph_common.contracts.records import escaped

# The number of errors that the outcome of a batch and the report of a job keep. The rejects blobs have all errors.
BATCH_SHOWN_ERRORS = 10
JOB_SHOWN_ERRORS = 20

# The possible outcomes of a row that was read. Each row counts in exactly one of these, or is not relevant.
ROW_COUNTS = ("written", "replaced", "unchanged", "older", "taken_back", "rejected", "failed")

WITHDRAWAL = "withdrawal"  # stands for withdrawals where counts are by the type of record


# A text from a row may hold a lone surrogate, which UTF-8 cannot encode.
Shown = Annotated[str, BeforeValidator(escaped)]


class Reject(MessageModel):
    """A record that was rejected. `raw` is the row as the source sent it, so that it can be corrected and sent again.

    `line` counts from 1. In a workbook it is the number of the row in `sheet`.
    """

    line: int
    field: Shown
    expected: Shown
    found: Shown
    reason: Shown
    raw: Shown | None = None
    sheet: Shown | None = None

    @property
    def place(self) -> str:
        """The position of the record, in words."""
        if self.sheet:
            return f"sheet {self.sheet}, row {self.line}"
        return f"line {self.line}"


def quoted(*rejects: Reject) -> str | None:
    """Return the values that these rejects quote, one a line, or None. An erasure searches them for persons."""
    return "\n".join(reject.found for reject in rejects if reject.found) or None


class BatchOutcome(MessageModel):
    """The outcomes of the rows of a batch.

    The counts of `ROW_COUNTS` and of `not_relevant` add up to `read`. If the whole batch failed, `failed` equals
    `read`.

    - `written`: the graph had no record with this id.
    - `replaced`: the graph had an older version.
    - `unchanged`: the graph had the same content.
    - `older`: the graph has a later version, which stays.
    - `taken_back`: the record was withdrawn.
    - `unknown`: how many of the `written` withdrawals have an id that the graph did not know.
    """

    version: Literal[1] = 1
    job_id: str
    batch: int
    state: Literal["written", "failed", "cancelled"]
    read: int = 0
    written: int = 0
    replaced: int = 0
    unchanged: int = 0
    older: int = 0
    taken_back: int = 0
    rejected: int = 0
    failed: int = 0
    unknown: int = 0
    by_type: dict[str, int] = Field(
        default_factory=dict, description="records written or replaced, by type"
    )
    reasons: dict[str, int] = Field(default_factory=dict, description="rejected records, by reason")
    not_relevant: dict[str, int] = Field(
        default_factory=dict, description="rows that are no records, by name"
    )
    errors: tuple[Reject, ...] = ()
    error: str | None = Field(default=None, description="why the whole batch failed")
    analysis_expected: int = 0
    over_budget: int = Field(default=0, description="live texts that are not analysed")
    claims_changed: bool = Field(
        default=False, description="prerequisites are to be derived before the job ends"
    )
    seconds: float = 0.0


class ImportReport(MessageModel):
    """Totals of an import: the answer of aggregate_import_results. JobReport explains the counts."""

    version: Literal[1] = 1
    job_id: str
    batches: int
    failed_batches: tuple[int, ...] = ()
    expected: int = 0
    read: int = 0
    written: int = 0
    replaced: int = 0
    unchanged: int = 0
    older: int = 0
    taken_back: int = 0
    rejected: int = 0
    failed: int = 0
    unknown: int = 0
    by_type: dict[str, int] = {}
    reasons: dict[str, int] = {}
    not_relevant: dict[str, int] = {}
    errors: tuple[Reject, ...] = ()
    deriving: bool = Field(
        default=False,
        description="prerequisites that it changed were still being derived; the job says when it ends",
    )
    seconds: float = 0.0
    records_per_second: float = 0.0


class FindingsOutcome(MessageModel):
    """The result of record_findings_task for one pack."""

    version: Literal[1] = 1
    job_id: str
    pack: str
    state: Literal["written", "failed"]
    findings: int = 0
    failed: int = 0
    claims_changed: bool = Field(
        default=False, description="prerequisites are to be derived before the job ends"
    )
    error: str | None = None


class SettledPrerequisites(MessageModel):
    """The result of settle_prerequisites_task: how many prerequisites `changed`, and some that close cycles.

    `finished` is false if another task began meanwhile and continues the work.
    """

    version: Literal[1] = 1
    finished: bool
    changed: int = 0
    set_aside: tuple[str, ...] = Field(
        default=(),
        description="prerequisites that would close a cycle, from now on: a > b; a hundred at most",
    )


class PackOutcome(MessageModel):
    """The result of an analysis task for one pack. `cached` of the findings came from the cache and cost nothing.

    The findings travel to the importer in a message of their own, and are not part of the outcome.
    """

    version: Literal[1] = 1
    job_id: str
    pack: str
    state: Literal["analysed", "cancelled"]
    findings: int = 0
    failed: int = 0
    cached: int = 0


class FailedOutcome(MessageModel):
    """The answer of a chord's member that gave up. If it failed instead, the chord's body would never run."""

    job_id: str
    batch: int | None = None
    state: Literal["failed"] = "failed"
    error: str


def given_up_state(result: object) -> Literal["failed", "cancelled"] | None:
    """Return the state in a task's outcome if its work was not done although Celery stored SUCCESS, else None.

    `result` is the decoded JSON of the stored result. Celery's own state of a chord's member that gave up is SUCCESS,
    so only its outcome shows how it ended.
    """
    if not isinstance(result, dict):
        return None
    state = result.get("state")
    if state in ("failed", "cancelled"):
        return cast('Literal["failed", "cancelled"]', state)
    return None


JobState = Literal[
    "queued", "running", "waiting", "succeeded", "partly failed", "failed", "cancelled"
]
ENDED: frozenset[JobState] = frozenset({"succeeded", "partly failed", "failed", "cancelled"})


class AnalysisProgress(MessageModel):
    """The progress of a job's analysis, in records.

    `withheld` records are part of `done`: they were not read because of a missing consent or a restriction.
    """

    expected: int = 0
    done: int = 0
    failed: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    withheld: int = 0


class JobReport(MessageModel):
    """A job as the gateway shows it. `error` is one sentence that says why the whole job failed.

    The counts of `ROW_COUNTS` and `not_relevant` are sums over its batches, and add up to `read` at any time.
    `expected` is the number of rows that the split saw. If it is more than `read`, the other rows have not been read
    yet; in a job that has ended, they never were. `source` is the name of the file, or "inline"; `source_name` is the
    name of the source that the records belong to.
    """

    version: Literal[1] = 1
    job_id: str
    kind: Literal["import", "analysis"]
    state: JobState
    source: str
    source_name: str = Field(
        default=DEFAULT_SOURCE, description="the source that its records belong to"
    )
    owner: str = Field(default="", description="the client that made it")
    created: datetime
    updated: datetime
    finished: datetime | None = None
    batches: int = 0
    batches_done: int = 0
    failed_batches: tuple[int, ...] = ()
    expected: int = 0
    read: int = 0
    written: int = 0
    replaced: int = 0
    unchanged: int = 0
    older: int = 0
    taken_back: int = 0
    rejected: int = 0
    failed: int = 0
    unknown: int = 0
    by_type: dict[str, int] = {}
    reasons: dict[str, int] = {}
    not_relevant: dict[str, int] = {}
    errors: tuple[Reject, ...] = ()
    analysis: AnalysisProgress = AnalysisProgress()
    over_budget: int = Field(
        default=0, description="live texts beyond the number of the day, which are not analysed"
    )
    read_before: dict[str, int] = Field(
        default={},
        description="course -> texts that were read before this import stated points of the course",
    )
    waiting_for: str | None = None
    deriving: bool = Field(
        default=False,
        description="prerequisites that it changed are still being derived; the job ends after that",
    )
    error: str | None = None

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of rows by outcome. Each row that was read counts in exactly one of them."""
        counts = {name.replace("_", " "): getattr(self, name) for name in ROW_COUNTS}
        return counts | {"not relevant": sum(self.not_relevant.values())}


class TextsAgain(MessageModel):
    """The texts of a course that were read before, and are read again.

    - `texts`: kind -> the number of texts that are read again.
    - `not_kept`: texts whose rows are not kept. They came inline or live, or their import was deleted.
    - `left`: texts beyond what one request reads. The next request begins with them.
    - `estimates`: for an estimate, kind -> the task of an analyzer. It estimates `sampled` of the texts.
    """

    texts: dict[str, int] = {}
    not_kept: int = 0
    left: int = 0
    sampled: dict[str, int] = {}
    estimates: dict[str, str] = {}
