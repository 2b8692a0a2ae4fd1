"""The bench for traps: a virtual host of its own on the real broker, workers as processes, and their traces."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from addresses import worker_number
from celery import chord
from celery.result import AsyncResult
from engines import SLOW, given, in_vhost, missing, real_servers
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from waiting import until

from edugraph_common.contracts.routes import ROUTES, Route
from edugraph_common.runtime.messaging.celery_app import make_app, make_publisher
from edugraph_common.runtime.messaging.dead_letter_store import (
    FOLDER,
    KEYS,
    DeadLetterStore,
    open_dead_letters,
)
from edugraph_common.runtime.messaging.dead_letters import take_in
from edugraph_common.runtime.messaging.provisioning import apply_topology, pika_channel
from edugraph_common.runtime.messaging.topology import EVENTS, policies
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.job_store import Jobs, connect

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
TRAP, BODY = "trap_task", "trap_body"
ADDRESSES = ("EDUGRAPH_BROKER_URL", "EDUGRAPH_BROKER_MANAGEMENT_URL", "EDUGRAPH_REDIS_URL")
# A task needs a route. The bench gives these for as long as it is open, and trap_app for the life of its process.
TRAP_ROUTES = {
    TRAP: Route("data_import", "import.batch"),
    BODY: Route("data_import", "import.aggregate"),
}

slow = pytest.mark.skipif(not SLOW, reason="slow: run it by `make traps`")
# False takes the guard out and shows the fault, so that a guard that is no longer needed is seen too.
both = pytest.mark.parametrize("guarded", [True, False])
both_slow = pytest.mark.parametrize("guarded", [True, pytest.param(False, marks=slow)])


@dataclass
class Worker:
    """A `celery worker` process of trap_app."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def logged(self, words: str) -> int:
        return self.log.read_text(errors="replace").count(words)

    def alive(self) -> bool:
        return self.process.poll() is None

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Its children too: they are in its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@dataclass
class Bench:
    """One virtual host. `url` may be replaced by that of a proxy before it."""

    settings: Settings
    vhost: str
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls, folder: Path, *, declare: bool = True) -> Iterator["Bench"]:
        broker, management, redis_url = given(*ADDRESSES).values()
        vhost = f"trap-{uuid4().hex[:8]}"
        settings = Settings(
            broker_url=in_vhost(broker, vhost),
            broker_management_url=management,
            redis_url=redis_url,
            blob_url=str(folder / "blobs"),
        )
        bench = cls(settings, vhost, folder)
        bench.api.put(f"/api/vhosts/{vhost}").raise_for_status()
        try:
            with patch.dict(ROUTES, TRAP_ROUTES):
                if declare:
                    apply_topology(bench.app, settings)
                bench.forget_dead()
                yield bench
        finally:
            bench.stop_workers()
            bench.api.delete(f"/api/vhosts/{vhost}").raise_for_status()

    @cached_property
    def api(self) -> httpx.Client:
        assert self.settings.broker_management_url
        return httpx.Client(
            base_url=self.settings.broker_management_url.get_secret_value(), timeout=20
        )

    @cached_property
    def app(self) -> Any:
        """Publishes, and reads results."""
        app = make_app("trap-bench", self.settings)
        app.conf.broker_transport_options = make_publisher(
            "x", self.settings
        ).conf.broker_transport_options
        return app

    @cached_property
    def redis(self) -> Any:
        return connect(self.settings.redis_url.get_secret_value())

    def environment(self, port: int | None = None, **more: str) -> dict[str, str]:
        url = self.settings.broker_url.get_secret_value()
        if port:
            url = f"{url.rsplit(':', 1)[0]}:{port}/{self.vhost}"
        assert self.settings.broker_management_url
        return {
            **os.environ,
            "EDUGRAPH_BROKER_URL": url,
            "EDUGRAPH_BROKER_MANAGEMENT_URL": self.settings.broker_management_url.get_secret_value(),
            "EDUGRAPH_REDIS_URL": self.settings.redis_url.get_secret_value(),
            "EDUGRAPH_BLOB_URL": self.settings.blob_url,
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE / "integration")]),
            **more,
        }

    def start(
        self,
        name: str = "w",
        *,
        conf: dict[str, Any] | None = None,
        without: str = "",
        concurrency: int = 1,
        port: int | None = None,
        wait: bool = True,
        **more: str,
    ) -> Worker:
        log = self.folder / f"{name}-{len(self.workers)}.log"
        environment = self.environment(
            port, TRAP_CONF=json.dumps(conf or {}), TRAP_WITHOUT=without, **more
        )
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "trap_app",
            "worker",
            "-Q",
            "data_import",
            "-E",
            "-c",
            str(concurrency),
            "-n",
            f"{name}@{self.vhost}",
            "--without-gossip",
            "--without-mingle",
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        if wait:
            until(lambda: worker.logged(" ready.") or not worker.alive(), 30)
            assert worker.alive(), log.read_text()[-3000:]
        return worker

    def start_service(self, module: str, queue: str, **environment: str) -> Worker:
        """A worker of a service, on the real graph."""
        log = self.folder / f"{module}-{len(self.workers)}.log"
        command = [sys.executable, "-m", "celery", "-A", module, "worker", "-Q", queue, "-c", "1"]
        needed = ("NEO4J", "PRIVACY_SECRET")
        graph = {
            name: value
            for name, value in real_servers().items()
            if any(part in name for part in needed)
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "-n", f"{uuid4().hex}@x"],
                env={**self.environment(), **graph, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        until(lambda: worker.logged(" ready."), 60)
        return worker

    def stop_workers(self) -> None:
        for worker in self.workers:
            worker.end()
        self.workers.clear()

    def policy(self, **changes: Any) -> None:
        """Change the policy of data_import, until `apply_topology` puts it right again. The broker applies it later."""
        policy = policies()["edugraph.data_import"]
        changed = {
            **policy["definition"],
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        path = f"/api/policies/{self.vhost}/edugraph.data_import"
        self.api.put(path, json={**policy, "definition": changed}).raise_for_status()
        queue = f"/api/queues/{self.vhost}/data_import"
        until(lambda: self.api.get(queue).json().get("effective_policy_definition") == changed)

    @contextmanager
    def allowed(self, configure: str) -> Iterator[None]:
        """The user of this bench may declare only what matches."""
        user = urlsplit(self.settings.broker_url.get_secret_value()).username or ""
        path, rights = f"/api/permissions/{self.vhost}/{user}", {"write": ".*", "read": ".*"}
        self.api.put(path, json={**rights, "configure": configure}).raise_for_status()
        try:
            yield
        finally:
            self.api.put(path, json={**rights, "configure": ".*"}).raise_for_status()

    def inspect(self) -> dict[str, Any]:
        """The workers that answer, and what each consumes."""
        return dict(self.app.control.inspect(timeout=3, limit=1).active_queues() or {})

    def chord(self, *members: dict[str, Any], errback: bool = False) -> tuple[list[str], str]:
        """Publish a chord of traps; the ids of its members, and of its body, whose job Redis knows."""
        bodies = [{"job_id": uuid4().hex, **member} for member in members]
        header = [self.app.signature(TRAP, (body,), task_id=body["job_id"]) for body in bodies]
        after = {"job_id": uuid4().hex}
        Jobs(self.redis).create(after["job_id"], "import", "trap", datetime.now(UTC))
        callback = self.app.signature(BODY, (after,), task_id=after["job_id"])
        if errback:
            callback.on_error(self.app.signature(BODY, ([], after), immutable=True))
        chord(header, app=self.app)(callback)
        return [body["job_id"] for body in bodies], after["job_id"]

    def listen(self, routing_key: str) -> str:
        """A queue of its own for these events."""
        with pika_channel(self.settings) as channel:
            channel.queue_declare(
                f"listener.{routing_key}", durable=True, arguments={"x-queue-type": "quorum"}
            )
            channel.queue_bind(f"listener.{routing_key}", EVENTS.name, routing_key)
        return f"listener.{routing_key}"

    def flood(self, number: int, action: str, *, jobs: int = 1) -> None:
        """So many messages, of so many jobs in turn, without waiting for each."""
        with pika_channel(self.settings, timeout=60) as channel:
            for one in range(number):
                told = {"job_id": f"flood-{one % jobs}", "action": action, "times": 10**9}
                message = self.app.amqp.as_task_v2(f"flood-{self.vhost}-{one}", TRAP, (told,), {})
                args, kwargs, embedded = message.body
                body = json.dumps([list(args), kwargs, embedded]).encode()
                properties = BasicProperties(
                    "application/json", "utf-8", message.headers, delivery_mode=2
                )
                channel.basic_publish("edugraph.tasks", "import.batch", body, properties)
        until(lambda: self.depth("data_import") == number, 60)

    def empty(self) -> None:
        """Purge both queues when the broker has noticed that the workers are gone, and put back what they held.

        A message that is on its way from one queue to the other is in neither for a moment. So two purges in a row
        have to find nothing.
        """
        queues = ("data_import", "data_import.dead")
        with pika_channel(self.settings) as channel:
            for queue in queues:
                ask = partial(channel.queue_declare, queue, passive=True)
                until(lambda ask=ask: ask().method.consumer_count == 0, 60)  # type: ignore[misc]
            purges_without_messages = 0
            while purges_without_messages < 2:
                purged = sum(channel.queue_purge(queue).method.message_count for queue in queues)
                purges_without_messages = purges_without_messages + 1 if purged == 0 else 0
                time.sleep(0.1)
        self.forget_dead()

    def send(self, action: str = "work", *, name: str = TRAP, **fields: Any) -> str:
        """The task's id, which is also the job's."""
        options = {
            key: fields.pop(key)
            for key in ("countdown", "soft_time_limit", "time_limit", "priority")
            if key in fields
        }
        task_id = uuid4().hex
        body = {"job_id": task_id, "action": action, **fields}
        self.app.send_task(name, (body,), task_id=task_id, argsrepr="", mandatory=True, **options)
        return task_id

    def noted(self, what: str, task_id: str) -> list[str]:
        found: list[str] = self.redis.lrange(f"trap:{what}:{task_id}", 0, -1)
        return found

    def times(self, what: str, task_id: str) -> list[float]:
        return [float(moment) for moment in self.noted(what, task_id)]

    def state(self, task_id: str) -> str:
        return str(AsyncResult(task_id, app=self.app).state)

    def depth(self, queue: str) -> int:
        """Ready messages."""
        with pika_channel(self.settings) as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def unacknowledged(self, queue: str) -> int:
        """Of the management API, which is some seconds behind."""
        answer = self.api.get(f"/api/queues/{self.vhost}/{queue}").raise_for_status().json()
        return int(answer.get("messages_unacknowledged", 0))

    @cached_property
    def letters(self) -> DeadLetterStore:
        return open_dead_letters(self.settings)

    def dead(self, queue: str = "data_import") -> int:
        """Dead letters, whether a worker has stored them or not."""
        return self.letters.counts()[queue] + self.depth(f"{queue}.dead")

    def take_dead(self, queue: str = "data_import") -> list[dict[str, Any]]:
        """All dead letters of a queue, as `take` gives messages."""
        take_in(self.settings, self.letters)
        taken = []
        for ref in self.letters.oldest(queue, limit=0):
            letter = self.letters.read(ref)
            assert letter
            taken.append(
                {
                    **letter.headers,
                    "priority": letter.properties["priority"],
                    "body": letter.content,
                }
            )
            with self.letters.claimed(ref):
                self.letters.delete(ref)
        return taken

    def forget_dead(self) -> None:
        """Redis is shared with the benches before."""
        self.redis.delete(*self.redis.scan_iter(f"{KEYS}:*", count=1_000), KEYS)
        self.letters.blobs.delete(FOLDER)

    def put_back(self, queue: str, times: int) -> None:
        """Look at the first message so often, as a tool does that lists a queue."""
        for _ in range(times):
            with pika_channel(self.settings) as channel:
                until(lambda channel=channel: channel.basic_get(queue)[0], 5)  # type: ignore[misc]

    def take(self, queue: str) -> list[dict[str, Any]]:
        """All messages of a queue: their headers, with `key`, `priority` and `body`."""
        with pika_channel(self.settings) as channel:
            return list(_messages(channel, queue))


def _messages(channel: BlockingChannel, queue: str) -> Iterator[dict[str, Any]]:
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return
        told = {"key": method.routing_key, "priority": properties.priority, "body": body}
        yield {**(properties.headers or {}), **told}


class Control:
    """rabbitmqctl of the broker that this checkout started; it can do what no client can."""

    def __init__(self) -> None:
        self._checkout = Path(os.environ.get("EDUGRAPH_SERVERS_CHECKOUT", CHECKOUT))
        self._command = [
            sys.executable,
            "-m",
            "tools.servers",
            "--tests",
            "--worker",
            str(worker_number()),
        ]
        mine = subprocess.run(
            [*self._command, "env", "--only", "rabbitmq"],
            cwd=self._checkout,
            capture_output=True,
            text=True,
            check=False,
        )
        if f"BROKER_URL={given(ADDRESSES[0])[ADDRESSES[0]]}\n" not in mine.stdout:
            missing(
                "this broker was not started by `make test-servers`, so no test may stop it or raise its alarm"
            )

    def __call__(self, *arguments: str) -> None:
        command = [*self._command, "ctl", "rabbitmqctl", *arguments]
        subprocess.run(command, cwd=self._checkout, check=True, capture_output=True)

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        self("set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            yield
        finally:
            self("set_vm_memory_high_watermark", "0.6")
