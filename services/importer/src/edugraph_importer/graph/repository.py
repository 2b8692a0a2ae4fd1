"""The graph as the importer's tasks see it."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

import neo4j

from edugraph_common.contracts.errors import OtherVersion, Rejected
from edugraph_common.contracts.graph_schema import SCHEMA_VERSION
from edugraph_common.contracts.messages import (
    COMPARED_CHARACTERS,
    CourseContext,
    Findings,
    NamedPoint,
    ProposedPairs,
    Removable,
    Renamable,
)
from edugraph_common.contracts.outcomes import BatchOutcome, FindingsOutcome, Reject
from edugraph_common.contracts.records import Record, iso, microseconds
from edugraph_common.contracts.reviews import FindingReview, ItemReview, PairReview, PrerequisiteReview, Review
from edugraph_importer.graph import (
    apply,
    erasure,
    ledger,
    migrations,
    prerequisites,
    proposals,
    rebuild,
    removal,
    renaming,
    retention,
    undo,
)
from edugraph_importer.graph import reviews as review_nodes
from edugraph_importer.graph.apply import Beside, Kept, RecordBatch
from edugraph_importer.graph.driver import Connection, GraphSettings, Work
from edugraph_importer.graph.history import Entry
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.tombstones import Tombstones
from edugraph_importer.graph.versions import RowsNeeded, erased_among

P = ParamSpec("P")
T = TypeVar("T")

TEXT_LABELS = ("Attempt", "CourseContent", "Definition", "ErrorRecord", "Interaction")
TEXTS_AT_ONCE = 5_000
# A job may wait for days before its file is written, and a sweeper may come late.
SPARE_DAYS = 30


@dataclass(frozen=True)
class RecordRetention:
    """How many days the graph keeps records about students, and their texts; 0: for ever. `now` has a time zone.

    `orphan_review_days`: how long a record may be missing before what reviewers said of it goes. `ledger_days`: how
    long after nothing else is kept of a job a message of it may come. `source_days`: how long files are kept.
    """

    text_days: int
    record_days: int
    orphan_review_days: int
    ledger_days: int
    now: Callable[[], datetime]
    source_days: int = 0

    @property
    def texts_from(self) -> datetime | None:
        return self.now() - timedelta(days=self.text_days) if self.text_days else None

    @property
    def records_from(self) -> datetime | None:
        return self.now() - timedelta(days=self.record_days) if self.record_days else None

    @property
    def undoable_from(self) -> datetime | None:
        """An import that was accepted before this moment cannot be undone any more, since its file is gone."""
        return self.now() - timedelta(days=self.source_days + SPARE_DAYS) if self.source_days else None

    @property
    def missing_from(self) -> datetime:
        return self.now() - timedelta(days=self.orphan_review_days)


def keep_no_rows(_graph: "Graph", entries: Mapping[str, Entry]) -> dict[Entry, Record | None]:
    """Answer that none of the rows is kept."""
    return dict.fromkeys(entries.values())


ReadRows = Callable[["Graph", Mapping[str, Entry]], Mapping[Entry, Record | None]]
"""(graph, version by id of its record) -> the record of each version, or None where its row is not kept."""


class Graph:
    """One for each process; the connection opens at first use and is not shared across a fork.

    Every method raises ServerAway (the database does not answer, or refuses the login), Retryable (it is busy) or
    Rejected (it refuses a statement). What writes raises Wait for a graph of a later release.
    `note_version` is called with the schema version of the graph whenever a write or `prepare` has met it.
    `read_rows` reads records from the stored rows of imports.
    """

    def __init__(
        self,
        settings: GraphSettings,
        kept: RecordRetention | None = None,
        note_version: Callable[[int], None] = lambda _: None,
        read_rows: "ReadRows" = keep_no_rows,
    ) -> None:
        self._connection, self._retention = Connection(settings), kept
        self._read_rows = read_rows
        self._migrate_up_to = settings.migrate_up_to
        self._note_version = note_version
        self._tombstones = Tombstones(settings.privacy_secret)

    @property
    def retries(self) -> dict[str, int]:
        """How many attempts at a transaction failed and were retried, by the server's code."""
        return dict(self._connection.retries)

    def ask_server(self) -> None:
        """Raise ServerAway if the database cannot be used now. It answers within seconds."""
        self._connection.ask()

    def schema_version(self) -> tuple[int | None, int | None]:
        """Return the schema version, and the one whose form all of the graph has: lower while a migration runs.

        Both are None for a new graph.
        """
        [row] = self._connection.read(CYPHER["schema_version"])
        reached = row["unfinished_from"]
        return row["version"], row["version"] if reached is None else reached

    def prepare(self) -> None:
        """Bring the graph to the version of this release, create the constraints, and wait until they hold.

        Doing it again changes nothing.
        """
        self._migrate()
        self._connection.create_constraints()
        self._connection.write(erasure.key_old_tombstones, self._tombstones)

    def write_batch(self, batch: RecordBatch) -> BatchOutcome:
        """Write all of the batch or nothing. A batch that was written before is answered from the ledger.

        Raises Rejected where its job was undone, or ended so long ago that the ledger does not know any more.
        """
        return self._write_with_rows(apply.write_batch, batch)

    def write_findings(self, message: Findings) -> FindingsOutcome:
        """Write a pack's records, if they are new, and what was found in them, in place of older findings.

        A pack that was written before is answered from the ledger. Raises as `write_batch` does.
        """
        return self._write_with_rows(apply.write_findings, message)

    def write_reviews(self, reviews: Sequence[Review]) -> None:
        """Keep reviews, and let the last one about each thing decide. Doing it again changes nothing.

        Those of prerequisites decide when `settle_prerequisites` is done next.
        """
        about_records = [each for each in reviews if isinstance(each, FindingReview)]
        about_pairs = [each for each in reviews if isinstance(each, PairReview)]
        if about_records:
            self._write(review_nodes.write_of_records, about_records, set())
        about_items = [each for each in reviews if isinstance(each, ItemReview)]
        if about_items:
            self._write(review_nodes.write_of_items, about_items)
        if about_pairs:
            self._write(review_nodes.write_of_pairs, about_pairs, set())
        about_needs = [each for each in reviews if isinstance(each, PrerequisiteReview)]
        if about_needs:
            self._write(review_nodes.write_of_prerequisites, about_needs)

    def comparison_due(self, now: float) -> int | None:
        """Return in how many seconds the names of points are to be compared; None if nobody needs to ask for it.

        Whoever gets a number has to ask: it is noted that they do. `now`: seconds since 1970.
        """
        last = self._connection.read(CYPHER["last_comparison"])
        [points] = self._connection.read(CYPHER["count_points"])
        if points["points"] == (last[0]["points"] if last else 0):
            return None  # as at the end of most imports: nothing is written or locked
        return self._write(proposals.ask, now)

    def points_to_compare(self, most: int) -> tuple[int, tuple[NamedPoint, ...]]:
        """Return how many points there are, and the first of those that stand for all that mean the same."""
        [counted] = self._connection.read(CYPHER["count_points"])
        rows = self._connection.read(CYPHER["points_to_compare"], limit=most)
        return counted["points"], tuple(
            NamedPoint(id=row["id"], name=row["name"][:COMPARED_CHARACTERS]) for row in rows
        )

    def note_comparison(self, points: int, now: float) -> None:
        """Note that names were sent to be compared when there were so many points. `now`: seconds since 1970."""
        self._write(proposals.note_comparison, points, now)

    def write_proposals(self, message: ProposedPairs) -> int:
        """Propose pairs of points in place of those that nobody decided, and return how many are proposed now."""
        return self._write(proposals.write, message.encoder, message.compared, message.pairs)

    def jobs_with_changed_claims(self) -> set[str]:
        """Return the jobs that changed what is claimed since it was settled; "" stands for what is no job."""
        return {row["job_id"] for row in self._connection.read(CYPHER["claim_changes"])}

    def settle_prerequisites(self) -> prerequisites.Settled:
        """Derive which prerequisites are followed, if claims changed. Doing it again changes nothing."""
        return prerequisites.settle(self._connection, self._write)

    def course_contexts(self, course_ids: Iterable[str]) -> tuple[CourseContext, ...]:
        """Return what the graph knows of each course, for those who read its texts, in the order given.

        A course that is not there has its id only. Knowledge points stand in the order of the course.
        """
        ids = list(dict.fromkeys(course_ids))
        rows = [row.data() for row in self._connection.read(CYPHER["course_contexts"], ids=ids)] if ids else []
        contexts = []
        for course_id in ids:
            of_course = [row for row in rows if row["id"] == course_id]
            points = [row for row in of_course if row["point"] is not None]
            points.sort(key=lambda row: (row["place"] is None, row["place"] or 0, str(row["point"])))
            contexts.append(
                CourseContext(
                    course_id=course_id,
                    name=of_course[0]["name"] if of_course else None,
                    description=of_course[0]["description"] if of_course else None,
                    knowledge_points=tuple(str(row["point"]) for row in points),
                )
            )
        return tuple(contexts)

    def export_student(self, student_id: str) -> dict[str, list[dict[str, Any]]]:
        """Return the `student`, the `relationships` to others, the `records` and their `reviews`, whole."""
        statements = {
            "student": "properties_of_student",
            "relationships": "relationships_of_student",
            "records": "whole_records_of_student",
            "reviews": "reviews_of_student",
        }
        return {
            name: [row.data() for row in self._connection.read(CYPHER[statement], id=student_id)]
            for name, statement in statements.items()
        }

    def restrict_student(self, student_id: str, *, restricted: bool) -> bool:
        """Mark a student as one of whom nothing is analysed or shown, or take that away. False if there is none."""

        def work(tx: neo4j.Transaction) -> bool:
            migrations.check_graph(tx)
            mark = True if restricted else None
            return tx.run(CYPHER["restrict_student"], id=student_id, restricted=mark).single() is not None

        return self._write(work)

    def restricted_students(self) -> set[str]:
        return {row["id"] for row in self._connection.read(CYPHER["restricted_students"])}

    def course_members(self, course_id: str, limit: int) -> set[str]:
        """Return how the people of a course are called, about `limit` of them at most."""
        rows = self._connection.read(CYPHER["course_members"], id=course_id, limit=limit)
        return {name for row in rows for name in (row["name"], row["called"]) if name}

    def outcomes(self, job_id: str) -> list[BatchOutcome]:
        """Return the outcomes of the job's batches that were written, in their order."""
        rows = self._connection.read(CYPHER["batch_outcomes"], prefix=f"{job_id}:", job_id=job_id)
        return [BatchOutcome.model_validate_json(row["outcome"]) for row in rows]

    def written_batches(self, job_id: str) -> set[int]:
        """Return the numbers of the batches of a job that were written.

        Raises Rejected for a job of which that is not kept any more.
        """
        if any(row["closed"] for row in self._connection.read(CYPHER["ended_jobs"], ids=[job_id])):
            raise Rejected(apply.ENDED_JOB["closed"])
        rows = self._connection.read(CYPHER["written_batches"], prefix=f"{job_id}:", job_id=job_id)
        return {row["batch"] for row in rows}

    def jobs_accepted(self, numbers: Collection[int]) -> dict[int, str]:
        """Return, by acceptance number, the jobs that have these numbers."""
        rows = self._connection.read(CYPHER["jobs_accepted"], numbers=sorted(numbers))
        return {row["accepted"]: row["id"] for row in rows}

    def begin_undo(self, job_id: str) -> undo.UndoProgress:
        """Let nothing more be written of a job, and return how far its undo is.

        It returns when every transaction is over that began before. Doing it again changes nothing.
        """
        self._write(undo.begin_undo, job_id)
        self._connection.wait_for_older_transactions()
        return self._undo_progress(job_id)

    def end_undo(self, job_id: str, progress: undo.UndoProgress) -> None:
        """Note that all that a job wrote is taken back."""
        self._write(undo.note_progress, job_id, replace(progress, finished=True))

    def is_undone(self, job_id: str) -> bool:
        """Return whether the undo of a job has come to its end."""
        return self._undo_progress(job_id).finished

    def _undo_progress(self, job_id: str) -> undo.UndoProgress:
        rows = self._connection.read(CYPHER["undo_progress"], id=job_id)
        if not rows or not rows[0]["progress"]:
            return undo.UndoProgress()
        return undo.UndoProgress(**json.loads(rows[0]["progress"]))

    def undo_batch(self, batch: RecordBatch, progress: undo.UndoProgress) -> undo.UndoProgress:
        """Take back what a batch wrote, and return how far the undo of its job is now.

        Doing it again changes nothing in the records.
        """
        return self._write_with_rows(undo.undo_batch, undo.UndoBatch(batch, progress))

    def rejects(self, job_id: str, batch: int) -> tuple[Reject, ...]:
        """Return all records of a written batch that the graph itself refused, without `raw`."""
        rows = self._connection.read(CYPHER["batch_set_aside"], id=f"{job_id}:{batch}")
        return tuple(Reject.model_validate(reject) for row in rows for reject in json.loads(row["set_aside"]))

    def look(self, student_ids: Collection[str]) -> erasure.Known:
        """Return what the graph has of a person. Nothing changes."""
        return self._write(erasure.look, student_ids, self._tombstones)

    def block(self, student_ids: Iterable[str]) -> list[str]:
        """Refuse what names these students from now on, and return their tombstones.

        Doing it again changes nothing.
        """
        made = [self._tombstones.of(each) for each in student_ids]
        self.bring_back(made)
        return made

    def bring_back(self, tombstones: Collection[str]) -> None:
        """Take tombstones in that a backup of the graph does not have."""
        self._write(erasure.block, tombstones)

    def unblock(self, student_ids: Iterable[str]) -> list[str]:
        """Let students who were erased come in again. Return what their tombstones were."""
        forms = [form for each in student_ids for form in self._tombstones.forms(each)]
        self._write(erasure.unblock, forms)
        return forms

    def students(self) -> Iterator[str]:
        """Yield the ids of all students, in their order."""
        after = ""
        while rows := self._connection.read(CYPHER["next_ids_Student"], after=after, limit=TEXTS_AT_ONCE):
            yield from (row["id"] for row in rows)
            after = rows[-1]["id"]

    def erased_among(self, student_ids: Collection[str]) -> frozenset[str]:
        """Return those of the students that were erased."""
        return self._write(erased_among, student_ids, self._tombstones) if student_ids else frozenset()

    def has_erased(self) -> bool:
        """Return whether anybody was ever erased."""
        return any(self._connection.read(CYPHER["any_tombstone"]))

    def told_apart(self) -> Callable[[str], bool]:
        """Return what tells, by the plain hash of an id, whether its student was erased before now."""
        known = {row["id"] for row in self._connection.read(CYPHER["all_tombstones"])}
        return lambda plain: not known.isdisjoint((plain, self._tombstones.keyed(plain)))

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """Yield label and id of each record, and what people wrote in it. The whole graph is read, page by page."""
        for label in TEXT_LABELS:
            after = ""
            while rows := self._connection.read(CYPHER[f"texts_after_{label}"], after=after, limit=TEXTS_AT_ONCE):
                for row in rows:
                    written = (row["properties"].get(name) for name in erasure.TEXT_FIELDS)
                    yield label, row["id"], "\n".join(text for text in written if text)
                after = rows[-1]["id"]

    def erase_student(self, student_id: str) -> dict[str, int]:
        """Remove a student with their records and all that came with them; a hash of the id stays.

        Return how many nodes were removed, by label, and how many `relationships`.
        """
        return self._write(erasure.erase, student_id, self._tombstones, set())

    def end_old_records(self, go_on: Callable[[], bool]) -> retention.Ended:
        """Blank texts of records, and remove records and reviews, that are older than their retention.

        It stops when `go_on` says no; doing it again goes on. Without a retention it does nothing.
        """
        kept = self._retention
        texts_from, records_from, missing = (
            (kept.texts_from, kept.records_from, (kept.now(), kept.missing_from)) if kept else (None, None, None)
        )
        return retention.end_old_records(
            self._connection, self._write, texts_from, records_from, missing, go_on=go_on
        )

    def compact_ledger(self, is_over: ledger.IsOver, go_on: Callable[[], bool]) -> ledger.Compacted:
        """Take a step towards the end of the ledger's rows of jobs of which nothing else is kept.

        It stops when `go_on` says no; doing it again goes on. Without a retention it does nothing.
        """
        kept = self._retention
        if kept is None:
            return ledger.Compacted(0, finished=True)
        days = timedelta(days=kept.ledger_days)
        return ledger.compact(self._connection, self._write, is_over, kept.now(), days, go_on=go_on)

    def remove(self, of: Removable, node_id: str, go_on: Callable[[], bool]) -> removal.Removed:
        """Take a course or a group out with its records. It stops when `go_on` says no; doing it again goes on."""
        return removal.remove(self._connection, self._write, of, node_id, go_on=go_on)

    def rename(
        self, of: Renamable, node_id: str, new_id: str, go_on: Callable[[], bool], *, merge: bool = False
    ) -> renaming.Renamed:
        """Call a node by another id. It stops when `go_on` says no; doing it again goes on."""
        wanted = renaming.Renaming(renaming.LABEL_OF_RENAMABLE[of], node_id, new_id)
        return renaming.rename(self._connection, self._write, wanted, self._tombstones, merge=merge, go_on=go_on)

    def with_former_ids(self, student_ids: Collection[str]) -> frozenset[str]:
        """Return the ids, and those that these students had before they were renamed."""
        rows = self._connection.read(CYPHER["former_ids"], ids=sorted(student_ids))
        return frozenset(student_ids).union(*(row["former"] or () for row in rows))

    def derive_anew(
        self, *, repair: bool, request_id: str = "", go_on: Callable[[], bool] = lambda: True
    ) -> dict[str, Any]:
        """Compare all sums, names and prerequisites with the records, and with `repair` write what the records say.

        The same request goes on where it was. Return how many nodes were looked at, how many of what is derived was
        wrong by label and type, and some of it. Raises Wait when `go_on` says that there is no more time.
        """
        self._migrate()
        derivation = rebuild.Derivation(self._connection, request_id, repair=repair)
        derivation.derive(go_on)
        return derivation.comparison.to_json()

    def close(self) -> None:
        self._connection.close()

    @property
    def _kept(self) -> Kept:
        if self._retention is None:
            return Kept()
        oldest = self._retention.records_from
        undoable_from = self._retention.undoable_from
        return Kept(iso(oldest) if oldest else "", microseconds(undoable_from) if undoable_from else 0)

    def _write_with_rows(self, work: Callable[..., T], message: object) -> T:
        """Do the work, and again with the stored rows of other imports that it turns out to need."""
        rows: dict[Entry, Record | None] = {}
        while True:
            try:
                return self._write(work, message, Beside(self._tombstones, self._kept, rows), set())
            except RowsNeeded as needed:
                rows |= self._read_rows(self, needed.entries)

    def _write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work in a transaction. It checks the version first, and an older graph is migrated for it."""
        try:
            result = self._connection.write(work, *args, **kwargs)
        except migrations.OutdatedGraph:
            self._migrate()
            return self._connection.write(work, *args, **kwargs)
        except OtherVersion as other:
            self._note_version(other.version)
            raise
        self._note_version(SCHEMA_VERSION)
        return result

    def _migrate(self) -> None:
        try:
            migrations.migrate(self._connection, up_to=self._migrate_up_to)
        except OtherVersion as other:
            self._note_version(other.version)
            raise
        self._note_version(SCHEMA_VERSION)
