"""Erasing a person from the blob store: the rows that name the person, and the rejects that quote such rows.

Rows are compared by the ids that the import reads in them, and never by their bytes: "4" is a part of "S0104", and an
id may be written with escapes. A row is removed from its frame, and all other frames stay where they are. If a file
cannot be cleaned, it is reported with the reason and the erasure continues with the other files.

Each job has an index of the persons in its rows. Rows and rejects are only read if the index may contain the person.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.runtime.shared_state.fit_store import fit_keys, leave_rows_out
from edugraph_common.runtime.shared_state.object_store import BlobMissing, Blobs
from edugraph_common.sources import (
    STUDENT_FIELDS,
    Platforms,
    RawRow,
    ReadPlan,
    Source,
    frames_key,
    load_mapping,
    open_text,
    stored_read_plan,
)
from edugraph_common.sources.chunking import RowChunk
from edugraph_common.sources.compression import content_encoding_of
from edugraph_common.sources.frames import pack_fewer_rows, unpack_rows
from edugraph_common.sources.ndjson import EmptyFile, MalformedFile
from edugraph_common.sources.person import Person, Who
from edugraph_common.sources.persons import PersonIndex, PersonIndexBuilder, people_of
from edugraph_common.sources.split_budget import CountedFile, SplitBudget
from edugraph_common.sources.stored import (
    BatchRange,
    all_ranges,
    index_key,
    index_persons,
    persons_key,
    write_index,
    write_persons,
)
from edugraph_common.sources.students import ID_OF_NAME, ids_in

_SOURCE = re.compile(
    r"jobs/[^/]+/source\.(ndjson|csv|xapi|openedx|workbook|parquet|case|outline|openstax|coherence_map)"
    r"(\.gz|\.zst)?"
)
# Blobs that name no person: indexes, stored jobs without records, and what the graph knows about courses.
_NAMING_NOBODY = re.compile(
    r"jobs/[^/]+/(index|persons|job\.json|analysis\.json|cancelled|contexts/.+)"
)
_LONGEST_PLAN = 1 << 24
_PLANS = ("/reading.json", "/mapping.json")
_GONE = "(erased)"
_ROWS_AT_ONCE = 1_000

_OPEN = "its job has not ended; it is cleaned within a minute after it has"
_OPEN_BY_NAME = (
    "its job has not ended, and rows of it name the person without an id; forget the student again, with this name, "
    "when it has"
)
_PART = "it is being written, or a write of it broke off; forget the student again when no upload is under way"


@dataclass
class Erased:
    """The result of an erasure.

    `files` is the number of files from which rows were erased; `rows` and `rejects` are totals. `left` has the blobs
    that may still name the person. `open_jobs` has the jobs that may still read rows of the person.
    """

    files: int = 0
    rows: int = 0
    rejects: int = 0
    left: list[dict[str, str]] = field(default_factory=list)
    open_jobs: set[str] = field(default_factory=set)

    @property
    def counts(self) -> dict[str, int]:
        return {"files": self.files, "rows": self.rows, "rejects": self.rejects}


@dataclass
class StudentRows:
    """A predicate that chooses the rows that name a person as a student, by an id, or by a name if there is no id.

    `found` counts the chosen rows, and `by_name` those of them without an id of the person. `unreadable` counts the
    rows that cannot be decoded but may name the person.
    """

    who: Who
    source: Source
    found: int = 0
    by_name: int = 0
    unreadable: int = 0

    def __call__(self, row: RawRow) -> bool:
        people = people_of(self.source, row)
        if people is None:
            self.doubt(row.raw.decode(errors="replace"))
            return False
        is_theirs = self.who.is_among(people.ids)
        if not is_theirs and isinstance(self.who, Person):
            is_theirs = any(map(self.who.is_written_in, people.names))
            self.by_name += is_theirs
        self.found += is_theirs
        return is_theirs

    def doubt(self, text: str) -> None:
        """Count a text that cannot be decoded as `unreadable` if it contains an id of the person as a word."""
        self.unreadable += isinstance(self.who, Person) and self.who.is_named_in(text)


def erase_from_blobs(
    blobs: Blobs,
    who: Who,
    is_open: Callable[[str], bool],
    go_on: Callable[[], None],
    prefixes: Mapping[str, str] = MappingProxyType({}),
    *,
    dry_run: bool = False,
    folder: str = "jobs",
) -> Erased:
    """Erase the person from the files of all jobs, or of the one in `folder`.

    `prefixes` has the prefix of the ids of each platform, for files that were not split yet. `is_open` says whether a
    job may still read its files; such a job is left unchanged. `go_on` is called often, so that the lock of erasures
    does not expire. With `dry_run` everything is counted and nothing is changed.
    """
    eraser = _Eraser(blobs, who, is_open, go_on, prefixes, dry_run=dry_run)
    keys = blobs.keys(folder)
    for job_id, found in groupby(
        (key for key in keys if ".part-" not in key), lambda key: key.split("/")[1]
    ):
        eraser.erase_job(job_id, list(found))
    for key in keys:
        if ".part-" in key and blobs.exists(key):
            eraser.leave(key, _PART)
    return eraser.erased


def may_name(blobs: Blobs, job_id: str, keys: Collection[str], who: Who) -> bool:
    """Return whether the rows or the rejects of a job can name the person, or one of the erased persons.

    `keys` has the keys of the job's blobs. Only the index of persons is read. Without an index anybody may be named.
    """
    return _may_hold(_index_of(blobs, job_id, keys), who)


def _index_of(blobs: Blobs, job_id: str, keys: Collection[str]) -> PersonIndex | None:
    """Return the index of persons of a job, or None if there is none."""
    if persons_key(job_id) not in keys:
        return None
    try:
        with blobs.open(persons_key(job_id)) as file:
            return PersonIndex(file.read())
    except BlobMissing:
        return None


def _may_hold(index: PersonIndex | None, who: Who) -> bool:
    """Return whether rows with this index can name the person, or one of the erased persons."""
    if index is None:
        return True
    if isinstance(who, Person):
        return index.may_hold(who.ids, {*who.ids, *who.names})
    return index.has_one_of(who.is_erased)


def erase_from_fits(
    blobs: Blobs, who: Who, go_on: Callable[[], None], *, dry_run: bool = False
) -> tuple[int, dict[str, str]]:
    """Remove the person's labelled mistakes from the fits of the offline analyser.

    Return the number of removed mistakes, and key -> reason for each fit that cannot be read. Analyzers use the
    changed fits within a minute.
    """
    rows = 0
    left = dict[str, str]()
    for key in fit_keys(blobs):
        go_on()
        try:
            rows += leave_rows_out(
                blobs, key, lambda row: who.is_among(row.students), dry_run=dry_run
            )
        except BlobMissing:
            continue
        except ValueError as problem:
            left[key] = (
                f"it cannot be read ({type(problem).__name__}); delete it and fit the course anew"
            )
    return rows, left


class _Eraser:
    def __init__(
        self,
        blobs: Blobs,
        who: Who,
        is_open: Callable[[str], bool],
        go_on: Callable[[], None],
        prefixes: Mapping[str, str],
        *,
        dry_run: bool,
    ) -> None:
        self._blobs = blobs
        self._who = who
        self._prefixes = prefixes
        self._is_open = is_open
        self._go_on = go_on
        self._dry_run = dry_run
        self.erased = Erased()

    def leave(self, key: str, reason: str) -> None:
        self.erased.left.append({"job_id": key.split("/")[1], "key": key, "reason": reason})

    def erase_job(self, job_id: str, keys: list[str]) -> None:
        is_open = self._is_open(job_id)
        rows = 0
        rejects = 0
        is_split = index_key(job_id) in keys and self._blobs.exists(index_key(job_id))
        broken_off = frames_key(job_id) in keys and not is_split
        if broken_off and not is_open and not self._dry_run:
            # The split broke off. Without an index nobody reads the frames.
            self._blobs.delete(frames_key(job_id))
        index = _index_of(self._blobs, job_id, keys)
        is_to_index = persons_key(job_id) not in keys
        if index is not None and not index.is_current:
            is_to_index = True
        if is_to_index and is_split and not is_open and not self._dry_run:
            # The process that split the file died before it wrote the index of persons, the job did not end, or an
            # earlier release wrote the index.
            with suppress(Rejected):  # The fault in the rows is reported below, when they are read.
                index_persons(self._blobs, job_id, self._go_on)
                keys = sorted({*keys, persons_key(job_id)})
                index = _index_of(self._blobs, job_id, keys)
        may_hold = _may_hold(index, self._who)
        # The rows come last, since the index of persons is written again with them. Until then the index says that
        # the other blobs may name the person, also when a repeated erasure begins from the start.
        for key in sorted(keys, key=lambda key: (key == frames_key(job_id), key)):
            self._go_on()
            if may_hold and not (_NAMING_NOBODY.fullmatch(key) or key.endswith(_PLANS)):
                found = self._erase_blob(job_id, key, is_open=is_open)
                if "/rejects/" in key:
                    rejects += found
                else:
                    rows = max(rows, found)
        for key in keys:  # Plans come after the rows, because they are needed to read the rows.
            if may_hold and key.endswith(_PLANS):
                self._erase_plan(job_id, key, is_open=is_open)
        self.erased.files += rows > 0
        self.erased.rows += rows
        self.erased.rejects += rejects

    def _erase_blob(self, job_id: str, key: str, *, is_open: bool) -> int:
        """Erase the person from one blob. Return the number of erased rows or rejects. Report an unreadable blob."""
        try:
            return self._erase_rows(job_id, key, is_open=is_open)
        except (BlobMissing, FileNotFoundError, EmptyFile):
            return 0
        except (MalformedFile, Rejected) as problem:
            self.leave(key, str(problem))
        except Retryable:
            raise
        except Exception as bug:  # noqa: BLE001 - called for each blob, and one fault must not stop the others
            self.leave(key, f"it cannot be read ({type(bug).__name__})")
        return 0

    def _erase_rows(self, job_id: str, key: str, *, is_open: bool) -> int:
        """Read a blob to find out whether it names the student, and if so, read it a second time to change it.

        The blob is replaced as a whole, so that a reader gets either the old content or the new content.
        """
        plan = self._read_plan(job_id, key)
        chosen = StudentRows(self._who, plan.source)
        erase: Callable[[], None]
        if "/rejects/" in key:
            for _ in self._rejects_left(key, chosen):
                pass
            erase = partial(self._replace_rejects, key, chosen)
        elif key == frames_key(job_id):
            self._read_frames(job_id, chosen)
            erase = partial(self._replace_frames, job_id, plan, chosen)
        elif _SOURCE.fullmatch(key):
            if self._blobs.exists(index_key(job_id)):
                # The rows of the upload are also in the frames. The upload is kept by a setting, or the split died
                # before it deleted the upload.
                self._read_frames(job_id, chosen)
            else:
                self._read_upload(key, plan, chosen)
            erase = partial(self._blobs.delete, key)
        else:
            raise MalformedFile("it is no file of an import")
        found = chosen.found
        if chosen.unreadable:
            self.leave(
                key, f"{chosen.unreadable} rows of it cannot be decoded and hold this id as a word"
            )
        if found and is_open:
            self.erased.open_jobs.add(job_id)
            reason = _OPEN
            if chosen.by_name:
                reason = _OPEN_BY_NAME
            self.leave(key, reason)
            return 0
        if found and not self._dry_run:
            erase()
        return found

    def _erase_plan(self, job_id: str, key: str, *, is_open: bool) -> None:
        """Remove the person from a mapping that contains their id or name as a constant or as a translated value.

        The rows that got the id from the mapping are already erased.
        """
        try:
            plan = json.loads(self._blobs.read(key, 0, _LONGEST_PLAN))
        except (ValueError, BlobMissing):
            return  # The file of this plan was reported as unreadable.
        mapping = plan
        if not key.endswith("/mapping.json"):
            mapping = plan.get("mapping") or {}
        constants = mapping.get("constants", {})
        values = mapping.get("values", {})
        theirs = [name for name, value in constants.items() if self._is_given(name, value)]
        cells: list[tuple[str, str]] = []
        for name, meanings in values.items():
            cells += [
                (name, cell) for cell, value in meanings.items() if self._is_given(name, value)
            ]
        if not (theirs or cells) or self._dry_run:
            return
        if is_open:
            self.erased.open_jobs.add(job_id)
            self.leave(key, _OPEN)
            return
        for name in theirs:
            constants[name] = _GONE
            for name_field, id_field in ID_OF_NAME.items():
                if name in (name_field, id_field):
                    constants[name_field] = _GONE
        for name, cell in cells:
            values[name][cell] = _GONE
        with self._blobs.write(key) as file:
            file.write(json.dumps(plan, ensure_ascii=False).encode())

    def _is_given(self, field_name: str, value: Any) -> bool:
        """Return whether a mapping sets this field to the person's id or name."""
        if field_name in STUDENT_FIELDS:
            return self._who.is_among(ids_in(value))
        if (
            field_name not in ID_OF_NAME
            or not isinstance(value, str)
            or not isinstance(self._who, Person)
        ):
            return False
        return self._who.is_written_in(value)

    def _read_plan(self, job_id: str, key: str) -> ReadPlan:
        """Return the plan by which the import read the file, or would read it if the import never began."""
        stored = stored_read_plan(self._blobs, job_id)
        if stored is not None:
            return stored
        source = _SOURCE.fullmatch(key)
        if source is None:
            return ReadPlan()  # The records came inside the message.
        form: Format = source[1]  # type: ignore[assignment]  # the pattern knows the formats
        with self._blobs.open(key) as file:
            mapping = load_mapping(self._blobs, job_id)
            plan, _ = open_text(file, form, _compression(key), mapping, Platforms(self._prefixes))
        return plan

    def _read_upload(self, key: str, plan: ReadPlan, chosen: StudentRows) -> None:
        """Pass all rows of a file that was not split to `chosen`."""
        budget = SplitBudget()
        with self._blobs.open(key) as file:
            _, text = open_text(
                CountedFile(file, budget), plan.format, _compression(key), plan.mapping
            )
            for rows in chosen.source.chunks(budget.checked(text), _ROWS_AT_ONCE):
                budget.count_rows(len(rows))
                for row in rows:
                    chosen(row)
                self._go_on()

    def _read_frames(self, job_id: str, chosen: StudentRows) -> None:
        """Pass all rows of a job to `chosen`."""
        for _, rows in self._frames(job_id):
            for row in rows:
                chosen(row)

    def _frames(self, job_id: str) -> Iterator[tuple[bytes, RowChunk]]:
        """Yield each frame of a job with its rows."""
        with self._blobs.open(frames_key(job_id)) as file:
            for each in all_ranges(self._blobs, job_id):
                self._go_on()
                frame = file.read(each.length)
                yield frame, unpack_rows(frame)

    def _replace_frames(self, job_id: str, plan: ReadPlan, chosen: StudentRows) -> None:
        """Write the frames without the chosen rows, and the index of the remaining persons.

        A frame keeps its length in bytes, so that the offsets of the later frames stay right. If a frame needs more
        bytes, which is not expected, the later frames move. Then the index of frames is deleted until the new one is
        written, and a job that is resumed meanwhile cannot continue.
        """
        before = all_ranges(self._blobs, job_id)
        after: list[BatchRange] = []
        persons = PersonIndexBuilder(plan)
        offset = 0
        with self._blobs.write(frames_key(job_id)) as file:
            for place, (frame, rows) in zip(before, self._frames(job_id), strict=True):
                left = RowChunk(row for row in rows if not chosen(row))
                persons.add(left)
                changed = frame
                if len(left) < len(rows):
                    changed = pack_fewer_rows(left, len(frame))
                file.write(changed)
                after.append(place._replace(offset=offset, length=len(changed)))
                offset += len(changed)
            if after != before:
                self._blobs.delete(index_key(job_id))
        if after != before:
            write_index(self._blobs, job_id, after)
        write_persons(self._blobs, job_id, persons)

    def _replace_rejects(self, key: str, chosen: StudentRows) -> None:
        with self._blobs.write(key) as file:
            for line in self._rejects_left(key, chosen):
                file.write(line)

    def _rejects_left(self, key: str, chosen: StudentRows) -> Iterator[bytes]:
        """Yield the lines of the rejects that do not name the student.

        If a reject has no row, the faulty value decides.
        """
        with self._blobs.open(key) as file:
            for line in file:
                try:
                    reject = Reject.model_validate_json(line)
                except ValidationError:
                    chosen.doubt(line.decode(errors="replace"))
                    yield line
                    continue
                if reject.raw is not None:
                    names_student = chosen(RawRow(reject.line, reject.raw.encode(errors="replace")))
                else:
                    field_name = reject.field.rsplit(".", 1)[-1]
                    is_student_field = field_name in STUDENT_FIELDS or field_name in ID_OF_NAME
                    names_student = is_student_field and self._who.is_quoted(reject.found)
                    chosen.found += names_student
                if not names_student:
                    yield line


def _compression(key: str) -> Any:
    form = content_encoding_of(key)
    if form == "identity":
        return None
    return form
