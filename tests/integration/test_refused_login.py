"""Redis refuses the login of a worker, before its start and while it runs: whatever an operator looks at says so."""

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pika
import pytest
from engines import Engine, System, own_vhost, refusals, with_own_redis_users
from waiting import stays, until

from edugraph_cli.processes import worker_command
from edugraph_cli.serving import PROCESSES, REDIS, Pools
from edugraph_common.contracts.outcomes import ENDED
from edugraph_common.runtime.messaging.dead_letters import WAITED_FOR
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.redis_users import rules_of

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
RECORD = {
    "type": "course_record",
    "timestamp": "2026-01-05T08:00:00Z",
    "data": {"student_id": "s-refused", "course_id": "c-refused", "progress": 50},
}
BROKER = "EDUGRAPH_BROKER_URL"
DELAY_SECONDS = 20  # a message that was put back is delayed by 16 s
PASSWORD = "of-the-refused-worker"


@dataclass(frozen=True)
class School:
    """A system whose importer logs in to Redis as `user`, who is not there at first."""

    system: System
    redis_url: str
    user: str
    health: Path

    def admit(self) -> None:
        with connect(self.redis_url) as client:
            rules = rules_of("importer")
            client.execute_command(
                "ACL", "SETUSER", self.user, "reset", "on", f">{PASSWORD}", "resetchannels", *rules
            )

    def shut_out(self) -> None:
        """Deleting a user ends its connections."""
        with connect(self.redis_url) as client:
            client.acl_deluser(self.user)

    def submit(self) -> str:
        body = {"records": [RECORD | {"record_id": uuid4().hex}]}
        return str(
            httpx.post(f"{self.system.url}/v1/imports", json=body, timeout=30).json()["job_id"]
        )

    def waits_for(self, job: str) -> str:
        return self.system.client.job(job).waiting_for or ""

    def ready(self) -> bool:
        return (self.health / "ready").exists()

    def errors(self) -> list[dict[str, Any]]:
        """What the command of the runbook shows of the importer's log."""
        text = (self.system.engine.folder / "logs" / "importer.log").read_text(errors="replace")
        lines = [
            line for line in text.splitlines() if re.search("warning|error", line, re.IGNORECASE)
        ]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def metric(self, name: str, **labels: str) -> list[float]:
        port = self.system.metrics_ports[PROCESSES.index("importer")]
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        found = re.findall(rf"^edugraph_{name}{{(.*)}} (\S+)$", text, re.MULTILINE)
        return [float(value) for given, value in found if all(each in given for each in wanted)]

    def spans(self) -> list[dict[str, Any]]:
        """The deliveries of tasks to the importer."""
        lines = (self.system.engine.folder / "spans").read_text(encoding="utf-8").splitlines()
        return [span for span in map(json.loads, lines) if span["name"].startswith("run ")]

    def waiting_headers(self) -> list[str]:
        """Why the messages that wait in data_import were put back. They stay there, with one delivery less."""
        reasons = []
        with pika.BlockingConnection(
            pika.URLParameters(self.system.engine.environment[BROKER])
        ) as connection:
            channel = connection.channel()
            while True:
                method, properties, _ = channel.basic_get("data_import")
                if method is None:
                    return reasons
                reasons.append((properties.headers or {}).get(WAITED_FOR, ""))

    def checks(self) -> dict[str, dict[str, Any]]:
        done = self.system.edugraph("doctor", "--json")
        return {check["name"]: check for check in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    folder = tmp_path_factory.mktemp("refused")
    user = f"edugraph-importer-{uuid4().hex[:6]}"
    with (
        own_vhost() as addresses,
        with_own_redis_users(addresses) as own,
        refusals(addresses[REDIS]),
    ):
        there = urlsplit(addresses[REDIS])
        address = there._replace(
            netloc=f"{user}:{PASSWORD}@{there.netloc.rpartition('@')[2]}"
        ).geturl()
        importer = {
            REDIS: address,
            "EDUGRAPH_HEALTH_DIR": str(folder / "health"),
            "EDUGRAPH_TRACING": f"file:{folder / 'spans'}",
        }
        environment = {
            **addresses,
            "EDUGRAPH_BLOB_URL": str(folder / "blobs"),
            "EDUGRAPH_AUTH": "off",
        }
        engine = Engine(
            name="refused",
            folder=folder,
            environment=environment,
            own={**own, "importer": {**own.get("importer", {}), **importer}},
        )
        with engine.serve(Pools(importer=1, findings=1, analyzer=1)) as system:
            school = School(system, addresses[REDIS], user, folder / "health")
            try:
                yield school
            finally:
                school.shut_out()


def test_a_worker_that_is_refused_at_its_start_says_so_everywhere(school: School) -> None:
    reason = f"Redis refuses the user {school.user}"
    until(lambda: any(line["event"] == "server_refused" for line in school.errors()), 60)
    line = next(line for line in school.errors() if line["event"] == "server_refused")
    assert line["level"] == "error"
    assert line["server"] == "redis"
    assert reason in line["reason"]
    assert PASSWORD not in json.dumps(school.errors())
    assert not school.ready()

    job = school.submit()
    until(lambda: reason in school.waits_for(job), 60, every=0.5)
    assert school.system.client.job(job).state == "waiting"
    # Nobody takes the message: it uses none of its deliveries.
    assert stays(lambda: not school.ready(), 3)
    assert school.metric("tasks_total") == [0.0] * len(school.metric("tasks_total"))
    up = {"service": "importer", "dependency": "redis"}
    assert school.metric("dependency_up", reason="refused", **up) == [0.0]
    assert school.metric("dependency_up", reason="away", **up) == [1.0]
    assert school.metric(
        "dependency_up", service="importer", dependency="neo4j", reason="refused"
    ) == [1.0]

    checks = school.checks()
    assert not checks["importer"]["ok"]
    assert reason in checks["importer"]["problems"][0]
    assert "kubectl logs" in checks["importer"]["advice"][0]
    assert checks["findings"]["ok"]
    assert checks["findings: Redis"]["ok"]
    assert checks["findings: Neo4j"]["ok"]
    assert checks["analyzer: provider"]["detail"].startswith("not asked")
    assert "provider" not in checks

    school.admit()
    until(school.ready, 60)
    until(lambda: school.system.client.job(job).state in ENDED, 60)
    assert school.system.client.job(job).state == "succeeded"
    assert school.metric("dependency_up", reason="refused", **up) == [1.0]
    assert school.checks()["importer"]["ok"]


def test_a_login_that_ends_while_the_worker_runs_uses_no_try_and_leaves_no_dead_letter(
    school: School,
) -> None:
    reason = f"Redis refuses the user {school.user}"
    school.admit()
    until(school.ready, 60)
    school.shut_out()
    jobs = [school.submit() for _ in range(3)]
    until(lambda: not school.ready(), 60)
    for job in jobs:
        until(lambda job=job: reason in school.waits_for(job), 60, every=0.5)  # type: ignore[misc]
    assert sum(school.metric("tasks_total", outcome="failed")) == 0
    assert sum(school.metric("tasks_total", outcome="put back")) > 0
    # Celery's own note that a task began must not be what puts its message back: that would use a delivery.
    assert {line["event"] for line in school.errors()} & {"task_put_back"} == set()
    put_back = [span for span in school.spans() if span["status"] == "error"]
    assert {span["attributes"]["state"] for span in put_back} == {"PUT BACK"}
    assert all("Redis refuses the login" in span["status_reason"] for span in put_back)
    # Delayed messages come back into the queue, and wait there. Each look at them uses a delivery, so there is one.
    time.sleep(DELAY_SECONDS)
    assert any("Redis refuses the login" in reason for reason in school.waiting_headers())
    assert not school.ready()

    school.admit()
    until(lambda: all(school.system.client.job(job).state in ENDED for job in jobs), 90, every=0.5)
    assert [school.system.client.job(job).state for job in jobs] == ["succeeded"] * len(jobs)
    # Another engine of this session may use the same Redis, so the letters of other jobs do not count.
    letters = json.loads(school.system.edugraph("dead", "list", "--json").stdout)["letters"]
    assert [letter for letter in letters if letter["job_id"] in jobs] == []
    assert sum(school.metric("tasks_total", outcome="failed")) == 0


def test_a_doctor_who_gets_no_answer_says_where_to_look(school: School) -> None:
    importer = school.system.processes.running["importer"]
    importer.terminate()
    importer.wait(60)
    try:
        check = school.checks()["importer"]
        assert not check["ok"]
        assert check["problems"] == ["no worker takes messages from data_import"]
        assert "docker compose logs importer" in check["advice"][0]
    finally:
        command = worker_command(
            "edugraph_importer.worker", "importer", "data_import,import_splits", 1
        )
        assert command[0] == sys.executable
        school.system.processes.start("importer", command, school.system.engine.own["importer"])
