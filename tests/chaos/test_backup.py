"""Backup and restore, as docs/operations.md tells it: everything is lost, and comes back from three copies."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from backing_up import copy_redis, dump_graph, load_graph, lose_everything, restore_redis
from command_line import edugraph
from feeding import Client, cook
from ground import Ground
from observing import compared, dead_letters, digest
from service_settings import settings_from
from supervised import Supervised
from traps import slow
from waiting import until

from edugraph_cli.serving import declare_topology
from edugraph_common.contracts.outcomes import ENDED
from edugraph_common.runtime.messaging.celery_app import make_publisher

pytestmark = [pytest.mark.real, pytest.mark.timeout(600), slow]
PARTS = ("gateway", "importer", "findings", "analyzer")


def test_all_comes_back_from_a_backup(ground: Ground, tmp_path: Path) -> None:
    environment = {**ground.environment, "EDUGRAPH_BLOB_URL": str(tmp_path / "blobs")}
    food, backup = cook(tmp_path / "records", 600, 20), tmp_path / "backup"
    declare_topology(environment)
    with Supervised.run(environment, tmp_path / "logs", PARTS) as system:
        client = Client(system.url)
        jobs = [client.submit(path, analyze=True) for path in (food.main, food.texts)]
        reports = {job: compared(ended(system.url, job)) for job in jobs}
        bury(environment)
        until(lambda: dead_letters(system.url)["data_import"] == 1, 30, every=1)
    before = digest(ground.direct, tmp_path / "before.ndjson")
    back_up(ground, environment, backup)
    lose_everything(ground)
    restore(ground, environment, backup)
    assert digest(ground.direct, tmp_path / "after.ndjson") == before
    with Supervised.run(environment, tmp_path / "logs-after", PARTS) as system:
        assert {job: compared(ended(system.url, job)) for job in reports} == reports
        again = ended(system.url, Client(system.url).submit(food.main))
        assert (again["written"], again["unchanged"]) == (0, 600)
        assert succeeding(environment, "dead", "replay", "data_import", "--all", url=system.url)


def bury(environment: dict[str, str]) -> None:
    """One message that is refused for good."""
    app = make_publisher("backup-test", settings_from(environment))
    app.send_task("import_batch_task", ({"job_id": "wrong"},), task_id=uuid4().hex, argsrepr="")


def back_up(ground: Ground, environment: dict[str, str], folder: Path) -> None:
    folder.mkdir()
    letters = succeeding(environment, "dead", "export", "data_import")
    (folder / "letters.ndjson").write_text(letters)
    copy_redis(ground, folder)
    dump_graph(ground, folder)


def restore(ground: Ground, environment: dict[str, str], folder: Path) -> None:
    restore_redis(ground, folder)
    ground.up("rabbitmq")
    load_graph(ground, folder)
    declare_topology(environment)
    assert "data_import 1" in succeeding(
        environment, "dead", "restore", str(folder / "letters.ndjson")
    )


def succeeding(environment: dict[str, str], *arguments: str, url: str = "") -> str:
    done = edugraph({**environment, "EDUGRAPH_URL": url}, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ended(url: str, job_id: str) -> dict[str, Any]:
    def report() -> dict[str, Any] | None:
        """The job has ended."""
        told: dict[str, Any] = httpx.get(f"{url}/v1/jobs/{job_id}", timeout=20).json()
        return told if told["state"] in ENDED else None

    return dict(until(report, 120, every=0.2))
