"""The dbt project of examples/warehouse and its board, on the tables that the command line writes from the real services."""

import json
import os
import random
import subprocess
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any
from uuid import uuid4

import pytest
from engines import CHECKOUT, System, missing

PROJECT = CHECKOUT / "examples" / "warehouse"
DBT = CHECKOUT / ".run" / "dbt" / "bin"
SUPERSET = CHECKOUT / ".run" / "superset" / "bin" / "python"
BOARD_PROGRAM = CHECKOUT / "tests" / "superset_board.py"
ATTEMPTS = 60
READ_MODEL = """
import duckdb, json, sys
with duckdb.connect(sys.argv[1], read_only=True) as models:
    rows = models.execute("SELECT name, students, attempts, share_right FROM course_points WHERE course = ?", [sys.argv[2]])
    print(json.dumps(rows.fetchall()))
"""


def attempts_of_a_course(course: str) -> list[dict[str, Any]]:
    """Return attempts of 5 students at 6 items, most of them more than once, in any order of their times."""
    chance = random.Random(20261201)
    points_of_item = {
        f"{course}-item-{number}": chance.sample(
            [f"{course} point {n}" for n in range(3)], 1 + number % 2
        )
        for number in range(6)
    }
    minutes = chance.sample(range(24 * 60), ATTEMPTS)
    records: list[dict[str, Any]] = []
    for number, minute in enumerate(minutes):
        item = chance.choice(list(points_of_item))
        data = {
            "student_id": f"{course}-student-{chance.randrange(5)}",
            "item_id": item,
            "course_id": course,
            "correct": chance.random() < 0.5,
            "knowledge_points": points_of_item[item],
        }
        timestamp = f"2026-02-03T{minute // 60:02}:{minute % 60:02}:00Z"
        record_id = f"{course}-{number}"
        records.append(
            {"type": "attempt_record", "timestamp": timestamp, "record_id": record_id, "data": data}
        )
    return records


def first_attempts(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the data of the first attempt of each student at each item."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for record in sorted(records, key=lambda each: each["timestamp"]):
        data = record["data"]
        first.setdefault((data["student_id"], data["item_id"]), data)
    return list(first.values())


def expected_rows(records: list[dict[str, Any]]) -> list[list[Any]]:
    """Return point, students, first attempts and the mean of the students' shares right, by the records alone."""
    outcomes: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for data in first_attempts(records):
        for point in data["knowledge_points"]:
            outcomes[point][data["student_id"]].append(data["correct"])
    rows: list[list[Any]] = []
    for point, of_students in sorted(outcomes.items()):
        count = sum(len(each) for each in of_students.values())
        share = fmean(fmean(each) for each in of_students.values())
        rows.append([point, len(of_students), count, pytest.approx(share)])
    return rows


@pytest.mark.real
@pytest.mark.parametrize("engine", ["real"], indirect=True)
def test_the_models_and_the_board_count_what_the_records_say(clean: System, tmp_path: Path) -> None:
    """To take the guard out: leave QUALIFY out of first_attempts.sql, or name another metric in a chart."""
    if not (DBT / "dbt").exists() or not SUPERSET.exists():
        missing("dbt or Superset is not installed: run this by `make test`")
    course = f"course-{uuid4().hex[:8]}"
    records = attempts_of_a_course(course)
    file = tmp_path / "attempts.ndjson"
    file.write_text("\n".join(json.dumps(each) for each in records), encoding="utf-8")
    imported = clean.edugraph("import", str(file), "--follow")
    assert imported.returncode == 0, imported.stderr
    synced = clean.edugraph("warehouse", "sync", str(tmp_path / "tables"))
    assert synced.returncode == 0, synced.stderr
    models = tmp_path / "models.duckdb"
    environment = {
        **os.environ,
        "EDUGRAPH_WAREHOUSE": str(tmp_path / "tables"),
        "EDUGRAPH_MODELS": str(models),
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
    }
    built = subprocess.run(
        [DBT / "dbt", "build", "--profiles-dir", "."],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout
    read = subprocess.run(
        [DBT / "python", "-c", READ_MODEL, models, course],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(json.loads(read.stdout)) == expected_rows(records)
    check_board(board_rows(models, tmp_path / "superset"), course, records)


def board_rows(models: Path, home: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what each chart of the board shows in Superset, by its title."""
    home.mkdir()
    shown = subprocess.run(
        [SUPERSET, BOARD_PROGRAM, PROJECT / "superset", models, home],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr[-4_000:]
    rows: dict[str, list[dict[str, Any]]] = json.loads(shown.stdout.splitlines()[-1])
    return rows


def check_board(
    shown: dict[str, list[dict[str, Any]]], course: str, records: list[dict[str, Any]]
) -> None:
    """Compare the four charts with figures that are computed from the records alone."""
    first = first_attempts(records)
    share = pytest.approx(fmean(data["correct"] for data in first))
    students = {data["student_id"] for data in first}
    by_course, by_week = (
        shown[f"Right at the first attempt, by {each}"] for each in ("course", "week")
    )
    assert by_course == [{"course": course, "share_right": share}]
    # All attempts are of Tuesday, 3 February 2026, and weeks begin on Mondays.
    [week] = by_week
    assert (week["day"][:10], week["share_right"]) == ("2026-02-02", share)
    assert shown["Students with attempts"] == [{"students": len(students)}]
    points = shown["Weakest points first"]
    shares = [row["share_right"] for row in points]
    assert shares == sorted(shares)
    rows = [[row["name"], row["students"], row["attempts"], row["share_right"]] for row in points]
    assert sorted(rows) == expected_rows(records)
