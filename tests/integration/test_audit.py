"""The audit log in a Redis: what an entry holds, how long it stays, and that nobody pushes the entries of others out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edugraph_common.platform.audit import AUDIT, MOST_READS_AND_REFUSALS, SECRET, Audit

NOW = datetime.now(UTC)


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
        for key in client.scan_iter(match="edugraph:audit*"):
            client.delete(key)


def test_an_entry_says_who_what_why_and_how_it_ended(server: "redis.Redis") -> None:
    audit = Audit(server, "s" * 16)
    audit.record("k1", "student.forget", "", NOW, of=("student", "S0104"), purpose="asked by a parent")
    audit.record("k1", "refused", "GET /v1/jobs", NOW, outcome="refused", of=("address", "GET /v1/jobs"))
    refused, forgot = islice(audit.newest(), 2)  # others may have left entries
    assert (forgot.who, forgot.action, forgot.outcome) == ("k1", "student.forget", "accepted")
    assert (forgot.time, forgot.purpose) == (NOW, "asked by a parent")
    assert forgot.object == audit.object_of("student", "S0104") != audit.object_of("job", "S0104")
    assert (refused.what, refused.outcome) == ("GET /v1/jobs", "refused")
    assert "S0104" not in str(server.xrange(AUDIT))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["student", "job"])), min_size=1, unique=True))
def test_an_object_is_told_by_the_secret_alone(server: "redis.Redis", objects: list[tuple[str, str]]) -> None:
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
    """Out: `number > most` in note_in_audit.lua."""
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


def test_entries_end_after_their_days(server: "redis.Redis") -> None:
    """Out: XTRIM in note_in_audit.lua."""
    for day in range(300):
        fields = {"time": NOW.isoformat(), "who": "k", "action": "job.cancel", "what": str(day)}
        server.xadd(AUDIT, fields, id=f"{int((NOW - timedelta(days=600 - day)).timestamp() * 1_000)}-1")  # type: ignore[arg-type]
    Audit(server, "s" * 16, retention_days=365).record("k", "job.cancel", "j", NOW)
    kept = list(Audit(server, "s" * 16).newest())
    # 235 are too old. Redis takes out whole nodes of the stream, of a hundred entries.
    assert 66 <= len(kept) <= 166


def test_the_log_keeps_its_newest_entries(server: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: MAXLEN in note_in_audit.lua."""
    monkeypatch.setattr("edugraph_common.platform.audit.KEPT", 150)
    audit = Audit(server, "s" * 16)
    for number in range(400):
        audit.record("k", "job.cancel", str(number), NOW)
    kept = [entry.what for entry in audit.newest()]
    # Redis takes out whole nodes of the stream, of a hundred entries.
    assert 150 <= len(kept) < 300
    assert kept == [str(number) for number in range(399, 399 - len(kept), -1)]
