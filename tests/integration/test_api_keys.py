"""API keys in a Redis: what is made, found, listed and revoked, and that their secrets stand nowhere."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
import redis

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.permissions import ROLES, SCOPES
from edugraph_common.runtime.shared_state.api_keys import (
    BOOTSTRAP_ENDED,
    KEYS,
    ApiKeys,
    matches,
    split_token,
)
from edugraph_common.runtime.shared_state.callers import KeyRing

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.delete(KEYS, BOOTSTRAP_ENDED)
        yield client
        client.delete(KEYS, BOOTSTRAP_ENDED)


@pytest.fixture
def keys(server: "redis.Redis") -> ApiKeys:
    return ApiKeys(server)


def test_a_key_that_was_made_is_found_with_all_that_is_known_of_it(keys: ApiKeys) -> None:
    tokyo = timezone(timedelta(hours=9))
    made = keys.create(
        "of the school", ["submit", "read", "submit"], NOW.astimezone(tokyo), expires=NOW
    )
    assert keys.find(made.key.key_id) == made.key
    assert (made.key.name, made.key.scopes, made.key.expires) == (
        "of the school",
        ("submit", "read"),
        NOW,
    )
    assert made.key.created == NOW
    assert made.key.created.tzinfo is UTC
    assert keys.find("another") is None


def test_a_token_names_its_key_and_has_256_random_bits(
    keys: ApiKeys, server: "redis.Redis"
) -> None:
    made, other = keys.create("a", ["read"], NOW), keys.create("a", ["read"], NOW)
    assert re.fullmatch(r"eg_[0-9a-f]{12}_[0-9a-f]{64}", made.token)
    key_id, secret = split_token(made.token)
    assert key_id == made.key.key_id
    assert matches(made.key, secret)
    assert not matches(other.key, secret)
    assert made.key.secret_hash == sha256(secret.encode()).hexdigest()
    assert secret not in str(server.hgetall(KEYS))


def test_id_and_secret_are_drawn_apart(keys: ApiKeys) -> None:
    drawn: list[int] = []

    def random(length: int) -> str:
        drawn.append(length)
        return f"{length:x}" * 2

    assert keys.create("a", ["read"], NOW, random=random).token == "eg_66_2020"
    assert drawn == [6, 32]


def test_a_key_has_the_roles_and_the_person_that_it_was_made_with(keys: ApiKeys) -> None:
    made = keys.create("class 8a", [], NOW, roles=["teacher", "teacher"], person="T01")
    caller = KeyRing(keys).caller(made.token, NOW)
    assert caller is not None
    assert (caller.scopes, caller.roles, caller.person) == ((), ("teacher",), "T01")
    granted = keys.grant(made.key.key_id, ["read"])
    assert granted is not None
    assert (granted.roles, granted.person) == (("teacher",), "T01")


def test_that_a_key_was_made_is_known_for_good_also_of_older_releases(
    keys: ApiKeys, server: "redis.Redis"
) -> None:
    assert not keys.were_made()
    keys.revoke(keys.create("a", ["read"], NOW).key.key_id)
    assert keys.were_made()
    server.delete(BOOTSTRAP_ENDED)
    assert not keys.were_made()
    server.hset(KEYS, "made by a release that kept nothing else", "{}")
    assert keys.were_made()
    server.delete(KEYS)
    server.set("edugraph:keys-made", 1)  # as another release says it
    assert keys.were_made()


def test_keys_that_are_stored_name_these_roles_and_scopes() -> None:
    """A name that changed would shut out who has it."""
    assert ROLES == ("analyst", "teacher", "student", "head", "counsellor", "officer")
    assert SCOPES == (
        "read:own",
        "read",
        "personal",
        "submit",
        "roster",
        "review",
        "operate",
        "privacy",
        "erase",
    )


def test_a_key_gets_more_scopes_and_keeps_its_secret(keys: ApiKeys) -> None:
    made = keys.create("a", ["read"], NOW)
    granted = keys.grant(made.key.key_id, ["personal", "read"])
    assert granted is not None
    assert granted.scopes == ("read", "personal")
    assert keys.find(made.key.key_id) == granted
    assert matches(granted, split_token(made.token)[1])
    assert keys.grant("another", ["read"]) is None


def test_keys_are_listed_the_oldest_first(keys: ApiKeys) -> None:
    days = (3, 1, 2, 5, 4)
    made = {day: keys.create(f"day {day}", ["read"], NOW + timedelta(days=day)).key for day in days}
    assert keys.all() == [made[day] for day in sorted(days)]


def test_a_revoked_key_is_gone_and_an_unknown_one_cannot_be_revoked(keys: ApiKeys) -> None:
    one, other = keys.create("a", ["read"], NOW).key, keys.create("b", ["read"], NOW).key
    assert keys.revoke(one.key_id) is True
    assert keys.find(one.key_id) is None
    assert keys.all() == [other]
    assert keys.revoke(one.key_id) is False


def test_a_key_is_valid_until_the_moment_at_which_it_expires(keys: ApiKeys) -> None:
    key = keys.create("a", ["read"], NOW, expires=NOW + timedelta(hours=1)).key
    assert key.is_valid(NOW + timedelta(minutes=59))
    assert not key.is_valid(NOW + timedelta(hours=1))
    assert keys.create("a", ["read"], NOW).key.is_valid(NOW + timedelta(days=36_500))


@pytest.mark.parametrize(
    "token", ["", "eg", "eg_", "eg_a", "eg_a_", "eg__secret", "xx_a_secret", "_a_secret"]
)
def test_what_has_no_id_or_no_secret_or_another_prefix_is_no_token(token: str) -> None:
    assert split_token(token) == ("", "")


def test_a_secret_may_hold_underscores() -> None:
    assert split_token("eg_a_b_c") == ("a", "b_c")


def test_nobody_is_known_by_any_secret_even_by_none() -> None:
    assert matches(None, "") is False
    assert matches(None, "secret") is False


@pytest.mark.loopback("a connection that is refused is the failure")
def test_without_redis_each_call_says_to_try_again() -> None:
    away = ApiKeys(redis.Redis(port=1, retry=None))
    for call in (
        lambda: away.create("a", ["read"], NOW),
        away.all,
        lambda: away.revoke("a"),
        lambda: away.find("a"),
    ):
        with pytest.raises(Retryable):
            call()
