"""One address for gateway and insights on this machine: Caddy in front of both, on the loopback."""

import json
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edugraph_cli.processes import free_port
from edugraph_cli.serving import Served, answers
from edugraph_client import ClientSettings
from edugraph_common.contracts.public_paths import GATEWAY_EXACT, INSIGHTS_EXACT, INSIGHTS_PATHS

# The address at which the command line looks for the gateway.
DEFAULT_URL: str = ClientSettings.model_fields["url"].default
# The same limits as in the Caddyfile of compose.
HEADERS_TIMEOUT = "10s"
BODY_TIMEOUT_NANOSECONDS = 10_000_000_000
INSIGHTS_BODY_BYTES = 64 * 1024


def start_front_proxy(served: Served, port: int, folder: Path) -> str:
    """Start Caddy among the processes of `served`, and return its address when it answers. Raises NotReady.

    The configuration stands in `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "caddy.json"
    configuration = proxy_config(
        urlsplit(served.url).netloc, urlsplit(served.insights).netloc, port=port
    )
    config.write_text(json.dumps(configuration), encoding="utf-8")
    caddy = str(Path(sys.executable).with_name("caddy"))
    served.processes.start(
        "proxy", [caddy, "run", "--config", str(config)], {"XDG_DATA_HOME": str(folder)}
    )
    url = f"http://127.0.0.1:{port}"
    served.processes.wait_until("proxy", lambda: answers(url))
    return url


def proxy_config(gateway: str, insights: str, *, port: int) -> dict[str, Any]:
    """Return the configuration of Caddy. `gateway` and `insights` are `HOST:PORT`."""

    def route(to: str, paths: tuple[str, ...] = (), *before: dict[str, Any]) -> dict[str, Any]:
        """Return a route to a service, for some paths or for all. `before` are handlers that run first."""
        proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": to}]}
        condition = {}
        if paths:
            condition["match"] = [{"path": list(paths)}]
        slow = {"handler": "timeouts", "read_timeout": BODY_TIMEOUT_NANOSECONDS}
        return {**condition, "handle": [slow, *before, proxy], "terminal": True}

    of_insights = list(INSIGHTS_EXACT)
    for path in INSIGHTS_PATHS:
        of_insights += [path, f"{path}/*"]
    limit = {"handler": "request_body", "max_size": INSIGHTS_BODY_BYTES}
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "read_header_timeout": HEADERS_TIMEOUT,
        "read_idle_timeout": -1,
        "routes": [
            route(gateway, GATEWAY_EXACT),
            route(insights, tuple(of_insights), limit),
            route(gateway),
        ],
    }
    # A client that follows a job keeps its connection open. A shutdown does not wait longer than this for it.
    http = {"grace_period": "5s", "servers": {"edugraph": server}}
    return {"admin": {"disabled": True, "config": {"persist": False}}, "apps": {"http": http}}


def usual_port() -> int:
    """Return the port at which the command line looks for the gateway, or a free port if it is taken."""
    address = urlsplit(DEFAULT_URL)
    try:
        socket.create_server((address.hostname, address.port)).close()
    except OSError:
        return free_port()
    return address.port or free_port()
