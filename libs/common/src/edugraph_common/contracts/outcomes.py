"""What became of a batch, and of a job: the answers of tasks and of the gateway."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.records import escaped

# The first errors that a batch's outcome and a job's report keep; all of them are in the rejects blobs.
BATCH_SHOWN_ERRORS = 10
JOB_SHOWN_ERRORS = 20

# What becomes of a row that was read: each row counts in exactly one of these, or is not relevant.
ROW_COUNTS = ("written", "replaced", "unchanged", "older", "taken_back", "rejected", "failed")

WITHDRAWAL = "withdrawal"  # among the types of records that were written: what took a record back


# What comes from a row may hold half a surrogate pair, which no UTF-8 can.
Shown = Annotated[str, BeforeValidator(escaped)]


class Reject(MessageModel):
    """One record that was set aside. `raw` is the source's own form, so that it can be corrected and sent again.

    `line` counts from 1; of a workbook it is the row in its `sheet`.
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
        """Where the record stands, for a person."""
        return f"sheet {self.sheet}, row {self.line}" if self.sheet else f"line {self.line}"


def quoted(*rejects: Reject) -> str | None:
    """Return what these quote of rows, by which an erasure finds them; None for nothing."""
    return "\n".join(reject.found for reject in rejects if reject.found) or None


class BatchOutcome(MessageModel):
    """What became of the rows of a batch.

    The counts of `ROW_COUNTS` and those not relevant add up to `read`, unless the batch failed: then `failed` is
    `read`. `written`: the graph had no content under the id. `replaced`: it had an older content. `unchanged`: it had
    the same content. `older`: it has another content, which counts for more. `taken_back`: the record was withdrawn.
    `unknown`: how many of the withdrawals that were `written` are of an id that the graph did not know.
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
    by_type: dict[str, int] = Field(default_factory=dict, description="records written or replaced, by type")
    reasons: dict[str, int] = Field(default_factory=dict, description="rejected records, by reason")
    not_relevant: dict[str, int] = Field(default_factory=dict, description="rows that are no records, by name")
    errors: tuple[Reject, ...] = ()
    error: str | None = Field(default=None, description="why the whole batch failed")
    analysis_expected: int = 0
    claims_changed: bool = Field(default=False, description="prerequisites are to be derived before the job ends")
    seconds: float = 0.0


class ImportReport(MessageModel):
    """Totals of an import: the answer of aggregate_import_results. The counts are those of a JobReport."""

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
        default=False, description="prerequisites that it changed were still being derived; the job says when it ends"
    )
    seconds: float = 0.0
    records_per_second: float = 0.0


class FindingsOutcome(MessageModel):
    """What record_findings_task did with one pack."""

    version: Literal[1] = 1
    job_id: str
    pack: str
    state: Literal["written", "failed"]
    findings: int = 0
    failed: int = 0
    set_aside: tuple[str, ...] = Field(
        default=(), description="older releases: prerequisites that would close a cycle; see SettledPrerequisites"
    )
    claims_changed: bool = Field(default=False, description="prerequisites are to be derived before the job ends")
    error: str | None = None


class SettledPrerequisites(MessageModel):
    """What settle_prerequisites_task did: how many prerequisites `changed`, and some of those that are new cycles.

    Not `finished`: another task began meanwhile, and goes on in its place.
    """

    version: Literal[1] = 1
    finished: bool
    changed: int = 0
    set_aside: tuple[str, ...] = Field(
        default=(), description="prerequisites that would close a cycle, from now on: a > b; a hundred at most"
    )


class PackOutcome(MessageModel):
    """What an analysis task did with one pack; `cached` of the findings were not paid again.

    The findings themselves travel in a message to the graph, and are not kept with the outcome.
    """

    version: Literal[1] = 1
    job_id: str
    pack: str
    state: Literal["analysed", "cancelled"]
    findings: int = 0
    failed: int = 0
    cached: int = 0


class FailedOutcome(MessageModel):
    """The answer of a chord's member that gave up: if it failed instead, the chord's body would never run."""

    job_id: str
    batch: int | None = None
    state: Literal["failed"] = "failed"
    error: str


def given_up_state(result: object) -> Literal["failed", "cancelled"] | None:
    """Return the state of a task that Celery stored as successful although its work was not done, None for any other.

    `result` is the stored result of a task, as JSON gives it. Celery's own state of a chord's member that gave up is
    SUCCESS, so its outcome tells how it ended.
    """
    state = result.get("state") if isinstance(result, dict) else None
    return state if state in ("failed", "cancelled") else None


JobState = Literal["queued", "running", "waiting", "succeeded", "partly failed", "failed", "cancelled"]
ENDED: frozenset[JobState] = frozenset({"succeeded", "partly failed", "failed", "cancelled"})


class AnalysisProgress(MessageModel):
    """`withheld` of those that are `done` were not read, since somebody has not agreed to it."""

    expected: int = 0
    done: int = 0
    failed: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    withheld: int = 0


class JobReport(MessageModel):
    """A job as the gateway shows it. `error` says in one sentence why a job failed as a whole.

    The counts of `ROW_COUNTS` and `not_relevant` are those of its batches, and add up to `read` at any time.
    `expected` is the number of rows that the split saw: those beyond `read` have not been read, or never were in a
    job that has ended.
    """

    version: Literal[1] = 1
    job_id: str
    kind: Literal["import", "analysis"]
    state: JobState
    source: str
    owner: str = Field(default="", description="the client that made it; empty for jobs of older releases")
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
    waiting_for: str | None = None
    deriving: bool = Field(
        default=False, description="prerequisites that it changed are still being derived; the job ends after that"
    )
    error: str | None = None

    @property
    def outcomes(self) -> dict[str, int]:
        """What became of the rows that were read: each of them is in exactly one of these counts."""
        counts = {name.replace("_", " "): getattr(self, name) for name in ROW_COUNTS}
        return counts | {"not relevant": sum(self.not_relevant.values())}
