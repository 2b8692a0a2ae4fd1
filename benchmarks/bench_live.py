"""The time from the POST of an xAPI statement to the graph: `make bench-live` (ten minutes, 500 statements a second).

Requests begin at fixed moments, whether or not those before were answered. The last statement of each request is
looked for in the graph, and its time counts from the planned moment of its request. Then the bench measures how many
statements the gateway accepts in a second, singly and in lists of 50, beside how many messages of the same size the
broker alone confirms. At the end it sends five times the rate and looks for each accepted statement in the graph.

The clients run on the same cores as everything else. The bench prints one table with the goals, writes it as JSON,
and exits with 1 if a goal is missed. BENCH_ARGS="--minutes 1 --rate 200".
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import uuid4

import aio_pika
import httpx
import neo4j
from engines import System, bench, family, real_engine

from edugraph_cli.serving import Pools

HERE = Path(__file__).parent
LMS = "https://lms.example"
HEADERS = {"X-Experience-API-Version": "1.0.3"}
LOOK_EVERY_SECONDS = 0.05
# A statement that is not in the graph after this time counts as lost.
PATIENCE_SECONDS = 300.0
LARGEST = {
    "p95_seconds": 1.0,
    "refused": 0,
    "lost": 0,
    "memory_growth_mb": 30,
    "lost_of_five_times_the_rate": 0,
}
LEAST = {"rate_kept": 0.98}
# The number of clients for each size of a list. A statement waits for others for a quarter of a second, so a few
# clients that send one after the other would measure that wait.
CLIENTS = {1: 200, 50: 8}
OVERLOAD = 5
OVERLOAD_SIZE = 50
IDS_OF_ONE_READ = 1_000


@dataclass
class Run:
    """`waiting` maps the id of a statement to the moment at which its request was planned."""

    waiting: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    accepted: int = 0
    refused: int = 0
    is_sent: bool = False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=500, help="statements a second")
    parser.add_argument("--size", type=int, default=25, help="statements of a request")
    parser.add_argument("--closed-seconds", type=float, default=10)
    parser.add_argument(
        "--smoke", action="store_true", help="as short as can be: it must run, whatever its figures"
    )
    given = parser.parse_args()
    if given.smoke:
        given.minutes, given.rate, given.closed_seconds = 0.1, 50, 1.0
    with (
        bench(),
        tempfile.TemporaryDirectory() as folder,
        real_engine(Path(folder)) as engine,
        engine.serve(Pools(importer=2, findings=1, analyzer=1)) as system,
    ):
        figures = asyncio.run(measure(system, given))
    missed = report(figures)
    return 0 if given.smoke else missed


async def measure(system: System, given: argparse.Namespace) -> dict[str, Any]:
    environment = system.engine.environment
    auth = (environment["EDUGRAPH_NEO4J_USER"], environment["EDUGRAPH_NEO4J_PASSWORD"])
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(
            base_url=system.url, headers=HEADERS, timeout=60, limits=limits
        ) as client,
        neo4j.AsyncGraphDatabase.driver(
            environment["EDUGRAPH_NEO4J_URI"], auth=auth, notifications_min_severity="OFF"
        ) as driver,
    ):
        await client.post("/xapi/statements", json=list(statements(given.size)))
        await asyncio.sleep(3)  # the first batch makes the constraints of the graph
        run = Run()
        looking = asyncio.create_task(look(driver, run))
        memory_before = 0
        began = time.monotonic()
        requests = round(given.minutes * 60 * given.rate / given.size)
        sending: set[asyncio.Task[None]] = set()
        for number in range(requests):
            planned = began + number * given.size / given.rate
            await asyncio.sleep(max(0.0, planned - time.monotonic()))
            task = asyncio.create_task(send(client, run, given.size, planned))
            sending.add(task)
            task.add_done_callback(sending.discard)
            if number == requests // 4:
                memory_before = resident_mb(system)
        planned_seconds = requests * given.size / given.rate
        lasted = max(planned_seconds, time.monotonic() - began)
        memory_after = resident_mb(system)
        await asyncio.gather(*sending)
        run.is_sent = True
        await asyncio.wait({looking}, timeout=PATIENCE_SECONDS)
        looking.cancel()
        figures: dict[str, Any] = {
            "minutes": round(lasted / 60, 2),
            "statements_a_second": round(run.accepted / lasted, 1),
            "rate_kept": round(run.accepted / (given.rate * lasted), 3),
            **percentiles(run.seconds),
            "refused": run.refused,
            "lost": len(run.waiting),
            "memory_growth_mb": memory_after - memory_before,
        }
        broker = environment["EDUGRAPH_BROKER_URL"]
        for size in CLIENTS:
            rate = await closed_loop(client, size, given.closed_seconds)
            figures[f"accepted_a_second_in_lists_of_{size}"] = rate
            bare = await bare_confirms(broker, size, given.closed_seconds)
            figures[f"bare_confirms_a_second_of_{size}"] = bare
        figures.update(await overload(client, driver, given))
    figures["load"] = round(os.getloadavg()[0], 1)
    return figures


def statements(number: int) -> Iterator[dict[str, Any]]:
    """Yield statements about random students. Each has an id and a time of its own."""
    for _ in range(number):
        name = uuid4()
        yield {
            "id": str(name),
            "actor": {"account": {"homePage": LMS, "name": f"student-{name.int % 500}"}},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
            "object": {
                "id": f"{LMS}/q/{name.int % 300}",
                "definition": {"type": "http://adlnet.gov/expapi/activities/question"},
            },
            "result": {"success": name.int % 3 > 0, "duration": "PT40S"},
            "context": {
                "contextActivities": {
                    "parent": [
                        {
                            "id": f"{LMS}/course/{name.int % 12}",
                            "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
                        }
                    ]
                }
            },
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }


async def send(client: httpx.AsyncClient, run: Run, size: int, planned: float) -> None:
    made = list(statements(size))
    try:
        answer = await client.post("/xapi/statements", json=made)
    except httpx.TransportError:
        run.refused += size
        return
    if answer.status_code != 200:
        run.refused += size
        return
    run.accepted += size
    run.waiting[made[-1]["id"]] = planned


async def look(driver: neo4j.AsyncDriver, run: Run) -> None:
    """Look for the statements that wait, again and again, and note how long they took. Return after the last one."""
    while run.waiting or not run.is_sent:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        if not run.waiting:
            continue
        query = "MATCH (n:Attempt) WHERE n.id IN $ids RETURN n.id AS id"
        found = await driver.execute_query(query, ids=list(run.waiting))
        now = time.monotonic()
        for row in found.records:
            run.seconds.append(now - run.waiting.pop(row["id"]))


async def closed_loop(client: httpx.AsyncClient, size: int, seconds: float) -> int:
    """Return how many statements the clients get accepted in a second. Each sends one request after the other."""
    accepted = 0

    async def send_one() -> None:
        nonlocal accepted
        answer = await client.post("/xapi/statements", json=list(statements(size)))
        if answer.status_code == 200:
            accepted += size

    await repeat_until(time.monotonic() + seconds, send_one, CLIENTS[size])
    return round(accepted / seconds)


async def bare_confirms(broker: str, size: int, seconds: float) -> int:
    """Return how many statements the broker alone confirms in a second, each list of `size` as one message.

    The queue is a quorum queue of its own, and nothing gathers or packs the statements.
    """
    confirmed = 0
    body = json.dumps(list(statements(size))).encode()
    name = f"bench-live-{uuid4().hex}"
    async with await aio_pika.connect(broker) as connection:
        channel = await connection.channel(publisher_confirms=True)
        queue = await channel.declare_queue(
            name, durable=True, arguments={"x-queue-type": "quorum"}
        )

        async def send_one() -> None:
            nonlocal confirmed
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key=name)
            confirmed += size

        await repeat_until(time.monotonic() + seconds, send_one, CLIENTS[size])
        await queue.delete(if_unused=False, if_empty=False)
    return round(confirmed / seconds)


async def repeat_until(end: float, act: Callable[[], Awaitable[None]], clients: int) -> None:
    """Let `clients` clients act at the same time, each again and again, until the moment `end`."""

    async def one_client() -> None:
        while time.monotonic() < end:
            await act()

    await asyncio.gather(*(one_client() for _ in range(clients)))


async def overload(
    client: httpx.AsyncClient, driver: neo4j.AsyncDriver, given: argparse.Namespace
) -> dict[str, int]:
    """Send five times the rate. Return how many statements were accepted, refused, and lost after they were accepted.

    A request that is refused, or without an answer, promises nothing.
    """
    accepted: list[str] = []
    refused = 0

    async def send_one() -> None:
        nonlocal refused
        made = list(statements(OVERLOAD_SIZE))
        try:
            answer = await client.post("/xapi/statements", json=made)
        except httpx.TransportError:
            refused += len(made)
            return
        if answer.status_code == 200:
            accepted.extend(each["id"] for each in made)
        else:
            refused += len(made)

    began = time.monotonic()
    rate = OVERLOAD * given.rate
    sending = []
    for number in range(round(given.closed_seconds * 3 * rate / OVERLOAD_SIZE)):
        planned = began + number * OVERLOAD_SIZE / rate
        await asyncio.sleep(max(0.0, planned - time.monotonic()))
        sending.append(asyncio.create_task(send_one()))
    await asyncio.gather(*sending)
    end = time.monotonic() + PATIENCE_SECONDS
    lost = await missing_in_graph(driver, accepted)
    while lost and time.monotonic() < end:
        await asyncio.sleep(1)
        lost = await missing_in_graph(driver, accepted)
    return {
        "accepted_of_five_times_the_rate": len(accepted),
        "refused_of_five_times_the_rate": refused,
        "lost_of_five_times_the_rate": lost,
    }


async def missing_in_graph(driver: neo4j.AsyncDriver, ids: list[str]) -> int:
    """Return how many of these statements are not in the graph exactly once."""
    missing = 0
    query = "MATCH (n:Attempt) WHERE n.id IN $ids RETURN n.id AS id"
    for begin in range(0, len(ids), IDS_OF_ONE_READ):
        portion = ids[begin : begin + IDS_OF_ONE_READ]
        found = await driver.execute_query(query, ids=portion)
        times = Counter(row["id"] for row in found.records)
        for each in portion:
            if times[each] != 1:
                missing += 1
    return missing


def percentiles(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {"p50_seconds": float("inf"), "p95_seconds": float("inf")}
    cuts = quantiles(seconds, n=100, method="inclusive")
    return {
        "p50_seconds": round(cuts[49], 3),
        "p95_seconds": round(cuts[94], 3),
        "p99_seconds": round(cuts[98], 3),
        "largest_seconds": round(max(seconds), 3),
    }


def resident_mb(system: System) -> int:
    """Return the memory of gateway and importer with their children, in MB."""
    kilobytes = 0
    for name in ("gateway", "importer"):
        for pid in family(system.processes.running[name].pid):
            for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
                if line.startswith("VmRSS:"):
                    kilobytes += int(line.split()[1])
    return kilobytes // 1024


def report(figures: dict[str, Any]) -> int:
    """Print one table, and write JSON beside it. Return 1 if a figure misses its goal."""
    goals = {name: f"<= {largest:g}" for name, largest in LARGEST.items()}
    goals |= {name: f">= {least:g}" for name, least in LEAST.items()}
    missed = [name for name, largest in LARGEST.items() if figures[name] > largest]
    missed += [name for name, least in LEAST.items() if figures[name] < least]
    for name, value in figures.items():
        mark = "MISSED" if name in missed else ""
        print(f"{name:<42}{value:>10} {goals.get(name, ''):<9}{mark}".rstrip())
    (HERE / "results").mkdir(exist_ok=True)
    text = json.dumps({**figures, "goals": goals, "missed": missed}, indent=1)
    (HERE / "results" / "live.json").write_text(text)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
