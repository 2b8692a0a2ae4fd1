"""Schools that share one RabbitMQ and one Redis, each with its own virtual host, prefix, users, blobs and graph.

RabbitMQ and Redis are real. The graph of each school is an embedded engine, since a school shares no graph.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args
from uuid import uuid4

import guard
import httpx
from engines import Engine, System, given, in_vhost
from marked_data import Doors

from edugraph_cli.embedded.servers import embedded_servers
from edugraph_cli.serving import (
    BROKER,
    MANAGEMENT,
    REDIS,
    Pools,
    with_own_users,
    with_redis_users,
)
from edugraph_common.runtime.messaging.users import permissions
from edugraph_common.runtime.service.settings import Service
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.redis_users import SERVICES, redis_user


@dataclass
class School:
    """A running school, and the jobs that it was asked for."""

    name: str
    system: System
    jobs: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        return self.system.engine.environment["EDUGRAPH_REDIS_KEY_PREFIX"]

    def ask(self) -> httpx.Client:
        """Return a client of gateway and insights."""
        return httpx.Client(base_url=self.system.url, timeout=60, transport=Doors(self.system))


def shared_servers() -> dict[str, str]:
    """Return the addresses of RabbitMQ and Redis. Delete all keys that earlier tests left in Redis."""
    shared = given(BROKER, MANAGEMENT, REDIS)
    guard.empty_redis(shared)
    return shared


@contextmanager
def vhost(name: str, shared: Mapping[str, str]) -> Iterator[str]:
    """Make a virtual host, and delete it and its users afterwards."""
    with httpx.Client(base_url=shared[MANAGEMENT], timeout=30) as api:
        api.put(f"/api/vhosts/{name}").raise_for_status()
        try:
            yield in_vhost(shared[BROKER], name)
        finally:
            api.delete(f"/api/vhosts/{name}")
            for service in permissions():
                api.delete(f"/api/users/{name}-{service}")


@contextmanager
def redis_users(shared: Mapping[str, str], prefix: str) -> Iterator[dict[str, dict[str, str]]]:
    """Make the users of a school, yield the address of each process, and delete the users afterwards."""
    passwords = {service: secrets.token_hex(16) for service in SERVICES}
    try:
        yield with_redis_users(shared[REDIS], passwords, prefix)
    finally:
        with connect(shared[REDIS]) as client:
            client.acl_deluser(*(redis_user(service, prefix) for service in SERVICES))


@contextmanager
def running(
    name: str, shared: Mapping[str, str], folder: Path, settings: Mapping[str, str]
) -> Iterator[School]:
    """Run all services of a school. `settings` are those besides its addresses."""
    prefix = f"{name}:"
    services: tuple[Service, ...] = get_args(Service)
    with ExitStack() as stack:
        own_servers = stack.enter_context(embedded_servers(folder / "servers"))
        stack.enter_context(guard.started_here(own_servers))
        graph = {key: own_servers[key] for key in own_servers if key.startswith("EDUGRAPH_NEO4J_")}
        environment = {
            **shared,
            **graph,
            **settings,
            BROKER: stack.enter_context(vhost(f"{name}-{uuid4().hex[:6]}", shared)),
            "EDUGRAPH_REDIS_KEY_PREFIX": prefix,
            "EDUGRAPH_PRIVACY_SECRET": f"secret of {name} alone",
            "EDUGRAPH_BLOB_URL": str(folder / "blobs"),
            "EDUGRAPH_AUTH": "off",
        }
        passwords = {service: secrets.token_hex(16) for service in services}
        environment, own = with_own_users(environment, passwords)
        users = stack.enter_context(redis_users(shared, prefix))
        for process, address in users.items():
            own[process] = {**own.get(process, {}), **address}
        engine = Engine(name=name, environment=environment, folder=folder, own=own)
        system = stack.enter_context(engine.serve(Pools(importer=1, findings=1, analyzer=1)))
        # The topology is declared, so nothing needs the passwords of all users any more.
        del environment["EDUGRAPH_BROKER_USERS"]
        yield School(name, system)
