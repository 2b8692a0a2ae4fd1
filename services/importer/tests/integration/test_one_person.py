"""The pupils of a class come from five sources, each with other ids: each pupil is one person, in any order.

`make one-person` tries PUPILS=2000 in SHUFFLES=10 orders. The truth is written beside the sources and not read from them.
"""

import csv
import io
import json
import os
import random
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from rooms import Room

from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.sources import Platforms, open_text, parse_mapping, read_rows
from edugraph_common.sources.oneroster import RosterSettings, read_roster
from edugraph_common.sources.rows import cut_rows

from .graph_reference import content, with_right_ids
from .random_imports import batch

PUPILS = int(os.environ.get("EDUGRAPH_PUPILS", "12"))
ORDERS = int(os.environ.get("EDUGRAPH_SHUFFLES", "3"))
ROWS_OF_A_BATCH = 500 if PUPILS > 500 else 5
READ_AT = datetime(2026, 8, 1, tzinfo=UTC)
PLATFORMS = Platforms({"lms.example": ""}, "https://log.example")
ATTEMPTS = """
type: attempt_record
columns: {Row: record_id, Login: student_id, Name: student_name, Item: item_id, Right: correct, Day: timestamp}
constants: {course_id: c1}
encoding: utf-8
"""
ALIASES = """
type: person_record
columns: {Student no: person_id, Other ids: also}
constants: {timestamp: "2026-07-03"}
encoding: utf-8
"""


class Pupil:
    """The ids of one pupil. `right` is the number that the school gave."""

    def __init__(self, number: int) -> None:
        self.right = f"S{number:05}"
        self.anonymous = str(uuid5(NAMESPACE_URL, self.right))  # in statements of xAPI
        self.user = str(70_000 + number)  # in the log
        self.login = f"login-{number}"  # in tables
        self.identifier = f"card-{number}"  # in the roster
        self.lti = f"lti-{number}"  # in the roster, and in statements of another tool

    def others(self) -> Iterator[str]:
        """Yield the ids of the pupil that records have in place of the right one."""
        yield from (self.anonymous, self.login, self.identifier, self.lti)
        yield f"https://log.example|{self.user}"


def records_of(data: bytes, file_format: Format, mapping: str | None = None) -> list[Record]:
    """Return the records of a file as an import reads them. Each of its rows must be one."""
    columns = None
    if mapping is not None:
        columns = parse_mapping(mapping)
    plan, lines = open_text(io.BytesIO(data), file_format, None, columns, PLATFORMS)
    read = [row for _, row in read_rows(plan.source, list(cut_rows(plan.source, lines)), None)]
    assert all(isinstance(row, Record) for row in read), read[:3]
    return [row for row in read if isinstance(row, Record)]


def as_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def statements(pupils: Sequence[Pupil]) -> bytes:
    rows: list[dict[str, Any]] = []
    for pupil in pupils:
        for item, name in enumerate((pupil.anonymous, pupil.anonymous, pupil.lti)):
            account = {"homePage": "https://lms.example", "name": name}
            course = {
                "id": "https://lms.example/course/c1",
                "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
            }
            exercise = {
                "id": f"https://lms.example/xblock/i{item}",
                "definition": {"type": "http://adlnet.gov/expapi/activities/question"},
            }
            rows.append(
                {
                    "id": str(uuid5(NAMESPACE_URL, f"{name} {item}")),
                    "timestamp": f"2026-03-0{item + 1}T08:00:00Z",
                    "actor": {"objectType": "Agent", "account": account},
                    "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
                    "object": exercise,
                    "result": {"success": item == 0},
                    "context": {"contextActivities": {"grouping": [course]}},
                }
            )
    return as_lines(rows)


def log(pupils: Sequence[Pupil]) -> bytes:
    rows: list[dict[str, Any]] = []
    for pupil in pupils:
        head = {
            "time": "2026-03-04T05:06:07Z",
            "event_source": "server",
            "context": {"user_id": int(pupil.user), "course_id": "c1"},
        }
        check = {"problem_id": "block@p1", "success": "correct", "grade": 1, "max_grade": 1}
        rows.append({**head, "name": "problem_check", "event": {**check, "attempts": 1}})
        rows.append({**head, "name": "play_video", "event": {"id": "v1"}})
    return as_lines(rows)


def roster(pupils: Sequence[Pupil]) -> list[Record]:
    users: list[dict[str, str]] = []
    enrollments: list[dict[str, str]] = []
    for pupil in pupils:
        users.append(
            {
                "sourcedId": pupil.right,
                "givenName": "Ana",
                "familyName": pupil.right,
                "role": "student",
                "identifier": pupil.identifier,
                "userIds": f"{{LTI:{pupil.lti}}}",
            }
        )
        enrollments.append(
            {
                "sourcedId": f"e{pupil.right}",
                "classSourcedId": "8B",
                "userSourcedId": pupil.right,
                "role": "student",
                "beginDate": "2026-02-01",
                "endDate": "2026-07-01",
            }
        )
    classes = [{"sourcedId": "8B", "title": "8B", "courseSourcedId": "c1"}]
    files = {"users": users, "classes": classes, "enrollments": enrollments}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for name, rows in files.items():
            zipped.writestr(f"{name}.csv", as_table(rows))
    archive.seek(0)
    settings = RosterSettings(
        PLATFORMS, READ_AT, ZoneInfo("UTC"), other_ids=("identifier", "userIds")
    )
    return [parse_record(row) for row in read_roster(archive, settings).records]


def table(pupils: Sequence[Pupil]) -> bytes:
    rows: list[dict[str, str]] = []
    for pupil in pupils:
        for day, name in enumerate((pupil.login, pupil.right, pupil.identifier), start=1):
            rows.append(
                {
                    "Row": f"{name} {day}",
                    "Login": name,
                    "Name": f"Ana {pupil.right}",
                    "Item": f"q{day}",
                    "Right": "yes" if day == 1 else "no",
                    "Day": f"2026-04-0{day}",
                }
            )
    return as_table(rows)


def aliases(pupils: Sequence[Pupil]) -> bytes:
    rows: list[dict[str, str]] = []
    for pupil in pupils:
        others = f"{pupil.anonymous}; https://log.example|{pupil.user}; {pupil.login}"
        rows.append({"Student no": pupil.right, "Other ids": others})
    return as_table(rows)


def persons_with_attempts(room: Room) -> set[tuple[str, int]]:
    rows = room.query("MATCH (s:Student)-[r:TRIED]->() RETURN s.id AS id, count(r) AS tries")
    return {(row["id"], row["tries"]) for row in rows}


def test_each_pupil_of_five_sources_is_one_person_in_any_order(room: Room) -> None:
    """Out: `owners.resolve` in `apply`, `_move` or `_move_days` in `persons.settle`."""
    pupils = [Pupil(number) for number in range(PUPILS)]
    records = [
        *records_of(statements(pupils), "xapi"),
        *records_of(log(pupils), "openedx"),
        *roster(pupils),
        *records_of(table(pupils), "csv", ATTEMPTS),
        *records_of(aliases(pupils), "csv", ALIASES),
    ]
    truth: dict[str, str] = {}
    for pupil in pupils:
        truth |= dict.fromkeys(pupil.others(), pupil.right)
    expected_attempts = {(pupil.right, 7) for pupil in pupils}

    right = [parse_record(with_right_ids(each.to_json(), truth)) for each in records]
    room.empty()
    _write(room, right)
    assert persons_with_attempts(room) == expected_attempts
    expected = content(room)

    for order in range(ORDERS):
        shuffled = list(records)
        random.Random(order).shuffle(shuffled)
        room.empty()
        _write(room, shuffled)
        room.graph.settle_persons()
        assert persons_with_attempts(room) == expected_attempts
        assert content(room) == expected, order


def _write(room: Room, records: Sequence[Record]) -> None:
    """Import the records in batches. In the middle a settler runs."""
    for number, start in enumerate(range(0, len(records), ROWS_OF_A_BATCH)):
        room.graph.write_batch(batch(records[start : start + ROWS_OF_A_BATCH], "job", number))
        if start <= len(records) // 2 < start + ROWS_OF_A_BATCH:
            room.graph.settle_persons()
