"""A Redis that has used all the memory that it may: nothing is taken, nothing is lost, and work goes on afterwards."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from gateway_alone import gateway, post_records, virtual_host
from own_redis import own_redis as start_own_redis
from redis.exceptions import OutOfMemoryError
from traps import Bench
from waiting import stays, until

from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.messaging.publisher import send
from edugraph_common.platform.job_store import Jobs, connect
from edugraph_common.platform.rate_limiter import TOKEN_LIFETIME_SECONDS

pytestmark = pytest.mark.real


def record(record_id: str) -> dict[str, object]:
    data = {"course_id": f"c-{record_id}", "content": f"Fractions are parts of a whole: {record_id}."}
    return {"type": "course_content", "timestamp": "2026-01-05T08:00:00Z", "record_id": record_id, "data": data}


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_own_redis(tmp_path_factory.mktemp("redis"), "16mb") as url:
        yield url


@pytest.fixture
def full(own_redis: str) -> Iterator[Callable[[bool], None]]:
    """Fill it to the last byte, or give the room back."""
    with redis.Redis.from_url(own_redis) as client:

        def fill(yes: bool) -> None:
            if not yes:
                client.config_set("maxmemory", "16mb")
                client.delete("ballast")
                return
            # Most of what it holds, and made there: half of the memory in use now must be less than what stays for good,
            # whatever buffers clients give back.
            client.setrange("ballast", 8_000_000, "x")
            # Memory that clients and buffers give back must not become room meanwhile.
            client.config_set("maxmemory", str(int(client.info("memory")["used_memory"]) // 2))
            with pytest.raises(OutOfMemoryError):
                client.set("one more", "x")

        yield fill
        fill(False)


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
        time.sleep(TOKEN_LIFETIME_SECONDS + 0.1)  # nothing is left of what the gateway has taken from the rate limit
        assert client.get(f"/v1/jobs/{known}").json()["state"] == "queued"
        assert [job["job_id"] for job in client.get("/v1/jobs").json()["jobs"]] == [known]
        assert running.queued("data_import") == 1
        assert [path.parent.name for path in (tmp_path / "blobs").rglob("source.*")] == []
        full(False)
        until(lambda: post_records(client, **{"Idempotency-Key": "full"}).status_code == 202, 10)


def test_an_import_waits_for_a_full_redis_and_loses_nothing(
    bench: Bench, own_redis: str, full: Callable[[bool], None]
) -> None:
    """Out: ResultStore, or RedisFull in redis_errors: then tries are used up, or deliveries, and batches fail."""
    client = connect(own_redis)
    jobs, job_id, now = Jobs(client), uuid4().hex, datetime.now(UTC)
    records = tuple(record(f"{job_id}-{number}") for number in range(600))
    job = ImportJob(job_id=job_id, records=records, batch_size=20, parallel_batches=4)

    def report() -> JobReport:
        found = jobs.report(job_id, now)
        assert found is not None
        return found

    jobs.create(job_id, "import", "inline", now)
    # A task that had ended when Redis became full is put back, and meets the full Redis twice in the time of this test.
    bench.policy(delivery_limit=2)
    worker = bench.start_service("edugraph_importer.worker", "data_import", EDUGRAPH_REDIS_URL=own_redis)
    send(bench.app, "import_records_with_callback", job, task_id=uuid4().hex)
    until(lambda: report().batches_done >= 5, 60)
    full(True)
    # Of the window of four batches one may be left at that moment, and it waits a quarter of a minute each time.
    until(lambda: worker.logged("task_waits") >= 3, 60)
    done = report().batches_done

    def at_rest() -> tuple[bool, int, int]:
        return worker.alive(), report().batches_done, bench.depth("data_import.dead")

    assert stays(lambda: at_rest() == (True, done, 0), 20), f"not {(True, done, 0)}: {at_rest()}"
    full(False)
    until(lambda: report().state not in ("queued", "running"), 60)
    ended = report()
    assert (ended.state, ended.read, ended.written + ended.unchanged) == ("succeeded", 600, 600)
    assert bench.depth("data_import.dead") == 0
    client.close()
