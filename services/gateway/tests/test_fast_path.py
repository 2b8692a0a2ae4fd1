"""The fast path of POST /v1/imports does what FastAPI's own way to the same endpoint would do, without any server."""

import asyncio
import dataclasses
import itertools
import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import fastapi.routing
import httpx
import structlog
from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.dependencies.utils import solve_dependencies
from hypothesis import given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.errors import QueueFull, Rejected, Retryable
from edugraph_common.contracts.permissions import Scope
from edugraph_common.platform.api_keys import ApiKeys
from edugraph_common.platform.callers import KeyRing
from edugraph_common.platform.job_store import NewJob
from edugraph_common.platform.problems import Problem
from edugraph_gateway import telemetry
from edugraph_gateway.api.routes.imports import FastPath, start_import
from edugraph_gateway.app import make_application
from edugraph_gateway.auth.admission import Admission
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.submission.acceptance import AcceptanceLine
from edugraph_gateway.submission.idempotency import Done, StoredRequest
from edugraph_gateway.submission.uploads import UploadSlots
from edugraph_gateway.submission.write_coalescing import WriteCoalescing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILURES = (Rejected("no"), Retryable("away"), QueueFull(), Problem(409, "x", "y"), ZeroDivisionError())
MAX_BODY_BYTES = 4_096


@dataclasses.dataclass(frozen=True)
class Servers:
    """How the servers behind the gateway do. `tokens` are what the rate limiter has left."""

    auth: str
    tokens: int
    deep_queue: bool
    publish_failure: Exception | None
    create_failure: Exception | None


@dataclasses.dataclass(frozen=True)
class Sent:
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    query: str


class World:
    """Stands for Redis and the broker: it does as `servers` says, and keeps what the gateway did to them."""

    def __init__(self, servers: Servers) -> None:
        self.servers, self.tokens = servers, servers.tokens
        self.created: list[NewJob] = []
        self.withdrawn: list[str] = []
        self.published: list[tuple[str, str, dict[str, Any]]] = []
        self.requests: dict[str, StoredRequest] = {}
        self.audited: list[Any] = []
        self.keys: dict[str, str] = {}

    def hset(self, _name: str, key: str, value: str) -> None:
        self.keys[key] = value

    def pipeline(self) -> "World":
        return self

    def set(self, name: str, value: str) -> None:
        self.keys[name] = value

    def execute(self) -> None:
        """What was asked for is done already."""

    def exists(self, *names: str) -> int:
        return sum(name in self.keys for name in names)

    def hget(self, _name: str, key: str) -> str | None:
        return self.keys.get(key)

    def record(self, *entry: Any, **more: Any) -> None:
        self.audited.append((entry, more))

    def spend(self, _client_id: str) -> bool:
        self.tokens -= 1
        return self.tokens >= 0

    def take(self, client_id: str) -> float:
        return 0.0 if self.spend(client_id) else 3.2

    def check(self, queue: str) -> None:
        if self.servers.deep_queue:
            raise Problem(503, "pressure", queue, retry_after=15)

    def create_all(self, jobs: Sequence[NewJob]) -> int:
        if self.servers.create_failure:
            raise self.servers.create_failure
        self.created += jobs
        return len(jobs)

    def withdraw(self, job_id: str, _now: datetime) -> None:
        self.withdrawn.append(job_id)

    async def send(self, task: str, message: Any, *, task_id: str) -> None:
        if self.servers.publish_failure:
            raise self.servers.publish_failure
        self.published.append((task, task_id, message.model_dump(mode="json")))

    def claim(self, name: str) -> str | None:
        return None if name in self.requests else self.requests.setdefault(name, StoredRequest(claim="c")).claim

    def complete(self, name: str, claim: str, done: Done) -> None:
        self.requests[name] = StoredRequest(claim=claim, fingerprint=done.fingerprint, answer=done.answer)

    def give_back(self, name: str, _claim: str) -> None:
        self.requests.pop(name, None)

    def recall(self, name: str) -> StoredRequest | None:
        return self.requests.get(name)


def _application(folder: Path, world: Any) -> FastAPI:
    fields = {"broker_url": "amqp://127.0.0.1:1//", "redis_url": "redis://127.0.0.1:1/0", "blob_url": str(folder)}
    own = GatewaySettings.model_validate(
        {**fields, "auth": world.servers.auth, "max_body_bytes": MAX_BODY_BYTES, "max_upload_bytes": MAX_BODY_BYTES}
    )
    numbers = itertools.count()
    opened = open_gateway(own, now=lambda: NOW, new_id=lambda: f"job-{next(numbers)}")
    submitter = dataclasses.replace(
        opened.intake.submitter,
        jobs=world,
        publisher=world,
        create=WriteCoalescing(world.create_all, CapacityLimiter(2)).create,
    )
    accepted = itertools.count(1)

    def take_numbers(count: int) -> range:
        first = next(accepted)
        return range(first, first + count)

    async def broker_answers() -> bool:
        return True

    intake = dataclasses.replace(
        opened.intake,
        submitter=submitter,
        backpressure=world,
        acceptance=AcceptanceLine(take_numbers, CapacityLimiter(2)),
        idempotency=world,
        upload_slots=UploadSlots(CapacityLimiter(2), broker_answers),
    )
    admission = Admission(KeyRing(ApiKeys(world)), None, world, lambda: NOW, require_key=own.auth == "on")
    return make_application(dataclasses.replace(opened, intake=intake, admission=admission, audit=world))


def _tokens(world: World) -> dict[str, str]:
    """Make keys that are the same in each world."""
    keys = ApiKeys(world)  # type: ignore[arg-type]
    scopes: tuple[Scope, ...] = ("read", "submit")
    digits = iter("0123")
    return {
        f"<{scope}>": keys.create(scope, [scope], NOW, random=lambda size: next(digits) * 2 * size).token
        for scope in scopes
    }


async def _post_all(application: FastAPI, requests: Sequence[Sent], tokens: dict[str, str]) -> list[Any]:
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    answers = []
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for sent in requests:
            headers = []
            for name, value in sent.headers:
                for placeholder, token in tokens.items():
                    value = value.replace(placeholder.encode(), token.encode())  # noqa: PLW2901
                headers.append((name, value))
            answer = await client.post(f"/v1/imports{sent.query}", content=sent.body, headers=headers)
            answers.append((answer.status_code, sorted(answer.headers.multi_items()), answer.content))
    return answers


def _seen(requests: Sequence[Sent], servers: Servers, *, fast: bool) -> dict[str, Any]:
    """Send the requests to a gateway of its own. Return all that can be seen of it: outside, behind it, in its log."""
    world = World(servers)
    lines: list[dict[str, Any]] = []
    request_log = SimpleNamespace(info=lambda event, **fields: lines.append({"event": event, **fields, "seconds": 0}))
    logging = patch.object(telemetry, "request_log", return_value=request_log)
    solving = patch.object(fastapi.routing, "solve_dependencies", side_effect=solve_dependencies)
    with tempfile.TemporaryDirectory() as name, structlog.testing.capture_logs() as bugs, logging, solving as solved:
        folder = Path(name)
        application = _application(folder, world)
        if not fast:
            others = [entry for entry in application.user_middleware if entry.cls is not FastPath]  # type: ignore[comparison-overlap]
            application.user_middleware = others
        answers = asyncio.run(_post_all(application, requests, _tokens(world)))
        blobs = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {
        "answers": answers,
        "created": world.created,
        "withdrawn": world.withdrawn,
        "published": world.published,
        "audited": world.audited,
        "idempotency": world.requests,
        "tokens": world.tokens,
        "blobs": blobs,
        "log": lines,
        "bugs": [(line["event"], line["error"]) for line in bugs],
        "solved_dependencies": sum(call.kwargs["dependant"].call is start_import for call in solved.call_args_list),
    }


# Most of a request and of the servers is as it should be: the first thing that is wrong hides all that comes later.
GOOD = json.dumps({"records": [{"any": "thing"}], "analyze": True, "batch_size": 10}).encode()
BODIES = st.one_of(
    st.just(GOOD),
    st.just(GOOD),
    st.sampled_from([b"", b"{", b"[]", b"x" * (MAX_BODY_BYTES + 1), b'{"records": []}', b'{"url": "a/b"}']),
    st.dictionaries(
        st.sampled_from(["records", "batch_size", "analyze", "url", "name", "format", "more"]),
        st.one_of(st.integers(), st.text(max_size=5), st.just([{"a": "é"}])),
    ).map(lambda body: json.dumps(body).encode()),
    st.binary(max_size=40),
)
JSON = b"application/json"
CONTENT_TYPES = [JSON, JSON, JSON, b"Application/JSON; charset=utf-8", b"application/x-ndjson", b"text/plain"]
TOKENS = [b"Bearer <submit>", b"bearer  <submit>", b"Bearer <read>", b"Bearer", b"Bearer eg_x_y", b"Basic eA==", b""]
KEYS = st.one_of(
    st.sampled_from([b"a", b"b", b"", b"a b", b"k" * 255, b"k" * 256, b" a ", b"\xe9"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5).map(str.encode),
)
OTHER_HEADERS = st.one_of(
    st.sampled_from(TOKENS).map(lambda value: (b"Authorization", value)),
    KEYS.map(lambda value: (b"Idempotency-Key", value)),
    KEYS.map(lambda value: (b"Idempotency-Key", value)),
    st.sampled_from([b"identity", b"br"]).map(lambda value: (b"Content-Encoding", value)),
    st.just((b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")),
)
REQUESTS = st.builds(
    lambda kind, token, others, body, query: Sent([(b"Content-Type", kind), *token, *others], body, query),
    st.sampled_from(CONTENT_TYPES),
    st.sampled_from([[(b"Authorization", b"Bearer <submit>")]] * 3 + [[]]),
    st.lists(OTHER_HEADERS, max_size=2),
    BODIES,
    st.sampled_from(["", "", "?format=csv", "?format=x", "?name=n&batch_size=5", "?more=1"]),
)
SERVERS = st.builds(
    Servers,
    auth=st.sampled_from(["off", "on"]),
    tokens=st.sampled_from([9, 9, 9, 1]),
    deep_queue=st.sampled_from([False] * 9 + [True]),
    publish_failure=st.sampled_from([None] * 9 + [*FAILURES]),
    create_failure=st.sampled_from([None] * 9 + [Retryable("away"), ZeroDivisionError()]),
)


@settings(max_examples=50, deadline=None)
@given(requests=st.lists(REQUESTS, min_size=1, max_size=4), servers=SERVERS)
def test_it_does_what_fastapi_would_do(requests: list[Sent], servers: Servers) -> None:
    fast, by_fastapi = (_seen(requests, servers, fast=fast) for fast in (True, False))
    assert fast.pop("solved_dependencies") == 0
    assert by_fastapi.pop("solved_dependencies") == len(requests)
    assert fast == by_fastapi
