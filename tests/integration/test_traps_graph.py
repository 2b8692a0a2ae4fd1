"""Traps in the connection to the graph: a writer vanishes, and its locks stay."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import LiteralString
from uuid import uuid4

import neo4j
import pytest
from engines import PRIVACY_SECRET, given
from proxy import Proxy
from pydantic import SecretStr
from traps import both_slow

from edugraph_common.contracts.errors import Retryable, ServerAway
from edugraph_importer.graph.driver import Connection, GraphSettings

pytestmark = pytest.mark.real
LIMIT, WITHOUT = 3.0, 20.0  # seconds; not for ever, so that nothing is left on the server


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(given("EDUGRAPH_NEO4J_URI")["EDUGRAPH_NEO4J_URI"]) as proxy:
        yield proxy


def connection(seconds: float, address: str | None = None) -> Connection:
    uri, user, password = given(
        "EDUGRAPH_NEO4J_URI", "EDUGRAPH_NEO4J_USER", "EDUGRAPH_NEO4J_PASSWORD"
    ).values()
    settings = GraphSettings(
        uri=address or uri,
        user=user,
        password=SecretStr(password),
        privacy_secret=SecretStr(PRIVACY_SECRET),
    )
    return Connection(settings, transaction_seconds=seconds)


@both_slow
def test_locks_of_a_writer_that_vanished(proxy: Proxy, guarded: bool) -> None:
    """The server hears nothing of the end of a half-open connection, and keeps its transaction open: every other batch
    that wants the same course waits. Out: the `timeout` of `begin_transaction` in Connection.
    """
    name, locked, gone = f"trap-{uuid4().hex}", threading.Event(), threading.Event()

    def lock(tx: neo4j.Transaction) -> None:
        tx.run("MATCH (n:Trap {id: $name}) SET n.by = 'first'", name=name).consume()
        locked.set()
        gone.wait(30)

    def first() -> None:
        with suppress(Retryable, ServerAway, neo4j.exceptions.DriverError):
            connection(LIMIT if guarded else WITHOUT, proxy.address).write(lock)

    named(name, "CREATE (:Trap {id: $name})")
    writer = threading.Thread(target=first, daemon=True)
    writer.start()
    assert locked.wait(20)
    proxy.half_open()
    try:
        assert (waited_for(name) < LIMIT + 5) is guarded
    finally:
        gone.set()
        named(name, "MATCH (n:Trap {id: $name}) DELETE n")


def waited_for(name: str) -> float:
    """Seconds until another writer has the node; at most ten."""
    began, other = time.monotonic(), connection(10)
    with suppress(Retryable, ServerAway):
        other.write(
            lambda tx: tx.run("MATCH (n:Trap {id: $name}) SET n.by = 'second'", name=name).consume()
        )
        other.close()
        return time.monotonic() - began
    other.close()
    return 10.0


def named(name: str, statement: LiteralString) -> None:
    other = connection(30)
    other.write(lambda tx: tx.run(statement, name=name).consume())
    other.close()
