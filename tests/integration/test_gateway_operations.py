"""What an operator does: cancel and resume, dead letters, forget a student, the audit log, the doctor."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pika
import pytest
from gateway_alone import Gateway, gateway, post_records, virtual_host
from service_settings import settings_from
from waiting import until

from edugraph_common.runtime.messaging.celery_app import make_app, make_publisher
from edugraph_common.runtime.messaging.provisioning import apply_topology
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_common.runtime.shared_state.object_store import Blobs

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with (
        virtual_host() as addresses,
        gateway(addresses, tmp_path_factory.mktemp("gateway")) as started,
    ):
        yield started


@pytest.fixture
def client(running: Gateway) -> Iterator[httpx.Client]:
    with running.client() as http:
        yield http


def _bury(running: Gateway, task_id: str, task: str = "import_batch_task") -> None:
    """As the broker itself does it: a delayed message that was refused."""
    connection = pika.BlockingConnection(pika.URLParameters(running.broker))
    headers = {
        "id": task_id,
        "task": task,
        "retries": 3,
        "eta": "2026-01-01T00:00:00",
        "edugraph_published": 1_795_547_099_000_000,
        "group": "g",
        "x-edugraph-reason": "Neo4j does not answer; gave up after 4 tries",
        "x-edugraph-tries": "4",
        "x-delivery-count": 6,
    }
    body = json.dumps(
        [
            [{"version": 1, "job_id": "j", "batch": 0}],
            {},
            {"chord": {"task": "x"}, "errbacks": None},
        ]
    )
    properties = pika.BasicProperties(
        content_type="application/json", content_encoding="utf-8", headers=headers, delivery_mode=2
    )
    connection.channel().basic_publish("", "data_import.dead", body.encode(), properties)
    connection.close()


def _bury_as_it_is(running: Gateway, body: bytes, headers: dict[str, str]) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(running.broker))
    properties = pika.BasicProperties(headers=headers, delivery_mode=2)
    connection.channel().basic_publish("", "data_import.dead", body, properties)
    connection.close()


def _letters(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/dead-letters?queue=data_import").json()["letters"]
    return found


@pytest.fixture
def clean(running: Gateway, client: httpx.Client) -> None:
    client.delete("/v1/dead-letters/data_import")
    running.take("data_import")


@pytest.mark.usefixtures("clean")
def test_looking_at_dead_letters_leaves_them_there(running: Gateway, client: httpx.Client) -> None:
    ids = [uuid4().hex for _ in range(3)]
    for task_id in ids:
        _bury(running, task_id)
    for _ in range(25):  # more than RabbitMQ's default delivery limit
        until(lambda: [letter["task_id"] for letter in _letters(client)] == ids, 3)
    letter = client.get(f"/v1/dead-letters/data_import/{ids[1]}").json()
    assert letter["letter"]["reason"].startswith("Neo4j")
    assert (letter["letter"]["tries"], letter["letter"]["job_id"]) == (4, "j")
    assert letter["arguments"][0]["batch"] == 0


@pytest.mark.usefixtures("clean")
def test_a_replayed_letter_begins_anew_and_is_gone(running: Gateway, client: httpx.Client) -> None:
    task_id = uuid4().hex
    _bury(running, task_id)
    until(lambda: len(_letters(client)) == 1, 3)
    answer = client.post(f"/v1/dead-letters/data_import/{task_id}/replay")
    assert answer.json() == {"replayed": 1, "skipped": 0, "left": 0}
    assert client.post(f"/v1/dead-letters/data_import/{task_id}/replay").status_code == 404
    [(headers, (arguments, _, embed))] = running.take("data_import")
    assert (headers["id"], headers["retries"], headers.get("eta")) == (task_id, 0, None)
    assert not [
        name for name in headers if name.startswith(("x-death", "x-edugraph", "x-delivery"))
    ]
    assert (arguments[0]["job_id"], embed["chord"]) == ("j", None)


@pytest.mark.usefixtures("clean")
def test_a_task_that_succeeded_is_not_done_again(running: Gateway, client: httpx.Client) -> None:
    done, gave_up = uuid4().hex, uuid4().hex
    backend = make_app("test", Settings.model_validate({**_settings(running)})).backend
    backend.store_result(done, {"state": "written"}, "SUCCESS")
    backend.store_result(gave_up, {"state": "failed"}, "SUCCESS")
    for task_id in (done, gave_up):
        _bury(running, task_id)
    until(lambda: len(_letters(client)) == 2, 3)
    assert client.post("/v1/dead-letters/data_import/replay").json() == {
        "replayed": 1,
        "skipped": 1,
        "left": 0,
    }
    assert [headers["id"] for headers, _ in running.take("data_import")] == [gave_up]
    assert _letters(client) == []


@pytest.mark.usefixtures("clean")
def test_a_letter_is_dropped(running: Gateway, client: httpx.Client) -> None:
    ids = [uuid4().hex for _ in range(3)]
    for task_id in ids:
        _bury(running, task_id)
    until(lambda: len(_letters(client)) == 3, 3)
    assert client.delete(f"/v1/dead-letters/data_import/{ids[1]}").json() == {"dropped": 1}
    until(lambda: [letter["task_id"] for letter in _letters(client)] == [ids[0], ids[2]], 3)
    assert client.delete("/v1/dead-letters/data_import").json() == {"dropped": 2}
    assert client.get("/v1/dead-letters/nonsense/x").status_code == 422


@pytest.mark.usefixtures("clean")
def test_a_task_nobody_knows_is_not_replayed(running: Gateway, client: httpx.Client) -> None:
    task_id = uuid4().hex
    _bury(running, task_id, task="nonsense")
    until(lambda: len(_letters(client)) == 1, 3)
    assert client.post(f"/v1/dead-letters/data_import/{task_id}/replay").status_code == 422
    until(lambda: len(_letters(client)) == 1, 3)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("body", "died"),
    [
        (b"\xff not json", "2026-01-01T00:00:00+00:00"),
        (b"[]", "yesterday"),
        (b"{}", None),
        (b"7", ""),
    ],
)
def test_a_letter_that_nobody_can_read_is_shown_and_can_only_be_dropped(
    running: Gateway, client: httpx.Client, body: bytes, died: str | None
) -> None:
    task_id = uuid4().hex
    headers = {
        "id": task_id,
        "task": "import_batch_task",
        **({} if died is None else {"x-edugraph-died": died}),
    }
    _bury_as_it_is(running, body, headers)
    until(lambda: len(_letters(client)) == 1, 3)
    shown = client.get(f"/v1/dead-letters/data_import/{task_id}")
    assert (shown.status_code, shown.json()["arguments"]) == (200, None)
    answer = client.post(f"/v1/dead-letters/data_import/{task_id}/replay")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:edugraph:problem:rejected")
    assert "drop it" in answer.json()["detail"]
    until(lambda: len(_letters(client)) == 1, 3)
    assert client.delete(f"/v1/dead-letters/data_import/{task_id}").json() == {"dropped": 1}


@pytest.mark.usefixtures("clean")
def test_one_letter_that_cannot_be_sent_again_keeps_none_of_the_others(
    running: Gateway, client: httpx.Client
) -> None:
    _bury_as_it_is(running, b"\xff", {"id": "broken", "task": "import_batch_task"})
    _bury(running, "whole")
    until(lambda: len(_letters(client)) == 2, 3)
    answer = client.post("/v1/dead-letters/data_import/replay")
    assert answer.json() == {"replayed": 1, "skipped": 0, "left": 1}
    assert [headers["id"] for headers, _ in running.take("data_import")] == ["whole"]
    until(lambda: [letter["task_id"] for letter in _letters(client)] == ["broken"], 3)


@pytest.mark.usefixtures("clean")
def test_cancel_and_resume(running: Gateway, client: httpx.Client) -> None:
    job = post_records(client).json()["job_id"]
    assert client.post(f"/v1/jobs/{job}/resume").status_code == 409
    assert client.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    assert client.post(f"/v1/jobs/{job}/cancel").status_code == 409
    assert client.post(f"/v1/jobs/{job}/resume").json()["state"] == "running"
    first, again = running.take("data_import")
    assert first[0]["id"] != again[0]["id"]
    assert again[1][0][0].pop("deadline") >= first[1][0][0].pop("deadline")
    assert again[1][0][0].pop("generation") == 1
    assert first[1][0] == again[1][0]
    assert client.post("/v1/jobs/unknown/cancel").status_code == 404


def test_jobs_of_one_state_are_found_however_many_came_after(
    running: Gateway, client: httpx.Client
) -> None:
    stopped = post_records(client).json()["job_id"]
    client.post(f"/v1/jobs/{stopped}/cancel")
    later = [post_records(client).json()["job_id"] for _ in range(5)]
    page = client.get("/v1/jobs", params={"state": "cancelled", "limit": 1}).json()
    assert [job["job_id"] for job in page["jobs"]] == [stopped]
    refused = client.get("/v1/jobs?offset=1")
    assert (refused.status_code, "links.next" in refused.json()["detail"]) == (422, True)
    assert client.get("/v1/jobs?cursor=x").status_code == 422
    first = client.get("/v1/jobs", params={"state": "queued", "limit": 1}).json()
    queued = client.get(f"{first['links']['next']}&limit=2").json()["jobs"]
    assert [job["job_id"] for job in queued] == [later[3], later[2]]
    jobs, now = Jobs(connect(running.environment["EDUGRAPH_REDIS_URL"])), datetime.now(UTC)
    jobs.waits(later[0], "provider limit", now.timestamp() + 60, now)
    assert later[0] in [
        job["job_id"] for job in client.get("/v1/jobs?state=waiting").json()["jobs"]
    ]
    assert later[0] not in [
        job["job_id"] for job in client.get("/v1/jobs?state=queued").json()["jobs"]
    ]


def test_progress_comes_as_events_until_the_end(client: httpx.Client) -> None:
    job = post_records(client).json()["job_id"]
    with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
        states = []
        for line in stream.iter_lines():
            if line.startswith("data: "):
                states.append(json.loads(line.removeprefix("data: "))["state"])
                if len(states) == 1:
                    client.post(f"/v1/jobs/{job}/cancel")
    assert states == ["queued", "cancelled"]


def test_a_gateway_that_ends_does_not_wait_for_those_who_follow_a_job(
    running: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        gateway(running.environment, tmp_path_factory.mktemp("ending")) as other,
        other.client() as client,
    ):
        job = post_records(client).json()["job_id"]
        with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            os.kill(other.pid, signal.SIGTERM)
            begun = time.monotonic()
            assert "queued" in "".join(lines)
            assert time.monotonic() - begun < 10


def _last_of_audit(running: Gateway) -> Any:
    with connect(running.environment["EDUGRAPH_REDIS_URL"]) as client:
        return json.loads(str(client.lindex("edugraph:audit:entries", -1)))


@pytest.mark.usefixtures("clean")
def test_forgetting_a_student_is_sent_to_the_importer_and_audited(
    running: Gateway, client: httpx.Client
) -> None:
    answer = client.delete("/v1/students/s%2F1%20王")
    assert answer.status_code == 202
    [(headers, (arguments, _, _))] = running.take("data_import")
    assert (headers["task"], arguments[0]["ids"]) == ("erase_person_task", ["s/1 王"])
    entry = _last_of_audit(running)
    assert (entry["action"], entry["outcome"]) == ("student.forget", "accepted")
    assert re.fullmatch(r"[0-9a-f]{32}", entry["object"])
    assert "王" not in str(entry)
    assert "王" not in running.log.read_text()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("path", "task", "lifted", "action"),
    [
        ("restriction", "restrict_student_task", None, "student.restrict"),
        ("restriction/lift", "restrict_student_task", True, "student.lift"),
        ("export", "export_student_task", None, "student.export"),
    ],
)
def test_what_is_asked_of_a_student_is_sent_to_the_importer_and_audited(  # noqa: PLR0917 - one case a row
    running: Gateway, client: httpx.Client, path: str, task: str, lifted: bool | None, action: str
) -> None:
    assert client.post(f"/v1/students/s%2F1%20王/{path}").status_code == 202
    [(headers, (arguments, _, _))] = running.take("data_import")
    message = arguments[0]
    assert (headers["task"], message["student_id"]) == (task, "s/1 王")
    assert message.get("lifted") is lifted
    entry = _last_of_audit(running)
    assert entry["action"] == action
    assert "王" not in str(entry)
    assert "王" not in running.log.read_text()


def test_an_export_is_sent_once(running: Gateway, client: httpx.Client) -> None:
    with Blobs(running.environment["EDUGRAPH_BLOB_URL"]).write("exports/1-abc.zip") as file:
        file.write(b"zip" * 1_000_000)
    answer = client.get("/v1/exports/1-abc.zip")
    assert (answer.status_code, len(answer.content)) == (200, 3_000_000)
    assert client.get("/v1/exports/1-abc.zip").status_code == 404
    assert client.get("/v1/exports/..%2Fjobs%2Fx.zip").status_code in (404, 422)


def test_the_doctor_says_what_is_wrong_and_what_to_do(
    running: Gateway, client: httpx.Client
) -> None:
    checks = {check["name"]: check for check in client.get("/v1/diagnosis").json()["checks"]}
    assert checks["broker"] == {
        "name": "broker",
        "ok": True,
        "detail": "",
        "problems": [],
        "advice": [],
    }
    assert checks["blobs"]["ok"]
    connection = pika.BlockingConnection(pika.URLParameters(running.broker))
    connection.channel().queue_delete("llm_analysis.dead")
    connection.close()
    broker = next(c for c in client.get("/v1/diagnosis").json()["checks"] if c["name"] == "broker")
    settings = settings_from(running.environment)
    apply_topology(make_publisher("test", settings), settings)  # for the tests that come next
    assert "queue llm_analysis.dead is missing" in broker["problems"]
    assert broker["advice"] == ["Run: edugraph topology apply"]


def _settings(running: Gateway) -> dict[str, str]:
    fields = ("broker_url", "redis_url", "blob_url")
    return {field: running.environment[f"EDUGRAPH_{field.upper()}"] for field in fields}
