"""xAPI statements that are sent live make the graph of the same statements in a file."""

import json
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import neo4j
import pytest
from engines import System
from waiting import until

from edugraph_common.contracts.live_days import live_job_id_of_day
from edugraph_common.contracts.outcomes import JobReport

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]
LMS = "https://lms.example"
VERSION = {"X-Experience-API-Version": "1.0.3"}
# The gateway remembers statements for ten minutes, and each run has others.
RUN = uuid4().hex
VERBS = ("answered", "completed", "commented", "experienced", "passed", "waved")


def statement(chance: random.Random, number: int, *, with_id: bool) -> dict[str, Any]:
    """Return a statement of one of several kinds. Some have no place in the graph, and some are wrong."""
    verb = chance.choice(VERBS)
    course = {
        "id": f"{LMS}/course/{chance.randrange(3)}",
        "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
    }
    made: dict[str, Any] = {
        "actor": {"account": {"homePage": LMS, "name": f"student-{chance.randrange(9)}"}},
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
        "object": {
            "id": f"{LMS}/q/{chance.randrange(20)}",
            "definition": {"type": "http://adlnet.gov/expapi/activities/question"},
        },
        "result": {"success": chance.random() < 0.6, "response": f"answer {number} {RUN}"},
        "context": {"contextActivities": {"parent": [course]}},
        "timestamp": f"2026-02-{1 + number % 28:02d}T08:{number % 60:02d}:00+08:00",
    }
    if with_id:
        made["id"] = str(uuid4())
    if chance.random() < 0.05:
        made["timestamp"] = "yesterday"
    if chance.random() < 0.05:
        made["actor"] = {"name": "Nobody"}
    return made


def send(url: str, statements: Any) -> httpx.Response:
    return httpx.post(f"{url}/xapi/statements", json=statements, headers=VERSION, timeout=30)


def import_file(system: System, statements: Sequence[dict[str, Any]]) -> JobReport:
    lines = "".join(json.dumps(each) + "\n" for each in statements)
    headers = {"Content-Type": "application/x-ndjson"}
    answer = httpx.post(
        f"{system.url}/v1/imports?format=xapi", content=lines, headers=headers, timeout=30
    )
    answer.raise_for_status()
    *_, report = system.client.follow(answer.json()["job_id"])
    return report


def live_job(system: System) -> dict[str, Any]:
    """Return the job of today, or one without rows. All tests of this system share it."""
    job_id = live_job_id_of_day("default", datetime.now(UTC).date())
    answer = httpx.get(f"{system.url}/v1/jobs/{job_id}", timeout=20)
    if answer.status_code == 404:
        return {"job_id": job_id, "read": 0, "rejected": 0}
    found: dict[str, Any] = answer.json()
    return found


def live_job_with(system: System, before: dict[str, Any], more: int) -> dict[str, Any]:
    """Return the job of today when it has counted this many more rows than before."""
    until(lambda: live_job(system)["read"] >= before["read"] + more, 90)
    return live_job(system)


@pytest.mark.parametrize("with_id", [True, False], ids=["with ids", "without ids"])
def test_statements_make_the_graph_of_the_same_file(clean: System, with_id: bool) -> None:
    """Out: `read_statement_row` in `_rows_of`; the id of a statement; its moment."""
    chance = random.Random(f"{with_id}")
    statements = [statement(chance, number, with_id=with_id) for number in range(400)]
    if with_id:
        voided = chance.choice(statements)["id"]
        void = {
            **statements[0],
            "id": str(uuid4()),
            "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
            "object": {"objectType": "StatementRef", "id": voided},
            "timestamp": "2026-03-01T00:00:00Z",
        }
        statements.append(void)
    before = live_job(clean)
    start = 0
    while start < len(statements):
        size = chance.randrange(1, 40)
        answer = send(clean.url, statements[start : start + size])
        assert answer.status_code == 200, answer.text
        start += size
    after = live_job_with(clean, before, len(statements))
    digest = clean.client.graph_digest()
    # Again, in another order and in other requests: nothing changes.
    again = list(statements)
    chance.shuffle(again)
    for each in range(0, len(again), 100):
        assert send(clean.url, again[each : each + 100]).status_code == 200
    time.sleep(1)
    assert clean.client.graph_digest() == digest
    clean.engine.empty()
    from_file = import_file(clean, statements)
    assert clean.client.graph_digest() == digest
    for name in ("read", "rejected"):
        assert after[name] - before[name] == getattr(from_file, name), name
    assert from_file.written > 100
    assert from_file.rejected > 10


def test_a_file_after_live_statements_changes_nothing(clean: System) -> None:
    """A statement that came live and in a backfill is one record."""
    chance = random.Random("both ways")
    statements = [statement(chance, number, with_id=number % 2 == 0) for number in range(60)]
    before = live_job(clean)
    assert send(clean.url, statements).status_code == 200
    live_job_with(clean, before, 60)
    digest = clean.client.graph_digest()
    kept = [
        {**each, "stored": "2026-03-01T00:00:00Z", "authority": {"name": "LRS"}}
        for each in statements
    ]
    report = import_file(clean, kept)
    # Activity counts as written each time, since only its days are in the graph.
    assert report.replaced == 0
    assert report.unchanged > 20
    assert clean.client.graph_digest() == digest


def attempts(system: System, student: str) -> int:
    found = system.engine.environment
    auth = (found["EDUGRAPH_NEO4J_USER"], found["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(
        found["EDUGRAPH_NEO4J_URI"], auth=auth, notifications_min_severity="OFF"
    ) as driver:
        rows = driver.execute_query(
            "MATCH (:Student {id: $id})--(n:Attempt) RETURN count(DISTINCT n) AS n", id=student
        ).records
    return int(rows[0]["n"])


def test_a_statement_without_id_and_time_is_one_within_ten_minutes(clean: System) -> None:
    chance = random.Random("without")
    made = statement(chance, 1, with_id=False) | {
        "actor": {"account": {"homePage": LMS, "name": "eva"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
    }
    del made["timestamp"]
    first = send(clean.url, made)
    second = send(clean.url, [made, made])
    assert second.json() == first.json() * 2
    until(lambda: attempts(clean, f"{LMS}|eva") == 1, 60)


def test_an_erased_student_is_in_no_row_that_is_set_aside(clean: System) -> None:
    """Out: `students` of the row: the reject would keep the statement."""
    gone = f"gone-{uuid4().hex[:8]}"
    account = {"account": {"homePage": LMS, "name": gone}}
    chance = random.Random("erased")
    right = statement(chance, 1, with_id=True) | {"actor": account, "timestamp": "2026-02-01T08:00:00Z",
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"}}  # fmt: skip
    assert send(clean.url, right).status_code == 200
    until(lambda: attempts(clean, f"{LMS}|{gone}") == 1, 60)
    erased = httpx.delete(f"{clean.url}/v1/students/{quote(f'{LMS}|{gone}', safe='')}", timeout=30)
    clean.client.follow_task(erased.raise_for_status().json()["task_id"])
    assert attempts(clean, f"{LMS}|{gone}") == 0
    wrong = right | {"id": str(uuid4()), "timestamp": "yesterday"}
    before = live_job(clean)
    answer = send(clean.url, [wrong, right | {"id": str(uuid4())}])
    assert answer.status_code == 200
    after = live_job_with(clean, before, 2)
    assert after["rejected"] - before["rejected"] == 2
    rejects = httpx.get(f"{clean.url}/v1/jobs/{after['job_id']}/rejects", timeout=30).text
    assert rejects
    assert gone not in rejects
