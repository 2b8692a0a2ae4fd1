"""Statements under live load, while processes are killed and the connections to all servers are cut."""

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import neo4j
import pytest
from engines import Engine, System, own_vhost
from killing import PATIENCE_SECONDS, kill_child, kill_gateway, kill_worker
from proxy import Proxy
from waiting import until

from edugraph_cli.serving import Pools

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
SERVERS = ("EDUGRAPH_BROKER_URL", "EDUGRAPH_REDIS_URL", "EDUGRAPH_NEO4J_URI")
VERSION = {"X-Experience-API-Version": "1.0.3"}
SEED = os.environ.get("LIVE_SEED", "1")
REQUESTS, SIZE, CLIENTS = 150, 4, 5
LONGEST_CUT_SECONDS = 2.0


class Apart(NamedTuple):
    """A system that reaches its servers by way of the proxies. `servers` has their own addresses."""

    system: System
    proxies: dict[str, Proxy]
    servers: dict[str, str]


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    with own_vhost() as addresses, ExitStack() as stack:
        environment = {
            **addresses,
            "EDUGRAPH_BLOB_URL": str(tmp_path / "blobs"),
            "EDUGRAPH_AUTH": "off",
        }
        Engine(name="whole", folder=tmp_path, environment=environment).empty()
        proxies = {name: stack.enter_context(Proxy(addresses[name])) for name in SERVERS}
        for name, proxy in proxies.items():
            environment[name] = proxy.address
        engine = Engine(name="cut", folder=tmp_path, environment=environment)
        pools = Pools(importer=2, findings=1, analyzer=1)
        yield Apart(stack.enter_context(engine.serve(pools)), proxies, addresses)


def statement(number: int, run: str) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "actor": {"account": {"homePage": "https://lms.example", "name": f"s-{number % 7}"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
        "object": {"id": f"https://lms.example/q/{number % 11}"},
        "result": {"success": number % 2 == 0, "response": f"{run} {number}"},
        "timestamp": f"2026-02-{1 + number % 28:02d}T08:00:00Z",
    }


def send_until_accepted(url: str, statements: list[dict[str, Any]]) -> None:
    """Send like a client that tries again after an error and after no answer."""
    body = json.dumps(statements)
    headers = {**VERSION, "Content-Type": "application/json"}
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            answer = httpx.post(f"{url}/xapi/statements", content=body, headers=headers, timeout=20)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.status_code == 200:
            assert answer.json() == [each["id"] for each in statements]
            return
        assert answer.status_code == 503, answer.text
        assert answer.headers["Retry-After"]
        time.sleep(0.2)
    raise AssertionError("never accepted")


def in_graph(servers: dict[str, str]) -> list[str]:
    """Return the ids of all attempts, each as often as it is there. It asks Neo4j without the proxy."""
    auth = (servers["EDUGRAPH_NEO4J_USER"], servers["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(
        servers["EDUGRAPH_NEO4J_URI"], auth=auth, notifications_min_severity="OFF"
    ) as driver:
        rows = driver.execute_query("MATCH (n:Attempt) RETURN n.id AS id").records
    return sorted(row["id"] for row in rows)


def test_what_was_accepted_is_there_once(apart: Apart) -> None:
    """Out: the wait for the confirm in LiveGatherer.send; the ledger; `_open_day` for a job that Redis lost."""
    chance = random.Random(SEED)
    run = uuid4().hex
    requests = []
    for start in range(0, REQUESTS * SIZE, SIZE):
        requests.append([statement(number, run) for number in range(start, start + SIZE)])
    port = apart.system.url.rsplit(":", 1)[1]
    accepted = threading.Semaphore(0)

    def send(statements: list[dict[str, Any]]) -> None:
        send_until_accepted(apart.system.url, statements)
        accepted.release()

    def cut(name: str) -> None:
        apart.proxies[name].refuse()
        time.sleep(chance.uniform(0, LONGEST_CUT_SECONDS))
        apart.proxies[name].heal()

    disturbances: list[Any] = [lambda name=name: cut(name) for name in SERVERS]
    for kill in (kill_child, kill_worker, kill_gateway):
        disturbances.append(lambda kill=kill: kill(apart.system, port))
    chance.shuffle(disturbances)
    with ThreadPoolExecutor(CLIENTS) as pool:
        sending = [pool.submit(send, each) for each in requests]
        for disturb in disturbances:
            for _ in range(chance.randrange(5, REQUESTS // 8)):
                assert accepted.acquire(timeout=PATIENCE_SECONDS)
            disturb()
        for each in sending:
            each.result(timeout=PATIENCE_SECONDS)
    wanted = sorted(each["id"] for statements in requests for each in statements)
    until(lambda: in_graph(apart.servers) == wanted, 120)
