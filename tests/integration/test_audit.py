"""The audit log in a Redis: what an entry holds, how long it stays, and that nobody pushes the entries of others out."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edugraph_common.runtime.shared_state.audit import (
    ENDED,
    ENTRIES,
    MOST_READS_AND_REFUSALS,
    SECRET,
    Audit,
)

NOW = datetime.now(UTC)


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
        for pattern in ("edugraph:audit*", "edugraph:logged:*"):
            for key in client.scan_iter(match=pattern):
                client.delete(key)


def test_an_entry_says_who_what_why_and_how_it_ended(server: "redis.Redis") -> None:
    audit = Audit(server, "s" * 16)
    audit.record(
        "k1", "student.forget", "", NOW, of=("student", "S0104"), purpose="asked by a parent"
    )
    audit.record(
        "k1", "refused", "GET /v1/jobs", NOW, outcome="refused", of=("address", "GET /v1/jobs")
    )
    refused, forgot = islice(audit.newest(), 2)  # others may have left entries
    assert (forgot.who, forgot.action, forgot.outcome) == ("k1", "student.forget", "accepted")
    assert (forgot.time, forgot.purpose) == (NOW, "asked by a parent")
    assert forgot.object == audit.object_of("student", "S0104") != audit.object_of("job", "S0104")
    assert (refused.what, refused.outcome) == ("GET /v1/jobs", "refused")
    assert "S0104" not in str(server.lrange(ENTRIES, 0, -1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["student", "job"])),
        min_size=1,
        unique=True,
    )
)
def test_an_object_is_told_by_the_secret_alone(
    server: "redis.Redis", objects: list[tuple[str, str]]
) -> None:
    one, other, same = (Audit(server, secret) for secret in ("s" * 16, "t" * 16, "s" * 16))
    keyed = [one.object_of(*each) for each in objects]
    assert len(set(keyed)) == len(objects)
    assert keyed == [same.object_of(*each) for each in objects]
    assert not set(keyed) & {other.object_of(*each) for each in objects}


def test_without_a_secret_redis_keeps_a_random_one_for_all_processes(server: "redis.Redis") -> None:
    assert Audit(server).object_of("job", "1") == Audit(server).object_of("job", "1")
    before = Audit(server).object_of("job", "1")
    server.delete(SECRET)
    assert Audit(server).object_of("job", "1") != before


def test_who_is_refused_often_fills_no_more_than_a_share(server: "redis.Redis") -> None:
    """Out: `number > most` in append_to_audit.lua."""
    audit = Audit(server, "s" * 16)
    audit.record("operator", "dead.drop", "data_import, all", NOW)
    for _ in range(MOST_READS_AND_REFUSALS + 20):
        audit.record("unknown", "refused", "GET /v1/jobs", NOW, outcome="refused")
    audit.record("reader", "personal.read", "job", NOW, outcome="shown")
    audit.record("unknown", "key.revoke", "k1", NOW)
    entries = list(audit.newest())
    assert len(entries) == MOST_READS_AND_REFUSALS + 4
    assert [entry.action for entry in entries[:3]] == ["key.revoke", "personal.read", "capped"]
    assert entries[-1].who == "operator"
    audit.record("unknown", "refused", "GET /v1/jobs", NOW + timedelta(days=1), outcome="refused")
    assert next(audit.newest()).action == "refused"
    assert audit.verify().fault is None


def noted(audit: Audit, number: int) -> list[str]:
    """Write entries, and return their places in the chain, the oldest first."""
    for each in range(number):
        audit.record("k", "job.cancel", str(each), NOW)
    return [entry.place for entry in audit.newest()][::-1]


def test_entries_end_after_their_days_and_the_chain_goes_on(server: "redis.Redis") -> None:
    """Out: the comparison of `at` in end_audit.lua, or SET of what has ended."""
    audit = Audit(server, "s" * 16, retention_days=365)
    for day in range(600, 0, -100):
        audit.record("k", "job.cancel", str(day), NOW - timedelta(days=day))
    assert audit.end_old(NOW) == 3
    assert [entry.what for entry in audit.newest()] == ["100", "200", "300"]
    assert (audit.verify().entries, audit.verify().fault) == (3, None)
    assert audit.end_old(NOW + timedelta(days=1_000)) == 3
    Audit(server, "s" * 16).record("k", "job.cancel", "after", NOW)
    found = audit.verify()
    assert (found.entries, found.fault, found.last.partition(":")[0]) == (1, None, "7")


def test_the_log_keeps_its_newest_entries(
    server: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: LLEN in end_audit.lua."""
    monkeypatch.setattr("edugraph_common.runtime.shared_state.audit.KEPT", 150)
    audit = Audit(server, "s" * 16)
    noted(audit, 400)
    assert audit.end_old(NOW) == 250
    assert [entry.what for entry in audit.newest()] == [
        str(number) for number in range(399, 249, -1)
    ]
    assert audit.verify().fault is None


def test_many_who_write_at_once_make_one_chain(server: "redis.Redis") -> None:
    """Out: the comparison of the last entry in append_to_audit.lua."""
    writers = [Audit(server, "s" * 16) for _ in range(8)]

    def write(audit: Audit) -> None:
        for number in range(25):
            audit.record("k", "job.cancel", str(number), NOW)

    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(write, writers))
    found = writers[0].verify()
    assert (found.entries, found.fault) == (200, None)
    assert [entry.number for entry in writers[0].newest()] == list(range(200, 0, -1))


def _changed(server: "redis.Redis", index: int, **fields: Any) -> None:
    entry = json.loads(str(server.lindex(ENTRIES, index)))
    server.lset(ENTRIES, index, json.dumps(entry | fields))


TAMPERED: dict[str, Callable[["redis.Redis"], Any]] = {
    "another person": lambda server: _changed(server, 4, who="somebody else"),
    "another outcome": lambda server: _changed(server, 4, outcome="failed"),
    "another time": lambda server: _changed(server, 4, time="2020-01-01T00:00:00Z"),
    "another number": lambda server: _changed(server, 4, number=7),
    "another hash": lambda server: _changed(server, 4, hash="0" * 64),
    "another predecessor": lambda server: _changed(server, 4, previous="0" * 64),
    "the first one is gone": lambda server: server.lpop(ENTRIES),
    "one in the middle is gone": lambda server: server.lrem(
        ENTRIES, 1, str(server.lindex(ENTRIES, 4))
    ),
    "two are exchanged": lambda server: [
        server.lset(ENTRIES, place, text)
        for place, text in zip((4, 3), server.lrange(ENTRIES, 3, 4), strict=True)
    ],
    "the newest one is gone": lambda server: server.rpop(ENTRIES),
    "all are gone": lambda server: server.delete(ENTRIES),
    "all are gone, and it says that they ended": lambda server: [
        server.delete(ENTRIES),
        server.set(ENDED, json.dumps({"number": 9, "hash": "0" * 64})),
    ],
    "one was added by hand": lambda server: server.rpush(ENTRIES, "{}"),
    "one was added with the hash of another": lambda server: server.rpush(
        ENTRIES, str(server.lindex(ENTRIES, 4))
    ),
    "something that is no text of ours was added": lambda server: server.rpush(ENTRIES, "\x00 x"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_changed_or_taken_out_is_seen(server: "redis.Redis", how: str) -> None:
    """Out: the comparison of the hash, of the predecessor, of what has ended, or of the expected entry."""
    audit = Audit(server, "s" * 16)
    places = noted(audit, 10)
    assert audit.verify(places[-1]) == (10, places[-1], None)
    TAMPERED[how](server)
    assert Audit(server, "s" * 16).verify(places[-1]).fault
    # The service goes on, and what it writes now does not hide the fault.
    Audit(server, "s" * 16).record("k", "job.cancel", "later", NOW)
    assert Audit(server, "s" * 16).verify(places[-1]).fault
    assert next(Audit(server, "s" * 16).newest()).what == "later"


def test_who_does_not_know_the_secret_cannot_make_the_chain_again(server: "redis.Redis") -> None:
    noted(Audit(server, "s" * 16), 5)
    server.delete(ENTRIES)
    noted(Audit(server, "t" * 16), 5)
    assert Audit(server, "s" * 16).verify().fault


def test_an_entry_of_an_earlier_look_may_have_ended(server: "redis.Redis") -> None:
    """Out: the comparison with the number of the last one that ended."""
    audit = Audit(server, "s" * 16)
    places = noted(audit, 10)
    audit.end_old(NOW + timedelta(days=1_000), 5)
    assert [audit.verify(place).fault for place in places] == [None] * 10
    assert audit.verify(f"11:{'0' * 64}").fault
    assert audit.verify(f"7:{'0' * 64}").fault


def test_an_event_is_written_down_once_however_often_it_is_reported(server: "redis.Redis") -> None:
    """Out: the second key in append_to_audit.lua; or look at it before the last entry is compared."""
    audits = [Audit(server, "s" * 16) for _ in range(3)]
    for number in range(3):
        for audit in audits:
            # The next one does not know the entry of this one, and has to try again.
            audit.record("k1", "group.leader", f"event {number}", NOW, once=f"{number}")
            audit.record("k1", "dead.drop", "another", NOW)
    logged = [each.what for each in audits[0].newest() if each.action == "group.leader"]
    assert logged == ["event 2", "event 1", "event 0"]
    assert audits[0].verify().fault is None


@pytest.mark.parametrize(
    "text", ["\x00 x", "[1]", "7", '"x"', "null", "{}", '{"at": "soon"}', '{"at": {}, "number": 1}']
)
def test_an_entry_that_nobody_can_read_ends_with_those_before_it(
    server: "redis.Redis", text: str
) -> None:
    """Out: `pcall`, the look at the type, `or 0`, or the look at number and hash in end_audit.lua."""
    audit = Audit(server, "s" * 16)
    noted(audit, 3)
    server.rpush(ENTRIES, text)
    for number in range(2):
        audit.record("k", "job.cancel", f"later {number}", NOW + timedelta(days=400))
    ended_before = server.get(ENDED)
    assert audit.end_old(NOW + timedelta(days=500), 3) == 3
    assert server.get(ENDED) != ended_before
    of_last = server.get(ENDED)
    assert audit.end_old(NOW + timedelta(days=500)) == 1
    assert server.get(ENDED) == of_last
    assert [each.what for each in audit.newest()] == ["later 1", "later 0"]


def test_what_is_counted_and_remembered_beside_the_log_ends(server: "redis.Redis") -> None:
    """Out: EXPIRE or EX in append_to_audit.lua."""
    audit = Audit(server, "s" * 16)
    for _ in range(2):
        audit.record("k1", "refused", "GET /v1/jobs", NOW, outcome="refused")
        audit.record("k1", "group.leader", "leads", NOW, once="an-event")
    [count] = server.scan_iter(match="edugraph:audit-count:k1:*")
    assert server.get(count) == "2"
    assert 86_400 < server.ttl(count) <= 2 * 86_400
    assert 29 * 86_400 < server.ttl("edugraph:logged:an-event") <= 30 * 86_400


def test_no_more_entries_end_at_a_time_than_asked_for(server: "redis.Redis") -> None:
    """Out: the bound of the loop in end_audit.lua."""
    audit = Audit(server, "s" * 16)
    noted(audit, 10)
    assert audit.end_old(NOW + timedelta(days=1_000), 4) == 4
    assert server.llen(ENTRIES) == 6
