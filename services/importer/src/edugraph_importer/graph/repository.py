"""The interface of the graph for the importer's service."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, ParamSpec, TypeVar

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
from edugraph_common.contracts.records import PointRecord, Record, iso, microseconds
from edugraph_common.contracts.reviews import (
    FindingReview,
    ItemReview,
    PairReview,
    PrerequisiteReview,
    Review,
)
from edugraph_common.runtime.shared_state.graph_changes import (
    ALL_COURSES,
    ChangeKind,
    GraphChange,
    new_word,
)
from edugraph_importer.graph import (
    apply,
    migrations,
    persons,
    prerequisites,
    rebuild,
    removal,
    renaming,
    retention,
)
from edugraph_importer.graph import reviews as review_nodes
from edugraph_importer.graph.apply import Beside, Kept, RecordBatch
from edugraph_importer.graph.driver import Connection, GraphSettings, Work
from edugraph_importer.graph.groups import (
    NOBODY,
    NOTES_AT_ONCE,
    Cause,
    IdClaimChange,
    LeaderChange,
    LeaderNotes,
    RecordsRefused,
    forget_notes,
)
from edugraph_importer.graph.history import Entry
from edugraph_importer.graph.record_facts import said_of_point
from edugraph_importer.graph.statements import CYPHER
from edugraph_importer.graph.tombstones import (
    Tombstones,
    create_tombstones,
    delete_tombstones,
    erased_among,
    tombstones_among,
)
from edugraph_importer.graph.versions import RowsNeeded

P = ParamSpec("P")
T = TypeVar("T")


class TextRead(NamedTuple):
    """A record with a finding. `accepted` and `row` are the place of its row: see `history.Entry`."""

    record_id: str
    accepted: int
    row: int
    content_hash: str


TEXT_LABELS = ("Attempt", "CourseContent", "Definition", "ErrorRecord", "Interaction", "Membership")
TEXTS_AT_ONCE = 5_000
# A job may wait for days before its file is written, and files may be deleted later than their retention says.
SPARE_DAYS = 30


@dataclass(frozen=True)
class RecordRetention:
    """How many days the graph keeps records about students and their texts. 0 means for ever.

    `orphan_review_days`: the reviews of a record are deleted when the record has been missing for this time.
    `ledger_days`: messages of a job may still arrive within this time after all its other data is gone.
    `source_days`: files are kept for this time. `now` returns times with a time zone.
    """

    text_days: int
    record_days: int
    orphan_review_days: int
    ledger_days: int
    now: Callable[[], datetime]
    source_days: int = 0

    @property
    def texts_from(self) -> datetime | None:
        return self._days_ago(self.text_days) if self.text_days else None

    @property
    def records_from(self) -> datetime | None:
        return self._days_ago(self.record_days) if self.record_days else None

    @property
    def undoable_from(self) -> datetime | None:
        """Imports that were accepted before this moment cannot be undone any more, since their files are deleted."""
        if not self.source_days:
            return None
        return self._days_ago(self.source_days + SPARE_DAYS)

    @property
    def missing_from(self) -> datetime:
        return self._days_ago(self.orphan_review_days)

    def _days_ago(self, days: int) -> datetime:
        return self.now() - timedelta(days=days)


def keep_no_rows(_graph: "Graph", entries: Mapping[str, Entry]) -> dict[Entry, Record | None]:
    """Return None for each version: none of the rows is kept."""
    return dict.fromkeys(entries.values())


ReadRows = Callable[["Graph", Mapping[str, Entry]], Mapping[Entry, Record | None]]
"""(graph, version by id of its record) -> the record of each version, or None where its row is not kept."""


class Graph:
    """The graph. Each process has one; the connection opens at its first use and is not shared across a fork.

    Every method raises ServerAway (the database does not answer, or refuses the login), Retryable (it is busy) or
    Rejected (it refuses a statement). Methods that write raise Wait if a later release has written the graph.
    `note_version` is called with the schema version of the graph after each write and each `prepare`.
    `read_rows` reads records from the stored rows of imports. `tell_change` is called with the change of each batch
    and pack of findings before the method returns, also if it was written before, and by `tell_changes`.
    """

    def __init__(
        self,
        settings: GraphSettings,
        kept: RecordRetention | None = None,
        note_version: Callable[[int], None] = lambda _: None,
        read_rows: "ReadRows" = keep_no_rows,
        tell_change: Callable[[GraphChange], None] = lambda _: None,
    ) -> None:
        self._connection = Connection(settings, tell_change=tell_change)
        self._tell_change = tell_change
        self._retention = kept
        self._read_rows = read_rows
        self._migrate_up_to = settings.migrate_up_to
        self._note_version = note_version
        self._tombstones = Tombstones(settings.privacy_secret)

    @property
    def retries(self) -> dict[str, int]:
        """How many attempts at a transaction failed and were retried, by the server's code."""
        return dict(self._connection.retries)

    def ask_server(self) -> None:
        """Raise ServerAway if the database cannot be used now. Return within seconds."""
        self._connection.ask()

    def schema_version(self) -> tuple[int | None, int | None]:
        """Return the schema version and the version that the whole graph has reached. Both are None for a new graph.

        The second version is lower while a migration runs.
        """
        return migrations.stored_version(self._connection)

    def prepare(self) -> None:
        """Migrate the graph to the version of this release, create the constraints, and wait until they hold.

        A second call changes nothing.
        """
        self._migrate()
        self._connection.create_constraints()

    def write_batch(self, batch: RecordBatch) -> BatchOutcome:
        """Write the whole batch or nothing. If the batch was written before, return its outcome from the ledger.

        Rows that would make the caller's own person the leader of a group are set aside, and so are rows that would
        change an operator's decision without the right to do so. Raises Rejected if its job
        was undone, or ended so long ago that its ledger rows are deleted.
        """
        while True:
            try:
                return self._write_with_rows(apply.write_batch, batch)
            except RecordsRefused as found:
                if found.record_ids <= batch.refused.keys():
                    raise
                refused = dict.fromkeys(found.record_ids, found.reject)
                batch = replace(batch, refused={**batch.refused, **refused})

    def write_findings(self, message: Findings) -> FindingsOutcome:
        """Write the findings of a pack in place of older findings, and its records if they are new.

        If the pack was written before, return its outcome from the ledger. Raises Rejected if its job was undone, or
        ended so long ago that its ledger rows are deleted.
        """
        return self._write_with_rows(apply.write_findings, message)

    def write_reviews(self, reviews: Sequence[Review]) -> None:
        """Write reviews. The last review about each thing decides. A second call changes nothing.

        Reviews of prerequisites take effect at the next call of `settle_prerequisites`.
        """
        about_records = [each for each in reviews if isinstance(each, FindingReview)]
        about_pairs = [each for each in reviews if isinstance(each, PairReview)]
        if about_records:
            self._write(review_nodes.write_of_records, about_records, set(), self._leaders(NOBODY))
        about_items = [each for each in reviews if isinstance(each, ItemReview)]
        if about_items:
            self._write(review_nodes.write_of_items, about_items)
        if about_pairs:
            self._write(review_nodes.write_of_pairs, about_pairs, set())
        about_needs = [each for each in reviews if isinstance(each, PrerequisiteReview)]
        if about_needs:
            self._write(review_nodes.write_of_prerequisites, about_needs)

    def comparison_due(self, now: float) -> int | None:
        """Return the seconds until the caller has to request a comparison of names, or None if no request is needed.

        If a number is returned, the graph notes that this caller sends the request. `now` is in seconds since 1970.
        """
        compared_points = 0
        for row in self._connection.read(CYPHER["last_comparison"]):
            compared_points = row["points"]
        [counted] = self._connection.read(CYPHER["count_points"])
        if counted["points"] == compared_points:
            return None  # the case at the end of most imports: nothing is written or locked
        return self._write(review_nodes.ask_for_comparison, now)

    def points_to_compare(self, most: int) -> tuple[int, tuple[NamedPoint, ...]]:
        """Return the number of all points, and the first `most` points that are canonical for their synonyms."""
        [counted] = self._connection.read(CYPHER["count_points"])
        rows = self._connection.read(CYPHER["points_to_compare"], limit=most)
        points: list[NamedPoint] = []
        for row in rows:
            texts = [row["name"], row["label"], row["statement"]]
            # Without the empty ones, and each once
            shortened = dict.fromkeys(text[:COMPARED_CHARACTERS] for text in texts if text)
            name, *said = shortened
            points.append(NamedPoint(id=row["id"], name=name, said=tuple(said)))
        return counted["points"], tuple(points)

    def note_comparison(self, points: int, now: float) -> None:
        """Note that names were sent for comparison, and the number of points then. `now`: seconds since 1970."""
        self._write(review_nodes.note_comparison, points, now)

    def write_proposals(self, message: ProposedPairs) -> int:
        """Replace the undecided proposals by these pairs of points. Return the number of proposals now."""
        return self._write(
            review_nodes.write_proposals, message.encoder, message.compared, message.pairs
        )

    def jobs_with_changed_claims(self) -> set[str]:
        """Return the jobs that changed claims since the last settling. "" stands for a change without a job."""
        return {row["job_id"] for row in self._connection.read(CYPHER["jobs_with_changed_claims"])}

    def settle_prerequisites(self) -> prerequisites.Settled:
        """Decide which prerequisites are followed, if claims changed. A second call changes nothing."""
        return prerequisites.settle(self._connection, self._write)

    def course_contexts(self, course_ids: Iterable[str]) -> tuple[CourseContext, ...]:
        """Return what the graph knows about each course, in the order of `course_ids`. It goes into prompts.

        For an unknown course only the id is given. Knowledge points are in the order of the course.
        """
        ids = list(dict.fromkeys(course_ids))
        if not ids:
            return ()
        rows_of: dict[str, list[neo4j.Record]] = {course_id: [] for course_id in ids}
        for row in self._connection.read(CYPHER["course_contexts"], ids=ids):
            rows_of[row["id"]].append(row)
        versions = self._versions_of_stated_points(ids)
        contexts = []
        for course_id, rows in rows_of.items():
            if not rows:
                contexts.append(CourseContext(course_id=course_id))
                continue
            points = [row for row in rows if row["point"] is not None]
            points.sort(key=_place_in_course)
            contexts.append(
                CourseContext(
                    course_id=course_id,
                    name=rows[0]["name"],
                    description=rows[0]["description"],
                    knowledge_points=tuple(str(row["point"]) for row in points),
                    stated=versions.get(course_id, ""),
                )
            )
        return tuple(contexts)

    def courses_of_points(self, batch: RecordBatch) -> set[str]:
        """Return the courses that now have a point which the batch defines, or whose definition it takes back.

        A definition without a course changes a point that other records may have put into courses.
        """
        record_ids = [withdrawal.record_id for _, withdrawal in batch.withdrawn]
        points = set[str]()
        for _, record in batch.records:
            if isinstance(record.data, PointRecord):
                record_ids.append(record.record_id)
                points.add(said_of_point(record.data).id)
        if not record_ids:
            return set()
        for row in self._connection.read(CYPHER["points_of_definitions"], ids=sorted(record_ids)):
            points.add(row["point"])
        courses = set[str]()
        for row in self._connection.read(CYPHER["courses_of_points"], points=sorted(points)):
            courses.add(row["course"])
        return courses

    def count_texts_read(self, course_id: str) -> int:
        """Return the number of records of a course that have a finding."""
        [counted] = self._connection.read(CYPHER["count_texts_read"], id=course_id)
        texts: int = counted["texts"]
        return texts

    def texts_read(self, course_id: str) -> list[TextRead]:
        """Return the records of a course that have a finding, those first whose finding is the oldest."""
        rows = self._connection.read(CYPHER["texts_read"], id=course_id)
        texts = []
        for row in rows:
            text = TextRead(**row.data())
            texts.append(text)
        return texts

    def _versions_of_stated_points(self, course_ids: Sequence[str]) -> dict[str, str]:
        """Return course id -> digest of the different contents of the definitions of its points."""
        contents: dict[str, set[str]] = defaultdict(set)
        for row in self._connection.read(CYPHER["stated_points"], ids=course_ids):
            course_id = row["id"]
            content = json.dumps(row["stated"])
            contents[course_id].add(content)
        versions = {}
        for course_id, different in contents.items():
            ordered = sorted(different)
            whole = json.dumps(ordered)
            digest = hashlib.sha256(whole.encode())
            versions[course_id] = digest.hexdigest()[:16]
        return versions

    def export_student(self, ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        """Return all data about a student with these ids.

        It has `student`, `relationships` to others, `records` and their `reviews`.
        """
        statements = {
            "student": "properties_of_student",
            "relationships": "relationships_of_student",
            "records": "whole_records_of_student",
            "reviews": "reviews_of_student",
        }
        exported: dict[str, list[dict[str, Any]]] = {}
        for name, statement in statements.items():
            # A list of a person's ids, and its review, come once for each id.
            different: dict[str, dict[str, Any]] = {}
            for student_id in sorted(ids):
                for row in self._connection.read(CYPHER[statement], id=student_id):
                    different.setdefault(repr(row.data()), row.data())
            exported[name] = list(different.values())
        return exported

    def restrict_student(self, student_id: str, *, restricted: bool) -> bool:
        """Restrict a student or lift the restriction, for all ids of the person. Return False if nobody has the id.

        Data about a restricted student is neither analysed nor shown.
        """
        return self._write(persons.restrict, student_id, restricted=restricted)

    def restricted_students(self) -> set[str]:
        """Return all ids of the restricted students."""
        restricted: set[str] = set()
        for row in self._connection.read(CYPHER["restricted_students"]):
            restricted |= {row["id"], *row["others"]}
        return restricted

    def course_members(self, course_id: str, limit: int) -> set[str]:
        """Return the names of the people of a course, about `limit` of them at most."""
        names: set[str] = set()
        for row in self._connection.read(CYPHER["course_members"], id=course_id, limit=limit):
            names.update(filter(None, (row["name"], row["called"])))
        return names

    def outcomes(self, job_id: str) -> list[BatchOutcome]:
        """Return the outcomes of the job's batches that were written, in their order."""
        rows = self._connection.read(CYPHER["batch_outcomes"], prefix=f"{job_id}:", job_id=job_id)
        return [BatchOutcome.model_validate_json(row["outcome"]) for row in rows]

    def written_batches(self, job_id: str) -> set[int]:
        """Return the numbers of the written batches of a job.

        Raises Rejected if the ledger rows of the job are deleted.
        """
        noted = self._connection.read(CYPHER["ended_jobs"], ids=[job_id])
        if any(row["closed"] for row in noted):
            raise Rejected(apply.ENDED_JOB["closed"])
        rows = self._connection.read(CYPHER["written_batches"], prefix=f"{job_id}:", job_id=job_id)
        return {row["batch"] for row in rows}

    def jobs_accepted(self, numbers: Collection[int]) -> dict[int, str]:
        """Return acceptance number -> job id for the jobs with these numbers."""
        rows = self._connection.read(CYPHER["jobs_accepted"], numbers=sorted(numbers))
        return {row["accepted"]: row["id"] for row in rows}

    def begin_undo(self, job_id: str) -> removal.UndoProgress:
        """Refuse later writes of a job, and return how far its undo is.

        Wait until all transactions that began before are over. A second call changes nothing.
        """
        self._write(removal.begin_undo, job_id)
        self._connection.wait_for_older_transactions()
        return self._undo_progress(job_id)

    def end_undo(self, job_id: str, progress: removal.UndoProgress) -> None:
        """Note that the undo of a job is finished."""
        self._write(removal.note_undo_progress, job_id, replace(progress, finished=True))

    def is_undone(self, job_id: str) -> bool:
        """Return whether the undo of a job is finished."""
        return self._undo_progress(job_id).finished

    def _undo_progress(self, job_id: str) -> removal.UndoProgress:
        for row in self._connection.read(CYPHER["undo_progress"], id=job_id):
            return removal.UndoProgress.from_json(row["progress"])
        return removal.UndoProgress()

    def undo_batch(
        self, batch: RecordBatch, progress: removal.UndoProgress, cause: Cause = NOBODY
    ) -> removal.UndoProgress:
        """Take back what a batch wrote. Return how far the undo of its job is now.

        A second call changes nothing in the records. Raises CallerWouldLead if the undo would make the caller's own
        person the leader of a group. Another caller can continue it.
        """
        return self._write_with_rows(removal.undo_batch, removal.UndoBatch(batch, progress, cause))

    def leader_changes(self) -> tuple[LeaderChange, ...]:
        """Return the oldest noted changes of group leaders, which may already be in the audit log."""
        rows = self._connection.read(CYPHER["leader_changes"], limit=NOTES_AT_ONCE)
        return tuple(LeaderChange(**row.data()) for row in rows)

    def forget_leader_changes(self, note_ids: Collection[str]) -> None:
        """Delete notes that are in the audit log. A second call changes nothing."""
        self._write(forget_notes, "LeaderChange", note_ids)

    def tell_changes(self, kind: ChangeKind = "records") -> None:
        """Tell all noted changes of records, and one more change of this kind that concerns all courses.

        Call it at the end of each work that changes the graph, except batches and findings. The additional change is
        for what no word is written on: names, restrictions, verdicts about pairs. If the process dies meanwhile, the
        next call tells the same changes again.
        """
        self.tell_noted_changes()
        self._tell_change(GraphChange(new_word(), kind))

    def tell_noted_changes(self) -> None:
        """Tell the changes of records that are noted in the graph, and delete their notes."""
        while rows := self._connection.read(CYPHER["noted_record_changes"], limit=NOTES_AT_ONCE):
            words = [row["word"] for row in rows]
            for row in rows:
                self._tell_change(GraphChange.read(row["word"], row["kind"], (ALL_COURSES,)))
            self._connection.write(forget_notes, "RecordChange", words)

    def id_claim_changes(self) -> tuple[IdClaimChange, ...]:
        """Return the oldest noted changes of claims to ids, which may already be in the audit log."""
        rows = self._connection.read(CYPHER["id_claim_changes"], limit=NOTES_AT_ONCE)
        return tuple(IdClaimChange(**row.data()) for row in rows)

    def forget_id_claim_changes(self, note_ids: Collection[str]) -> None:
        """Delete notes that are in the audit log. A second call changes nothing."""
        self._write(forget_notes, "IdClaimChange", note_ids)

    def rejects(self, job_id: str, batch: int) -> tuple[Reject, ...]:
        """Return the rejects of the records of a written batch that the graph itself refused, without `raw`."""
        rejects: list[Reject] = []
        for row in self._connection.read(CYPHER["batch_set_aside"], id=f"{job_id}:{batch}"):
            rejects += [Reject.model_validate(reject) for reject in json.loads(row["set_aside"])]
        return tuple(rejects)

    def look(self, student_ids: Collection[str]) -> removal.Known:
        """Return what the graph knows about a person. Nothing is changed."""
        return self._write(removal.look, student_ids, self._tombstones)

    def block(
        self, student_ids: Iterable[str], person: str | None, erased_at: datetime
    ) -> list[str]:
        """Refuse records that name these ids of one person from now on, and return their tombstones.

        `person` is a random text. Tombstones with the same one are deleted together (`unblock`).
        """
        made = [self._tombstones.of(each) for each in student_ids]
        self.bring_back(dict.fromkeys(made, person), erased_at)
        return made

    def bring_back(self, tombstones: Mapping[str, str | None], erased_at: datetime) -> None:
        """Create tombstones that are missing, for example in a restored backup of the graph.

        `tombstones` maps each to the text that it shares with the person's other tombstones, if there is one.
        """
        self._write(create_tombstones, tombstones, erased_at)

    def last_erasure(self) -> datetime | None:
        """Return when the last erasure began, or None if no person was erased by this or a later release."""
        rows = self._connection.read(CYPHER["last_erasure"])
        if not rows:
            return None
        return datetime.fromtimestamp(rows[0]["at"], UTC)

    def tombstones_among(self, student_ids: Collection[str]) -> dict[str, str | None]:
        """Return the tombstones of these ids -> the text that they share with others of the same person, if any."""
        return self._write(tombstones_among, student_ids, self._tombstones)

    def unblock(self, student_ids: Iterable[str]) -> list[str]:
        """Allow records of erased persons to be imported again. Return the tombstones of all ids of these persons."""
        tombstones = [self._tombstones.of(each) for each in student_ids]
        return self._write(delete_tombstones, tombstones)

    def students(self) -> Iterator[str]:
        """Yield the ids of all students, then all ids in person_records. An id may come twice."""
        for label in ("Student", "PersonId"):
            after = ""
            while rows := self._connection.read(
                CYPHER[f"next_ids_{label}"], after=after, limit=TEXTS_AT_ONCE
            ):
                yield from (row["id"] for row in rows)
                after = rows[-1]["id"]

    def erased_among(self, student_ids: Collection[str]) -> frozenset[str]:
        """Return the students among these that were erased."""
        if not student_ids:
            return frozenset()
        return self._write(erased_among, student_ids, self._tombstones)

    def has_erased(self) -> bool:
        """Return whether any student was ever erased."""
        return any(self._connection.read(CYPHER["any_tombstone"]))

    def erased_test(self) -> Callable[[str], bool]:
        """Return a function that takes the plain hash of an id and returns whether its student was erased before."""
        known = {row["id"] for row in self._connection.read(CYPHER["all_tombstones"])}
        return lambda plain: self._tombstones.keyed(plain) in known

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """Yield the label, the id and the texts of each record. The whole graph is read page by page."""
        for label in TEXT_LABELS:
            after = ""
            while rows := self._connection.read(
                CYPHER[f"texts_after_{label}"], after=after, limit=TEXTS_AT_ONCE
            ):
                for row in rows:
                    texts: list[str] = []
                    for name in removal.TEXT_FIELDS:
                        value = row["properties"].get(name) or []
                        texts += [value] if isinstance(value, str) else value
                    yield label, row["id"], "\n".join(texts)
                after = rows[-1]["id"]

    def erase_student(self, student_id: str, cause: Cause = NOBODY) -> dict[str, int]:
        """Remove a student with all their records and what follows from them. A hash of the id stays.

        Return the numbers of removed nodes by label, and the number of removed `relationships`.
        """
        return self._write(removal.erase, student_id, self._tombstones, self._leaders(cause), set())

    def end_old_records(self, go_on: Callable[[], bool]) -> retention.Ended:
        """Blank texts, and remove records and reviews, that are older than their retention.

        The work stops when `go_on` returns False, and a second call continues. Without a retention nothing is done.
        """
        kept = self._retention
        if kept is None:
            return retention.Ended(0, 0, 0, finished=True)
        missing = (kept.now(), kept.missing_from)
        leaders = self._leaders(Cause(client="retention", by="the end of a retention"))
        return retention.end_old_records(
            self._connection,
            self._write,
            kept.texts_from,
            kept.records_from,
            missing,
            leaders=leaders,
            go_on=go_on,
        )

    def compact_ledger(
        self, is_over: retention.IsOver, go_on: Callable[[], bool]
    ) -> retention.Compacted:
        """Do the next step of deleting the ledger rows of jobs that no other store knows.

        The work stops when `go_on` returns False, and a second call continues. Without a retention nothing is done.
        """
        kept = self._retention
        if kept is None:
            return retention.Compacted(0, finished=True)
        days = timedelta(days=kept.ledger_days)
        return retention.compact_ledger(
            self._connection, self._write, is_over, kept.now(), days, go_on=go_on
        )

    def remove(
        self, of: Removable, node_id: str, go_on: Callable[[], bool], cause: Cause = NOBODY
    ) -> removal.Removed:
        """Remove a course or a group with its records.

        The work stops when `go_on` returns False, and a second call continues. Raises CallerWouldLead if it would
        make the caller's own person the leader of a group.
        """
        return removal.remove(
            self._connection, self._write, of, node_id, self._leaders(cause), go_on=go_on
        )

    def rename(
        self,
        of: Renamable,
        node_id: str,
        new_id: str,
        go_on: Callable[[], bool],
        *,
        merge: bool = False,
        cause: Cause = NOBODY,
    ) -> renaming.Renamed:
        """Give a node another id. The work stops when `go_on` returns False, and a second call continues.

        With `merge` the new id may be in use, and both nodes become one.
        """
        wanted = renaming.Renaming(renaming.LABEL_OF_RENAMABLE[of], node_id, new_id)
        leaders = self._leaders(cause)
        return renaming.rename(
            self._connection,
            self._write,
            wanted,
            leaders,
            merge=merge,
            go_on=go_on,
        )

    def settle_persons(self) -> persons.SettledPersons:
        """Derive the owners of ids if claims changed, and move records to them. A second call changes nothing."""
        leaders = self._leaders(Cause(by="the claims to ids"))
        return persons.settle(self._connection, self._write, leaders)

    def ids_of_persons(self, person_ids: Collection[str]) -> frozenset[str]:
        """Return all ids of the persons with these ids, as far as the owners are settled.

        Ids from before a renaming by an earlier release are included.
        """
        found = set(person_ids)
        for row in self._connection.read(CYPHER["ids_of_persons"], ids=sorted(found)):
            found |= {row["owner"], *row["others"]}
        for row in self._connection.read(CYPHER["former_ids"], ids=sorted(found)):
            found.update(row["former"] or ())
        return frozenset(found)

    def claims_about(self, person_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return person -> claimed ids, for all claims to these ids and to the other ids that their persons claim."""
        ids = set(person_ids)
        for row in self._connection.read(CYPHER["claims_of_persons"], ids=sorted(person_ids)):
            ids.add(row["claimed"])
        claimed: dict[str, set[str]] = defaultdict(set)
        for row in self._connection.read(CYPHER["claimants_of"], ids=sorted(ids)):
            claimed[row["person"]].add(row["claimed"])
        return {person: tuple(sorted(found)) for person, found in sorted(claimed.items())}

    def derive_anew(
        self,
        *,
        repair: bool,
        request_id: str = "",
        go_on: Callable[[], bool] = lambda: True,
        cause: Cause = NOBODY,
    ) -> dict[str, Any]:
        """Compare all sums, names and prerequisites with the records. With `repair` correct the differences.

        A repeated request continues where it was. Return the number of checked nodes, the numbers of differences by
        label and type, and some of the differences. Raises Wait when `go_on` returns False.
        """
        self._migrate()
        derivation = rebuild.Derivation(
            self._connection, request_id, self._leaders(cause), repair=repair
        )
        derivation.derive(go_on)
        return derivation.comparison.to_json()

    def close(self) -> None:
        self._connection.close()

    def _leaders(self, cause: Cause) -> LeaderNotes:
        return LeaderNotes(cause, self._tombstones)

    @property
    def _kept(self) -> Kept:
        kept = Kept()
        if self._retention is None:
            return kept
        oldest = self._retention.records_from
        if oldest is not None:
            kept = kept._replace(records_from=iso(oldest))
        undoable_from = self._retention.undoable_from
        if undoable_from is not None:
            kept = kept._replace(undoable_from=microseconds(undoable_from))
        return kept

    def _write_with_rows(self, work: Callable[..., T], message: object) -> T:
        """Do the work. If it needs stored rows of other imports, read them and do the work again."""
        rows: dict[Entry, Record | None] = {}
        while True:
            try:
                return self._write(work, message, Beside(self._tombstones, self._kept, rows), set())
            except RowsNeeded as needed:
                rows |= self._read_rows(self, needed.entries)

    def _write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work in a transaction. The work checks the schema version first. An older graph is migrated."""
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
        self.tell_noted_changes()


def _place_in_course(row: neo4j.Record) -> tuple[bool, int, str]:
    """Return the sort key of a knowledge point of a course. Points without a place come last."""
    place = row["place"]
    return place is None, place or 0, str(row["point"])
