"""Accepted submissions a second, latency at 300 a second, and memory of an upload.

`make bench-gateway` runs on the servers of the tests, in one run on one machine.
The clients run on the same cores as the gateway and the servers, and the table shows how much of the cores they took.
The bench prints one table with the goals, writes it as JSON, and exits with 1 if a goal is missed.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
from engines import bench
from gateway_alone import RECORD, Gateway, gateway, virtual_host

BODY = json.dumps({"records": [RECORD]}).encode()
JSON = "application/json"
# The load that a gateway must take, and the rate at which its latency is measured.
SUBMISSIONS_A_SECOND = 300
# The goals of the figures; docs/adr/0089-submissions-go-through-fastapi.md is about the first two.
LEAST = {"submissions_a_second": SUBMISSIONS_A_SECOND}
LARGEST = {"p99_ms": 50, "memory_peak_mb": 200}
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument(
        "--smoke", action="store_true", help="as short as can be: it must run, whatever its figures"
    )
    given = parser.parse_args()
    if given.smoke:
        given.seconds, given.clients, given.gigabytes = 1.0, 4, 0.02
    with (
        bench(),
        tempfile.TemporaryDirectory() as folder,
        virtual_host() as addresses,
        gateway(
            addresses,
            Path(folder),
            max_queue_depth="100000000",
            client_requests_per_minute="6000000",
        ) as running,
    ):
        missed = _report(_measure(running, given))
    return 0 if given.smoke else missed


def _report(figures: dict[str, Any]) -> int:
    """Print one table, and write JSON beside it. Return 1 if a figure misses its goal."""
    goals = {name: f">= {least:g}" for name, least in LEAST.items()}
    goals |= {name: f"<= {largest:g}" for name, largest in LARGEST.items()}
    missed = [name for name, least in LEAST.items() if figures[name] < least]
    missed += [name for name, largest in LARGEST.items() if figures[name] > largest]
    for name, value in figures.items():
        print(
            f"{name:<42}{value:>10} {goals.get(name, ''):<8}{'MISSED' if name in missed else ''}".rstrip()
        )
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({**figures, "goals": goals, "missed": missed}, indent=1)
    (RESULTS / "gateway.json").write_text(text)
    return int(bool(missed))


def _measure(running: Gateway, given: argparse.Namespace) -> dict[str, Any]:
    asyncio.run(_closed_loop(running.url, 2, given.clients))  # warm
    gateway_before_seconds = _cpu(running.pid)
    clients_before_seconds = time.process_time()
    accepted = asyncio.run(_closed_loop(running.url, given.seconds, given.clients))
    submissions = accepted * given.seconds
    gateway_ms = 1_000 * (_cpu(running.pid) - gateway_before_seconds) / submissions
    clients_ms = 1_000 * (time.process_time() - clients_before_seconds) / submissions
    latencies = asyncio.run(_open_loop(running.url, given.seconds, SUBMISSIONS_A_SECOND))
    cuts = quantiles(latencies, n=100)
    before = running.resident()
    seconds = asyncio.run(_upload(running.url, int(given.gigabytes * (1 << 30))))
    return {
        "cores": os.cpu_count(),
        "clients": given.clients,
        "submissions_a_second": round(accepted),
        "gateway_cpu_ms_a_submission": round(gateway_ms, 2),
        "clients_cpu_ms_a_submission": round(clients_ms, 2),
        "latency_at_a_second": SUBMISSIONS_A_SECOND,
        "p50_ms": round(cuts[49] * 1000, 1),
        "p99_ms": round(cuts[98] * 1000, 1),
        "upload_gigabytes": given.gigabytes,
        "upload_seconds": round(seconds, 1),
        "memory_before_mb": before,
        "memory_peak_mb": running.peak(),
    }


def _cpu(pid: int) -> float:
    """Return the seconds of CPU that the process has used so far."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


async def _closed_loop(url: str, seconds: float, clients: int) -> float:
    """Return the submissions a second of clients that each send the next one when the last was accepted."""
    end, done = time.monotonic() + seconds, 0

    async def client() -> None:
        nonlocal done
        post = await _poster(url)
        while time.monotonic() < end:
            await post()
            done += 1

    begun = time.monotonic()
    await asyncio.gather(*(client() for _ in range(clients)))
    return done / (time.monotonic() - begun)


async def _open_loop(url: str, seconds: float, rate: float) -> list[float]:
    """Return the latencies of requests that are sent at a rate, whether or not earlier ones were answered.

    A latency is counted from the moment when its request was due.
    """
    waiting: asyncio.Queue[float] = asyncio.Queue()
    latencies: list[float] = []

    async def client() -> None:
        post = await _poster(url)
        while (due := await waiting.get()) >= 0:
            await post()
            latencies.append(time.monotonic() - due)

    clients = [asyncio.create_task(client()) for _ in range(32)]
    begun = time.monotonic()
    for number in range(int(seconds * rate)):
        due = begun + number / rate
        await asyncio.sleep(max(0, due - time.monotonic()))
        waiting.put_nowait(due)
    for _ in clients:
        waiting.put_nowait(-1)
    await asyncio.gather(*clients)
    return latencies


async def _poster(url: str) -> Callable[[], Any]:
    """A bare HTTP/1.1 connection: a full client would take more of the machine than the gateway does."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/imports HTTP/1.1\r\nHost: {host}\r\nContent-Type: {JSON}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    request = head.encode() + BODY

    async def post() -> None:
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(answer.decode())
        length = next(
            line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        await reader.readexactly(int(length.split(b":")[1]))

    return post


async def _upload(url: str, size: int) -> float:
    portion = (json.dumps(RECORD) + "\n").encode() * 8_000

    async def body() -> AsyncIterator[bytes]:
        for _ in range(size // len(portion) + 1):
            yield portion

    begun = time.monotonic()
    async with httpx.AsyncClient(timeout=600) as client:
        answer = await client.post(
            f"{url}/v1/imports", content=body(), headers={"Content-Type": "application/x-ndjson"}
        )
    answer.raise_for_status()
    return time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main())
