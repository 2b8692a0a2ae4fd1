"""All stores behind a running system, to be searched: whoever tests an erasure looks here."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
import neo4j
import pika
import redis
from engines import System
from service_settings import settings_from
from waiting import until

from edugraph_common.contracts.messages import CleanJob
from edugraph_common.contracts.personal_data import Store, place_of
from edugraph_common.runtime.messaging.celery_app import make_app
from edugraph_common.runtime.messaging.dead_letter_store import open_dead_letters
from edugraph_common.runtime.messaging.publisher import send
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources.compression import content_encoding_of, decompressor
from edugraph_common.sources.stored import stored_rows


class Ground:
    """The stores behind a running system, to be looked into."""

    def __init__(self, system: System, told: Sequence[bytes] = ()) -> None:
        """`told`: what a webhook was told."""
        self.told = told
        self.system, self.environment = system, system.engine.environment
        self.settings = settings_from(self.environment)
        self.client = connect(self.environment["EDUGRAPH_REDIS_URL"])
        self.jobs, self.blobs = Jobs(self.client), Blobs(self.environment["EDUGRAPH_BLOB_URL"])
        self.app = make_app("marked", self.settings)

    def follow(self, job_id: str) -> None:
        for _ in self.system.client.follow(job_id):
            pass

    def clean(self) -> None:
        """As the gateway has it done each minute."""
        for job_id in self.jobs.to_clean():
            send(self.app, "clean_job_task", CleanJob(job_id=job_id), task_id=f"clean-{uuid4()}")
        until(lambda: not self.jobs.to_clean(), 60)

    def broker(self) -> Any:
        connection = pika.BlockingConnection(
            pika.URLParameters(self.environment["EDUGRAPH_BROKER_URL"])
        )
        return connection.channel()

    def dead(self) -> int:
        """Stored dead letters."""
        return open_dead_letters(self.settings).counts()["data_import"]

    # --- looking ---

    def places(self) -> Iterator[tuple[Store, str, str]]:
        yield from self._redis()
        yield from self._blobs()
        yield from self._graph()
        yield from self._queues()
        for log in self.system.processes.logs.glob("*.log"):
            yield Store.PROCESS, "log", log.read_text(errors="replace")
        for port in self.system.metrics_ports:
            yield (
                Store.PROCESS,
                "metric",
                httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text,
            )
        for body in self.told:
            yield Store.OUTSIDE, "webhook", body.decode(errors="replace")

    def _redis(self) -> Iterator[tuple[Store, str, str]]:
        readers: dict[str, Callable[[str], Any]] = {
            "string": self.client.get,
            "hash": self.client.hgetall,
            "list": lambda key: self.client.lrange(key, 0, -1),
            "set": self.client.smembers,
            "zset": lambda key: self.client.zrange(key, 0, -1),
            "stream": self.client.xrange,
        }
        for key in self.client.scan_iter(count=1_000):
            kind = str(self.client.type(key))
            if (
                kind != "none" and key != "edugraph-test-run"
            ):  # it expired meanwhile; the guard's own
                with suppress(redis.ResponseError):
                    yield Store.REDIS, key, f"{key} {readers[kind](key)}"

    def _blobs(self) -> Iterator[tuple[Store, str, str]]:
        for folder in ("jobs", "erasures", "undos", "exports", "fits", "dead"):
            for key in self.blobs.keys(folder):
                raw = self.blobs.read(key, 0, 1 << 26)
                if key.endswith("rows.zst"):
                    rows = stored_rows(self.blobs, key.split("/")[1])
                    text = b"\n".join(row.raw for batch in rows for row in batch)
                else:
                    text = b"".join(decompressor(content_encoding_of(key)).feed(raw))
                for each in ("utf-8", "gb18030", "utf-16"):
                    yield Store.BLOBS, key, text.decode(each, errors="replace")

    def _graph(self) -> Iterator[tuple[Store, str, str]]:
        user, password = (
            self.environment[f"EDUGRAPH_NEO4J_{name}"] for name in ("USER", "PASSWORD")
        )
        with neo4j.GraphDatabase.driver(
            self.environment["EDUGRAPH_NEO4J_URI"], auth=(user, password)
        ) as driver:
            for query in (
                "MATCH (n) RETURN labels(n)[0] AS of, properties(n) AS p",
                "MATCH ()-[r]->() RETURN type(r) AS of, properties(r) AS p",
            ):
                for row in driver.execute_query(query).records:
                    for name, value in row["p"].items():
                        yield Store.GRAPH, f"{row['of']}.{name}", str(value)

    def _queues(self) -> Iterator[tuple[Store, str, str]]:
        vhost = quote(
            urlsplit(self.environment["EDUGRAPH_BROKER_URL"]).path.lstrip("/") or "/", safe=""
        )
        with httpx.Client(
            base_url=self.environment["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=30
        ) as api:
            names = [queue["name"] for queue in api.get(f"/api/queues/{vhost}").json()]
        with self.broker() as channel:
            for name in names:
                yield Store.QUEUES, name, ""
                if place_of(Store.QUEUES, name) and name.endswith(
                    (".dead", "import", "splits", "findings", "analysis")
                ):
                    while (got := channel.basic_get(name))[0] is not None:
                        yield Store.QUEUES, name, (got[2] or b"").decode(errors="replace")


def found(ground: Ground, words: tuple[str, ...]) -> tuple[set[str], list[str]]:
    """Return the places that nobody has listed, and those that hold one of the words."""
    forms = {form for word in words for form in (word, json.dumps(word)[1:-1])}
    unlisted, hits = set[str](), list[str]()
    for store, place, text in ground.places():
        if place_of(store, place) is None:
            unlisted.add(f"{store}: {place}")
        at = next((text.index(form) for form in forms if form in text), None)
        if at is not None:
            hits.append(f"{store}: {place}: …{text[max(0, at - 60) : at + 60]}…")
    return unlisted, hits
