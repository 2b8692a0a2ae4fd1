"""Backup and restore, as docs/operations.md tells it: everything is lost, and comes back from three copies."""

import shutil
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis
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
from tools import cache
from tools.servers.neo4j import Neo4j, find_java
from tools.servers.server import clean_env

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
    ground.stop("neo4j")
    neo4j_admin(ground, "database", "dump", "neo4j", f"--to-path={folder}")


def copy_redis(ground: Ground, folder: Path) -> None:
    """A new append-only file, and no other one begun while it is copied."""
    with redis.Redis.from_url(ground.direct["EDUGRAPH_REDIS_URL"]) as client:
        client.config_set("auto-aof-rewrite-percentage", 0)
        client.bgrewriteaof()
        until(lambda: not rewriting(client), 30)
        shutil.copytree(
            ground.servers["redis"].checkout.folder("redis") / "appendonlydir",
            folder / "appendonlydir",
        )
        client.config_set("auto-aof-rewrite-percentage", 100)


def rewriting(client: "redis.Redis") -> bool:
    state: dict[str, Any] = client.info("persistence")
    return bool(state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])


def lose_everything(ground: Ground) -> None:
    for server in ground.servers.values():
        server.kill()
        server.down()
        server.wipe()


def restore(ground: Ground, environment: dict[str, str], folder: Path) -> None:
    place = ground.servers["redis"].checkout.folder("redis") / "appendonlydir"
    shutil.copytree(folder / "appendonlydir", place)
    for name in ground.servers:  # Neo4j too: its first start sets the password
        ground.up(name)
    ground.stop("neo4j")
    neo4j_admin(
        ground, "database", "load", "neo4j", f"--from-path={folder}", "--overwrite-destination=true"
    )
    ground.up("neo4j")
    declare_topology(environment)
    assert "data_import 1" in succeeding(
        environment, "dead", "restore", str(folder / "letters.ndjson")
    )


def neo4j_admin(ground: Ground, *arguments: str) -> None:
    server = ground.servers["neo4j"]
    assert isinstance(server, Neo4j)
    jars, home = cache.folder() / f"neo4j-{server.version}", server.home
    command = [find_java(17), "-cp", f"{jars}/*", "org.neo4j.cli.AdminTool", *arguments]
    env = clean_env(HOME=str(home), NEO4J_HOME=str(home), NEO4J_CONF=str(home / "conf"))
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


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
