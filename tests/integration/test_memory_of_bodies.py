"""Large bodies and headers from nobody cost neither service memory, at any route, on the running processes."""

import socket
from contextlib import suppress
from itertools import cycle, islice, product
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from engines import SLOW, family, own_vhost, with_own_redis_users
from fastapi import FastAPI

from edugraph_cli.serving import Pools, serving
from edugraph_gateway.app import make_application as gateway_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_insights.app import make_application as insights_application
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import InsightsSettings

pytestmark = pytest.mark.real
MIB = 1024**2
BODY_MIB = 24
# The memory that a process may need beside: for connections, threads and compiled code, and not for a body.
MOST_MORE_MIB = 16

# How a request declares a body, and what precedes each MiB of it. The body has always BODY_MIB, whatever is declared.
CHUNK = f"{MIB:x}\r\n".encode()
TRUE = (
    (f"Content-Length: {BODY_MIB * MIB}", b""),
    ("Transfer-Encoding: chunked", CHUNK),
)
# These declare less or more than they send, or two things at once.
LIES = (
    ("Content-Length: 0", b""),
    ("Content-Length: 60000", b""),
    (f"Content-Length: {2**62}", b""),
    ("Content-Length: 60000\r\nTransfer-Encoding: chunked", CHUNK),
    (f"Content-Length: 60000\r\nContent-Length: {BODY_MIB * MIB}", b""),
    ("Transfer-Encoding: gzip, chunked", CHUNK),
    ("Transfer-Encoding: chunked", f"{2**62:x}\r\n".encode()),
    ("Expect: 100-continue\r\nTransfer-Encoding: chunked", CHUNK),
)
# Each route meets one of the lies in turn, and all of them if minutes are allowed.
LIES_AT_A_ROUTE = len(LIES) if SLOW else 1
# Their number has no divisor in common with that of LIES, so that each is tried with each lie.
METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS")
WITH_BODY = frozenset({"post", "put", "patch", "delete"})

# People sign in at insights, which reads one body without a key: that of the issuer who ends a session.
SIGN_IN = {
    "EDUGRAPH_OIDC_ISSUER": "http://127.0.0.1:1",
    "EDUGRAPH_OIDC_AUDIENCE": "api",
    "EDUGRAPH_OIDC_CLIENT_ID": "page",
    "EDUGRAPH_OIDC_CLIENT_SECRET": "secret",
    "EDUGRAPH_OIDC_REDIRECT_URL": "http://127.0.0.1:2/ui/callback",
}

# Begins of requests, and what follows them: an address, one header, many headers, and the trailers of a body.
HEADS = (
    (b"GET /", b"a" * MIB),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ", b"a" * MIB),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"X-Ab: cd\r\n" * (MIB // 10)),
    (
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ",
        b"a" * MIB,
    ),
)


def methods_by_path(app: FastAPI) -> dict[str, list[str]]:
    """Return path -> POST and its other documented methods that may have a body."""
    found: dict[str, list[str]] = {}
    for path, operations in app.openapi()["paths"].items():
        methods = {"POST", *(each.upper() for each in operations if each in WITH_BODY)}
        found[path.replace("{", "").replace("}", "")] = sorted(methods)
    for path in ("/", "/ui/", "/ui/session", "/ui/backchannel-logout", "/mcp", "/docs", "/x"):
        found.setdefault(path, ["POST"])
    return found


def push(address: str, method: str, path: str, declared: tuple[str, bytes], mib: int) -> None:
    """Send a body of spaces without a key, until it is sent or the service closes the connection."""
    parts = urlsplit(address)
    header, before = declared
    first_line = f"{method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
    head = f"{first_line}Content-Type: application/json\r\n{header}\r\n\r\n"
    block = before + b" " * MIB
    if before:
        block += b"\r\n"
    with (
        suppress(OSError),
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as connection,
    ):
        connection.sendall(head.encode())
        for _ in range(mib):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            continue


def push_head(address: str, begin: bytes, block: bytes) -> None:
    """Send the beginning of a request, and a block of it again and again, until the service closes the connection."""
    parts = urlsplit(address)
    with (
        suppress(OSError),
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as connection,
    ):
        connection.sendall(begin)
        for _ in range(BODY_MIB):
            connection.sendall(block)
        connection.recv(100)


def peak_mib(pid: int) -> int:
    """Return the most memory that a process and its children have had, each at its own peak."""
    kilobytes = 0
    for each in family(pid):
        lines = Path(f"/proc/{each}/status").read_text(encoding="ascii").splitlines()
        kilobytes += next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return kilobytes // 1024


@pytest.mark.parametrize("service", ["gateway", "insights"])
def test_large_requests_without_a_key_leave_the_memory_as_it_was(
    tmp_path: Path, service: str
) -> None:
    """Out: give the routes of views the body as a parameter, leave BoundedBodies out of app.py, or let
    ImpatientProtocol.data_received count nothing.
    """
    with own_vhost() as addresses, with_own_redis_users(addresses) as own:
        environment = {
            **addresses,
            **SIGN_IN,
            "EDUGRAPH_BLOB_URL": str(tmp_path / "blobs"),
            "EDUGRAPH_AUTH": "on",
        }
        nowhere = {"redis_url": "redis://127.0.0.1:1", "auth": "on"}
        if service == "gateway":
            settings = {**nowhere, "broker_url": "amqp://127.0.0.1:1", "blob_url": str(tmp_path)}
            paths = methods_by_path(
                gateway_application(open_gateway(GatewaySettings.model_validate(settings)))
            )
        else:
            settings = {**nowhere, "neo4j_uri": "bolt://127.0.0.1:1"}
            paths = methods_by_path(
                insights_application(open_insights(InsightsSettings.model_validate(settings)))
            )
        with serving(environment, tmp_path / "logs", Pools(1, 1, 1), own=own) as (
            url,
            insights,
            processes,
        ):
            address = url if service == "gateway" else insights
            pid = processes.running[service].pid
            for path in paths:
                push(address, "POST", path, TRUE[1], 0)
            before = peak_mib(pid)
            methods = cycle(METHODS)
            lies = cycle(LIES)
            for path, documented in paths.items():
                for method, truth in product(documented, TRUE):
                    push(address, method, path, truth, BODY_MIB)
                for lie in islice(lies, LIES_AT_A_ROUTE):
                    push(address, next(methods), path, lie, BODY_MIB)
            more_for_bodies = peak_mib(pid) - before
            for begin, block in HEADS:
                push_head(address, begin, block)
            more = peak_mib(pid) - before
    assert len(paths) > 10
    assert more_for_bodies <= MOST_MORE_MIB, f"{len(paths)} routes, {before} MiB before"
    assert more <= MOST_MORE_MIB, f"headers: {before} MiB before, {more} MiB more"
