"""RabbitMQ's users: each service does its whole work with its own, and what it must not do is refused by the broker."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pika
import pika.exceptions
import pytest
from celery import Celery
from engines import own_vhost
from waiting import until

from edugraph_cli.serving import Pools, declare_topology, serving, with_own_users
from edugraph_client import Client
from edugraph_common.runtime.messaging.queue_depth import queue_depth
from edugraph_common.runtime.messaging.users import permissions
from edugraph_common.runtime.service.settings import Service

pytestmark = pytest.mark.real
RECORD = {
    "type": "error_record",
    "timestamp": "2026-01-05T08:00:00Z",
    # Another test has s-1 forgotten in the same graph, which would refuse the record.
    "data": {"student_id": "s-of-broker", "course_id": "c-1", "error_text": "1/2 + 1/3 = 2/5"},
}


@dataclass(frozen=True)
class Broker:
    """A virtual host with all users. `own` are the addresses of each process."""

    environment: dict[str, str]
    own: dict[str, dict[str, str]]

    def url(self, process: str) -> str:
        return self.own[process]["EDUGRAPH_BROKER_URL"]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with own_vhost() as plain:
        folder = tmp_path_factory.mktemp("users")
        passwords = {service: f"password-of-{service}" for service in permissions()}
        environment, own = with_own_users(
            {**plain, "EDUGRAPH_BLOB_URL": str(folder / "blobs"), "EDUGRAPH_AUTH": "off"}, passwords
        )
        declare_topology(environment)
        try:
            yield Broker(environment, own)
        finally:
            with httpx.Client(base_url=plain["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=20) as api:
                for each in own.values():
                    api.delete(f"/api/users/{urlsplit(each['EDUGRAPH_BROKER_URL']).username}")


def test_each_service_does_its_whole_work_with_its_own_user(broker: Broker, tmp_path: Path) -> None:
    """Out: any part of `permissions`, or `no_declare` in topology.py."""
    with (
        serving(broker.environment, tmp_path / "logs", Pools(1, 1, 1), own=broker.own) as (
            url,
            insights,
            _,
        ),
        Client(url, insights_url=insights) as client,
    ):
        *_, report = client.follow(client.import_records([RECORD], analyze=True).job_id)
        assert (report.state, report.written, report.analysis.done) == ("succeeded", 1, 1)
        assert client.diagnosis().checks[0].problems == ()
        with pika.BlockingConnection(
            pika.URLParameters(broker.environment["EDUGRAPH_BROKER_URL"])
        ) as connection:
            headers: dict[str, Any] = {"id": "bad", "task": "import_batch_task"}
            properties = pika.BasicProperties(
                headers=headers, content_type="application/json", delivery_mode=2
            )
            body = json.dumps([[{"job_id": 1}], {}, {}]).encode()
            connection.channel().basic_publish("edugraph.tasks", "import.batch", body, properties)
        until(lambda: client.dead_letters("data_import", 5)["counts"]["data_import"] == 1, 20)
        assert client.dead_letter("data_import", "bad")["letter"]["queue"] == "data_import"
        assert client.drop("data_import") == 1
        monitor = Celery("monitor", broker=broker.url("monitor"))
        monitor.conf.update(control_queue_exclusive=False, control_queue_durable=True)
        workers = monitor.control.inspect(timeout=5).ping()
        assert {name.split("@")[0] for name in workers or {}} == {
            "importer",
            "findings",
            "analyzer",
        }
        assert queue_depth(Celery("analyzer", broker=broker.url("analyzer")))("graph_findings") == 0
        refused = [
            line
            for log in (tmp_path / "logs").glob("*.log")
            for line in log.read_text().splitlines()
        ]
        assert [
            line for line in refused if "ACCESS_REFUSED" in line or "refused for user" in line
        ] == []


def test_the_monitor_reads_a_queue_as_keda_does_and_a_worker_may_not(broker: Broker) -> None:
    """Out: the tag `monitoring`."""
    management = urlsplit(broker.environment["EDUGRAPH_BROKER_MANAGEMENT_URL"])
    vhost = urlsplit(broker.environment["EDUGRAPH_BROKER_URL"]).path.removeprefix("/")
    queue = f"http://{management.hostname}:{management.port}/api/queues/{vhost}/data_import"
    seen = {}
    for process in ("monitor", "importer"):
        login = urlsplit(broker.url(process))
        answer = httpx.get(queue, auth=(login.username or "", login.password or ""), timeout=20)
        seen[process] = answer.status_code
    assert seen == {"monitor": 200, "importer": 401}


FORBIDDEN: list[tuple[Service, str, Any]] = [
    ("gateway", "consume", lambda channel: channel.basic_get("data_import")),
    ("gateway", "delete", lambda channel: channel.queue_delete("data_import")),
    (
        "gateway",
        "lead events to a queue of work",
        lambda channel: channel.queue_bind("data_import", "edugraph.events", "#"),
    ),
    ("gateway", "bury", lambda channel: channel.basic_publish("edugraph.dead", "data_import", b"")),
    ("importer", "consume texts", lambda channel: channel.basic_get("llm_analysis")),
    ("importer", "purge", lambda channel: channel.queue_purge("llm_analysis")),
    ("analyzer", "delete", lambda channel: channel.queue_delete("llm_analysis")),
    ("analyzer", "consume imports", lambda channel: channel.basic_get("data_import")),
    (
        "analyzer",
        "read dead letters of imports",
        lambda channel: channel.basic_get("data_import.dead"),
    ),
    (
        "importer",
        "publish past the exchange",
        lambda channel: channel.basic_publish("", "data_import", b""),
    ),
    (
        "analyzer",
        "forge an erasure",
        lambda channel: channel.basic_publish("edugraph.tasks", "import.split", b""),
    ),
    (
        "analyzer",
        "forge a delayed erasure",
        lambda channel: channel.basic_publish(
            "celery_delayed_27", ".".join("0" * 28) + ".import.split", b""
        ),
    ),
    (
        "analyzer",
        "forge a split",
        lambda channel: channel.basic_publish("edugraph.tasks", "split.source", b""),
    ),
    ("analyzer", "consume splits", lambda channel: channel.basic_get("import_splits")),
    ("analyzer", "consume live records", lambda channel: channel.basic_get("live_records")),
    (
        "analyzer",
        "bury an import",
        lambda channel: channel.basic_publish("edugraph.dead", "data_import", b""),
    ),
    (
        "analyzer",
        "publish past the exchange",
        lambda channel: channel.basic_publish("", "data_import", b""),
    ),
    ("analyzer", "bind", lambda channel: channel.queue_bind("data_import", "edugraph.tasks", "#")),
    (
        "webhooks",
        "publish",
        lambda channel: channel.basic_publish("edugraph.events", "import.completed", b""),
    ),
    ("webhooks", "consume", lambda channel: channel.basic_get("data_import")),
    (
        "webhooks",
        "publish past the exchange",
        lambda channel: channel.basic_publish("", "data_import", b""),
    ),
    (
        "monitor",
        "publish",
        lambda channel: channel.basic_publish("edugraph.tasks", "import.batch", b""),
    ),
    ("monitor", "consume", lambda channel: channel.basic_get("data_import.dead")),
    ("monitor", "declare", lambda channel: channel.queue_declare("data_import.mine")),
]


@pytest.mark.parametrize(
    ("service", "what", "do"), FORBIDDEN, ids=[f"{s}-{w}" for s, w, _ in FORBIDDEN]
)
def test_what_a_service_must_not_do_is_refused(
    broker: Broker, service: Service, what: str, do: Any
) -> None:
    parameters = pika.URLParameters(broker.url(service))
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refusal:
            do(channel)
    assert refusal.value.reply_code == 403, what


QUEUES = ("data_import", "graph_findings", "import_splits", "live_records", "llm_analysis")
ANALYSES = (
    "analysis.batch",
    "analysis.error",
    "analysis.interaction",
    "analysis.knowledge_points",
    "analysis.names",
)
FINDINGS = ("findings.proposals", "findings.record")
OF_THE_ANALYZER = (*ANALYSES, *FINDINGS, "import.again", "import.members")
EVERY_KEY = (
    *OF_THE_ANALYZER,
    "import.aggregate",
    "import.batch",
    "import.split",
    "live.records",
    "split.source",
)
OF_CELERY = ("celery.pidbox", "celeryev", "reply.celery.pidbox")
WORKER, ASKER, LISTENER, PROBE = (
    "worker@host.celery.pidbox",
    "id.reply.celery.pidbox",
    "celeryev.id",
    "amq.gen-id",
)
DELAYS = ("celery_delayed_0", "celery_delayed_27")
OF_WEBHOOKS = ("edugraph.webhooks", "edugraph.webhooks.after_10s", "edugraph.webhooks.after_3600s")


def _like(names: Iterable[str]) -> set[str]:
    """Return names that are nearly one of these: a pattern without an anchor, or with a dot for any letter, has them."""
    return {
        form
        for name in names
        for form in (f"x{name}", f"{name}x", f"{name}.x", name.replace(".", "x"))
    } - {*names}


# What is in a virtual host, by name, and what Celery and RabbitMQ make beside.
THERE = (
    *("edugraph.tasks", "edugraph.dead", "edugraph.events", *OF_WEBHOOKS),
    *(f"{queue}{part}" for queue in QUEUES for part in ("", ".dead")),
    *(
        *OF_CELERY,
        WORKER,
        ASKER,
        LISTENER,
        PROBE,
        *DELAYS,
        "amq.default",
        "amq.topic",
        "celery_delayed_delivery",
    ),
)
# In which an id is part of the name are as many as there are workers and askers.
NAMES = {*THERE, *_like(THERE), "mine"} - {
    *(f"x{name}" for name in (WORKER, ASKER)),
    *(
        f"{name}{more}"
        for name in (LISTENER, PROBE, "celeryev")
        for more in ("x", ".x")
        if name + more != "celeryevx"
    ),
}


@dataclass(frozen=True)
class Rights:
    """Which of NAMES a user may declare and delete, publish to and read, and with which routing keys."""

    configure: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def _of_worker(
    *queues: str, keys: tuple[str, ...], read: tuple[str, ...] = (), write: tuple[str, ...] = ()
) -> Rights:
    """What every worker may, with `queues`: it answers who looks at workers, and buries what it gives up."""
    return Rights(
        configure=(*OF_CELERY, WORKER),
        write=(
            *("edugraph.tasks", "edugraph.dead", "edugraph.events"),
            *(*OF_CELERY, WORKER, *DELAYS, *write),
        ),
        read=(*queues, *(f"{queue}.dead" for queue in queues), "celery.pidbox", WORKER, *read),
        keys=keys,
        dead=queues,
    )


# This table and `permissions` say the same twice, on purpose: whoever changes what a user may says so here, too.
RIGHTS: dict[Service, Rights] = {
    "gateway": Rights(
        configure=("celeryev", PROBE),
        write=("edugraph.tasks", *QUEUES, "celeryev", "amq.default", PROBE),
        read=tuple(f"{queue}.dead" for queue in QUEUES),
        keys=EVERY_KEY,
        tags=("monitoring",),
    ),
    "importer": _of_worker(
        *("data_import", "graph_findings", "import_splits", "live_records"),
        keys=EVERY_KEY,
        read=tuple(f"{queue}.dead" for queue in QUEUES),
    ),
    "analyzer": _of_worker("llm_analysis", keys=OF_THE_ANALYZER, write=("graph_findings",)),
    "webhooks": Rights(
        configure=OF_WEBHOOKS, write=OF_WEBHOOKS, read=(*OF_WEBHOOKS, "edugraph.events")
    ),
    "monitor": Rights(
        configure=(*OF_CELERY, LISTENER, ASKER),
        write=("celery.pidbox", LISTENER, ASKER),
        read=(*OF_CELERY, LISTENER, ASKER),
        tags=("monitoring",),
    ),
}


@pytest.mark.parametrize("service", RIGHTS)
def test_a_user_has_these_rights_in_the_broker_and_no_others(
    broker: Broker, service: Service
) -> None:
    """Out: any alternative of any pattern in users.py, or `.*` in place of one, or `^` or `$`, or a tag."""
    user = urlsplit(broker.url(service)).username
    vhost = urlsplit(broker.url(service)).path.lstrip("/")
    with httpx.Client(
        base_url=broker.environment["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=20
    ) as api:
        allowed = api.get(f"/api/permissions/{vhost}/{user}").raise_for_status().json()
        by_exchange = {
            each["exchange"]: each
            for each in api.get(f"/api/topic-permissions/{vhost}/{user}").raise_for_status().json()
        }
        tags = api.get(f"/api/users/{user}").raise_for_status().json()["tags"]
    rights = RIGHTS[service]
    for operation in ("configure", "write", "read"):
        found = {name for name in NAMES if re.search(allowed[operation], name)}
        assert found == set(getattr(rights, operation)), operation
    assert by_exchange.keys() == {
        "edugraph.tasks",
        "edugraph.dead",
        *(f"celery_delayed_{n}" for n in range(28)),
    }
    bits = ".".join("01" * 14)
    keys = {*EVERY_KEY, *QUEUES, *_like((*EVERY_KEY, *QUEUES)), "x.import.split", "2.import.split"}
    keys |= {f"{bits}.{key}" for key in keys}
    for exchange, each in by_exchange.items():
        expected = (
            rights.dead
            if exchange == "edugraph.dead"
            else (*rights.keys, *(f"{bits}.{k}" for k in rights.keys))
        )
        assert {key for key in keys if re.search(each["write"], key)} == set(expected), exchange
        assert not [key for key in keys if re.search(each["read"], key)], exchange
    assert sorted(tags if isinstance(tags, list) else filter(None, tags.split(","))) == sorted(
        rights.tags
    )


def test_a_user_reaches_no_other_virtual_host(broker: Broker) -> None:
    for process in broker.own:
        url = broker.url(process)
        with pytest.raises(pika.exceptions.ProbableAccessDeniedError):
            pika.BlockingConnection(
                pika.URLParameters(urlsplit(url)._replace(path="/%2F").geturl())
            )
