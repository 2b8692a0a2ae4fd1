"""Runs gateway, importer and analyzer pools on given servers: for `make up`, the demo, tests and benchmarks."""

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from edugraph_cli.embedded.valkey_server import free_port
from edugraph_cli.processes import Processes, gateway_command, worker_command
from edugraph_common.messaging.celery_app import make_publisher
from edugraph_common.messaging.provisioning import apply_topology
from edugraph_common.platform.settings import Settings

PROCESSES = ("gateway", "importer", "findings", "analyzer")


@dataclass(frozen=True)
class Pools:
    """Processes of each worker pool."""

    importer: int = 2
    findings: int = 1
    analyzer: int = 2


@contextmanager
def serving(
    environment: Mapping[str, str], logs: Path, pools: Pools, port: int | None = None
) -> Iterator[tuple[str, Processes]]:
    """Yields the gateway's address when everything is ready; ends with a warm shutdown. Raises NotReady."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"EDUGRAPH_AUTH": "off", **environment, "EDUGRAPH_HOST": "127.0.0.1", "EDUGRAPH_PORT": str(port)}
    declare_topology(environment)
    processes = Processes(logs=logs, environment=environment)
    try:
        _start(processes, pools)
        _wait(processes, url)
        yield url, processes
    finally:
        processes.stop()


def declare_topology(environment: Mapping[str, str]) -> None:
    """The topology is there before any process publishes."""
    fields = {"broker_url", "broker_management_url", "redis_url", "blob_url"}
    given = {name: value for name in fields if (value := environment.get(f"EDUGRAPH_{name.upper()}"))}
    settings = Settings.model_validate({**given})
    apply_topology(make_publisher("edugraph-topology", settings), settings)


def _start(processes: Processes, pools: Pools) -> None:
    importer, analyzer = "edugraph_importer.worker", "edugraph_analyzer.worker"
    commands = {
        "gateway": gateway_command(),
        "importer": worker_command(importer, "importer", "data_import", pools.importer),
        "findings": worker_command(importer, "findings", "graph_findings", pools.findings),
        "analyzer": worker_command(analyzer, "analyzer", "llm_analysis", pools.analyzer),
    }
    ports = metrics_ports(processes.environment)
    for name, command in commands.items():
        processes.start(name, command, {"EDUGRAPH_METRICS_PORT": str(ports[name])} if ports else {})


def metrics_ports(environment: Mapping[str, str]) -> dict[str, int]:
    """EDUGRAPH_METRICS_PORT is the gateway's; the others follow it. Empty where it is not set."""
    first = int(environment.get("EDUGRAPH_METRICS_PORT") or 0)
    return {name: first + place for place, name in enumerate(PROCESSES)} if first else {}


def free_metrics_ports() -> int:
    """For EDUGRAPH_METRICS_PORT: the first of as many free ports in a row as there are processes.

    Not among those that the system hands to connections, since they are taken only when the processes are up.
    """
    while True:
        first = 12_000 + secrets.randbelow(7_000)
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + len(PROCESSES)):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


def _wait(processes: Processes, url: str) -> None:
    for name in ("importer", "findings", "analyzer"):
        processes.wait_until(name, lambda name=name: processes.log_has(name, "ready."))  # type: ignore[misc]
    processes.wait_until("gateway", lambda: _answers(url))


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).is_success
    except httpx.HTTPError:
        return False


def own_environment() -> dict[str, str]:
    """The EDUGRAPH_ and OPENAI_ settings of this process."""
    return {name: value for name, value in os.environ.items() if name.startswith(("EDUGRAPH_", "OPENAI_"))}
