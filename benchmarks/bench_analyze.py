"""The analyzer against the test provider: it uses the whole limit, packs texts, bears faults, and pays nothing twice.

    make bench-analyze BENCH_ARGS="--seconds 130 --processes 1,2,4,8"

Every run has its own provider process and its own key, and so its own limit. The runs take place at the same time
(about 3 minutes), or one after another with --apart (about 20 minutes). The bench prints one table and writes it to
benchmarks/results/analyze.json. It exits with 1 if a figure is missed.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import httpcore2
import httpx2
import redis
from beside import scripted_provider
from engines import bench, given
from threads import at_once

HERE = Path(__file__).parent
LIMIT, WINDOW, PACK = 100, 60.0, 10
FAULTY = {
    "latency": 0.2,
    "faults": [{"every": 10, "kinds": ["429", "500", "cut"], "retry_after": 3}],
}
QUICK = {"latency": 0.2}
SLOW = {"latency": 15}
COLD = SLOW | {"headers": {"Connection": "close"}}
# The bounds of one process. Its threads are the default of EDUGRAPH_REQUESTS_UNDER_WAY.
THREADS, MOST_MEGABYTES = 32, 250
MOST_SECONDS = 600.0  # the limit for a run that hangs


# --- a worker: takes packs from a list in Redis and leaves what became of them ------------------------------------


def work(run: dict[str, Any]) -> None:
    """Work like the Celery tasks: retry after 1, 2 and 4 s, and do not count a wait as a try."""
    from edugraph_analyzer.pipeline import Pipeline
    from edugraph_analyzer.settings import AnalyzerSettings
    from edugraph_common.runtime.service.logs import configure_logs

    configure_logs("json", "WARNING")
    server = redis.Redis.from_url(run["redis"], socket_timeout=MOST_SECONDS)
    settings = AnalyzerSettings(
        openai_api_key=run["name"],
        openai_base_url=run["url"],
        model="test-model",
        requests_per_minute=LIMIT,
        pack_size=run["pack"],
        one_student_per_pack=False,
        prices={"test-model": {"input": 1.0, "output": 2.0}},
    )
    transport = cold_transport(run["connect_seconds"]) if run["connect_seconds"] else None
    pipeline = Pipeline(settings, server, transport=transport)
    import openai  # noqa: F401 - loaded here, because the second that it takes is not part of the measurement

    server.rpush(f"{run['name']}:ready", "1")
    go = server.blpop([f"{run['name']}:go"], timeout=60)
    if go is None:
        sys.exit("the bench did not begin within a minute")
    until = float(go[1])

    def take() -> None:
        while time.time() < until and isinstance(
            pack := server.lpop(f"{run['name']}:packs"), bytes
        ):
            result = _analysed(pipeline, json.loads(pack), until)
            server.rpush(f"{run['name']}:done", json.dumps(result | {"ended": time.time()}))

    at_once([take] * run["threads"])
    server.rpush(
        f"{run['name']}:memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    )


def cold_transport(connect_seconds: float) -> Any:
    """Return a transport that waits `connect_seconds` at each connection, like DNS, TCP and TLS.

    The provider closes each connection after its answer.
    """

    class Slow(httpcore2.SyncBackend):
        def connect_tcp(self, *args: Any, **options: Any) -> Any:
            time.sleep(connect_seconds)
            return super().connect_tcp(*args, **options)

    transport = httpx2.HTTPTransport()
    pool = httpcore2.ConnectionPool(network_backend=Slow(), max_connections=1_000)
    transport._pool = pool  # noqa: SLF001 - the library has no public option for it
    return transport


def _analysed(pipeline: Any, pack: dict[str, Any], until: float) -> dict[str, Any]:
    from edugraph_common.contracts.errors import Rejected, Retryable, Wait
    from edugraph_common.contracts.messages import Analysis

    request, began, retries = Analysis.model_validate(pack), time.time(), 0
    while True:
        try:
            result = pipeline.analyse(request)
        except Wait as wait:
            time.sleep(wait.seconds)
        except Retryable as error:
            retries += 1
            if retries > 3:
                return {
                    "failed": len(request.records),
                    "reason": error.reason,
                    "found": [],
                    "retries": retries,
                }
            time.sleep(2 ** (retries - 1))
        except Rejected as error:
            return {
                "failed": len(request.records),
                "reason": error.reason,
                "found": [],
                "retries": retries,
            }
        else:
            return {
                "found": [found.record["record_id"] for found in result.findings],
                "paid": sum(not found.origin.cached for found in result.findings),
                "failed": len(result.failed),
                "reason": result.failed[0].reason if result.failed else None,
                "waited": time.time() - began,
                "retries": retries,
            }
        if time.time() > until + 60:
            return {
                "failed": len(request.records),
                "reason": "out of time",
                "found": [],
                "retries": retries,
            }


def new_name() -> str:
    return f"bench-{uuid.uuid4().hex[:12]}"


# --- a run --------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """A run. Packs are taken for `seconds`. There are `items` to be analysed, with `texts` different texts.

    `connect_seconds`: the time that each connection takes. If it is set, the provider keeps no connection open.
    """

    title: str
    processes: int
    items: int
    texts: int
    seconds: float
    script: dict[str, Any] = field(default_factory=lambda: QUICK)
    pack: int = PACK
    threads: int = 1
    connect_seconds: float = 0.0
    name: str = field(default_factory=new_name)


def packs_of(run: Run) -> Iterator[str]:
    """Yield packs like those of the gateway's splitter. The same text comes back after `texts` items."""
    for start in range(0, run.items, run.pack):
        records = [
            _record(run, number) for number in range(start, min(start + run.pack, run.items))
        ]
        yield json.dumps(
            {"job_id": run.name, "pack": f"p{start}", "kind": "interaction", "records": records}
        )


def _record(run: Run, number: int) -> dict[str, Any]:
    text = f"{run.name} message {number % run.texts}: I still do not see why we find a common denominator first."
    data = {
        "student_id_from": f"s{number}",
        "student_id_to": "t",
        "interaction_type": "chat",
        "text": text,
    }
    when = "2026-01-05T08:00:00Z"
    return {
        "type": "student_interaction",
        "timestamp": when,
        "record_id": f"r{number}",
        "data": data,
    }


def requests_at(url: str) -> list[dict[str, Any]]:
    with urlopen(Request(f"{url.removesuffix('/v1')}/log")) as answer:
        return list(json.load(answer)["requests"])


def perform(run: Run, address: str) -> dict[str, Any]:
    server = redis.Redis.from_url(address, socket_timeout=MOST_SECONDS)
    with scripted_provider(run.script) as url:
        results, seconds = _performed(run, server, address, url)
        requests = requests_at(url)
        measured = {"title": run.title, "processes": run.processes, "seconds": seconds} | measure(
            requests, results, seconds
        )
        measured["megabytes"] = max(
            int(each) for each in server.lrange(f"{run.name}:memory", 0, -1)
        )
        if run.texts < run.items:
            again, seconds = _performed(run, server, address, url)
            measured["second_requests"] = len(requests_at(url)) - len(requests)
            measured["second_items_per_second"] = (
                sum(len(each["found"]) for each in again) / seconds
            )
    _forget(server, run.name)
    return measured


def _performed(
    run: Run, server: "redis.Redis", address: str, url: str
) -> tuple[list[dict[str, Any]], float]:
    """Return the results of all packs, and the seconds that they took.

    The processes are ready when the time starts.
    """
    server.delete(*(f"{run.name}:{what}" for what in ("packs", "done", "ready", "go", "memory")))
    server.rpush(f"{run.name}:packs", *packs_of(run))
    told = {"name": run.name, "url": url, "redis": address, "pack": run.pack}
    told |= {"threads": run.threads, "connect_seconds": run.connect_seconds}
    command = [sys.executable, __file__, "--work", json.dumps(told)]
    with ExitStack() as stack:
        workers = [stack.enter_context(subprocess.Popen(command)) for _ in range(run.processes)]
        for _ in workers:
            server.blpop([f"{run.name}:ready"], timeout=60)
        began = time.time()
        server.rpush(f"{run.name}:go", *(began + run.seconds for _ in workers))
        for worker in workers:
            worker.wait(MOST_SECONDS)
    results = [json.loads(done) for done in server.lrange(f"{run.name}:done", 0, -1)]
    # The time in which a process ends, a quarter of a second, is not part of the measurement.
    return results, max((result["ended"] for result in results), default=time.time()) - began


def measure(
    requests: list[dict[str, Any]], results: list[dict[str, Any]], seconds: float
) -> dict[str, Any]:
    """Return the figures of the provider, by its own clock, and of the workers."""
    arrivals = sorted(request["seconds"] for request in requests)
    found = [record for result in results for record in result["found"]]
    late = [arrival for arrival in arrivals if arrival >= arrivals[0] + WINDOW]
    span = arrivals[-1] - arrivals[0] - WINDOW
    return {
        "requests": len(requests),
        "most_in_window": most_in_window(arrivals),
        "share": (len(late) - 1) / (LIMIT * span / WINDOW) if span > 5 else None,
        "items_per_minute": len(found) / seconds * 60,
        "found": len(found),
        "twice": len(found) - len(set(found)),
        "failed": sum(result["failed"] for result in results),
        "reasons": sorted({result["reason"] for result in results if result["reason"]}),
        "paid": sum(result.get("paid", 0) for result in results),
        "asked_items": sum(request["items"] for request in requests),
        "longest_wait": max((result.get("waited", 0) for result in results), default=0),
        "out_of_order": out_of_order(requests),
    }


def most_in_window(arrivals: list[float]) -> int:
    """Return the largest number of arrivals in any half-open window of 60 s."""
    most = start = 0
    for end, arrival in enumerate(arrivals):
        while arrivals[start] <= arrival - WINDOW:
            start += 1
        most = max(most, end - start + 1)
    return most


def out_of_order(requests: list[dict[str, Any]]) -> int:
    """Return the number of packs that arrived out of order. Packs that were taken at the same moment do not count."""
    firsts = [
        int(request["texts"][0].split("message ")[1].split(":")[0])
        for request in requests
        if request["texts"]
    ]
    seen, late = -1, 0
    for first in firsts:
        late += first < seen - 8 * PACK
        seen = max(seen, first)
    return late


def _forget(server: "redis.Redis", name: str) -> None:
    for key in server.scan_iter(match=f"*{name}*", count=1_000):
        server.delete(key)


# --- the table ----------------------------------------------------------------------------------------------------


def runs(processes: list[int], seconds: float) -> list[Run]:
    endless = 1_000_000
    items = int(seconds / WINDOW * LIMIT * PACK * 1.5)
    packed = [
        Run(f"packed, {count} processes", count, items, endless, seconds) for count in processes
    ]
    single = Run("single, 2 processes", 2, items // PACK, endless, seconds, pack=1)
    faults = Run("every 10th answer 429, 500 or cut", 4, 2_000, endless, MOST_SECONDS, FAULTY)
    slow = Run(
        "threads: 1 process, 15 s an answer", 1, items, endless, seconds, SLOW, threads=THREADS
    )
    cold = replace(
        slow,
        title="threads: and connections of 0.6 s",
        script=COLD,
        connect_seconds=0.6,
        name=new_name(),
    )
    same = Run("1,000 items, 100 texts", 8, 1_000, 100, MOST_SECONDS)
    return [*packed, single, faults, slow, cold, same]


def misses(results: list[dict[str, Any]]) -> list[str]:
    found = [
        f"{each['title']}: {each['most_in_window']} requests in 60 s"
        for each in results
        if each["most_in_window"] > LIMIT
    ]
    packed = [each for each in results if each["title"].startswith("packed")]
    single = next((each for each in results if each["title"].startswith("single")), None)
    found += [
        f"{each['title']}: {each['share']} of the limit used, {each['megabytes']} MB"
        for each in results
        if each["title"].startswith("threads")
        and (each["megabytes"] > MOST_MEGABYTES or (each["share"] or 0) < 0.97)
    ]
    if single is None:  # not chosen
        return found + _misses_of_the_rest(results)
    for each in packed:
        if each["share"] is None or each["share"] < 0.97:
            found.append(f"{each['title']}: {each['share']} of the limit used")
        if each["items_per_minute"] < 8 * single["items_per_minute"]:
            found.append(
                f"{each['title']}: {each['items_per_minute']:.0f} items a minute, "
                f"{single['items_per_minute']:.0f} singly"
            )
        if each["out_of_order"] or each["failed"] or each["twice"]:
            found.append(f"{each['title']}: order, failures or doubles")
    return found + _misses_of_the_rest(results)


def _misses_of_the_rest(results: list[dict[str, Any]]) -> list[str]:
    faults, same = (
        next((each for each in results if each["title"].startswith(begin)), None)
        for begin in ("every", "1,000")
    )
    if faults is None or same is None:  # not chosen
        return []
    checks = {
        "faults: 2,000 findings, none failed, none twice": (
            faults["found"],
            faults["failed"],
            faults["twice"],
        )
        == (2_000, 0, 0),
        "same texts: 100 paid items": (same["asked_items"], same["paid"]) == (100, 100),
        "same texts, again: 0 requests": same["second_requests"] == 0,
        "same texts, again: 500 items a second": same["second_items_per_second"] >= 500,
    }
    return [name for name, held in checks.items() if not held]


COLUMNS = (
    "requests",
    "most_in_window",
    "share",
    "items_per_minute",
    "found",
    "failed",
    "paid",
    "longest_wait",
    "megabytes",
)


def show(results: list[dict[str, Any]]) -> None:
    """Print the table. `most_in_window` is the largest number of requests in any 60 s."""
    print(f"{'run':36}" + "".join(f"{name:>17}" for name in (*COLUMNS, "out_of_order")))
    for each in results:
        cells = {
            name: f"{each[name]:.0f}" for name in (*COLUMNS, "out_of_order") if name != "share"
        }
        cells["share"] = f"{each['share']:.1%}" if each["share"] is not None else "-"
        cells["longest_wait"] = f"{each['longest_wait']:.1f} s"
        print(
            f"{each['title']:36}"
            + "".join(f"{cells[name]:>17}" for name in (*COLUMNS, "out_of_order"))
        )
        if "second_requests" in each:
            speed = f"{each['second_items_per_second']:.0f} items a second"
            print(f"{'  the same again':36}{each['second_requests']:>17}  {speed}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=130)
    parser.add_argument(
        "--processes",
        type=lambda text: [int(count) for count in text.split(",")],
        default=[1, 2, 4, 8],
    )
    parser.add_argument("--only", default="", help="only runs whose title contains these words")
    parser.add_argument(
        "--apart",
        action="store_true",
        help="run all one after another, also those that wait for limits",
    )
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument(
        "--smoke", action="store_true", help="as short as possible: figures do not count"
    )
    chosen = parser.parse_args()
    if chosen.smoke:
        chosen.seconds, chosen.processes = 5.0, [1, 2]
    if chosen.work:
        work(chosen.work)
        return 0
    *limited, same = runs(chosen.processes, chosen.seconds)
    limited = [run for run in limited if chosen.only in run.title]
    with bench(), ThreadPoolExecutor(1 if chosen.apart else len(limited)) as pool:
        address = given("EDUGRAPH_REDIS_URL")["EDUGRAPH_REDIS_URL"]
        results = list(pool.map(lambda run: perform(run, address), limited))
        if chosen.only in same.title:
            # The speed of this run is the machine's; the speed of the others is the limit's.
            results.append(perform(same, address))
    show(results)
    missed = misses(results)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "analyze.json").write_text(
        json.dumps({"results": results, "missed": missed}, indent=1)
    )
    print("\n".join(f"MISS {miss}" for miss in missed) or "all held")
    return 1 if missed and not chosen.smoke else 0


if __name__ == "__main__":
    sys.exit(main())
