"""A gateway process alone, on servers of the test's choice: nothing takes what it puts into the queues."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pika
from engines import own_vhost
from service_settings import settings_from

from edugraph_cli.processes import Processes, free_port, gateway_command
from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.permissions import Scope
from edugraph_common.runtime.messaging.celery_app import make_publisher
from edugraph_common.runtime.messaging.provisioning import apply_topology
from edugraph_common.runtime.shared_state.api_keys import ApiKeys
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import connect

RECORD = {
    "type": "course_content",
    "timestamp": "2026-01-05T08:00:00Z",
    "data": {"course_id": "c-1", "content": "Fractions are parts of a whole."},
}
XAPI_VERSION = {"X-Experience-API-Version": "1.0.3"}


@dataclass(frozen=True)
class Gateway:
    url: str
    pid: int
    broker: str  # the broker's own address, without a proxy
    environment: Mapping[str, str]
    log: Path

    def client(self, **options: Any) -> httpx.Client:
        """It keeps each connection: one thread of a pool may close an idle one that another thread was just given."""
        limits = httpx.Limits(max_keepalive_connections=None, keepalive_expiry=None)
        return httpx.Client(base_url=self.url, timeout=20, limits=limits, **options)

    def queued(self, queue: str) -> int:
        connection = pika.BlockingConnection(pika.URLParameters(self.broker))
        try:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)
        finally:
            connection.close()

    def take(self, queue: str) -> list[tuple[Any, Any]]:
        """Take all messages of a queue: headers and arguments."""
        with pika.BlockingConnection(pika.URLParameters(self.broker)) as connection:
            channel, found = connection.channel(), []
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                found.append((got[1].headers, json.loads(got[2])))
        return found

    def resident(self) -> int:
        """MB of memory now."""
        return _memory(self.pid, "VmRSS")

    def peak(self) -> int:
        """MB at most, so far."""
        return _memory(self.pid, "VmHWM")


def api_key(environment: Mapping[str, str], *scopes: Scope) -> dict[str, str]:
    """A new key of these scopes, as the header that carries it."""
    keys = ApiKeys(connect(environment["EDUGRAPH_REDIS_URL"]))
    return {"Authorization": f"Bearer {keys.create('test', scopes, datetime.now(UTC)).token}"}


class XapiSender:
    """A key with a source of the kind xapi."""

    def __init__(self, guarded: Gateway, *scopes: Scope, **settings: Any) -> None:
        self.guarded = guarded
        self.bearer = api_key(guarded.environment, *scopes)
        _, self.key_id, self.secret = self.bearer["Authorization"].split("_")
        self.source = f"x-{uuid4().hex[:8]}"
        operator = api_key(guarded.environment, "operate")
        body = {"name": self.source, "kind": "xapi", "keys": [self.key_id], **settings}
        with guarded.client(headers=operator) as client:
            client.post("/v1/sources", json=body).raise_for_status()

    def request(self, method: str, path: str = "/xapi/statements", **more: Any) -> httpx.Response:
        more.setdefault("headers", {**self.bearer, **XAPI_VERSION})
        with self.guarded.client() as client:
            return client.request(method, path, **more)

    def live_day(self) -> dict[str, Any]:
        with self.guarded.client(headers=self.bearer) as client:
            answer = client.get(f"/v1/sources/{self.source}/live").raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def post_records(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.post("/v1/imports", json={"records": [RECORD]}, headers=headers)


@contextmanager
def virtual_host() -> Iterator[dict[str, str]]:
    """The real servers, with a virtual host of this test alone and all of the topology in it."""
    with own_vhost() as own:
        settings = settings_from({**own, "EDUGRAPH_BLOB_URL": "/tmp"})
        apply_topology(make_publisher("test", settings), settings)
        yield own


@contextmanager
def gateway(environment: Mapping[str, str], folder: Path, **settings: str) -> Iterator[Gateway]:
    """`settings` are EDUGRAPH_ settings by their names in lower case. Nobody is restricted, as an importer would tell."""
    members = CourseMembers(connect(environment["EDUGRAPH_REDIS_URL"]))
    with suppress(Retryable):  # some tests begin with a Redis that is away
        members.tell_restricted((), members.epoch())
    port = free_port()
    own = {
        **environment,
        "EDUGRAPH_BLOB_URL": str(folder / "blobs"),
        "EDUGRAPH_AUTH": "off",
        "EDUGRAPH_PORT": str(port),
        **{f"EDUGRAPH_{name.upper()}": value for name, value in settings.items()},
    }
    processes = Processes(logs=folder / "logs", environment=own)
    url = f"http://127.0.0.1:{port}"
    try:
        processes.start("gateway", gateway_command())
        processes.wait_until("gateway", lambda: _lives(url))
        pid = processes.running["gateway"].pid
        yield Gateway(
            url,
            pid,
            environment["EDUGRAPH_BROKER_URL"],
            {**os.environ, **own},
            folder / "logs/gateway.log",
        )
    finally:
        processes.stop()


def _lives(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2).is_success
    except httpx.HTTPError:
        return False


def _memory(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) // 1024
