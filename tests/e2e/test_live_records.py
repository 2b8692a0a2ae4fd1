"""Records that a running system sends are in the graph once, whatever is killed, and like those of a file."""

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import anyio
import httpx
import neo4j
import pytest
from engines import System
from killing import PATIENCE_SECONDS, kill_child, kill_gateway, kill_worker
from waiting import until

from edugraph_common.contracts.live_days import end_of_day
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.runtime.messaging.provisioning import pika_channel
from edugraph_common.runtime.service.settings import Settings
from edugraph_gateway.gateway import Gateway, open_gateway
from edugraph_gateway.operations.reaper import (
    DAY_KEPT_OPEN,
    QUIET_SECONDS,
    TEXTS_AWAITED,
    TEXTS_LOST,
    reap,
)
from edugraph_gateway.settings import GatewaySettings

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]


@pytest.fixture
def sources(clean: System) -> tuple[str, str]:
    names = []
    for _ in range(2):
        name = f"s-{uuid4().hex[:8]}"
        clean.client.create_source({"name": name, "kind": "records"})
        names.append(name)
    return names[0], names[1]


def record(number: int, student: str | None = None, **more: Any) -> dict[str, Any]:
    day = 1 + number % 28
    data = {
        "student_id": student or f"student-{number % 7}",
        "course_id": f"course-{number % 3}",
        "error_text": f"{number} + 1 = {number}",
    }
    return {
        "type": "error_record",
        "record_id": f"r{number}",
        "timestamp": f"2026-02-{day:02d}T08:00:00Z",
        "data": data,
        **more,
    }


def portions_of(numbers: range, size: int) -> list[range]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def send(url: str, source: str, records: Sequence[dict[str, Any]]) -> httpx.Response:
    return httpx.post(f"{url}/v1/sources/{source}/records", json={"records": records}, timeout=20)


def send_until_accepted(url: str, source: str, records: Sequence[dict[str, Any]]) -> str:
    """Send like a client that tries again. Return the job."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            answer = send(url, source, records)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.status_code == 202:
            return str(answer.json()["job_id"])
        assert answer.status_code == 503, answer.text
        assert answer.headers["Retry-After"]
        time.sleep(0.2)
    raise AssertionError("never accepted")


def import_file(system: System, source: str, records: Sequence[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(each) + "\n" for each in records)
    headers = {"Content-Type": "application/x-ndjson"}
    answer = httpx.post(
        f"{system.url}/v1/imports?source={source}", content=lines, headers=headers, timeout=30
    )
    *_, report = system.client.follow(answer.json()["job_id"])
    assert (report.state, report.written) == ("succeeded", len(records))


def in_graph(system: System) -> list[str]:
    """Return the keys of all error records, each as often as it is there."""
    found = system.engine.environment
    auth = (found["EDUGRAPH_NEO4J_USER"], found["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(
        found["EDUGRAPH_NEO4J_URI"], auth=auth, notifications_min_severity="OFF"
    ) as driver:
        rows = driver.execute_query("MATCH (n:ErrorRecord) RETURN n.id AS id").records
    return sorted(row["id"] for row in rows)


def keys(source: str, numbers: Sequence[int]) -> list[str]:
    return [f"@{source}/r{number}" for number in numbers]


def job_when(system: System, job_id: str, *, read: int) -> JobReport:
    """Return the job of a day when it has counted this many rows."""
    found: list[JobReport] = []

    def is_there() -> bool:
        report = httpx.get(f"{system.url}/v1/jobs/{job_id}", timeout=20)
        if report.status_code == 200:
            found.append(JobReport.model_validate(report.json()))
        return bool(found) and found[-1].read >= read

    until(is_there, 60)
    return found[-1]


def test_live_records_make_the_graph_of_the_same_files(
    clean: System, sources: tuple[str, str]
) -> None:
    """Out: the source in the rights of a part; a part of `write_live`."""
    portions = portions_of(range(120), 8)
    with ThreadPoolExecutor(8) as pool:
        jobs = {}
        for source in sources:
            sent = [[record(n) for n in portion] for portion in portions]
            answers = pool.map(lambda each, name=source: send(clean.url, name, each), sent)
            for answer in answers:
                assert answer.status_code == 202, answer.text
                assert answer.json()["accepted"] == 8
                jobs[source] = answer.json()["job_id"]
    for source in sources:
        report = job_when(clean, jobs[source], read=120)
        assert (report.state, report.source, report.source_name) == ("running", "live", source)
        assert (report.read, report.written, report.rejected) == (120, 120, 0)
        # Out: `remove` in `write_live`.
        until(lambda name=source: clean.client.live_day(name).oldest_waiting is None, 30)  # type: ignore[misc]
    assert in_graph(clean) == sorted(keys(sources[0], range(120)) + keys(sources[1], range(120)))
    digest = clean.client.graph_digest()
    # The same once more, live: nothing changes.
    assert send(clean.url, sources[0], [record(n) for n in range(120)]).status_code == 202
    assert job_when(clean, jobs[sources[0]], read=240).unchanged == 120
    assert clean.client.graph_digest() == digest
    clean.engine.empty()
    for source in sources:
        import_file(clean, source, [record(n) for n in range(120)])
    assert clean.client.graph_digest() == digest


def test_what_was_accepted_is_there_once_when_workers_and_the_gateway_are_killed(
    clean: System, sources: tuple[str, str]
) -> None:
    """Out: the wait for the confirm in `send`; a day's job that is not created again."""
    portions = portions_of(range(1_200), 4)
    accepted = threading.Semaphore(0)

    def source_of(portion: range) -> str:
        return sources[portion.start // 4 % 2]

    def send_portion(portion: range) -> None:
        source = source_of(portion)
        send_until_accepted(clean.url, source, [record(n) for n in portion])
        accepted.release()

    port = clean.url.rsplit(":", 1)[1]
    with ThreadPoolExecutor(6) as pool:
        sending = [pool.submit(send_portion, portion) for portion in portions]
        for kill in (kill_child, kill_worker, kill_gateway, kill_child, kill_worker):
            for _ in range(len(portions) // 8):
                assert accepted.acquire(timeout=PATIENCE_SECONDS)
            kill(clean, port)
        for each in sending:
            each.result(timeout=PATIENCE_SECONDS)
    wanted = []
    for portion in portions:
        wanted += keys(source_of(portion), portion)
    until(lambda: in_graph(clean) == sorted(wanted), 120)
    digest = clean.client.graph_digest()
    clean.engine.empty()
    for source in sources:
        of_source = []
        for portion in portions:
            if source_of(portion) == source:
                of_source += [record(n) for n in portion]
        import_file(clean, source, of_source)
    assert clean.client.graph_digest() == digest


def test_an_erased_person_stays_away_and_a_wrong_row_is_set_aside(
    clean: System, sources: tuple[str, str]
) -> None:
    """Out: `cleared` or the tombstones for live batches; the boundary of a row."""
    source = sources[0]
    gone = f"gone-{uuid4().hex[:8]}"
    assert send(clean.url, source, [record(0, gone), record(1)]).status_code == 202
    until(lambda: in_graph(clean) == keys(source, (0, 1)), 60)
    erased = httpx.delete(f"{clean.url}/v1/students/{gone}", timeout=30)
    clean.client.follow_task(erased.json()["task_id"])
    assert in_graph(clean) == keys(source, (1,))

    wrong = record(2) | {"timestamp": "yesterday"}
    about_gone = record(3, gone) | {"timestamp": "yesterday"}
    answer = send(clean.url, source, [record(4, gone), wrong, about_gone, record(5)])
    report = job_when(clean, answer.json()["job_id"], read=6)
    assert (report.written, report.rejected) == (3, 3)
    assert in_graph(clean) == keys(source, (1, 5))
    rejects = httpx.get(f"{clean.url}/v1/jobs/{report.job_id}/rejects", timeout=30).text
    # The reject of a row that came within a minute of the erasure has its reason, and none of its values.
    assert "an ISO 8601 date and time" in rejects
    assert "r2" not in rejects
    assert gone not in rejects
    assert gone not in httpx.get(f"{clean.url}/v1/jobs/{report.job_id}", timeout=30).text


def test_a_learner_whom_the_platform_retires_stays_away_under_each_id(
    clean: System, sources: tuple[str, str]
) -> None:
    """A retirement of a platform repeats its call. It also names learners who never sent anything.

    Out: `block` in the importer's erasure, with which unknown ids are refused from now on.
    """
    source = sources[0]
    name = uuid4().hex[:8]
    username, external, unknown = (f"{each}-{name}" for each in ("ann", "9f0c", "ben"))
    assert send(clean.url, source, [record(0, external), record(1)]).status_code == 202
    until(lambda: in_graph(clean) == keys(source, (0, 1)), 60)

    def retire(student: str, *also: str) -> None:
        params = {"also": also, "block": "true"}
        answer = httpx.delete(f"{clean.url}/v1/students/{student}", params=params, timeout=30)
        task = clean.client.follow_task(answer.json()["task_id"])
        assert task["state"] == "SUCCESS"

    retire(username, external)
    retire(username, external)
    retire(unknown)
    assert in_graph(clean) == keys(source, (1,))

    later = [record(2, username), record(3, external), record(4, unknown), record(5)]
    answer = send(clean.url, source, later)
    job_when(clean, answer.json()["job_id"], read=6)
    assert in_graph(clean) == keys(source, (1, 5))


def students_in_graph(system: System) -> dict[str, str]:
    """Return the key of each error record -> the student who made it."""
    found = system.engine.environment
    auth = (found["EDUGRAPH_NEO4J_USER"], found["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(
        found["EDUGRAPH_NEO4J_URI"], auth=auth, notifications_min_severity="OFF"
    ) as driver:
        query = "MATCH (s)-[:MADE]->(n:ErrorRecord) RETURN s.id AS student, n.id AS id"
        rows = driver.execute_query(query).records
    return {row["id"]: row["student"] for row in rows}


def list_of_ids(person: str, *also: str, day: int) -> dict[str, Any]:
    return {
        "type": "person_record",
        "timestamp": f"2026-03-{day:02d}T08:00:00Z",
        "data": {"person_id": person, "also": list(also)},
    }


def test_live_records_with_any_id_of_a_person_are_of_this_person(
    clean: System, sources: tuple[str, str]
) -> None:
    """Out: `owners.resolve` in `apply`; the settler in `settle_prerequisites`."""
    source = sources[0]
    name = uuid4().hex[:8]
    person, first, second = (f"{each}-{name}" for each in ("S05", "17", "lti"))
    assert send(clean.url, source, [record(0, first)]).status_code == 202
    until(lambda: in_graph(clean) == keys(source, (0,)), 60)
    import_file(clean, source, [list_of_ids(person, first, day=1)])
    assert students_in_graph(clean) == dict.fromkeys(keys(source, (0,)), person)

    assert send(clean.url, source, [record(1, first)]).status_code == 202
    until(lambda: len(in_graph(clean)) == 2, 60)
    assert students_in_graph(clean) == dict.fromkeys(keys(source, (0, 1)), person)

    # A list may come live, too. The gateway asks for a settler each minute.
    live = [record(2, second), list_of_ids(person, first, second, day=2)]
    assert send(clean.url, source, live).status_code == 202
    expected = dict.fromkeys(keys(source, (0, 1, 2)), person)
    until(lambda: students_in_graph(clean) == expected, PATIENCE_SECONDS)


def test_a_restricted_person_is_written_and_not_shown(
    clean: System, sources: tuple[str, str]
) -> None:
    student = f"held-{uuid4().hex[:8]}"
    assert send(clean.url, sources[0], [record(0, student)]).status_code == 202
    until(lambda: in_graph(clean) == keys(sources[0], (0,)), 60)
    clean.client.follow_task(clean.client.restrict(student).task_id)
    try:
        wrong = record(1, student) | {"timestamp": "yesterday"}
        answer = send(clean.url, sources[0], [wrong, record(2, student)])
        report = job_when(clean, answer.json()["job_id"], read=3)
        assert (report.written, report.rejected) == (2, 1)
        rejects = f"{clean.url}/v1/jobs/{report.job_id}/rejects"
        # The gateway reads the list of restricted students every few seconds.
        until(lambda: student not in httpx.get(rejects, timeout=30).text, 30)
    finally:
        clean.client.follow_task(clean.client.restrict(student, lifted=True).task_id)


def test_records_without_a_queue_are_refused_and_later_accepted(
    clean: System, sources: tuple[str, str]
) -> None:
    """Out: `await confirmed` in the publisher, or the future of the gatherer: 202 for records that are lost."""
    environment = clean.engine.environment
    settings = Settings.model_validate(
        {name.removeprefix("EDUGRAPH_").lower(): value for name, value in environment.items()}
    )
    with pika_channel(settings) as channel:
        # The second binding is for delayed messages.
        for key in ("live.records", "#.live.records"):
            channel.queue_unbind("live_records", "edugraph.tasks", key)
        try:
            answer = send(clean.url, sources[0], [record(0)])
            assert (answer.status_code, answer.json()["type"]) == (
                503,
                "urn:edugraph:problem:unavailable",
            )
            assert answer.headers["Retry-After"]
        finally:
            for key in ("live.records", "#.live.records"):
                channel.queue_bind("live_records", "edugraph.tasks", key)
    assert send(clean.url, sources[0], [record(1)]).status_code == 202
    until(lambda: in_graph(clean) == keys(sources[0], (1,)), 60)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"records": []}, 422),
        ({"records": [{}] * 1_001}, 422),
        ({"records": ["x"]}, 422),
        ({}, 422),
        ({"records": [{"text": "x" * 1_100_000}]}, 413),
    ],
)
def test_a_body_is_bounded(
    clean: System, sources: tuple[str, str], body: dict[str, Any], status: int
) -> None:
    answer = httpx.post(f"{clean.url}/v1/sources/{sources[0]}/records", json=body, timeout=20)
    assert answer.status_code == status, answer.text


def test_only_a_source_of_records_takes_records(clean: System) -> None:
    name = f"t-{uuid4().hex[:8]}"
    assert send(clean.url, name, [record(0)]).status_code == 404
    clean.client.create_source({"name": name, "kind": "table"})
    assert send(clean.url, name, [record(0)]).status_code == 422


def test_the_job_of_a_day_is_left_alone_and_ends_after_its_day(
    clean: System, sources: tuple[str, str]
) -> None:
    """Out: `is_live_job` in `reap`; `end_day`; `refuse_live`."""
    accepted = send(clean.url, sources[0], [record(0)])
    job_id = accepted.json()["job_id"]
    assert job_when(clean, job_id, read=1).state == "running"
    assert reaped(clean, timedelta(seconds=2 * QUIET_SECONDS)) == []
    assert job_when(clean, job_id, read=1).state == "running"
    for action in ("cancel", "resume", "undo"):
        answer = httpx.post(f"{clean.url}/v1/jobs/{job_id}/{action}", timeout=20)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:edugraph:problem:live")

    after = end_of_day(job_id) + DAY_KEPT_OPEN + timedelta(seconds=1) - datetime.now(UTC)
    assert reaped(clean, after - timedelta(seconds=60)) == []
    assert job_when(clean, job_id, read=1).state == "running"
    assert reaped(clean, after + timedelta(seconds=1)) == []
    assert job_when(clean, job_id, read=1).state == "succeeded"


def test_texts_are_analysed_up_to_the_number_of_the_day(clean: System) -> None:
    """Out: `texts_to_analyse` in the route; `analyze` in `batches_of`; TEXTS_AWAITED in the reaper."""
    name = f"s-{uuid4().hex[:8]}"
    clean.client.create_source({"name": name, "kind": "records", "live_texts_a_day": 3})
    accepted = send(clean.url, name, [record(number) for number in range(5)])
    job_id = accepted.json()["job_id"]
    job_when(clean, job_id, read=5)
    until(lambda: clean.client.job(job_id).analysis.done == 3, 60)
    found = clean.client.live_day(name)
    assert (found.accepted, found.texts, found.over_budget) == (5, 3, 2)
    assert len(in_graph(clean)) == 5
    # The same rows once more: the number of the day is used up, and nothing is analysed again.
    assert send(clean.url, name, [record(number) for number in range(5)]).status_code == 202
    report = job_when(clean, job_id, read=10)
    assert (report.analysis.expected, report.over_budget, report.unchanged) == (3, 7, 5)

    # A text whose analysis is lost keeps the job of the day open for a week.
    jobs = gateway_of(clean, timedelta()).jobs
    jobs._redis.hincrby(f"edugraph:job:{{{job_id}}}", "analysis_expected", 1)
    ended = end_of_day(job_id) - datetime.now(UTC)
    reaped(clean, ended + TEXTS_AWAITED - timedelta(hours=1))
    assert clean.client.job(job_id).state == "running"
    reaped(clean, ended + TEXTS_AWAITED + timedelta(hours=1))
    assert (clean.client.job(job_id).state, clean.client.job(job_id).error) == (
        "failed",
        TEXTS_LOST,
    )


def gateway_of(system: System, after: timedelta) -> Gateway:
    given = {}
    for name, value in system.engine.environment.items():
        given[name.removeprefix("EDUGRAPH_").lower()] = value
    settings = GatewaySettings.model_validate(given)
    return open_gateway(settings, now=lambda: datetime.now(UTC) + after)


def reaped(system: System, after: timedelta) -> list[str]:
    """Reap once, by a clock that is `after` the real one. Return the jobs that were sent again or failed."""

    async def reap_once() -> list[str]:
        gateway = gateway_of(system, after)
        gateway.jobs._redis.delete("edugraph:reaping")
        try:
            found = await reap(gateway.intake.submitter, lambda _: 0)
        finally:
            await gateway.publisher.close()
        return [job_id for job_id in found if job_id.startswith("live-")]

    return anyio.run(reap_once)
