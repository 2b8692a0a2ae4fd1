"""Takes a forgotten student out of the blob store: the rows that name them, and the rejects that quote such rows.

A row is compared by the ids that the import itself would read in it, never by its bytes: 4 is in S0104, and an id may
be written with escapes. Blanks take its place, and every other byte stays where it is (docs/adr/0008). What cannot be
taken out is reported with the reason, and keeps nothing else from being taken out.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import Any

from pydantic import ValidationError

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord
from edugraph_common.platform.object_store import Blobs, Gone
from edugraph_common.sources import (
    STUDENT_FIELDS,
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
from edugraph_importer.index import Place, index_key, number_of_places, read_places, write_places

SHOWN = 100  # of what was left
_SOURCE = re.compile(r"jobs/[^/]+/source\.(ndjson|csv|xapi|openedx)(\.gz|\.zst)?")
_BESIDE = ("/ranges", "/reading.json", "/mapping.json")  # these name nobody

_OPEN = "its job has not ended; forget the student again when it has"
_PART = "it is being written, or a write of it broke off; forget the student again when no upload is under way"


@dataclass
class Erased:
    """`files` in which rows were blanked, `rows` and `rejects` in all; `left`: what may still name the student."""

    files: int = 0
    rows: int = 0
    rejects: int = 0
    left: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        counts = {"files": self.files, "rows": self.rows, "rejects": self.rejects}
        return {**counts, "left": self.left[:SHOWN], "left_in_all": len(self.left)}


@dataclass
class Theirs:
    """Chooses the rows that name a student; counts them, and the rows that only may."""

    student_id: str
    reading: ReadPlan
    found: int = 0
    unreadable: int = 0

    def __post_init__(self) -> None:
        self._source: Source = self.reading.source
        word = re.escape(self.student_id)
        self._word = re.compile(rf"(?<!\w){word}(?!\w)")
        self._bytes = self.student_id.encode()
        mapping = self.reading.mapping
        # Cells may stand for an id that is not written in them.
        self._all = mapping is not None and not STUDENT_FIELDS.isdisjoint({*mapping.constants, *mapping.values})

    def __call__(self, raw: bytes) -> bool:
        """Decoding every row takes twenty times as long as looking for those that can hold the id at all."""
        if not (self._all or self._bytes in raw or b"\\" in raw or b'""' in raw):
            return False
        try:
            chosen = self.student_id in self._source.students(raw)
        except InvalidRecord:
            self.doubt(raw.decode(errors="replace"))
            return False
        self.found += chosen
        return chosen

    def doubt(self, text: str) -> None:
        """Something that cannot be decoded counts if the id is a word of it."""
        self.unreadable += self._word.search(text) is not None


def erase_from_blobs(
    blobs: Blobs, student_id: str, is_open: Callable[[str], bool], go_on: Callable[[], None]
) -> Erased:
    """`is_open`: whether a job may still read its file: then nothing of it is touched. `go_on` is called often."""
    eraser = _Eraser(blobs, student_id, is_open, go_on)
    keys = blobs.keys("jobs")
    for job_id, found in groupby((key for key in keys if ".part-" not in key), lambda key: key.split("/")[1]):
        eraser.erase_job(job_id, list(found))
    for key in keys:
        if ".part-" in key and blobs.exists(key):
            eraser.leave(key, _PART)
    return eraser.erased


class _Eraser:
    def __init__(
        self, blobs: Blobs, student_id: str, is_open: Callable[[str], bool], go_on: Callable[[], None]
    ) -> None:
        self._blobs, self._student_id = blobs, student_id
        self._is_open, self._go_on = is_open, go_on
        self.erased = Erased()

    def leave(self, key: str, reason: str) -> None:
        self.erased.left.append({"job_id": key.split("/")[1], "key": key, "reason": reason})

    def erase_job(self, job_id: str, keys: list[str]) -> None:
        opened, rows, rejects = self._is_open(job_id), 0, 0
        if not opened and frames_key(job_id) in keys and not self._blobs.exists(index_key(job_id)):
            self._blobs.delete(frames_key(job_id))  # a write of them broke off: without an index nobody reads them
        for key in keys:
            self._go_on()
            if not key.endswith(_BESIDE):
                found = self._erase(key, opened)
                rows, rejects = (rows, rejects + found) if "/rejects/" in key else (max(rows, found), rejects)
        self.erased.files += rows > 0
        self.erased.rows += rows
        self.erased.rejects += rejects

    def _erase(self, key: str, opened: bool) -> int:
        """Returns how many rows or rejects it blanked."""
        try:
            theirs = Theirs(self._student_id, self._reading(key))
            change = self._change(key, theirs)
            for _ in change():
                pass
            found = theirs.found
            if theirs.unreadable:
                self.leave(key, f"{theirs.unreadable} rows of it cannot be decoded and hold this id as a word")
            if found and opened:
                self.leave(key, _OPEN)
            elif found:
                self._write(key, change)
                return found
        except (Gone, FileNotFoundError, EmptyFile):
            return 0
        except (MalformedFile, Rejected) as problem:
            self.leave(key, str(problem))
        except Retryable:
            raise
        except Exception as bug:  # noqa: BLE001 - the outermost loop over blobs: one of them must not keep the others
            self.leave(key, f"it cannot be read ({type(bug).__name__})")
        return 0

    def _reading(self, key: str) -> ReadPlan:
        """As the import read the file; a file whose import never began is looked at as the import would."""
        job_id = key.split("/")[1]
        if self._blobs.exists(read_plan_key(job_id)):
            return load_read_plan(self._blobs, read_plan_key(job_id))
        source = _SOURCE.fullmatch(key)
        if source is None:
            return ReadPlan()  # inline records
        form: Format = source[1]  # type: ignore[assignment]  # the pattern knows the formats
        with self._blobs.open(key) as file:
            reading, _ = open_text(file, form, _compression(key), load_mapping(self._blobs, job_id))
        return reading

    def _change(self, key: str, theirs: Theirs) -> Callable[[], Iterator[bytes]]:
        """Gives the changed content of a blob, unpacked, each time it is called."""
        if "/rejects/" in key:
            return lambda: self._rejects(key, theirs)
        if key == frames_key(key.split("/")[1]):
            return lambda: self._frames(key, theirs)
        if _SOURCE.fullmatch(key):
            return lambda: self._source(key, theirs)
        raise MalformedFile("it is no file of an import")

    def _write(self, key: str, change: Callable[[], Iterator[bytes]]) -> None:
        """The blob is replaced whole, so that whoever reads it meanwhile has the old content or the new."""
        if key == frames_key(key.split("/")[1]):
            self._write_frames(key, change())
            return
        with self._blobs.write(key) as file, compressing(file, content_encoding_of(key)) as packed:
            for text in change():
                packed.write(text)
            self._go_on()

    def _write_frames(self, key: str, frames: Iterator[bytes]) -> None:
        """The index is gone until it fits again: a job that is resumed without one is split once more."""
        job_id, lengths = key.split("/")[1], list[int]()
        lines = [first_line for _, _, first_line in self._places(job_id)]
        with self._blobs.write(key) as file:
            lengths += map(file.write, frames)
            self._go_on()
            self._blobs.delete(index_key(job_id))
        offsets = accumulate(lengths[:-1], initial=0)
        with self._blobs.write(index_key(job_id)) as index:
            write_places(index, zip(offsets, lengths, lines, strict=True))

    def _places(self, job_id: str) -> list[Place]:
        return list(read_places(self._blobs, job_id, range(number_of_places(self._blobs, job_id))))

    def _source(self, key: str, theirs: Theirs) -> Iterator[bytes]:
        with self._blobs.open(key) as file:
            yield from blank_rows(file, theirs.reading, _compression(key), theirs)

    def _frames(self, key: str, theirs: Theirs) -> Iterator[bytes]:
        source = theirs.reading.source
        with self._blobs.open(key) as file:
            for _, length, _ in self._places(key.split("/")[1]):
                packed = file.read(length)
                text = decompress_frame(packed)
                changed = source.blank(text, theirs)
                yield packed if changed == text else compress_frame(changed)

    def _rejects(self, key: str, theirs: Theirs) -> Iterator[bytes]:
        with self._blobs.open(key) as file:
            for line in file:
                try:
                    reject = Reject.model_validate_json(line)
                except ValidationError:
                    theirs.doubt(line.decode(errors="replace"))
                    yield line
                    continue
                if not self._names(reject, theirs):
                    yield line

    def _names(self, reject: Reject, theirs: Theirs) -> bool:
        """By the row itself; where that is not kept, by the value that was found wrong."""
        if reject.raw is not None:
            return theirs(reject.raw.encode(errors="replace"))
        named = reject.field.rsplit(".", 1)[-1] in STUDENT_FIELDS and reject.found == self._student_id
        theirs.found += named
        return named


def _compression(key: str) -> Any:
    form = content_encoding_of(key)
    return None if form == "identity" else form
