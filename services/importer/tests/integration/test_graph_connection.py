"""What a connection makes of a database that is away, or that refuses the login."""

import threading
import time
from collections.abc import Iterator

import pytest
from engines import PRIVACY_SECRET, given
from proxy import Proxy
from pydantic import SecretStr

from edugraph_common.contracts.errors import ServerAway
from edugraph_importer.graph import driver
from edugraph_importer.graph.driver import Connection, GraphSettings

pytestmark = pytest.mark.real


def settings(**changes: object) -> GraphSettings:
    uri, user, password = given(
        "EDUGRAPH_NEO4J_URI", "EDUGRAPH_NEO4J_USER", "EDUGRAPH_NEO4J_PASSWORD"
    ).values()
    values = {
        "uri": uri,
        "user": user,
        "password": password,
        "privacy_secret": SecretStr(PRIVACY_SECRET),
    }
    return GraphSettings.model_validate(values | changes)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(given("EDUGRAPH_NEO4J_URI")["EDUGRAPH_NEO4J_URI"]) as proxy:
        yield proxy


@pytest.mark.parametrize("was_open", [True, False], ids=["open before", "never open"])
def test_a_database_that_is_away_has_the_same_time_whether_the_driver_is_open(
    proxy: Proxy, was_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard: `_open` within the loop of `Connection._transaction`."""
    monkeypatch.setattr(driver, "RETRY_SECONDS", 3.0)
    connection = Connection(settings(uri=proxy.address))
    if was_open:
        connection.read("RETURN 1")
    proxy.refuse()
    began = time.monotonic()
    with pytest.raises(ServerAway, match="Neo4j does not answer") as away:
        connection.read("RETURN 1")
    assert time.monotonic() - began >= 3
    assert (away.value.server, away.value.cause) == ("neo4j", "away")
    connection.close()


def test_a_transaction_goes_on_when_the_database_comes_while_it_waits(proxy: Proxy) -> None:
    connection = Connection(settings(uri=proxy.address))
    proxy.refuse()
    threading.Timer(2.0, proxy.heal).start()
    assert connection.read("RETURN 1 AS one")[0]["one"] == 1
    connection.close()


@pytest.mark.parametrize(
    ("changes", "cause", "reason"),
    [
        ({"password": "wrong"}, "refused", "Neo4j refuses the user neo4j"),
        ({"user": "nobody"}, "refused", "Neo4j refuses the user nobody"),
        ({"database": "absent"}, "refused", "Neo4j has no database absent"),
        ({"uri": "bolt://127.0.0.1:1"}, "away", "Neo4j does not answer (ServiceUnavailable)"),
        ({"uri": "bolt://no-such-host.invalid:7687"}, "away", "Neo4j does not answer"),
        ({"uri": "amqp://127.0.0.1:7687"}, "refused", "Neo4j cannot be addressed"),
    ],
)
def test_a_login_that_is_refused_is_not_an_outage(
    changes: dict[str, object], cause: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RETRY_SECONDS", 0.0)
    connection = Connection(settings(**changes))
    for call in (connection.ask, lambda: connection.read("RETURN 1")):
        with pytest.raises(ServerAway) as away:
            call()
        assert away.value.cause == cause
        assert reason in away.value.reason
        assert "wrong" not in away.value.reason


def test_a_database_that_answers_is_asked_without_an_error() -> None:
    Connection(settings()).ask()
