"""The ground that chaos shakes: servers of its own, which it may kill, each reached through a proxy that may misbehave.

Never those of `make servers` or `make test-servers`: these have a folder, ports and passwords of their own, and begin empty.
Whatever addresses the shell has were dropped before (addresses.clean).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neo4j
from engines import PRIVACY_SECRET
from proxy import Proxy

from tools.servers.checkout import Checkout
from tools.servers.cli import SERVERS
from tools.servers.redis import Redis
from tools.servers.server import PROJECT_NAMES, Server

# The address of each server that goes through a proxy. The management API does not: the driver itself counts by it.
THROUGH = {
    "rabbitmq": "EDUGRAPH_BROKER_URL",
    "redis": "EDUGRAPH_REDIS_URL",
    "neo4j": "EDUGRAPH_NEO4J_URI",
}


class DurableRedis(Redis):
    """As docs/operations.md wants it in production."""

    def _configuration(self, **extra: str) -> str:
        return super()._configuration(appendfsync="always", **extra)


@dataclass(frozen=True)
class Ground:
    """`direct` are the servers' own addresses, for the driver; `environment` those of the proxies, for the system."""

    servers: dict[str, Server]
    proxies: dict[str, Proxy]
    direct: dict[str, str]
    environment: dict[str, str]

    def up(self, name: str) -> None:
        self.servers[name].up()

    def kill(self, name: str) -> None:
        self.servers[name].kill()

    def stop(self, name: str) -> None:
        self.servers[name].down()

    def query(self, cypher: str) -> list[list[Any]]:
        """Return the rows of a statement that Neo4j itself answers, past the proxy."""
        auth = (self.direct["EDUGRAPH_NEO4J_USER"], self.direct["EDUGRAPH_NEO4J_PASSWORD"])
        with (
            neo4j.GraphDatabase.driver(
                self.direct["EDUGRAPH_NEO4J_URI"], auth=auth, notifications_min_severity="OFF"
            ) as driver,
            driver.session() as session,
        ):
            return [record.values() for record in session.run(cypher)]

    def quiet(self) -> None:
        """Everything is up, and no proxy misbehaves any more."""
        for name, proxy in self.proxies.items():
            proxy.heal()
            self.up(name)


KINDS: dict[str, type[Server]] = {**SERVERS, "redis": DurableRedis}


@contextmanager
def fresh_ground(folder: Path, *names: str) -> Iterator[Ground]:
    """Servers without data, all or those named. They end, and their data goes, with the block."""
    checkout = Checkout(folder)
    checkout.state.mkdir(parents=True, exist_ok=True)
    checkout.ports()
    servers = {name: KINDS[name](checkout) for name in names or THROUGH}
    with ExitStack() as ending:
        for server in servers.values():
            ending.callback(_away, server)
            _away(server)
            server.up()
        yield _through_proxies(servers, ending)


def _away(server: Server) -> None:
    server.kill()
    server.down()
    server.wipe()


def _through_proxies(servers: dict[str, Server], ending: ExitStack) -> Ground:
    direct = {
        PROJECT_NAMES[name]: value
        for server in servers.values()
        for name, value in server.addresses().items()
        if name in PROJECT_NAMES
    }
    proxies = {name: ending.enter_context(Proxy(direct[THROUGH[name]])) for name in servers}
    moved = {THROUGH[name]: proxy.address for name, proxy in proxies.items()}
    direct["EDUGRAPH_PRIVACY_SECRET"] = PRIVACY_SECRET
    return Ground(servers, proxies, direct, {**direct, **moved})
