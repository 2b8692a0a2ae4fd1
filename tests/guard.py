"""What a test run may delete: only servers that it has claimed, and those that it started itself.

A run claims a server before its first use, and gives it back empty at its end. The claim is written in the server:

- An empty server is claimed.
- One that is claimed already was left by a run that was killed. What that run made is deleted.
- One that holds anything and is not claimed belongs to somebody: the run is refused.

Every fixture, bench and test that deletes asks here; `empty_graph` deletes nowhere else. The claim disturbs no test: in
the graph it is an index, which no count of nodes sees; in the broker a virtual host; in Redis a key.
"""

import fcntl
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol
from urllib.parse import quote, urlsplit

from addresses import worker_number

CLAIM = "edugraph-test-run"
MADE_BY_TESTS = re.compile(r"(test|trap)-[0-9a-f]{8}")
LOCKS = Path(__file__).parents[1] / ".run"


class Refused(Exception):
    """A server that this run may not use; the message says what it holds and what to do."""


class Server(Protocol):
    variable: ClassVar[str]

    def where(self) -> str:
        """For people, without a password."""

    def strange(self) -> str:
        """What it holds that no run made, or nothing."""

    def claimed(self) -> bool: ...

    def claim(self) -> None: ...

    def empty(self) -> None:
        """Delete what runs made, but for the claim."""

    def give_back(self) -> None:
        """Take the claim away."""


@dataclass(frozen=True)
class GraphServer:
    uri: str
    user: str
    password: str
    database: str = "neo4j"

    variable: ClassVar[str] = "EDUGRAPH_TEST_NEO4J_URI"
    index = CLAIM.replace("-", "_")

    def where(self) -> str:
        return f"the graph at {self.uri}"

    @contextmanager
    def connected(self) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
        import neo4j

        auth = (self.user, self.password)
        with neo4j.GraphDatabase.driver(
            self.uri, auth=auth, notifications_min_severity="OFF"
        ) as driver:
            yield lambda cypher: [
                row.data() for row in driver.execute_query(cypher, database_=self.database).records
            ]

    def strange(self) -> str:
        if self.claimed():
            return ""
        with self.connected() as run:
            nodes = run("MATCH (n) RETURN count(n) AS nodes")[0]["nodes"]
        return f"{nodes} nodes" if nodes else ""

    def claimed(self) -> bool:
        with self.connected() as run:
            return bool(run(f"SHOW INDEXES YIELD name WHERE name = '{self.index}'"))

    def claim(self) -> None:
        with self.connected() as run:
            run(f"CREATE INDEX {self.index} IF NOT EXISTS FOR (n:EduGraphTestRun) ON (n.claimed)")

    def empty(self) -> None:
        """Relationships first and in portions: a hub's would not fit into one transaction."""
        with self.connected() as run:
            while run("MATCH ()-[r]->() WITH r LIMIT 20000 DELETE r RETURN count(*) AS n")[0]["n"]:
                pass
            while run("MATCH (n) WITH n LIMIT 20000 DELETE n RETURN count(*) AS n")[0]["n"]:
                pass

    def give_back(self) -> None:
        with self.connected() as run:
            run(f"DROP INDEX {self.index} IF EXISTS")


@dataclass(frozen=True)
class RedisServer:
    """One database of a Redis."""

    url: str

    variable: ClassVar[str] = "EDUGRAPH_TEST_REDIS_URL"

    def where(self) -> str:
        parts = urlsplit(self.url)
        return f"the Redis at {parts.hostname}:{parts.port}{parts.path}"

    def connected(self) -> "closing[Any]":
        import redis

        return closing(redis.Redis.from_url(self.url, socket_timeout=20))

    def strange(self) -> str:
        with self.connected() as client:
            keys = 0 if client.exists(CLAIM) else client.dbsize()
        return f"{keys} keys" if keys else ""

    def claimed(self) -> bool:
        with self.connected() as client:
            return bool(client.exists(CLAIM))

    def claim(self) -> None:
        with self.connected() as client:
            client.set(CLAIM, "a test run deletes everything in this database")

    def empty(self) -> None:
        with self.connected() as client:
            client.flushdb()
        self.claim()

    def give_back(self) -> None:
        with self.connected() as client:
            client.delete(CLAIM)


@dataclass(frozen=True)
class Broker:
    """By its management API. Tests work in virtual hosts of their own, and their names tell them from others."""

    management: str

    variable: ClassVar[str] = "EDUGRAPH_TEST_BROKER_MANAGEMENT_URL"

    def where(self) -> str:
        parts = urlsplit(self.management)
        return f"the broker at {parts.hostname}:{parts.port}"

    def api(self) -> Any:
        import httpx

        def check(answer: httpx.Response) -> None:
            answer.raise_for_status()

        return httpx.Client(base_url=self.management, timeout=20, event_hooks={"response": [check]})

    def virtual_hosts(self) -> set[str]:
        with self.api() as api:
            return {host["name"] for host in api.get("/api/vhosts?columns=name").json()} - {"/"}

    def strange(self) -> str:
        hosts = self.virtual_hosts()
        ours = (
            {name for name in hosts if name == CLAIM or MADE_BY_TESTS.fullmatch(name)}
            if CLAIM in hosts
            else set()
        )
        with self.api() as api:
            queues = [queue["name"] for queue in api.get("/api/queues/%2F?columns=name").json()]
        found = [f"virtual host {name!r}" for name in sorted(hosts - ours)] + [
            f"queue {name!r}" for name in queues
        ]
        return " and ".join(found)

    def claimed(self) -> bool:
        return CLAIM in self.virtual_hosts()

    def claim(self) -> None:
        with self.api() as api:
            api.put(f"/api/vhosts/{CLAIM}")

    def empty(self) -> None:
        """Those that a killed run left; a test that ends takes its own away."""
        with self.api() as api:
            for name in self.virtual_hosts():
                if MADE_BY_TESTS.fullmatch(name):
                    api.delete(f"/api/vhosts/{quote(name, safe='')}")

    def give_back(self) -> None:
        with self.api() as api:
            api.delete(f"/api/vhosts/{CLAIM}")


_claimed: set[Server] = set()
_started_here: set[Server] = set()
_locks: list[IO[str]] = []


def servers_of(environment: Mapping[str, str]) -> Iterator[Server]:
    """Those that an environment of the services names."""
    if uri := environment.get("EDUGRAPH_NEO4J_URI"):
        user, password = environment["EDUGRAPH_NEO4J_USER"], environment["EDUGRAPH_NEO4J_PASSWORD"]
        yield GraphServer(uri, user, password, environment.get("EDUGRAPH_NEO4J_DATABASE", "neo4j"))
    if url := environment.get("EDUGRAPH_REDIS_URL"):
        yield RedisServer(url)
    if management := environment.get("EDUGRAPH_BROKER_MANAGEMENT_URL"):
        yield Broker(management)


def claim(environment: Mapping[str, str]) -> None:
    """Raises Refused. Each server is looked at once in a run."""
    for server in set(servers_of(environment)) - _claimed - _started_here:
        _only_one_run()
        check(server)
        if server.claimed():
            server.empty()
        server.claim()
        _claimed.add(server)


def check(server: Server) -> None:
    """Raises Refused for a server that holds anything which no test made."""
    if found := server.strange():
        raise Refused(
            f"{server.where()} holds {found}, which no test run made, and tests would delete it: "
            f"name an empty server by {server.variable}, or empty this one if nobody needs what it holds"
        )


def give_back() -> None:
    """At the end of a run: whatever its tests left in the servers goes."""
    while _claimed:
        server = _claimed.pop()
        try:
            server.empty()
            server.give_back()
        except Exception as error:  # noqa: BLE001 - a run has ended, and a server that is away must not hide its result
            sys.stderr.write(
                f"{server.where()} was not emptied ({type(error).__name__}): the next run will do it\n"
            )
    while _locks:
        _locks.pop().close()


@contextmanager
def started_here(environment: Mapping[str, str]) -> Iterator[None]:
    """Servers that the test started for itself, whatever they hold."""
    servers = set(servers_of(environment))
    _started_here.update(servers)
    try:
        yield
    finally:
        _started_here.difference_update(servers)


def ask(environment: Mapping[str, str]) -> None:
    """Raises Refused where this run has neither claimed nor started a server, and so may delete nothing."""
    for server in set(servers_of(environment)) - _claimed - _started_here:
        raise Refused(
            f"{server.where()} is not this run's, so nothing is deleted there: ask guard.claim for it first"
        )


def empty_graph(environment: Mapping[str, str]) -> None:
    """Raises Refused, as `ask`."""
    _empty(environment, "EDUGRAPH_NEO4J_")


def empty_redis(environment: Mapping[str, str]) -> None:
    """Raises Refused, as `ask`."""
    _empty(environment, "EDUGRAPH_REDIS_")


def _empty(environment: Mapping[str, str], names: str) -> None:
    server = {name: value for name, value in environment.items() if name.startswith(names)}
    ask(server)
    for each in servers_of(server):
        each.empty()


def empty_redis_of_run() -> None:
    """Empty each Redis that this run has claimed: that of its worker, if any test of it has used one."""
    for server in _claimed:
        if isinstance(server, RedisServer):
            server.empty()


def _only_one_run() -> None:
    """A second one would delete what the first is about. The system opens the lock when a run dies.

    Workers of one run do not meet: each has servers of its own, and so a lock of its own.
    """
    if _locks:
        return
    LOCKS.mkdir(exist_ok=True)
    lock = (LOCKS / f"test-run-{worker_number()}.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise Refused(
            "another run of tests or a bench uses the test servers of this checkout: wait for its end"
        ) from None
    _locks.append(lock)
