"""A prefix stands before each key, and nothing in the services opens a client without it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edugraph_common.contracts.personal_data import PLACES, Store
from edugraph_common.runtime.service.settings import RedisSettings
from edugraph_common.runtime.shared_state.job_store import redis_of
from edugraph_common.runtime.shared_state.key_prefix import (
    PrefixedRedis,
    UnknownCommand,
    name_in_redis,
    prefixed,
)

CHECKOUT = Path(__file__).parents[3]
# The modules that open a client themselves: the function that the others use, and commands of an operator.
OPEN_CLIENTS = {
    "libs/common/src/edugraph_common/runtime/shared_state/job_store.py",
    "cli/src/edugraph_cli/commands/keys.py",
    # Makes users, and uses no key.
    "cli/src/edugraph_cli/commands/redis_users.py",
    "cli/src/edugraph_cli/serving.py",
}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("GET", "x"), ("GET", "a:x")),
        (("get", b"x"), ("get", b"a:x")),
        (("DEL", "x", "y"), ("DEL", "a:x", "a:y")),
        (("HSET", "x", "field", "value"), ("HSET", "a:x", "field", "value")),
        (("EVALSHA", "sha", 2, "x", "y", "z"), ("EVALSHA", "sha", 2, "a:x", "a:y", "z")),
        (("SCRIPT LOAD", "text"), ("SCRIPT LOAD", "text")),
        (("PING",), ("PING",)),
        (("GET", "edugraph:job:{x}"), ("GET", "a:edugraph:job:{x}")),
    ],
)
def test_each_key_of_a_command_gets_the_prefix(
    command: tuple[Any, ...], expected: tuple[Any, ...]
) -> None:
    assert prefixed("a:", command) == expected


def test_a_command_whose_keys_are_not_known_is_refused() -> None:
    """Out: the last line of `_first_key`."""
    with pytest.raises(UnknownCommand, match="SORT"):
        prefixed("a:", ("SORT", "x"))


def test_without_the_setting_the_client_is_the_plain_one() -> None:
    plain = redis_of(RedisSettings.model_validate({"redis_url": "redis://127.0.0.1:1"}))
    assert not isinstance(plain, PrefixedRedis)
    assert name_in_redis(plain, "x") == "x"


def registered() -> Iterator[str]:
    """Yield how the names of keys begin without a prefix."""
    for place in PLACES:
        if place.store is Store.REDIS:
            for pattern in place.patterns:
                beginning = pattern.partition("*")[0]
                if beginning:
                    yield beginning


@pytest.mark.parametrize(
    "prefix", ["School:", "a", "a:b:", "*:", "{a}:", "a b:", "edugraph:", "celery-task-meta-x:"]
)
def test_a_prefix_that_could_meet_other_keys_is_refused(prefix: str) -> None:
    """Out: the pattern of the setting, or `prefix_begins_no_other_key`."""
    with pytest.raises(ValidationError):
        RedisSettings.model_validate({"redis_url": "redis://", "redis_key_prefix": prefix})


def test_no_key_without_a_prefix_begins_as_one_with_a_prefix() -> None:
    for beginning in registered():
        with pytest.raises(ValidationError):
            RedisSettings.model_validate(
                {"redis_url": "redis://", "redis_key_prefix": f"{beginning.rstrip(':{')}x:"}
                if not beginning.startswith("edugraph:")
                else {"redis_url": "redis://", "redis_key_prefix": "edugraph:"}
            )


def opened() -> Iterator[str]:
    """Yield each module of the services that calls `connect` of Redis or makes a client of redis-py."""
    for folder in ("libs/common/src", "services", "cli/src"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            name = str(path.relative_to(CHECKOUT))
            if "/tests/" in name:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if not isinstance(node, ast.ImportFrom):
                    continue
                names = {alias.name for alias in node.names}
                if node.module == "edugraph_common.runtime.shared_state.job_store" and (
                    "connect" in names
                ):
                    yield name
            if "from_url(" in path.read_text(encoding="utf-8"):
                yield name


def test_services_open_redis_by_their_settings_alone() -> None:
    """Out: `connect` in place of `redis_of` in any service."""
    assert set(opened()) == OPEN_CLIENTS
