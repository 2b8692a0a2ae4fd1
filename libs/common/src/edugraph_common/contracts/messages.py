"""Task messages, version 1. A message refers to rows in the blob store, or holds a few records itself ("inline").

Each task takes exactly one argument: the JSON of its message.
"""

import hashlib
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.drafts import DraftBasis
from edugraph_common.contracts.findings import Kind, RecordFinding
from edugraph_common.contracts.record_fields import Id
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE, SourceName
from edugraph_common.contracts.records import ROSTER_TYPES, Record, course_ids_of
from edugraph_common.contracts.reviews import REVIEWS_AT_ONCE, Review, Thing
from edugraph_common.contracts.wordings import WordsBasis

JOB_DEADLINE_SECONDS = 7 * 86_400  # from the submission of a job, or from its last resume
INLINE_RECORDS = 1_000
INLINE_BYTES = 1_048_576
# The records of a larger JSON body are stored as a file. The records of a smaller body travel inside its message, and
# Redis keeps a copy of them for a day at most.
RECORDS_IN_MESSAGE_BYTES = 65_536
# Course texts in one Analysis message. Course texts are long, so an import, which may have many of them, sends few in
# one message. A request of the API has few texts, so they share one message.
IMPORT_CONTENT_PACK = 4
REQUEST_CONTENT_PACK = 10
PACK_RECORDS = 100  # at most, in one pack
# The number of packs of an economy job that are in the queue at the same time. Each of them waits there for hours,
# since the provider answers its batches late.
ECONOMY_PACKS = 1_000

# An encoder reads at most this many characters of a name, and compares at most this many points in one task.
# Comparing 10,000 names takes half a minute.
COMPARED_CHARACTERS, COMPARED_POINTS = 200, 10_000

Format = Literal[
    "ndjson",
    "csv",
    "xapi",
    "openedx",
    "workbook",
    "parquet",
    "case",
    "outline",
    "openstax",
    "coherence_map",
]
# Curricula. Each is read as a whole, since a point may name any other point of its file.
CurriculumFormat = Literal["case", "outline", "openstax", "coherence_map"]
CURRICULUM_FORMATS: frozenset[Format] = frozenset(get_args(CurriculumFormat))
TABLE_FORMATS: frozenset[Format] = frozenset({"workbook", "parquet"})  # tables in binary files
Compression = Literal["gzip", "zstd"]
Removable = Literal["course", "group"]
Renamable = Literal["course", "group", "item"]
BatchSize = Annotated[int, Field(ge=1, le=10_000)]
# The acceptance number of a job. The gateway assigns it when the request arrives, and each number is greater than the
# one before. A job keeps its number when it is redelivered, resumed, replayed or recreated. None counts as 0.
AcceptanceNumber = int | None
# The change time of a row that does not state one: the timestamp of the record, or the time when the import was
# accepted.
ChangeTime = Literal["record", "import"]


class Sent(MessageModel):
    """A message model that does not write fields with their default, except the version.

    So an older release accepts a message as long as the message does not use newer features. A default therefore
    never changes within a version.
    """

    @model_serializer(mode="wrap")
    def without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        fields = type(self).model_fields
        kept = {}
        for name, value in written.items():
            has_default = getattr(self, name) == fields[name].default
            if name == "version" or not has_default:
                kept[name] = value
        return kept


class Message(Sent):
    """The base class of all messages. `deadline`: seconds since 1970, after which waiting for a provider ends."""

    version: Literal[1] = 1
    job_id: str = Field(min_length=1, max_length=64)
    traceparent: str | None = None
    deadline: float | None = None


class OutsideFile(Sent):
    """Facts about a file outside the blob store, as its server states them. A fact that it does not state is None.

    `size` is in bytes. `modified` is kept as the server wrote it, since it is only compared.
    """

    size: int | None = Field(default=None, ge=0)
    etag: str | None = None
    modified: str | None = None

    def change(self, later: "OutsideFile") -> str | None:
        """Return a phrase that says how the file has changed since, or None if it seems unchanged.

        Only facts that were stated both times are compared. An equal etag outweighs a different date, because the
        date may be new although the content is the same.
        """
        if None not in (self.size, later.size) and self.size != later.size:
            return f"its size was {self.size:,} bytes and is {later.size:,}"
        if self.etag and later.etag:
            if self.etag == later.etag:
                return None
            return "its etag is another one"
        if self.modified and later.modified and self.modified != later.modified:
            return "the date of its last change is another one"
        return None


def person_mark(job_id: str, person_id: str) -> str:
    """Return what a job keeps of the caller's own id."""
    return hashlib.sha256(f"{job_id} {person_id}".encode()).hexdigest()


class Requested(Sent):
    """The caller of the request that a message carries out.

    `client` names the caller in the audit log. `person` is the `person_mark` of the caller's own id in the graph,
    made with the `job_id` of the message, so that the id itself is not stored. None: the caller has no such id.
    `resumed_by` has the marks of other callers who resumed the job or sent its dead letter again.
    """

    client: str = ""
    person: str | None = None
    resumed_by: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks of all callers who had a part in the request."""
        if self.person is None:
            return self.resumed_by
        return self.person, *self.resumed_by


class ImportRights(Requested):
    """The caller of an import and their rights, as they were when the import was accepted.

    `learning` and `roster` allow the two groups of record types (`ROSTER_TYPES`), `operate` allows decisions about
    ids of persons, and `acts` allows actions of teachers. `source` is the name of the source that the records belong
    to; the import writes, replaces and withdraws only records of this source.
    """

    learning: bool = True
    roster: bool = False
    operate: bool = False
    acts: bool = False
    source: str = DEFAULT_SOURCE

    def may_write(self, record_type: str) -> bool:
        if record_type in ROSTER_TYPES:
            return self.roster
        if record_type == "action_record":
            return self.acts
        return self.learning


class ByteRange(Sent):
    """The rows of a batch: a frame of `length` bytes that begins at `offset` of the blob `source`.

    `first_line` is the line number, from 1, in the file as it was sent. `format` and the blob `reading` say how to
    read the rows. `source_name` is the source of the records, whose ids become keys of this source.
    """

    source: str
    source_name: str = DEFAULT_SOURCE
    offset: int = Field(ge=0)
    length: int = Field(ge=0)
    first_line: int = Field(ge=1)
    format: Format = "ndjson"
    reading: str | None = None


class ImportJob(Message):
    """import.split: import a blob (or inline records) from `next_batch` on.

    A large blob is first sent on as a SplitSource.

    - `generation`: how often the job was resumed. Messages of an older generation that are still in the queues are
      skipped.
    - `accepted_at`: when the job was accepted, in seconds since 1970. A record that is dated more than a day later is
      rejected. Without it there is no such bound.
    - `acceptance`: if two versions of a record have the same change time, the one with the greater number counts.
    - `changed_at`: see `ChangeTime`.
    - `platform`: the address of the platform that wrote a log. None means the school's own platform.
    - `outside`: the facts about the file outside when the job was accepted. None for a file in the blob store.
    - `economy`: the provider's batches read the texts, which is cheaper and takes longer.
    - `unpacked_bytes`: the size of the uncompressed file, which the gateway counted. None for a file outside.
    - `rights`: what the caller may write. Rows that they may not write are set aside, also when the job is resumed.
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
    rights: ImportRights = ImportRights()


class SplitSource(ImportJob):
    """split.source: find the positions of the batches in a large source, then send its job to the task `then`."""

    then: Literal["import_records_with_callback", "import_records_async"] = (
        "import_records_with_callback"
    )


class LiveTexts(Sent):
    """How many texts of live rows the analyzer may read.

    - `most`: the number of texts of the source and of the day `day`, which is a day of the source's time zone.
    - `share_percent`: the part of the model provider's limit of requests that these texts may take.
    """

    most: int = Field(ge=1)
    day: date
    share_percent: int = Field(ge=1, le=100)


class ImportBatch(Message):
    """import.batch: write one batch. Exactly one of `rows` and `records` is set.

    `expected`: the number of rows that the split saw, so that the rows of an unreadable batch are counted as failed.
    `economy` and `rights`: see ImportJob. `platforms` and `texts`: see LivePart.
    """

    batch: int = Field(ge=0)
    rows: ByteRange | None = None
    records: tuple[dict[str, Any], ...] | None = None
    platforms: dict[str, str] | None = None
    texts: LiveTexts | None = None
    first_line: int = Field(default=1, ge=1, description="of inline records")
    analyze: bool = False
    economy: bool = False
    expected: int | None = Field(default=None, ge=0)
    generation: int = Field(default=0, ge=0)
    accepted_at: float | None = None
    acceptance: AcceptanceNumber = None
    changed_at: ChangeTime = "record"
    rights: ImportRights = ImportRights()


# The type of a row of a live part that has a statement (`sources.live_statements`). No record has this type.
STATEMENT_ROW = "statement"


class LivePart(Sent):
    """Records that one caller sent to one source.

    `acceptance` is the part's own acceptance number. It names the job and the batch of the part
    (`contracts.live_days`). `rights`: see ImportJob. `platforms`: if it is set, the records are xAPI statements
    (`sources.live_statements`), and it has the prefix of the ids of each platform. `texts`: if it is not set, no text
    is read.

    Exactly one of `records` and `packed` is set. The gateway packs the records, and a dead letter has them plain.
    `runtime.messaging.packed_rows` returns them in both cases.
    """

    acceptance: int = Field(ge=0)
    rights: ImportRights = ImportRights()
    records: tuple[dict[str, Any], ...] | None = Field(default=None, min_length=1)
    packed: str | None = Field(default=None, min_length=1)
    platforms: dict[str, str] | None = None
    texts: LiveTexts | None = None

    @model_validator(mode="after")
    def has_rows(self) -> Self:
        """Raises ValueError."""
        if (self.records is None) == (self.packed is None):
            raise ValueError("exactly one of records and packed must be there")
        return self


class LiveBatch(Message):
    """live.records: write records of one or several sources, which the gateway gathered for a moment.

    The message holds the records, so a redelivery writes the same batches. `job_id` is the job of the first part.
    `accepted_at`: see ImportJob.
    """

    parts: tuple[LivePart, ...] = Field(min_length=1)
    accepted_at: float | None = None


class ImportAggregate(Message):
    """import.aggregate: sum up a window of batches, then continue with `job`, or end the job."""

    job: ImportJob
    batches: int
    window_end: int


class CourseContext(Sent):
    """The facts about a course that a prompt gives to the model.

    `stated` is a digest of the definitions of the course's points, or "" if there are none. It is the version of the
    curriculum (docs/adr/0149).
    """

    course_id: str
    name: str | None = None
    description: str | None = None
    knowledge_points: tuple[str, ...] = ()
    stated: str = ""


class AnalysisBatch(Message):
    """analysis.batch: analyse all records of one kind among these rows.

    - `expected`: the number of records to analyse, so that the records of an unreadable batch are counted as failed.
      A message with `rows` must have it.
    - `pack_records`: the number of records in a pack. If it is None, the analyzer decides.
    - `contexts_key`: the blob with the contexts of the courses, for a message with `rows`.
    - `generation`: see ImportJob. A message without it is never skipped.
    - `left_out`: the lines of rows that the graph refused because their student was erased. Their texts are not read.
    - `economy`: see ImportJob.
    - `share_percent`: see LiveTexts. Texts of files have no share of their own.
    - `again`: these records were read before, and are read again. See Findings.
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
    share_percent: int | None = Field(default=None, ge=1, le=100)
    again: bool = False


def own_contexts(
    records: Iterable[Record], contexts: Iterable[CourseContext]
) -> tuple[CourseContext, ...]:
    """Return the contexts of the courses of these records. A batch may have contexts of hundreds of other courses."""
    own = set[str]()
    for record in records:
        own.update(course_ids_of(record))
    return tuple(context for context in contexts if context.course_id in own)


class AnalysisWindow(Message):
    """analysis.batch: publish packs of this job until its window is full.

    `generation`: see AnalysisBatch. `economy`: see ImportJob.
    """

    generation: int | None = Field(default=None, ge=0)
    economy: bool = False


class AnalysisEstimate(Message):
    """analysis.batch: estimate the cost of reading these records. `job_id` names the request. Nothing is sent on.

    `economy`: see ImportJob.
    """

    kind: Kind
    records: tuple[dict[str, Any], ...]
    economy: bool = False


class Analysis(Message):
    """analysis.interaction, analysis.error, analysis.knowledge_points: one pack of records of one kind.

    `pack` names the pack within its job, so that its findings are counted once however often they arrive.

    Exactly one of `records` and `rows` is set. `rows` are the rows of the whole batch. The pack is `count` of the
    batch's records of this kind, beginning with number `first`, which counts from 0. `accepted_at` and `economy`: see
    ImportJob. `contexts_key`, `generation`, `left_out`, `share_percent` and `again`: see AnalysisBatch.
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
    share_percent: int | None = Field(default=None, ge=1, le=100)
    again: bool = False

    @model_validator(mode="after")
    def has_records_or_rows(self) -> Self:
        """Raises ValueError."""
        if bool(self.records) == (self.rows is not None and self.count > 0):
            raise ValueError("exactly one of records and rows with a count must be there")
        return self


class Findings(Message):
    """findings.record: the findings of one pack, and the number of its records that failed.

    - `edition`: distinguishes these findings from earlier ones of the same pack, which had fewer answers, another
      prompt or another model. Each edition is written once. Without it the pack is written once in total.
    - `generation`: see AnalysisBatch.
    - `withheld`: the number of records that were not read because of a missing consent or a restriction.
    - `textless`: the number of records without a text.
    - `asked_at`: when the job was made, in seconds since 1970. If two jobs have findings of one record, those of the
      later job count. None for a job that Redis has lost.
    - `again`: the records were read from the stored rows of earlier imports. None of them is written: an import may
      have been undone meanwhile. So a finding counts only if the graph has the record with the same content.
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
    again: bool = False

    @property
    def done(self) -> int:
        """The number of records that need no more work: they were answered, or they must not be read."""
        return len(self.findings) + self.withheld + self.textless


class DeriveGraph(Requested, Message):
    """import.split: derive all sums and names of the graph from its records, and report the differences.

    With `repair` the differences are corrected. Without it nothing changes. `job_id` names the request.
    """

    repair: bool = False


class ProposeSame(Message):
    """import.split: propose knowledge points that may mean the same, by their names. `job_id` names the request."""


ComparedText = Annotated[str, Field(min_length=1, max_length=COMPARED_CHARACTERS)]


class NamedPoint(Sent):
    """A canonical knowledge point. `name` is the beginning of its name.

    `said` are the label and the beginning of the statement of a point of a curriculum.
    """

    id: Thing
    name: ComparedText
    said: tuple[ComparedText, ...] = Field(default=(), max_length=2)


class CompareNames(Message):
    """analysis.names: find the pairs of these points that may mean the same.

    The message has no text of a record and no name of a person.
    """

    points: tuple[NamedPoint, ...] = Field(max_length=COMPARED_POINTS)


class WriteDraft(Message):
    """analysis.draft: write a draft on a basis. `permit` is the key of the permit, which an erasure ends."""

    basis: DraftBasis
    permit: str = Field(pattern=r"^[0-9a-f]{64}$")


class ChooseQuestion(Message):
    """analysis.question: choose a typed question for a text. `permit` is the key of the permit."""

    basis: WordsBasis
    permit: str = Field(pattern=r"^[0-9a-f]{64}$")


class ProposedPair(Sent):
    """Two points that may mean the same. `likeness`: the cosine of their names' embeddings."""

    pair: tuple[Thing, Thing]
    likeness: float = Field(ge=-1, le=1)


class ProposedPairs(Message):
    """findings.proposals: the pairs that were found among `compared` points. They replace the earlier proposals.

    `encoder`: the name and version of the encoder. None if no encoder is installed: then `pairs` is empty and the
    earlier proposals stay.
    """

    encoder: str | None = Field(default=None, max_length=128)
    compared: int = Field(default=0, ge=0)
    pairs: tuple[ProposedPair, ...] = ()


class SettlePrerequisites(Message):
    """import.split: derive which prerequisites are followed, after texts have changed their claims.

    `job_id` names the job or the request that waits for it.
    """


class CourseMembersRequest(Message):
    """import.members: write the names of the members of these courses to Redis, so that the analyzer redacts them.

    The importer also writes the restricted students of all courses. The analyzer does not read their texts, and the
    gateway shows none of their data.
    """

    course_ids: tuple[str, ...] = ()


class ExportStudent(Message):
    """import.split: export all data of a student into the blob store. `job_id` names the request."""

    student_id: Id


class RestrictStudent(Message):
    """import.split: restrict a student. Their data are kept, but neither analysed nor shown.

    With `lifted` the restriction ends. `job_id` names the request.
    """

    student_id: Id
    lifted: bool = False


class WriteReviews(Message):
    """import.split: store reviews. The last review of each thing counts. `job_id` names the request."""

    reviews: tuple[Review, ...] = Field(min_length=1, max_length=REVIEWS_AT_ONCE)


class UndoImport(Requested, Message):
    """import.split: undo an import that has ended. `job_id` names the request, `import_id` the job of the import."""

    import_id: str = Field(min_length=1, max_length=64)


class RemoveFromGraph(Requested, Message):
    """import.split: take a course or a group out of the graph with its records. `job_id` names the request."""

    of: Removable
    node_id: Id


class RenameInGraph(Requested, Message):
    """import.split: give a person, a course, a group or an item another id. `job_id` names the request.

    `node_id` must be spelled exactly as in the graph. `merge`: if a node has the new id already, the two become one.
    """

    of: Renamable
    node_id: str = Field(min_length=1, max_length=128)
    new_id: Id
    merge: bool = False


class ReadAgain(Requested, Message):
    """import.split: read the texts of a course again that were read before.

    `sources` names the sources whose records may be read. With `estimate` nothing is read, and analyzers estimate the
    cost. `economy`: see ImportJob. `job_id` names the request, and also the job that reads.
    """

    course_id: Id
    sources: tuple[SourceName, ...] = ()
    estimate: bool = False
    economy: bool = False


class ErasePerson(Requested, Message):
    """import.split: erase all data about a person from every store. `job_id` names the request.

    - `ids`: all ids of the person.
    - `names`: names of the person that the graph does not know, and that may stand in texts of other people.
    - `dry_run`: only report what would be removed.
    - `block`: refuse these ids from now on, even if no data have them.
    """

    ids: tuple[Id, ...] = Field(min_length=1, max_length=20)
    names: tuple[Annotated[str, Field(min_length=2, max_length=500)], ...] = Field(
        default=(), max_length=20
    )
    dry_run: bool = False
    block: bool = False


class AdmitPerson(Message):
    """import.split: accept records of an erased person again. `job_id` names the request."""

    ids: tuple[Id, ...] = Field(min_length=1, max_length=20)


class ReplayErasures(Requested, Message):
    """import.split: repeat all earlier erasures and undos of imports. `job_id` names the request."""


class EndOldRecords(Message):
    """import.split: delete records and texts whose retention is over. `job_id` names the request."""


class CheckWorker(Message):
    """Ask a worker for a WorkerAnswer. `job_id` is the id of the question."""


class CleanJob(Message):
    """import.split: remove erased persons from the files of a job that was running when they were erased."""
