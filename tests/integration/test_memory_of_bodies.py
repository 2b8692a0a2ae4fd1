"""Large bodies and headers from nobody cost neither service memory, at any route, on the running processes."""

import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from engines import family, own_vhost, with_own_redis_users
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


def paths_of(app: FastAPI) -> list[str]:
    documented = {path.replace("{", "").replace("}", "") for path in app.openapi()["paths"]}
    return sorted(documented | {"/", "/ui/", "/ui/session", "/mcp", "/docs", "/x"})


def push(address: str, path: str, mib: int, *, chunked: bool) -> None:
    """Send a body of spaces without a key, until it is sent or the service closes the connection."""
    parts = urlsplit(address)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {mib * MIB}"
    head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    block = b" " * MIB
    if chunked:
        block = f"{MIB:x}\r\n".encode() + block + b"\r\n"
    with (
        suppress(OSError),
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as connection,
    ):
        connection.sendall(head.encode())
        for _ in range(mib):
            connection.sendall(block)
        if chunked:
            connection.sendall(b"0\r\n\r\n")
        connection.recv(100)


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


@pytest.mark.timeout(300)
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
            "EDUGRAPH_BLOB_URL": str(tmp_path / "blobs"),
            "EDUGRAPH_AUTH": "on",
        }
        nowhere = {"redis_url": "redis://127.0.0.1:1", "auth": "on"}
        if service == "gateway":
            settings = {**nowhere, "broker_url": "amqp://127.0.0.1:1", "blob_url": str(tmp_path)}
            paths = paths_of(
                gateway_application(open_gateway(GatewaySettings.model_validate(settings)))
            )
        else:
            settings = {**nowhere, "neo4j_uri": "bolt://127.0.0.1:1"}
            paths = paths_of(
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
                push(address, path, 0, chunked=True)
            before = peak_mib(pid)
            for chunked in (True, False):
                for path in paths:
                    push(address, path, BODY_MIB, chunked=chunked)
            more_for_bodies = peak_mib(pid) - before
            for begin, block in HEADS:
                push_head(address, begin, block)
            more = peak_mib(pid) - before
    assert len(paths) > 10
    assert more_for_bodies <= MOST_MORE_MIB, f"{len(paths)} routes, {before} MiB before"
    assert more <= MOST_MORE_MIB, f"headers: {before} MiB before, {more} MiB more"
