"""The one address of gateway and insights on this machine: Caddy in front of both, on the loopback."""

import json
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edugraph_cli.processes import free_port
from edugraph_cli.serving import Served, answers
from edugraph_client import ClientSettings
from edugraph_common.contracts.doors import GATEWAY_EXACT, INSIGHTS_EXACT, INSIGHTS_PATHS

# Where the command line looks for it.
DEFAULT_URL: str = ClientSettings.model_fields["url"].default
# The same bounds as in the Caddyfile of compose.
HEADERS_TIMEOUT = "10s"
INSIGHTS_BODY_BYTES = 64 * 1024


def start_front_proxy(served: Served, port: int, folder: Path) -> str:
    """Start it among the processes of `served`, and return the address when it answers. Raises NotReady.

    `folder` keeps its configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "caddy.json"
    places = (urlsplit(each).netloc for each in (served.url, served.insights))
    config.write_text(json.dumps(proxy_config(*places, port=port)), encoding="utf-8")
    caddy = str(Path(sys.executable).with_name("caddy"))
    served.processes.start("proxy", [caddy, "run", "--config", str(config)], {"XDG_DATA_HOME": str(folder)})
    url = f"http://127.0.0.1:{port}"
    served.processes.wait_until("proxy", lambda: answers(url))
    return url


def proxy_config(gateway: str, insights: str, *, port: int) -> dict[str, Any]:
    """Return Caddy's configuration. `gateway` and `insights` are host and port."""

    def route(to: str, paths: tuple[str, ...] = (), *before: dict[str, Any]) -> dict[str, Any]:
        only = {"match": [{"path": list(paths)}]} if paths else {}
        proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": to}]}
        return only | {"handle": [*before, proxy], "terminal": True}

    below = tuple(path for each in INSIGHTS_PATHS for path in (each, f"{each}/*"))
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "read_header_timeout": HEADERS_TIMEOUT,
        "routes": [
            route(gateway, GATEWAY_EXACT),
            route(insights, (*INSIGHTS_EXACT, *below), {"handler": "request_body", "max_size": INSIGHTS_BODY_BYTES}),
            route(gateway),
        ],
    }
    # Whoever follows a job holds a connection: the end does not wait for them longer than this.
    http = {"grace_period": "5s", "servers": {"edugraph": server}}
    return {"admin": {"disabled": True, "config": {"persist": False}}, "apps": {"http": http}}


def usual_port() -> int:
    """Return the port at which the command line looks for the gateway, or any free one when it is taken."""
    address = urlsplit(DEFAULT_URL)
    try:
        socket.create_server((address.hostname, address.port)).close()
    except OSError:
        return free_port()
    return address.port or free_port()
