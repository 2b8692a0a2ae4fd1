"""Webhooks of the real broker's events, to a receiver that does not always take them."""

import json
import secrets
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
import pika
import pytest
from beside import Silent, http_server
from gateway_alone import virtual_host
from service_settings import settings_from
from standardwebhooks import Webhook
from waiting import stays, until

from edugraph_cli.processes import Processes, free_port
from edugraph_common.contracts.events import Event
from edugraph_common.runtime.messaging.celery_app import make_publisher
from edugraph_common.runtime.messaging.publisher import emit
from edugraph_common.runtime.messaging.users import apply_users

pytestmark = pytest.mark.real
SECRET, OLD = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDEduGra9H",
)
# Most tests do not wait for the delays of an installation.
QUICK = (1, 2, 3_600)
HANGS = 0  # in place of a status: the receiver does not answer before the test ends


@dataclass
class Receiver:
    """Answers the post number `nth` of an event, counted from 1, with the status that `answer` chooses."""

    url: str = ""
    answer: Callable[[str, int], int] = lambda event_id, nth: 204  # noqa: ARG005
    headers: dict[str, str] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    # (when, headers, body) of each post, in the order of their arrival
    got: list[tuple[float, dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def times(self, event_id: str) -> list[float]:
        return [when for when, headers, _ in self.got if headers["webhook-id"] == event_id]

    def delivered(self, event_id: str) -> int:
        """Return how many posts of an event were answered 2xx."""
        statuses = [self.answer(event_id, nth) for nth in range(1, len(self.times(event_id)) + 1)]
        return sum(200 <= status < 300 for status in statuses)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(Silent):
        def do_POST(self) -> None:  # noqa: N802 - the name that http.server looks for
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with receiver.lock:
                receiver.got.append((time.monotonic(), headers, body))
                nth = len(receiver.times(headers["webhook-id"]))
            status = receiver.answer(headers["webhook-id"], nth)
            if status == HANGS:
                receiver.ended.wait()
                return
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Location", f"{receiver.url}/elsewhere")
            self.end_headers()

    with http_server(Handler) as url:
        receiver.url = url
        yield receiver
        receiver.ended.set()


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """The operator's addresses. `WEBHOOKS` is that of the user which the process has, with that user's few rights."""
    with virtual_host() as own:
        password = secrets.token_hex(8)
        there = urlsplit(own["EDUGRAPH_BROKER_URL"])
        vhost = there.path.removeprefix("/")
        with _management(own) as api:
            (user,) = apply_users(api, vhost, {"webhooks": password})
        with_user = there._replace(
            netloc=f"{user}:{password}@{there.hostname}:{there.port}"
        ).geturl()
        yield {**own, "EDUGRAPH_BLOB_URL": "/tmp", "WEBHOOKS": with_user}
        with _management(own) as api:
            api.delete(f"/api/users/{quote(user)}")


@contextmanager
def _management(addresses: dict[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=addresses["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=20) as api:
        yield api


@contextmanager
def _posting(
    addresses: dict[str, str],
    receiver: Receiver,
    logs: Path,
    *,
    delays: Sequence[int] = QUICK,
    patch: str = "pass",
    **settings: str,
) -> Iterator[Processes]:
    """Run `edugraph-webhooks` with its settings and no others, beside what the queues hold."""
    own = {
        "EDUGRAPH_BROKER_URL": addresses["WEBHOOKS"],
        "EDUGRAPH_WEBHOOK_URL": receiver.url,
        "EDUGRAPH_WEBHOOK_SECRET": f"{SECRET} {OLD}",
        **settings,
    }
    processes = Processes(logs=logs, environment=own)
    program = f"from edugraph_gateway import webhooks; {patch}; webhooks.main({tuple(delays)})"
    try:
        processes.start("webhooks", [sys.executable, "-c", program])
        processes.wait_until("webhooks", lambda: processes.log_has("webhooks", "webhooks_ready"))
        yield processes
    finally:
        processes.stop()


def _emit(
    addresses: dict[str, str], kind: str = "io.edugraph.import.completed", **data: Any
) -> str:
    event_id = str(data.pop("id", uuid4()))
    _emit_all(addresses, [event_id], kind, **data)
    return event_id


def _emit_all(
    addresses: dict[str, str],
    ids: Sequence[str],
    kind: str = "io.edugraph.import.completed",
    **data: Any,
) -> None:
    fields = ("EDUGRAPH_BROKER_URL", "EDUGRAPH_REDIS_URL", "EDUGRAPH_BLOB_URL")
    publisher = make_publisher("test", settings_from({name: addresses[name] for name in fields}))
    for event_id in ids:
        given = {
            "id": event_id,
            "source": "/test",
            "type": kind,
            "subject": "j",
            "time": datetime.now(UTC),
        }
        event = Event.model_validate(
            {**given, "data": {"job_id": "j", "state": "succeeded"}, **data}
        )
        emit(publisher, event)


def _ids(number: int) -> list[str]:
    return [str(uuid4()) for _ in range(number)]


@contextmanager
def _channel(addresses: dict[str, str]) -> Iterator[Any]:
    connection = pika.BlockingConnection(pika.URLParameters(addresses["EDUGRAPH_BROKER_URL"]))
    try:
        yield connection.channel()
    finally:
        connection.close()


def _waiting(addresses: dict[str, str], delays: Sequence[int] = QUICK) -> int:
    """Return how many events the queue and its delay queues hold."""
    names = ["edugraph.webhooks", *(f"edugraph.webhooks.after_{delay}s" for delay in delays)]
    with _channel(addresses) as channel:
        return sum(
            int(channel.queue_declare(name, passive=True).method.message_count) for name in names
        )


@pytest.fixture(autouse=True)
def _no_events_of_other_tests(addresses: dict[str, str]) -> Iterator[None]:
    yield
    with _management(addresses) as api, _channel(addresses) as channel:
        vhost = urlsplit(addresses["EDUGRAPH_BROKER_URL"]).path.removeprefix("/")
        for queue in api.get(f"/api/queues/{vhost}").raise_for_status().json():
            if queue["name"].startswith("edugraph.webhooks"):
                channel.queue_purge(queue["name"])


def _counted(port: int) -> dict[str, int]:
    """Return the events by outcome, as Prometheus reads them."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    found = {}
    for line in text.splitlines():
        if line.startswith("edugraph_webhook_events_total{"):
            name, value = line.rsplit(" ", 1)
            found[name.split('"')[1]] = int(float(value))
    return found


def test_an_event_is_posted_until_it_is_delivered_and_signed(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """With the delays of an installation: the second try comes after 10 s."""
    receiver.answer = lambda _, nth: 503 if nth == 1 else 204
    with _posting(addresses, receiver, tmp_path, delays=(10, 60, 600, 3_600)):
        _emit(addresses, "io.edugraph.batch.completed")
        event = _emit(addresses)
        until(lambda: len(receiver.got) == 2, 30)
        assert stays(lambda: len(receiver.got) == 2, 3)
    first, second = receiver.times(event)
    assert 9.5 < second - first < 20
    assert _waiting(addresses, (10, 60, 600, 3_600)) == 0
    for secret in (SECRET, OLD):
        for _, headers, body in receiver.got:
            posted = Webhook(secret).verify(body, headers)
            assert (headers["webhook-id"], posted["id"], posted["data"]["state"]) == (
                event,
                event,
                "succeeded",
            )
    _, headers, body = receiver.got[0]
    with pytest.raises(Exception, match="signature"):
        Webhook(SECRET).verify(body + b" ", headers)


def test_ten_refused_events_delay_no_other(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """Out: the verdict "refused" in `verdict_of`."""
    ids = _ids(10)
    receiver.answer = lambda event_id, _: 422 if event_id in ids else 204
    port = free_port()
    with _posting(addresses, receiver, tmp_path, EDUGRAPH_METRICS_PORT=str(port)) as processes:
        assert set(_counted(port).values()) == {0}
        _emit_all(addresses, ids)
        good = _emit(addresses)
        until(lambda: receiver.times(good), 3)
        until(lambda: len(receiver.got) == 11, 5)
        assert stays(lambda: len(receiver.got) == 11, 3)
        until(lambda: _counted(port)["refused"] == 10, 5)
        assert _counted(port) == {
            "delivered": 1,
            "refused": 10,
            "failed": 0,
            "given up": 0,
            "unreadable": 0,
        }
        log = processes.log_end("webhooks", 100)
    for event_id in ids:
        (line,) = [
            line for line in log.splitlines() if "webhook_refused" in line and event_id in line
        ]
        assert "status 422" in line
        assert "io.edugraph.import.completed" in line
        assert "succeeded" not in line
    assert _waiting(addresses) == 0


@pytest.mark.parametrize(("status", "number"), [(503, 10), (429, 30), (HANGS, 10), (HANGS, 40)])
def test_another_event_is_posted_beside_those_that_fail(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path, status: int, number: int
) -> None:
    """Out: in `_settle`, sleep for the delay in place of publishing; PARALLEL_EVENTS = 10."""
    failing = set(_ids(number))
    receiver.answer = lambda event_id, _: status if event_id in failing else 204
    with _posting(addresses, receiver, tmp_path, delays=(600, 3_600)):
        _emit_all(addresses, sorted(failing))
        until(
            lambda: (
                len({headers["webhook-id"] for _, headers, _ in receiver.got} & failing) == number
            ),
            20,
        )
        good = _emit(addresses)
        until(lambda: receiver.times(good), 3)
        receiver.ended.set()


def test_an_event_that_failed_is_delivered_once_when_the_receiver_is_back(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    statuses = [500, 408, 204]
    receiver.answer = lambda _, nth: statuses[min(nth, 3) - 1]
    events = _ids(5)
    port = free_port()
    with _posting(addresses, receiver, tmp_path, delays=(1, 1), EDUGRAPH_METRICS_PORT=str(port)):
        _emit_all(addresses, events)
        until(lambda: all(receiver.delivered(event) for event in events), 30)
        assert stays(lambda: len(receiver.got) == 15, 3)
        assert _counted(port) == {
            "delivered": 5,
            "failed": 10,
            "refused": 0,
            "given up": 0,
            "unreadable": 0,
        }
    assert _waiting(addresses, (1,)) == 0


def test_each_status_is_final_or_tried_again(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """Every status that HTTP has a number for, at once. An answer 2xx ends an event, and so does a refusal."""
    numbers = [
        *range(200, 600, 3),
        302,
        307,
        308,
        400,
        401,
        403,
        404,
        408,
        409,
        410,
        422,
        425,
        429,
        500,
        502,
        503,
        504,
    ]
    statuses = dict(zip(_ids(len(numbers)), numbers, strict=True))
    receiver.answer = lambda event_id, _: statuses[event_id]
    with _posting(addresses, receiver, tmp_path, delays=(1, 2, 600)):
        _emit_all(addresses, list(statuses))
        again = {
            event_id
            for event_id, number in statuses.items()
            if number < 200 or 300 <= number < 400 or number >= 500 or number in {408, 425, 429}
        }
        until(lambda: all(len(receiver.times(event_id)) == 3 for event_id in again), 40)
        until(lambda: all(receiver.times(event_id) for event_id in statuses), 10)
    tries = Counter(headers["webhook-id"] for _, headers, _ in receiver.got)
    found = defaultdict(set)
    for event_id, number in statuses.items():
        found[tries[event_id]].add(number)
    assert found == {3: {statuses[event_id] for event_id in again}, 1: set(numbers) - set(found[3])}
    assert _waiting(addresses, (1, 2, 600)) == len(again)


def test_retry_after_is_respected(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answer = lambda _, nth: 429 if nth == 1 else 204
    receiver.headers = {"Retry-After": "3"}
    with _posting(addresses, receiver, tmp_path, delays=(1, 4, 600)):
        event = _emit(addresses)
        until(lambda: len(receiver.times(event)) == 2, 20)
    first, second = receiver.times(event)
    assert 3.5 < second - first < 10


class Dripping(Silent):
    """Sends its answer so slowly that no single read takes as long as the limit."""

    posts: list[float]

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server looks for
        self.posts.append(time.monotonic())
        with_end = b"HTTP/1.1 200 OK\r\n" + b"X-Drip: a\r\n" * 100
        for place in range(len(with_end)):
            try:
                self.wfile.write(with_end[place : place + 1])
            except OSError:
                return
            time.sleep(0.2)


def test_an_answer_that_drips_in_ends_at_the_limit(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    """Out: `asyncio.timeout` in `_post`; the limit of httpx holds for each read."""
    Dripping.posts = []
    with (
        http_server(Dripping) as url,
        _posting(
            addresses,
            Receiver(url),
            tmp_path,
            delays=(1, 600),
            EDUGRAPH_WEBHOOK_TIMEOUT_SECONDS="1",
        ) as processes,
    ):
        _emit(addresses)
        until(lambda: len(Dripping.posts) == 2, 15)
        until(lambda: "TimeoutError" in processes.log_end("webhooks", 100), 5)


def test_a_body_without_end_is_not_read(addresses: dict[str, str], tmp_path: Path) -> None:
    sent = [0]

    class Endless(Silent):
        def do_POST(self) -> None:  # noqa: N802 - the name that http.server looks for
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65_536)
                    sent[0] += 65_536
            except OSError:
                return

    with http_server(Endless) as url, _posting(addresses, Receiver(url), tmp_path) as processes:
        event = _emit(addresses)
        until(lambda: "webhook_delivered" in processes.log_end("webhooks", 100), 10)
        assert event in processes.log_end("webhooks", 100)
        assert stays(lambda: sent[0] < 64 << 20, 1)


def test_a_process_that_is_killed_loses_nothing(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """Killed while some events hang, some wait in a delay queue, and some are being moved there."""
    kinds = dict(zip(_ids(60), (503, HANGS, 429) * 20, strict=True))
    restarted = threading.Event()

    def answer(event_id: str, _nth: int) -> int:
        return 204 if restarted.is_set() else kinds[event_id]

    receiver.answer = answer
    with _posting(addresses, receiver, tmp_path / "one") as processes:
        _emit_all(addresses, list(kinds))
        until(lambda: len(receiver.got) > 30, 20)
        processes.running["webhooks"].send_signal(signal.SIGKILL)
        processes.running["webhooks"].wait()
        before = len(receiver.got)
        restarted.set()
        receiver.ended.set()
    with _posting(addresses, receiver, tmp_path / "two"):
        missing = set(kinds)

        def all_delivered() -> bool:
            missing.difference_update(
                headers["webhook-id"] for _, headers, _ in receiver.got[before:]
            )
            return not missing

        until(all_delivered, 40)
    # The broker may have the acknowledgement of the last event a moment later.
    until(lambda: _waiting(addresses) == 0, 10)


def test_no_text_leaves_with_a_dead_letter(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    data = {
        "queue": "data_import",
        "task": "import_batch_task",
        "task_id": "t",
        "reason": "王小明 wrote",
        "extra": "x",
    }
    with _posting(addresses, receiver, tmp_path) as processes:
        _emit(addresses, "io.edugraph.dead_letter", data=data)
        until(lambda: receiver.got, 10)
        assert "王小明" not in processes.log_end("webhooks", 1_000)
    assert json.loads(receiver.got[0][2])["data"] == {
        "queue": "data_import",
        "task": "import_batch_task",
        "task_id": "t",
    }


def test_an_event_that_was_under_way_at_the_end_of_the_process_is_delivered_by_the_next(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answer = lambda _, nth: (503, HANGS, 204)[min(nth, 3) - 1]
    with _posting(addresses, receiver, tmp_path / "one", EDUGRAPH_WEBHOOK_TIMEOUT_SECONDS="2"):
        event = _emit(addresses)
        until(lambda: len(receiver.got) == 2, 20)
    assert _waiting(addresses) == 1
    with _posting(addresses, receiver, tmp_path / "two"):
        until(lambda: len(receiver.got) == 3, 20)
    assert {headers["webhook-id"] for _, headers, _ in receiver.got} == {event}
    assert _waiting(addresses) == 0


def test_an_event_of_yesterday_and_one_that_nobody_can_read_hold_up_no_others(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    old = str(uuid4())
    receiver.answer = lambda event_id, _: 500 if event_id == old else 204
    port = free_port()
    with _posting(addresses, receiver, tmp_path, EDUGRAPH_METRICS_PORT=str(port)) as processes:
        _emit_all(addresses, [old], time=datetime.now(UTC) - timedelta(hours=25))
        until(lambda: processes.log_has("webhooks", "webhook_given_up"), 10)
        with _channel(addresses) as channel:
            channel.basic_publish("edugraph.events", "dead_letter", b"secret nonsense")
        event = _emit(addresses)
        until(lambda: len(receiver.got) == 2, 10)
        assert "nonsense" not in processes.log_end("webhooks", 1_000)
        until(lambda: _counted(port)["delivered"] == 1, 5)
        assert _counted(port) == {
            "delivered": 1,
            "given up": 1,
            "unreadable": 1,
            "failed": 0,
            "refused": 0,
        }
    assert [headers["webhook-id"] for _, headers, _ in receiver.got] == [old, event]
    assert _waiting(addresses) == 0


def test_a_queue_that_exists_is_used_on(receiver: Receiver, tmp_path: Path) -> None:
    """The arguments of a queue cannot be changed, so a later release must declare it with these."""
    with virtual_host() as own:
        addresses = {**own, "EDUGRAPH_BLOB_URL": "/tmp", "WEBHOOKS": own["EDUGRAPH_BROKER_URL"]}
        arguments = {
            "x-queue-type": "quorum",
            "x-message-ttl": 86_400_000,
            "x-max-length": 100_000,
            "x-delivery-limit": -1,
        }
        with _channel(addresses) as channel:
            channel.queue_declare("edugraph.webhooks", durable=True, arguments=arguments)
            channel.queue_bind("edugraph.webhooks", "edugraph.events", "import.completed")
        event = _emit(addresses)
        receiver.answer = lambda _, nth: 500 if nth == 1 else 204
        with _posting(addresses, receiver, tmp_path):
            until(lambda: len(receiver.times(event)) == 2, 20)


def test_a_full_delay_queue_loses_nothing(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """Out: the NackError in `_settle`: the event would be acknowledged, or the process would end."""
    receiver.answer = lambda _, nth: 503 if nth == 1 else 204
    events = _ids(5)
    vhost = urlsplit(addresses["EDUGRAPH_BROKER_URL"]).path.removeprefix("/")
    full = {
        "pattern": r"^edugraph\.webhooks\.after_3s$",
        "definition": {"max-length": 0},
        "apply-to": "queues",
        "priority": 99,
    }
    with _management(addresses) as api:
        api.put(f"/api/policies/{vhost}/full", json=full).raise_for_status()
        with _posting(
            addresses, receiver, tmp_path, delays=(3, 5), patch="webhooks.NO_ROOM_SECONDS = 1"
        ) as processes:
            time.sleep(1)  # the policy takes effect on a queue that is being declared
            _emit_all(addresses, events)
            until(lambda: all(receiver.delivered(event) for event in events), 30)
            assert processes.log_has("webhooks", "webhook_delay_refused")
            assert stays(lambda: len(receiver.got) == 10, 2)
        api.delete(f"/api/policies/{vhost}/full")
    assert _waiting(addresses, (3, 5)) == 0
