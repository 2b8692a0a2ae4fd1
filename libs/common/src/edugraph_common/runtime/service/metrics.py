"""Every metric's name, labels and meaning: the one list that code, dashboards, alerts and docs/metrics.md share.

The number of series is bounded by the lists below and by what an operator configures; a value that is in no list is
counted as "other". No metric holds an id, a name or a text of a record.
"""

from typing import Literal, get_args

from edugraph_common.contracts.errors import Awaited, Cause, Server
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.routes import QUEUES, ROUTES
from edugraph_common.runtime.service.instruments import Counter, Gauge, Histogram, Instrument, Label

TaskOutcome = Literal["succeeded", "failed", "retried", "waiting", "put back", "lost"]
RecordOutcome = Literal[
    "written", "replaced", "unchanged", "older", "taken_back", "rejected", "failed"
]
BatchStep = Literal["read", "write", "settle"]
AnalysisOutcome = Literal["asked", "cached", "offline", "unanswered", "skipped", "withheld"]
BudgetLevel = Literal["under", "nearly", "spent"]
PartWay = Literal["single", "repair"]
ReaperOutcome = Literal["sent again", "failed"]
DigestOutcome = Literal["sent", "refused", "postponed", "unknown"]
ChatService = Literal["dingtalk", "feishu", "slack", "teams", "wecom"]
WebhookOutcome = Literal["delivered", "failed", "refused", "given up", "unreadable"]

RECORD_TYPES = (
    "student_interaction",
    "teacher_interaction",
    "course_record",
    "error_record",
    "course_content",
    "attempt_record",
    "item_record",
    "membership_record",
    "term_record",
    "activity_record",
    "point_record",
    "post_record",
    "person_record",
    "action_record",
    "unknown",
)
STATUSES = (
    "200",
    "400",
    "401",
    "402",
    "403",
    "404",
    "408",
    "409",
    "422",
    "425",
    "429",
    "500",
    "502",
    "503",
    "504",
)
ANSWERS = (*STATUSES, "timeout", "cut", "unreadable")
JOB_STATES = ("succeeded", "partly failed", "failed")
# Neo4j's last words of a code; the rest is "other".
CODES = (
    "DeadlockDetected",
    "LockClientStopped",
    "LockAcquisitionTimeout",
    "ConstraintValidationFailed",
    "EntityNotFound",
    "TransactionTimedOut",
    "NotALeader",
    "DatabaseUnavailable",
    "Overtaken",
)

_queue = Label("queue", QUEUES)
_task = Label("task", tuple(ROUTES), "the tasks by their names")
_kind = Label("kind", get_args(Kind))
_purpose = Label("kind", (*get_args(Kind), "draft", "question"))
_model = Label("model", None, "the models that are configured")
_route = Label("route", None, "the routes of the service; every other path is one value", most=100)
_service = Label("service", ("gateway", "insights"))


def _words(kind: object) -> tuple[str, ...]:
    return tuple(get_args(kind))


# Every process has these.

BUILD = Gauge(
    "every process",
    "build_info",
    "1; its labels say what runs",
    (
        Label("service", ("importer", "analyzer", "gateway", "insights", "webhooks")),
        Label("version", None, "the version that is installed"),
    ),
)
STARTED = Gauge(
    "every process", "process_start_time_seconds", "When the process started, in seconds since 1970"
)

# Both workers have these.

TASKS = Counter(
    "workers",
    "tasks_total",
    "Ends of tasks. retried, waiting and put back come again; put back: a server was away or refused the login; "
    "lost: the child died or took longer than the hard limit",
    (_queue, _task, Label("outcome", _words(TaskOutcome))),
    opened_apart=True,
)
TASKS_WAITING = Counter(
    "workers",
    "tasks_waiting_total",
    "Tasks that were put off, by what they wait for; each comes again",
    (_queue, Label("reason", get_args(Awaited))),
    opened_apart=True,
)
TASK_SECONDS = Histogram(
    "workers",
    "task_seconds",
    "How long a task ran",
    (_queue, _task),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600),
    opened_apart=True,
)
QUEUE_WAIT = Histogram(
    "workers",
    "task_queue_wait_seconds",
    "From being published to being started, first tries only",
    (_queue,),
    buckets=(0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400),
    opened_apart=True,
)
TASKS_ACTIVE = Gauge(
    "workers", "tasks_active", "Tasks that run now", (_queue,), merge="sum", opened_apart=True
)
REDELIVERIES = Counter(
    "workers",
    "task_redeliveries_total",
    "Messages that came a second time",
    (_queue,),
    opened_apart=True,
)
POOL_SIZE = Gauge("workers", "worker_pool_size", "Children that the pool should have")
CHILDREN = Counter(
    "workers", "worker_children_started_total", "Children started, the first ones included"
)
CONNECTIONS = Counter(
    "workers", "worker_connections_total", "Times the worker connected to the broker"
)
CONSUMING = Gauge(
    "workers",
    "worker_consuming",
    "1 while the worker is connected and consumes",
    (_queue,),
    opened_apart=True,
)

DEPENDENCY_UP = Gauge(
    "workers",
    "dependency_up",
    "0 while a worker takes no messages because a server cannot be used for this reason, else 1; away: it does not "
    "answer, refused: it refuses the login, certificate: its certificate is refused",
    (
        Label("service", ("importer", "analyzer")),
        Label("dependency", _words(Server)),
        Label("reason", _words(Cause)),
    ),
    opened_apart=True,
)

# The importer's own.

RECORDS = Counter(
    "importer",
    "records_total",
    "Records by what became of them; a batch that is delivered again counts once",
    (Label("type", RECORD_TYPES), Label("outcome", _words(RecordOutcome))),
)
BATCHES = Counter("importer", "batches_total", "Batches", (Label("state", ("written", "failed")),))
BATCH_SECONDS = Histogram(
    "importer",
    "batch_seconds",
    "Steps of a batch; write is its transaction with all its repeats",
    (Label("step", _words(BatchStep)),),
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
REPEATS = Counter(
    "importer",
    "transaction_repeats_total",
    "Transactions that another one got in the way of, and that were done again",
    (Label("code", CODES),),
)
GRAPH_SCHEMA_VERSION = Gauge(
    "importer",
    "graph_schema_version",
    "Schema version of the graph, as a write met it last; 0: nothing was written yet",
    merge="mostrecent",
)
IMPORTER_SCHEMA_VERSION = Gauge(
    "importer", "importer_schema_version", "Schema version that this importer writes"
)
FINDINGS = Counter(
    "importer",
    "findings_total",
    "Findings that reached the graph, and records that will have none",
    (Label("outcome", ("written", "failed")),),
)
JOBS_ENDED = Counter(
    "workers", "jobs_ended_total", "Jobs by how they ended", (Label("state", JOB_STATES),)
)

# The analyzer's own.

ANALYSES = Counter(
    "analyzer",
    "analyses_total",
    "Records analysed, by where their finding came from; skipped: no text to read, withheld: no consent",
    (_kind, Label("outcome", _words(AnalysisOutcome))),
)
LIMITER_WAIT = Histogram(
    "analyzer",
    "limiter_wait_seconds",
    "How long a request waited for its place; the count is the places used",
    (_model,),
    buckets=(0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60),
)
LIMITER_REFUSALS = Counter(
    "analyzer",
    "limiter_refusals_total",
    "Requests put off because their place was too far away",
    (_model,),
)
LIMITER_PAUSES = Counter(
    "analyzer", "limiter_pauses_total", "Pauses of all processes after a 429", (_model,)
)
LIMITER_LIMIT = Gauge(
    "analyzer",
    "limiter_limit_per_minute",
    "What is configured; 0: no limit",
    (_model, Label("unit", ("requests", "tokens"))),
)
PROVIDER_REQUESTS = Counter(
    "analyzer",
    "provider_requests_total",
    "HTTP attempts; timeout, cut and unreadable are answers that did not come",
    (_model, Label("status", ANSWERS)),
)
PROVIDER_SECONDS = Histogram(
    "analyzer",
    "provider_seconds",
    "From sending a request to having its whole answer",
    (_model,),
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120),
)
TOKENS = Counter(
    "analyzer",
    "provider_tokens_total",
    "Tokens, as the provider counts them",
    (_model, _purpose, Label("direction", ("input", "output"))),
)
COST = Counter(
    "analyzer",
    "provider_cost_total",
    "Money, in the currency of the price table",
    (_model, _purpose),
)
CACHE = Counter(
    "analyzer",
    "cache_lookups_total",
    "Questions, by whether their answer was kept",
    (_kind, Label("result", ("hit", "miss"))),
)
FLIGHT_WAITS = Histogram(
    "analyzer",
    "flight_wait_seconds",
    "How long a request waited for another process that was asking the same",
    (_kind,),
    buckets=(0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
PACK_ITEMS = Histogram(
    "analyzer",
    "pack_items",
    "Records in one request",
    (_kind,),
    buckets=(1, 2, 3, 5, 8, 10, 15, 20, 50),
)
REPAIRS = Counter(
    "analyzer",
    "repairs_total",
    "Records asked again: single, because a pack left them out; repair, because the answer did not validate",
    (_kind, Label("way", _words(PartWay))),
)
DROPPED_NAMES = Counter(
    "analyzer",
    "dropped_names_total",
    "Topics, points and kinds in answers that were left out: an id that was not shown, or `other` without a name",
    (_kind,),
)
BUDGETS = Counter(
    "analyzer",
    "budget_checks_total",
    "Looks at a job's budget before a request; nearly: more than nine tenths are spent",
    (Label("level", _words(BudgetLevel)),),
)

# The gateway's own, and what it reads of the broker for all.

HTTP_REQUESTS = Counter(
    "gateway",
    "http_requests_total",
    "Requests answered",
    (
        _service,
        Label("method", ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")),
        _route,
        Label("status", None, "the service's own answers"),
    ),
)
HTTP_SECONDS = Histogram(
    "gateway",
    "http_seconds",
    "From the first byte of a request to the last of its answer",
    (_service, _route),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30),
)
HTTP_ACTIVE = Gauge(
    "gateway",
    "http_requests_active",
    "Requests that are being answered",
    (_service,),
    merge="sum",
    opened_apart=True,
)
ANSWERS_KEPT = Counter(
    "insights",
    "answers_total",
    "Answers to questions: computed from the graph, or kept for a minute after that",
    (Label("came_from", ("graph", "cache")),),
)
DIGEST_MAILS = Counter(
    "insights",
    "digest_mails_total",
    "Weekly mails by outcome, as Redis counts them: each replica shows the same number. refused: the server will "
    "not take it; postponed: a try that the next run repeats; unknown: a process or connection ended in the middle, "
    "so the mail is not sent again",
    (Label("outcome", _words(DigestOutcome)),),
    opened_apart=True,
)
DIGEST_CHATS = Counter(
    "insights",
    "digest_chats_total",
    "Weekly messages to channels of chats, as Redis counts them: each replica shows the same number. refused: the "
    "chat will not take it; postponed: a try that the next run repeats; unknown: a process or connection ended in "
    "the middle, so the message is not sent again",
    (Label("service", _words(ChatService)), Label("outcome", _words(DigestOutcome))),
    opened_apart=True,
)
JOBS_REAPED = Counter(
    "gateway",
    "jobs_reaped_total",
    "Jobs without progress that nothing would carry on, by what was done about them",
    (Label("outcome", _words(ReaperOutcome)),),
)
WEBHOOK_EVENTS = Counter(
    "webhooks",
    "webhook_events_total",
    "Tries to post an event, by outcome. failed: it is tried again. The other outcomes are final: refused (4xx), "
    "given up (after a day), unreadable",
    (Label("outcome", _words(WebhookOutcome)),),
)
LIVE_STATES = ("accepted", "waiting", "rejected")
# A source is written by keys that an operator gives out, so a school has some dozens at most.
MOST_LIVE_SOURCES = 200
_source = Label(
    "source", bound="the sources that sent something yesterday or today", most=MOST_LIVE_SOURCES
)
_expected_source = Label(
    "source", bound="the sources with silent_after_minutes", most=MOST_LIVE_SOURCES
)
_budgeted_source = Label(
    "source", bound="the sources with live_texts_a_day", most=MOST_LIVE_SOURCES
)
LIVE_ROWS = Gauge(
    "gateway",
    "live_rows",
    "Rows that sources sent live yesterday and today (UTC). accepted: the broker has confirmed them; waiting: the "
    "importer has not counted them yet; rejected: it has set them aside",
    (_source, Label("state", LIVE_STATES)),
    opened_apart=True,
)
LIVE_LAG = Gauge(
    "gateway",
    "live_lag_seconds",
    "Age of the oldest live row that was accepted and is neither written nor given up; 0 if none waits",
    (_source,),
    opened_apart=True,
)
LIVE_TEXT_STATES = ("analysed", "over_budget")
LIVE_TEXTS = Gauge(
    "gateway",
    "live_texts",
    "Texts of live rows of yesterday and today (UTC), of sources with live_texts_a_day. analysed: they are, or wait "
    "for it; over_budget: beyond the number of the day, so they are not",
    (_budgeted_source, Label("state", LIVE_TEXT_STATES)),
    opened_apart=True,
)
LIVE_LAST_ACCEPTED = Gauge(
    "gateway",
    "live_last_accepted_seconds",
    "When the last live row of a source was accepted, in seconds since 1970",
    (_source,),
    opened_apart=True,
)
LIVE_SILENT = Gauge(
    "gateway",
    "live_source_silent",
    "1 if a source sends nothing for longer than its setting silent_after_minutes in school hours, else 0; missing "
    "without the setting",
    (_expected_source,),
    opened_apart=True,
)
ANALYSIS_WAITING = Gauge(
    "gateway",
    "analysis_records_waiting",
    "Records of open jobs that are still to be analysed, those in the queue included; counted every 30 seconds",
    opened_apart=True,
)
BROKER_READ = Gauge(
    "gateway",
    "broker_read",
    "1 if the broker's own figures could be read, else 0",
    opened_apart=True,
)
QUEUE_MESSAGES = Gauge(
    "gateway",
    "queue_messages",
    "Messages in a queue",
    (_queue, Label("state", ("ready", "unacked"))),
    opened_apart=True,
)
QUEUE_BYTES = Gauge(
    "gateway",
    "queue_bytes",
    "Bytes of the messages in a queue that no worker has",
    (_queue,),
    opened_apart=True,
)
QUEUE_MOST_BYTES = Gauge(
    "gateway",
    "queue_most_bytes",
    "Bytes of messages that a queue takes; it refuses more",
    (_queue,),
    opened_apart=True,
)
QUEUE_CONSUMERS = Gauge(
    "gateway", "queue_consumers", "Workers that consume from a queue", (_queue,), opened_apart=True
)
QUEUE_OLDEST = Gauge(
    "gateway",
    "queue_oldest_seconds",
    "Age of the oldest message that waits; at least this since the gateway started",
    (_queue,),
    opened_apart=True,
)
QUEUE_REDELIVERED = Counter(
    "gateway",
    "queue_redelivered_total",
    "Messages that a queue gave out more than once",
    (_queue,),
    opened_apart=True,
)
DEAD_LETTERS = Gauge(
    "gateway", "dead_letters", "Dead letters that wait for a decision", (_queue,), opened_apart=True
)
BROKER_ALARM = Gauge(
    "gateway",
    "broker_alarm",
    "1 while RabbitMQ holds back publishers",
    (Label("resource", ("memory", "disk")),),
    opened_apart=True,
)

INSTRUMENTS: tuple[Instrument, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Instrument)
)
