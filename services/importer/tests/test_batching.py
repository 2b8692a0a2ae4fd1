"""A file of any source is cut once, by references that stay small, and read back batch by batch."""

import gzip
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from arro3.core import Array, DataType, Table
from arro3.io import write_parquet
from tables import xlsx

from edugraph_common.contracts.messages import Format, ImportJob
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import (
    frames_key,
    load_read_plan,
    parse_mapping,
    read_plan_key,
    store_mapping,
)
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.split_budget import SplitBudget, most_cpu_seconds
from edugraph_common.sources.stored import index_key
from edugraph_importer.batching import (
    ReadBatch,
    count_batches,
    expected_rows,
    is_long_to_split,
    read_batch,
    window,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAPPING = parse_mapping(
    "{type: course_content, columns: {编号: course_id, 正文: content, 时间: timestamp}}"
)
TABLE = "编号,正文,时间\n" + "".join(f'C{n},"第 {n} 课\n第二行",2026-01-01\n' for n in range(25))
LINES = "".join(
    json.dumps(
        {
            "type": "course_content",
            "timestamp": "2026-01-01",
            "data": {"course_id": f"C{n}", "content": "x"},
        }
    )
    + "\n"
    for n in range(25)
)
EVENTS = "".join(json.dumps({"name": f"event_{n % 2}"}) + "\n" for n in range(25))


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path))


def job_of(blobs: Blobs, data: bytes, file_format: Format, ending: str = "") -> ImportJob:
    key = f"jobs/j/source{ending}"
    with blobs.write(key) as file:
        file.write(data)
    if file_format == "csv":
        store_mapping(blobs, "j", MAPPING)
    return ImportJob(
        job_id="j", source=key, format=file_format, batch_size=10, unpacked_bytes=len(data)
    )


def batches(blobs: Blobs, job: ImportJob) -> Iterator[ReadBatch]:
    for message in window(blobs, job, count_batches(blobs, job)):
        assert message.records or len(message.model_dump_json()) < 1_000
        found = read_batch(blobs, message)
        assert message.records or found.graph.read == message.expected
        yield found


@pytest.mark.parametrize(
    ("pack", "ending"), [(bytes, ""), (gzip.compress, ".gz"), (zstd.compress, ".zst")]
)
@pytest.mark.parametrize(("text", "file_format"), [(LINES, "ndjson"), (TABLE, "csv")])
def test_every_row_is_in_one_batch_with_its_line_packed_or_not(
    blobs: Blobs, pack: Callable[[bytes], bytes], ending: str, text: str, file_format: Format
) -> None:
    found = list(batches(blobs, job_of(blobs, pack(text.encode()), file_format, ending)))
    records = [each for batch in found for each in batch.graph.records]
    assert [batch.graph.read for batch in found] == [10, 10, 5]
    assert [record.data.course_id for _, record in records] == [f"C{n}" for n in range(25)]
    assert [line for line, _ in records] == [
        n + 1 if file_format == "ndjson" else 2 * n + 2 for n in range(25)
    ]
    assert blobs.exists(frames_key("j"))
    assert not blobs.exists(f"jobs/j/source{ending}")


def test_a_table_in_another_encoding_is_kept_in_frames_of_utf8(blobs: Blobs) -> None:
    found = list(batches(blobs, job_of(blobs, TABLE.encode("gb18030"), "csv")))
    assert sum(len(batch.graph.records) for batch in found) == 25
    header = load_read_plan(blobs, read_plan_key("j")).header
    assert header is not None
    assert header.raw == "编号,正文,时间"


GRADES = parse_mapping(
    "{type: attempt_record, columns: {who: student_id}, constants: {timestamp: '2026-01-01'}, items: {columns: ['Q*']}}"
)


def test_a_workbook_is_converted_once_and_whoever_splits_it_again_finds_the_same_batches(
    blobs: Blobs,
) -> None:
    """To take the guard out: let `count_batches` raise BlobMissing."""
    data = xlsx(
        {"A": [["who", "Q1", "Q2"], *([f"S{n}", 1, None if n % 2 else 0] for n in range(25))]}
    )
    job = job_of(blobs, data, "workbook", ".workbook")
    store_mapping(blobs, "j", GRADES)
    first = list(batches(blobs, job))
    assert sum(batch.graph.read for batch in first) == 38 == expected_rows(blobs, job)
    assert [line for line, _ in first[0].graph.records[:3]] == [1, 2, 3]
    assert not blobs.exists(job.source or "")
    assert list(batches(blobs, job)) == first


def test_a_split_that_another_one_overtook_takes_its_index(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: let `count_batches` raise BlobMissing."""
    wide = b"who,Q1\n" + b"".join(b"S%d,1\n" % number for number in range(5))
    job = job_of(blobs, wide, "csv", ".csv")
    store_mapping(blobs, "j", GRADES)
    assert count_batches(blobs, job) == 1
    answers = iter([False, True])  # whether there is an index: not when it looks, and then there is
    exists = blobs.exists
    monkeypatch.setattr(
        blobs, "exists", lambda key: next(answers) if key == index_key("j") else exists(key)
    )
    assert count_batches(blobs, job) == 1


def test_a_table_that_is_no_text_is_split_apart_however_small_it_is(blobs: Blobs) -> None:
    job = job_of(blobs, xlsx({"A": [["who", "Q1"], ["S1", 1]]}), "workbook", ".workbook")
    store_mapping(blobs, "j", GRADES)
    assert is_long_to_split(blobs, job)
    assert count_batches(blobs, job) == 1
    assert not is_long_to_split(blobs, job)


@pytest.mark.parametrize(
    ("unpacked_bytes", "is_long"), [(1024**2, False), (1024**2 + 1, True), (None, True)]
)
def test_a_file_is_split_apart_by_its_unpacked_size(
    blobs: Blobs, unpacked_bytes: int | None, *, is_long: bool
) -> None:
    job = job_of(blobs, gzip.compress(LINES.encode()), "ndjson", ".gz")
    assert (
        is_long_to_split(blobs, job.model_copy(update={"unpacked_bytes": unpacked_bytes}))
        == is_long
    )


def test_an_upload_stays_if_a_setting_says_so(blobs: Blobs) -> None:
    job = job_of(blobs, LINES.encode(), "ndjson")
    assert count_batches(blobs, job, keeps_upload=True) == 3
    assert blobs.exists(job.source or "")


def test_a_file_on_another_server_is_split_and_left_alone(tmp_path: Path) -> None:
    """Out: `"://"` in `delete_upload`, which then asks the store to delete it."""
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "a.ndjson").write_text(LINES)
    url = f"file://{exports}/a.ndjson"
    blobs = Blobs(str(tmp_path / "store"), [f"file://{exports}"])
    job = ImportJob(job_id="j", source=url, batch_size=10, outside=blobs.look_outside(url))
    assert count_batches(blobs, job) == 3
    assert (exports / "a.ndjson").read_text() == LINES


class Cancelled(Exception):
    """The job was cancelled."""


def test_a_split_ends_at_the_batch_at_which_its_job_was_cancelled(blobs: Blobs) -> None:
    """Out: the call of `go_on` in `_watched`."""
    calls = 0

    def go_on() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Cancelled

    job = job_of(blobs, LINES.encode(), "ndjson")
    with pytest.raises(Cancelled):
        count_batches(blobs, job, go_on=go_on)
    assert calls == 2
    assert not blobs.exists(index_key("j"))
    assert blobs.exists(job.source or "")


@pytest.mark.parametrize("form", ["ndjson", "csv", "xapi", "openedx"])
@pytest.mark.parametrize("damage", ["a damaged character", "a row that is too long"])
def test_a_damaged_row_is_set_aside_alone_with_its_line(
    blobs: Blobs, form: Format, damage: str
) -> None:
    """Out: `is_cut` in `read_rows`, or let `utf8` and `decode_text` raise MalformedFile."""
    lines = {
        "ndjson": LINES.encode().splitlines(keepends=True),
        "csv": [f"C{n},第 {n} 课,2026-01-01\n".encode() for n in range(25)],
        "xapi": EVENTS.encode().splitlines(keepends=True),
        "openedx": EVENTS.encode().splitlines(keepends=True),
    }[form]
    head = "编号,正文,时间\n".encode() if form == "csv" else b""
    for place in (0, 7, 24):
        damaged = lines[place].replace(b"C", b"\xe4", 1).replace(b"event", b"\xe4", 1)
        if damage == "a row that is too long":
            damaged = damaged.replace(b"\xe4", b"x" * (5 << 20))
        text = head + b"".join([*lines[:place], damaged, *lines[place + 1 :]])
        blobs.delete("jobs")
        found = list(batches(blobs, job_of(blobs, text, form)))
        rejects = [reject for batch in found for reject in batch.graph.rejects]
        assert [batch.graph.read for batch in found] == [10, 10, 5]
        by_line = {reject.line: reject for reject in rejects}
        line = place + 1 + bool(head)
        assert by_line[line].reason in ("holds a damaged character", "is longer than a row may be")
        if form in ("ndjson", "csv"):
            assert list(by_line) == [line]
        if form == "openedx":
            assert sum(sum(batch.not_relevant.values()) for batch in found) == 24


def test_a_table_with_one_damaged_pair_keeps_its_encoding_and_its_other_rows(blobs: Blobs) -> None:
    """Out: `_encoding_of_undamaged_lines`."""
    rows = [f"C{n},第 {n} 课的正文在这里,2026-01-01\n".encode("gb18030") for n in range(200)]
    rows[150] = rows[150].replace("正".encode("gb18030"), b"\xd5\xff")
    text = "编号,正文,时间\n".encode("gb18030") + b"".join(rows)
    found = list(batches(blobs, job_of(blobs, text, "csv")))
    rejects = [reject for batch in found for reject in batch.graph.rejects]
    assert [(reject.line, reject.reason) for reject in rejects] == [
        (152, "holds a damaged character")
    ]
    texts = [record.data.content for batch in found for _, record in batch.graph.records]
    assert texts == [f"第 {n} 课的正文在这里" for n in range(200) if n != 150]


@pytest.mark.parametrize("damaged_byte", [b"\xff", b"\xe9"])
def test_a_table_of_ascii_with_one_damaged_byte_keeps_its_other_rows(
    blobs: Blobs, damaged_byte: bytes
) -> None:
    rows = [f"C{n},lesson {n},2026-01-01\n".encode() for n in range(3_000)]
    rows[2_500] = rows[2_500].replace(b"lesson", b"les" + damaged_byte + b"on")
    found = list(batches(blobs, job_of(blobs, "编号,正文,时间\n".encode() + b"".join(rows), "csv")))
    assert [reject.line for batch in found for reject in batch.graph.rejects] == [2_502]


@pytest.mark.parametrize("damaged", range(4))
def test_one_damaged_byte_in_a_short_table_costs_its_row(blobs: Blobs, damaged: int) -> None:
    """Out: `is_one_of_several` in `_encoding_of_undamaged_lines`."""
    rows = [f"C{number},lesson,2026-01-01\n".encode() for number in range(4)]
    rows[damaged] = rows[damaged].replace(b"lesson", b"les\xffson")
    mapping = parse_mapping(
        "{type: course_content, columns: {c: course_id, text: content, at: timestamp}}"
    )
    job = job_of(blobs, b"c,text,at\n" + b"".join(rows), "csv")
    store_mapping(blobs, "j", mapping)
    [found] = batches(blobs, job)
    assert [reject.line for reject in found.graph.rejects] == [damaged + 2]
    assert len(found.graph.records) == 3


def test_what_is_not_relevant_is_read_and_counted_by_name(blobs: Blobs) -> None:
    found = list(batches(blobs, job_of(blobs, EVENTS.encode(), "openedx")))
    assert found[0].graph.read == 10
    assert found[0].not_relevant == {"event_0": 5, "event_1": 5}


@pytest.mark.parametrize(
    ("text", "file_format"),
    [
        ("\n" + LINES.replace("\n", "\n \r\n") + "\n\n", "ndjson"),
        (TABLE.replace("2026-01-01\n", '2026-01-01\n , ,""\n\n'), "csv"),
        ("\ufeff[\n" + EVENTS.replace("\n", ",\n") + "]\n", "openedx"),
        ("[" + EVENTS.replace("\n", " , ") + "\n]", "openedx"),
    ],
)
def test_blank_rows_are_expected_by_nobody(blobs: Blobs, text: str, file_format: Format) -> None:
    job = job_of(blobs, text.encode(), file_format)
    assert sum(batch.graph.read for batch in batches(blobs, job)) == 25 == expected_rows(blobs, job)


@pytest.mark.parametrize(
    ("data", "file_format", "ending"),
    [
        (b"", "ndjson", ""),
        ("编号,正文\nC1,x\n".encode(), "csv", ""),
        (gzip.compress(LINES.encode())[:-20], "ndjson", ".gz"),
    ],
)
def test_an_unusable_file_leaves_no_index(
    blobs: Blobs, data: bytes, file_format: Format, ending: str
) -> None:
    with pytest.raises(MalformedFile):
        count_batches(blobs, job_of(blobs, data, file_format, ending))
    assert not blobs.exists(index_key("j"))
    assert not blobs.exists(frames_key("j"))


@pytest.mark.parametrize(
    ("accepted", "rejected"), [("2025-12-30", 25), ("2025-12-31", 0), (None, 0)]
)
@pytest.mark.parametrize("inline", [False, True])
def test_what_is_dated_more_than_a_day_after_the_job_was_accepted_is_rejected(
    blobs: Blobs, accepted: str | None, rejected: int, *, inline: bool
) -> None:
    job = job_of(blobs, LINES.encode(), "ndjson")
    if inline:
        job = job.model_copy(
            update={"source": None, "records": tuple(map(json.loads, LINES.splitlines()))}
        )
    if accepted:
        accepted_at = datetime.fromisoformat(accepted).replace(tzinfo=UTC).timestamp()
        job = job.model_copy(update={"accepted_at": accepted_at})
    found = list(batches(blobs, job))
    rejects = [reject for batch in found for reject in batch.graph.rejects]
    assert (len(rejects), {reject.field for reject in rejects} - {"timestamp"}) == (rejected, set())


def equal_rows(number: int) -> bytes:
    column = Array([1] * number, DataType.int64())
    out = io.BytesIO()
    write_parquet(Table.from_pydict(dict.fromkeys(("编号", "正文", "时间"), column)), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "file_format", "ending", "words"),
    [
        (
            lambda: gzip.compress(LINES.encode() + b"\n" * (128 << 20)),
            "ndjson",
            ".gz",
            "100 times its size",
        ),
        (
            lambda: gzip.compress(LINES.encode() + b"1\n" * (1 << 20)),
            "ndjson",
            ".gz",
            "rows, which is too many",
        ),
        (
            lambda: gzip.compress(TABLE.encode() + b",,\n" * (40 << 20)),
            "csv",
            ".gz",
            "100 times its size",
        ),
        (
            lambda: gzip.compress(b"[" + b"{}," * (1 << 20) + b"{}]"),
            "xapi",
            ".gz",
            "rows, which is too many",
        ),
        (lambda: equal_rows(300_000), "parquet", ".parquet", "rows, too many for its size"),
    ],
    ids=["line ends", "rows of one byte", "blank cells", "empty objects", "parquet"],
)
def test_cheap_files_end_soon_with_one_sentence(
    blobs: Blobs, data: Callable[[], bytes], file_format: Format, ending: str, words: str
) -> None:
    """Out: the second bound of RatioLimit, `count_rows` in `_watched`, or `most_rows` in `written_rows`."""
    content = data()
    assert len(content) < 300_000
    job = job_of(blobs, content, file_format, ending)
    if file_format == "parquet":
        store_mapping(blobs, "j", MAPPING)
    began = time.process_time()
    with pytest.raises(MalformedFile, match=words):
        count_batches(blobs, job)
    assert time.process_time() - began < 10
    assert not blobs.exists(index_key("j"))


@pytest.mark.parametrize(
    ("text", "file_format", "words"),
    [
        ('{"CFItems": [{"identifier": "a"', "case", "is not valid JSON"),
        ('{"items": []}', "case", "no list CFItems"),
        ("id\n", "outline", "the file is empty"),
        ("<html/>", "openstax", "is not a collection"),
        ("[]", "coherence_map", "no standards and edges"),
    ],
)
def test_a_file_that_is_not_a_curriculum_ends_the_split_with_one_sentence(
    blobs: Blobs, text: str, file_format: Format, words: str
) -> None:
    with pytest.raises(MalformedFile, match=words):
        count_batches(blobs, job_of(blobs, text.encode(), file_format))
    assert not blobs.exists(index_key("j"))


def test_a_curriculum_is_split_into_batches_with_its_rejects(blobs: Blobs) -> None:
    rows = "".join(f"{number},,Point {number}\n" for number in range(23))
    text = f"id,parent,name\n{rows}5,,Twice\n30,nowhere,Lost\n"
    found = list(batches(blobs, job_of(blobs, text.encode(), "outline")))
    assert [batch.graph.read for batch in found] == [10, 10, 5]
    ids = [record.data.point_id for batch in found for _, record in batch.graph.records]
    assert ids == [str(number) for number in range(23)]
    rejects = [reject for batch in found for reject in batch.graph.rejects]
    assert sorted((each.line, each.reason) for each in rejects) == [
        (25, "is the id of two points"),
        (26, "is not there"),
    ]


def test_a_split_that_takes_too_much_time_for_its_size_ends(blobs: Blobs) -> None:
    """Out: `check_time` in SplitBudget."""
    clock = iter([0.0, 1.0, 19.9, 20.1])
    budget = SplitBudget(lambda: next(clock))
    text = budget.checked([b"a", b"b", b"c"])
    assert [next(text), next(text)] == [b"a", b"b"]
    with pytest.raises(MalformedFile, match="too long to read for its size"):
        next(text)
    assert most_cpu_seconds(10 << 20) == 320
    assert not blobs.exists(index_key("j"))
