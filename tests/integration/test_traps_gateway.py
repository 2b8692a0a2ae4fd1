"""The gateway while its broker is really stopped, or really blocked: on a RabbitMQ of these tests alone."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import pika
import pytest
from engines import given
from gateway_alone import Gateway, gateway, post_records
from waiting import until

from edugraph_common.runtime.messaging.celery_app import make_publisher
from edugraph_common.runtime.messaging.provisioning import apply_topology
from edugraph_common.runtime.service.settings import Settings
from tools.servers.checkout import Checkout
from tools.servers.rabbitmq import RabbitMQ

pytestmark = pytest.mark.real
LONGEST = 5.0  # seconds


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    checkout = Checkout(tmp_path_factory.mktemp("broker"))
    checkout.state.mkdir(parents=True, exist_ok=True)
    server = RabbitMQ(checkout)
    try:
        server.up()
        yield server
    finally:
        server.down()
        server.wipe()


@pytest.fixture
def running(broker: RabbitMQ, tmp_path: Path) -> Iterator[Gateway]:
    addresses = broker.addresses()
    own = {
        **given("EDUGRAPH_REDIS_URL"),
        "EDUGRAPH_BROKER_URL": f"{addresses['AMQP_URL'].rstrip('/')}/%2F",
        "EDUGRAPH_BROKER_MANAGEMENT_URL": addresses["RABBITMQ_MANAGEMENT_URL"],
    }
    fields = {name.removeprefix("EDUGRAPH_").lower(): value for name, value in own.items()}
    settings = Settings.model_validate({**fields, "blob_url": str(tmp_path)})
    apply_topology(make_publisher("test", settings), settings)
    with gateway(own, tmp_path) as started:
        until(lambda: not _missing(started.url), 15)
        yield started


@dataclass
class Clients:
    """Some that never stop sending. Each answer: status, seconds, whether it says when to come back, job."""

    url: str
    answers: list[tuple[int, float, bool, str]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._send) for _ in range(6)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join()

    def statuses(self, since: int) -> Counter[int]:
        return Counter(status for status, *_ in self.answers[since:])

    def _send(self) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as client:
            while not self.ended.is_set():
                begun = time.monotonic()
                answer = post_records(client)
                told = answer.json().get("job_id", "")
                self.answers.append(
                    (
                        answer.status_code,
                        time.monotonic() - begun,
                        "retry-after" in answer.headers,
                        told,
                    )
                )
                self.ended.wait(0.05)


def _missing(url: str) -> list[str]:
    return list(httpx.get(f"{url}/readyz", timeout=10).json().get("missing", []))


def _queued_jobs(running: Gateway) -> Counter[str]:
    """What is in the queue, by the job of each message; it is taken out."""
    connection, found = pika.BlockingConnection(pika.URLParameters(running.broker)), Counter[str]()
    channel = connection.channel()
    while (got := channel.basic_get("data_import", auto_ack=True))[0] is not None:
        found[json.loads(got[2])[0][0]["job_id"]] += 1
    connection.close()
    return found


def _state(url: str, job: str) -> str:
    answer = httpx.get(f"{url}/v1/jobs/{job}", timeout=10)
    return str(answer.json()["state"]) if answer.is_success else "none"


def _go_through(running: Gateway, away: Callable[[], object], back: Callable[[], object]) -> None:
    """Clients send before, while the broker takes nothing, and after."""
    with Clients(running.url) as clients:
        until(lambda: clients.statuses(0)[202] >= 30, 10)
        away()
        try:
            until(lambda: "broker" in _missing(running.url), 15)
            during = len(clients.answers)
            until(lambda: clients.statuses(during)[503] >= 20, 30)
            assert set(clients.statuses(during)) == {503}
        finally:
            back()
        until(lambda: not _missing(running.url), 40)
        after = len(clients.answers)
        until(lambda: clients.statuses(after)[202] >= 30, 20)
    refused = [answer for answer in clients.answers if answer[0] != 202]
    assert {status for status, *_ in refused} == {503}
    assert all(named for _, _, named, _ in refused)
    assert max(seconds for _, seconds, *_ in clients.answers) < LONGEST
    accepted = {job for status, _, _, job in clients.answers if status == 202}
    queued = _queued_jobs(running)
    assert {queued[job] for job in accepted} == {1}, (
        "an accepted job is lost, or in the queue twice"
    )
    assert {_state(running.url, job) for job in set(queued) - accepted} <= {"cancelled"}


def test_a_broker_that_is_stopped_and_started_loses_nothing_accepted(
    running: Gateway, broker: RabbitMQ
) -> None:
    _go_through(running, broker.down, broker.up)


def test_a_broker_that_crashes_loses_nothing_accepted(running: Gateway, broker: RabbitMQ) -> None:
    _go_through(running, broker.kill, broker.up)


def test_a_memory_alarm_is_503_and_work_goes_on_by_itself(
    running: Gateway, broker: RabbitMQ
) -> None:
    def mark(value: str) -> None:
        assert (
            broker.control("rabbitmqctl", ["--quiet", "set_vm_memory_high_watermark", value]) == 0
        )

    _go_through(running, lambda: mark("0"), lambda: mark("0.6"))
