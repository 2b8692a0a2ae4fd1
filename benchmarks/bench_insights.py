"""The time of insights' answers on the synthetic school: `make bench-insights` (BENCH_ARGS="--sizes 1000000").

The importer's own code fills a Neo4j that only this bench uses. Each of eight readers asks a question every 5 s, at
different moments, in threads of one process as in insights, about other groups and students each time and without a
cache of answers. "Cold" is the first call of each reader after a restart of Neo4j; the system still has the files in
memory. A question that ends with an error is printed and counts as NOT_ANSWERED_SECONDS, which misses every goal.
"Kept" is the second call of one reader with the cache: rights are read, and the answer is there. A question about a
whole course may be answered with an offer to ask for less.

Then an import runs in another process: alone, beside eight readers who ask a question every 5 s, and alone again. Its
speed beside the readers is compared with the mean of both other runs, since the graph grows meanwhile.

The bench prints one table and writes it as JSON. It exits with 1 if a figure is missed. On a busy machine the figures
are rough.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any

from bench_growth import DEFINES, ORIGIN, batch_of, fill, students_of
from bench_redis import RECORDS as BATCH
from engines import PRIVACY_SECRET, bench
from own_neo4j import Store, own_neo4j

from edugraph_cli.synthetic_school import GROUP_SIZE, School
from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.findings import (
    ContentFinding,
    FoundPoint,
    Prerequisite,
    RecordFinding,
)
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.shared_state.callers import ANYBODY
from edugraph_importer.graph import Graph, GraphSettings
from edugraph_insights.answer_cache import AnswerCache
from edugraph_insights.asking import ask
from edugraph_insights.graph import Graph as GraphToRead
from edugraph_insights.insights import Insights
from edugraph_insights.problems import TooLarge
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.settings import InsightsSettings

RESULTS = Path(__file__).parent / "results"
READERS = 8
NOW = datetime(2026, 6, 10, tzinfo=UTC)  # in the second term, so that its groups have members
GOALS = {"group or student": (1.0, 5.0), "course": (5.0, 5.0)}  # seconds of p95, warm and cold
KEPT_GOAL_SECONDS = 0.05  # for a cached answer, with one reader at a time
KEPT_CALLS = 4
NOT_ANSWERED_SECONDS = 60.0
PAUSE_SECONDS = 5.0  # from one question of a reader to the next, while an import runs
MOST_RECORDS_A_SECOND = 10_000  # an import in one process is always slower
SLOWEST_IMPORT = 0.85  # the least share of its speed alone


class NoAudit:
    """An audit log that keeps nothing, since the only reader is this bench."""

    def record(self, *_arguments: object, **_more: object) -> None:
        pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000])
    parser.add_argument("--calls", type=int, default=5, help="of each reader for each question")
    parser.add_argument(
        "--beside-seconds",
        type=float,
        default=60,
        help="seconds that each of the three imports runs; 0: none",
    )
    parser.add_argument("--smoke", action="store_true", help="a small size: figures do not count")
    given = parser.parse_args()
    found: dict[int, list[dict[str, Any]]] = {}
    beside: dict[int, dict[str, float]] = {}
    beside_seconds = 6.0 if given.smoke else given.beside_seconds
    with bench():
        for size in [3_000] if given.smoke else sorted(given.sizes):
            with (
                tempfile.TemporaryDirectory() as folder,
                own_neo4j(Path(folder), PRIVACY_SECRET) as store,
            ):
                calls, pause_seconds = (1, 0.0) if given.smoke else (given.calls, PAUSE_SECONDS)
                found[size] = measure(store, size, calls, pause_seconds)
                if beside_seconds:
                    beside[size] = beside_an_import(store, size, beside_seconds)
    missed = [report(found), report_beside(beside)]
    load = [round(each, 1) for each in os.getloadavg()]
    print(f"load of the machine at the end: {load}, on {os.cpu_count()} cores")
    print(
        f"goals: {GOALS}, kept {KEPT_GOAL_SECONDS} s, import beside readers {SLOWEST_IMPORT:.0%} of alone"
    )
    RESULTS.mkdir(exist_ok=True)
    result = {"sizes": found, "beside an import": beside, "goals": GOALS, "load": load}
    (RESULTS / "insights.json").write_text(json.dumps(result, indent=1))
    return 0 if given.smoke else int(any(missed))


def measure(store: Store, size: int, calls: int, pause_seconds: float) -> list[dict[str, Any]]:
    school = School(students_of(size), 1, size)
    graph = Graph(store.settings)
    graph.prepare()
    begun = time.monotonic()
    fill(graph, size)
    print(f"{size:,} records written in {time.monotonic() - begun:.0f} s", flush=True)
    graph.write_findings(
        Findings(job_id="bench", pack="texts", findings=tuple(found_in_texts(school)))
    )
    graph.settle_prerequisites()
    graph.close()
    store.stop()
    store.start()
    insights = reading(store)
    keeping = replace(
        insights, answers=AnswerCache(1 << 28, lambda courses: ("",) * (len(courses) + 1))
    )
    random = Random(size)
    rows = []
    try:
        with ThreadPoolExecutor(READERS) as readers:
            for scope in GOALS:
                for name in QUESTIONS:
                    if scope == "course" and is_of_few(name):
                        continue
                    asked = [
                        [(name, parameters(school, random, name, scope)) for _ in range(calls + 1)]
                        for _ in range(READERS)
                    ]
                    reading_it = [
                        readers.submit(ask_in_turn, insights, each, pause_seconds, number)
                        for number, each in enumerate(asked)
                    ]
                    of_readers = [reader.result() for reader in reading_it]
                    cold = [times[0] for times in of_readers]
                    warm = [each for times in of_readers for each in times[1:]]
                    rows.append(
                        {
                            "question": name,
                            "scope": scope,
                            "cold p95": p95([each for each, _ in cold]),
                            "warm p50": median(each for each, _ in warm),
                            "warm p95": p95([each for each, _ in warm]),
                            "kept p50": kept_seconds(
                                keeping, name, [first for [(_, first), *_] in asked]
                            ),
                            "too large": sum(large for _, large in cold + warm) / len(cold + warm),
                        }
                    )
    finally:
        insights.graph.close()
    return rows


def beside_an_import(store: Store, size: int, lasting: float) -> dict[str, float]:
    """Return the speed of an import alone and beside readers, and how long the readers waited."""
    school, insights = School(students_of(size), 1, size), reading(store)
    few = list(QUESTIONS)
    try:
        with (
            ProcessPoolExecutor(1, get_context("spawn")) as importer,
            ThreadPoolExecutor(READERS) as readers,
        ):
            before = importer.submit(import_for, store.settings, "before", lasting).result()
            importing = importer.submit(import_for, store.settings, "beside", lasting)
            until = time.monotonic() + lasting
            asking = [
                readers.submit(
                    ask_in_turn,
                    insights,
                    drawn_until(school, few, number, until),
                    PAUSE_SECONDS,
                    number,
                )
                for number in range(READERS)
            ]
            asked = [each for reader in asking for each in reader.result()]
            beside = importing.result()
            after = importer.submit(import_for, store.settings, "after", lasting).result()
    finally:
        insights.graph.close()
    waited = [each for each, _ in asked]
    return {
        "alone, records/s": (before + after) / 2,
        "beside, records/s": beside,
        "share": 2 * beside / (before + after),
        "questions": len(asked),
        "p50": median(waited),
        "p95": p95(waited),
        "too large": sum(large for _, large in asked) / len(asked),
    }


def import_for(settings: GraphSettings, prefix: str, lasting: float) -> float:
    """Write records of new people at the existing items for `lasting` seconds. Return the records a second."""
    graph = Graph(settings)
    enough = int(lasting * MOST_RECORDS_A_SECOND)
    school = School(students_of(enough), 2, enough, prefix=prefix)
    values = (value for value in school.records() if value["type"] not in DEFINES)
    begun, number, spent = time.monotonic(), 0, 0.0
    try:
        # The time for making and parsing the records is not measured.
        while time.monotonic() - begun < lasting:
            records = [parse_record(value) for value in islice(values, BATCH)]
            if not records:
                break
            written = time.monotonic()
            graph.write_batch(batch_of(f"import-{prefix}", number, records))
            spent += time.monotonic() - written
            number += 1
    finally:
        graph.close()
    return number * BATCH / spent


def ask_in_turn(
    insights: Insights,
    asked: Iterable[tuple[str, dict[str, Any]]],
    pause_seconds: float,
    number: int,
) -> list[tuple[float, bool]]:
    """Ask these questions one after another, like one reader. It begins later than the reader before it."""
    found = []
    time.sleep(pause_seconds * number / READERS)
    for name, given in asked:
        begun = time.monotonic()
        found.append(seconds(insights, name, given))
        time.sleep(max(0.0, pause_seconds - (time.monotonic() - begun)))
    return found


def drawn_until(
    school: School, few: list[str], number: int, until: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield random questions about a group or a student until the time `until` of the monotonic clock."""
    random = Random(number)
    while time.monotonic() < until:
        name = random.choice(few)
        yield name, parameters(school, random, name, "group or student")


def found_in_texts(school: School) -> Iterator[RecordFinding]:
    """Yield findings of course texts that claim prerequisites of the courses' points. Two texts say each of them."""
    for value in school.definitions():
        if value["type"] == "course_content":
            point = value["data"]["title"]
            course = next(each for each in school.courses if each.id == value["data"]["course_id"])
            needs = [
                Prerequisite(point=point, requires=each, confidence=0.9, quote="x")
                for each in course.needs[point]
            ]
            finding = ContentFinding(
                knowledge_points=(FoundPoint(name=point),),
                prerequisites=tuple(needs),
                confidence=0.9,
            )
            yield RecordFinding(record=value, finding=finding, origin=ORIGIN)
            data = value["data"] | {"content": f"Again: {value['data']['content']}"}
            second = value | {"record_id": f"{value['record_id']}-again", "data": data}
            yield RecordFinding(record=second, finding=finding, origin=ORIGIN)


def parameters(school: School, random: Random, question: str, scope: str) -> dict[str, Any]:
    """Return the parameters of a question about a random group, student or whole course of the second term."""
    course = random.choice([each for each in school.courses if each.term == 2])
    asked = {"course": course.id}
    fields = QUESTIONS[question].parameters.model_fields
    if "next_course" in fields:
        first = next(
            each for each in school.courses if each.term == 1 and each.language == course.language
        )
        asked = {"course": first.id, "next_course": course.id}
    if "goal" in fields:
        asked["goal"] = canonical_name(random.choice(list(course.needs)))
    if scope == "course":
        return asked
    there = [
        each for each in school.students if each.language == course.language and not each.joined
    ]
    if fields["student"].is_required():
        return {**asked, "student": random.choice(there).id}
    numbers = range(1, (school.sizes[course.language] - 1) // GROUP_SIZE + 2)
    groups = [f"{school.prefix}-g-{course.id}-{random.choice(numbers)}" for _ in range(2)]
    asked["group"] = groups[0]
    if "other_group" in fields:
        asked["other_group"] = groups[1]
    return asked


def is_of_few(question: str) -> bool:
    """Return whether a question is about a student or two groups, and never about a whole course."""
    fields = QUESTIONS[question].parameters.model_fields
    return any(name in fields and fields[name].is_required() for name in ("student", "group"))


def seconds(insights: Insights, name: str, asked: dict[str, Any]) -> tuple[float, bool]:
    """Return how long an answer took, and whether it was an offer to ask for less."""
    question, begun, too_large = QUESTIONS[name], time.perf_counter(), False
    try:
        ask(insights, ANYBODY, question, question.parameters(**asked)).model_dump_json()
    except TooLarge:
        too_large = True
    except Retryable as problem:
        print(
            f"{name} of {asked} was not answered: {problem!r} ({problem.__cause__!r})", flush=True
        )
        return NOT_ANSWERED_SECONDS, False
    return time.perf_counter() - begun, too_large


def kept_seconds(keeping: Insights, name: str, asked: list[dict[str, Any]]) -> float | None:
    """Return the median time of the second call, or None if no answer could be computed."""
    answered = [each for each in asked[:KEPT_CALLS] if not seconds(keeping, name, each)[1]]
    times = [seconds(keeping, name, each)[0] for each in answered]
    return median(times) if times else None


def reading(store: Store) -> Insights:
    settings = InsightsSettings.model_validate(
        {
            "redis_url": "redis://127.0.0.1:1",  # is never asked
            "neo4j_uri": store.settings.uri,
            "neo4j_user": store.settings.user,
            "neo4j_password": store.settings.password,
        }
    )
    nobody: Any = None
    audit: Any = NoAudit()
    return Insights(
        settings=settings,
        graph=GraphToRead(settings),
        key_ring=nobody,
        issuer=None,
        audit=audit,
        views=nobody,
        action_permits=nobody,
        ping_redis=lambda: None,
        now=lambda: NOW,
    )


def p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1]


def report(found: dict[int, list[dict[str, Any]]]) -> bool:
    missed = False
    for size, rows in found.items():
        print(f"\n{size:,} records, {READERS} readers; seconds")
        columns = ("cold p95", "warm p50", "warm p95", "kept p50")
        print(
            f"{'question':<24}{'of':<18}"
            + "".join(f"{name:>10}" for name in columns)
            + f"{'too large':>11}"
        )
        for row in rows:
            warm, cold = GOALS[row["scope"]]
            kept = row["kept p50"] if row["kept p50"] is not None else 0.0
            row["missed"] = (
                row["warm p95"] > warm or row["cold p95"] > cold or kept > KEPT_GOAL_SECONDS
            )
            missed = missed or row["missed"]
            figures = "".join(
                "         –" if row[name] is None else f"{row[name]:>10.3f}" for name in columns
            )
            verdict = "  MISSED" if row["missed"] else ""
            print(
                f"{row['question']:<24}{row['scope']:<18}{figures}{row['too large']:>11.0%}{verdict}"
            )
    return missed


def report_beside(found: dict[int, dict[str, float]]) -> bool:
    missed = False
    for size, row in found.items():
        is_missed = row["share"] < SLOWEST_IMPORT or row["p95"] > GOALS["group or student"][0]
        missed = missed or is_missed
        print(
            f"\n{size:,} records, an import beside {READERS} readers with a question each {PAUSE_SECONDS:.0f} s: "
            f"{row['beside, records/s']:.0f} records/s, {row['share']:.0%} of {row['alone, records/s']:.0f} alone; "
            f"{row['questions']} questions, p50 {row['p50']:.3f} s, p95 {row['p95']:.3f} s, "
            f"too large {row['too large']:.0%}{'  MISSED' if is_missed else ''}"
        )
    return missed


if __name__ == "__main__":
    sys.exit(main())
