"""Accepted submissions a second against bare pika and bare Celery, latency at half of that rate, memory of an upload.

`make bench-gateway` runs on the tests' servers. The gateway and pika are measured in turns on the same machine. The
clients run on the same cores as the gateway and the servers, and the table shows how much of the cores they took. The
bench prints one table with the goals and writes it as JSON. It exits with 1 if a goal is missed.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import httpx
import pika
from engines import bench
from gateway_alone import RECORD, Gateway, gateway, virtual_host

from edugraph_common.contracts.messages import ImportJob
from edugraph_common.messaging.celery_app import make_publisher
from edugraph_common.messaging.publisher import send, task_id_for
from edugraph_common.messaging.topology import TASKS
from edugraph_common.platform.settings import Settings

BODY = json.dumps({"records": [RECORD]}).encode()
JSON = "application/json"
# The least values of figures (docs/adr/0014-small-submissions.md), and below them the largest ones.
LEAST = {"gateway / pika": 0.8}
LARGEST = {"p99_ms": 25, "memory_peak_mb": 200}
TURNS = 5
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--smoke", action="store_true", help="as short as possible: figures do not count")
    given = parser.parse_args()
    if given.smoke:
        given.seconds, given.clients, given.gigabytes = 1.0, 4, 0.02
    with (
        bench(),
        tempfile.TemporaryDirectory() as folder,
        virtual_host() as addresses,
        gateway(
            addresses, Path(folder), max_queue_depth="100000000", client_requests_per_minute="6000000"
        ) as running,
    ):
        missed = _report(_measure(running, addresses, given))
    return 0 if given.smoke else missed


def _report(figures: dict[str, Any]) -> int:
    """Print one table, and write it as JSON. Return 1 if a figure misses its goal."""
    goals = {name: f">= {least:g}" for name, least in LEAST.items()}
    goals |= {name: f"<= {largest:g}" for name, largest in LARGEST.items()}
    missed = [name for name, least in LEAST.items() if figures[name] < least]
    missed += [name for name, largest in LARGEST.items() if figures[name] > largest]
    for name, value in figures.items():
        print(f"{name:<42}{value:>10} {goals.get(name, ''):<8}{'MISSED' if name in missed else ''}".rstrip())
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({**figures, "goals": goals, "missed": missed}, indent=1)
    (RESULTS / "gateway.json").write_text(text)
    return int(bool(missed))


def _measure(running: Gateway, addresses: dict[str, str], given: argparse.Namespace) -> dict[str, Any]:
    asyncio.run(_closed_loop(running.url, 2, given.clients))  # warm
    turns = _in_turns(running, given)
    accepted = turns["gateway_submissions_a_second"]
    latencies = asyncio.run(_open_loop(running.url, given.seconds, accepted / 2))
    cuts = quantiles(latencies, n=100)
    before = running.resident()
    seconds = asyncio.run(_upload(running.url, int(given.gigabytes * (1 << 30))))
    return {
        "cores": os.cpu_count(),
        "clients": given.clients,
        **turns,
        "celery_send_task_one_thread_a_second": round(_rate(_celery(addresses), given.seconds)),
        "half_load_a_second": round(accepted / 2),
        "p50_ms": round(cuts[49] * 1000, 1),
        "p99_ms": round(cuts[98] * 1000, 1),
        "upload_gigabytes": given.gigabytes,
        "upload_seconds": round(seconds, 1),
        "memory_before_mb": before,
        "memory_peak_mb": running.peak(),
    }


def _in_turns(running: Gateway, given: argparse.Namespace) -> dict[str, Any]:
    """Return the medians of some turns. So other work of the machine affects the gateway and pika equally."""
    publish, seconds = _pika(running.broker), given.seconds / TURNS
    turns = []
    for _ in range(TURNS):
        before = _cpu(running.pid), time.process_time()
        accepted = asyncio.run(_closed_loop(running.url, seconds, given.clients))
        spent = _cpu(running.pid) - before[0], time.process_time() - before[1]
        turns.append((accepted, _rate(publish, seconds), *(1_000 * cpu / accepted / seconds for cpu in spent)))
    gateway, pika, own_cpu, clients_cpu = (median(figures) for figures in zip(*turns, strict=True))
    ratios = sorted(accepted / bare for accepted, bare, *_ in turns)
    return {
        "gateway_submissions_a_second": round(gateway),
        "pika_one_connection_confirmed_a_second": round(pika),
        "gateway / pika": round(median(ratios), 2),
        "gateway / pika, by turn": " ".join(f"{ratio:.2f}" for ratio in ratios),
        "gateway_cpu_ms_a_submission": round(own_cpu, 2),
        "clients_cpu_ms_a_submission": round(clients_cpu, 2),
    }


def _cpu(pid: int) -> float:
    """Return the CPU time of a process so far, in seconds."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


async def _closed_loop(url: str, seconds: float, clients: int) -> float:
    """Return the submissions a second with `clients` clients. Each sends the next one when the last was accepted."""
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
    """Return the latencies of requests at a fixed rate, even if earlier ones are not answered.

    A latency begins when the request was due.
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
    """Return a function that posts on a bare HTTP/1.1 connection.

    A full client would take more CPU than the gateway.
    """
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/imports HTTP/1.1\r\nHost: {host}\r\nContent-Type: {JSON}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    request = head.encode() + BODY

    async def post() -> None:
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(answer.decode())
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
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


def _rate(publish: Iterator[None], seconds: float) -> float:
    end, done, begun = time.monotonic() + seconds, 0, time.monotonic()
    while time.monotonic() < end:
        next(publish)
        done += 1
    return done / (time.monotonic() - begun)


def _pika(broker: str) -> Iterator[None]:
    """Publish on one connection of pika. Each message is confirmed and mandatory."""
    channel = pika.BlockingConnection(pika.URLParameters(broker)).channel()
    channel.confirm_delivery()
    body = json.dumps([[_job(uuid4().hex).model_dump(mode="json")], {}, {}]).encode()
    properties = pika.BasicProperties(content_type=JSON, delivery_mode=2)
    while True:
        channel.basic_publish(TASKS.name, "import.split", body, properties, mandatory=True)
        yield


def _celery(addresses: dict[str, str]) -> Iterator[None]:
    fields = {name: addresses[f"EDUGRAPH_{name.upper()}"] for name in ("broker_url", "redis_url")}
    app = make_publisher("bench", Settings.model_validate({**fields, "blob_url": "/tmp"}))
    while True:
        job_id = uuid4().hex
        send(app, "import_records_with_callback", _job(job_id), task_id=task_id_for(job_id, "split"))
        yield


def _job(job_id: str) -> ImportJob:
    return ImportJob(job_id=job_id, records=(RECORD,))


if __name__ == "__main__":
    sys.exit(main())
