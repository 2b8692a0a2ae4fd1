"""`edugraph sessions list|end` on a Redis in which people have sessions: what is shown, whose sessions end, who did it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from command_line import edugraph_here

from edugraph_common.runtime.shared_state.audit import ENDED, ENTRIES, Audit
from edugraph_common.runtime.shared_state.sessions import INDEX, Session, Sessions

NOW = datetime.now(UTC)
ANNA, BEN = "oidc:anna", "oidc:ben"


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.delete(INDEX, ENTRIES, ENDED)
        yield client
        client.delete(INDEX, ENTRIES, ENDED)


def begun(server: "redis.Redis", who: str, hours: int = 2) -> str:
    """Return the id of a new session."""
    session = Session(
        client_id=who,
        name=f"Name of {who}",
        ends=NOW + timedelta(hours=hours),
        renewed=NOW,
        access_token="the-access-token",
        id_token="the-id-token",
    )
    return Sessions(server).begin(session, NOW)


def test_an_operator_ends_the_sessions_of_one_person_and_then_all(
    server: "redis.Redis", redis_url: str
) -> None:
    """Out: `end_of` or its argument in `end`, `audit.record` there, or `include` in `list_sessions`."""
    environment = {
        "EDUGRAPH_REDIS_URL": redis_url,
        "EDUGRAPH_BROKER_URL": "amqp://127.0.0.1:1",
        "EDUGRAPH_BLOB_URL": "blobs",
    }
    of_anna = [begun(server, ANNA), begun(server, ANNA)]
    of_ben = begun(server, BEN)
    sessions = Sessions(server)

    listed = edugraph_here(environment, "sessions", "list", "--json")
    assert sorted(each["client_id"] for each in json.loads(listed.stdout)) == [ANNA, ANNA, BEN]
    for shown in (listed.stdout, edugraph_here(environment, "sessions", "list").stdout):
        assert ANNA in shown
        hidden = ("the-access-token", "the-id-token", "Name of", *of_anna, of_ben)
        assert not [each for each in hidden if each in shown]

    refused = edugraph_here(environment, "sessions", "end", "anna")
    assert (refused.returncode, "oidc:SUBJECT" in refused.stderr) == (2, True)
    assert sessions.find(of_anna[0], NOW)

    done = edugraph_here(environment, "sessions", "end", ANNA, "--json")
    assert json.loads(done.stdout) == {"ended": 2}
    assert [sessions.find(each, NOW) for each in of_anna] == [None, None]
    assert sessions.find(of_ben, NOW)
    [entry] = Audit(server).newest()
    assert (entry.action, entry.what) == ("session.end", f"2 of {ANNA}")

    done = edugraph_here(environment, "sessions", "end", "all", "--json")
    assert json.loads(done.stdout) == {"ended": 1}
    assert sessions.find(of_ben, NOW) is None
    assert json.loads(edugraph_here(environment, "sessions", "list", "--json").stdout) == []
