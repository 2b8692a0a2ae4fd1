"""The engines that a test run has: the real servers of the tests (addresses.py), and the embedded ones.

Where a real server is missing, tests skip on a developer's machine and fail in CI. One that holds what no test made ends
the run (guard.py).
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import uuid4

import guard
import httpx
import pytest
from addresses import TESTS, clean, in_ci, named_for_services
from command_line import edugraph_here

from edugraph_cli.embedded.servers import embedded_servers
from edugraph_cli.processes import Processes, worker_command
from edugraph_cli.serving import (
    IMPORTS,
    PROCESSES,
    REDIS,
    Pools,
    free_metrics_ports,
    metrics_ports,
    serving,
    with_redis_users,
)
from edugraph_client import Client
from edugraph_common.runtime.messaging.dead_letter_store import KEYS
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.redis_users import SERVICES, redis_user

REAL = (
    "EDUGRAPH_BROKER_URL",
    "EDUGRAPH_BROKER_MANAGEMENT_URL",
    "EDUGRAPH_REDIS_URL",
    "EDUGRAPH_NEO4J_URI",
    "EDUGRAPH_NEO4J_USER",
    "EDUGRAPH_NEO4J_PASSWORD",
)
PRIVACY_SECRET = "of the tests alone"  # of no installation

IMPORTERS = 2  # processes of the system that tests share

# Tests of minutes run where they are asked for: make traps, make observe-tests.
SLOW = bool(os.environ.get("EDUGRAPH_SLOW"))


def missing(sentence: str) -> None:
    """What a test needs is not here: it fails in CI, and is skipped elsewhere."""
    (pytest.fail if in_ci() else pytest.skip)(sentence)


def given(*names: str) -> dict[str, str]:
    """The addresses of real servers, which this run claims by that, or `missing`."""
    addresses = named_for_services()
    if absent := [name for name in names if name not in addresses]:
        missing(
            f"no real servers: {absent[0].replace('EDUGRAPH_', TESTS)} is not set; run this by `make test`"
        )
    # The kind of EDUGRAPH_NEO4J_URI is EDUGRAPH_NEO4J.
    kinds = tuple({"_".join(name.split("_")[:2]) for name in names})
    try:
        guard.claim({name: value for name, value in addresses.items() if name.startswith(kinds)})
    except guard.Refused as refusal:
        pytest.exit(str(refusal), returncode=1)
    return {name: addresses[name] for name in names}


def in_vhost(broker_url: str, name: str) -> str:
    """The broker's address with another virtual host."""
    return urlsplit(broker_url)._replace(path=f"/{name}").geturl()


def real_servers() -> dict[str, str]:
    return {**given(*REAL), "EDUGRAPH_PRIVACY_SECRET": PRIVACY_SECRET}


@contextmanager
def own_vhost() -> Iterator[dict[str, str]]:
    """The real servers, with a virtual host of this test alone: nothing of another run is in its queues."""
    addresses, name = real_servers(), f"test-{uuid4().hex[:8]}"
    _forget_letters(addresses[REDIS])
    with httpx.Client(base_url=addresses["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=20) as api:
        api.put(f"/api/vhosts/{name}").raise_for_status()
        try:
            yield {
                **addresses,
                "EDUGRAPH_BROKER_URL": in_vhost(addresses["EDUGRAPH_BROKER_URL"], name),
            }
        finally:
            api.delete(f"/api/vhosts/{name}")


def _forget_letters(redis_url: str) -> None:
    """Delete the rows of dead letters, which are of tests before: their objects lie in the folders of those tests."""
    client = connect(redis_url)
    for key in client.scan_iter(f"{KEYS}*"):
        client.delete(key)


# By the address of a Redis: the users that were made there, for all whose block has not ended.
_REDIS_USERS: dict[str, dict[str, dict[str, str]]] = {}


@contextmanager
def with_own_redis_users(addresses: Mapping[str, str]) -> Iterator[dict[str, dict[str, str]]]:
    """Make the services' users of the real Redis, and yield the address of each process that has one.

    Their names are the same for everybody on one Redis. So an engine that is opened while another one is open, which
    may last as long as the session, takes the users that are there: new passwords would shut the other one out.
    """
    url = addresses[REDIS]
    if url in _REDIS_USERS:
        yield _REDIS_USERS[url]
        return
    try:
        _REDIS_USERS[url] = with_redis_users(
            url, {service: secrets.token_hex(16) for service in SERVICES}
        )
        yield _REDIS_USERS[url]
    finally:
        del _REDIS_USERS[url]
        with connect(url) as client:
            client.acl_deluser(*map(redis_user, SERVICES))


# What was refused in the blocks of `refusals` that are open, the innermost last.
_REFUSALS: list[list[str]] = []


@contextmanager
def refusals(url: str) -> Iterator[list[str]]:
    """What Redis refused its users in the block, which is known after it. A block within it has its own."""
    found: list[str] = []
    with connect(url) as client:

        def take_log() -> None:
            entries = {
                f"{each['username']}: {each['reason']} {each['object']}"
                for each in client.acl_log()
            }
            if _REFUSALS:
                _REFUSALS[-1] += sorted(entries)
            client.acl_log_reset()

        take_log()
        _REFUSALS.append(found)
        yield found
        take_log()
        _REFUSALS.pop()


@contextmanager
def bench() -> Iterator[None]:
    """Around a program that uses these servers and is no run of pytest."""
    clean(os.environ)
    try:
        yield
    except (pytest.exit.Exception, pytest.fail.Exception, pytest.skip.Exception) as end:
        sys.exit(end.msg)
    finally:
        guard.give_back()


CHECKOUT = Path(__file__).parents[1]
# Ahead of what is installed: services run without what their images lack. Neo4j's driver imports pandas where it is,
# which cost each process a third of a second of CPU.
LIKE_IMAGES = {"PYTHONPATH": str(CHECKOUT / "tests" / "not_in_images")}
SHARED_RECORDS = (
    Path(os.environ.get("EDUGRAPH_SHARED_DATA", CHECKOUT.parent / "shared" / "data")) / "records"
)


@dataclass(frozen=True)
class Engine:
    """Servers that are up; `serve` runs the system's processes on them."""

    name: str
    environment: dict[str, str]
    folder: Path
    # The settings of single processes.
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @contextmanager
    def serve(self, pools: Pools) -> Iterator["System"]:
        logs = self.folder / "logs"
        environment = {
            "EDUGRAPH_METRICS_PORT": str(free_metrics_ports()),
            **LIKE_IMAGES,
            **self.environment,
        }
        with (
            serving(environment, logs, pools, own=self.own) as (url, insights, processes),
            Client(url, insights_url=insights) as client,
        ):
            ports = tuple(metrics_ports(environment).values())
            yield System(
                engine=self,
                url=url,
                insights=insights,
                client=client,
                processes=processes,
                metrics_ports=ports,
            )

    def empty(self) -> None:
        guard.empty_graph(self.environment)


@dataclass(frozen=True)
class System:
    engine: Engine
    url: str
    insights: str
    client: Client
    processes: Processes
    metrics_ports: tuple[int, ...]

    def edugraph(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The command line, as a user types it."""
        addresses = {"EDUGRAPH_URL": self.url, "EDUGRAPH_INSIGHTS_URL": self.insights}
        return edugraph_here({**self.engine.environment, **addresses}, *arguments)

    def restart_importer(
        self,
        number: int,
        module: str = "edugraph_importer.worker",
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Start the importer again with so many processes, and else as it was. `more`: settings of this one alone."""
        importer = self.processes.running["importer"]
        importer.terminate()
        importer.wait()
        port = self.metrics_ports[PROCESSES.index("importer")]
        own = {"EDUGRAPH_METRICS_PORT": str(port), **self.engine.own.get("importer", {})}
        command = worker_command(module, "importer", IMPORTS, number)
        self.processes.start("importer", command, {**own, **(more or {})})
        self.processes.wait_until("importer", lambda: self.processes.log_has("importer", " ready."))

    def forget_work(self) -> None:
        """Delete the messages and the jobs of tests before, also messages that wait for their time to be retried.

        A test that compares whole graphs calls this. The importer has to be restarted afterwards.
        """
        for name in ("importer", "findings"):
            self.processes.running[name].terminate()
            self.processes.running[name].wait()
        _purge_queues(self.engine.environment)
        guard.empty_redis(self.engine.environment)
        port = self.metrics_ports[PROCESSES.index("findings")]
        own = {"EDUGRAPH_METRICS_PORT": str(port), **self.engine.own.get("findings", {})}
        command = worker_command("edugraph_importer.worker", "findings", "graph_findings", 1)
        self.processes.start("findings", command, own)

    def peak_memory(self) -> dict[str, int]:
        """MB of the largest process of each kind, pool children included."""
        return {
            name: max(map(_peak, family(process.pid)))
            for name, process in self.processes.running.items()
        }

    def log_lines(self, words: str) -> int:
        """How many lines of all logs hold these words."""
        logs = self.processes.logs.glob("*.log")
        return sum(
            line.count(words) > 0
            for log in logs
            for line in log.read_text(errors="replace").splitlines()
        )

    def import_and_report(self, path: Path, *options: str) -> dict[str, object]:
        done = self.edugraph("import", str(path), "--follow", "--json", *options)
        assert done.stdout, done.stderr
        report: dict[str, object] = json.loads(done.stdout)
        return report


@contextmanager
def real_engine(folder: Path) -> Iterator[Engine]:
    """Its graph and its Redis are empty at first, whatever other tests left there.

    Its services have their own users of Redis, which must not refuse them anything.
    """
    with (
        own_vhost() as addresses,
        with_own_redis_users(addresses) as own,
        refusals(addresses[REDIS]) as refused,
    ):
        environment = {
            **addresses,
            "EDUGRAPH_BLOB_URL": str(folder / "blobs"),
            "EDUGRAPH_AUTH": "off",
        }
        engine = Engine(name="real", folder=folder, environment=environment, own=own)
        engine.empty()
        guard.empty_redis(environment)
        yield engine
    assert refused == [], refused


def _purge_queues(environment: Mapping[str, str]) -> None:
    management = environment.get("EDUGRAPH_BROKER_MANAGEMENT_URL")
    if management is None:
        return  # The tests that leave messages behind run on the real servers alone.
    virtual_host = quote(
        urlsplit(environment["EDUGRAPH_BROKER_URL"]).path.removeprefix("/"), safe=""
    )
    with httpx.Client(base_url=management, timeout=20) as api:
        for queue in api.get(f"/api/queues/{virtual_host}").raise_for_status().json():
            contents = f"/api/queues/{virtual_host}/{quote(queue['name'], safe='')}/contents"
            api.delete(contents).raise_for_status()


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
    with embedded_servers(folder / "servers") as environment, guard.started_here(environment):
        yield Engine(name="embedded", environment=environment, folder=folder)
