"""The files that `make compose-test` imports, each on another way through the services."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import xlsxwriter

from edugraph_client.files import FileSource

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
# Above 1 MiB, from which on the `splits` worker scans a file.
LARGE_FILE_BYTES = 2_000_000


@dataclass(frozen=True)
class Trial:
    """One import. `rows` is the number of records in the file, all of them good ones. With a `url` nothing is uploaded."""

    path: Path
    rows: int
    source: FileSource = field(default_factory=FileSource)
    analyze: bool = False
    url: str | None = None


def trials(folder: Path, served_at: str) -> list[Trial]:
    """Write into `folder` what is not an example already, and return the imports. `served_at` is the URL of the folder."""
    school = EXAMPLES / "school_en.ndjson"
    activity = EXAMPLES / "activity.ndjson"
    (folder / activity.name).write_bytes(activity.read_bytes())
    return [
        Trial(school, _lines(school), analyze=True),
        _large_file(folder / "chat.ndjson"),
        _workbook(folder / "scores.xlsx"),
        Trial(activity, _lines(activity), url=f"{served_at}/{activity.name}"),
    ]


def _lines(path: Path) -> int:
    return len(path.read_bytes().splitlines())


def _large_file(path: Path) -> Trial:
    """Few rows with long texts: the size decides the way that a file takes, and the number of rows the time."""
    began = datetime(2026, 3, 2, 8, tzinfo=UTC)
    rows = 0
    written_bytes = 0
    with path.open("w", encoding="utf-8") as file:
        while written_bytes <= LARGE_FILE_BYTES:
            rows += 1
            data = {
                "student_id_from": f"T{rows % 50:03}",
                "student_id_to": f"T{(rows + 1) % 50:03}",
                "interaction_type": "chat",
                "message_count": 1,
                "course_id": "TRIAL",
                "text": f"Message {rows}: "
                + "how does the second step follow from the first one? " * 60,
            }
            row = {
                "type": "student_interaction",
                "timestamp": (began + timedelta(minutes=rows)).isoformat(),
                "record_id": f"trial:{rows}",
                "data": data,
            }
            written_bytes += file.write(json.dumps(row) + "\n")
    return Trial(path, rows)


def _workbook(path: Path) -> Trial:
    """The table of scores of the examples, with numbers where its columns have numbers."""
    with (EXAMPLES / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    book = xlsxwriter.Workbook(path, {"strings_to_numbers": True})
    sheet = book.add_worksheet("scores")
    for number, row in enumerate(rows):
        sheet.write_row(number, 0, row)
    book.close()
    mapping = (EXAMPLES / "scores.mapping.yaml").read_text(encoding="utf-8")
    header_rows = 1
    return Trial(path, len(rows) - header_rows, FileSource(format="workbook", mapping=mapping))
