"""The traps that need more than a trap's task: the real analyzer in a model call, the real importer with a poison batch."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from beside import scripted_provider
from proxy import Proxy
from traps import Bench, Worker
from waiting import until

from edugraph_common.contracts.messages import Analysis, CourseContext, ImportJob
from edugraph_common.runtime.messaging.publisher import send
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs

pytestmark = pytest.mark.real
POISON = "poison"  # as poisoned_importer has it, which cannot be imported without settings


@pytest.fixture
def provider() -> Iterator[str]:
    with scripted_provider() as url:
        yield url.removesuffix("/v1")


def record(record_id: str) -> dict[str, Any]:
    data = {
        "course_id": f"c-{record_id}",
        "content": f"Fractions are parts of a whole: {record_id}.",
    }
    return {
        "type": "course_content",
        "timestamp": "2026-01-05T08:00:00Z",
        "record_id": record_id,
        "data": data,
    }


def asked(provider: str) -> int:
    return len(httpx.get(f"{provider}/log", timeout=10).json()["requests"])


def ask(bench: Bench, **more: Any) -> str:
    """One pack to be read, of a course of which is known that nobody is in it, or restricted; the id of its task."""
    job, members = uuid4().hex, CourseMembers(bench.redis)
    members.tell(record(job)["data"]["course_id"], [], members.epoch(), datetime.now(UTC))
    members.tell_context(CourseContext(course_id=record(job)["data"]["course_id"]), members.epoch())
    members.tell_restricted([], members.epoch())
    pack = Analysis(
        job_id=job,
        pack="knowledge_points-0-0",
        kind="knowledge_points",
        records=(record(job),),
        **more,
    )
    return send(bench.app, "extract_knowledge_points_task", pack, task_id=job)


def analyzer(bench: Bench, provider: str, grace: int, **environment: str) -> Worker:
    of_model = {
        "EDUGRAPH_OPENAI_BASE_URL": f"{provider}/v1",
        "EDUGRAPH_OPENAI_API_KEY": uuid4().hex,
        **environment,
    }
    return bench.start_service(
        "edugraph_analyzer.worker", "llm_analysis", EDUGRAPH_SHUTDOWN_GRACE=str(grace), **of_model
    )


def test_connection_lost_with_a_model_call_in_flight(bench: Bench, provider: str) -> None:
    """The answer is paid for: it is waited for, and the pack that comes again finds it. Its findings leave once.
    Out: worker_cancel_long_running_tasks_on_connection_loss of the analyzer.
    """
    httpx.post(f"{provider}/script", json={"latency": 6}, timeout=10)
    with Proxy(bench.settings.broker_url.get_secret_value()) as proxy:
        analyzer(
            bench,
            provider,
            30,
            EDUGRAPH_BROKER_URL=f"{proxy.address.rsplit('/', 1)[0]}/{bench.vhost}",
        )
        task = ask(bench)
        until(lambda: asked(provider) == 1)
        proxy.cut()
        until(lambda: bench.state(task) == "SUCCESS", 60)
        until(lambda: bench.unacknowledged("llm_analysis") == bench.depth("llm_analysis") == 0, 40)
    assert asked(provider) == 1
    assert len(bench.take("graph_findings")) == 1


def test_a_worker_that_is_killed_leaves_its_batch_to_the_next_one(
    bench: Bench, provider: str
) -> None:
    """No worker waits for the provider; each look is a task of its own, which any of them takes."""
    httpx.post(f"{provider}/script", json={"batch_seconds": 4}, timeout=10)
    more = {"EDUGRAPH_OPENAI_API_KEY": uuid4().hex, "EDUGRAPH_BATCH_POLL_SECONDS": "1"}
    more |= {"EDUGRAPH_CALL_TIMEOUT_SECONDS": "1", "EDUGRAPH_CONNECT_TIMEOUT_SECONDS": "0.5"}
    first = analyzer(bench, provider, 30, **more)
    task = ask(bench, economy=True)

    def stored() -> dict[str, list[str]]:
        return dict(httpx.get(f"{provider}/stored", timeout=10).json())

    until(lambda: len(stored()["batches"]) == 1)
    os.killpg(first.process.pid, signal.SIGKILL)
    analyzer(bench, provider, 30, **more)
    until(lambda: bench.state(task) == "SUCCESS", 60)
    assert asked(provider) == 1
    # One that died between publishing its next look and acknowledging this one leaves two; one edition is written.
    assert len({each["id"] for each in bench.take("graph_findings")}) == 1
    assert stored() == {"files": [], "batches": stored()["batches"][:1]}


def test_each_task_has_a_time_limit_of_its_own(bench: Bench) -> None:
    """Out: task_annotations in celery_app."""
    bench.start_service("edugraph_importer.worker", "data_import")
    until(bench.inspect)
    (told,) = (
        bench.app.control.inspect(timeout=5, limit=1)
        .registered("soft_time_limit", "time_limit")
        .values()
    )
    limits = {line.split(" ")[0]: line.partition(" ")[2] for line in told}
    assert limits["import_batch_task"] == "[soft_time_limit=300 time_limit=360]"
    assert limits["import_records_with_callback"] == "[soft_time_limit=3300 time_limit=3600]"


@pytest.mark.parametrize(
    ("grace", "calls"), [(30, 1), (1, 2)], ids=["within the grace", "after the grace"]
)
def test_shutdown_with_a_model_call_in_flight(
    bench: Bench, provider: str, grace: int, calls: int
) -> None:
    """Within the grace the answer is waited for and sent on; after it the call is given up, and its pack given back to
    another worker, which asks again. Either way its findings leave once. Out: limit_shutdown, task_acks_late.
    """
    httpx.post(f"{provider}/script", json={"latency": 4}, timeout=10)
    first, task = analyzer(bench, provider, grace), ask(bench)
    until(lambda: asked(provider) == 1)
    first.terminate()
    until(lambda: not first.alive(), 20)
    until(lambda: bench.depth("llm_analysis") == calls - 1, 20)
    analyzer(bench, provider, 30)
    until(lambda: bench.state(task) == "SUCCESS", 60)
    assert asked(provider) == calls
    assert len(bench.take("graph_findings")) == 1


def test_a_poison_batch_of_the_real_importer(bench: Bench) -> None:
    """Its neighbours are written, it ends in the dead letters, the job ends and names it. Out: DeadLetterListener, the limit."""
    job, jobs = uuid4().hex, Jobs(bench.redis)
    records = tuple(record(name) for name in (f"{job}-1", POISON, f"{job}-3"))
    assert jobs.create(job, "import", "poison.ndjson", datetime.now(UTC))
    bench.start_service("poisoned_importer", "data_import")
    message = ImportJob(job_id=job, records=records, batch_size=1)
    send(bench.app, "import_records_with_callback", message, task_id=job)
    until(lambda: reported(jobs, job)["state"] == "partly failed", 120)
    report = reported(jobs, job)
    assert (report["written"], report["failed"], report["failed_batches"]) == (2, 1, [1])
    (dead,) = bench.take_dead()
    assert dead["task"] == "import_batch_task"
    assert dead["x-death"][0]["reason"] == "delivery_limit"


def test_redis_away_around_a_task(bench: Bench) -> None:
    """Celery reads and stores a task's state outside of the task: an error there is not the task's, and would have it
    refused for good. Out: AWAY in RejectingRequest.
    """
    with Proxy(bench.settings.redis_url.get_secret_value()) as proxy:
        worker = bench.start(EDUGRAPH_REDIS_URL=proxy.address)
        proxy.refuse()
        tasks = [bench.send() for _ in range(3)]
        until(lambda: worker.logged("task_put_back"), 90)
        proxy.heal()
        until(lambda: all(bench.state(task) == "SUCCESS" for task in tasks), 120)
    assert (bench.dead(), worker.logged("task_refused")) == (0, 0)


def reported(jobs: Jobs, job: str) -> dict[str, Any]:
    found = jobs.report(job, datetime.now(UTC))
    assert found is not None
    return dict(json.loads(found.model_dump_json()))
