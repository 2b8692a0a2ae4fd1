"""The composition root: what one gateway process works with. Tests replace single parts.

Only app.py, main.py and api/dependencies.py see a `Gateway` as a whole; all other code gets the parts that it needs.
"""

import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from anyio import CapacityLimiter

from edugraph_common.contracts.api import Check
from edugraph_common.contracts.messages import CourseMembersRequest
from edugraph_common.runtime.messaging.celery_app import make_publisher
from edugraph_common.runtime.messaging.dead_letter_store import DeadLetterStore
from edugraph_common.runtime.messaging.publisher import send, task_id_for
from edugraph_common.runtime.messaging.queue_depth import queue_depth
from edugraph_common.runtime.service.cached import cached_for
from edugraph_common.runtime.service.settings import secret_of
from edugraph_common.runtime.shared_state.acceptance import AcceptanceNumbers
from edugraph_common.runtime.shared_state.action_permits import ActionPermits
from edugraph_common.runtime.shared_state.api_keys import ApiKeys
from edugraph_common.runtime.shared_state.audit import Audit
from edugraph_common.runtime.shared_state.bootstrap_key import KeysWithBootstrap
from edugraph_common.runtime.shared_state.callers import KeyRing
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs, redis_of
from edugraph_common.runtime.shared_state.live_counts import LiveCounts
from edugraph_common.runtime.shared_state.live_waiting import LiveWaiting
from edugraph_common.runtime.shared_state.model_permits import ModelPermits
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.oidc import Issuer
from edugraph_common.runtime.shared_state.rate_limiter import RateLimiter
from edugraph_common.runtime.shared_state.recent_statements import RecentStatements
from edugraph_common.runtime.shared_state.source_registry import SourceRegistry
from edugraph_common.runtime.shared_state.task_owners import TaskOwners
from edugraph_common.sources import Platforms
from edugraph_gateway.auth.admission import Admission
from edugraph_gateway.auth.known_sessions import known_sessions
from edugraph_gateway.event_streams import EventStreams
from edugraph_gateway.operations.analysis_backlog import AnalysisBacklog
from edugraph_gateway.operations.broker_figures import BrokerFigures, broker_figures, consumers_of
from edugraph_gateway.operations.dead_letter_operator import DeadLetterOperator
from edugraph_gateway.operations.diagnosis import diagnose
from edugraph_gateway.operations.held_queues import HeldQueues, keep_reading_reports
from edugraph_gateway.operations.live_sources import LiveDays
from edugraph_gateway.operations.lost_batches import LostBatches
from edugraph_gateway.operations.readiness import Probes, make_probes
from edugraph_gateway.operations.restriction import Restrictions, restricted_from_importer
from edugraph_gateway.operations.sweeper import Retention, end_old_records, sweep
from edugraph_gateway.operations.task_results import TaskResults
from edugraph_gateway.operations.worker_checks import WorkerChecks
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.submission.backpressure import Backpressure
from edugraph_gateway.submission.idempotency import IdempotencyStore
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.live_records import LiveGatherer
from edugraph_gateway.submission.publisher import Publisher, open_publisher
from edugraph_gateway.submission.record_receiver import RecordReceiver
from edugraph_gateway.submission.request_body import BodyLimits
from edugraph_gateway.submission.statements import StatementReceiver
from edugraph_gateway.submission.submit import JobSubmitter
from edugraph_gateway.submission.uploads import UploadSlots

REDIS_TIMEOUT_SECONDS = 1.5  # it is tried twice; a POST must be answered within 5 s
WRITE_THREADS = 8  # for short writes to Redis and looks at files outside
HELD_KEPT_SECONDS = 2.0  # which queues are held, between two looks
# Bodies of senders who have not proven yet who they are. Each has up to 1 MiB of memory.
UNPROVEN_AT_A_TIME = 64
PREVIEWS_AT_A_TIME = 2  # each takes a processor for a moment, which submissions need


@dataclass(frozen=True)
class Gateway:
    """`now` gives aware times; `ending` is set when the process is to end."""

    settings: GatewaySettings
    admission: Admission
    intake: Intake
    records: RecordReceiver
    statements: StatementReceiver
    jobs: Jobs
    task_owners: TaskOwners
    blobs: Blobs
    publisher: Publisher
    results: TaskResults
    restrictions: Restrictions
    probes: Probes
    dead_letters: DeadLetterOperator
    audit: Audit
    api_keys: ApiKeys
    diagnose: Callable[[], list[Check]]
    broker_figures: BrokerFigures
    analysis_backlog: AnalysisBacklog
    live_days: LiveDays
    forget_lost_batches: Callable[[], int]
    queue_depth: Callable[[str], int]
    # The value is None if workers send no reports.
    read_reports: Callable[[], Coroutine[Any, Any, None]] | None
    sweep: Callable[[], int]
    end_records: Callable[[], Awaitable[None]]
    now: Callable[[], datetime]
    event_streams: EventStreams
    ending: threading.Event = field(default_factory=threading.Event)


def open_gateway(
    settings: GatewaySettings,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    new_id: Callable[[], str] = lambda: secrets.token_hex(12),
) -> Gateway:
    """Return a gateway that is connected to nothing yet: each client connects at its first use."""
    client = redis_of(settings, timeout=REDIS_TIMEOUT_SECONDS, retries=1)
    issuer = Issuer(settings) if settings.oidc_issuer else None
    celery_app = make_publisher("edugraph-gateway", settings)
    held_queues = HeldQueues(client, now)
    reasons = cached_for(HELD_KEPT_SECONDS, held_queues.reasons)
    jobs = Jobs(client, settings.job_retention_seconds, held_queues=reasons)
    blobs = Blobs(settings.blob_url, settings.imports_from)
    results = TaskResults(settings, REDIS_TIMEOUT_SECONDS)
    probes = make_probes(settings, client, blobs)
    publisher = open_publisher(celery_app, settings)
    letters_kept = timedelta(days=settings.dead_letter_retention_days)
    letter_store = DeadLetterStore(client, jobs, blobs, letters_kept, now)
    dead_letters = DeadLetterOperator(settings, letter_store, results.is_done)
    bootstrap_key = secret_of(settings.bootstrap_key)
    days = (settings.source_retention_days, settings.reject_retention_days)
    retention = Retention(*(timedelta(days=each) for each in days))
    threads = CapacityLimiter(WRITE_THREADS)
    task_owners = TaskOwners(client)
    api_keys = KeysWithBootstrap(client, bootstrap_key)
    acceptance_numbers = AcceptanceNumbers(client)
    platforms = Platforms.of_addresses(settings.platform_prefixes)
    live = LiveGatherer(
        acceptance_numbers,
        LiveWaiting(client),
        publisher,
        now,
        threads,
        platform_prefixes=platforms.prefixes,
    )
    live_counts = LiveCounts(client)
    statements = StatementReceiver(
        live=live,
        recent=RecentStatements(client),
        counts=live_counts,
        platforms=platforms,
        now=now,
        new_id=lambda: str(uuid4()),
        threads=threads,
    )
    submitter = JobSubmitter(
        jobs=jobs,
        task_owners=task_owners,
        blobs=blobs,
        publisher=publisher,
        new_id=new_id,
        now=now,
        threads=threads,
    )

    def ask_for_restricted() -> None:
        message = CourseMembersRequest(job_id=new_id())
        task_id = task_id_for(message.job_id, "members")
        send(celery_app, "tell_course_members_task", message, task_id=task_id)

    return Gateway(
        settings=settings,
        admission=Admission(
            KeyRing(api_keys),
            issuer,
            RateLimiter(
                client, settings.client_requests_per_minute, settings.client_burst_requests
            ),
            now,
            require_key=settings.auth == "on",
            sessions=known_sessions(client, issuer, platforms, settings),
        ),
        intake=Intake(
            backpressure=Backpressure(queue_depth(celery_app), settings.max_queue_depth),
            acceptance_numbers=acceptance_numbers,
            idempotency=IdempotencyStore(client),
            submitter=submitter,
            upload_slots=UploadSlots(
                CapacityLimiter(settings.max_concurrent_uploads), probes.broker_answers
            ),
            limits=BodyLimits(
                max_json_bytes=settings.max_body_bytes,
                max_upload_bytes=settings.max_upload_bytes,
                max_unpacked_bytes=settings.max_unpacked_bytes,
                idle_timeout_seconds=settings.upload_idle_timeout_seconds,
            ),
            preview_slots=CapacityLimiter(PREVIEWS_AT_A_TIME),
            unproven_slots=CapacityLimiter(UNPROVEN_AT_A_TIME),
            sources=SourceRegistry(client),
            action_permits=ActionPermits(client),
            model_permits=ModelPermits(client),
        ),
        records=RecordReceiver(live, live_counts, now, threads),
        statements=statements,
        jobs=jobs,
        task_owners=task_owners,
        blobs=blobs,
        publisher=publisher,
        results=results,
        restrictions=Restrictions(
            lambda: restricted_from_importer(CourseMembers(client), ask_for_restricted)
        ),
        probes=probes,
        dead_letters=dead_letters,
        audit=Audit(client, secret_of(settings.privacy_secret), settings.audit_retention_days),
        api_keys=api_keys,
        diagnose=lambda: diagnose(
            settings=settings,
            client=client,
            blobs=blobs,
            dead_letters=dead_letters,
            workers=WorkerChecks(
                celery_app, results, held_queues, consumers_of(settings, celery_app), new_id
            ),
            new_id=new_id,
        ),
        broker_figures=broker_figures(settings, celery_app, letter_store.counts),
        analysis_backlog=AnalysisBacklog(lambda: jobs.records_to_analyse(now())),
        live_days=LiveDays(SourceRegistry(client), live_counts, LiveWaiting(client), jobs, now),
        forget_lost_batches=LostBatches(
            sources=SourceRegistry(client),
            waiting=LiveWaiting(client),
            jobs=jobs,
            queue_depth=queue_depth(celery_app),
            held_queues=held_queues.reasons,
            now=now,
        ).forget,
        queue_depth=queue_depth(celery_app),
        end_records=partial(end_old_records, submitter),
        read_reports=partial(keep_reading_reports, celery_app, held_queues)
        if settings.on_rabbitmq
        else None,
        sweep=lambda: sweep(jobs, blobs, retention, now()) + letter_store.sweep(),
        now=now,
        event_streams=EventStreams(settings.max_streams_per_client),
    )
