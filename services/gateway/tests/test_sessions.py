"""A session at the gateway: what it changes needs its CSRF token, on FastAPI's way and on the fast one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from made_issuer import SessionRedis, made_issuer, made_session
from made_platform import MadePlatform

from edugraph_common.runtime.shared_state.lti import LaunchReader, Platform
from edugraph_common.runtime.shared_state.sessions import COOKIE, CSRF_HEADER, Sessions, csrf_token
from edugraph_common.sources.platforms import Platforms
from edugraph_gateway.app import make_application
from edugraph_gateway.auth.admission import Admission
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOODLE = MadePlatform("https://moodle.example", "client-1")


class World(SessionRedis):
    """Redis with one session, a rate limiter that lets everybody pass, and an audit log."""

    def spend(self, _client_id: str) -> bool:
        return True

    def take(self, _client_id: str) -> float:
        return 0.0

    def record(self, *_entry: Any, **_more: Any) -> None:
        """Nothing is read of it."""


@pytest.fixture
def send(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    settings = GatewaySettings(
        broker_url="amqp://127.0.0.1:1//", redis_url="redis://127.0.0.1:1/0", blob_url=str(tmp_path)
    )
    world: Any = World()
    sessions = Sessions(world, made_issuer())
    session_id = sessions.begin(made_session(NOW, "read", "teacher"), NOW)
    nobody: Any = None
    admission = Admission(nobody, None, world, lambda: NOW, require_key=True, sessions=sessions)
    gateway = replace(open_gateway(settings, now=lambda: NOW), admission=admission, audit=world)
    client = TestClient(make_application(gateway), cookies={COOKIE: session_id})

    def sent(method: str, path: str, *, token: str = "") -> tuple[int, str]:
        given = {"right": csrf_token(session_id), "wrong": "0" * 64}.get(token)
        answer = client.request(method, path, headers={CSRF_HEADER: given} if given else {})
        return answer.status_code, answer.json()["type"].rpartition(":")[2]

    return sent


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/imports"),
        ("POST", "/v1/jobs/x/cancel"),
        ("DELETE", "/v1/jobs/x"),
        ("POST", "/v1/graph/rebuild"),
    ],
)
def test_a_session_changes_nothing_without_its_token(
    send: Callable[..., tuple[int, str]], method: str, path: str
) -> None:
    """With it, the scope is missing. To take the guard out: let `token_of` read the cookie alone."""
    assert send(method, path) == (403, "csrf")
    assert send(method, path, token="wrong") == (403, "csrf")
    assert send(method, path, token="right") == (403, "scope")


def test_a_launch_of_a_learning_platform_is_good_here(tmp_path: Path) -> None:
    """Out: `platform` in `Sessions.caller_in`."""
    settings = GatewaySettings(
        broker_url="amqp://127.0.0.1:1//",
        redis_url="redis://127.0.0.1:1/0",
        blob_url=str(tmp_path),
        platform_prefixes={MOODLE.issuer: "m:"},
        lti_platforms={"moodle": MOODLE.described()},
    )
    account_id = Platforms.of_addresses(settings.platform_prefixes).account_id
    moodle = Platform("moodle", settings.lti_platforms["moodle"], account_id, fetch=MOODLE.fetch)
    world: Any = World()
    sessions = Sessions(world, None, LaunchReader({"moodle": moodle}))
    token = MOODLE.sign(MOODLE.claims("n", NOW))
    session = made_session(NOW, client_id="lti:moodle:17", platform="moodle", access_token=token)
    session_id = sessions.begin(session, NOW)
    nobody: Any = None
    admission = Admission(nobody, None, world, lambda: NOW, require_key=True, sessions=sessions)
    gateway = replace(open_gateway(settings, now=lambda: NOW), admission=admission, audit=world)
    client = TestClient(make_application(gateway), cookies={COOKIE: session_id})
    found = client.get("/v1/caller").json()
    assert (found["roles"], found["scopes"], found["person"]) == (
        ["teacher"],
        ["read:own"],
        "m:17",
    )
    assert client.get("/v1/dead-letters").status_code == 403


def test_reading_needs_no_token(send: Callable[..., tuple[int, str]]) -> None:
    assert send("GET", "/v1/dead-letters") == (403, "scope")
