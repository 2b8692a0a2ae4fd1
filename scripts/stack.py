"""`make up` and `make down`: start and end all services in the background, on the servers of `make servers`."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TypedDict

from edugraph_cli.front_proxy import DEFAULT_URL, start_front_proxy, usual_port
from edugraph_cli.processes import NotReady
from edugraph_cli.serving import (
    REDIS,
    Pools,
    free_metrics_ports,
    metrics_ports,
    own_environment,
    serving,
    with_own_users,
    with_redis_users,
)
from edugraph_client import ClientSettings
from edugraph_common.runtime.messaging.users import permissions
from edugraph_common.runtime.shared_state.redis_users import SERVICES, UsersTaken

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / ".run"
STATE, LOGS = RUN / "stack.json", RUN / "logs"
READY_WITHIN = 120  # seconds


class Stack(TypedDict):
    """A running stack. `url` is the address of gateway and insights. `metrics`: service -> port."""

    pid: int
    url: str
    metrics: dict[str, int]


def up() -> int:
    state = running()
    if state is None:
        STATE.unlink(missing_ok=True)
        state = wait(start())
    if state is None:
        print(f"the stack did not start; see {LOGS / 'stack.log'}", file=sys.stderr)
        return 1
    print(f"EduGraph: {state['url']}  (API page: {state['url']}/docs)")
    looked_for = ClientSettings().url
    if state["url"] != looked_for:
        reason = (
            "EDUGRAPH_URL is set to" if looked_for != DEFAULT_URL else "another program had taken"
        )
        print(
            f"It is not where the command line looks for it: {reason} {looked_for}. Run this line first:"
        )
        print(f"export EDUGRAPH_URL={state['url']}")
    print(f"page: {state['url']}/ui/")
    print("send a file: ./edugraph import examples/school_en.ndjson --follow")
    return 0


def down() -> int:
    state = running()
    if state is None:
        print("nothing runs")
        return 0
    os.kill(state["pid"], signal.SIGTERM)
    while running() is not None:
        time.sleep(0.1)
    STATE.unlink(missing_ok=True)
    print("ended: what was begun has been finished, the rest waits in its queue")
    return 0


def start() -> "subprocess.Popen[bytes]":
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / "stack.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, __file__, "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait(process: "subprocess.Popen[bytes]") -> Stack | None:
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and process.poll() is None:
        if (state := running()) is not None:
            return state
        time.sleep(0.1)
    return None


def running() -> Stack | None:
    try:
        state: Stack = json.loads(STATE.read_text())
        os.kill(state["pid"], 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return state


def serve() -> int:
    """Run the services in the foreground until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    environment = {
        **servers(),
        **own_environment(),
        "EDUGRAPH_LOG_FORMAT": "console",
        "EDUGRAPH_AUTH": "off",
    }
    environment.setdefault("EDUGRAPH_BLOB_URL", str(RUN / "blobs"))
    environment.setdefault("EDUGRAPH_METRICS_PORT", str(free_metrics_ports()))
    try:
        own: dict[str, dict[str, str]] = {}
        if (
            "EDUGRAPH_BROKER_URL" not in own_environment()
        ):  # a broker from elsewhere may not let us create users
            environment, own = with_own_users(
                environment, {name: secrets.token_hex(24) for name in permissions()}
            )
        # A Redis from elsewhere keeps its single user. Other services may already use our users there, and their
        # passwords would change.
        if REDIS not in own_environment() and "REDIS_URL" not in os.environ:
            users = with_redis_users(
                environment[REDIS], {name: secrets.token_hex(24) for name in SERVICES}
            )
            own = {name: {**own.get(name, {}), **users.get(name, {})} for name in {*own, *users}}
        with serving(environment, LOGS, Pools(), own) as served:
            url = start_front_proxy(served, usual_port(), RUN / "caddy")
            state = Stack(pid=os.getpid(), url=url, metrics=metrics_ports(environment))
            STATE.write_text(json.dumps(state))
            signal.pause()
    except (NotReady, UsersTaken) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def servers() -> dict[str, str]:
    lines = (RUN / "servers.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


if __name__ == "__main__":
    commands = {"up": up, "down": down, "serve": serve}
    sys.exit(commands[sys.argv[1]]())
