"""Canaries through every path of the real system: none may be in a log, a metric, an event or a failure's text.

What is searched: the logs of all processes at DEBUG, all /metrics, Celery's events (what Flower sees), the domain
events, and the results of tasks that did not succeed. What is not: results of tasks that succeeded, which hold
findings with their evidence, dead letters, and blobs: they are the data itself.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pika
import pytest
import redis
from amqp.exceptions import ConsumerCancelled
from beside import scripted_provider
from engines import Engine, System, real_engine
from service_settings import settings_from
from waiting import until

from edugraph_cli.serving import Pools, free_metrics_ports, metrics_ports
from edugraph_common.runtime.messaging.celery_app import make_app
from edugraph_common.runtime.messaging.dead_letter_store import open_dead_letters
from edugraph_common.runtime.service.settings import Settings

pytestmark = pytest.mark.real
NAME, TEXT, EMAIL = "Canarina Quetzal", "plumbago is what I wrote", "canarina@quetzal.example"
STUDENT, KEY, TOKEN, CHINESE = (
    "stu-canarina-1",
    "sk-canary-4711",
    "egk_canary_token",
    "金丝雀写的话",
)
FAULTS = ["400", "not_json", "filter", "cut", "401", "500", "truncated"]


def interaction(number: int) -> dict[str, Any]:
    return {
        "type": "student_interaction",
        "timestamp": "2026-03-01T10:00:00Z",
        "data": {
            "student_id_from": STUDENT,
            "student_id_to": f"{STUDENT}-{number}",
            "student_name_from": NAME,
            "interaction_type": "chat",
            "text": f"{TEXT}, number {number}. {CHINESE} {EMAIL}",
        },
    }


def mistake(number: int) -> dict[str, Any]:
    data = {
        "student_id": STUDENT,
        "course_id": "c-1",
        "student_name": NAME,
        "error_text": f"{TEXT} {number} {CHINESE}",
    }
    return {"type": "error_record", "timestamp": "2026-03-01T10:00:00Z", "data": data}


@dataclass
class Seen:
    """Everything that somebody other than the data's owner could read."""

    places: dict[str, str] = field(default_factory=dict)
    logs: list[dict[str, Any]] = field(default_factory=list)

    def hits(self, secrets: list[str]) -> list[str]:
        forms = {form for secret in secrets for form in (secret, json.dumps(secret)[1:-1])}
        lines = ((place, line) for place, text in self.places.items() for line in text.splitlines())
        return [
            f"{place}: {line[:400]}" for place, line in lines if any(form in line for form in forms)
        ]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Seen, list[str]]]:
    port = free_metrics_ports()
    with real_engine(tmp_path_factory.mktemp("canary")) as plain:
        ours = {
            "EDUGRAPH_LOG_LEVEL": "DEBUG",
            "EDUGRAPH_LOG_FORMAT": "json",
            "EDUGRAPH_METRICS_PORT": str(port),
        }
        engine = replace(plain, environment={**plain.environment, **ours})
        seen = Seen()
        with _events(engine, seen):
            with _running(engine, "offline", seen) as system:
                _imports(system)
                _bad_imports(system)
                _bad_messages(engine)
                _bad_requests(system)
            with scripted_provider({"faults": [{"every": 1, "at": 0, "kinds": FAULTS}]}) as url:
                away = {
                    "OPENAI_BASE_URL": url,
                    "OPENAI_API_KEY": KEY,
                    "EDUGRAPH_REQUESTS_PER_MINUTE": "6000",
                }
                failing = replace(
                    engine,
                    environment={**engine.environment, **away},
                    folder=engine.folder / "failing",
                )
                with _running(failing, "failing provider", seen) as system:
                    _analyses(system)
        seen.places["failed results"] = _failed_results(engine)
        yield seen, _secrets(engine)


@contextmanager
def _running(engine: Engine, name: str, seen: Seen) -> Iterator[System]:
    with engine.serve(Pools(importer=1, findings=1, analyzer=2)) as system:
        yield system
        for process, port in metrics_ports(engine.environment).items():
            answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).raise_for_status()
            assert "edugraph_build_info" in answer.text
            seen.places[f"{name}, metrics of {process}"] = answer.text
    for log in (engine.folder / "logs").glob("*.log"):
        seen.places[f"{name}, log of {log.stem}"] = log.read_text()
        seen.logs += [
            json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")
        ]


def _imports(system: System) -> None:
    path = system.engine.folder / "good.ndjson"
    path.write_text(
        "\n".join(
            json.dumps(record) for record in [*map(interaction, range(5)), *map(mistake, range(5))]
        )
    )
    report = system.import_and_report(path, "--analyze")
    assert (report["state"], report["written"]) == ("succeeded", 10)


def _bad_imports(system: System) -> None:
    bad = {
        "type": "course_record",
        "timestamp": TEXT,
        "data": {"student_id": STUDENT, "progress": NAME, EMAIL: KEY},
    }
    path = system.engine.folder / "bad.ndjson"
    path.write_text(
        "\n".join(
            [json.dumps(bad), f'{{"type": "{TEXT}', f"{NAME}: {EMAIL}", json.dumps(interaction(0))]
        )
    )
    assert system.import_and_report(path, "--analyze")["rejected"] == 3
    system.edugraph("import", str(path), "--mapping", str(path), "--follow")


def _bad_messages(engine: Engine) -> None:
    """What no client of ours would send: each ends in the dead letters."""
    broken = {"version": 1, "job_id": "j", "batch": TEXT, "records": [interaction(1)], EMAIL: NAME}
    bodies: list[tuple[str, str, bytes]] = [
        ("import_batch_task", "application/json", json.dumps([[broken], {}, {}]).encode()),
        ("import_batch_task", "application/json", json.dumps([[TEXT], {NAME: EMAIL}, {}]).encode()),
        ("no_such_task", "application/json", json.dumps([[broken], {}, {}]).encode()),
        ("import_batch_task", "application/json", f'[[{{"text": "{TEXT}'.encode()),
        ("import_batch_task", "application/x-python-serialize", TEXT.encode()),
    ]
    connection = pika.BlockingConnection(
        pika.URLParameters(engine.environment["EDUGRAPH_BROKER_URL"])
    )
    channel = connection.channel()
    for number, (task, kind, body) in enumerate(bodies):
        headers = {
            "task": task,
            "id": f"bad-{number}",
            "retries": 0,
            "lang": "py",
            "argsrepr": "",
            "kwargsrepr": "",
        }
        properties = pika.BasicProperties(
            content_type=kind, content_encoding="utf-8", headers=headers
        )
        channel.basic_publish("edugraph.tasks", "import.batch", body, properties)
    channel.basic_publish("edugraph.tasks", "import.batch", TEXT.encode())
    _until_dead(engine, len(bodies) + 1)
    connection.close()


def _bad_requests(system: System) -> None:
    with httpx.Client(
        base_url=system.url, headers={"Authorization": f"Bearer {TOKEN}", "X-Name": "Canarina"}
    ) as http:
        statuses = [
            http.post("/v1/imports", content=f'{{"records": ["{TEXT}'.encode()).status_code,
            http.post("/v1/imports", json={"records": TEXT, EMAIL: NAME}).status_code,
            http.post(
                "/v1/imports", json={"records": [interaction(1)], "batch_size": NAME}
            ).status_code,
            http.post(
                "/v1/analyses/errors", json={"records": [{"type": TEXT, "data": NAME}]}
            ).status_code,
            http.get(f"/v1/jobs/{STUDENT}", params={"q": EMAIL}).status_code,
            http.get(f"/v1/tasks/{TOKEN}").status_code,
            http.get(f"/{STUDENT}/{EMAIL}").status_code,
            http.request("DELETE", f"/v1/students/{STUDENT}", content=TEXT).status_code,
        ]
    assert 500 not in statuses, statuses


def _analyses(system: System) -> None:
    """Different texts, so that nothing comes from the cache, against a provider that fails in every way."""
    jobs = [
        system.client.import_records([interaction(number), mistake(number)], analyze=True)
        for number in range(100, 100 + len(FAULTS))
    ]
    for job in jobs:
        list(system.client.follow(job.job_id))


@contextmanager
def _events(engine: Engine, seen: Seen) -> Iterator[None]:
    """Celery's events as Flower gets them, and the domain events."""
    names = ("broker_url", "broker_management_url", "redis_url", "blob_url")
    given = {name: engine.environment[f"EDUGRAPH_{name.upper()}"] for name in names}
    app = make_app("canary", Settings.model_validate(given))
    received: list[str] = []
    done = threading.Event()

    def listen() -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(
                connection, handlers={"*": lambda event: received.append(json.dumps(event))}
            )
            while not done.is_set():
                try:
                    receiver.capture(limit=None, timeout=1, wakeup=False)
                except TimeoutError:
                    continue
                except ConsumerCancelled:
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    with pika.BlockingConnection(pika.URLParameters(given["broker_url"])) as connection:
        channel = connection.channel()
        channel.exchange_declare("edugraph.events", "topic", durable=True)
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "edugraph.events", "#")
        yield
        domain = []
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            domain.append(got[2].decode())
    done.set()
    thread.join(5)
    assert any("task-received" in event for event in received)
    assert domain
    seen.places["Celery's events"], seen.places["domain events"] = (
        "\n".join(received),
        "\n".join(domain),
    )


def _until_dead(engine: Engine, number: int) -> None:
    store = open_dead_letters(settings_from(engine.environment))
    until(lambda: store.counts()["data_import"] >= number, 30)


def _failed_results(engine: Engine) -> str:
    with redis.Redis.from_url(
        engine.environment["EDUGRAPH_REDIS_URL"], decode_responses=True
    ) as server:
        keys = list(server.scan_iter("celery-task-meta-*", count=1_000))
        kept = [value for value in (server.mget(keys) if keys else []) if value]
    failed = [value for value in kept if json.loads(value)["status"] != "SUCCESS"]
    assert failed, "nothing failed, so nothing was tested"
    return "\n".join(failed)


def _secrets(engine: Engine) -> list[str]:
    urls = [engine.environment[name] for name in ("EDUGRAPH_BROKER_URL", "EDUGRAPH_REDIS_URL")]
    passwords = [urlsplit(url).password or "" for url in urls] + [
        engine.environment["EDUGRAPH_NEO4J_PASSWORD"]
    ]
    long_enough = [password for password in passwords if len(password) > 8]  # "guest" is a word
    return [NAME, "Canarina", TEXT, "plumbago", EMAIL, STUDENT, KEY, TOKEN, CHINESE, *long_enough]


def test_no_canary_is_anywhere(seen: tuple[Seen, list[str]]) -> None:
    found, secrets = seen
    hits = found.hits(secrets)
    assert not hits, f"{len(hits)} hits, the first:\n" + "\n".join(hits[:10])


def test_every_line_of_a_task_says_which(seen: tuple[Seen, list[str]]) -> None:
    lines = [
        line
        for line in seen[0].logs
        if line["logger"].startswith("edugraph_common.runtime.messaging.task_base")
    ]
    assert {"task_failed"} <= {line["event"] for line in lines}
    for line in lines:
        assert {"task_id", "task", "trace_id", "tries"} <= line.keys(), line
    ended = [
        line
        for line in seen[0].logs
        if line["event"] == "task_ended" and line.get("batch") is not None
    ]
    assert ended
    assert all({"task_id", "task", "trace_id", "tries", "job_id"} <= line.keys() for line in ended)


def test_a_failure_has_its_type_its_reason_and_its_place(seen: tuple[Seen, list[str]]) -> None:
    # What a provider does makes tasks wait, and is no retry.
    failed = [line for line in seen[0].logs if line["event"] in {"task_failed", "task_retried"}]
    assert "task_failed" in {line["event"] for line in failed}
    assert all({"error", "reason", "traceback", "tries"} <= line.keys() for line in failed)


def test_a_request_and_its_tasks_have_one_trace(seen: tuple[Seen, list[str]]) -> None:
    asked = {
        line["trace_id"]
        for line in seen[0].logs
        if line["event"] == "request" and line["method"] == "POST"
    }
    worked = {
        line["trace_id"]
        for line in seen[0].logs
        if line["event"] == "task_ended" and "import" in line["task"]
    }
    analysed = {
        line["trace_id"]
        for line in seen[0].logs
        if line["event"] == "task_ended" and "analy" in line["task"]
    }
    assert analysed
    assert analysed <= worked
    assert len(worked & asked) >= 2
