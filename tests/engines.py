"""The engines that a test run has: the real servers given by the environment, and the embedded ones.

Where a real server is missing, tests skip on a developer's machine and fail in CI.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import neo4j
import pytest

from edugraph_cli.client import Client
from edugraph_cli.embedded.servers import embedded_servers
from edugraph_cli.processes import Processes
from edugraph_cli.serving import Pools, serving

REAL = (
    "EDUGRAPH_BROKER_URL",
    "EDUGRAPH_BROKER_MANAGEMENT_URL",
    "EDUGRAPH_REDIS_URL",
    "EDUGRAPH_NEO4J_URI",
    "EDUGRAPH_NEO4J_USER",
    "EDUGRAPH_NEO4J_PASSWORD",
)


# Tests of minutes run where they are asked for: make traps, make observe-tests.
SLOW = bool(os.environ.get("EDUGRAPH_SLOW"))


def missing(sentence: str) -> None:
    """What a test needs is not here: it fails in CI, and is skipped elsewhere."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(sentence)


def given(*names: str) -> dict[str, str]:
    """The addresses of real servers in the environment, or `missing`."""
    absent = [name for name in names if not os.environ.get(name)]
    if absent:
        missing(f"no real servers: {absent[0]} is not set; run this by `make test`")
    return {name: os.environ[name] for name in names}


def in_vhost(broker_url: str, name: str) -> str:
    """The broker's address with another virtual host."""
    return urlsplit(broker_url)._replace(path=f"/{name}").geturl()


def real_servers() -> dict[str, str]:
    return given(*REAL)


@contextmanager
def own_vhost() -> Iterator[dict[str, str]]:
    """The real servers, with a virtual host of this test alone: nothing of another run is in its queues."""
    addresses, name = real_servers(), f"test-{uuid4().hex[:8]}"
    with httpx.Client(base_url=addresses["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=20) as api:
        api.put(f"/api/vhosts/{name}").raise_for_status()
        try:
            yield {**addresses, "EDUGRAPH_BROKER_URL": in_vhost(addresses["EDUGRAPH_BROKER_URL"], name)}
        finally:
            api.delete(f"/api/vhosts/{name}")


def empty_graph(environment: Mapping[str, str]) -> None:
    """Relationships first and in portions: a hub's would not fit into one transaction."""
    auth = (environment["EDUGRAPH_NEO4J_USER"], environment["EDUGRAPH_NEO4J_PASSWORD"])
    database = environment.get("EDUGRAPH_NEO4J_DATABASE", "neo4j")
    with neo4j.GraphDatabase.driver(environment["EDUGRAPH_NEO4J_URI"], auth=auth) as driver:
        for statement in (
            "MATCH ()-[r]->() WITH r LIMIT 20000 DELETE r RETURN count(*) AS n",
            "MATCH (n) WITH n LIMIT 20000 DELETE n RETURN count(*) AS n",
        ):
            while driver.execute_query(statement, database_=database).records[0]["n"]:
                pass


CHECKOUT = Path(__file__).parents[1]
SHARED_RECORDS = Path(os.environ.get("EDUGRAPH_SHARED_DATA", CHECKOUT.parent / "shared" / "data")) / "records"


@dataclass(frozen=True)
class Engine:
    """Servers that are up; `serve` runs the system's processes on them."""

    name: str
    environment: dict[str, str]
    folder: Path

    @contextmanager
    def serve(self, pools: Pools) -> Iterator["System"]:
        with serving(self.environment, self.folder / "logs", pools) as (url, processes), Client(url) as client:
            yield System(engine=self, url=url, client=client, processes=processes)

    def empty(self) -> None:
        empty_graph(self.environment)


@dataclass(frozen=True)
class System:
    engine: Engine
    url: str
    client: Client
    processes: Processes

    def edugraph(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The command line, as a user types it."""
        return subprocess.run(
            [sys.executable, "-m", "edugraph_cli", *arguments],
            env={**os.environ, **self.engine.environment, "EDUGRAPH_URL": self.url},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def peak_memory(self) -> dict[str, int]:
        """MB of the largest process of each kind, pool children included."""
        return {name: max(map(_peak, family(process.pid))) for name, process in self.processes.running.items()}

    def log_lines(self, words: str) -> int:
        """How many lines of all logs hold these words."""
        logs = self.processes.logs.glob("*.log")
        return sum(line.count(words) > 0 for log in logs for line in log.read_text(errors="replace").splitlines())

    def import_and_report(self, path: Path, *options: str) -> dict[str, object]:
        done = self.edugraph("import", str(path), "--follow", "--json", *options)
        assert done.stdout, done.stderr
        report: dict[str, object] = json.loads(done.stdout)
        return report


@contextmanager
def real_engine(folder: Path) -> Iterator[Engine]:
    with own_vhost() as addresses:
        environment = {**addresses, "EDUGRAPH_BLOB_URL": str(folder / "blobs"), "EDUGRAPH_AUTH": "off"}
        yield Engine(name="real", folder=folder, environment=environment)


def family(pid: int) -> list[int]:
    """The process, its children, and theirs."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [pid, *(child for entry in listed.split() for child in family(int(entry)))]


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) // 1024


@contextmanager
def embedded_engine(folder: Path) -> Iterator[Engine]:
    with embedded_servers(folder / "servers") as environment:
        yield Engine(name="embedded", environment=environment, folder=folder)
