"""RabbitMQ's users: one for each service, with only the permissions that the service needs.

A permission is a regular expression for names of exchanges and queues. `configure` also allows deleting them, so
services do not declare the topology. `edugraph topology apply` does, with the operator's user.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

import httpx

from edugraph_common.contracts.routes import (
    ASKED_BY_ANALYZER,
    QUEUES,
    ROUTES,
    ROUTING_KEYS,
    WORKER_REPORT_KEY,
    WORKER_REPORTS,
)
from edugraph_common.runtime.messaging.topology import DEAD, EVENTS, TASKS, WEBHOOKS
from edugraph_common.runtime.service.settings import Service

# The exchanges of Celery's events, and of commands to workers and their answers, for `celery inspect` and Flower.
CELERY_EXCHANGES = r"celeryev|celery\.pidbox|reply\.celery\.pidbox"
WORKERS_OWN = r".+@.+\.celery\.pidbox"
DELAYS = r"celery_delayed_[0-9]+"
DELAY_EXCHANGES = tuple(f"celery_delayed_{level}" for level in range(28))
NOTHING = "^$"


class Permissions(NamedTuple):
    """The permissions of a user.

    `routing_keys` is the pattern of the keys with which it may publish tasks, delayed or not. `dead_keys` is the
    pattern for publishing dead letters.
    """

    configure: str
    write: str
    read: str
    routing_keys: str = NOTHING
    dead_keys: str = NOTHING
    tags: str = ""


def user_name(vhost: str, service: Service) -> str:
    """Return the name of a service's user. `vhost` is quoted for a URL.

    Users belong to the whole broker, so the name of the virtual host is a part of their name.
    """
    is_default = vhost == quote("/", safe="")
    prefix = "edugraph" if is_default else vhost
    return f"{prefix}-{service}"


def permissions() -> dict[Service, Permissions]:
    """Return the permissions of each service in the virtual host."""
    tasks = _escaped(TASKS.name)
    events = _escaped(EVENTS.name)
    # The queue and the exchange of this name, and the delay queues.
    webhooks = rf"{_escaped(WEBHOOKS)}(\.after_[0-9]+s)?"
    return {
        # The gateway probes with its own queue. It asks for the depth of the others by passive declarations, for
        # which RabbitMQ 4.3 demands some permission. The one to write only lets a user bind the queue to an exchange
        # that the user may read, and the gateway may read none.
        "gateway": Permissions(
            configure=r"^(celeryev|amq\.gen.*)$",
            write=rf"^({tasks}|{'|'.join(QUEUES)}|celeryev|amq\.default|amq\.gen.*)$",
            read=rf"^(({'|'.join(QUEUES)})\.dead|{WORKER_REPORTS})$",
            routing_keys=_pattern(_keys_of(set(ROUTING_KEYS))),
            tags="monitoring",
        ),
        # The importer stores all dead letters before it erases or exports a person.
        "importer": _worker(
            tasks,
            events,
            ("data_import", "import_splits", "live_records", "graph_findings"),
            _keys_of(set(ROUTING_KEYS)),
            read=rf"|({'|'.join(QUEUES)})\.dead",
        ),
        # The analyzer sends findings to the importer. It cannot request erasures, or imports that are not lost.
        "analyzer": _worker(
            tasks,
            events,
            ("llm_analysis",),
            _keys_of({"llm_analysis", "graph_findings"}) | {*ASKED_BY_ANALYZER},
            # The analyzer waits while many findings do, so it asks for the depth of their queue, like the gateway.
            write="|graph_findings",
        ),
        "webhooks": Permissions(
            configure=f"^{webhooks}$", write=f"^{webhooks}$", read=rf"^({webhooks}|{events})$"
        ),
        # Flower and exporters receive events, send commands to workers, and read figures about queues.
        "monitor": Permissions(
            configure=rf"^({CELERY_EXCHANGES}|celeryev\..+|.+\.reply\.celery\.pidbox)$",
            write=r"^(celery\.pidbox|celeryev\..+|.+\.reply\.celery\.pidbox)$",
            read=rf"^({CELERY_EXCHANGES}|celeryev\..+|.+\.reply\.celery\.pidbox)$",
            tags="monitoring",
        ),
    }


def apply_users(api: httpx.Client, vhost: str, passwords: Mapping[Service, str]) -> list[str]:
    """Create or change a user for each service that has a password, and return their names.

    `vhost` is quoted for a URL. Raises httpx.HTTPError.
    """
    names = []
    for service, granted in permissions().items():
        if service not in passwords:
            continue
        name = user_name(vhost, service)
        address = quote(name, safe="")
        user = {"password": passwords[service], "tags": granted.tags}
        api.put(f"/api/users/{address}", json=user).raise_for_status()
        allowed = {"configure": granted.configure, "write": granted.write, "read": granted.read}
        api.put(f"/api/permissions/{vhost}/{address}", json=allowed).raise_for_status()
        patterns = dict.fromkeys((TASKS.name, *DELAY_EXCHANGES), granted.routing_keys) | {
            DEAD.name: granted.dead_keys
        }
        for exchange, pattern in patterns.items():
            keys = {"exchange": exchange, "write": pattern, "read": NOTHING}
            api.put(f"/api/topic-permissions/{vhost}/{address}", json=keys).raise_for_status()
        names.append(name)
    return names


def _worker(
    tasks: str,
    events: str,
    queues: tuple[str, ...],
    routing_keys: set[str],
    *,
    read: str = "",
    write: str = "",
) -> Permissions:
    """Return the permissions of a worker.

    `read` and `write` are appended to the patterns for reading and writing, as `|ALTERNATIVE`.
    """
    return Permissions(
        configure=rf"^({CELERY_EXCHANGES}|{WORKERS_OWN})$",
        write=rf"^({tasks}|{_escaped(DEAD.name)}|{events}|{CELERY_EXCHANGES}|{WORKERS_OWN}|{DELAYS}{write})$",
        read=rf"^(({'|'.join(queues)})(\.dead)?|celery\.pidbox|{WORKERS_OWN}{read})$",
        routing_keys=_pattern(routing_keys | {WORKER_REPORT_KEY}),
        dead_keys=f"^({'|'.join(queues)})$",
    )


def _keys_of(queues: set[str]) -> set[str]:
    return {route.key for route in ROUTES.values() if route.queue in queues}


def _pattern(routing_keys: set[str]) -> str:
    """Return the pattern for these routing keys. A delayed message has 28 bits before its key."""
    return rf"^([01]\.)*({'|'.join(map(_escaped, sorted(routing_keys)))})$"


def _escaped(name: str) -> str:
    return name.replace(".", r"\.")
