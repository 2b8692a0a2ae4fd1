"""What is seen of a run: the graph, the jobs, what the broker delivered, and what was left lying about."""

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import httpx
import neo4j
import redis
from celery import states

from edugraph_common.contracts.routes import QUEUES
from edugraph_insights.whole_graph import digest_of, digest_rows

LOOKS_EVERY = 2.0  # seconds
# What a run may cost differs, and when it was; what came of it must not.
COMPARED = (
    "state",
    "source",
    "batches",
    "batches_done",
    "failed_batches",
    "read",
    "written",
    "unchanged",
    "rejected",
    "failed",
    "by_type",
    "reasons",
    "not_relevant",
    "error",
)


@dataclass
class Deliveries:
    """Sums of the broker's own counters, which begin anew with each of its lives: a life's last two seconds are lost."""

    delivered: int = 0
    redelivered: int = 0
    _last: Counter[tuple[str, str]] = field(default_factory=Counter)

    @contextmanager
    def counting(self, management: str) -> Iterator[None]:
        ending = threading.Event()
        thread = threading.Thread(target=self._keep, args=(management, ending), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join(10)

    def _keep(self, management: str, ending: threading.Event) -> None:
        with httpx.Client(base_url=management, timeout=2) as api:
            while not ending.wait(LOOKS_EVERY):
                with suppress(httpx.HTTPError, ValueError, TypeError):
                    self._look(api.get("/api/queues/%2F").raise_for_status().json())

    def _look(self, queues: list[dict[str, Any]]) -> None:
        for queue in queues:
            for name in ("deliver", "redeliver") if queue["name"] in QUEUES else ():
                seen, place = (
                    int(queue.get("message_stats", {}).get(name, 0)),
                    (queue["name"], name),
                )
                more = seen - self._last[place] if seen >= self._last[place] else seen
                self._last[place] = seen
                self.delivered += more if name == "deliver" else 0
                self.redelivered += more if name == "redeliver" else 0


def digest(environment: Mapping[str, str], rows: Path) -> str:
    """Leaves what the digest is made of in `rows`, a line for each row, so that a difference can be looked at."""
    auth = (environment["EDUGRAPH_NEO4J_USER"], environment["EDUGRAPH_NEO4J_PASSWORD"])
    address = environment["EDUGRAPH_NEO4J_URI"]
    with (
        neo4j.GraphDatabase.driver(address, auth=auth, notifications_min_severity="OFF") as driver,
        driver.session() as session,
        rows.open("w", encoding="utf-8") as file,
    ):
        return digest_of(_written(digest_rows(session.run), file))


def _written(lines: Iterable[str], file: TextIO) -> Iterator[str]:
    for line in lines:
        file.write(f"{line}\n")
        yield line


def compared(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of a job's report, what must be the same in every run."""
    found = report["analysis"]
    return {
        **{name: report.get(name) for name in COMPARED},
        "analysis": {name: found[name] for name in ("expected", "done", "failed")},
    }


def waiting_messages(environment: Mapping[str, str]) -> dict[str, int]:
    """Messages by queue, those that wait for their time or for an acknowledgement included; empty queues left out."""
    with httpx.Client(base_url=environment["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=10) as api:
        queues = api.get("/api/queues/%2F").raise_for_status().json()
    return {
        queue["name"]: queue["messages"]
        for queue in queues
        if queue.get("messages") and _counts(queue["name"])
    }


def dead_letters(url: str) -> dict[str, int]:
    """Dead letters by queue, as the gateway counts them."""
    counts: dict[str, int] = (
        httpx.get(f"{url}/v1/dead-letters", timeout=30).raise_for_status().json()["counts"]
    )
    return counts


def _counts(queue: str) -> bool:
    """Not what belongs to Celery's own monitoring."""
    return not queue.startswith("celeryev") and not queue.endswith(".pidbox")


def pending_tasks(environment: Mapping[str, str]) -> int:
    """Tasks that have begun and whose result says neither success nor failure."""
    client = redis.Redis.from_url(environment["EDUGRAPH_REDIS_URL"], decode_responses=True)
    results = (client.get(key) for key in client.scan_iter(match="celery-task-meta-*", count=1_000))
    return sum(json.loads(text)["status"] not in states.READY_STATES for text in results if text)


def logged(logs: Path) -> Counter[str]:
    """How often each event of ours stands in the logs."""
    found: Counter[str] = Counter()
    for log in logs.glob("*.log"):
        for line in log.read_text(errors="replace").splitlines():
            with suppress(ValueError, AttributeError):
                found[str(json.loads(line).get("event"))] += 1
    return found
