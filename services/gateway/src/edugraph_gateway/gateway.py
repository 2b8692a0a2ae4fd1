"""What one gateway process works with; tests give their own."""

import asyncio
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from weakref import WeakValueDictionary

import redis
from anyio import CapacityLimiter
from celery import Celery
from fastapi import Request
from pydantic import SecretStr

from edugraph_common.messaging.celery_app import make_publisher
from edugraph_common.platform.audit import Audit
from edugraph_common.platform.job_store import Jobs, connect
from edugraph_common.platform.object_store import Blobs
from edugraph_gateway.auth.bootstrap_key import KeysWithFirst
from edugraph_gateway.auth.callers import KeyRing
from edugraph_gateway.auth.oidc import Issuer
from edugraph_gateway.graph_reader import GraphReading
from edugraph_gateway.operations.dead_letter_operator import DeadDesk
from edugraph_gateway.operations.readiness import Probes, probes_of
from edugraph_gateway.operations.task_results import TaskResults
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.submission.backpressure import Depths, depth_of
from edugraph_gateway.submission.idempotency import Idempotency
from edugraph_gateway.submission.publisher import Sender, sender_of
from edugraph_gateway.submission.rate_limiter import Turns
from edugraph_gateway.submission.write_coalescing import Creating

ADMITTED_AT_ONCE = 40  # callers looked up side by side
REDIS_TIMEOUT = 1.5  # seconds, twice; a POST must be answered within 5


def _new_id() -> str:
    return secrets.token_hex(12)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Gateway:
    """`now` gives aware times; `new_id` gives job ids that nobody can guess."""

    settings: GatewaySettings
    publisher: Celery
    sender: Sender
    redis: "redis.Redis"
    jobs: Jobs
    blobs: Blobs
    results: TaskResults
    graph: GraphReading
    probes: Probes
    key_ring: KeyRing
    turns: Turns
    idempotency: Idempotency
    depths: Depths
    dead_desk: DeadDesk
    audit: Audit
    issuer: Issuer | None = None
    now: Callable[[], datetime] = _now
    new_id: Callable[[], str] = _new_id
    ending: threading.Event = field(default_factory=threading.Event)
    publishing: CapacityLimiter = field(init=False)
    creating: Creating = field(init=False)
    uploading: CapacityLimiter = field(init=False)
    admitting: CapacityLimiter = field(init=False)
    lookups: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def __post_init__(self) -> None:
        object.__setattr__(self, "publishing", CapacityLimiter(self.settings.publishers))
        object.__setattr__(self, "creating", Creating(self.jobs.create_all, self.publishing))
        object.__setattr__(self, "uploading", CapacityLimiter(self.settings.uploads_at_once))
        object.__setattr__(self, "admitting", CapacityLimiter(ADMITTED_AT_ONCE))


def open_gateway(settings: GatewaySettings) -> Gateway:
    """Connected to nothing yet: each client connects at its first use."""
    client = connect(settings.redis_url.get_secret_value(), timeout=REDIS_TIMEOUT, retries=1)
    publisher = make_publisher("edugraph-gateway", settings)
    blobs, results = Blobs(settings.blob_url, settings.imports_from), TaskResults(settings, REDIS_TIMEOUT)
    return Gateway(
        settings=settings,
        publisher=publisher,
        sender=sender_of(publisher, settings),
        redis=client,
        jobs=Jobs(client),
        blobs=blobs,
        results=results,
        graph=GraphReading(settings),
        probes=probes_of(settings, client, blobs),
        key_ring=KeyRing(KeysWithFirst(client, _secret(settings.bootstrap_key))),
        turns=Turns(client, settings.client_requests_per_minute, settings.requests_at_once),
        idempotency=Idempotency(client),
        audit=Audit(client),
        dead_desk=DeadDesk(settings, results.is_done),
        depths=Depths(depth_of(publisher)),
        issuer=Issuer(settings) if settings.oidc_issuer else None,
    )


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


def gateway_of(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway
