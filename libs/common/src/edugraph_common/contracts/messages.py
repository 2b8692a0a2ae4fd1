"""Task messages, version 1. A message refers to rows in the blob store; small submissions may come inline.

Each task takes exactly one argument: the JSON of its message.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.findings import Kind, RecordFinding
from edugraph_common.contracts.record_fields import Id
from edugraph_common.contracts.records import Record, course_ids_of
from edugraph_common.contracts.reviews import REVIEWS_AT_ONCE, Review, Thing

JOB_DEADLINE_SECONDS = 7 * 86_400  # from a job's submission, or the last time it was resumed
INLINE_RECORDS = 1_000
INLINE_BYTES = 1_048_576
# The records of a larger JSON body are stored as a file. Those of a smaller one travel inside its message, and are in
# Redis too, for a day at most.
RECORDS_IN_MESSAGE_BYTES = 65_536
# Course texts in one Analysis message. They are long, so an import, which has many, sends few at a time. A request of
# the API has few, and its texts share a message as records of other kinds do.
IMPORT_CONTENT_PACK = 4
REQUEST_CONTENT_PACK = 10
PACK_RECORDS = 100  # the most that one pack has
# The packs of a job in the queue at one time that is read by the provider's batches: each waits there for hours.
ECONOMY_PACKS = 1_000

# An encoder reads the beginning of a name; to compare so many names takes it half a minute.
COMPARED_CHARACTERS, COMPARED_POINTS = 200, 10_000

Format = Literal["ndjson", "csv", "xapi", "openedx", "workbook", "parquet"]
TABLE_FORMATS: frozenset[Format] = frozenset({"workbook", "parquet"})  # tables that are no text
Compression = Literal["gzip", "zstd"]
Removable = Literal["course", "group"]
Renamable = Literal["student", "teacher", "course", "group", "item"]
BatchSize = Annotated[int, Field(ge=1, le=10_000)]
# The acceptance number of a job: the gateway gives it when the request arrives, and it only grows. Redelivery,
# resume, replay and a job that is recreated keep it. None from older senders.
AcceptanceNumber = int | None
# When the rows of an import were changed last, where they do not say it: at their timestamp, or when it was accepted.
ChangeTime = Literal["record", "import"]


class Sent(MessageModel):
    """Leaves out what has its default, but for the version, so that an older release reads all that it must know.

    A default therefore never changes within a version.
    """

    @model_serializer(mode="wrap")
    def without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        fields = type(self).model_fields
        kept = {name for name, field in fields.items() if getattr(self, name) != field.default}
        return {name: value for name, value in written.items() if name in kept or name == "version"}


class Message(Sent):
    """What every message carries. `deadline`: seconds since 1970, after which waiting for a provider ends."""

    version: Literal[1] = 1
    job_id: str = Field(min_length=1, max_length=64)
    traceparent: str | None = None
    deadline: float | None = None


class OutsideFile(Sent):
    """What the place of a file outside tells of it: None is what it does not tell.

    `size` in bytes; `modified` as it was told, since it is only ever compared.
    """

    size: int | None = Field(default=None, ge=0)
    etag: str | None = None
    modified: str | None = None

    def change(self, later: "OutsideFile") -> str | None:
        """Say what is different now, or None. Only what was told both times is compared; an etag counts for more
        than a date, which may be new though the content is not.
        """
        if None not in (self.size, later.size) and self.size != later.size:
            return f"its size was {self.size:,} bytes and is {later.size:,}"
        if self.etag and later.etag:
            return None if self.etag == later.etag else "its etag is another one"
        if self.modified and later.modified and self.modified != later.modified:
            return "the date of its last change is another one"
        return None


class ByteRange(Sent):
    """The rows of a batch: a frame of `length` bytes from `offset` of a blob.

    `first_line` is that of the file as it came, from 1. `format` and `reading`, a blob, say how the rows are read.
    """

    source: str
    offset: int = Field(ge=0)
    length: int = Field(ge=0)
    first_line: int = Field(ge=1)
    format: Format = "ndjson"
    reading: str | None = None


class ImportJob(Message):
    """import.split: import a blob (or inline records) from `next_batch` on.

    A large blob is first sent on as a SplitSource.

    `generation`: how often the job was resumed. What is left in the queues of an older generation is skipped.
    `accepted_at`: when the job was accepted, in seconds since 1970. A record that is dated more than a day later is
    rejected; there is no such bound for jobs of older senders, which have None. `acceptance`: of two versions of a
    record that have the same change time, the one with the greater number counts. `changed_at`: see `ChangeTime`.
    `platform`: the address of the one
    that wrote a log; None is the school's own. `outside`: what the file outside was when the job was accepted; None
    for a file in the blob store. `economy`: the texts are read by the provider's batches, later and for less.
    `unpacked_bytes`: the size of the uncompressed file, which the gateway counted; None for a file outside.
    """

    source: str | None = None
    format: Format = "ndjson"
    compression: Compression | None = Field(default=None, description="of the blob `source`")
    records: tuple[dict[str, Any], ...] | None = None
    batch_size: BatchSize = 1_000
    parallel_batches: int = Field(default=64, ge=1, le=1_000)
    analyze: bool = False
    economy: bool = False
    next_batch: int = Field(default=0, ge=0)
    generation: int = Field(default=0, ge=0)
    accepted_at: float | None = None
    acceptance: AcceptanceNumber = None
    changed_at: ChangeTime = "record"
    platform: str | None = None
    outside: OutsideFile | None = None
    unpacked_bytes: int | None = Field(default=None, ge=0)


class SplitSource(ImportJob):
    """split.source: find where the batches of a large source lie, then send its job to the task `then`."""

    then: Literal["import_records_with_callback", "import_records_async"] = "import_records_with_callback"


class ImportBatch(Message):
    """import.batch: write one batch. Exactly one of `rows` and `records` is set.

    `expected`: how many rows the split saw, so that a batch which cannot be read is counted; None from older senders.
    `economy`: as in ImportJob.
    """

    batch: int = Field(ge=0)
    rows: ByteRange | None = None
    records: tuple[dict[str, Any], ...] | None = None
    first_line: int = Field(default=1, ge=1, description="of inline records")
    analyze: bool = False
    economy: bool = False
    expected: int | None = Field(default=None, ge=0)
    generation: int = Field(default=0, ge=0)
    accepted_at: float | None = None
    acceptance: AcceptanceNumber = None
    changed_at: ChangeTime = "record"


class ImportAggregate(Message):
    """import.aggregate: sum up a window of batches, then continue the job with `job` or end it."""

    job: ImportJob
    batches: int
    window_end: int


class CourseContext(Sent):
    """What a model needs to know of a course."""

    course_id: str
    name: str | None = None
    description: str | None = None
    knowledge_points: tuple[str, ...] = ()


class AnalysisBatch(Message):
    """analysis.batch: analyse all records of one kind among these rows.

    `expected`: how many those are, so that a batch which cannot even be read is counted; None from older senders.
    `pack_records`: how many of them share a pack; None leaves it to the analyzer. `contexts_key`: the blob that has
    the contexts of rows that are referred to. `generation`: as in ImportJob; what an older sender sent has none, and
    is never skipped. `left_out`: the lines of rows that the graph refused, since their student was erased; what they
    say is not read. `economy`: as in ImportJob.
    """

    batch: int = Field(ge=0)
    kind: Kind
    rows: ByteRange | None = None
    records: tuple[dict[str, Any], ...] | None = None
    contexts: tuple[CourseContext, ...] = ()
    expected: int | None = Field(default=None, ge=0)
    accepted_at: float | None = None
    acceptance: AcceptanceNumber = None
    pack_records: int | None = Field(default=None, ge=1, le=PACK_RECORDS)
    contexts_key: str | None = None
    generation: int | None = Field(default=None, ge=0)
    left_out: tuple[int, ...] = ()
    economy: bool = False


def own_contexts(records: Iterable[Record], contexts: Iterable[CourseContext]) -> tuple[CourseContext, ...]:
    """Return what is known of the courses of these records, of a batch that has hundreds of others."""
    own = {course_id for record in records for course_id in course_ids_of(record)}
    return tuple(context for context in contexts if context.course_id in own)


class AnalysisWindow(Message):
    """analysis.batch: publish packs of this job until its window is full.

    `generation`: as in AnalysisBatch; `economy`: as in ImportJob.
    """

    generation: int | None = Field(default=None, ge=0)
    economy: bool = False


class AnalysisEstimate(Message):
    """analysis.batch: what reading these records would cost. `job_id` names the request; nothing is sent on.

    `economy`: as in ImportJob; an older analyzer tells the price of a job without it.
    """

    kind: Kind
    records: tuple[dict[str, Any], ...]
    economy: bool = False


class Analysis(Message):
    """analysis.interaction, analysis.error, analysis.knowledge_points: one pack of records of one kind.

    `pack` names the pack within its job, so that its findings are counted once however often they arrive.

    Exactly one of `records` and `rows` is set. `rows`: of the batch that the pack is of; the pack is the `count`
    records from number `first` on, from 0, of those of its kind. `accepted_at`: as in ImportJob; `contexts_key`,
    `generation` and `left_out`: as in AnalysisBatch; `economy`: as in ImportJob.
    """

    pack: str = Field(min_length=1, max_length=128)
    kind: Kind
    records: tuple[dict[str, Any], ...] = Field(default=(), max_length=PACK_RECORDS)
    contexts: tuple[CourseContext, ...] = ()
    rows: ByteRange | None = None
    first: int = Field(default=0, ge=0)
    count: int = Field(default=0, ge=0, le=PACK_RECORDS)
    accepted_at: float | None = None
    acceptance: AcceptanceNumber = None
    contexts_key: str | None = None
    generation: int | None = Field(default=None, ge=0)
    left_out: tuple[int, ...] = ()
    economy: bool = False

    @model_validator(mode="after")
    def has_records_or_rows(self) -> Self:
        """Raises ValueError."""
        if bool(self.records) == (self.rows is not None and self.count > 0):
            raise ValueError("exactly one of records and rows with a count must be there")
        return self


class Findings(Message):
    """findings.record: what was found in one pack, and how many of its records failed.

    `edition` tells what was found apart from what the same pack found before, with fewer answers or another prompt or
    model: each edition is written once. None from older senders, whose packs are written once in all.
    `generation`: as in AnalysisBatch. `withheld`: how many records were not read, because of a missing consent or a
    restriction. `textless`: how many have no text, which a sender of another release may ask for all the same.
    `asked_at`: when the job was made, in seconds since 1970; of two jobs' findings of a record the later one's count.
    None from older senders, and for a job that Redis has lost.
    """

    pack: str = Field(min_length=1, max_length=128)
    edition: str | None = Field(default=None, max_length=64)
    findings: tuple[RecordFinding, ...] = Field(max_length=PACK_RECORDS)
    failed: int = 0
    error: str | None = None
    generation: int | None = Field(default=None, ge=0)
    withheld: int = Field(default=0, ge=0)
    textless: int = Field(default=0, ge=0)
    asked_at: float | None = None
    acceptance: AcceptanceNumber = None

    @property
    def done(self) -> int:
        """How many records are done: answered, or rightly not read."""
        return len(self.findings) + self.withheld + self.textless


class DeriveGraph(Message):
    """import.split: derive all sums and names of the graph from its records, and say what was wrong.

    With `repair` it is written; without, nothing changes. `job_id` names the request.
    """

    repair: bool = False


class ProposeSame(Message):
    """import.split: have points proposed that may mean the same, by their names. `job_id` names the request."""


class NamedPoint(Sent):
    """A knowledge point that stands for all that mean the same, and the beginning of its name."""

    id: Thing
    name: str = Field(min_length=1, max_length=COMPARED_CHARACTERS)


class CompareNames(Message):
    """analysis.names: tell which of these points may mean the same. No text and no person's name is among them."""

    points: tuple[NamedPoint, ...] = Field(max_length=COMPARED_POINTS)


class ProposedPair(Sent):
    """Two points that may mean the same. `likeness`: the cosine of their names' embeddings."""

    pair: tuple[Thing, Thing]
    likeness: float = Field(ge=-1, le=1)


class ProposedPairs(Message):
    """findings.proposals: the pairs among the points that were `compared`, in place of those proposed before.

    `encoder`: its name and version. None where none is installed: then there are no pairs, and those of before stay.
    """

    encoder: str | None = Field(default=None, max_length=128)
    compared: int = Field(default=0, ge=0)
    pairs: tuple[ProposedPair, ...] = ()


class SettlePrerequisites(Message):
    """import.split: derive which prerequisites are followed, where texts have changed what they claim.

    `job_id` names the job or the request that waits for it.
    """


class CourseMembersRequest(Message):
    """import.members: tell the analyzer who is in these courses, so that no text leaves with one of their names.

    And who is restricted, of all courses: their texts are not to be read, and the gateway shows nothing of them.
    """

    course_ids: tuple[str, ...] = ()


class ExportStudent(Message):
    """import.split: write all that is kept of a student into the blob store. `job_id` names the request."""

    student_id: Id


class RestrictStudent(Message):
    """import.split: keep what is known of a student, but neither analyse nor show it, until that is `lifted`.

    `job_id` names the request.
    """

    student_id: Id
    lifted: bool = False


class WriteReviews(Message):
    """import.split: keep reviews, and let the last one about each thing count. `job_id` names the request."""

    reviews: tuple[Review, ...] = Field(min_length=1, max_length=REVIEWS_AT_ONCE)


class UndoImport(Message):
    """import.split: take back what an import wrote that has ended. `job_id` names the request."""

    import_id: str = Field(min_length=1, max_length=64)


class RemoveFromGraph(Message):
    """import.split: take a course or a group out of the graph with its records. `job_id` names the request."""

    of: Removable
    node_id: Id


class RenameInGraph(Message):
    """import.split: call a person, a course, a group or an item by another id. `job_id` names the request.

    `node_id` is taken exactly as the graph has it. `merge`: something may have the new id already, and is the same
    from now on.
    """

    of: Renamable
    node_id: str = Field(min_length=1, max_length=128)
    new_id: Id
    merge: bool = False


class ForgetStudent(Message):
    """import.split: as ErasePerson, by one id. `job_id` names the request."""

    student_id: Id


class ErasePerson(Message):
    """import.split: take a person, and all that was said of them, out of every store. `job_id` names the request.

    `ids`: all that the person has. `names`: what others may call them in their texts, beside what the graph knows.
    `dry_run`: say what would be removed, and change nothing. `block`: refuse the ids from now on, also if nothing is
    known of them. It is no ForgetStudent with more fields, since a release that ignored these would do another thing.
    """

    ids: tuple[Id, ...] = Field(min_length=1, max_length=20)
    names: tuple[Annotated[str, Field(min_length=2, max_length=500)], ...] = Field(default=(), max_length=20)
    dry_run: bool = False
    block: bool = False


class AdmitPerson(Message):
    """import.split: let a person who was erased come in again. `job_id` names the request."""

    ids: tuple[Id, ...] = Field(min_length=1, max_length=20)


class ReplayErasures(Message):
    """import.split: erase again all who were erased before. `job_id` names the request."""


class EndOldRecords(Message):
    """import.split: end what the graph has kept for its retention. `job_id` names the request."""


class CheckWorker(Message):
    """Ask a worker for a WorkerAnswer. `job_id` is the id of the question."""


class CleanJob(Message):
    """import.split: take those who were erased out of the files of a job that has ended since."""
