"""The cost of hostile files, and the speed of an erasure: `make bench-stored-files` (no servers, a minute).

(a) the split of a million rows of NDJSON, for comparison with another state of the code
(b) 264 KB that unpack to 256 MiB of line ends, or to rows of one byte, and 18 KB of Parquet with two million rows:
    the time until they are refused, at the gateway, and in an importer that gets them nevertheless
(c) a dry run and an erasure of a person who is named in 10 of 1,000 stored files, in every second one by name alone,
    and a replay of erasures, which knows tombstones alone

The bench prints one table. It exits with 1 if a figure is missed.
"""

import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from arro3.core import Array, DataType, Table
from arro3.io import write_parquet
from made_records import made_records
from pydantic import SecretStr

from edugraph_common.contracts.messages import Format, ImportJob
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import parse_mapping, store_mapping
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.person import ErasedPeople, Person, Who
from edugraph_common.sources.stored import index_persons
from edugraph_gateway.submission.uploads import Upload, scan_of
from edugraph_importer.batching import count_batches
from edugraph_importer.erasure.files import erase_from_blobs
from edugraph_importer.graph.tombstones import Tombstones

SMOKE = "--smoke" in sys.argv  # as short as possible: only an error counts, not the figures
ROWS = 2_000 if SMOKE else 1_000_000
FILES, WITH_THE_PERSON, ROWS_OF_A_FILE = (20, 2, 10) if SMOKE else (1_000, 10, 1_000)
ROWS_WITHOUT_ID = 10  # in each file
MOST_SECONDS_REFUSING, MOST_SECONDS_ERASING = 10.0, 5.0
UNPACKED_BYTES = (1 << 20) if SMOKE else (256 << 20)
PARQUET_ROWS = 1_000 if SMOKE else 2_000_000
MAX_UNPACKED_BYTES = 50 << 30


def main() -> int:
    figures: list[tuple[str, float, float | None]] = []
    with tempfile.TemporaryDirectory() as folder:
        figures.append(split_many_rows(Path(folder, "rows")))
        for name, data, file_format in cheap_files():
            figures += refusals(Path(folder, "cheap"), name, data, file_format)
        figures += erasures(Path(folder, "persons"))
    is_missed = False
    for name, seconds, most in figures:
        verdict = ""
        if most is not None:
            is_good = seconds <= most
            is_missed = is_missed or not is_good
            verdict = f"at most {most:.0f} s: {'good' if is_good else 'MISSED'}"
        print(f"{name:75} {seconds:8.2f} s   {verdict}")
    return int(is_missed and not SMOKE)


@contextmanager
def timed(
    figures: list[tuple[str, float, float | None]], name: str, most: float | None
) -> Iterator[None]:
    began = time.perf_counter()
    yield
    figures.append((name, time.perf_counter() - began, most))


def split_many_rows(folder: Path) -> tuple[str, float, None]:
    blobs = Blobs(str(folder))
    job = ImportJob(job_id="j", source="jobs/j/source.ndjson")
    with blobs.write(job.source or "") as file:
        for record in made_records(ROWS):
            file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    began = time.perf_counter()
    count_batches(blobs, job)
    return f"split of {ROWS:,} rows of NDJSON", time.perf_counter() - began, None


def cheap_files() -> Iterator[tuple[str, bytes, Format]]:
    record = json.dumps(next(iter(made_records(1)))).encode() + b"\n"
    yield "line ends", gzip.compress(record + b"\n" * UNPACKED_BYTES), "ndjson"
    yield "rows of one byte", gzip.compress(record + b"1\n" * (UNPACKED_BYTES // 2)), "ndjson"
    yield "blank cells", gzip.compress(b"a,b,c\n" + b",,\n" * (UNPACKED_BYTES // 3)), "csv"
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        column = Array([1] * PARQUET_ROWS, DataType.int64())
        write_parquet(Table.from_pydict({"a": column, "b": column, "c": column}), file.name)
        yield "Parquet of equal rows", Path(file.name).read_bytes(), "parquet"


def refusals(
    folder: Path, name: str, data: bytes, file_format: Format
) -> list[tuple[str, float, float | None]]:
    figures: list[tuple[str, float, float | None]] = []
    blobs = Blobs(str(folder))
    mapping = parse_mapping("{type: course_record, columns: {a: student_id, b: course_id, c: progress}, "
                            "constants: {timestamp: 2026-01-01}}")  # fmt: skip
    encoding = "gzip" if data.startswith(b"\x1f\x8b") else "identity"

    def upload() -> None:
        scan = scan_of(file_format, mapping)
        given = Upload(blobs, "jobs/u/source", encoding, scan, MAX_UNPACKED_BYTES)  # type: ignore[arg-type]
        try:
            given.put(data)
            given.keep()
        except (MalformedFile, Problem) as refused:
            given.forget(refused)
            raise

    def split() -> None:
        blobs.delete("jobs/j")
        job = ImportJob(job_id="j", source="jobs/j/source", format=file_format, compression="gzip")
        if encoding == "identity":
            job = job.model_copy(update={"compression": None})
        with blobs.write(job.source or "") as file:
            file.write(data)
        store_mapping(blobs, "j", mapping)
        count_batches(blobs, job)

    parts: dict[str, Callable[[], None]] = {"upload": upload, "split": split}
    for part, do in parts.items():
        sentence = "taken"
        with timed(figures, "", MOST_SECONDS_REFUSING):
            try:
                do()
            except (MalformedFile, Problem) as refused:
                sentence = f"refused: {str(refused)[:40]}"
        _, seconds, most = figures.pop()
        figures.append((f"{part} of {name}, {len(data):,} bytes ({sentence})", seconds, most))
    return figures


def course_record(**student: str) -> str:
    data = {**student, "course_id": "c", "progress": 0.5}
    return json.dumps({"type": "course_record", "timestamp": "2026-03-01", "data": data})


def erasures(folder: Path) -> list[tuple[str, float, float | None]]:
    blobs = Blobs(str(folder))
    records = [json.dumps(record, ensure_ascii=False) for record in made_records(ROWS_OF_A_FILE)]
    records += [
        course_record(student_name=f"Somebody {number}") for number in range(ROWS_WITHOUT_ID)
    ]
    # Every second one of the person's files has them by name alone.
    theirs = [course_record(student_id="the-person"), course_record(student_name="Ouyang Person")]
    for number in range(FILES):
        job = ImportJob(job_id=f"j{number}", source=f"jobs/j{number}/source.ndjson")
        which, other = divmod(number, FILES // WITH_THE_PERSON)
        lines = records if other else [*records, theirs[which % 2]]
        with blobs.write(job.source or "") as file:
            file.write("\n".join(lines).encode())
        count_batches(blobs, job)
        index_persons(blobs, job.job_id)
    figures: list[tuple[str, float, float | None]] = []
    who = Person(frozenset({"the-person"}), names=frozenset({"Ouyang Person"}))
    tombstones = Tombstones(SecretStr("s"))
    gone = tombstones.of("the-person")
    people = ErasedPeople(lambda plain: tombstones.keyed(plain) == gone)
    runs: list[tuple[str, Who, bool, int]] = [
        ("replay of erasures", people, True, WITH_THE_PERSON // 2),
        ("dry run", who, True, WITH_THE_PERSON),
        ("erasure", who, False, WITH_THE_PERSON),
    ]
    for name, sought, dry_run, expected in runs:
        with timed(
            figures,
            f"{name}, {FILES:,} stored files, {expected} name the person",
            MOST_SECONDS_ERASING,
        ):
            erased = erase_from_blobs(blobs, sought, lambda _: False, lambda: None, dry_run=dry_run)
        if erased.counts["files"] != expected:
            raise SystemExit(f"found in {erased.counts['files']} files")
    return figures


if __name__ == "__main__":
    sys.exit(main())
