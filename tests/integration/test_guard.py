"""A run refuses a server that holds anything which no test made: seen on the real servers, with strangers put in.

Each server is as its owner had it until the test is over: the run's own claim is taken away and put back.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any
from uuid import uuid4

import guard
import httpx
import pytest
from addresses import named_for_services
from engines import real_servers
from guard import CLAIM, Broker, GraphServer, Refused, Server

pytestmark = pytest.mark.real


@pytest.fixture
def servers() -> dict[type, Server]:
    """Claimed by this run, but for one at a time."""
    return {type(server): server for server in guard.servers_of(real_servers())}


def address(server: Server) -> dict[str, str]:
    prefix = server.variable.replace("TEST_", "").removesuffix("_URI")
    return {name: value for name, value in named_for_services().items() if name.startswith(prefix)}


@contextmanager
def unclaimed(server: Server) -> Iterator[None]:
    """As it would be found by a run that knows nothing of it."""
    server.empty()
    server.give_back()
    guard._claimed.discard(server)
    try:
        yield
    finally:
        server.claim()
        guard._claimed.add(server)
        server.empty()


@contextmanager
def a_node(server: GraphServer) -> Iterator[str]:
    with server.connected() as run:
        run("CREATE (:Student {id: 'somebody'})")
        try:
            yield "1 nodes"
        finally:
            run("MATCH (n:Student {id: 'somebody'}) DELETE n")


@contextmanager
def a_key(server: guard.RedisServer) -> Iterator[str]:
    with server.connected() as client:
        client.set("somebody's", "data")
        try:
            yield "1 keys"
        finally:
            client.delete("somebody's")


@contextmanager
def a_virtual_host(server: Broker) -> Iterator[str]:
    """Even one that is named as the tests' are: nothing says that a run was here."""
    name = f"test-{uuid4().hex[:8]}"
    with server.api() as api:
        api.put(f"/api/vhosts/{name}")
        try:
            yield name
        finally:
            with suppress(httpx.HTTPStatusError):  # a test may have deleted it
                api.delete(f"/api/vhosts/{name}")


@contextmanager
def a_queue(server: Broker) -> Iterator[str]:
    """As `make up` has them, in the virtual host that every broker has."""
    with server.api() as api:
        api.put("/api/queues/%2F/data_import", json={"durable": True})
        try:
            yield "data_import"
        finally:
            api.delete("/api/queues/%2F/data_import")


STRANGERS = [
    (GraphServer, a_node),
    (guard.RedisServer, a_key),
    (Broker, a_virtual_host),
    (Broker, a_queue),
]


@pytest.mark.parametrize(("kind", "stranger"), STRANGERS, ids=lambda each: each.__name__)
def test_a_server_with_what_no_test_made_is_refused(
    servers: dict[type, Any],
    kind: type,
    stranger: Callable[[Server], "AbstractContextManager[str]"],
) -> None:
    server = servers[kind]
    with unclaimed(server), stranger(server) as name:
        with pytest.raises(Refused, match=name) as refused:
            guard.claim(address(server))
        assert server.variable in str(refused.value)
        assert not server.claimed()
        assert server.strange()  # it is still there


@pytest.mark.parametrize("kind", [GraphServer, guard.RedisServer, Broker])
def test_an_empty_server_is_claimed_and_given_back(servers: dict[type, Any], kind: type) -> None:
    server = servers[kind]
    with unclaimed(server):
        guard.claim(address(server))
        assert server.claimed()
        server.empty()
        assert server.claimed()
        server.give_back()
        assert not server.claimed()
        assert not server.strange()


@pytest.mark.parametrize(("kind", "stranger"), STRANGERS[:3], ids=lambda each: each.__name__)
def test_what_a_killed_run_left_is_deleted(servers: dict[type, Any], kind: type, stranger) -> None:
    server = servers[kind]
    with unclaimed(server):
        server.claim()
        with stranger(server):
            guard.claim(address(server))
            server.give_back()
            assert not server.strange()


@pytest.mark.parametrize(("kind", "made"), STRANGERS[:3], ids=lambda each: each.__name__)
def test_what_its_tests_made_goes_with_the_run(
    servers: dict[type, Any], kind: type, made, monkeypatch
) -> None:
    server = servers[kind]
    with unclaimed(server), monkeypatch.context() as run:
        run.setattr(guard, "_claimed", set())
        run.setattr(guard, "_locks", [io.StringIO()])  # the run's own stays locked
        guard.claim(address(server))
        with made(server):
            guard.give_back()
            assert not server.claimed()
            assert not server.strange()


def test_a_virtual_host_that_no_run_makes_is_refused_though_the_broker_is_claimed(
    servers: dict[type, Any],
) -> None:
    broker = servers[Broker]
    with broker.api() as api:
        api.put("/api/vhosts/school")
        try:
            with pytest.raises(Refused, match="'school'"):
                guard.check(broker)
        finally:
            api.delete("/api/vhosts/school")
    assert CLAIM in broker.virtual_hosts()


def test_nothing_is_deleted_where_the_run_was_not_let_in(servers: dict[type, Any]) -> None:
    graph = servers[GraphServer]
    with unclaimed(graph), a_node(graph):
        with pytest.raises(Refused, match="claim"):
            guard.empty_graph(address(graph))
        assert graph.strange() == "1 nodes"


def test_the_claim_is_no_node_and_no_constraint(servers: dict[type, Any]) -> None:
    """So that no count, digest or page of the graph sees it."""
    graph = servers[GraphServer]
    with graph.connected() as run:
        before = run("SHOW CONSTRAINTS YIELD name")
        with unclaimed(graph):
            assert run("SHOW CONSTRAINTS YIELD name") == before
        graph.empty()
        assert graph.claimed()
        assert run("MATCH (n) RETURN count(n) AS n") == [{"n": 0}]


@pytest.mark.usefixtures("servers")
def test_a_second_run_at_the_same_time_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(guard, "_locks", [])
    with pytest.raises(Refused, match="another run"):
        guard._only_one_run()
