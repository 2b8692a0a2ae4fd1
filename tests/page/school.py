"""The example school on the embedded engines, and insights on it with the page: for the page's tests and pictures."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from rich.console import Console
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edugraph_cli.embedded import demo
from edugraph_cli.embedded.servers import embedded_servers
from edugraph_cli.processes import free_port
from edugraph_cli.progress import follow_job
from edugraph_cli.serving import Pools, serving
from edugraph_client import Client
from edugraph_common.contracts.public_paths import is_of_insights
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.app import make_application
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import InsightsSettings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# The page's tests look at a school without these two files of the demo.
LEFT_OUT = ("activity.ndjson", "broken.ndjson")
FILES = tuple(name for name in demo.FILES if name not in LEFT_OUT)
NOW = datetime(2026, 6, 20, 8, tzinfo=UTC)  # within the last term of the examples


@contextmanager
def imported_school(folder: Path) -> Iterator[Mapping[str, str]]:
    """Import and analyse the examples by the real processes; yield the addresses of the embedded servers."""
    with embedded_servers(folder) as environment:
        quiet = {**environment, "EDUGRAPH_LOG_FORMAT": "console"}
        pools = Pools(importer=1, analyzer=1)
        with serving(quiet, folder / "logs", pools) as school, Client(school.url) as client:
            for name in FILES:
                report = follow_job(
                    client,
                    client.import_file(EXAMPLES / name, analyze=True).job_id,
                    Console(quiet=True),
                )
                if report.state != "succeeded":
                    raise RuntimeError(f"{name} was not imported: {report.state}")
        yield environment


@dataclass(frozen=True)
class Keys:
    """API keys without a Redis: the key names the role, scopes after `+`, and after a colon the person.

    T02 has no mail address.
    """

    def caller(self, token: str, _now: datetime) -> Caller | None:
        if not token.startswith("eg_"):
            return None
        named, _, person = token.removeprefix("eg_").partition(":")
        role, *given = named.split("+")
        roles: Any = (role,) if role else ()
        scopes: Any = tuple(given)
        address = None
        if person and person != "T02":
            address = f"{person.lower()}@school.example"
        return Caller(f"key-{role}{person}", scopes, roles, person or None, address)


@dataclass(frozen=True)
class OneAddress:
    """Insights and the gateway at one address, as the front proxies have them."""

    insights: ASGIApp
    gateway: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_of_insights(scope["path"]):
            await self.insights(scope, receive, send)
            return
        request = Request(scope, receive)
        headers = dict(request.headers)  # with Host, as the front proxies pass it on
        address = request.url.path
        if request.url.query:
            address = f"{address}?{request.url.query}"
        async with httpx.AsyncClient(base_url=self.gateway, timeout=30) as client:
            found = await client.request(
                request.method, address, content=await request.body(), headers=headers
            )
        await Response(
            found.content, found.status_code, media_type=found.headers.get("content-type")
        )(scope, receive, send)


@contextmanager
def written(environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Run the gateway and the workers beside insights on an imported school; yield the address of all."""
    quiet = {**environment, "EDUGRAPH_LOG_FORMAT": "console"}
    with (
        serving(quiet, folder / "logs", Pools(importer=1, analyzer=1)) as school,
        served(environment, gateway=school.url) as url,
    ):
        yield url


@contextmanager
def nothing_imported(folder: Path) -> Iterator[str]:
    """Run everything on servers that hold nothing yet, and yield the address of all."""
    with embedded_servers(folder) as environment, written(environment, folder) as url:
        yield url


@contextmanager
def served(
    environment: Mapping[str, Any],
    *,
    auth: str = "off",
    gateway: str = "",
    port: int | None = None,
    now: Callable[[], datetime] = lambda: NOW,
) -> Iterator[str]:
    """Run insights on the school, at the time of the examples, and yield its address, which may be the gateway's too."""
    port = port or free_port()
    given = {name.removeprefix("EDUGRAPH_").lower(): value for name, value in environment.items()}
    # What a test writes past the importer begins no epoch, so an answer that is kept would be one of before.
    given |= {
        "auth": auth,
        "answer_cache_bytes": 0,
        "digest_page_url": f"http://127.0.0.1:{port}/ui/",
        "smtp_from": "no-reply@school.example",
    }
    settings = InsightsSettings.model_validate(given)
    keys: Any = Keys()
    insights = replace(open_insights(settings, now=now), key_ring=keys)
    application = (
        OneAddress(make_application(insights), gateway) if gateway else make_application(insights)
    )
    config = uvicorn.Config(
        application, host="127.0.0.1", port=port, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 30
        while (
            httpx.get(f"{url}/readyz").status_code != 200
            if server.started
            else time.monotonic() < end
        ):
            time.sleep(0.05)
        yield url
    finally:
        server.should_exit = True
        thread.join(10)
