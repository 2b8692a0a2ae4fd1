"""What the sweeper takes and what it leaves, with a real Redis and a folder; and what is left of a job that is deleted."""

import asyncio
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from engines import own_vhost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_settings import settings_from

from edugraph_common.contracts.messages import JOB_DEADLINE_SECONDS
from edugraph_common.contracts.outcomes import BatchOutcome
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.messaging.celery_app import make_app, make_publisher
from edugraph_common.messaging.provisioning import apply_topology, management, vhost
from edugraph_common.messaging.topology import policies
from edugraph_common.platform.audit import AUDIT
from edugraph_common.platform.job_store import ENDING_RECORDS, JOBS, SWEEPING, SWEPT, Jobs
from edugraph_common.platform.object_store import Blobs, export_key
from edugraph_common.platform.settings import Settings
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.operations.sweeper import Retention, end_old_records, sweep
from edugraph_gateway.settings import GatewaySettings

NOW = datetime.now(UTC)
KEPT = Retention(sources=timedelta(days=30), rejects=timedelta(days=10))


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.delete(SWEEPING, SWEPT)
        yield client
        client.delete(SWEEPING, SWEPT)


@pytest.fixture
def jobs(server: "redis.Redis") -> Iterator[Jobs]:
    yield Jobs(server)
    for key in server.scan_iter("edugraph:job:{swept-*"):
        server.delete(key)
    server.zrem(JOBS, *(job for job in server.zrange(JOBS, 0, -1) if job.startswith("swept-")), "none")


def _put(folder: Path, key: str, days: float) -> Path:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    written = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (written, written))
    return path


BLOBS = st.sampled_from(["source.ndjson", "rows.zst", "reading.json", "cancelled", "rejects/0.ndjson", "rejects-1"])
JOB = st.tuples(
    st.sampled_from(["running", "ended", "unknown"]), st.dictionaries(BLOBS, st.integers(0, 60), max_size=5)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(made=st.lists(JOB, max_size=6), page=st.integers(1, 4))
def test_a_blob_goes_when_its_time_is_over_and_its_job_has_ended(
    jobs: Jobs,
    server: "redis.Redis",
    tmp_path: Path,
    made: list[tuple[str, dict[str, int]]],
    page: int,
) -> None:
    """Out: `is_open` in sweep, or the comparison with `retention.of`."""
    folder, stays, goes = tmp_path / uuid.uuid4().hex, list[Path](), list[Path]()
    for state, blobs in made:
        job = f"swept-{uuid.uuid4().hex}"
        if state != "unknown":
            jobs.create(job, "import", "f", NOW)
        if state == "ended":
            jobs.cancel(job, NOW)
        for name, days in blobs.items():
            over = days >= (10 if name.startswith("rejects") else 30)
            path = _put(folder, f"jobs/{job}/{name}", days + 0.5)
            (goes if over and state != "running" else stays).append(path)
    deleted = 0
    for _ in range(len(made) // page + 2):
        server.delete(SWEEPING)
        deleted += sweep(jobs, Blobs(str(folder)), KEPT, NOW, page)
    assert deleted == len(goes)
    assert [path for path in stays if not path.exists()] == [path for path in goes if path.exists()] == []
    server.delete(SWEPT)


def test_exports_that_nobody_fetched_for_a_day_go(jobs: Jobs, tmp_path: Path, server: "redis.Redis") -> None:
    """Out: `delete_old_exports` in sweep."""
    server.delete(SWEEPING)
    keys = [export_key("x", NOW - timedelta(hours=hours)) for hours in (1, 25)]
    for key in keys:
        _put(tmp_path, key, 0)
    assert sweep(jobs, Blobs(str(tmp_path)), KEPT, NOW) == 1
    assert Blobs(str(tmp_path)).keys("exports") == keys[:1]
    server.delete(SWEEPING)


@dataclass
class Sent:
    """Stands for the publisher of a submitter."""

    jobs: Jobs
    names: list[str] = field(default_factory=list)

    @property
    def publisher(self) -> "Sent":
        return self

    async def send(self, name: str, message: Any, *, task_id: str) -> None:
        self.names.append(f"{name} {message.job_id} {bool(task_id)}")

    @staticmethod
    def new_id() -> str:
        return "r"


@pytest.mark.parametrize("days", [(0, 0), (30, 0), (0, 30)])
def test_the_importer_is_asked_once_an_hour_to_end_records_that_have_a_retention(
    jobs: Jobs, server: "redis.Redis", days: tuple[int, int]
) -> None:
    """Out: the turn, or either setting in end_old_records."""
    server.delete(ENDING_RECORDS)
    texts, records = days
    given_settings = {"broker_url": "amqp://x", "redis_url": "redis://x", "blob_url": "x"}
    retention = {"graph_text_retention_days": texts, "graph_record_retention_days": records}
    settings, sent = Settings.model_validate({**given_settings, **retention}), Sent(jobs)
    for _ in range(3):
        asyncio.run(end_old_records(cast("Any", sent), settings))
    assert sent.names == (["end_old_records_task r True"] if any(days) else [])
    server.delete(ENDING_RECORDS)


def test_processes_take_turns(jobs: Jobs, tmp_path: Path) -> None:
    _put(tmp_path, "jobs/swept-old/source.csv", 100)
    assert sweep(jobs, Blobs(str(tmp_path)), KEPT, NOW) == 1
    _put(tmp_path, "jobs/swept-old/source.csv", 100)
    assert sweep(jobs, Blobs(str(tmp_path)), KEPT, NOW) == 0


def test_no_blob_ends_while_a_message_of_its_job_may_come() -> None:
    for name in ("source_retention_days", "reject_retention_days"):
        least = next(rule.ge for rule in Settings.model_fields[name].metadata if hasattr(rule, "ge"))
        assert least * 86_400 > JOB_DEADLINE_SECONDS


@pytest.mark.usefixtures("jobs")
def test_the_gateway_keeps_each_thing_as_long_as_its_setting_says(
    server: "redis.Redis", redis_url: str, tmp_path: Path
) -> None:
    """Out: any of these settings in open_gateway, which has the same defaults without them."""
    addresses = {"broker_url": "amqp://127.0.0.1:1", "redis_url": redis_url, "blob_url": str(tmp_path), "auth": "off"}
    days = {"job": 40, "source": 50, "reject": 20, "audit": 5}
    given = addresses | {f"{name}_retention_days": number for name, number in days.items()}
    gateway = open_gateway(GatewaySettings.model_validate(given), now=lambda: NOW)
    stays = [_put(tmp_path, f"jobs/swept-x/{name}", age) for name, age in (("source.csv", 49), ("rejects/0.x", 19))]
    goes = [_put(tmp_path, f"jobs/swept-x/{name}", age) for name, age in (("rows.zst", 51), ("rejects/1.x", 21))]
    assert gateway.sweep() == 2
    assert [path.exists() for path in (*stays, *goes)] == [True, True, False, False]
    job = f"swept-{uuid.uuid4().hex}"
    gateway.jobs.create(job, "import", "f", NOW)
    gateway.jobs.cancel(job, NOW)
    assert 39 * 86_400 < server.ttl(f"edugraph:job:{{{job}}}") <= 40 * 86_400
    server.delete(AUDIT)
    for number in range(250):
        old = int((NOW - timedelta(days=10)).timestamp() * 1_000) + number
        server.xadd(AUDIT, {"time": NOW.isoformat(), "who": "k", "action": "job.cancel", "what": "j"}, id=f"{old}-1")
    gateway.audit.record("k", "job.cancel", "j", NOW)
    assert server.xlen(AUDIT) <= 51  # Redis takes out whole nodes of the stream, of a hundred entries
    server.delete(AUDIT)


def test_results_and_dead_letters_end_when_their_settings_say() -> None:
    """Out: `result_expires` in make_app, or `message-ttl` in policies."""
    addresses = {"broker_url": "amqp://x", "redis_url": "redis://x", "blob_url": "x"}
    app = make_app("of-a-test", Settings.model_validate({**addresses, "result_retention_days": 3}))
    assert app.conf.result_expires == 3 * 86_400
    definition = policies(4)["edugraph.dead"]["definition"]
    assert definition["message-ttl"] == 4 * 86_400_000
    for queue in QUEUES:
        assert re.fullmatch(policies()["edugraph.dead"]["pattern"], f"{queue}.dead")


@pytest.mark.real
def test_the_broker_is_told_how_long_dead_letters_stay(tmp_path: Path) -> None:
    """Out: the setting in apply_topology."""
    with own_vhost() as addresses:
        given = settings_from({**addresses, "EDUGRAPH_BLOB_URL": str(tmp_path)})
        settings = given.model_copy(update={"dead_letter_retention_days": 3})
        apply_topology(make_publisher("of-a-test", settings), settings)
        with management(settings) as api:
            found = api.get(f"/api/policies/{vhost(settings)}/edugraph.dead").raise_for_status().json()
    assert found["definition"]["message-ttl"] == 3 * 86_400_000


def test_a_job_that_has_ended_is_deleted_and_a_late_word_brings_nothing_back(
    jobs: Jobs, server: "redis.Redis"
) -> None:
    """Out: the states in delete_job.lua, or its HSET of `cancelled`."""
    job = f"swept-{uuid.uuid4().hex}"
    assert not jobs.delete(job, NOW)
    jobs.create(job, "import", "pupils of 3b.csv", NOW, tasks="[]")
    assert not jobs.delete(job, NOW)
    assert jobs.report(job, NOW) is not None
    jobs.cancel(job, NOW)
    assert jobs.delete(job, NOW)
    assert jobs.report(job, NOW) is None
    assert not server.zscore(JOBS, job)
    assert jobs.standing(job, 0) == "cancelled"
    jobs.settle_batch(BatchOutcome(job_id=job, batch=0, state="written", read=1, written=1), NOW)
    assert jobs.report(job, NOW) is None
    left = {
        key: server.hgetall(key) for key in server.scan_iter(f"edugraph:job:{{{job}}}*") if server.type(key) == "hash"
    }
    assert "pupils" not in str(left)
    assert all(server.ttl(key) > 0 for key in left)
