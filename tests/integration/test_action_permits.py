"""Permits to write actions about students: insights gives them in Redis, and the gateway finds them there."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest
from gateway_alone import Gateway, gateway, virtual_host

from edugraph_common.runtime.shared_state.action_permits import PERMIT_LIFETIME, ActionPermits
from edugraph_common.runtime.shared_state.api_keys import ApiKeys
from edugraph_common.runtime.shared_state.callers import Caller, KeyRing
from edugraph_common.runtime.shared_state.job_store import connect

if TYPE_CHECKING:
    import redis

TEACHER = Caller("key-1", (), ("teacher",), "T01")
STUDENT, COURSE = "S05", "MATH8"


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


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("actions")
    with virtual_host() as addresses, gateway(addresses, folder, auth="on") as running:
        yield running


@pytest.mark.real
def test_a_repeated_action_gets_its_answer_although_the_permit_has_ended(guarded: Gateway) -> None:
    """Out: `_author` within the work of the first request; or the permits in `open_gateway`.

    The permit is given as insights gives it, to the caller whom the key ring of both services knows.
    """
    redis = connect(guarded.environment["EDUGRAPH_REDIS_URL"])
    keys = ApiKeys(redis)
    now = datetime.now(UTC)
    created = keys.create("test", ("read:own",), now, roles=("teacher",), person="T01")
    caller = KeyRing(keys).caller(created.token, now)
    assert caller
    action = {"student_id": STUDENT, "course_id": COURSE, "spoken": True}

    def write(request_key: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {created.token}", "Idempotency-Key": request_key}
        with guarded.client(headers=headers) as client:
            return client.post("/v1/actions", json=action)

    name = uuid4().hex
    assert write(name).status_code == 403
    permits = ActionPermits(redis)
    permits.give(caller, STUDENT, COURSE)
    first = write(name)
    assert first.status_code == 202, first.text
    for key in redis.scan_iter("edugraph:action-permit:*"):
        redis.delete(key)
    assert write(name).json()["job_id"] == first.json()["job_id"]
    assert write(uuid4().hex).status_code == 403
    ((_, [arguments, *_]),) = guarded.take("data_import")
    assert arguments[-1]["records"][0]["data"]["teacher_id"] == "T01"
