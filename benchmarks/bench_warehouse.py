"""A first sync of a warehouse: whether each row takes the same time, and the memory: `make bench-warehouse`.

A process of its own answers `/v1/graph/warehouse` with made rows, 100 for each student, in the portions of insights.
This process syncs them into a folder, and then 10,000 new rows, as in a night. The bench prints one table. It exits
with 1 if a figure is missed. No Neo4j is read, so the rows of a second are those of the command alone.

The goal of memory is 700 MB: a container of 1 GiB then suffices, with room for longer ids and names.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edugraph_cli.warehouse.sync import sync
from edugraph_client import Client

RECORDS_OF_STUDENT = 100
STUDENTS_OF_ANSWER = 100  # so an answer has 10,000 rows
NEW_ROWS = 10_000
LEAST_RATIO = 0.8
MOST_MEGABYTES = 700
MOST_SECONDS_OF_NIGHT = 60.0
FIRST_MOMENT = 1_700_000_000_000
DAY = 86_400_000  # milliseconds
_SCRAMBLE = 0x9E3779B97F4A7C15


def word(moment: int) -> str:
    digits = f"{moment:012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def row_of(number: int, student: int, written: int) -> dict[str, Any]:
    # Ids in no order, as those of real records are.
    scrambled = number * _SCRAMBLE % 2**64
    return {
        "record": f"{scrambled:016x}{number:016x}",
        "written": word(written),
        "student": f"student-{student:08d}",
        "course": f"course-{student // 1_700:05d}",
        "item": f"item-{number % 5_000:06d}",
        "at": f"2026-01-{number % 28 + 1:02d}T08:{number % 60:02d}:00Z",
        "number": 1,
        "outcome": 1_000 * (scrambled & 1),
        "seconds": float(scrambled % 300),
        "hints": 0,
        "late": False,
    }


class Answers(BaseHTTPRequestHandler):
    """The route with made rows. A first sync asks twice for changes, and the night's rows are in the third answer."""

    rows = 0
    times_asked = 0

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        since = int(query.get("since", ["0"])[0])
        lines = b"".join(json.dumps(each).encode() + b"\n" for each in self._changes(since))
        self._send("application/x-ndjson", lines)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        students = body["students"][:STUDENTS_OF_ANSWER]
        rows = []
        for who in students:
            student = int(who.rpartition("-")[2])
            for number in range(RECORDS_OF_STUDENT):
                rows.append(row_of(student * RECORDS_OF_STUDENT + number, student, FIRST_MOMENT))
        answer = {"students": students, "tables": {"attempts": rows}}
        self._send("application/json", json.dumps(answer).encode())

    def _changes(self, since: int) -> Iterator[dict[str, Any]]:
        Answers.times_asked += 1
        is_night = Answers.times_asked > 2
        # The last write is a day after the others, so that the rows are settled.
        latest = FIRST_MOMENT + DAY
        if is_night:
            latest += DAY
        yield {"latest": latest, "settled": word(latest - 600_000)}
        number = 0
        students = self.rows // RECORDS_OF_STUDENT
        for start in range(0, students, 1_000):
            page = []
            for student in range(start, min(start + 1_000, students)):
                name = f"Student {student}"
                page.append({"id": f"student-{student:08d}", "name": name, "changed": ""})
            yield {"students": page}
            number += len(page)
        if is_night and since:
            rows = []
            for new in range(NEW_ROWS):
                rows.append(row_of(self.rows + new, new * 7 % students, latest))
            yield {"attempts": rows}
            number += len(rows)
        yield {"end": number}

    def _send(self, media_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def serve(rows: int, ports: Any) -> None:
    Answers.rows = rows
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    ports.put(server.server_port)
    server.serve_forever()


class Pace:
    """Notes when which number of rows was written."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self.points: list[tuple[int, float]] = [(0, 0.0)]

    def __call__(self, _read: int, _students: int, rows: int) -> None:
        # The second reading of a first sync counts from 0 again.
        if rows > self.points[-1][0]:
            self.points.append((rows, time.perf_counter() - self._begun))

    def rows_a_second(self, begin: float, end: float) -> float:
        """Return the pace between two shares of all rows, between the portions that are there."""
        total = self.points[-1][0]
        first = max(point for point in self.points if point[0] <= total * begin)
        last = min(point for point in self.points if point[0] >= total * end)
        return (last[0] - first[0]) / (last[1] - first[1])


def peak_megabytes() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1_024
    raise RuntimeError("/proc/self/status has no VmHWM")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args(arguments).rows
    context = get_context("spawn")
    ports = context.Queue()
    server = context.Process(target=serve, args=(rows, ports), daemon=True)
    server.start()
    address = f"http://127.0.0.1:{ports.get()}"
    try:
        with tempfile.TemporaryDirectory() as folder, Client(address, "key") as client:
            return measure(client, folder, rows)
    finally:
        server.terminate()


def measure(client: Client, folder: str, rows: int) -> int:
    pace = Pace()
    begun = time.perf_counter()
    counts = sync(client, folder, whole=False, show=pace)
    first_seconds = time.perf_counter() - begun
    first_megabytes = peak_megabytes()
    begun = time.perf_counter()
    again = sync(client, folder, whole=False)
    night_seconds = time.perf_counter() - begun
    after_night = rows + NEW_ROWS
    first_tenth = pace.rows_a_second(0, 0.1)
    last_tenth = pace.rows_a_second(0.9, 1)
    ratio = last_tenth / first_tenth
    figures = [
        ("rows of the first sync", counts["attempts"], counts["attempts"] == rows),
        ("rows after the night", again["attempts"], again["attempts"] == after_night),
        ("seconds of the first sync", first_seconds, None),
        ("rows a second, first tenth", first_tenth, None),
        ("rows a second, last tenth", last_tenth, None),
        (f"last tenth / first tenth (>= {LEAST_RATIO})", ratio, ratio >= LEAST_RATIO),
        (
            f"peak MB, first sync (<= {MOST_MEGABYTES})",
            first_megabytes,
            first_megabytes <= MOST_MEGABYTES,
        ),
        ("peak MB with the night", peak_megabytes(), None),
        (
            f"seconds of a night's sync (<= {MOST_SECONDS_OF_NIGHT:.0f})",
            night_seconds,
            night_seconds <= MOST_SECONDS_OF_NIGHT,
        ),
    ]
    for name, value, is_good in figures:
        verdict = {None: "", True: "good", False: "MISSED"}[is_good]
        print(f"{name:40} {value:14,.2f}   {verdict}")
    return int(any(is_good is False for _, _, is_good in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
