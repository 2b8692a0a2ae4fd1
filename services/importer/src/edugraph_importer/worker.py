"""The importer's process: `celery -A edugraph_importer.worker worker -Q data_import,import_splits`."""

from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from celery.signals import worker_process_shutdown
from pydantic import ValidationError

from edugraph_common.contracts.errors import ServerAway
from edugraph_common.contracts.personal_data import patterns_of
from edugraph_common.contracts.platform_addresses import platform_key
from edugraph_common.runtime.messaging.celery_app import App, make_app
from edugraph_common.runtime.messaging.dead_letter_store import open_dead_letters
from edugraph_common.runtime.messaging.dead_letters import read_dead_letters, rewrite_dead_letters
from edugraph_common.runtime.messaging.worker.deliveries import note_deliveries
from edugraph_common.runtime.messaging.worker.health import report_health
from edugraph_common.runtime.messaging.worker.metrics import measure_worker
from edugraph_common.runtime.messaging.worker.setup import set_up_worker
from edugraph_common.runtime.messaging.worker.task_logs import log_tasks
from edugraph_common.runtime.messaging.worker.task_traces import trace_tasks
from edugraph_common.runtime.service.settings import Settings, secret_of, settings_or_exit
from edugraph_common.runtime.shared_state.analysis_window import AnalysisWindows
from edugraph_common.runtime.shared_state.audit import Audit
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.graph_changes import GraphChanges
from edugraph_common.runtime.shared_state.job_store import Jobs, redis_of
from edugraph_common.runtime.shared_state.live_texts import LiveTextNumbers
from edugraph_common.runtime.shared_state.live_waiting import LiveWaiting
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.redis_texts import RedisTexts
from edugraph_common.runtime.shared_state.server_checks import ask_blobs, ask_redis
from edugraph_importer import telemetry
from edugraph_importer.erasure import Erasure
from edugraph_importer.graph import Graph, GraphSettings, RecordRetention
from edugraph_importer.person_export import Elsewhere
from edugraph_importer.schema_check import check_schema
from edugraph_importer.service import Importer
from edugraph_importer.undo import read_stored_rows


def make_worker(settings: Settings) -> App:
    """Make the application without connecting it: each child of the pool opens what it needs at its first task."""
    app = make_app("edugraph-importer", settings)
    app.conf.imports = ("edugraph_importer.tasks",)
    log_tasks(settings)
    note_deliveries(settings)
    measure_worker("importer", settings, telemetry.open_versions)
    report_health(app, settings)
    trace_tasks("importer", settings.tracing)
    set_up_worker(app, settings)

    app.servers = {
        "redis": partial(ask_redis, settings),
        "neo4j": _ask_graph,
        "blobs": partial(ask_blobs, settings.blob_url),
    }
    app.checks = (partial(check_schema, _open_graph),)

    @cache
    def importer() -> Importer:
        client = redis_of(settings)
        now = partial(datetime.now, UTC)
        kept = RecordRetention(
            settings.graph_text_retention_days,
            settings.graph_record_retention_days,
            settings.orphan_review_retention_days,
            settings.ledger_days,
            now,
            settings.source_retention_days,
        )
        jobs = Jobs(client, settings.job_retention_seconds)
        blobs = Blobs(settings.blob_url, settings.imports_from)
        members = CourseMembers(client)
        changes = GraphChanges(client)
        graph = Graph(
            GraphSettings(),
            kept,
            telemetry.graph_version,
            partial(read_stored_rows, blobs),
            changes.append,
        )
        windows = AnalysisWindows(client)
        live_waiting = LiveWaiting(client)
        live_texts = LiveTextNumbers(client)
        texts = RedisTexts(client)
        views = partial(texts.read, patterns_of("views"))
        digests = partial(texts.read, patterns_of("digests"))
        privacy_secret = secret_of(settings.privacy_secret)
        audit = Audit(client, privacy_secret, settings.audit_retention_days)
        letters = open_dead_letters(settings)
        prefixes = {
            platform_key(name): prefix for name, prefix in settings.platform_prefixes.items()
        }
        return Importer(
            app=app,
            graph=graph,
            jobs=jobs,
            windows=windows,
            live_waiting=live_waiting,
            live_texts=live_texts,
            members=members,
            blobs=blobs,
            erasure=Erasure(
                graph=graph,
                jobs=jobs,
                blobs=blobs,
                texts=texts,
                members=members,
                rewrite_letters=partial(rewrite_dead_letters, settings, letters),
                now=now,
                platform_prefixes=prefixes,
            ),
            elsewhere=Elsewhere(
                search=jobs.entries_with,
                letters=partial(read_dead_letters, settings, letters),
                entries=partial(audit.about, "student"),
                views=views,
                digests=digests,
            ),
            now=now,
            audit=audit,
            platform_prefixes=prefixes,
            keeps_uploads=settings.keep_uploads,
        )

    def close(**_: Any) -> None:
        if importer.cache_info().currsize:
            importer().graph.close()

    app.work = importer
    worker_process_shutdown.connect(close, weak=False)
    return app


def _ask_graph() -> None:
    """Raise ServerAway if the graph database cannot be used, or if its settings are missing."""
    _open_graph().ask_server()


def _open_graph() -> Graph:
    """Return a graph that connects at its first use. Raise ServerAway if its settings are missing."""
    try:
        settings = GraphSettings()
    except ValidationError as error:
        names = ", ".join(str(each["loc"][0]) for each in error.errors())
        raise ServerAway(
            f"settings of Neo4j are missing or wrong: {names}", "neo4j", "refused"
        ) from None
    return Graph(settings)


app = make_worker(settings_or_exit(Settings))
