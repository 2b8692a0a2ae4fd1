"""A backup by the chart's own scripts on real servers, and a restore after which nobody who was erased is back."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import guard
import neo4j
import pytest
import redis
from importers import no_letters
from pydantic import SecretStr
from rooms import Room
from waiting import until

from dev.debian import packages as debian
from edugraph_cli.backups import Clock, parsed, run
from edugraph_cli.processes import free_port
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_common.runtime.shared_state.object_store import ERASURES, Blobs
from edugraph_common.runtime.shared_state.redis_texts import RedisTexts
from edugraph_importer.erasure import Erasure
from edugraph_importer.graph import Graph, GraphSettings, RecordBatch
from tools import cache
from tools.servers.checkout import Checkout
from tools.servers.neo4j import DEFAULT_VERSION, JAVA_OF_QUICK, JAVA_OPTIONS, Neo4j, find_java

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[4]
SCRIPTS = ROOT / "deploy" / "k8s" / "files"
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
PASSWORD = "of-a-test-alone"


class Container:
    """A start script that is started again whenever it ends, as Kubernetes does. `programs` are on its PATH."""

    def __init__(self, folder: Path, programs: dict[str, str], script: str) -> None:
        self.log = (folder / "container.log").open("ab")
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        for name, command in programs.items():
            program = bin_folder / name
            program.write_text(f"#!/bin/sh\n{command}\n")
            program.chmod(0o755)
        again = f"sh -c {shlex.quote(script)} & child=$!; wait $child"
        stop = "stop() { kill $child; wait $child; exit; }; trap stop TERM"
        loop = f"{stop}; while :; do {again}; done"
        environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(folder)}
        self.process = subprocess.Popen(
            ["sh", "-c", loop],
            env=environment,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        # Programs that the script started in the background end with a container.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.log.close()


@contextmanager
def neo4j_of_chart(folder: Path) -> Iterator[GraphSettings]:
    """Neo4j, started by the chart's script."""
    port = free_port()
    jars = cache.built(f"neo4j-{DEFAULT_VERSION}", Neo4j(Checkout(ROOT))._get_jars)
    options = [*JAVA_OPTIONS, *JAVA_OF_QUICK, "-Xmx300m", "-cp", f"{jars}/*"]
    java = shlex.join([find_java(17), *options])
    conf = folder / "conf"
    conf.mkdir(parents=True)
    settings = {
        "server.bolt.listen_address": f"127.0.0.1:{port}",
        "server.http.enabled": "false",
        "server.memory.pagecache.size": "64m",
        "server.directories.data": str(folder / "data"),
        "dbms.security.auth_enabled": "false",
        "dbms.usage_report.enabled": "false",
    }
    (conf / "neo4j.conf").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
    homes = f"export NEO4J_HOME={folder} NEO4J_CONF={conf}; exec {java}"
    programs = {
        "neo4j": f"{homes} org.neo4j.server.CommunityEntryPoint --home-dir={folder} --config-dir={conf}",
        "neo4j-admin": f'{homes} org.neo4j.cli.AdminTool "$@"',
    }
    shared = folder / "data" / "backup"
    script = f"exec sh {SCRIPTS}/neo4j-start.sh neo4j {shared}"
    container = Container(folder, programs, script)
    uri = f"bolt://127.0.0.1:{port}"
    try:
        with guard.started_here(
            {
                "EDUGRAPH_NEO4J_URI": uri,
                "EDUGRAPH_NEO4J_USER": "neo4j",
                "EDUGRAPH_NEO4J_PASSWORD": PASSWORD,
            }
        ):
            yield GraphSettings(
                uri=uri,
                user="neo4j",
                password=SecretStr(PASSWORD),
                privacy_secret=SecretStr("a secret of this test"),
            )
    finally:
        container.stop()


@contextmanager
def redis_of_chart(folder: Path) -> Iterator[str]:
    """Redis with the append-only file of the chart, started with the part of its script that makes backups."""
    port = free_port()
    data = folder / "data"
    data.mkdir(parents=True)
    debian_programs = debian.programs()
    inside = debian_programs.inside(data)
    # Redis may see its folder under another path than the script does.
    see = f"s#{data}#{inside}#g"
    command = f'set -- $(printf "%s " "$@" | sed "{see}"); exec '
    enter = shlex.join(debian_programs.command(data))
    programs = {
        "redis-server": f'{command}{enter} redis-server "$@"',
        "redis-cli": f'{command}{enter} redis-cli -p {port} "$@"',
        "redis-check-rdb": f'{command}{enter} redis-check-rdb "$@"',
    }
    settings = f"--port {port} --bind 127.0.0.1 --dir {data} --appendonly yes --save '' --appendfsync always"
    script = f"data={data}; . {SCRIPTS}/redis-backups.sh; exec redis-server {settings}"
    container = Container(folder, programs, script)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        yield url
    finally:
        container.stop()


def backup(kind: str, action: str, tmp_path: Path) -> None:
    shared = tmp_path / {"graph": "neo4j", "redis": "redis"}.get(kind, "") / "data" / "backup"
    places = ["--to", str(tmp_path / "kept"), "--blobs", str(tmp_path / "blobs")]
    options = [action, kind, *places, "--folder", str(shared), "--keep-days", "14"]
    clock = Clock(lambda: datetime.now(UTC), time.sleep)
    run(parsed([*options, "--wait-seconds", "300"]), clock)


def answers(connected: Any) -> bool:
    try:
        connected()
    except (neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError, redis.RedisError):
        return False
    return True


def write(graph: Graph, job: str, *students: str) -> Any:
    records = []
    for line, student in enumerate(students, start=1):
        data = {"student_id": student, "course_id": "c", "error_text": f"wrong, says {student}"}
        row = {"type": "error_record", "timestamp": "2026-01-01", "record_id": f"{student}/1"}
        records.append((line, parse_record({**row, "data": data})))
    return graph.write_batch(RecordBatch(job, 0, records, (), len(records)))


def test_a_restore_and_a_replay_bring_nobody_back(tmp_path: Path) -> None:
    """Out: a branch of neo4j-start.sh or redis-backups.sh, `replay`, or the kind `erasures`."""
    with (
        neo4j_of_chart(tmp_path / "neo4j") as settings,
        redis_of_chart(tmp_path / "redis") as redis_url,
        closing(connect(redis_url)) as client,
    ):
        auth = (settings.user, PASSWORD)
        driver = neo4j.GraphDatabase.driver(
            settings.uri, auth=auth, notifications_min_severity="OFF"
        )
        until(lambda: answers(driver.verify_connectivity), 240, every=0.5)
        until(lambda: answers(client.ping), 30)
        with driver, closing(Graph(settings)) as graph:
            graph.prepare()
            room = Room(graph, driver, settings)
            blobs = Blobs(str(tmp_path / "blobs"))
            members = CourseMembers(client)
            texts, jobs = RedisTexts(client), Jobs(client)
            erasure = Erasure(graph, jobs, blobs, texts, members, no_letters, lambda: NOW)
            write(graph, "first", "anna", "ben", "carl")
            client.set("a-key", "as it was")
            before = room.digest()
            for kind in ("graph", "redis", "objects"):
                backup(kind, "save", tmp_path)
            until(lambda: answers(driver.verify_connectivity), 240, every=0.5)

            erasure.erase(("ben",))
            client.set("a-key", "later")
            backup("erasures", "save", tmp_path)
            expected = room.digest()
            assert expected != before
            # All is lost but the backups.
            room.empty()
            client.flushall()
            blobs.delete(ERASURES)

            for kind in ("graph", "redis", "objects", "erasures"):
                backup(kind, "restore", tmp_path)
            until(lambda: answers(driver.verify_connectivity), 240, every=0.5)
            until(lambda: answers(client.ping), 30)
            assert client.get("a-key") in (b"as it was", "as it was")
            # The backup is from before the erasure, so the restore alone does bring them back.
            assert room.digest() == before
            erasure.replay()
            assert room.digest() == expected
            assert write(graph, "again", "ben").rejected == 1
            texts_left = room.query("MATCH (n) RETURN properties(n) AS found")
            assert "ben" not in str(texts_left)
