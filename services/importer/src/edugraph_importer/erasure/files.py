"""Erasing a person from the blob store: the rows that name them, and the rejects that quote such rows.

A row is compared by the ids that the import itself would read in it, and never by its bytes: 4 is in S0104, and an id
may be written with escapes. Blanks take the row's place, and every other byte stays where it is (docs/adr/0008). What
cannot be erased is reported with the reason, and keeps nothing else from being erased.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord
from edugraph_common.platform.fit_store import fit_keys, leave_rows_out
from edugraph_common.platform.object_store import Blobs, Gone
from edugraph_common.sources import (
    STUDENT_FIELDS,
    Platforms,
    ReadPlan,
    Source,
    blank_rows,
    compress_frame,
    decompress_frame,
    frames_key,
    load_mapping,
    load_read_plan,
    open_text,
    read_plan_key,
)
from edugraph_common.sources.compression import compressing, content_encoding_of
from edugraph_common.sources.ndjson import EmptyFile, MalformedFile
from edugraph_common.sources.person import Person, Who
from edugraph_importer.range_index import BatchRange, count_ranges, index_key, read_ranges, write_ranges

_SOURCE = re.compile(r"jobs/[^/]+/source\.(ndjson|csv|xapi|openedx|workbook|parquet)(\.gz|\.zst)?")
# Of a job without records, of what the graph knows of courses, and of batches.
_NAMING_NOBODY = re.compile(r"jobs/[^/]+/(index|job\.json|analysis\.json|cancelled|contexts/.+)")
_LONGEST_PLAN = 1 << 24
_PLANS = ("/reading.json", "/mapping.json")
_GONE = "(erased)"
_ROWS_AT_ONCE = 1_000

_OPEN = "its job has not ended; it is cleaned within a minute after it has"
_PART = "it is being written, or a write of it broke off; forget the student again when no upload is under way"


@dataclass
class Erased:
    """`files` in which rows were blanked, `rows` and `rejects` in all; `left`: what may still name the person.

    `open_jobs`: those that may still read rows of the person.
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
    """A predicate that chooses the rows which name a person as a student.

    It counts them as `found`, and as `unreadable` the rows that cannot be decoded but may name the person.
    """

    who: Who
    plan: ReadPlan
    found: int = 0
    unreadable: int = 0

    def __post_init__(self) -> None:
        self._source: Source = self.plan.source
        self._names = [name.encode() for each in self.who.ids or () for name in self.plan.ids.names_of(each)]
        mapping = self.plan.mapping
        # A mapping may give an id that is not written in the cells.
        self._all = self.who.ids is None or (
            mapping is not None and not STUDENT_FIELDS.isdisjoint({*mapping.constants, *mapping.values})
        )

    def __call__(self, raw: bytes) -> bool:
        # Decoding every row takes twenty times as long as looking for those that can hold the id at all.
        if not (self._all or self._has_a_name(raw) or b"\\" in raw or b'""' in raw):
            return False
        try:
            chosen = self.who.is_among(self._source.students(raw))
        except InvalidRecord:
            self.doubt(raw.decode(errors="replace"))
            return False
        self.found += chosen
        return chosen

    def _has_a_name(self, raw: bytes) -> bool:
        text = raw
        if not raw.isascii():
            # A file may write the characters of an id in another form than the graph does.
            text = unicodedata.normalize("NFC", raw.decode(errors="replace")).encode()
        return any(name in text for name in self._names)

    def doubt(self, text: str) -> None:
        """Count text that cannot be decoded if an id is a word of it."""
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

    `prefixes`: of the ids of each platform, for unread files. `is_open`: whether a job may still read its file; then
    nothing of it changes. `go_on` is called often, and keeps the claim on the erasure. With `dry_run` nothing changes
    at all, and all is counted.
    """
    eraser = _Eraser(blobs, who, is_open, go_on, prefixes, dry_run=dry_run)
    keys = blobs.keys(folder)
    for job_id, found in groupby((key for key in keys if ".part-" not in key), lambda key: key.split("/")[1]):
        eraser.erase_job(job_id, list(found))
    for key in keys:
        if ".part-" in key and blobs.exists(key):
            eraser.leave(key, _PART)
    return eraser.erased


def erase_from_fits(
    blobs: Blobs, who: Who, go_on: Callable[[], None], *, dry_run: bool = False
) -> tuple[int, dict[str, str]]:
    """Take the person's labelled mistakes out of what the offline analyser learned.

    Return how many there were, and the keys that cannot be read, with the reason. Analyzers see it within a minute.
    """
    rows, left = 0, dict[str, str]()
    for key in fit_keys(blobs):
        go_on()
        try:
            rows += leave_rows_out(blobs, key, lambda row: who.is_among(row.students), dry_run=dry_run)
        except Gone:
            continue
        except ValueError as problem:
            left[key] = f"it cannot be read ({type(problem).__name__}); delete it and fit the course anew"
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
        self._blobs, self._who, self._prefixes = blobs, who, prefixes
        self._is_open, self._go_on, self._dry_run = is_open, go_on, dry_run
        self.erased = Erased()

    def leave(self, key: str, reason: str) -> None:
        self.erased.left.append({"job_id": key.split("/")[1], "key": key, "reason": reason})

    def erase_job(self, job_id: str, keys: list[str]) -> None:
        is_open, rows, rejects = self._is_open(job_id), 0, 0
        broken_off = frames_key(job_id) in keys and not self._blobs.exists(index_key(job_id))
        if broken_off and not is_open and not self._dry_run:
            self._blobs.delete(frames_key(job_id))  # Writing them broke off: without an index nobody reads them.
        for key in keys:
            self._go_on()
            if not (_NAMING_NOBODY.fullmatch(key) or key.endswith(_PLANS)):
                found = self._erase_blob(job_id, key, is_open=is_open)
                rows, rejects = (rows, rejects + found) if "/rejects/" in key else (max(rows, found), rejects)
        for key in keys:  # when the rows have been read by them
            if key.endswith(_PLANS):
                self._erase_plan(job_id, key, is_open=is_open)
        self.erased.files += rows > 0
        self.erased.rows += rows
        self.erased.rejects += rejects

    def _erase_blob(self, job_id: str, key: str, *, is_open: bool) -> int:
        """Return how many rows or rejects were blanked. What cannot be erased is left and reported."""
        try:
            return self._blank(job_id, key, is_open=is_open)
        except (Gone, FileNotFoundError, EmptyFile):
            return 0
        except (MalformedFile, Rejected) as problem:
            self.leave(key, str(problem))
        except Retryable:
            raise
        except Exception as bug:  # noqa: BLE001 - the outermost loop over blobs: one of them must not keep the others
            self.leave(key, f"it cannot be read ({type(bug).__name__})")
        return 0

    def _blank(self, job_id: str, key: str, *, is_open: bool) -> int:
        """Read the blob to find out whether it names the student, and if it does, a second time to change it.

        It is replaced whole, so that whoever reads it meanwhile gets the old content or the new.
        """
        chosen = StudentRows(self._who, self._read_plan(job_id, key))
        if "/rejects/" in key:
            change = self._changed_rejects
        elif key == frames_key(job_id):
            change = self._changed_frames
        elif _SOURCE.fullmatch(key):
            if chosen.plan.is_converted:
                return self._delete_original(job_id, key, chosen, is_open=is_open)
            change = self._changed_source
        else:
            raise MalformedFile("it is no file of an import")
        for _ in change(key, chosen):
            pass
        found = chosen.found
        if chosen.unreadable:
            self.leave(key, f"{chosen.unreadable} rows of it cannot be decoded and hold this id as a word")
        if found and is_open:
            self.erased.open_jobs.add(job_id)
            self.leave(key, _OPEN)
            return 0
        if self._dry_run:
            return found
        if found:
            self._replace(job_id, key, change(key, chosen))
        return found

    def _delete_original(self, job_id: str, key: str, chosen: StudentRows, *, is_open: bool) -> int:
        """Delete a file that batches are not read from, if it names the person, or if its rows stand elsewhere.

        Such a file is left by a job that ended before its split, or by a split that died at its end.
        """
        if not self._blobs.exists(index_key(job_id)):
            mapping = chosen.plan.mapping
            with self._blobs.open(key) as file:
                _, text = open_text(file, chosen.plan.format, _compression(key), mapping)
                source = chosen.plan.source
                for chunk in source.chunks(text, _ROWS_AT_ONCE):
                    source.blank(chunk.text, chosen)
                    self._go_on()
            if not chosen.found:
                return 0
        if is_open:
            if chosen.found:
                self.erased.open_jobs.add(job_id)
                self.leave(key, _OPEN)
            return 0
        if not self._dry_run:
            self._blobs.delete(key)
        return chosen.found

    def _erase_plan(self, job_id: str, key: str, *, is_open: bool) -> None:
        """Take the person out of a mapping that gives their id by itself. The rows that had the id by it are gone."""
        try:
            plan = json.loads(self._blobs.read(key, 0, _LONGEST_PLAN))
        except (ValueError, Gone):
            return  # its file was reported as unreadable
        mapping = plan if key.endswith("/mapping.json") else plan.get("mapping") or {}
        constants, values = mapping.get("constants", {}), mapping.get("values", {})
        theirs = [name for name in STUDENT_FIELDS & constants.keys() if self._who.is_among((constants[name],))]
        cells = [
            (name, cell)
            for name in STUDENT_FIELDS & values.keys()
            for cell, value in values[name].items()
            if isinstance(value, str) and self._who.is_among((value,))
        ]
        if not (theirs or cells) or self._dry_run:
            return
        if is_open:
            self.erased.open_jobs.add(job_id)
            self.leave(key, _OPEN)
            return
        for name in theirs:
            constants |= {name: _GONE, name.replace("_id", "_name"): _GONE}
        for name, cell in cells:
            values[name][cell] = _GONE
        with self._blobs.write(key) as file:
            file.write(json.dumps(plan, ensure_ascii=False).encode())

    def _replace(self, job_id: str, key: str, changed: Iterator[bytes]) -> None:
        if key == frames_key(job_id):
            self._write_frames(job_id, changed)
            return
        with self._blobs.write(key) as file, compressing(file, content_encoding_of(key)) as packed:
            for text in changed:
                packed.write(text)
            self._go_on()

    def _read_plan(self, job_id: str, key: str) -> ReadPlan:
        """Return the plan by which the import read the file, or would read it if it never began."""
        if self._blobs.exists(read_plan_key(job_id)):
            return load_read_plan(self._blobs, read_plan_key(job_id))
        source = _SOURCE.fullmatch(key)
        if source is None:
            return ReadPlan()  # The records came inside the message.
        form: Format = source[1]  # type: ignore[assignment]  # the pattern knows the formats
        with self._blobs.open(key) as file:
            mapping = load_mapping(self._blobs, job_id)
            plan, _ = open_text(file, form, _compression(key), mapping, Platforms(self._prefixes))
        return plan

    def _write_frames(self, job_id: str, frames: Iterator[bytes]) -> None:
        """Write the frames and their index. The index is gone until it fits again.

        A job that is resumed without an index is split once more.
        """
        lengths = list[int]()
        places = [(first_line, rows) for _, _, first_line, rows in self._ranges(job_id)]
        with self._blobs.write(frames_key(job_id)) as file:
            lengths += map(file.write, frames)
            self._go_on()
            self._blobs.delete(index_key(job_id))
        offsets = accumulate(lengths[:-1], initial=0)
        with self._blobs.write(index_key(job_id)) as index:
            write_ranges(
                index,
                ((*span, *place) for span, place in zip(zip(offsets, lengths, strict=True), places, strict=True)),
            )

    def _ranges(self, job_id: str) -> list[BatchRange]:
        return list(read_ranges(self._blobs, job_id, range(count_ranges(self._blobs, job_id))))

    def _changed_source(self, key: str, chosen: StudentRows) -> Iterator[bytes]:
        with self._blobs.open(key) as file:
            yield from blank_rows(file, chosen.plan, _compression(key), chosen)

    def _changed_frames(self, key: str, chosen: StudentRows) -> Iterator[bytes]:
        source = chosen.plan.source
        with self._blobs.open(key) as file:
            for _, length, _, _ in self._ranges(key.split("/")[1]):
                packed = file.read(length)
                text = decompress_frame(packed)
                changed = source.blank(text, chosen)
                yield packed if changed == text else compress_frame(changed)

    def _changed_rejects(self, key: str, chosen: StudentRows) -> Iterator[bytes]:
        """Leave out a reject whose row names the student. If the row is not kept, the faulty value decides."""
        with self._blobs.open(key) as file:
            for line in file:
                try:
                    reject = Reject.model_validate_json(line)
                except ValidationError:
                    chosen.doubt(line.decode(errors="replace"))
                    yield line
                    continue
                if reject.raw is not None:
                    names_student = chosen(reject.raw.encode(errors="replace"))
                else:
                    is_student_field = reject.field.rsplit(".", 1)[-1] in STUDENT_FIELDS
                    names_student = is_student_field and self._who.is_quoted(reject.found)
                    chosen.found += names_student
                if not names_student:
                    yield line


def _compression(key: str) -> Any:
    form = content_encoding_of(key)
    return None if form == "identity" else form
