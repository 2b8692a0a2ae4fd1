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


def real_servers() -> dict[str, str]:
    """The addresses of the real servers; skips or fails the test where one is missing."""
    missing = [name for name in REAL if not os.environ.get(name)]
    if missing:
        sentence = f"no real servers: {missing[0]} is not set; run this by `make test`"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(sentence)
    return {name: os.environ[name] for name in REAL}


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
        return {name: max(map(_peak, _family(process.pid))) for name, process in self.processes.running.items()}

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
    """A virtual host of its own, so that nothing of another run is in the queues."""
    addresses = real_servers()
    name = f"e2e-{uuid4().hex[:8]}"
    with httpx.Client(base_url=addresses["EDUGRAPH_BROKER_MANAGEMENT_URL"]) as api:
        api.put(f"/api/vhosts/{name}").raise_for_status()
        try:
            yield Engine(
                name="real",
                folder=folder,
                environment={
                    **addresses,
                    "EDUGRAPH_BROKER_URL": addresses["EDUGRAPH_BROKER_URL"].rsplit(":", 1)[0]
                    + f":{_port(addresses['EDUGRAPH_BROKER_URL'])}/{name}",
                    "EDUGRAPH_BLOB_URL": str(folder / "blobs"),
                    "EDUGRAPH_AUTH": "off",
                },
            )
        finally:
            api.delete(f"/api/vhosts/{name}")


def _family(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [pid, *(child for entry in listed.split() for child in _family(int(entry)))]


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) // 1024


def _port(url: str) -> str:
    return url.rsplit(":", 1)[1].split("/", 1)[0]


@contextmanager
def embedded_engine(folder: Path) -> Iterator[Engine]:
    with embedded_servers(folder / "servers") as environment:
        yield Engine(name="embedded", environment=environment, folder=folder)
