"""The bench of the traps: one virtual host for each module of tests, and no worker left over from the test before.

And a Redis: the real one of the tests, and an embedded Valkey that is started here. Tests of the analyzer share it
under a name of their own, beside a scripted provider.
"""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import guard
import pytest
import redis
from analyzer_bench import Provider
from beside import scripted_provider
from engines import given
from marked_data import Marked, filled
from traps import Bench

from edugraph_cli.embedded.valkey_server import valkey_server
from edugraph_cli.processes import Processes
from edugraph_common.runtime.shared_state.job_store import connect


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("redis", marks=pytest.mark.real),
        pytest.param("valkey", marks=[pytest.mark.embedded, pytest.mark.twin]),
    ],
)
def redis_of_session(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if request.param == "redis":
        yield given("EDUGRAPH_REDIS_URL")["EDUGRAPH_REDIS_URL"]
        return
    folder = tmp_path_factory.mktemp("valkey")
    valkey, processes = valkey_server(folder), Processes(logs=folder / "logs", environment={})
    try:
        processes.start("valkey", valkey.command)
        processes.wait_until("valkey", valkey.answers)
        with ExitStack() as ours:
            for number in range(16):
                ours.enter_context(guard.started_here({"EDUGRAPH_REDIS_URL": valkey.url(number)}))
            yield valkey.url(1)
    finally:
        processes.stop()


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_other_files_in_redis() -> None:
    """No test may need one of another file, or fail after one."""
    guard.empty_redis_of_run()


@pytest.fixture(scope="module")
def redis_url(redis_of_session: str) -> str:
    """The address of a Redis that is empty when the tests of a file begin."""
    guard.empty_redis({"EDUGRAPH_REDIS_URL": redis_of_session})
    return redis_of_session


@pytest.fixture
def client(redis_url: str) -> "Iterator[redis.Redis]":
    """A client of a Redis that is empty before and after the test."""
    with connect(redis_url) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture(scope="module")
def virtual_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench.open(tmp_path_factory.mktemp("traps")) as bench:
        yield bench


@pytest.fixture
def bench(virtual_host: Bench) -> Iterator[Bench]:
    yield virtual_host
    virtual_host.stop_workers()
    virtual_host.empty()


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def name(server: "redis.Redis") -> Iterator[str]:
    """Of this test alone; everything in Redis that holds it goes afterwards."""
    own = f"test-{uuid.uuid4().hex[:12]}"
    yield own
    for key in server.scan_iter(match=f"*{own}*", count=1_000):
        server.delete(key)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with scripted_provider() as url:
        yield Provider(url)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marked]:
    with filled(tmp_path_factory.mktemp("marked")) as marked:
        yield marked
