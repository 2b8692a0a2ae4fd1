"""Queues whose workers take no messages, because a server refuses them or does not answer. Jobs show this reason.

A worker that Redis refuses cannot write the reason itself. It reports over the broker, and the gateway, which has
another user, writes the reason into Redis.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

import anyio.to_thread
import redis
import structlog
from celery import Celery
from pydantic import ValidationError

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.routes import QUEUES, WORKER_REPORTS
from edugraph_common.contracts.worker_reports import WorkerReport
from edugraph_common.runtime.messaging.publisher import broker_errors
from edugraph_common.runtime.service.redis_errors import redis_errors

INTERVAL_SECONDS = 3.0
# A worker that waits for a server reports at least once a minute.
KEPT_SECONDS = 100
log = structlog.get_logger()


class Held(NamedTuple):
    """A worker that takes no messages from a queue. `alone`: no other worker took messages when it reported."""

    queue: str
    worker: str
    reason: str
    alone: bool


@dataclass(frozen=True)
class HeldQueues:
    """The reports of workers in Redis. All methods raise Retryable if Redis does not answer."""

    client: "redis.Redis"
    now: Callable[[], datetime]

    def note(self, report: WorkerReport, consumers: Callable[[str], int]) -> None:
        """Store the report of a worker. `consumers` returns the number of workers that take messages from a queue."""
        until = self.now().timestamp() + KEPT_SECONDS
        reason = "; ".join(answer.reason for answer in report.unusable)
        for queue in set(report.queues) & set(QUEUES):
            key = _key(queue)
            with redis_errors():
                if not report.unusable:
                    self.client.hdel(key, report.worker)
                    continue
                held = {"reason": reason, "until": until, "alone": consumers(queue) == 0}
                pipe = self.client.pipeline()
                pipe.hset(key, report.worker, json.dumps(held))
                pipe.expire(key, KEPT_SECONDS)
                pipe.execute()

    def all(self) -> list[Held]:
        """Return all workers that take no messages."""
        now = self.now().timestamp()
        with redis_errors():
            pipe = self.client.pipeline(transaction=False)
            for queue in QUEUES:
                pipe.hgetall(_key(queue))
            kept = cast("list[dict[str, str]]", pipe.execute())
        found = []
        for queue, workers in zip(QUEUES, kept, strict=True):
            for worker, text in sorted(workers.items()):
                held = json.loads(text)
                if held["until"] > now:
                    found.append(Held(queue, worker, held["reason"], held["alone"]))
        return found

    def reasons(self) -> dict[str, str]:
        """Return, by queue, the reason why no worker takes messages from it."""
        return {held.queue: held.reason for held in self.all() if held.alone}


def _key(queue: str) -> str:
    return f"edugraph:held:{queue}"


def read_reports(app: Celery, held: HeldQueues) -> int:
    """Take all waiting reports from the broker, store them, and return their number. Raises Failure."""
    number = 0
    with broker_errors(), app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=0)
        channel: Any = connection.default_channel

        def consumers(queue: str) -> int:
            return int(channel.queue_declare(queue, passive=True).consumer_count)

        while True:
            message = channel.basic_get(WORKER_REPORTS)
            if message is None:
                break
            try:
                held.note(WorkerReport.model_validate_json(message.body), consumers)
            except ValidationError:
                log.warning("worker_report_not_readable")
            channel.basic_ack(message.delivery_tag)
            number += 1
    return number


async def keep_reading_reports(app: Celery, held: HeldQueues) -> None:
    """Read the reports every few seconds, until the task is cancelled. Several gateways may do so at once."""
    was_away = False
    while True:
        try:
            await anyio.to_thread.run_sync(read_reports, app, held)
            was_away = False
        except Failure as away:
            if not was_away:
                log.warning("worker_reports_not_read", reason=away.reason)
            was_away = True
        await asyncio.sleep(INTERVAL_SECONDS)
