"""Webhooks of the real broker's events, to a receiver that does not always listen."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pika
import pytest
from beside import Silent, http_server
from gateway_alone import virtual_host
from standardwebhooks import Webhook
from waiting import until

from edugraph_cli.processes import Processes
from edugraph_common.contracts.events import Event
from edugraph_common.messaging.celery_app import make_publisher
from edugraph_common.messaging.publisher import emit
from edugraph_common.platform.settings import Settings

pytestmark = pytest.mark.real
SECRET, OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDEduGra9H"


@dataclass
class Receiver:
    """Answers with these statuses, one after the other, and 204 from then on."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def _receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(Silent):
        def do_POST(self) -> None:  # noqa: N802 - the name that http.server looks for
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
            self.send_header("Location", f"{receiver.url}/elsewhere")
            self.end_headers()

    with http_server(Handler) as url:
        receiver.url = url
        yield receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with _receiver() as running:
        yield running


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    with virtual_host() as own:
        yield {**own, "EDUGRAPH_BLOB_URL": "/tmp"}


@contextmanager
def _telling(addresses: dict[str, str], receiver: Receiver, logs: Path) -> Iterator[Processes]:
    own = {**addresses, "EDUGRAPH_WEBHOOK_URL": receiver.url, "EDUGRAPH_WEBHOOK_SECRET": f"{SECRET} {OLD}"}
    processes = Processes(logs=logs, environment=own)
    try:
        processes.start("webhooks", [sys.executable, "-c", "from edugraph_gateway.webhooks import main; main()"])
        processes.wait_until("webhooks", lambda: processes.log_has("webhooks", "webhooks_ready"))
        yield processes
    finally:
        processes.stop()


def _emit(addresses: dict[str, str], kind: str = "io.edugraph.import.completed", **data: Any) -> str:
    fields = ("broker_url", "redis_url", "blob_url")
    settings = Settings.model_validate({field: addresses[f"EDUGRAPH_{field.upper()}"] for field in fields})
    given = {"id": str(uuid4()), "source": "/test", "type": kind, "subject": "j", "time": datetime.now(UTC)}
    event = Event.model_validate({**given, "data": {"job_id": "j", "state": "succeeded"}, **data})
    emit(make_publisher("test", settings), event)
    return event.id


def _waiting(addresses: dict[str, str]) -> int:
    connection = pika.BlockingConnection(pika.URLParameters(addresses["EDUGRAPH_BROKER_URL"]))
    try:
        return int(connection.channel().queue_declare("edugraph.webhooks", passive=True).method.message_count)
    finally:
        connection.close()


def test_an_event_is_told_until_it_is_heard_and_signed(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    receiver.statuses = [500, 302]
    with _telling(addresses, receiver, tmp_path):
        _emit(addresses, "io.edugraph.batch.completed")
        event = _emit(addresses)
        until(lambda: len(receiver.got) == 3, 30)
    assert _waiting(addresses) == 0
    for secret in (SECRET, OLD):
        for headers, body in receiver.got:
            told = Webhook(secret).verify(body, headers)
            assert (headers["webhook-id"], told["id"], told["data"]["state"]) == (event, event, "succeeded")
    with pytest.raises(Exception, match="signature"):
        Webhook(SECRET).verify(receiver.got[0][1] + b" ", receiver.got[0][0])


def test_no_text_leaves_with_a_dead_letter(addresses: dict[str, str], receiver: Receiver, tmp_path: Path) -> None:
    data = {
        "queue": "data_import",
        "task": "import_batch_task",
        "task_id": "t",
        "reason": "王小明 wrote",
        "extra": "x",
    }
    with _telling(addresses, receiver, tmp_path) as processes:
        _emit(addresses, "io.edugraph.dead_letter", data=data)
        until(lambda: receiver.got, 10)
        assert "王小明" not in processes.log_end("webhooks", 1_000)
    assert json.loads(receiver.got[0][1])["data"] == {
        "queue": "data_import",
        "task": "import_batch_task",
        "task_id": "t",
    }


def test_what_was_not_heard_at_the_end_of_the_process_is_told_by_the_next(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    receiver.statuses = [503] * 2
    with _telling(addresses, receiver, tmp_path / "one"):
        event = _emit(addresses)
        until(lambda: len(receiver.got) == 2, 20)
    assert _waiting(addresses) == 1
    with _telling(addresses, receiver, tmp_path / "two"):
        until(lambda: len(receiver.got) == 3, 20)
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {event}
    assert _waiting(addresses) == 0


def test_an_event_of_yesterday_and_one_that_nobody_can_read_hold_up_no_others(
    addresses: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    receiver.statuses = [500]
    with _telling(addresses, receiver, tmp_path) as processes:
        old = _emit(addresses, time=datetime.now(UTC) - timedelta(hours=25))
        until(lambda: processes.log_has("webhooks", "webhook_given_up"), 10)
        connection = pika.BlockingConnection(pika.URLParameters(addresses["EDUGRAPH_BROKER_URL"]))
        connection.channel().basic_publish("edugraph.events", "dead_letter", b"secret nonsense")
        connection.close()
        event = _emit(addresses)
        until(lambda: len(receiver.got) == 2, 10)
        assert "nonsense" not in processes.log_end("webhooks", 1_000)
    assert [headers["webhook-id"] for headers, _ in receiver.got] == [old, event]
    assert _waiting(addresses) == 0
