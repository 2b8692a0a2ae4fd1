"""Metrics and health files of a real worker on a real broker: exact, whatever happens to the pool's children."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from engines import SLOW, Engine, real_engine
from service_settings import settings_from
from waiting import until

from edugraph_common.runtime.messaging.celery_app import App, make_app
from edugraph_common.runtime.messaging.provisioning import apply_topology

pytestmark = pytest.mark.real
slow = pytest.mark.skipif(not SLOW, reason="EDUGRAPH_SLOW=1")
TASKS = 10_000 if SLOW else 520
CHILDREN = 26


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with real_engine(tmp_path_factory.mktemp("measured")) as engine:
        settings = settings_from(engine.environment)
        apply_topology(make_app("topology", settings), settings)
        yield engine


class Worker:
    def __init__(self, port: int, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.port, self.folder, self.process = port, folder, process

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text

    def value(self, name: str, **labels: str) -> float:
        """The sum over all series of this name that have these labels."""
        lines = re.findall(rf"^edugraph_{name}(?:{{(.*)}})? (\S+)$", self.metrics(), re.MULTILINE)
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(float(value) for given, value in lines if all(want in given for want in wanted))

    @property
    def files(self) -> dict[str, int]:
        return {file.name: file.stat().st_size for file in (self.folder / "metrics").glob("*.db")}

    def alive(self) -> bool:
        """The probe of the documentation, as a shell runs it."""
        probe = 'test $(( $(date +%s) - $(stat -c %Y "$EDUGRAPH_HEALTH_DIR/alive") )) -lt 8'
        environment = {
            "EDUGRAPH_HEALTH_DIR": str(self.folder / "health"),
            "PATH": os.environ["PATH"],
        }
        return (
            subprocess.run(["/bin/sh", "-c", probe], env=environment, check=False).returncode == 0
        )

    def ready(self) -> bool:
        return (self.folder / "health" / "ready").exists()


@contextmanager
def worker(engine: Engine, folder: Path, **environment: str) -> Iterator[Worker]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "measured_worker",
        "worker",
        "-Q",
        "data_import",
        "-c",
        "2",
    ]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle", "-n", f"measured-{port}@%h"],
            env={
                **os.environ,
                **engine.environment,
                "PYTHONPATH": str(Path(__file__).parent),
                "EDUGRAPH_METRICS_PORT": str(port),
                "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
                "EDUGRAPH_HEALTH_DIR": str(folder / "health"),
                **environment,
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        it = Worker(port, folder, process)
        until(it.ready, 60)
        yield it
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(60)


def publish(engine: Engine, batch: int, number: int = 1) -> None:
    app: App = make_app("publisher", settings_from(engine.environment))
    app.conf.result_backend = "disabled://"  # type: ignore[misc] # celery-types knows it as read-only
    for _ in range(number):
        app.send_task(
            "import_batch_task", args=({"job_id": "measured", "batch": batch, "records": []},)
        )


def test_counts_are_exact_and_files_do_not_grow_while_children_are_replaced(
    engine: Engine, tmp_path: Path
) -> None:
    each = TASKS // CHILDREN
    with worker(engine, tmp_path, TASKS_PER_CHILD=str(each), IGNORE_RESULTS="1") as it:
        publish(engine, 0, number=2 * each)
        until(lambda: it.value("tasks_total", outcome="succeeded") == 2 * each, 120)
        early = it.files
        publish(engine, 0, number=TASKS - 2 * each)
        until(lambda: it.value("tasks_total", outcome="succeeded") >= TASKS, 300)
        until(lambda: it.value("tasks_active") == 0, 5)
        assert it.value("tasks_total") == TASKS
        assert it.value("task_seconds_count") == TASKS
        assert it.value("task_queue_wait_seconds_count", queue="data_import") == TASKS
        assert it.value("worker_children_started_total") >= CHILDREN
        assert it.files == early
        kinds = {name.rsplit("_", 1)[0] for name in early}
        assert len(early) <= 3 * len(kinds), "more than one set of files for each place in the pool"


@slow
def test_every_end_of_a_task_is_counted_as_what_it_was(engine: Engine, tmp_path: Path) -> None:
    with worker(engine, tmp_path) as it:
        assert (
            'edugraph_tasks_total{outcome="lost",queue="data_import",task="import_batch_task"} 0.0'
            in it.metrics()
        )
        for batch in (0, 1, 2, 3, 4, 5):
            publish(engine, batch)
        # The one that kills its child comes back as often as the delivery limit allows.
        until(lambda: it.value("tasks_total", outcome="lost") == 6, 120)
        until(lambda: it.value("tasks_total", outcome="succeeded") == 3, 30)
        assert it.value("tasks_total", outcome="failed") == 2
        assert it.value("tasks_total", outcome="retried") == 1
        assert it.value("tasks_total", outcome="waiting") == 1
        assert it.value("task_redeliveries_total") == 5
        assert it.value("worker_children_started_total") == 2 + 6
        until(lambda: it.value("tasks_active") == 0, 5)


def test_a_worker_is_alive_without_a_broker_and_ready_only_with_one(
    engine: Engine, tmp_path: Path
) -> None:
    management = engine.environment["EDUGRAPH_BROKER_MANAGEMENT_URL"]
    with httpx.Client(base_url=management) as api, worker(engine, tmp_path) as it:
        assert it.alive()
        assert it.value("worker_consuming", queue="data_import") == 1
        vhost = engine.environment["EDUGRAPH_BROKER_URL"].rsplit("/", 1)[1]
        api.put(f"/api/vhost-limits/{vhost}/max-connections", json={"value": 0}).raise_for_status()
        until(lambda: _cut(api, vhost) and not it.ready(), 30)
        time.sleep(12)
        assert it.alive()
        assert not it.ready()
        assert it.value("worker_consuming", queue="data_import") == 0
        api.delete(f"/api/vhost-limits/{vhost}/max-connections").raise_for_status()
        until(it.ready, 60)
        assert it.value("worker_connections_total") >= 2


def _cut(api: httpx.Client, vhost: str) -> bool:
    """The management API learns of a connection some seconds after it was made."""
    for connection in api.get(f"/api/vhosts/{vhost}/connections").json():
        api.delete(f"/api/connections/{connection['name']}")
    return True


@slow
def test_a_worker_that_is_stopped_dead_is_not_alive(engine: Engine, tmp_path: Path) -> None:
    with worker(engine, tmp_path) as it:
        assert it.alive()
        it.process.send_signal(signal.SIGSTOP)
        until(lambda: not it.alive(), 20)
