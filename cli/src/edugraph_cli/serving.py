"""Gateway, insights, importer and analyzer pools on given servers: for `make up`, the demo, tests and benchmarks."""

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

from edugraph_cli.processes import Processes, free_port, gateway_command, insights_command, worker_command
from edugraph_common.messaging.celery_app import make_publisher
from edugraph_common.messaging.provisioning import apply_topology
from edugraph_common.messaging.users import user_name
from edugraph_common.platform.job_store import connect
from edugraph_common.platform.redis_users import SERVICES, RedisService, apply_redis_users, redis_user
from edugraph_common.platform.settings import Service, Settings

BROKER, MANAGEMENT = "EDUGRAPH_BROKER_URL", "EDUGRAPH_BROKER_MANAGEMENT_URL"
REDIS = "EDUGRAPH_REDIS_URL"
# On one machine a pool does both. Two large files at once may hold up a pool of two (ADR 34).
IMPORTS = "data_import,import_splits"
PROCESSES = ("gateway", "importer", "findings", "analyzer", "insights")
SERVICE_OF: dict[str, Service] = {name: name for name in get_args(Service)} | {"findings": "importer"}


# Whose user of Redis a process takes. Insights has none of RabbitMQ's.
REDIS_USER_OF: dict[str, RedisService] = {
    "gateway": "gateway",
    "importer": "importer",
    "findings": "importer",
    "analyzer": "analyzer",
    "insights": "insights",
}


@dataclass(frozen=True)
class Pools:
    """How many processes each worker pool has."""

    importer: int = 2
    findings: int = 1
    analyzer: int | None = None  # as many as it takes: threads beside a provider, processes without one


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
    """Run everything until the block ends, and yield it when all of it is ready.

    `own` are settings of single processes, by their names in `PROCESSES`.

    Raises NotReady.
    """
    places = {"gateway": free_port(), "insights": free_port()}
    url, insights = (f"http://127.0.0.1:{place}" for place in places.values())
    environment = {
        "EDUGRAPH_AUTH": "off",
        **environment,
        **{f"EDUGRAPH_{name}": "127.0.0.1" for name in ("HOST", "INSIGHTS_HOST")},
        "EDUGRAPH_PORT": str(places["gateway"]),
        "EDUGRAPH_INSIGHTS_PORT": str(places["insights"]),
    }
    declare_topology(environment)
    environment.pop("EDUGRAPH_BROKER_USERS", None)  # no service may know the passwords of the others
    processes = Processes(logs=logs, environment=environment)
    try:
        importer, analyzer = "edugraph_importer.worker", "edugraph_analyzer.worker"
        commands = {
            "gateway": gateway_command(),
            "importer": worker_command(importer, "importer", IMPORTS, pools.importer),
            "findings": worker_command(importer, "findings", "graph_findings", pools.findings),
            "analyzer": worker_command(analyzer, "analyzer", "llm_analysis", pools.analyzer),
            "insights": insights_command(),
        }
        ports = metrics_ports(environment)
        for name, command in commands.items():
            metrics = {"EDUGRAPH_METRICS_PORT": str(ports[name])} if ports else {}
            processes.start(name, command, {**metrics, **(own or {}).get(name, {})})
        for name in ("importer", "findings", "analyzer"):
            processes.wait_until(name, lambda name=name: processes.log_has(name, "ready."))  # type: ignore[misc]

        for name, address in (("gateway", url), ("insights", insights)):
            processes.wait_until(name, lambda address=address: answers(address))  # type: ignore[misc]
        yield Served(url, insights, processes)
    finally:
        processes.stop()


def answers(address: str) -> bool:
    """Whether the service at this address is ready."""
    with suppress(httpx.HTTPError):
        return httpx.get(f"{address}/readyz", timeout=2).is_success
    return False


def with_own_users(
    environment: Mapping[str, str], passwords: Mapping[Service, str]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the environment by which `declare_topology` makes users, and the broker's addresses of each process."""
    broker, management = (urlsplit(environment[name]) for name in (BROKER, MANAGEMENT))
    vhost = quote(unquote(broker.path.removeprefix("/")) or "/", safe="")
    own = {}
    for process, service in SERVICE_OF.items():
        login = f"{quote(user_name(vhost, service), safe='')}:{passwords[service]}@"
        own[process] = {
            name: address._replace(netloc=login + address.netloc.rpartition("@")[2]).geturl()
            for name, address in ((BROKER, broker), (MANAGEMENT, management))
        }
    return {**environment, "EDUGRAPH_BROKER_USERS": json.dumps(dict(passwords))}, own


def with_redis_users(url: str, passwords: Mapping[RedisService, str]) -> dict[str, dict[str, str]]:
    """Make the services' users in the Redis at `url`, and return the address of each process that needs it."""
    with connect(url) as client:
        apply_redis_users(client, passwords)
    address = urlsplit(url)
    host = address.netloc.rpartition("@")[2]
    logins = {service: f"{redis_user(service)}:{passwords[service]}@" for service in SERVICES}
    return {
        process: {REDIS: address._replace(netloc=logins[service] + host).geturl()}
        for process, service in REDIS_USER_OF.items()
    }


def declare_topology(environment: Mapping[str, str]) -> None:
    """Declare the broker's topology, which must be there before any process publishes."""
    fields = {"broker_url", "broker_management_url", "redis_url", "blob_url"}
    given = {name: value for name in fields if (value := environment.get(f"EDUGRAPH_{name.upper()}"))}
    users = json.loads(environment.get("EDUGRAPH_BROKER_USERS", "{}"))
    settings = Settings.model_validate({**given, "broker_users": users})
    apply_topology(make_publisher("edugraph-topology", settings), settings)


def metrics_ports(environment: Mapping[str, str]) -> dict[str, int]:
    """Return the port of each process: EDUGRAPH_METRICS_PORT is the gateway's, and the others follow it.

    Where it is not set, there are none.
    """
    first = int(environment.get("EDUGRAPH_METRICS_PORT") or 0)
    return {name: first + place for place, name in enumerate(PROCESSES)} if first else {}


def free_metrics_ports() -> int:
    """Return the first of as many free ports in a row as there are processes, for EDUGRAPH_METRICS_PORT.

    They are below the ports that the system hands to connections, which could take them before the processes do.
    """
    while True:
        first = 12_000 + secrets.randbelow(7_000)
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + len(PROCESSES)):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


def own_environment() -> dict[str, str]:
    """Return the EDUGRAPH_ and OPENAI_ settings of this process."""
    return {name: value for name, value in os.environ.items() if name.startswith(("EDUGRAPH_", "OPENAI_"))}
