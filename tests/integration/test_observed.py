"""The whole system under a real Prometheus and a real Flower: what an operator sees of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx
import pytest
from beside import scripted_provider
from engines import CHECKOUT, SLOW, System, given, missing, real_engine

from edugraph_cli.processes import free_port
from edugraph_cli.serving import Pools, free_metrics_ports, metrics_ports
from tools import prometheus

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not SLOW, reason="takes five minutes: EDUGRAPH_SLOW=1"),
]
DASHBOARDS = sorted((CHECKOUT / "deploy" / "k8s" / "dashboards").glob("*.json"))
SHARED_CHECK = CHECKOUT.parent / "shared" / "tools" / "dashcheck.py"
FLOWER = CHECKOUT / ".run" / "flower" / "bin" / "edugraph-flower"
PASSWORD = "a-password-of-this-test"
# The broker gives up a silent connection after two heartbeats of 15 s, the alert waits a minute; the rest is scraping.
FIRES_WITHIN = 150


@dataclass(frozen=True)
class Observed:
    system: System
    port: int

    def firing(self) -> set[tuple[str, str]]:
        alerts = prometheus.ask(self.port, "alerts")["alerts"]
        firing = [alert["labels"] for alert in alerts if alert["state"] == "firing"]
        return {(labels["alertname"], labels.get("queue", "")) for labels in firing}


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with real_engine(tmp_path_factory.mktemp("observed")) as plain, scripted_provider() as url:
        ours = {
            "EDUGRAPH_METRICS_PORT": str(free_metrics_ports()),
            "OPENAI_BASE_URL": url,
            "EDUGRAPH_REQUESTS_PER_MINUTE": "6000",
            "EDUGRAPH_BUDGET_PER_JOB": "10",
        }
        engine = replace(plain, environment={**plain.environment, **ours})
        with engine.serve(Pools(importer=2, findings=1, analyzer=2)) as system:
            port = free_port()
            process = prometheus.start(
                engine.folder / "prometheus", port, _targets(engine.environment)
            )
            try:
                yield Observed(system, port)
            finally:
                process.terminate()
                process.wait(30)


def _targets(environment: dict[str, str]) -> dict[str, str]:
    ours = {job: f"127.0.0.1:{port}" for job, port in metrics_ports(environment).items()}
    broker = given("EDUGRAPH_BROKER_PROMETHEUS_URL")["EDUGRAPH_BROKER_PROMETHEUS_URL"]
    return ours | {"rabbitmq": urlsplit(broker).netloc}


@pytest.fixture(scope="module")
def worked(observed: Observed) -> Observed:
    """After an import with analysis, and some scrapes of it."""
    for name in ("courses.ndjson", "school_zh.ndjson", "school_en.ndjson"):
        report = observed.system.import_and_report(CHECKOUT / "examples" / name, "--analyze")
        assert report["state"] == "succeeded"
    time.sleep(25)
    return observed


def test_everything_is_scraped(worked: Observed) -> None:
    targets = prometheus.ask(worked.port, "targets")["activeTargets"]
    assert {target["labels"]["job"]: target["health"] for target in targets} == dict.fromkeys(
        ("gateway", "importer", "findings", "analyzer", "rabbitmq"), "up"
    )


def test_every_panel_has_data(worked: Observed) -> None:
    address = f"http://127.0.0.1:{worked.port}"
    check = [
        sys.executable,
        str(CHECKOUT / "deploy" / "dashboards" / "check.py"),
        "--prometheus",
        address,
    ]
    done = subprocess.run(
        [*check, *map(str, DASHBOARDS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not SHARED_CHECK.exists(), reason="the shared checker is not here")
def test_the_shared_checker_agrees(worked: Observed) -> None:
    programs = prometheus.program("promtool").parent
    command = [
        sys.executable,
        str(SHARED_CHECK),
        f"--prom=http://127.0.0.1:{worked.port}",
        *map(str, DASHBOARDS),
    ]
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_counted_in_prometheus_is_what_was_done(worked: Observed) -> None:
    rows = sum(
        len((CHECKOUT / "examples" / name).read_text(encoding="utf-8").splitlines())
        for name in ("courses.ndjson", "school_zh.ndjson", "school_en.ndjson")
    )
    (result,) = prometheus.ask(worked.port, "query", query="sum(edugraph_records_total)")["result"]
    assert float(result["value"][1]) == rows


def test_nothing_is_wrong(worked: Observed) -> None:
    assert worked.firing() == set()


def test_flower_is_closed_to_strangers_and_shows_all_pools_to_its_owner(worked: Observed) -> None:
    if not FLOWER.exists():
        missing("no Flower: make env-flower")
    port, environment = free_port(), {**os.environ, **worked.system.engine.environment}
    refused = subprocess.run(
        [str(FLOWER)], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert refused.returncode == 2
    assert "FLOWER_BASIC_AUTH" in refused.stderr
    environment["FLOWER_BASIC_AUTH"] = f"owner:{PASSWORD}"
    command = [str(FLOWER), f"--port={port}", "--address=127.0.0.1"]
    process = subprocess.Popen(
        command, env=environment, cwd=worked.system.engine.folder, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            _until_up(http)
            assert [http.get(path).status_code for path in ("/api/workers", "/", "/tasks")] == [
                401,
                401,
                401,
            ]
            http.auth = ("owner", PASSWORD)
            workers = http.get("/api/workers", params={"refresh": "1"}).raise_for_status().json()
            assert {name.split("@")[0] for name in workers} == {"importer", "findings", "analyzer"}
            queues = http.get("/api/queues/length").raise_for_status().json()["active_queues"]
            assert {queue["name"] for queue in queues} >= {
                "data_import",
                "graph_findings",
                "llm_analysis",
            }
            assert http.post("/api/worker/shutdown/x").status_code == 403, "it is read-only"
    finally:
        process.terminate()
        process.wait(20)


def _until_up(http: httpx.Client) -> None:
    for _ in range(200):
        try:
            http.get("/healthcheck").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("Flower did not start")


def test_a_worker_that_is_stopped_dead_raises_the_alarm(worked: Observed) -> None:
    importer = worked.system.processes.running["importer"].pid
    os.kill(importer, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        job = worked.system.client.import_records([json.loads(_first_line())])
        while ("EduGraphNobodyConsumes", "data_import") not in worked.firing():
            assert time.monotonic() - begun < FIRES_WITHIN, "it did not fire in time"
            time.sleep(2)
    finally:
        os.kill(importer, signal.SIGCONT)
    assert list(worked.system.client.follow(job.job_id))[-1].state == "succeeded"
    while worked.firing():
        assert time.monotonic() - begun < FIRES_WITHIN + 120, "it did not end"
        time.sleep(2)


def _first_line() -> str:
    with (CHECKOUT / "examples" / "school_en.ndjson").open(encoding="utf-8") as file:
        return file.readline()
