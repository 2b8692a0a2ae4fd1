"""The broker or Redis away, silent or blocked: each POST is answered in 5 s, and work goes on by itself afterwards."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import httpx
import pytest
from gateway_alone import Gateway, gateway, post_records, virtual_host
from proxy import Proxy
from waiting import until

pytestmark = pytest.mark.real
LONGEST = 5.0  # seconds


@dataclass(frozen=True)
class Faulty:
    gateway: Gateway
    broker: Proxy
    redis: Proxy


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with (
        virtual_host() as addresses,
        Proxy(addresses["EDUGRAPH_BROKER_URL"]) as to_broker,
        Proxy(addresses["EDUGRAPH_REDIS_URL"]) as to_redis,
        gateway(
            {
                **addresses,
                "EDUGRAPH_BROKER_URL": to_broker.address,
                "EDUGRAPH_REDIS_URL": to_redis.address,
            },
            tmp_path_factory.mktemp("faults"),
        ) as running,
    ):
        yield Faulty(replace(running, broker=addresses["EDUGRAPH_BROKER_URL"]), to_broker, to_redis)


def _post(url: str) -> tuple[int, float, bool]:
    begun = time.monotonic()
    with httpx.Client(base_url=url, timeout=30) as client:
        answer = post_records(client)
    return answer.status_code, time.monotonic() - begun, "retry-after" in answer.headers


def _upload(url: str) -> tuple[int, float, bool]:
    begun = time.monotonic()
    answer = httpx.post(
        f"{url}/v1/imports",
        content=b'{"a": 1}\n',
        headers={"Content-Type": "application/x-ndjson"},
        timeout=30,
    )
    return answer.status_code, time.monotonic() - begun, "retry-after" in answer.headers


def _missing(url: str) -> list[str]:
    answer = httpx.get(f"{url}/readyz", timeout=10)
    return list(answer.json().get("missing", []))


def _accepts(url: str) -> bool:
    return _post(url)[0] == 202


@pytest.mark.parametrize("fault", [Proxy.hold, Proxy.refuse])
@pytest.mark.parametrize("server", ["broker", "redis"])
def test_each_post_is_refused_in_time_and_work_goes_on_afterwards(
    faulty: Faulty, server: str, fault: Callable[[Proxy], None]
) -> None:
    url, faulty_server = faulty.gateway.url, getattr(faulty, server)
    until(lambda: _accepts(url), 10)
    fault(faulty_server)
    try:
        with ThreadPoolExecutor(24) as threads:
            answers = [*threads.map(_post, [url] * 20), *threads.map(_upload, [url] * 4)]
        until(lambda: server in _missing(url), 10)
    finally:
        faulty_server.heal()
    assert {status for status, _, _ in answers} == {503}
    assert max(seconds for _, seconds, _ in answers) < LONGEST
    assert all(named for _, _, named in answers)
    until(lambda: _accepts(url), 10)
    until(lambda: not _missing(url), 10)


def test_what_was_refused_is_in_no_list(faulty: Faulty) -> None:
    with faulty.gateway.client() as client:
        before = {job["job_id"] for job in client.get("/v1/jobs?limit=200").json()["jobs"]}
        faulty.broker.refuse()
        try:
            assert post_records(client).status_code == 503
        finally:
            faulty.broker.heal()
        after = {job["job_id"] for job in client.get("/v1/jobs?limit=200").json()["jobs"]}
    assert after == before
