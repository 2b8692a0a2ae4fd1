"""What the sweeper takes and what it leaves, with a real Redis and a folder; and what is left of a job that is deleted."""

import asyncio
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
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
from edugraph_common.contracts.personal_data import PLACES
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.runtime.messaging.celery_app import make_publisher
from edugraph_common.runtime.messaging.dead_letter_store import DIED, made_letter
from edugraph_common.runtime.messaging.provisioning import apply_topology, management, vhost
from edugraph_common.runtime.messaging.topology import policies
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.audit import ENDED, ENTRIES, Audit
from edugraph_common.runtime.shared_state.digests import OWNERS, DigestSubscription
from edugraph_common.runtime.shared_state.job_store import (
    ENDING_RECORDS,
    JOBS,
    SWEEPING,
    SWEPT,
    Jobs,
)
from edugraph_common.runtime.shared_state.object_store import Blobs, export_key
from edugraph_common.runtime.shared_state.saved_views import SavedView, ViewState
from edugraph_gateway.gateway import Gateway, open_gateway
from edugraph_gateway.operations.sweeper import Retention, end_old_records, sweep
from edugraph_gateway.settings import GatewaySettings
from edugraph_importer.graph.retention import Compacted, Ended, IsOver
from edugraph_importer.service import Importer
from edugraph_insights.insights import Insights, open_insights
from edugraph_insights.settings import InsightsSettings

NOW = datetime.now(UTC)
DAY = 86_400
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
    server.zrem(
        JOBS, *(job for job in server.zrange(JOBS, 0, -1) if job.startswith("swept-")), "none"
    )


def _put(folder: Path, key: str, days: float) -> Path:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    written = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (written, written))
    return path


BLOBS = st.sampled_from(
    ["source.ndjson", "rows.zst", "reading.json", "cancelled", "rejects/0.ndjson", "rejects-1"]
)
JOB = st.tuples(
    st.sampled_from(["running", "ended", "unknown"]),
    st.dictionaries(BLOBS, st.integers(0, 60), max_size=5),
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
    assert (
        [path for path in stays if not path.exists()]
        == [path for path in goes if path.exists()]
        == []
    )
    server.delete(SWEPT)


def test_exports_that_nobody_fetched_for_a_day_go(
    jobs: Jobs, tmp_path: Path, server: "redis.Redis"
) -> None:
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


def test_the_importer_is_asked_once_an_hour_to_end_what_has_a_retention(
    jobs: Jobs, server: "redis.Redis"
) -> None:
    """Out: the turn in end_old_records."""
    server.delete(ENDING_RECORDS)
    sent = Sent(jobs)
    for _ in range(3):
        asyncio.run(end_old_records(cast("Any", sent)))
    assert sent.names == ["end_old_records_task r True"]
    server.delete(ENDING_RECORDS)


def test_processes_take_turns(jobs: Jobs, tmp_path: Path) -> None:
    _put(tmp_path, "jobs/swept-old/source.csv", 100)
    assert sweep(jobs, Blobs(str(tmp_path)), KEPT, NOW) == 1
    _put(tmp_path, "jobs/swept-old/source.csv", 100)
    assert sweep(jobs, Blobs(str(tmp_path)), KEPT, NOW) == 0


def test_no_blob_ends_while_a_message_of_its_job_may_come() -> None:
    for name in ("source_retention_days", "reject_retention_days"):
        least = next(
            rule.ge for rule in Settings.model_fields[name].metadata if hasattr(rule, "ge")
        )
        assert least * 86_400 > JOB_DEADLINE_SECONDS


@dataclass(frozen=True)
class Ground:
    """Where the services keep things, each made by its own composition root from the settings in `environment`."""

    environment: dict[str, str]
    folder: Path
    server: "redis.Redis"

    @cached_property
    def gateway(self) -> Gateway:
        return open_gateway(self._of(GatewaySettings), now=lambda: NOW)

    @cached_property
    def insights(self) -> Insights:
        return open_insights(self._of(InsightsSettings), now=lambda: NOW)

    @cached_property
    def importer(self) -> dict[str, float]:
        return self._in_worker(
            "importer",
            "text_days",
            "record_days",
            "orphan_review_days",
            "ledger_days",
            of="graph._retention",
        )

    @cached_property
    def analyzer(self) -> dict[str, float]:
        keep = "work.pipeline._store.keep('error', 'swept-of-a-test', {})"
        return self._in_worker(
            "analyzer", "batch_deadline_seconds", of="pipeline._settings", first=keep
        )

    def _of(self, settings: Any) -> Any:
        prefixed = {f"EDUGRAPH_{name.upper()}": name for name in settings.model_fields}
        return settings.model_validate(
            {prefixed[name]: value for name, value in self.environment.items() if name in prefixed}
        )

    def _in_worker(self, service: str, *names: str, of: str, first: str = "") -> dict[str, float]:
        """Import the service's worker in a process of its own, and cancel a job there. Return some attributes."""
        lines = (
            "import datetime, json",
            f"from edugraph_{service}.worker import app",
            "work, now = app.work(), datetime.datetime.now(datetime.UTC)",
            f"work.jobs.create('swept-{service}', 'import', 'f', now)",
            f"work.jobs.cancel('swept-{service}', now)",
            first,
            f"found = {{name: getattr(work.{of}, name) for name in {names!r}}}",
            "print(json.dumps(found | {'result': app.conf.result_expires}))",
        )
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return {**json.loads(done.stdout), "job": self.ttl(f"edugraph:job:{{swept-{service}}}")}

    def ttl(self, key: str) -> float:
        return round(self.server.ttl(key) / DAY, 2)

    def job_of_gateway(self) -> float:
        self.gateway.jobs.create("swept-gateway", "import", "f", NOW)
        self.gateway.jobs.cancel("swept-gateway", NOW)
        return self.ttl("edugraph:job:{swept-gateway}")

    def swept_after(self, *names: str) -> int:
        """The age in days, of 8 to 100, at which the sweeper takes the first of these blobs."""
        paths = {
            days: [_put(self.folder, f"jobs/{days}/{name}", days - 0.5) for name in names]
            for days in AGES
        }
        self.server.delete(SWEEPING, SWEPT)
        self.gateway.sweep()
        return max(days for days, of_age in paths.items() if all(path.exists() for path in of_age))

    def letters_swept_after(self) -> int:
        """The age in days, of 8 to 100, at which the sweeper takes the first dead letter."""
        store = self.gateway.dead_letters._store
        for days in AGES:
            died = (NOW - timedelta(days=days - 0.5)).isoformat()
            store.keep(made_letter("data_import", {}, {"id": str(days), DIED: died}, b"", NOW))
        self.gateway.sweep()
        return max(days for days in AGES if store.of_task("data_import", str(days)))

    def noted_for(self, audit: Audit) -> int:
        """The days, of 10, for which every entry is kept."""
        self.server.delete(ENTRIES, ENDED)
        for days in range(10, 0, -1):
            audit.record("k", "job.cancel", str(days), NOW - timedelta(days=days - 0.5))
        audit.end_old(NOW)
        kept = [int(entry.what) for entry in audit.newest()]
        self.server.delete(ENTRIES, ENDED)
        return max(kept)

    def answer(self) -> float:
        assert self.analyzer  # it keeps one
        return self.ttl("edugraph:llm:answer:error:swept-of-a-test") * DAY

    def view(self) -> float:
        state = ViewState(kind="page", name="map")
        self.insights.views.add("swept-of-a-test", "v", SavedView(name="x", state=state))
        return self.ttl("edugraph:views:swept-of-a-test")

    def digest(self) -> float:
        assert self.insights.digests is not None
        digest = DigestSubscription(person="t", course="c", address="a@b.example", since=NOW)
        self.insights.digests.keep("swept-of-a-test", "d", digest)
        return self.ttl("edugraph:digests:swept-of-a-test")

    def session(self) -> float:
        assert self.insights.login is not None
        return self.insights.login._lifetime / timedelta(minutes=1)


AGES = range(8, 101)
# By what the registry of personal data names: what is set, and what each store has of it.
REACHED: dict[str, tuple[int, Callable[[Ground], Sequence[float]]]] = {
    "EDUGRAPH_JOB_RETENTION_DAYS": (
        40,
        lambda at: (at.job_of_gateway(), at.importer["job"], at.analyzer["job"]),
    ),
    "EDUGRAPH_SOURCE_RETENTION_DAYS": (
        50,
        lambda at: [at.swept_after("source.csv", "rows.zst", "reading.json")],
    ),
    "EDUGRAPH_REJECT_RETENTION_DAYS": (20, lambda at: [at.swept_after("rejects/0.ndjson")]),
    "EDUGRAPH_RESULT_RETENTION_DAYS": (
        3,
        lambda at: [each / DAY for each in (at.importer["result"], at.analyzer["result"])],
    ),
    "EDUGRAPH_AUDIT_RETENTION_DAYS": (5, lambda at: [at.noted_for(at.gateway.audit)]),
    "EDUGRAPH_GRAPH_TEXT_RETENTION_DAYS": (60, lambda at: [at.importer["text_days"]]),
    "EDUGRAPH_GRAPH_RECORD_RETENTION_DAYS": (70, lambda at: [at.importer["record_days"]]),
    "EDUGRAPH_ORPHAN_REVIEW_RETENTION_DAYS": (80, lambda at: [at.importer["orphan_review_days"]]),
    "EDUGRAPH_DEAD_LETTER_RETENTION_DAYS": (
        90,
        lambda at: [at.importer["ledger_days"], at.letters_swept_after()],
    ),
    "EDUGRAPH_CACHE_TTL_SECONDS": (10 * 86_400, lambda at: [at.answer()]),
    "EDUGRAPH_BATCH_DEADLINE_SECONDS": (5_000, lambda at: [at.analyzer["batch_deadline_seconds"]]),
    "EDUGRAPH_VIEW_RETENTION_DAYS": (30, lambda at: [at.view()]),
    "EDUGRAPH_DIGEST_RETENTION_DAYS": (25, lambda at: [at.digest()]),
    "EDUGRAPH_SESSION_MINUTES": (15, lambda at: [at.session()]),
}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("kept")
    addresses = {
        "EDUGRAPH_BROKER_URL": "amqp://127.0.0.1:1",
        "EDUGRAPH_REDIS_URL": redis_url,
        "EDUGRAPH_BLOB_URL": str(folder),
        "EDUGRAPH_NEO4J_URI": "bolt://127.0.0.1:1",
        "EDUGRAPH_NEO4J_USER": "nobody",
        "EDUGRAPH_NEO4J_PASSWORD": "nothing",
        "EDUGRAPH_PRIVACY_SECRET": "of-a-test-and-long-enough-for-one",
        "EDUGRAPH_OIDC_ISSUER": "http://127.0.0.1:1",
        "EDUGRAPH_OIDC_AUDIENCE": "edugraph",
        "EDUGRAPH_OIDC_CLIENT_ID": "edugraph-page",
        "EDUGRAPH_OIDC_CLIENT_SECRET": "nothing",
        "EDUGRAPH_OIDC_REDIRECT_URL": "http://127.0.0.1:1/ui/callback",
        "EDUGRAPH_DIGEST_PAGE_URL": "http://127.0.0.1:1/ui/",
        "EDUGRAPH_AUTH": "off",
    }
    given = {name: str(value) for name, (value, _) in REACHED.items()}
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield Ground({**addresses, **given}, folder, client)
        client.delete(
            "edugraph:views:swept-of-a-test",
            "edugraph:digests:swept-of-a-test",
            OWNERS,
            "edugraph:llm:answer:error:swept-of-a-test",
            SWEEPING,
            SWEPT,
        )


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize("name", REACHED)
def test_each_retention_reaches_what_keeps_the_data(ground: Ground, name: str) -> None:
    """Out: any of these settings where a service is put together, which has the same defaults without them."""
    value, of_stores = REACHED[name]
    found = of_stores(ground)
    assert list(found) == pytest.approx([value] * len(found), rel=0.002)


def test_every_retention_of_the_registry_and_of_the_settings_is_among_them() -> None:
    settings = {
        f"EDUGRAPH_{name.upper()}"
        for name in Settings.model_fields
        if name.endswith("_retention_days")
    }
    named = {place.retention for place in PLACES if place.retention}
    assert settings | named == {*REACHED}


def test_the_policy_of_dead_letters_is_theirs() -> None:
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
            found = (
                api.get(f"/api/policies/{vhost(settings)}/edugraph.dead").raise_for_status().json()
            )
    assert found["definition"]["message-ttl"] == 3 * 86_400_000


def test_a_ledger_outlives_all_from_which_its_job_could_be_done_again(
    jobs: Jobs, tmp_path: Path
) -> None:
    """Out: `known`, or the folders, in `Importer.end_old_records`."""
    nobody, blobs, asked = cast("Any", None), Blobs(str(tmp_path)), list[set[str]]()
    kept = {
        "swept-nothing": (),
        "swept-stored": ("job.json",),
        "swept-cancelled": ("cancelled",),
        "swept-open": (),
        "swept-ended": (),
    }
    for job, names in kept.items():
        for name in names:
            _put(tmp_path, f"jobs/{job}/{name}", 100)
    for job in ("swept-open", "swept-ended"):
        jobs.create(job, "import", "f", NOW)
    jobs.cancel("swept-ended", NOW)

    class Ledger:
        @staticmethod
        def end_old_records(_: object) -> Ended:
            return Ended(0, 0, 0, finished=True)

        @staticmethod
        def leader_changes() -> tuple[()]:
            return ()

        @staticmethod
        def id_claim_changes() -> tuple[()]:
            return ()

        @staticmethod
        def tell_changes() -> None:
            asked.append({"told"})

        @staticmethod
        def compact_ledger(is_over: IsOver, _: object) -> Compacted:
            asked.append({*is_over([*kept])})
            return Compacted(7, finished=False)

    graph = cast("Any", Ledger())
    importer = Importer(
        nobody,
        graph,
        jobs,
        nobody,
        nobody,
        nobody,
        nobody,
        blobs,
        nobody,
        elsewhere=nobody,
        now=lambda: NOW,
        audit=nobody,
    )
    ended = importer.end_old_records()
    assert asked == [{"told"}, {"swept-nothing"}]
    assert ended == {"blanked": 0, "removed": 0, "orphans": 0, "ledger_rows": 7, "finished": False}


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
    assert jobs.message_state(job, 0) == "cancelled"
    jobs.settle_batch(BatchOutcome(job_id=job, batch=0, state="written", read=1, written=1), NOW)
    assert jobs.report(job, NOW) is None
    left = {
        key: server.hgetall(key)
        for key in server.scan_iter(f"edugraph:job:{{{job}}}*")
        if server.type(key) == "hash"
    }
    assert "pupils" not in str(left)
    assert all(server.ttl(key) > 0 for key in left)
