"""A Redis that has used all the memory that it may: nothing is taken, nothing is lost, and work goes on afterwards."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from gateway_alone import gateway, post_records, virtual_host
from own_redis import own_redis as start_own_redis
from pydantic import SecretStr
from redis_memory import fill, give_room
from traps import Bench
from waiting import stays, until

from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.runtime.messaging.publisher import send
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_common.runtime.shared_state.rate_limiter import TOKEN_LIFETIME_SECONDS

pytestmark = pytest.mark.real
MAXMEMORY = "16mb"
# An import of this many records takes longer than Redis takes to be filled.
RECORDS = 1_500


def record(record_id: str) -> dict[str, object]:
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


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_own_redis(tmp_path_factory.mktemp("redis"), MAXMEMORY) as url:
        yield url


@pytest.fixture
def full(own_redis: str) -> Iterator[Callable[[bool], None]]:
    """Fill it to the last byte, or give the room back."""
    with redis.Redis.from_url(own_redis) as client:

        def change(yes: bool) -> None:
            if yes:
                fill(client)
            else:
                give_room(client, MAXMEMORY)

        yield change
        change(False)


def test_a_full_redis_is_told_in_one_sentence_and_people_see_what_there_is(
    own_redis: str, full: Callable[[bool], None], tmp_path: Path
) -> None:
    """Out: OutOfMemoryError in redis_errors (the reason), RedisFull in problem_of, or allow-oom in rate_limit.lua."""
    with (
        virtual_host() as addresses,
        gateway({**addresses, "EDUGRAPH_REDIS_URL": own_redis}, tmp_path) as running,
        running.client() as client,
    ):
        known = post_records(client).json()["job_id"]
        full(True)
        upload = {"content": b'{"a": 1}\n', "headers": {"Content-Type": "application/x-ndjson"}}
        large = {"records": [record(str(number)) for number in range(1_000)]}
        refused = [
            post_records(client),
            post_records(client, **{"Idempotency-Key": "full"}),
            client.post("/v1/imports", **upload),
            client.post("/v1/imports", json=large),
            client.post("/v1/analyses/knowledge-points", json={"records": [record("a")]}),
            client.post(f"/v1/jobs/{known}/cancel"),
        ]
        assert [answer.status_code for answer in refused] == [503] * len(refused)
        assert {answer.headers["retry-after"] for answer in refused} == {"15"}
        words = "Redis is full: give it more memory; nothing was taken, send it again later."
        assert {(answer.json()["type"], answer.json()["detail"]) for answer in refused} == {
            ("urn:edugraph:problem:full", words)
        }
        # The tokens that the gateway has taken from the rate limit have ended then.
        time.sleep(TOKEN_LIFETIME_SECONDS + 0.1)
        assert client.get(f"/v1/jobs/{known}").json()["state"] == "queued"
        assert [job["job_id"] for job in client.get("/v1/jobs").json()["jobs"]] == [known]
        assert running.queued("data_import") == 1
        assert [path.parent.name for path in (tmp_path / "blobs").rglob("source.*")] == []
        full(False)
        until(lambda: post_records(client, **{"Idempotency-Key": "full"}).status_code == 202, 10)


def test_a_task_that_ended_is_not_delivered_again_before_redis_has_room_for_its_result(
    bench: Bench, own_redis: str, full: Callable[[bool], None]
) -> None:
    """Out: `is_full` in the reject policy: the message comes back after five seconds, and meets the full Redis."""
    bench = replace(
        bench,
        settings=bench.settings.model_copy(update={"redis_url": SecretStr(own_redis)}),
        workers=[],
    )
    bench.policy(delivery_limit=1)
    assert bench.dead() == 0  # It notes in Redis that it has looked, while there is room.
    worker = bench.start()
    try:
        task_id = bench.send("fill Redis", times=1)
        until(lambda: worker.logged("task_put_back") == 1, 30)

        def at_rest() -> tuple[bool, int, int, int]:
            dead = bench.dead()
            return (
                worker.alive(),
                len(bench.noted("done", task_id)),
                worker.logged("task_waits"),
                dead,
            )

        assert stays(lambda: at_rest() == (True, 1, 0, 0), 8), f"not {(True, 1, 0, 0)}: {at_rest()}"
        full(False)
        until(lambda: bench.state(task_id) == "SUCCESS", 30)
        assert len(bench.noted("done", task_id)) == 2
    finally:
        bench.stop_workers()


def test_an_import_waits_for_a_full_redis_and_loses_nothing(
    bench: Bench, own_redis: str, full: Callable[[bool], None]
) -> None:
    """Out: ResultStore, its `is_full`, or RedisFull in redis_errors: tries or deliveries are used up, batches fail."""
    client = connect(own_redis)
    jobs, job_id, now = Jobs(client), uuid4().hex, datetime.now(UTC)
    records = tuple(record(f"{job_id}-{number}") for number in range(RECORDS))
    job = ImportJob(job_id=job_id, records=records, batch_size=20, parallel_batches=4)

    def report() -> JobReport:
        found = jobs.report(job_id, now)
        assert found is not None
        return found

    jobs.create(job_id, "import", "inline", now)
    # A task that had ended when Redis became full is put back once, when there is room again.
    bench.policy(delivery_limit=1)
    worker = bench.start_service(
        "edugraph_importer.worker", "data_import", EDUGRAPH_REDIS_URL=own_redis
    )
    send(bench.app, "import_records_with_callback", job, task_id=uuid4().hex)
    until(lambda: report().batches_done >= 5, 60)
    full(True)
    # Each batch of the window of four waits for its work, or for its result to be stored, when it had ended. Between
    # two windows it is the one task that sends the next.
    until(lambda: worker.logged("task_waits") + worker.logged("task_put_back") >= 1, 60)
    done = report().batches_done

    def at_rest() -> tuple[bool, int, int]:
        return worker.alive(), report().batches_done, bench.dead()

    assert stays(lambda: at_rest() == (True, done, 0), 12), f"not {(True, done, 0)}: {at_rest()}"
    full(False)
    until(lambda: report().state not in ("queued", "running"), 60)
    ended = report()
    assert (ended.state, ended.read, ended.written + ended.unchanged) == (
        "succeeded",
        RECORDS,
        RECORDS,
    )
    assert bench.dead() == 0
    client.close()
