"""Declaration and check of the topology: exchanges and queues with pika, policies with the management API.

`apply_topology` is idempotent, so it can run before every start.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx
import pika
import pika.exceptions
from celery import Celery
from kombu import Exchange, Queue
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)
from pika.adapters.blocking_connection import BlockingChannel

from edugraph_common.contracts.errors import Rejected, Retryable, what
from edugraph_common.runtime.messaging.publisher import broker_errors
from edugraph_common.runtime.messaging.topology import (
    DEAD,
    EVENTS,
    TASKS,
    dead_queues,
    policies,
    task_queues,
    worker_reports_queue,
)
from edugraph_common.runtime.messaging.users import apply_users
from edugraph_common.runtime.service.settings import BrokerSettings, Settings, passwords_of

EXCHANGES = (TASKS, DEAD, EVENTS)
DELAY_LEVELS = 28
# The broker collects the figures of queues every 5 s. They include the policy that is in effect for a queue.
POLICIES_KNOWN_WITHIN_SECONDS = 15


def apply_topology(app: Celery, settings: Settings) -> list[str]:
    """Declare everything and return one line for each step. Raises Retryable or Rejected."""
    if not settings.on_rabbitmq:
        with broker_errors(), app.connection_for_write() as connection:
            for queue in [*task_queues(quorum=False), *dead_queues(quorum=False)]:
                queue.bind(connection.default_channel).declare()
        return [
            "queues declared on the embedded broker: it has no confirms, no quorum and no delivery limit"
        ]
    queues = all_queues()
    with pika_channel(settings) as channel:
        for exchange in EXCHANGES:
            channel.exchange_declare(exchange.name, exchange.type, durable=True)
        for queue in queues:
            channel.queue_declare(queue.name, durable=True, arguments=queue.queue_arguments)
            for exchange, key in _bindings(queue):
                channel.queue_bind(queue.name, exchange.name, key)
    with management(settings) as api:
        wanted = policies(settings.dead_letter_retention_days)
        for name, policy in wanted.items():
            api.put(f"/api/policies/{vhost(settings)}/{name}", json=policy).raise_for_status()
    # By default Celery's workers declare the queues of delayed messages. Ours do not, so they are declared here.
    with broker_errors(), app.connection_for_write() as connection:
        declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
        for queue in task_queues():
            bind_queue_to_native_delayed_delivery_exchange(connection, queue)
    # Last, since RabbitMQ 4.3 refuses permissions for an exchange that is missing.
    with management(settings) as api:
        made = apply_users(api, vhost(settings), passwords_of(settings.broker_users))
    steps = [
        f"{len(EXCHANGES)} exchanges declared",
        f"{len(queues)} quorum queues declared and bound",
        f"{len(wanted)} policies set",
        f"{DELAY_LEVELS} delay queues declared",
    ]
    if made:
        steps.append(f"users with their permissions: {', '.join(made)}")
    return steps


def check_topology(settings: Settings) -> list[str]:
    """Return a sentence for each thing that is missing or different. The list is empty if the topology is correct.

    Raises Retryable or Rejected.
    """
    if not settings.on_rabbitmq:
        return []
    exchanges = (
        [exchange.name for exchange in EXCHANGES] + delay_names() + ["celery_delayed_delivery"]
    )
    queues = [queue.name for queue in all_queues()] + delay_names()
    with management(settings) as api:
        # A passive declaration would need a permission for each of them.
        listed = api.get(f"/api/exchanges/{vhost(settings)}").raise_for_status().json()
        bound = api.get(f"/api/bindings/{vhost(settings)}").raise_for_status().json()
        queues_found = _queues_with_policies(api, settings)
    exchanges_found = {entry["name"] for entry in listed}
    problems = [f"exchange {name} is missing" for name in exchanges if name not in exchanges_found]
    problems += [f"queue {name} is missing" for name in queues if name not in queues_found]
    bindings = {(entry["source"], entry["destination"], entry["routing_key"]) for entry in bound}
    for source, queue_name, key in sorted(_wanted_bindings() - bindings):
        problems.append(f"{queue_name} is not bound to {source} by {key}")
    ours = policies(settings.dead_letter_retention_days)
    for queue in all_queues():
        is_missing = queue.name not in queues_found  # reported above
        if not is_missing:
            problems += _policy_problems(queue.name, queues_found[queue.name], ours)
    return problems


def _wanted_bindings() -> set[tuple[str, str, str]]:
    """Return (exchange, queue, routing key) of all bindings that the topology needs."""
    wanted = set[tuple[str, str, str]]()
    for queue in all_queues():
        for exchange, key in _bindings(queue):
            wanted.add((exchange.name, queue.name, key))
    for queue in task_queues():
        wanted.add((TASKS.name, queue.name, f"#.{queue.routing_key}"))
    return wanted


def _queues_with_policies(api: httpx.Client, settings: Settings) -> dict[str, dict[str, Any]]:
    """Return name -> queue. RabbitMQ needs some seconds to report which policy is in effect for a new queue."""
    end = time.monotonic() + POLICIES_KNOWN_WITHIN_SECONDS
    ours = {queue.name for queue in all_queues()}
    while True:
        answer = api.get(f"/api/queues/{vhost(settings)}").raise_for_status()
        queues: list[dict[str, Any]] = answer.json()
        of_ours = [queue for queue in queues if queue["name"] in ours]
        are_known = all(queue.get("effective_policy_definition") for queue in of_ours)
        if are_known or time.monotonic() > end:
            return {queue["name"]: queue for queue in queues}
        time.sleep(0.5)


def _policy_problems(
    queue: str, found: dict[str, Any], ours: dict[str, dict[str, Any]]
) -> list[str]:
    """Return a list with one sentence if our policy is not in effect for a queue, else an empty list.

    If several policies match a queue, only the one with the highest priority applies. So it is not enough to check
    that our policy is set correctly.
    """
    name = next(name for name, policy in ours.items() if re.match(policy["pattern"], queue))
    wanted = ours[name]["definition"]
    effective = found.get("effective_policy_definition") or {}
    differences = []
    for key in sorted({*wanted, *effective}):
        if effective.get(key) != wanted.get(key):
            is_now = effective.get(key, "not set")
            must_be = wanted.get(key, "not set")
            differences.append(f"{key} is {is_now} and must be {must_be}")
    if not differences:
        return []

    rulers = ["no policy"]
    if found.get("policy"):
        rulers = [f"policy {found['policy']}"]
    if found.get("operator_policy"):
        rulers.append(f"operator policy {found['operator_policy']}")
    ruled = f"queue {queue} is ruled by {' and '.join(rulers)} (ours is {name})"
    return [f"{ruled}: {'; '.join(differences)}"]


def all_queues() -> list[Queue]:
    return [*task_queues(), *dead_queues(), worker_reports_queue()]


def delay_names() -> list[str]:
    """Return the names of the exchanges and queues of Celery's delayed delivery, one for each power of 2 seconds."""
    return [f"celery_delayed_{level}" for level in range(DELAY_LEVELS)]


def connection_parameters(settings: BrokerSettings, *, timeout: float) -> list[pika.URLParameters]:
    """Return the parameters of each node of the broker. `timeout` is in seconds."""
    nodes = [pika.URLParameters(url) for url in settings.broker_urls]
    for parameters in nodes:
        parameters.virtual_host = unquote(vhost(settings))
        parameters.socket_timeout = parameters.blocked_connection_timeout = (
            parameters.stack_timeout
        ) = timeout
    return nodes


@contextmanager
def pika_channel(settings: BrokerSettings, *, timeout: float = 10.0) -> Iterator[BlockingChannel]:
    """Open a channel on a new connection. Raises Retryable when the broker cannot be reached."""
    try:
        connection = pika.BlockingConnection(connection_parameters(settings, timeout=timeout))
    except (pika.exceptions.AMQPError, OSError) as error:
        raise Retryable(f"RabbitMQ cannot be reached ({what(error)})") from error
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


@contextmanager
def management(settings: Settings) -> Iterator[httpx.Client]:
    """Open a client of the management API. Raises Rejected without an address, Retryable when it does not answer."""
    if settings.broker_management_url is None:
        raise Rejected(
            "set EDUGRAPH_BROKER_MANAGEMENT_URL: policies need RabbitMQ's management API"
        )
    with httpx.Client(
        base_url=settings.broker_management_url.get_secret_value(), timeout=10
    ) as client:
        try:
            yield client
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise Rejected(
                f"RabbitMQ's management API answered {status}: check user and tags"
            ) from error
        except httpx.HTTPError as error:
            raise Retryable(
                f"RabbitMQ's management API cannot be reached ({what(error)})"
            ) from error


def vhost(settings: BrokerSettings) -> str:
    """Return the virtual host in the broker's address, quoted for a URL path."""
    path = urlsplit(settings.broker_urls[0]).path.removeprefix("/")
    return quote(unquote(path) or "/", safe="")


def _bindings(queue: Queue) -> list[tuple[Exchange, str]]:
    entries: list[Any] = list(queue.bindings) or [queue]
    return [(entry.exchange, entry.routing_key) for entry in entries if entry.exchange]
