"""Records and statements that a tool signs are in the graph once, however often the request is sent."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import neo4j
import pytest
from engines import System
from gateway_alone import gateway
from signers import hmac_headers, hmac_sender, new_secret, standard_headers, standard_sender
from waiting import until

from edugraph_common.contracts.live_days import live_job_id_of_day

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]
RUN = uuid4().hex[:8]
TOOL, QUIZ, LOG = (f"{each}-{RUN}" for each in ("tool", "quiz", "log"))
TOOL_SECRET, LOG_SECRET = new_secret(), new_secret()
PLAIN = hmac_sender("a secret of this test", "X-Hub-Signature-256", "hex", "sha256=")
SENDERS = {
    TOOL: standard_sender(TOOL_SECRET),
    QUIZ: PLAIN,
    LOG: standard_sender(LOG_SECRET),
}
LMS = "https://lms.example"


@pytest.fixture(scope="module")
def url(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a second gateway of the system, which knows the senders."""
    for name in SENDERS:
        system.client.create_source({"name": name, "kind": "xapi" if name == LOG else "records"})
    environment = system.engine.environment
    folder = tmp_path_factory.mktemp("signed")
    with gateway(environment, folder, signed_senders=json.dumps(SENDERS)) as running:
        yield running.url


def record(number: int, **more: Any) -> dict[str, Any]:
    data = {
        "student_id": f"student-{number % 3}",
        "course_id": "algebra",
        "error_text": f"{number} + 1 = {number}",
    }
    return {
        "type": "error_record",
        "timestamp": f"2026-02-{1 + number:02d}T08:00:00Z",
        "data": data,
        **more,
    }


def statement(number: int) -> dict[str, Any]:
    return {
        "actor": {"account": {"homePage": LMS, "name": f"student-{number % 3}"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
        "object": {"id": f"{LMS}/q/{RUN}-{number}"},
        "result": {"success": True},
        "context": {
            "contextActivities": {
                "parent": [
                    {
                        "id": f"{LMS}/course/1",
                        "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
                    }
                ]
            }
        },
        "timestamp": f"2026-02-{1 + number:02d}T08:00:00Z",
    }


def send(url: str, source: str, body: bytes, headers: dict[str, str]) -> int:
    path = f"{url}/v1/sources/{source}/signed"
    return httpx.post(path, content=body, headers=headers, timeout=30).status_code


def in_graph(system: System, label: str) -> int:
    """Return the number of nodes with this label."""
    found = system.engine.environment
    auth = (found["EDUGRAPH_NEO4J_USER"], found["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(
        found["EDUGRAPH_NEO4J_URI"], auth=auth, notifications_min_severity="OFF"
    ) as driver:
        [row] = driver.execute_query(f"MATCH (n:{label}) RETURN count(n) AS number").records
    return int(row["number"])


def counts(system: System, source: str) -> tuple[int, int, int]:
    """Return how many rows the job of the day has read, written and set aside."""
    job_id = live_job_id_of_day(source, datetime.now(UTC).date())
    answer = httpx.get(f"{system.url}/v1/jobs/{job_id}", timeout=20)
    if answer.status_code == 404:
        return (0, 0, 0)
    report = answer.json()
    return (report["read"], report["written"], report["rejected"])


def test_a_request_that_is_sent_again_counts_once(clean: System, url: str) -> None:
    """Out: the ids of rows; or the check of the signature, for the request that nobody signed."""
    # The second record has no id, so its id comes from its content.
    body = json.dumps({"records": [record(1, record_id="r1"), record(2)]}).encode()
    first = standard_headers(body, TOOL_SECRET)
    retried = standard_headers(body, TOOL_SECRET, message_id="msg_again")
    plain = hmac_headers(body, PLAIN)
    with ThreadPoolExecutor(6) as pool:
        of_tool = pool.map(lambda headers: send(url, TOOL, body, headers), [first, retried] * 3)
        assert list(of_tool) == [202] * 6
        of_quiz = pool.map(lambda _: send(url, QUIZ, body, plain), range(4))
        assert list(of_quiz) == [202] * 4
    stranger = json.dumps({"records": [record(3)]}).encode()
    assert send(url, TOOL, stranger, first) == 401
    assert send(url, QUIZ, stranger, plain) == 401
    until(lambda: counts(clean, TOOL) == (12, 2, 0), 60)
    until(lambda: counts(clean, QUIZ) == (8, 2, 0), 60)
    assert in_graph(clean, "ErrorRecord") == 4
    digest = clean.client.graph_digest()
    assert send(url, TOOL, body, first) == 202
    until(lambda: counts(clean, TOOL) == (14, 2, 0), 60)
    assert clean.client.graph_digest() == digest


def test_signed_statements_are_those_of_the_receiver(clean: System, url: str) -> None:
    """Out: `statements.receive` in signed.py, which gives the ids."""
    statements = [statement(number) for number in range(6)]
    body = json.dumps(statements).encode()
    headers = standard_headers(body, LOG_SECRET)
    for _ in range(3):
        assert send(url, LOG, body, headers) == 202
    until(lambda: counts(clean, LOG)[0] == 6, 60)
    read, written, rejected = counts(clean, LOG)
    assert (read, written, rejected) == (6, 6, 0)
    digest = clean.client.graph_digest()
    lines = "".join(json.dumps(each) + "\n" for each in statements)
    answer = httpx.post(
        f"{clean.url}/v1/imports?format=xapi&source={LOG}",
        content=lines,
        headers={"Content-Type": "application/x-ndjson"},
        timeout=30,
    )
    *_, report = clean.client.follow(answer.raise_for_status().json()["job_id"])
    assert (report.read, report.unchanged) == (6, 6)
    assert clean.client.graph_digest() == digest
