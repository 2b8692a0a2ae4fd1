"""What a file is, and how its columns map, is told from its first bytes."""

import gzip
import io
import json
import sys

import pytest

from edugraph_common.contracts.messages import ByteRange, Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.sources import (
    Reading,
    describe,
    dry_run,
    guess,
    parse_mapping,
    rejects_as,
    rejects_table,
    suggest_mapping,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RECORD = b'{"type": "course_content", "timestamp": "2026-01-01", "data": {"course_id": "C", "content": "x"}}\n'
STATEMENT = b'{"actor": {"mbox": "mailto:a@b.c"}, "verb": {"id": "http://x/played"}, "object": {"id": "http://x"}}'
EVENT = b'{"name": "play_video", "context": {}, "event": {}, "time": "2026-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.ndjson", RECORD, "ndjson"),
        ("a.json", b"[" + STATEMENT + b"]", "xapi"),
        ("a.json", json.dumps(json.loads(STATEMENT), indent=2).encode(), "xapi"),
        ("tracking.log", b"2023-05-23 INFO 20 [tracking] [user 6] logger.py:41 - " + EVENT, "openedx"),
        ("a.json", EVENT, "openedx"),
        ("a.csv", b"a,b\n1,2\n", "csv"),
        ("noname", b"a;b\n1;2\n", "csv"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_the_format_is_told_packed_or_not(name: str, data: bytes, expected: Format, pack: type[bytes]) -> None:
    assert guess(name, pack(data)).format == expected


def test_a_suggested_mapping_reads_the_table_it_was_suggested_for() -> None:
    header = ["学号", "姓 名", "课程编号", "难度", "进度", "选课日期", "记录时间", "备注"]
    rows = [["S1", "林子涵", "MATH8", "高级", "92", "2026/02/27", "2026-07-03", "好"]]
    suggestion = suggest_mapping(header, rows)
    assert suggestion.type == "course_record"
    assert suggestion.open_points == ("no field was found for 备注: they are left out (null)",)
    mapping = parse_mapping(suggestion.mapping)
    assert mapping.values == {"difficulty": {"高级": "advanced"}}
    data = "\n".join(",".join(cells) for cells in [header, *rows]).replace("2026-07-03", "2026/07/03")
    assert dry_run(io.BytesIO(data.encode()), "csv", mapping).by_type == {"course_record": 1}


def test_an_english_table_is_known_by_its_columns_and_what_lacks_is_said() -> None:
    suggestion = suggest_mapping(["Student ID", "Course ID", "Wrong Answer", "Question"], [])
    assert suggestion.type == "error_record"
    assert "timestamp has no column" in suggestion.open_points[0]


def test_rejects_of_json_are_the_lines_as_they_came() -> None:
    bad = b'{"type": "quiz"}\n'
    report = dry_run(io.BytesIO(bad + RECORD + b"not json\n"), "ndjson")
    assert (report.valid, report.rejected) == (1, 2)
    assert b"".join(rejects_as("ndjson", report.errors)) == bad + b"not json\n"


def test_the_table_of_rejects_holds_no_cell_that_a_spreadsheet_would_run() -> None:
    reject = Reject(line=3, field="text", expected="x", found="=1+1", reason="wrong", raw="=1+1,2")
    text = b"".join(rejects_table([reject])).decode("utf-8-sig")
    assert text.splitlines()[1] == "3,text,x,'=1+1,wrong,\"'=1+1,2\""


def test_each_source_is_described_and_has_a_reading() -> None:
    assert [source.format for source in describe()] == ["ndjson", "csv", "xapi", "openedx"]
    assert all(hasattr(Reading(format=f).source, "rows") for f in ("ndjson", "xapi", "openedx"))


def test_a_byte_range_of_before_is_still_one_of_plain_ndjson() -> None:
    old = ByteRange.model_validate({"source": "s", "offset": 0, "length": 5, "first_line": 1})
    assert (old.format, old.compression, old.reading) == ("ndjson", None, None)
