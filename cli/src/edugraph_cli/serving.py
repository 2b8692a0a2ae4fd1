"""Run gateway, insights and worker pools on given servers, for `make up`, the demo, tests and benchmarks."""

import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args
from urllib.parse import quote, unquote, urlsplit

import httpx

from edugraph_cli.processes import (
    Processes,
    free_port,
    gateway_command,
    insights_command,
    worker_command,
)
from edugraph_common.runtime.messaging.celery_app import make_publisher
from edugraph_common.runtime.messaging.provisioning import apply_topology
from edugraph_common.runtime.messaging.users import user_name
from edugraph_common.runtime.service.settings import Service, Settings
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.redis_users import (
    RedisService,
    apply_redis_users,
    redis_user,
)

BROKER = "EDUGRAPH_BROKER_URL"
MANAGEMENT = "EDUGRAPH_BROKER_MANAGEMENT_URL"
REDIS = "EDUGRAPH_REDIS_URL"
# On one machine one pool serves these queues. Two large files at once may occupy a pool of two (ADR 34).
IMPORTS = "data_import,import_splits,live_records"
PROCESSES = ("gateway", "importer", "findings", "analyzer", "insights")
SERVICE_OF: dict[str, Service] = {name: name for name in get_args(Service)} | {
    "findings": "importer"
}

# The Redis user of each process. Insights has no user of RabbitMQ.
REDIS_USER_OF: dict[str, RedisService] = {
    "gateway": "gateway",
    "importer": "importer",
    "findings": "importer",
    "analyzer": "analyzer",
    "insights": "insights",
}


@dataclass(frozen=True)
class Pools:
    """The number of processes in each worker pool."""

    importer: int = 2
    findings: int = 1
    # The analyzer chooses if None: threads with a provider, processes without
    analyzer: int | None = None


class Served(NamedTuple):
    """The addresses of gateway and insights, and all processes."""

    url: str
    insights: str
    processes: Processes


@contextmanager
def serving(
    environment: Mapping[str, str],
    logs: Path,
    pools: Pools,
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Served]:
    """Run all processes until the block ends. They are ready when the block begins.

    `own` are settings of single processes, by the names in `PROCESSES`. Raises NotReady.
    """
    gateway_port = free_port()
    insights_port = free_port()
    url = f"http://127.0.0.1:{gateway_port}"
    insights = f"http://127.0.0.1:{insights_port}"
    environment = {
        "EDUGRAPH_AUTH": "off",
        **environment,
        "EDUGRAPH_HOST": "127.0.0.1",
        "EDUGRAPH_INSIGHTS_HOST": "127.0.0.1",
        "EDUGRAPH_PORT": str(gateway_port),
        "EDUGRAPH_INSIGHTS_PORT": str(insights_port),
    }
    declare_topology(environment)
    # No service may know the passwords of the others.
    environment.pop("EDUGRAPH_BROKER_USERS", None)
    processes = Processes(logs=logs, environment=environment)
    try:
        importer = "edugraph_importer.worker"
        analyzer = "edugraph_analyzer.worker"
        commands = {
            "gateway": gateway_command(),
            "importer": worker_command(importer, "importer", IMPORTS, pools.importer),
            "findings": worker_command(importer, "findings", "graph_findings", pools.findings),
            "analyzer": worker_command(analyzer, "analyzer", "llm_analysis", pools.analyzer),
            "insights": insights_command(),
        }
        ports = metrics_ports(environment)
        for name, command in commands.items():
            settings = {}
            if ports:
                settings["EDUGRAPH_METRICS_PORT"] = str(ports[name])
            if own is not None:
                settings |= own.get(name, {})
            processes.start(name, command, settings)
        for name in ("importer", "findings", "analyzer"):
            processes.wait_until(name, lambda name=name: processes.log_has(name, "ready."))  # type: ignore[misc]

        for name, address in (("gateway", url), ("insights", insights)):
            processes.wait_until(name, lambda address=address: answers(address))  # type: ignore[misc]
        yield Served(url, insights, processes)
    finally:
        processes.stop()


def answers(address: str) -> bool:
    """Return whether the service at this address is ready."""
    with suppress(httpx.HTTPError):
        return httpx.get(f"{address}/readyz", timeout=2).is_success
    return False


def with_own_users(
    environment: Mapping[str, str], passwords: Mapping[Service, str]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the environment with which `declare_topology` makes users, and the broker addresses of each process."""
    path = urlsplit(environment[BROKER]).path
    vhost = quote(unquote(path.removeprefix("/")) or "/", safe="")
    own = {}
    for process, service in SERVICE_OF.items():
        user = quote(user_name(vhost, service), safe="")
        own[process] = {
            name: _with_login(environment[name], user, passwords[service])
            for name in (BROKER, MANAGEMENT)
        }
    return {**environment, "EDUGRAPH_BROKER_USERS": json.dumps(dict(passwords))}, own


def with_redis_users(
    url: str, passwords: Mapping[RedisService, str], prefix: str = ""
) -> dict[str, dict[str, str]]:
    """Make the users of the services in the Redis at `url`, and return the address of Redis for each process.

    The users may only use keys with the prefix.
    """
    with connect(url) as client:
        apply_redis_users(client, passwords, prefix)
    own = {}
    for process, service in REDIS_USER_OF.items():
        own[process] = {REDIS: _with_login(url, redis_user(service, prefix), passwords[service])}
    return own


def _with_login(url: str, user: str, password: str) -> str:
    """Return an address with this user and password in place of its own."""
    address = urlsplit(url)
    host = address.netloc.rpartition("@")[2]
    return address._replace(netloc=f"{user}:{password}@{host}").geturl()


def declare_topology(environment: Mapping[str, str]) -> None:
    """Declare the topology of the broker. It must exist before a process publishes."""
    given = {}
    for name in (
        "broker_url",
        "broker_management_url",
        "redis_url",
        "redis_key_prefix",
        "blob_url",
    ):
        value = environment.get(f"EDUGRAPH_{name.upper()}")
        if value:
            given[name] = value
    users = json.loads(environment.get("EDUGRAPH_BROKER_USERS", "{}"))
    settings = Settings.model_validate({**given, "broker_users": users})
    apply_topology(make_publisher("edugraph-topology", settings), settings)


def metrics_ports(environment: Mapping[str, str]) -> dict[str, int]:
    """Return the port of /metrics of each process. EDUGRAPH_METRICS_PORT is the first; the others follow it.

    If it is not set, no process has one.
    """
    first = int(environment.get("EDUGRAPH_METRICS_PORT") or 0)
    if not first:
        return {}
    return {name: port for port, name in enumerate(PROCESSES, start=first)}


def free_metrics_ports() -> int:
    """Return the first of several free ports in a row, one for each process, for EDUGRAPH_METRICS_PORT.

    They are below the ports that the system gives to connections, so that no connection takes one before a process.
    """
    while True:
        first = 12_000 + secrets.randbelow(7_000)
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + len(PROCESSES)):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


def own_environment() -> dict[str, str]:
    """Return the EDUGRAPH_ and OPENAI_ settings of this process."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("EDUGRAPH_", "OPENAI_"))
    }
