"""Protection of a service without authentication: it answers only this machine, and no page of another site.

A page of any site can send requests to the loopback address, and can make its own name resolve to 127.0.0.1 (DNS
rebinding). Both show in the browser's headers: in `Host`, and in `Origin` and `Sec-Fetch-Site`. Pure ASGI.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edugraph_common.runtime.service.problems import Problem

if TYPE_CHECKING:  # the services depend on starlette, this package does not
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
HEALTH = frozenset({"/healthz", "/readyz"})


def refuse_open_network(auth: str, host: str, *, open_to_network: bool) -> None:
    """Raise ValueError if a service without authentication would listen to other machines."""
    if auth == "off" and host not in LOOPBACK_NAMES and not open_to_network:
        raise ValueError(
            f"EDUGRAPH_AUTH=off answers this machine alone, and not {host}: turn it on, or set "
            "EDUGRAPH_OPEN_TO_NETWORK=true where another program in front of it checks the callers"
        )


class LoopbackOnly:
    """Answers 403 to a request for another host name, and to a request from a page of another site.

    A link from another site may still open the page itself. Requests for health are always answered.
    """

    def __init__(self, app: "ASGIApp", answer: "Callable[[Problem], Response]") -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        problem = None
        if scope["type"] == "http":
            problem = _refused(scope)
        if problem is None:
            await self._app(scope, receive, send)
            return
        await self._answer(problem)(scope, receive, send)


def _refused(scope: "Scope") -> Problem | None:
    path = str(scope["path"])
    if path in HEALTH:
        return None
    headers = {}
    for name, value in scope["headers"]:
        headers[bytes(name).lower()] = bytes(value).decode("latin-1")
    host = headers.get(b"host", "")
    if _name_of(host) not in LOOPBACK_NAMES:
        words = "This service has no authentication, so it answers only at 127.0.0.1 or localhost."
        return Problem(403, "not-loopback", words)
    origin = headers.get(b"origin")
    is_other_origin = origin is not None and urlsplit(origin).netloc != host
    is_other_site = headers.get(b"sec-fetch-site", "none") not in {"none", "same-origin"}
    is_page = path in {"/", "/ui"} or path.startswith("/ui/")
    is_navigation = scope["method"] == "GET" and headers.get(b"sec-fetch-mode") == "navigate"
    opens_page = is_page and is_navigation
    if is_other_origin or (is_other_site and not opens_page):
        words = "This service has no authentication, so it answers no page of another site."
        return Problem(403, "cross-site", words)
    return None


def _name_of(host: str) -> str:
    """Return the name in a Host header without its port, or an empty text if it has none or is not a host."""
    if "@" in host:
        return ""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
