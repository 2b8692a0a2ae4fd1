"""The growth of the cost of a write with the graph: `make bench-growth` (BENCH_ARGS="--sizes 10000 100000 1000000").

For each size the importer's own code fills a Neo4j with the synthetic school, which only this bench uses. Then the
same operations are measured at each size, with new people: batches of 1,000 mixed records, a correction at the
largest hub, a course text with prerequisites (the graph has a claim for every ten records), their derivation, an
erasure, and a digest. Each figure except the digest is the median of several tries. The bench prints one table and
writes it as JSON. It exits with 1 if a figure is missed. On a busy machine the figures are rough.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any

import neo4j
from bench_redis import RECORDS as BATCH
from bench_redis import outcome
from engines import PRIVACY_SECRET, bench
from own_neo4j import Store, own_neo4j
from own_redis import own_redis

from edugraph_cli.synthetic_school import GROUP_SIZE, RECORDS_PER_STUDENT, School
from edugraph_common.contracts.findings import (
    ContentFinding,
    FoundPoint,
    Origin,
    Prerequisite,
    RecordFinding,
)
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_importer.graph import Graph, RecordBatch
from edugraph_insights.whole_graph import graph_digest

RESULTS = Path(__file__).parent / "results"
TRIES = 5
WARM, PROBES = 4, 12  # batches; the first ones warm up and are not measured
PROBE_STUDENTS = 400
CLAIMS_OF_A_TEXT, TEXTS_OF_A_PACK = 100, 10
MOST_CLAIMS = 100_000
# Schools of all prefixes have these records in common.
DEFINES = {"term_record", "course_content", "item_record"}
ORIGIN = Origin(analyser="offline", model="bench", prompt_version="1")
# Goals for the largest size: the ratio to the smallest size, or below them the value itself.
RATIO_GOALS = {"batch p50, ms": 1.2, "batch p95, ms": 1.5}
GOALS = {
    "correction at the hub, ms": 100,
    "course text, ms": 200,
    "settling it, ms": 5_000,
    "erasure, ms": 2_000,
}
Figures = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--smoke", action="store_true", help="small sizes: figures do not count")
    given = parser.parse_args()
    sizes = [3_000, 6_000] if given.smoke else sorted(given.sizes)
    found: dict[int, Figures] = {}
    with bench():
        for size in sizes:
            with (
                tempfile.TemporaryDirectory() as folder,
                own_neo4j(Path(folder), PRIVACY_SECRET) as store,
            ):
                found[size] = measure(store, size, probes=2 if given.smoke else PROBES)
            with tempfile.TemporaryDirectory() as folder, own_redis(Path(folder), "384mb") as url:
                found[size]["Redis bytes of a job"] = bytes_of_job(url, size)
    missed = report(found)
    return 0 if given.smoke else int(bool(missed))


def measure(store: Store, size: int, probes: int) -> Figures:
    graph = Graph(store.settings)
    graph.prepare()
    try:
        figures, corrected, erased = fill(graph, size)
        print(f"{size:,} records written; measuring", flush=True)
        times = [
            milliseconds(partial(graph.write_batch, batch))
            for batch in probe_batches(WARM + probes)
        ]
        times = times[WARM:]
        figures["batch p50, ms"], figures["batch p95, ms"] = (
            median(times),
            quantiles(times, n=20)[-1],
        )
        figures["hub, relationships"] = largest_hub(store)
        figures["correction at the hub, ms"] = median(
            milliseconds(partial(graph.write_batch, again)) for again in corrections(corrected)
        )
        figures["claims"] = claims = min(size // 10, MOST_CLAIMS)
        begun = time.monotonic()
        for message in texts(claims, CLAIMS_OF_A_TEXT, TEXTS_OF_A_PACK, "claims"):
            graph.write_findings(message)
        figures["claims, s"] = time.monotonic() - begun
        figures["settling all of them, s"] = milliseconds(graph.settle_prerequisites) / 1_000
        written, settled = list[float](), list[float]()
        for text in texts(TRIES * 5, 5, 1, "text"):
            written.append(milliseconds(partial(graph.write_findings, text)))
            settled.append(milliseconds(graph.settle_prerequisites))
        figures["course text, ms"], figures["settling it, ms"] = median(written), median(settled)
        figures["erasure, ms"] = median(
            milliseconds(partial(graph.erase_student, student)) for student in erased
        )
        print("all but the digest measured; reading the graph for it", flush=True)
        figures["digest, s"] = digest_seconds(store)
        figures["repeated transactions"] = sum(graph.retries.values())
    finally:
        graph.close()
    figures["memory of Neo4j, MB"] = store.resident_mb()
    figures["store, MB"] = store.bytes_when_stopped() / 1e6
    figures["memory of the importer, MB"] = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    )
    return figures


def fill(graph: Graph, size: int) -> tuple[Figures, list[Record], list[str]]:
    """Write a school. Return the figures, the last mistakes of the most frequent type, and the busiest students."""
    values = islice(School(students_of(size), 1, size).records(), size)
    of_type = Counter[str]()
    # All mistakes would fill the memory, so only the last ones are kept.
    last_of_type = defaultdict[str, deque[Record]](lambda: deque(maxlen=TRIES))
    of_student: dict[str, int] = {}
    seconds, number = 0.0, 0
    while records := [parse_record(value) for value in islice(values, BATCH)]:
        begun = time.monotonic()
        graph.write_batch(batch_of("fill", number, records))
        seconds += time.monotonic() - begun
        number += 1
        for record in records:
            if error_type := getattr(record.data, "error_type", None):
                of_type[error_type] += 1
                last_of_type[error_type].append(record)
            if student := getattr(record.data, "student_id", None):
                of_student[student] = of_student.get(student, 0) + 1
    corrected = list(last_of_type[of_type.most_common(1)[0][0]])
    erased = sorted(of_student, key=lambda student: -of_student[student])[:TRIES]
    return (
        {"records/s": size / seconds, "records of who is erased": of_student[erased[-1]]},
        corrected,
        erased,
    )


def students_of(size: int) -> int:
    """Return the number of students of a school with `size` records. It has at least a group of each language."""
    return max(2 * GROUP_SIZE, size // RECORDS_PER_STUDENT)


def batch_of(job_id: str, number: int, records: list[Record]) -> RecordBatch:
    rows = list(enumerate(records, start=number * BATCH + 1))
    return RecordBatch(job_id=job_id, batch=number, records=rows, rejects=[], read=len(rows))


def probe_batches(number: int) -> Iterator[RecordBatch]:
    """Yield the same records at each size. They are about new people, in existing courses and at existing items."""
    school = School(PROBE_STUDENTS, 2, PROBE_STUDENTS * RECORDS_PER_STUDENT, prefix="probe")
    values = (value for value in school.records() if value["type"] not in DEFINES)
    for place in range(number):
        yield batch_of("probe", place, [parse_record(value) for value in islice(values, BATCH)])


def corrections(records: Iterable[Record]) -> Iterator[RecordBatch]:
    """Yield each record with another content and a later time, each in its own batch."""
    for number, record in enumerate(records):
        value = record.to_json()
        data = {**value["data"], "resolved": True, "severity": "high"}
        # The new time is later than the record's own time. Otherwise the record would not be corrected.
        later = record.timestamp + timedelta(days=1)
        again = parse_record({**value, "timestamp": later.isoformat(), "data": data})
        yield batch_of("correction", number, [again])


def texts(claims: int, of_a_text: int, of_a_pack: int, name: str) -> Iterator[Findings]:
    """Yield packs of course texts that claim random prerequisites. There are two points for every three claims.

    Some claims would close a cycle, as claims of different texts may do. Two texts in a row claim the same, since a
    prerequisite that only one text says is not followed.
    """
    random, made = Random(name), list[RecordFinding]()
    points = max(20, claims * 2 // 3)
    pairs: list[list[int]] = []
    for number in range(max(1, claims // of_a_text)):
        data = {"course_id": f"claims-{number % 8}", "content": f"Text {name} {number}"}
        record = parse_record(
            {"type": "course_content", "timestamp": "2026-01-01T00:00:00Z", "data": data}
        )
        if number % 2 == 0:
            pairs = [random.sample(range(points), 2) for _ in range(of_a_text)]
        needs = tuple(
            Prerequisite(point=f"point {a}", requires=f"point {b}", confidence=0.8, quote="x")
            for a, b in pairs
        )
        found = ContentFinding(
            knowledge_points=(FoundPoint(name=needs[0].point),), prerequisites=needs, confidence=0.8
        )
        made.append(RecordFinding(record=record.to_json(), finding=found, origin=ORIGIN))
        if len(made) == of_a_pack:
            yield Findings(job_id=f"bench-{name}", pack=str(number), findings=tuple(made))
            made = []
    if made:
        yield Findings(job_id=f"bench-{name}", pack="last", findings=tuple(made))


def largest_hub(store: Store) -> int:
    """Return the number of relationships of the course with the most."""
    query = "MATCH (c:Course) RETURN max(COUNT {(c)--()}) AS most"
    with neo4j.GraphDatabase.driver(
        store.settings.uri, auth=(store.settings.user, store.password)
    ) as driver:
        return int(driver.execute_query(query).records[0]["most"])


def digest_seconds(store: Store) -> float:
    auth = (store.settings.user, store.password)
    begun = time.monotonic()
    with (
        neo4j.GraphDatabase.driver(
            store.settings.uri, auth=auth, notifications_min_severity="OFF"
        ) as driver,
        driver.session() as session,
    ):
        graph_digest(lambda query: (row.data() for row in session.run(neo4j.Query(query))))
    return time.monotonic() - begun


def bytes_of_job(url: str, size: int) -> int:
    """Return the bytes in Redis of a job of this size whose batches are all done and which has not ended."""
    now = datetime.now(UTC)
    with connect(url) as client:
        jobs = Jobs(client)
        # The first job loads the scripts, which stay in Redis.
        for job_id, batches in (("first", 1), ("growth", -(-size // BATCH))):
            before = int(client.info("memory")["used_memory"])
            jobs.create(job_id, "import", "bench", now, tasks="[]")
            jobs.begin(job_id, batches, now, expected=size)
            for number in range(batches):
                jobs.settle_batch(outcome(job_id).model_copy(update={"batch": number}), now)
        return int(client.info("memory")["used_memory"]) - before


def milliseconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1_000


def report(found: dict[int, Figures]) -> list[str]:
    smallest, largest = found[min(found)], found[max(found)]
    missed = [name for name, goal in RATIO_GOALS.items() if largest[name] > goal * smallest[name]]
    missed += [name for name, goal in GOALS.items() if largest[name] > goal]
    print(f"{'':<32}" + "".join(f"{size:>14,}" for size in found))
    for name in smallest:
        row = "".join(f"{figures[name]:>14,.1f}" for figures in found.values())
        growth = f"  at most {RATIO_GOALS[name]} × the smallest" if name in RATIO_GOALS else ""
        limit = f"  at most {GOALS[name]:,}" if name in GOALS else ""
        print(f"{name:<32}{row}{growth}{limit}{'  MISSED' if name in missed else ''}")
    if len(found) > 1:
        bytes_of_record = (
            (largest["store, MB"] - smallest["store, MB"]) * 1e6 / (max(found) - min(found))
        )
        print(f"store bytes of a record, from the two ends: {bytes_of_record:,.0f}")
    load: Any = [round(each, 1) for each in os.getloadavg()]
    print(f"load of the machine at the end: {load}, on {os.cpu_count()} cores")
    RESULTS.mkdir(exist_ok=True)
    whole = {"sizes": found, "goals": {**RATIO_GOALS, **GOALS}, "missed": missed, "load": load}
    (RESULTS / "growth.json").write_text(json.dumps(whole, indent=1))
    return missed


if __name__ == "__main__":
    sys.exit(main())
