"""`edugraph-flower`: Flower, which does not start without credentials.

By itself Flower shows its pages, tasks' arguments and results among them, to anybody who finds its port.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from celery import Celery
from celery.app.control import Control
from celery.bin.celery import celery as celery_command
from kombu.pidbox import Mailbox

SECRETS = ("FLOWER_OAUTH2_KEY", "FLOWER_OAUTH2_SECRET", "FLOWER_OAUTH2_REDIRECT_URI")
SHORTEST_PASSWORD = 8


def main() -> None:
    try:
        os.environ.update(settings(os.environ))
        app = make_app(os.environ)
    except Refused as refused:
        sys.stderr.write(f"edugraph-flower: {refused}\n")
        raise SystemExit(2) from None
    app.set_current()
    celery_command.main(args=["flower", *sys.argv[1:]], prog_name="celery")


class Refused(Exception):
    """Flower does not start. The text names the setting that is missing or wrong."""


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of Flower as environment variables, so that no password is in a list of processes.

    Raises Refused.
    """
    check_credentials(environment)
    chosen = {
        "FLOWER_READ_ONLY": "true",
        "FLOWER_PURGE_OFFLINE_WORKERS": "600",
        "FLOWER_MAX_TASKS": "20000",
    }
    management = environment.get("EDUGRAPH_BROKER_MANAGEMENT_URL", "").rstrip("/")
    if management:
        chosen["FLOWER_BROKER_API"] = f"{management}/api/"
    return {name: value for name, value in chosen.items() if not environment.get(name)}


def check_credentials(environment: Mapping[str, str]) -> None:
    """Raises Refused without basic auth or OAuth, and for basic auth that is half set."""
    given = environment.get("FLOWER_BASIC_AUTH", "")
    if environment.get("FLOWER_UNAUTHENTICATED_API"):
        raise Refused("FLOWER_UNAUTHENTICATED_API opens the API to strangers; unset it")
    if given:
        for pair in given.split(","):
            user, _, password = pair.partition(":")
            if not user or len(password) < SHORTEST_PASSWORD:
                raise Refused(
                    f"FLOWER_BASIC_AUTH must be USER:PASSWORD with {SHORTEST_PASSWORD} characters or more"
                )
    elif not (environment.get("FLOWER_AUTH") and environment.get("FLOWER_AUTH_PROVIDER")):
        raise Refused(
            "set FLOWER_BASIC_AUTH=USER:PASSWORD, or FLOWER_AUTH, FLOWER_AUTH_PROVIDER and FLOWER_OAUTH2_…"
        )
    elif missing := [name for name in SECRETS if not environment.get(name)]:
        raise Refused(f"OAuth needs {', '.join(missing)} too")


class FreshReplies(Mailbox):
    """Takes the answers of workers from a new queue each time.

    Celery's has the same name for as long as the process lives. If the broker's node that it lives on is lost,
    nobody can declare it again before the node is back, and Flower would wait that long.
    """

    def __call__(self, connection: Any) -> "FreshReplies":
        bound: FreshReplies = super().__call__(connection)
        bound.own_oid = uuid4().hex
        return bound

    @property
    def oid(self) -> str:
        return self.own_oid


class ControlWithFreshReplies(Control):
    Mailbox = FreshReplies


def make_app(environment: Mapping[str, str]) -> Celery:
    """Only what looks at workers: it sends no task. Raises Refused."""
    broker = environment.get("EDUGRAPH_BROKER_URL")
    if not broker:
        raise Refused("set EDUGRAPH_BROKER_URL")
    app = Celery("edugraph-flower", broker=broker, control=ControlWithFreshReplies)
    app.conf.update(
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        # An exclusive queue stays locked by a connection that was cut.
        control_queue_exclusive=False,
        control_queue_durable=True,
    )
    address = urlsplit(broker)
    if address.scheme == "amqps":
        # py-amqp compares the host name in a certificate only if it gets a name to compare with, as for the workers.
        app.conf.broker_use_ssl = {"server_hostname": address.hostname}
    return app
