"""Sessions: whose they are, when they end, and that nothing is changed by one without its CSRF token."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from made_issuer import STRANGER, SessionRedis, access_token, made_issuer, made_session

from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.sessions import (
    COOKIE,
    INDEX,
    Sessions,
    csrf_token,
    not_known,
    token_sent,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def redis() -> Any:
    return SessionRedis()


def test_a_session_is_known_by_its_id_until_it_ends(redis: Any) -> None:
    sessions = Sessions(redis, made_issuer())
    session_id = sessions.begin(made_session(NOW, "read", "teacher", minutes=5), NOW)
    assert sessions.caller(session_id, NOW) == Caller("oidc:u", ("read",), ("teacher",), "T01")
    assert sessions.caller(session_id, NOW + 5 * MINUTE) is None
    assert redis.lifetimes == [5 * MINUTE]
    sessions.end(session_id)
    assert sessions.caller(session_id, NOW) is None
    assert redis.hashes == {INDEX: {}}


def test_redis_holds_no_id_and_no_token_of_a_session_and_two_are_not_alike(redis: Any) -> None:
    """To take the guard out: let `_key` return the id, or `_sealed` the JSON."""
    sessions = Sessions(redis, made_issuer())
    session = made_session(NOW, "read", name="Ada Lovelace", refresh_token="refresh-me")
    ids = {sessions.begin(session, NOW) for _ in range(2)}
    assert len(ids) == len(set(redis.kept.values())) == 2
    stored = str(redis.kept) + str(redis.hashes)
    assert not any(one[3:] in stored for one in ids)
    assert not any(secret in stored for secret in (session.access_token, "refresh-me", "Lovelace"))


@pytest.mark.parametrize(
    "token",
    [
        access_token(NOW, "read", key=STRANGER),
        access_token(NOW, "read", iss="https://elsewhere.example"),
        access_token(NOW, "read", aud="another"),
        access_token(NOW, "read", sub="somebody-else"),
        access_token(NOW, "read", iat=None),
        access_token(NOW, "read", iat="now"),
        access_token(NOW, "read", typ="ID"),
        access_token(NOW, "read").rpartition(".")[0] + ".",
        "",
        "not a token",
    ],
    ids=range(10),
)
def test_a_session_that_somebody_wrote_into_redis_has_no_rights_without_the_issuer(
    redis: Any, token: str
) -> None:
    """To take the guard out: let `caller_of_session` not compare the signature, the audience or the subject."""
    sessions = Sessions(redis, made_issuer())
    session_id = sessions.begin(made_session(NOW, access_token=token), NOW)
    assert sessions.find(session_id, NOW) is not None
    assert sessions.caller(session_id, NOW) is None


def test_what_was_sealed_for_another_session_or_by_nobody_is_no_session(redis: Any) -> None:
    sessions = Sessions(redis, made_issuer())
    one, other = (sessions.begin(made_session(NOW, "read"), NOW) for _ in range(2))
    first, second = redis.kept
    redis.kept[first] = redis.kept[second]
    assert (sessions.find(one, NOW), sessions.find(other, NOW) is None) == (None, False)
    redis.kept[first] = made_session(NOW, "read").model_dump_json()
    assert sessions.find(one, NOW) is None


def test_the_rights_of_a_token_count_for_ten_minutes_whatever_its_end_is(redis: Any) -> None:
    """Out: the comparison with `iat` in `caller_of_session`."""
    sessions = Sessions(redis, made_issuer())
    long = access_token(NOW, "read", exp=int(NOW.timestamp()) + 86_400)
    for token in (long, access_token(NOW, "read", exp=int(NOW.timestamp()) + 60)):
        session_id = sessions.begin(made_session(NOW, access_token=token, minutes=120), NOW)
        assert sessions.caller(session_id, NOW + 9 * MINUTE) is not None
        assert sessions.caller(session_id, NOW + 10 * MINUTE) is None


def test_a_renewed_session_has_the_rights_of_its_new_token(redis: Any) -> None:
    sessions = Sessions(redis, made_issuer())
    session_id = sessions.begin(made_session(NOW, "read", "teacher"), NOW)
    later = NOW + 8 * MINUTE
    assert [sessions.takes_turn_to_renew(session_id) for _ in range(2)] == [True, False]
    sessions.renew(session_id, made_session(later, "submit"), later)
    assert sessions.caller(session_id, NOW + 12 * MINUTE) == Caller(
        "oidc:u", ("submit",), (), "T01"
    )


def test_an_ended_session_is_not_brought_back_by_its_renewal(redis: Any) -> None:
    """Out: `xx` in `renew`."""
    sessions = Sessions(redis, made_issuer())
    session_id = sessions.begin(made_session(NOW, "read"), NOW)
    sessions.end(session_id)
    sessions.renew(session_id, made_session(NOW, "read"), NOW)
    assert sessions.caller(session_id, NOW) is None


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_nobody_who_teaches_or_learns_brings_rosters_on_the_page(redis: Any, role: str) -> None:
    """Out: the comparison of roles in `caller_in`."""
    sessions = Sessions(redis, made_issuer())
    session_id = sessions.begin(made_session(NOW, "submit", "roster", role), NOW)
    office = sessions.begin(made_session(NOW, "submit", "roster", "officer"), NOW)
    found, other = sessions.caller(session_id, NOW), sessions.caller(office, NOW)
    assert found is not None
    assert other is not None
    assert (found.scopes, other.scopes) == (("submit",), ("submit", "roster"))


def test_all_sessions_of_a_person_end_or_one_that_the_issuer_names(redis: Any) -> None:
    sessions = Sessions(redis, made_issuer())
    mine = [sessions.begin(made_session(NOW, "read", sid=sid), NOW) for sid in ("a", "b", "c")]
    token = access_token(NOW, "read", sub="v")
    other = sessions.begin(made_session(NOW, client_id="oidc:v", access_token=token, sid="d"), NOW)
    assert sessions.end_of("oidc:u", "b") == 1
    assert [sessions.caller(each, NOW) is not None for each in (*mine, other)] == [
        True,
        False,
        True,
        True,
    ]
    assert sessions.end_of("oidc:v", "a") == 0
    assert sessions.end_of("oidc:u") == 2
    assert [sessions.caller(each, NOW) is not None for each in (*mine, other)] == [
        False,
        False,
        False,
        True,
    ]
    assert sessions.end_of("", "d") == 1
    assert sessions.all() == {}


def test_the_index_forgets_sessions_that_have_ended_by_themselves(redis: Any) -> None:
    sessions = Sessions(redis, made_issuer())
    sessions.begin(made_session(NOW, "read", minutes=5), NOW)
    later = NOW + 6 * MINUTE
    sessions.begin(made_session(later, "read"), later)
    assert [each.began for each in sessions.all().values()] == [later]


def test_bytes_that_are_no_text_are_no_session(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: UnicodeDecodeError in `find`."""
    sessions = Sessions(redis, made_issuer())
    session_id = sessions.begin(made_session(NOW, "read"), NOW)
    monkeypatch.setattr(redis, "get", lambda _: b"\xff\xfe".decode())
    assert sessions.caller(session_id, NOW) is None


@pytest.mark.parametrize("entry", ["", "not JSON", "{}", "[]", '{"client_id": 5}'])
def test_an_entry_of_the_index_that_cannot_be_read_stops_nobody(redis: Any, entry: str) -> None:
    """Out: let `all` raise."""
    sessions = Sessions(redis, made_issuer())
    redis.hset(INDEX, "edugraph:session:strange", entry)
    session_id = sessions.begin(made_session(NOW, "read"), NOW)
    assert sessions.caller(session_id, NOW)
    assert len(sessions.all()) == 1
    assert sessions.end_of("oidc:u") == 1
    assert sessions.caller(session_id, NOW) is None


@pytest.mark.parametrize("token", ["", "es_", "es_unknown", "eg_0_0", "es_" + "x" * 200])
def test_what_is_no_session_is_nobody(redis: Any, token: str) -> None:
    assert Sessions(redis, made_issuer()).caller(token, NOW) is None


def test_a_session_reads_by_its_cookie_alone_and_changes_with_its_token() -> None:
    """To take the guard out: return the id before the token is compared."""
    cookies = {COOKIE: "es_one"}
    assert token_sent("GET", {}, cookies) == "es_one"
    assert token_sent("POST", {"x-csrf-token": csrf_token("es_one")}, cookies) == "es_one"
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "get"):
        for headers in (
            {},
            {"x-csrf-token": ""},
            {"x-csrf-token": csrf_token("es_two")},
            {"x-csrf-token": "é"},
        ):
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
    assert (not_known("", "make a key").name, not_known("", "make a key").detail) == (
        "key",
        "make a key",
    )
