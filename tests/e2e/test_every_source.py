"""Whatever a platform exports, through the gateway and the workers into the graph; and a student out of it again."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from engines import CHECKOUT, SHARED_RECORDS, System
from tables import xlsx

from edugraph_common.runtime.shared_state.object_store import Blobs

MAPPING = """
type: error_record
columns: {student: student_id, course: course_id, mistake: error_text, day: timestamp, row: record_id}
date_formats: ["%Y/%m/%d"]
"""
HEADER = ["student", "course", "mistake", "day", "row"]
BROKEN = range(5, 1_000, 27)
TRACKING = SHARED_RECORDS.parent / "openedx" / "tracking"
shared = pytest.mark.skipif(not SHARED_RECORDS.exists(), reason=f"no records at {SHARED_RECORDS}")


@shared
def test_all_records_of_the_shared_exports_are_taken(clean: System) -> None:
    if clean.engine.name == "embedded":
        pytest.skip(
            "18,565 records take the embedded engine minutes; it reads the same files in other tests"
        )
    read = rejected = 0
    for path in sorted(SHARED_RECORDS.glob("*.ndjson")):
        report = clean.import_and_report(path)
        assert report["state"] == "succeeded", path.name
        read, rejected = read + _count(report, "read"), rejected + _count(report, "rejected")
    assert (read, rejected) == (18_565, 0)


@shared
def test_each_tracking_event_is_imported_or_counted_by_its_name(
    clean: System, tmp_path: Path
) -> None:
    events = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(TRACKING.glob("*.json"))
    ]
    log = tmp_path / "tracking.log"
    log.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    report = clean.import_and_report(log, "--format", "openedx")
    counted = report["not_relevant"]
    assert isinstance(counted, dict)
    assert (report["state"], report["rejected"], report["failed"]) == ("succeeded", 0, 0)
    outcomes = sum(
        _count(report, outcome) for outcome in ("written", "replaced", "unchanged", "older")
    )
    assert outcomes + sum(counted.values()) == len(events)
    assert _count(report, "written") > 0
    assert set(counted) <= {event.get(key) for event in events for key in ("name", "event_type")}


def test_of_1000_rows_37_broken_ones_come_back_with_their_lines_and_are_in_once_corrected(
    clean: System, tmp_path: Path
) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(MAPPING, encoding="utf-8")
    options = ("--format", "csv", "--mapping", str(mapping))
    first = _import_rows(
        clean, tmp_path, [_row(number, broken=number in BROKEN) for number in range(1_000)], options
    )
    assert (first["state"], first["written"], first["rejected"]) == ("succeeded", 963, 37)
    rejects = _rejects(clean, first)
    assert [reject["line"] for reject in rejects] == [number + 2 for number in BROKEN]
    corrected = [next(csv.reader([str(reject["raw"])])) for reject in rejects]
    for row in corrected:
        row[3] = "2026/03/04"
    second = _import_rows(clean, tmp_path, corrected, options)
    again = _import_rows(clean, tmp_path, corrected, options)
    assert [(each["written"], each["unchanged"], each["rejected"]) for each in (second, again)] == [
        (37, 0, 0),
        (0, 37, 0),
    ]
    assert clean.client.graph_summary().nodes["ErrorRecord"] == 1_000


def test_a_student_who_is_forgotten_is_gone_and_stays_gone(clean: System, tmp_path: Path) -> None:
    lines = (CHECKOUT / "examples" / "school_en.ndjson").read_text(encoding="utf-8").splitlines()
    student = next(
        data["student_id"] for line in lines if "student_id" in (data := json.loads(line)["data"])
    )
    without = tmp_path / "without.ndjson"
    without.write_text(
        "".join(line + "\n" for line in lines if f'"{student}"' not in line), encoding="utf-8"
    )
    clean.import_and_report(without)
    expected = clean.client.graph_digest()
    clean.import_and_report(CHECKOUT / "examples" / "school_en.ndjson")
    assert clean.client.graph_digest() != expected

    done = clean.edugraph("forget", student, "--yes", "--follow", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["removed"]["graph"]["Student"] == 1
    assert clean.client.graph_digest() == expected
    replayed = clean.import_and_report(CHECKOUT / "examples" / "school_en.ndjson")
    assert _count(replayed, "rejected") > 0
    assert clean.client.graph_digest() == expected


def test_a_file_that_proves_unusable_ends_its_job_and_is_no_dead_letter(
    clean: System, tmp_path: Path
) -> None:
    """The gateway cannot see it: the archive breaks off behind what it looks at."""
    whole = gzip.compress(
        b"".join(b'{"type": "none", "number": %d}\n' % number for number in range(200_000))
    )
    path = tmp_path / "records.ndjson.gz"
    path.write_bytes(whole[: len(whole) // 2])
    done = clean.edugraph("import", str(path), "--follow")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    if clean.engine.name == "real":  # the embedded broker keeps no dead letters
        letters = clean.client.dead_letters("data_import", 100)["letters"]
        assert not [
            letter for letter in letters if letter["task"] == "import_records_with_callback"
        ]
    assert clean.client.graph_summary().nodes == {}


WIDE = """
type: attempt_record
columns: {id: student_id}
constants: {timestamp: "2026-03-04", course_id: C1}
items: {columns: ["Q*"], item_id: "{sheet}/{column}", scale: 2}
"""


def test_a_gradebook_is_imported_analysed_by_reference_and_erased_as_any_file(
    clean: System, tmp_path: Path
) -> None:
    """Out: read the rows of a workbook from the workbook, or keep it beside them."""
    path, mapping = tmp_path / "grades.xlsx", tmp_path / "grades.yaml"
    grades = [
        [f"S{number}", number % 3, None if number % 4 == 0 else 2, "?" if number % 10 == 0 else 1]
        for number in range(100)
    ]
    path.write_bytes(
        xlsx({"Mid": [["Grades"], ["id", "Q1", "Q2", "Q3"], *grades], "Notes": [["nothing"]]})
    )
    mapping.write_text(WIDE, encoding="utf-8")
    report = clean.import_and_report(
        path, "--mapping", str(mapping), "--batch-size", "30", "--analyze"
    )
    assert (report["state"], report["read"], report["written"], report["rejected"]) == (
        "succeeded",
        276,
        265,
        10,
    )
    assert report["not_relevant"] == {"sheet Notes": 1}
    rejects = [
        (reject["sheet"], reject["line"], reject["field"]) for reject in _rejects(clean, report)
    ]
    assert rejects == [("Mid", number + 3, "Q3 (data.score)") for number in range(0, 100, 10)]
    assert clean.client.graph_summary().nodes["Attempt"] == 265
    blobs = Blobs(clean.engine.environment["EDUGRAPH_BLOB_URL"])
    keys = blobs.keys(f"jobs/{report['job_id']}")
    assert not any(key.endswith(".workbook") for key in keys)
    again = clean.import_and_report(path, "--mapping", str(mapping))
    assert (again["written"], again["unchanged"]) == (0, 265)
    done = clean.edugraph("forget", "S1", "--yes", "--follow", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["removed"]["files"]["rows"] == 6


def _row(number: int, *, broken: bool) -> list[str]:
    day = "the 4th of March" if broken else "2026/03/04"
    return [
        f"s{number % 50}",
        f"c{number % 7}",
        f'wrote {number}, not "{number + 1}"',
        day,
        f"row-{number}",
    ]


def _import_rows(
    system: System, folder: Path, rows: list[list[str]], options: tuple[str, ...]
) -> dict[str, Any]:
    out = io.StringIO()
    csv.writer(out).writerows([HEADER, *rows])
    path = folder / "mistakes.csv"
    path.write_text(out.getvalue(), encoding="utf-8")
    return system.import_and_report(path, *options)


def _rejects(system: System, report: dict[str, Any]) -> list[dict[str, Any]]:
    done = system.edugraph("jobs", "rejects", str(report["job_id"]))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _count(report: dict[str, Any], name: str) -> int:
    return int(report[name])
