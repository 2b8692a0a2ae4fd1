"""A job that nothing in a queue will carry on is found, and sent again or failed."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import anyio
import pytest
from engines import System

from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.outcomes import JobReport
from edugraph_gateway.gateway import Gateway, open_gateway
from edugraph_gateway.operations.reaper import MOST_RESTARTS, QUIET_SECONDS, reap
from edugraph_gateway.settings import GatewaySettings

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]


@pytest.fixture
def gateway(system: System) -> Gateway:
    """A second gateway beside that of the system."""
    given = {name.removeprefix("EDUGRAPH_").lower(): value for name, value in system.engine.environment.items()}
    return open_gateway(GatewaySettings.model_validate(given))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """By what was done, as the alert EduGraphJobsReaped sees it."""
    found: list[str] = []
    counter = SimpleNamespace(add=lambda *, outcome: found.append(outcome))
    monkeypatch.setattr("edugraph_common.platform.metrics.JOBS_REAPED", counter)
    return found


def lost_job(gateway: Gateway, *, created: datetime, window_sent: bool = False) -> str:
    """A job that Redis knows and whose messages are gone: its split, or its first window."""
    job_id = uuid4().hex
    records = tuple(
        {"type": "course_content", "timestamp": "2026-01-01", "data": {"course_id": f"{job_id}-{n}", "content": "x"}}
        for n in range(20)
    )
    job = ImportJob(job_id=job_id, records=records, batch_size=5, parallel_batches=2)
    task = ["import_records_with_callback", job.model_dump(mode="json"), "split"]
    gateway.jobs.create(job_id, "import", "inline", created, tasks=json.dumps([task]))
    if window_sent:
        assert gateway.jobs.begin(job_id, 4, created, expected=20) == "begun"
        gateway.jobs.sent(job_id, 0)
    return job_id


def reaped(gateway: Gateway, waiting: int | None = None) -> list[str]:
    gateway.jobs._redis.delete("edugraph:reaping")
    depth = gateway.queue_depth if waiting is None else lambda _: waiting

    async def in_a_loop_of_its_own() -> list[str]:
        gateway_here = open_gateway(gateway.settings)
        try:
            return await reap(gateway_here.intake.submitter, depth)
        finally:
            gateway_here.publisher.close()

    return anyio.run(in_a_loop_of_its_own)


def ended(system: System, job_id: str) -> JobReport:
    *_, report = system.client.follow(job_id)
    return report


@pytest.mark.parametrize("window_sent", [False, True])
def test_a_job_whose_message_is_lost_is_sent_again(
    system: System, gateway: Gateway, counted: list[str], window_sent: bool
) -> None:
    """Guard: the new generation of open_again, without which the window that is lost counts as sent."""
    now = datetime.now(UTC)
    job_id = lost_job(gateway, created=now - timedelta(seconds=QUIET_SECONDS + 60), window_sent=window_sent)
    young = lost_job(gateway, created=now - timedelta(seconds=QUIET_SECONDS - 60))
    assert reaped(gateway, waiting=1) == []
    assert reaped(gateway) == [job_id]
    report = ended(system, job_id)
    assert (report.state, report.batches, report.written) == ("succeeded", 4, 20)
    assert reaped(gateway) == []
    assert counted == ["sent again"]
    system.client.cancel(young)


def test_a_job_that_makes_no_progress_is_failed_with_the_reason(
    system: System, gateway: Gateway, counted: list[str]
) -> None:
    job_id = lost_job(gateway, created=datetime.now(UTC) - timedelta(seconds=QUIET_SECONDS + 60))
    for _ in range(MOST_RESTARTS):
        gateway.jobs.count_restart(job_id)
    assert reaped(gateway) == [job_id]
    report = system.client.job(job_id)
    assert report.state == "failed"
    assert "made no progress" in (report.error or "")
    assert counted == ["failed"]
    system.client.resume(job_id)
    assert ended(system, job_id).state == "succeeded"


def test_a_job_of_which_nobody_knows_what_it_was_to_do_is_failed(gateway: Gateway, counted: list[str]) -> None:
    """As of an analysis that Redis lost and a pack made known again. To resume it would be refused."""
    job_id, begun = uuid4().hex, datetime.now(UTC) - timedelta(seconds=QUIET_SECONDS + 60)
    gateway.jobs.create(job_id, "analysis", "inline", begun, to_analyse=20)
    assert reaped(gateway) == [job_id]
    report = gateway.jobs.report(job_id, datetime.now(UTC))
    assert report is not None
    assert (report.state, counted) == ("failed", ["failed"])
    assert "send its records again" in (report.error or "")
    assert "Resume" not in (report.error or "")


def test_gateways_take_turns(gateway: Gateway) -> None:
    gateway.jobs._redis.delete("edugraph:reaping")
    assert [gateway.jobs.take_turn_to_reap(5) for _ in range(2)] == [True, False]
