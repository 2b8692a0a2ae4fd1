"""Erasing a person from every store. Each store in the registry of personal data has an eraser.

First the ids are blocked, so that no new data about the person is written. Then the stores are cleaned. The graph
comes last, because it knows the ids of the person's records. An erasure that breaks off is repeated from its start.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol
from uuid import uuid4

from pydantic import ValidationError

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import Findings, ImportBatch
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.personal_data import Eraser, patterns_of, record_mark
from edugraph_common.contracts.records import InvalidRecord
from edugraph_common.contracts.words import is_in
from edugraph_common.runtime.messaging.dead_letters import Rewritten
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.digests import DigestSubscription
from edugraph_common.runtime.shared_state.job_store import LETTERS_TO_CLEAN, Jobs
from edugraph_common.runtime.shared_state.object_store import (
    ERASURES,
    EXPORTS,
    Blobs,
    erasure_key,
    tombstone_of,
)
from edugraph_common.runtime.shared_state.redis_texts import RedisTexts
from edugraph_common.runtime.shared_state.saved_views import SavedView
from edugraph_common.sources import ReadPlan, Source, load_read_plan, students_of_record
from edugraph_common.sources.person import ErasedPeople, Person, Scrubbed, Who
from edugraph_importer.erasure.files import erase_from_blobs, erase_from_fits
from edugraph_importer.erasure.waiting import has_waited, letter_without_wrong_rows
from edugraph_importer.graph import NOBODY, Cause, Graph

MAX_SHOWN = 100
_WAITING = (
    "their records with an id of the person are refused, and values of their wrong rows are not kept; texts of other "
    "people that name the person are listed when the person is forgotten again"
)


class RewriteLetters(Protocol):
    """The function `rewrite_dead_letters`, bound to one broker. Raises Rejected if the broker has no dead letters."""

    def __call__(
        self, change: Callable[[bytes], bytes], *, dry_run: bool, go_on: Callable[[], None]
    ) -> Rewritten: ...


@dataclass
class Report:
    """The report of an erasure.

    `removed` has, for each eraser, the number of each removed thing. `left` has places that may still name the
    person, with the reason. `mentions` has records of other people whose text names the person.
    """

    removed: dict[Eraser, dict[str, int]] = field(default_factory=dict)
    left: list[dict[str, str]] = field(default_factory=list)
    mentions: list[dict[str, str]] = field(default_factory=list)

    @property
    def found(self) -> bool:
        """Whether anything names the person. Exports do not count, since all of them are deleted."""
        if self.left:
            return True
        for counts in self.removed.values():
            if any(number for name, number in counts.items() if name != "exports"):
                return True
        return False

    def leave(self, store: Eraser, key: str, reason: str) -> None:
        self.left.append({"store": store, "key": key, "reason": reason})

    def to_json(self, *, known: bool, dry_run: bool) -> dict[str, Any]:
        return {
            "known": known,
            "dry_run": dry_run,
            "removed": self.removed,
            "left": self.left[:MAX_SHOWN],
            "left_in_all": len(self.left),
            "mentions": self.mentions[:MAX_SHOWN],
            "mentions_in_all": len(self.mentions),
        }


def forget_lists(members: CourseMembers, graph: Graph) -> None:
    """Delete the lists of persons in Redis, and write the list of restricted students again.

    Analyzer and gateway read and show no student without that list. If they had to ask for it, they would wait until
    an importer is free.
    """
    members.forget()
    # If another process deletes the lists meanwhile, that process writes this list afterwards.
    tell_restricted(members, graph)


def tell_restricted(members: CourseMembers, graph: Graph) -> None:
    """Write the list of restricted students to Redis, for analyzer and gateway, if it is not there."""
    if members.restricted() is None:
        epoch = members.epoch()
        members.tell_restricted(graph.restricted_students(), epoch)


@dataclass(frozen=True)
class Erasure:
    """Erases persons from all stores. Each process has one.

    `platform_prefixes` maps the platform_key of a platform to the prefix of its ids.
    """

    graph: Graph
    jobs: Jobs
    blobs: Blobs
    texts: RedisTexts
    members: CourseMembers
    rewrite_letters: RewriteLetters
    now: Callable[[], datetime]
    platform_prefixes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    new_id: Callable[[], str] = lambda: uuid4().hex

    def erase(
        self,
        ids: Collection[str],
        names: Collection[str] = (),
        *,
        dry_run: bool = False,
        block: bool = False,
        cause: Cause = NOBODY,
    ) -> dict[str, Any]:
        """Erase a person with all these ids from every store. Return what was removed, and what was left and why.

        All ids of the person by the claims of person_records are included, and ids from before a renaming. With
        `dry_run` everything is counted and nothing is removed. If nothing is known about the person, no tombstone is
        written, unless `block` is set. A second call removes nothing. If nothing is removed, the ids of the person
        and the claims to them are returned as well. Raises Wait while another person is being erased, since both
        would replace the same files.
        """
        with self.jobs.erasing() as go_on:
            ids = self._all_ids(ids)
            known = self.graph.look(ids)
            is_known = known.is_there or known.erased
            if dry_run or not (is_known or block):
                person = Person(frozenset(ids), known.records, frozenset({*known.names, *names}))
                report = self._clean(person, go_on, dry_run=True)
                if dry_run and known.is_there:
                    report.removed["graph"] = {"Student": 1, "records": len(known.records)}
                if dry_run or not report.found:
                    found = report.to_json(known=is_known or report.found, dry_run=dry_run)
                    return found | self._shown_person(ids)
            ids = self._block(ids)
            known = self.graph.look(ids)
            person = Person(frozenset(ids), known.records, frozenset({*known.names, *names}))
            report = self._clean(person, go_on, dry_run=False)
            graph: Counter[str] = Counter()
            # Claims that end meanwhile move records from one of these ids to another. Nothing new names them, so a
            # second pass finds such records.
            while removed := self._erase_from_graph(ids, cause):
                graph.update(removed)
            self._settle_persons()
            forget_lists(self.members, self.graph)
            self.graph.tell_changes()
            report.removed["graph"] = dict(graph)
        report.mentions = self._mentions(person)
        return report.to_json(known=True, dry_run=False)

    def _erase_from_graph(self, ids: Collection[str], cause: Cause) -> Counter[str]:
        """Erase these ids. Return the numbers of removed nodes by label, which are empty if nothing was left."""
        removed: Counter[str] = Counter()
        for student_id in sorted(ids):
            removed.update(self.graph.erase_student(student_id, cause))
        return removed

    def _shown_person(self, ids: Collection[str]) -> dict[str, Any]:
        """Return the ids of a person, and some of the claims to them and to the other ids that the person claims.

        Others claim these other ids as well: they are contested, belong to none, and are not erased. Each id stands
        in the field of a record, so that an erasure finds it in the result of this task.
        """
        claims: list[dict[str, Any]] = []
        found = self.graph.claims_about(ids)
        # The person's own claims say what is not erased, so they come first.
        for person_id in sorted(found, key=lambda each: each not in ids):
            claims.append({"person_id": person_id, "also": list(found[person_id])})
        return {
            "ids": [{"student_id": each} for each in sorted(ids)],
            "claims": claims[:MAX_SHOWN],
            "claims_in_all": len(claims),
        }

    def _settle_persons(self) -> None:
        """Move all records to the owners of their ids. Another settler that runs meanwhile stops."""
        while not self.graph.settle_persons().finished:
            pass

    def _all_ids(self, ids: Collection[str]) -> frozenset[str]:
        """Return all ids of a person by the present claims. All records with these ids stand at one of these ids."""
        self._settle_persons()
        return self.graph.ids_of_persons(ids)

    def _block(self, ids: frozenset[str]) -> frozenset[str]:
        """Refuse new data about a person. Return all ids of the person.

        A claim that was written before the ids were blocked may have added an id.
        """
        person = self.new_id()
        blocked: frozenset[str] = frozenset()
        while blocked != ids:
            self._note(self.graph.block(sorted(ids), person, self.now()), person)
            blocked = ids
            ids = self._all_ids(ids)
        return ids

    def admit(self, ids: Collection[str]) -> dict[str, Any]:
        """Allow records of an erased person to be imported again. The erased data does not come back by itself."""
        with self.jobs.erasing():
            for tombstone in self.graph.unblock(ids):
                self.blobs.delete(erasure_key(tombstone))
            self.graph.tell_changes()
        return {"admitted": len(ids)}

    def replay(self, cause: Cause = NOBODY) -> dict[str, Any]:
        """Erase again all persons whose erasure is noted in the blob store. A restored backup may contain them."""
        with self.jobs.erasing() as go_on:
            tombstones: dict[str, str | None] = {}
            for key in self.blobs.keys(ERASURES):
                tombstones[tombstone_of(key)] = self._person_of(key)
            self.graph.bring_back(tombstones, self.now())
            who = ErasedPeople(self.graph.erased_test())
            students = sorted({each for each in self.graph.students() if who.is_among((each,))})
            for student_id in students:
                self.graph.erase_student(student_id, cause)
                go_on()
            self._settle_persons()
            forget_lists(self.members, self.graph)
            self.graph.tell_changes()
            report = self._clean(who, go_on, dry_run=False)
            report.removed["graph"] = {"Student": len(students)}
        return {"erasures": len(tombstones), **report.to_json(known=True, dry_run=False)}

    def note_tied(self, ids: Collection[str]) -> None:
        """Note the tombstones of these ids in the blob store. A list may have tied an id to an erased person."""
        noted = self.graph.tombstones_among(ids)
        for tombstone, person in noted.items():
            self._note([tombstone], person)
        # A person who is admitted meanwhile must not be erased again after a backup was restored.
        for tombstone in noted.keys() - self.graph.tombstones_among(ids).keys():
            self.blobs.delete(erasure_key(tombstone))

    def _note(self, tombstones: Collection[str], person: str | None) -> None:
        """Note the erasure in the blob store too. It is repeated from there if an older backup is restored.

        `person` is the text that the tombstones of one person share.
        """
        for tombstone in tombstones:
            key = erasure_key(tombstone)
            if self.blobs.exists(key) and self._person_of(key) == person:
                continue
            # The person of an earlier note may be the owner of more ids now.
            noted = {"at": self.now().isoformat(), "person": person}
            with self.blobs.write(key) as file:
                file.write(json.dumps(noted).encode())

    def _person_of(self, key: str) -> str | None:
        """Return the text that a noted tombstone shares with the person's others. Earlier releases noted none."""
        with self.blobs.open(key) as file:
            person: str | None = json.loads(file.read()).get("person")
        return person

    def clean(self, job_id: str) -> dict[str, Any]:
        """Remove all erased persons from the files and texts of an ended job, unless the job runs again.

        The id `LETTERS_TO_CLEAN` stands for the dead letters that were stored after an erasure.
        """
        with self.jobs.erasing() as go_on:
            if job_id == LETTERS_TO_CLEAN:
                return self._clean_letters(go_on)
            if self.jobs.is_open(job_id):
                return {}
            marks = self.jobs.marks_to_clean()
            who = ErasedPeople(self.graph.erased_test(), marks)
            erased = erase_from_blobs(
                self.blobs,
                who,
                self.jobs.is_open,
                go_on,
                self.platform_prefixes,
                folder=f"jobs/{job_id}",
            )
            texts = self.texts.rewrite(
                (*self.jobs.keys_of(job_id), *patterns_of("results")), _without(who)
            )
            answers = self._erase_answers(marks)
            self.jobs.cleaned(job_id, marks)
        return {
            "removed": {
                "files": erased.counts,
                "jobs": {"texts": texts},
                "answers": {"answers": answers},
            }
        }

    def _clean_letters(self, go_on: Callable[[], None]) -> dict[str, Any]:
        # The note is deleted first: a letter that is stored from now on is noted again. If this process dies, the
        # message of this task is delivered again.
        self.jobs.cleaned(LETTERS_TO_CLEAN, ())
        without_erased = _letter_without(ErasedPeople(self.graph.erased_test()))
        last_erasure = self.graph.last_erasure()

        def change(body: bytes) -> bytes:
            return letter_without_wrong_rows(without_erased(body), last_erasure)

        rewritten = self.rewrite_letters(change, dry_run=False, go_on=go_on)
        return {"removed": {"dead_letters": {"letters": rewritten.changed}}}

    def cleared(self, message: ImportBatch, rejects: Sequence[Reject]) -> tuple[Reject, ...]:
        """Return the rejects of a batch. A reject that may name an erased person loses its row and its faulty value.

        Only valid records are compared with the tombstones when the graph is written, so rejects are compared here.
        A batch that was accepted before an erasure and waited meanwhile loses all of these values: a tombstone tells
        nothing about a name, or about an id within a text.
        """
        if not rejects:
            return ()
        rows = message.rows
        plan = ReadPlan(format=rows.format if rows else "ndjson")
        if rows and rows.reading:
            plan = load_read_plan(self.blobs, rows.reading)
        source = plan.source
        named = [_students(source, reject) for reject in rejects]
        erased = self.graph.erased_among(frozenset[str]().union(*named))
        waited = has_waited(message.accepted_at, self.graph.last_erasure())
        if not erased and not waited:
            return tuple(rejects)
        self.jobs.clean_later(message.job_id)
        cleared = []
        for reject, ids in zip(rejects, named, strict=True):
            if erased.isdisjoint(ids) and not waited:
                cleared.append(reject)
            else:
                cleared.append(reject.model_copy(update={"found": "", "raw": None}))
        return tuple(cleared)

    def note_refused(self, message: Findings) -> None:
        """Note the job for cleaning if a person in its findings was erased while the analysis ran."""
        named: dict[str, frozenset[str]] = {}  # record id -> its students
        for finding in message.findings:
            record_id = str(finding.record.get("record_id"))
            named[record_id] = frozenset(students_of_record(finding.record))
        erased = self.graph.erased_among(frozenset[str]().union(*named.values()))
        marks = [
            record_mark(record_id) for record_id, ids in named.items() if not erased.isdisjoint(ids)
        ]
        if marks:
            self.jobs.clean_later(message.job_id, marks)

    def _clean(self, person: Who, go_on: Callable[[], None], *, dry_run: bool) -> Report:
        report = Report()
        erased = erase_from_blobs(
            self.blobs, person, self.jobs.is_open, go_on, self.platform_prefixes, dry_run=dry_run
        )
        # Each export may contain messages that the person wrote or received. An export can be requested again.
        exports = self.blobs.keys(EXPORTS)
        for key in () if dry_run else exports:
            self.blobs.delete(key)
        report.removed["files"] = {**erased.counts, "exports": len(exports)}
        report.left += [{"store": "files", **left} for left in erased.left]
        labelled, unread = erase_from_fits(self.blobs, person, go_on, dry_run=dry_run)
        report.removed["fits"] = {"rows": labelled}
        for key, reason in unread.items():
            report.leave("fits", key, reason)
        for job_id in () if dry_run else erased.open_jobs:
            self.jobs.clean_later(job_id)
        stores: tuple[Eraser, ...] = ("jobs", "results")
        for store in stores:
            changed = self.texts.rewrite(patterns_of(store), _without(person), dry_run=dry_run)
            report.removed[store] = {"texts": changed}
        if isinstance(person, Person):
            hidden = self.jobs.hide_file_names(person.is_named_in, dry_run=dry_run)
            report.removed["jobs"]["file_names"] = hidden
        go_on()
        report.removed["answers"] = {"answers": self._erase_answers(person.marks, dry_run=dry_run)}
        written = None
        if isinstance(person, Person):
            written = written_by_others(person)
        change = _view_without(person, written)
        report.removed["views"] = {
            "views": self.texts.rewrite(patterns_of("views"), change, dry_run=dry_run)
        }
        report.removed["digests"] = {
            "digests": self.texts.rewrite(
                patterns_of("digests"), _digest_without(person), dry_run=dry_run
            )
        }
        go_on()
        with suppress(Rejected):  # the embedded broker has no dead letters
            rewritten = self.rewrite_letters(_letter_without(person), dry_run=dry_run, go_on=go_on)
            report.removed["dead_letters"] = {"letters": rewritten.changed}
            for key in rewritten.unread:
                report.leave("dead_letters", key, "it cannot be read as a dead letter")
            if not dry_run:
                for queue, number in rewritten.waiting.items():
                    words = f"{number} messages wait; {_WAITING}"
                    report.leave("queues", queue, words)
        go_on()
        return report

    def _erase_answers(self, marks: frozenset[str], *, dry_run: bool = False) -> int:
        """Delete the cached model answers about records with one of these marks. Return their number."""
        if not marks:
            return 0

        def change(text: str) -> str:
            with suppress(ValueError):
                paid = json.loads(text).get("paid") or {}
                if paid.get("of") in marks:
                    return ""
            return text

        return self.texts.rewrite(patterns_of("answers"), change, dry_run=dry_run)

    def _mentions(self, person: Person) -> list[dict[str, str]]:
        """Return the remaining records whose text names the person."""
        return [
            {"label": label, "record_id": record_id}
            for label, record_id, text in self.graph.texts()
            if person.is_written_in(text)
        ]


def written_by_others(person: Person) -> re.Pattern[str] | None:
    """Return the pattern that finds the person in free text, or None if there is nothing to find."""
    return person.written


def _students(source: Source, reject: Reject) -> frozenset[str]:
    """Return the ids of the students that the row of a reject names, or none if the row cannot be decoded."""
    try:
        return source.people((reject.raw or "").encode(errors="replace")).ids
    except InvalidRecord:
        return frozenset()


def _without(who: Who) -> Callable[[str], str]:
    """Return the function that removes the person from a text in Redis."""

    def change(text: str) -> str:
        scrubbed = Scrubbed(who, text)
        if scrubbed.removed:
            return scrubbed.text
        return text

    return change


def _view_without(who: Who, written: re.Pattern[str] | None) -> Callable[[str], str]:
    """Return the function that maps a saved view to itself, or to "" if it names the person and must be deleted.

    A list of students loses the person and keeps the others. `written` finds the person in free text.
    """

    def change(text: str) -> str:
        try:
            view = SavedView.model_validate_json(text)
        except ValidationError:
            return ""  # A view that cannot be parsed may name anybody, and nobody can open it.
        if not is_named_in(view, who, written):
            return text
        rest = _list_without(view, who)
        if rest is None or is_named_in(rest, who, written):
            return ""
        return rest.model_dump_json()

    return change


def _list_without(view: SavedView, who: Who) -> SavedView | None:
    """Return a list without the person, or None for a view that is not a list or has nobody else."""
    students = view.state.values.get("students", ())
    if view.state.kind != "list" or isinstance(students, str):
        return None
    others = [student for student in students if not who.is_among((student,))]
    if not others:
        return None
    return view.with_students(others)


def _digest_without(who: Who) -> Callable[[str], str]:
    """Return the function that maps a subscription to itself, or to "" if the person is the subscriber."""

    def change(text: str) -> str:
        try:
            digest = DigestSubscription.model_validate_json(text)
        except ValidationError:
            return ""  # Nobody gets a mail by it, and it may name anybody.
        if who.is_among((digest.person,)):
            return ""
        return text

    return change


def is_named_in(view: SavedView, who: Who, written: re.Pattern[str] | None) -> bool:
    """Return whether a saved view belongs to the person or names the person. `written` finds them in free text."""
    names = frozenset(view.may_name())
    if who.is_among(names):
        return True
    if isinstance(who, Person) and not who.records.isdisjoint(names):
        return True
    return is_in(written, view.words())


def _letter_without(who: Who) -> Callable[[bytes], bytes]:
    """Return the function that removes the person from the body of a dead letter.

    A letter that asks only for the erasure of this person becomes empty, which deletes it.
    """

    def change(body: bytes) -> bytes:
        scrubbed = Scrubbed(who, body)
        try:
            message = json.loads(body)[0][-1]
            asked: set[Any] = set()
            if "data" not in message:
                asked = {*message.get("ids", ()), message.get("student_id")}
        except (ValueError, LookupError, TypeError, AttributeError):
            asked = set()
        asked -= {None}
        if asked and all(who.is_among((each,)) for each in asked):
            return b""
        if scrubbed.removed:
            return scrubbed.text.encode()
        return body

    return change


__all__ = ["MAX_SHOWN", "ErasedPeople", "Erasure", "Person", "is_named_in", "written_by_others"]
