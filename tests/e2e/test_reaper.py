"""A job that nothing in a queue will carry on is found, and sent again or failed."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import anyio
import httpx
import pytest
from engines import IMPORTERS, System
from waiting import until

from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.runtime.messaging.provisioning import pika_channel
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.job_store import DELIVERIES_KEPT
from edugraph_gateway.gateway import Gateway, open_gateway
from edugraph_gateway.operations.reaper import (
    MOST_RESTARTS,
    NOT_DELIVERED,
    QUIET_SECONDS,
    SENDING_SECONDS,
    reap,
)
from edugraph_gateway.settings import GatewaySettings

NEVER = -1  # as Redis tells when a key expires
pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]


@pytest.fixture
def gateway(system: System) -> Gateway:
    """A second gateway beside that of the system."""
    given = {
        name.removeprefix("EDUGRAPH_").lower(): value
        for name, value in system.engine.environment.items()
    }
    return open_gateway(GatewaySettings.model_validate(given))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """By what was done, as the alert EduGraphJobsReaped sees it."""
    found: list[str] = []
    counter = SimpleNamespace(add=lambda *, outcome: found.append(outcome))
    monkeypatch.setattr("edugraph_common.runtime.service.metrics.JOBS_REAPED", counter)
    return found


def lost_job(gateway: Gateway, *, created: datetime, window_sent: bool = False) -> str:
    """A job that Redis knows and whose messages are gone: its split, or its first window."""
    job_id = uuid4().hex
    records = tuple(
        {
            "type": "course_content",
            "timestamp": "2026-01-01",
            "data": {"course_id": f"{job_id}-{n}", "content": "x"},
        }
        for n in range(20)
    )
    job = ImportJob(job_id=job_id, records=records, batch_size=5, parallel_batches=2)
    task = ["import_records_with_callback", job.model_dump(mode="json"), "split"]
    gateway.jobs.create(job_id, "import", "inline", created, tasks=json.dumps([task]))
    if window_sent:
        assert gateway.jobs.begin(job_id, 4, created, expected=20) == "begun"
        gateway.jobs.sent(job_id, 0)
    return job_id


def reaped(
    gateway: Gateway, depth: Callable[[str], int] | None = None, after: timedelta = timedelta(0)
) -> list[str]:
    """Reap once, by a clock that is `after` the real one. `depth` stands for the queues' own."""
    gateway.jobs._redis.delete("edugraph:reaping")
    depth = depth or gateway.queue_depth

    async def in_a_loop_of_its_own() -> list[str]:
        gateway_here = open_gateway(gateway.settings, now=lambda: datetime.now(UTC) + after)
        try:
            return await reap(gateway_here.intake.submitter, depth)
        finally:
            await gateway_here.publisher.close()

    return anyio.run(in_a_loop_of_its_own)


def wait_until_queues_are_empty(gateway: Gateway) -> None:
    """Wait for the messages of earlier tests. While they wait, the message of a job may wait behind them."""
    until(lambda: not any(gateway.queue_depth(queue) for queue in QUEUES), 30)


def delivered(
    gateway: Gateway, job_id: str, published: datetime, queue: str = "data_import"
) -> None:
    """A worker got a message of the job as soon as it was published, and did not get far."""
    gateway.jobs.note_delivery(job_id, None, queue, published.timestamp(), published)


@contextmanager
def without_importers(system: System) -> Iterator[None]:
    importer = system.processes.running["importer"]
    importer.terminate()
    importer.wait()
    try:
        yield
    finally:
        system.restart_importer(IMPORTERS)


def submit_inline(system: System, run: str) -> str:
    row = {
        "type": "error_record",
        "timestamp": "2026-01-05T08:00:00Z",
        "record_id": run,
        "data": {"student_id": run, "course_id": "c", "error_text": "1 + 1 = 3"},
    }
    answer = httpx.post(
        f"{system.url}/v1/imports", json={"records": [row]}, timeout=30
    ).raise_for_status()
    return str(answer.json()["job_id"])


def purge(system: System, queue: str) -> None:
    settings = Settings.model_validate(
        {
            name: system.engine.environment[f"EDUGRAPH_{name.upper()}"]
            for name in ("broker_url", "redis_url", "blob_url")
        }
    )
    with pika_channel(settings) as channel:
        channel.queue_purge(queue)


def ended(system: System, job_id: str) -> JobReport:
    *_, report = system.client.follow(job_id)
    return report


@pytest.mark.parametrize("window_sent", [False, True])
def test_a_job_whose_message_is_lost_is_sent_again(
    system: System, gateway: Gateway, counted: list[str], window_sent: bool
) -> None:
    """Guard: the new generation of open_again, without which the window that is lost counts as sent."""
    now = datetime.now(UTC)
    job_id = lost_job(
        gateway, created=now - timedelta(seconds=QUIET_SECONDS + 60), window_sent=window_sent
    )
    young = lost_job(gateway, created=now - timedelta(seconds=QUIET_SECONDS - 60))
    assert reaped(gateway, lambda _: 1) == []
    wait_until_queues_are_empty(gateway)
    assert reaped(gateway) == [job_id]
    report = ended(system, job_id)
    assert (report.state, report.batches, report.written) == ("succeeded", 4, 20)
    assert reaped(gateway) == []
    assert counted == ["sent again"]
    system.client.cancel(young)


def test_a_job_that_makes_no_progress_is_failed_with_the_reason(
    system: System, gateway: Gateway, counted: list[str]
) -> None:
    """Guard: the limit of restarts in open_or_fail."""
    began = datetime.now(UTC) - timedelta(seconds=QUIET_SECONDS + 60)
    job_id = lost_job(gateway, created=began)
    for _ in range(MOST_RESTARTS):
        delivered(gateway, job_id, began)
        gateway.jobs.count_restart(job_id, began)
    delivered(gateway, job_id, began)
    wait_until_queues_are_empty(gateway)
    assert reaped(gateway) == [job_id]
    report = system.client.job(job_id)
    assert report.state == "failed"
    assert "made no progress" in (report.error or "")
    assert counted == ["failed"]
    system.client.resume(job_id)
    assert ended(system, job_id).state == "succeeded"


def test_a_job_of_which_nobody_knows_what_it_was_to_do_is_failed(
    gateway: Gateway, counted: list[str]
) -> None:
    """As of an analysis that Redis lost and a pack made known again. To resume it would be refused."""
    job_id, begun = uuid4().hex, datetime.now(UTC) - timedelta(seconds=QUIET_SECONDS + 60)
    gateway.jobs.create(job_id, "analysis", "inline", begun, to_analyse=20)
    wait_until_queues_are_empty(gateway)
    assert reaped(gateway) == [job_id]
    report = gateway.jobs.report(job_id, datetime.now(UTC))
    assert report is not None
    assert (report.state, counted) == ("failed", ["failed"])
    assert "send its records again" in (report.error or "")
    assert "Resume" not in (report.error or "")


def test_an_import_outlasts_days_without_importers(system: System, gateway: Gateway) -> None:
    """Guards: `_may_wait` in reap; `ended` in keys_of_job.lua, by which records expire after the job's end only."""
    with without_importers(system):
        purge(system, "data_import")
        job_id = submit_inline(system, uuid4().hex)
        for hours in (1, 6.1, 12.2, 24.4, 72, 167, 200):
            assert job_id not in reaped(gateway, after=timedelta(hours=hours))
        assert gateway.queue_depth("data_import") == 1
        assert gateway.jobs._redis.ttl(gateway.jobs.keys_of(job_id)[1]) == NEVER
    report = ended(system, job_id)
    assert (report.state, report.read, report.written) == ("succeeded", 1, 1)


def test_a_job_whose_messages_are_lost_is_sent_again_for_a_week(
    system: System, gateway: Gateway, counted: list[str]
) -> None:
    """Guards: `delivered` in count_restart.lua; the deadline in open_or_fail; the fields that resume_job.lua deletes."""
    with without_importers(system):
        job_id = submit_inline(system, uuid4().hex)
        for number in range(2 * MOST_RESTARTS):
            purge(system, "data_import")
            assert job_id in reaped(gateway, after=timedelta(hours=1 + number))
            assert system.client.job(job_id).state == "running"
        # The one that was sent last waits, so that no second one is sent.
        assert job_id not in reaped(gateway, after=timedelta(days=7, hours=2))
        purge(system, "data_import")
        assert job_id in reaped(gateway, after=timedelta(days=7, hours=2))
        report = system.client.job(job_id)
        assert (report.state, report.error) == ("failed", NOT_DELIVERED)
        assert set(counted) == {"sent again", "failed"}
        # Its records are still there, so that it can be resumed. What the reaper did before is over then.
        system.client.resume(job_id)
        assert gateway.jobs._redis.hget(gateway.jobs.keys_of(job_id)[0], "lost_since") is None
    assert ended(system, job_id).written == 1


def test_a_message_that_was_delivered_after_a_day_is_not_sent_again(gateway: Gateway) -> None:
    """Guard: the time of the delivery in Jobs.quiet. The queue is empty, and the job has said nothing yet."""
    now = datetime.now(UTC)
    job_id = lost_job(gateway, created=now - timedelta(days=1))
    delivered(gateway, job_id, now)
    assert job_id not in reaped(gateway)
    assert job_id in reaped(gateway, after=timedelta(seconds=QUIET_SECONDS + 60))
    gateway.jobs.cancel(job_id, now)


def test_a_lost_job_is_found_although_its_queue_is_never_empty(gateway: Gateway) -> None:
    """Guards: `delivered_up_to`, and SENDING_SECONDS. A message may be sent as long as the task before it may run."""
    now = datetime.now(UTC)
    sent = now - timedelta(days=1)
    job_id = lost_job(gateway, created=sent)
    others = lost_job(gateway, created=now)
    gateway.jobs._redis.delete("edugraph:delivered:import_splits")

    def is_reaped() -> bool:
        return job_id in reaped(gateway, lambda queue: queue == "import_splits")

    later = sent + timedelta(seconds=SENDING_SECONDS + 1)
    delivered(gateway, others, later - timedelta(seconds=2), "import_splits")
    for _ in range(DELIVERIES_KEPT - 2):
        delivered(gateway, others, later, "import_splits")
    assert not is_reaped(), "too few were delivered"
    delivered(gateway, others, later, "import_splits")
    assert not is_reaped(), "one of them was published when a message of the job may have been"
    delivered(gateway, others, later, "import_splits")
    assert is_reaped()
    for each in (job_id, others):
        gateway.jobs.cancel(each, now)


@pytest.mark.parametrize(("to_analyse", "is_sent"), [(0, True), (5, False)])
def test_only_what_is_analysed_waits_for_the_analyzer(
    gateway: Gateway, to_analyse: int, is_sent: bool
) -> None:
    """Guard: IMPORT_QUEUES."""
    job_id = uuid4().hex
    began = datetime.now(UTC) - timedelta(seconds=QUIET_SECONDS + 60)
    gateway.jobs.create(job_id, "analysis", "inline", began, to_analyse=to_analyse)
    found = reaped(gateway, lambda queue: queue == "llm_analysis")
    assert (job_id in found) == is_sent
    gateway.jobs.cancel(job_id, began)


def test_workers_note_what_they_get(system: System, gateway: Gateway) -> None:
    """Guard: note_deliveries in the importer."""
    began = datetime.now(UTC)
    job_id = submit_inline(system, uuid4().hex)
    ended(system, job_id)
    noted = gateway.jobs._redis.hget(gateway.jobs.keys_of(job_id)[0], "delivered")
    assert datetime.fromisoformat(str(noted)) >= began
    for number in range(DELIVERIES_KEPT):
        ended(system, submit_inline(system, f"{job_id}-{number}"))
    published = gateway.jobs.delivered_up_to("data_import")
    assert published is not None
    assert published >= began - timedelta(seconds=1)


def test_gateways_take_turns(gateway: Gateway) -> None:
    gateway.jobs._redis.delete("edugraph:reaping")
    assert [gateway.jobs.take_turn_to_reap(5) for _ in range(2)] == [True, False]
