"""The queue of live records holds what comes in six hours in which nobody takes anything."""

import asyncio
import json
import random
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from anyio import CapacityLimiter

from edugraph_common.contracts.messages import LiveBatch
from edugraph_common.runtime.messaging.topology import policies
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.sources.live_statements import statement_row
from edugraph_common.sources.platforms import Platforms
from edugraph_gateway.submission.live_records import GATHERED_SECONDS, LiveGatherer, LiveRecords

NOW = datetime(2026, 9, 21, 10, tzinfo=UTC)
LMS = "https://lms.school.example"
SECONDS = 6 * 3_600
STATEMENTS_PER_SECOND = 200
GATEWAYS = 2
LOOKED_AT = 20  # messages


def statement(chance: random.Random) -> dict[str, Any]:
    """Return a statement like those of event-routing-backends, of 1,400 bytes, with chance in each of its ids."""

    def some_id() -> str:
        return str(UUID(int=chance.getrandbits(128)))

    block = f"block-v1:School+P1+2026+type@problem+block@{chance.randint(0, 300):032x}"
    extension = "https://w3id.org/xapi/openedx/extension"
    course = {
        "id": f"{LMS}/course/course-v1:School+P{chance.randint(0, 12)}+2026",
        "objectType": "Activity",
        "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
    }
    minute = chance.randint(10, 59)
    return {
        "id": some_id(),
        "version": "1.0.3",
        "actor": {"objectType": "Agent", "account": {"homePage": LMS, "name": some_id()}},
        "verb": {
            "id": "http://adlnet.gov/expapi/verbs/answered",
            "display": {"en": "answered"},
        },
        "object": {
            "id": f"{LMS}/xblock/{block}",
            "objectType": "Activity",
            "definition": {
                "type": "http://adlnet.gov/expapi/activities/cmi.interaction",
                "interactionType": "other",
                "description": {"en": "Add the fractions and shorten the sum."},
            },
        },
        "result": {
            "success": chance.random() < 0.6,
            "score": {"scaled": chance.random(), "raw": chance.randint(0, 10)},
            "response": f"{chance.randint(0, 99)}/{chance.randint(1, 99)}",
            "duration": f"PT{chance.randint(1, 900)}S",
        },
        "context": {
            "registration": some_id(),
            "contextActivities": {"parent": [course]},
            "extensions": {
                f"{extension}/transformer-version": "event-routing-backends@10.0.0",
                f"{extension}s/session-id": f"{chance.getrandbits(128):032x}",
            },
        },
        "timestamp": f"2026-09-21T08:{minute}:{minute}.{chance.randint(0, 999_999):06d}+00:00",
    }


class Broker:
    """Notes the bytes of each body, as Celery writes it."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def send(self, _task: str, message: LiveBatch, *, task_id: str) -> None:
        assert task_id
        options = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        body = [[message.model_dump(mode="json")], {}, options]
        self.sizes.append(len(json.dumps(body)))


class Redis:
    def take(self, _count: int) -> int:
        return int(NOW.timestamp()) * 1_000_000

    def add(self, _batches: Any) -> None: ...


def test_six_hours_of_statements_fit_into_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: the limit of live_records in topology.py, or the packing of rows.

    The bytes are computed from some messages. Two gateways make twice as many, which are packed less.
    """
    # The gathering of the test's messages may be short, since each has one request.
    monkeypatch.setattr("edugraph_gateway.submission.live_records.GATHERED_SECONDS", 0.01)
    chance = random.Random(1)
    broker = Broker()
    messages_per_second = GATEWAYS / GATHERED_SECONDS
    number = round(STATEMENTS_PER_SECOND / messages_per_second)

    async def send_all() -> None:
        redis = cast("Any", Redis())
        gatherer = LiveGatherer(
            redis, redis, cast("Any", broker), lambda: NOW, CapacityLimiter(1), platform_prefixes={}
        )
        for _ in range(LOOKED_AT):
            rows = [statement_row(statement(chance), Platforms({})) for _ in range(number)]
            sender = Caller("key-of-the-lms", ("submit",))
            await gatherer.send(LiveRecords(sender, "lms", rows, are_statements=True))

    asyncio.run(send_all())
    assert len(broker.sizes) == LOOKED_AT
    bytes_per_second = sum(broker.sizes) / LOOKED_AT * messages_per_second
    definition = policies()["edugraph.live_records"]["definition"]
    assert definition["overflow"] == "reject-publish"
    assert bytes_per_second * SECONDS <= definition["max-length-bytes"]
