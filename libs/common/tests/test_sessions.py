"""Sessions: whose they are, when they end, and that nothing is changed by one without its CSRF token."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edugraph_common.platform.callers import Caller
from edugraph_common.platform.problems import Refusal
from edugraph_common.platform.sessions import COOKIE, Session, Sessions, csrf_token, not_known, token_sent

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WHOSE = Session(
    client_id="oidc:u",
    name="Ada",
    scopes=("read",),
    roles=("teacher",),
    person="T01",
    ends=NOW + timedelta(minutes=5),
)


class Redis:
    """The three commands that are used here."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.lifetimes: list[timedelta] = []

    def set(self, name: str, value: str, px: timedelta) -> None:
        self.kept[name] = value
        self.lifetimes.append(px)

    def get(self, name: str) -> str | None:
        return self.kept.get(name)

    def delete(self, name: str) -> None:
        self.kept.pop(name, None)


@pytest.fixture
def redis() -> Any:
    return Redis()


def test_a_session_is_known_by_its_id_until_it_ends(redis: Any) -> None:
    sessions = Sessions(redis)
    session_id = sessions.begin(WHOSE, NOW)
    assert sessions.caller(session_id, NOW) == Caller("oidc:u", ("read",), ("teacher",), "T01")
    assert sessions.caller(session_id, WHOSE.ends) is None
    assert redis.lifetimes == [timedelta(minutes=5)]
    sessions.end(session_id)
    assert sessions.caller(session_id, NOW) is None


def test_redis_holds_no_id_of_a_session_and_two_are_not_alike(redis: Any) -> None:
    """To take the guard out: let `_key` return the id."""
    sessions = Sessions(redis)
    ids = {sessions.begin(WHOSE, NOW) for _ in range(2)}
    assert len(ids) == 2
    assert not any(one[3:] in f"{name} {value}" for one in ids for name, value in redis.kept.items())


@pytest.mark.parametrize("token", ["", "es_", "es_unknown", "eg_0_0", "es_" + "x" * 200])
def test_what_is_no_session_is_nobody(redis: Any, token: str) -> None:
    assert Sessions(redis).caller(token, NOW) is None


def test_a_session_reads_by_its_cookie_alone_and_changes_with_its_token() -> None:
    """To take the guard out: return the id before the token is compared."""
    cookies = {COOKIE: "es_one"}
    assert token_sent("GET", {}, cookies) == "es_one"
    assert token_sent("POST", {"x-csrf-token": csrf_token("es_one")}, cookies) == "es_one"
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "get"):
        for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": csrf_token("es_two")}, {"x-csrf-token": "é"}):
            with pytest.raises(Refusal) as refused:
                token_sent(method, headers, cookies)
            assert (refused.value.status, refused.value.name) == (403, "csrf")


def test_what_authorization_bears_needs_no_token_and_comes_first() -> None:
    assert token_sent("POST", {"authorization": "bearer eg_1_2 "}, {COOKIE: "es_one"}) == "eg_1_2"
    assert token_sent("POST", {"authorization": "Bearer eg_1_2"}, {}) == "eg_1_2"
    assert token_sent("GET", {"authorization": "Basic eg_1_2"}, {}) == ""


def test_a_key_in_the_cookie_is_no_key() -> None:
    """It would need no CSRF token. To take the guard out: drop the comparison with the prefix."""
    assert token_sent("POST", {}, {COOKIE: "eg_1_2"}) == ""
    assert token_sent("GET", {}, {COOKIE: "eg_1_2"}) == ""


def test_who_is_not_known_is_told_what_to_do() -> None:
    assert not_known("es_one", "make a key").name == "session"
    assert (not_known("", "make a key").name, not_known("", "make a key").detail) == ("key", "make a key")
