"""Permits to write actions about students: insights gives them in Redis, and the gateway finds them there."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from edugraph_common.runtime.shared_state.action_permits import PERMIT_LIFETIME, ActionPermits
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.job_store import connect

if TYPE_CHECKING:
    import redis

TEACHER = Caller("key-1", (), ("teacher",), "T01")
STUDENT, COURSE = "S05", "MATH8"


@pytest.fixture
def client(redis_url: str) -> "Iterator[redis.Redis]":
    with connect(redis_url) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.mark.parametrize(
    ("caller", "student", "course"),
    [
        (Caller("key-2", (), ("teacher",), "T01"), STUDENT, COURSE),
        (Caller("key-1", (), ("teacher",), "T02"), STUDENT, COURSE),
        (Caller("key-1", (), ("teacher",), None), STUDENT, COURSE),
        (TEACHER, "S06", COURSE),
        (TEACHER, STUDENT, "MATH9"),
        (TEACHER, COURSE, STUDENT),
        (TEACHER, f"{STUDENT}{COURSE}", ""),
    ],
    ids=["another key", "another person", "nobody", "another student", "another course", "swapped", "joined"],
)  # fmt: skip
def test_a_permit_is_for_one_caller_student_and_course(
    client: "redis.Redis", caller: Caller, student: str, course: str
) -> None:
    """Out, each alone: the client, the person, the student or the course in the key of a permit."""
    ActionPermits(client).give(TEACHER, STUDENT, COURSE)
    at_the_gateway = ActionPermits(client)
    assert at_the_gateway.has(TEACHER, STUDENT, COURSE)
    assert not at_the_gateway.has(caller, student, course)


def test_a_permit_ends_and_names_nobody(client: "redis.Redis") -> None:
    """Out: the lifetime, or the hash."""
    permits = ActionPermits(client)
    permits.give(TEACHER, STUDENT, COURSE)
    (key,) = client.keys()
    assert 0 < client.pttl(key) <= PERMIT_LIFETIME.total_seconds() * 1_000
    for name in (STUDENT, COURSE, "T01"):
        assert name not in key
    client.pexpire(key, 0)
    assert not permits.has(TEACHER, STUDENT, COURSE)
