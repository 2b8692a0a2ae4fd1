"""The time of insights' answers on the synthetic school: `make bench-insights` (BENCH_ARGS="--sizes 1000000").

The importer's own code fills a Neo4j that only this bench uses. Insights runs in a process of its own, with the
columns of courses and without a cache of answers. First somebody asks about a whole course right after a restart of
Neo4j, and again after a restart of insights alone, as often as the answer is "busy". Then each of eight readers asks
a question every 5 s, at different moments, in threads as in insights, about other groups and students each time. An
answer that offers a narrower question or a later moment is refused. A question that ends with an error is printed and
counts as NOT_ANSWERED_SECONDS, which misses every goal. At last one reader asks each question alone: the CPU time is
that of the process of insights.

Then an import runs in another process: alone, beside eight readers who ask a question every 5 s, and alone again. Its
speed beside the readers is compared with the mean of both other runs, since the graph grows meanwhile. The changes of
each batch are in the stream that insights follows. After each of some single batches, a reader asks until the new
attempt is in the answer.

The bench prints one table and writes it as JSON. It exits with 1 if a figure is missed. On a busy machine the figures
are rough.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any

import neo4j
from bench_growth import DEFINES, ORIGIN, batch_of, fill, students_of
from bench_redis import RECORDS as BATCH
from engines import PRIVACY_SECRET, bench
from own_neo4j import Store, own_neo4j
from own_redis import own_redis

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
from edugraph_common.runtime.shared_state.graph_changes import GraphChanges
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_importer.graph import Graph, GraphSettings
from edugraph_insights.asking import ask
from edugraph_insights.columns.store import ColumnStore
from edugraph_insights.graph import Graph as GraphToRead
from edugraph_insights.insights import Insights
from edugraph_insights.problems import Busy, TooLarge
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.settings import InsightsSettings

RESULTS = Path(__file__).parent / "results"
READERS = 8
NOW = datetime(2026, 6, 10, tzinfo=UTC)  # in the second term, so that its groups have members
GOALS = {"group or student": 0.2, "course": 1.0}  # seconds of p95 of a warm answer
GOALS_OF_FIRST = {"after a restart of Neo4j": 45.0, "after a restart of insights": 15.0}  # seconds
FIRST_QUESTION = "weak-points"
MOST_CPU_SECONDS = (
    0.3  # of a question about a course of at most ATTEMPTS_OF_GOAL attempts; else in proportion
)
ATTEMPTS_OF_GOAL = 900_000
MOST_MEMORY_MB = 1_536  # of the process of insights
MOST_SECONDS_UNTIL_SEEN = 2.0  # from the end of a batch to an answer that has it
BATCHES_TO_SEE = 5
NOT_ANSWERED_SECONDS = 60.0
LONGEST_FIRST_SECONDS = 120.0
PAUSE_SECONDS = 5.0  # from one question of a reader to the next
MOST_RECORDS_A_SECOND = 10_000  # an import in one process is always slower
SLOWEST_IMPORT = 0.9  # the least share of its speed alone
Asked = tuple[str, dict[str, Any]]  # the name of a question, and its parameters


class NoAudit:
    """An audit log that keeps nothing, since the only reader is this bench."""

    def record(self, *_arguments: object, **_more: object) -> None:
        pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000])
    parser.add_argument("--calls", type=int, default=4, help="of each reader for each question")
    parser.add_argument(
        "--beside-seconds",
        type=float,
        default=60,
        help="seconds that each of the three imports runs; 0: none",
    )
    parser.add_argument("--smoke", action="store_true", help="a small size: figures do not count")
    given = parser.parse_args()
    beside_seconds = 6.0 if given.smoke else given.beside_seconds
    calls, pause_seconds = (1, 0.0) if given.smoke else (given.calls, PAUSE_SECONDS)
    found: dict[int, dict[str, Any]] = {}
    with bench():
        for size in [3_000] if given.smoke else sorted(given.sizes):
            with (
                tempfile.TemporaryDirectory() as folder,
                own_neo4j(Path(folder) / "neo4j", PRIVACY_SECRET) as store,
                own_redis(Path(folder) / "redis", "256mb") as redis_url,
            ):
                servers = Servers(store.settings, redis_url)
                write_school(servers, size)
                found[size] = measure(store, servers, size, calls, pause_seconds)
                if beside_seconds:
                    found[size]["beside"] = beside_an_import(servers, size, beside_seconds)
    missed = report(found)
    load = [round(each, 1) for each in os.getloadavg()]
    print(f"\nload of the machine at the end: {load}, on {os.cpu_count()} cores")
    RESULTS.mkdir(exist_ok=True)
    result = {"sizes": found, "goals": GOALS, "load": load}
    (RESULTS / "insights.json").write_text(json.dumps(result, indent=1))
    return 0 if given.smoke else int(missed)


@dataclass(frozen=True)
class Servers:
    """Neo4j and Redis of this bench, as its processes know them."""

    graph: GraphSettings
    redis_url: str

    def changes(self) -> GraphChanges:
        return GraphChanges(connect(self.redis_url))

    def importer(self) -> Graph:
        return Graph(self.graph, tell_change=self.changes().append)


def write_school(servers: Servers, size: int) -> None:
    school = School(students_of(size), 1, size)
    graph = servers.importer()
    graph.prepare()
    begun = time.monotonic()
    fill(graph, size)
    print(f"{size:,} records written in {time.monotonic() - begun:.0f} s", flush=True)
    graph.write_findings(
        Findings(job_id="bench", pack="texts", findings=tuple(found_in_texts(school)))
    )
    graph.settle_prerequisites()
    graph.close()


def measure(
    store: Store, servers: Servers, size: int, calls: int, pause_seconds: float
) -> dict[str, Any]:
    """Return the first answers, the rows of all questions, the memory, and when a written batch is seen."""
    school = School(students_of(size), 1, size)
    random = Random(size)
    plan: list[tuple[str, list[list[Asked]]]] = []  # (scope, questions of each reader)
    for scope in GOALS:
        for name in QUESTIONS:
            if scope == "course" and is_of_few(name):
                continue
            of_readers = []
            for _ in range(READERS):
                asked = [(name, parameters(school, random, name, scope)) for _ in range(calls + 1)]
                of_readers.append(asked)
            plan.append((scope, of_readers))
    first = (FIRST_QUESTION, parameters(school, random, FIRST_QUESTION, "course"))
    of_student = parameters(school, random, "student", "group or student")
    student = {"course": of_student["course"], "student": of_student["student"]}

    store.stop()
    store.start()
    firsts = {}
    for moment in GOALS_OF_FIRST:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            firsts[moment] = process.submit(first_seconds, servers, first).result()
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        rows, memory_mb = process.submit(ask_all, servers, plan, pause_seconds).result()
    return {
        "first": firsts,
        "questions": rows,
        "memory_mb": memory_mb,
        "attempts": attempts_of_largest_course(servers),
        "seen": seconds_until_seen(servers, student),
    }


def first_seconds(servers: Servers, asked: Asked) -> float:
    """Return the time until a process that has read nothing has answered a question. It asks again after "busy"."""
    insights = reading(servers)
    begun = time.monotonic()
    try:
        while time.monotonic() - begun < LONGEST_FIRST_SECONDS:
            name, given = asked
            try:
                ask(insights, ANYBODY, QUESTIONS[name], QUESTIONS[name].parameters(**given))
            except Busy:
                continue
            return time.monotonic() - begun
        return LONGEST_FIRST_SECONDS
    finally:
        insights.graph.close()


def ask_all(
    servers: Servers, plan: list[tuple[str, list[list[Asked]]]], pause_seconds: float
) -> tuple[list[dict[str, Any]], int]:
    """Return a row for each question and scope, and the largest memory of this process in MB."""
    insights = reading(servers)
    rows = []
    try:
        with ThreadPoolExecutor(READERS) as readers:
            for scope, asked in plan:
                reading_it = [
                    readers.submit(ask_in_turn, insights, each, pause_seconds, number)
                    for number, each in enumerate(asked)
                ]
                of_readers = [reader.result() for reader in reading_it]
                cold = [times[0] for times in of_readers]
                warm = [each for times in of_readers for each in times[1:]]
                alone = [questions[-1] for questions in asked]
                rows.append(
                    {
                        "question": asked[0][0][0],
                        "scope": scope,
                        "first p95": p95([each for each, _ in cold]),
                        "warm p50": median(each for each, _ in warm),
                        "warm p95": p95([each for each, _ in warm]),
                        "CPU p50": median(cpu_seconds(insights, *each) for each in alone),
                        "refused": sum(refused for _, refused in warm) / len(warm),
                    }
                )
                print(f"{scope}: {rows[-1]['question']}", file=sys.stderr, flush=True)
    finally:
        insights.graph.close()
    return rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def attempts_of_largest_course(servers: Servers) -> int:
    password = servers.graph.password
    assert password is not None
    login = (servers.graph.user, password.get_secret_value())
    counted = (
        "MATCH (:Attempt)-[:IN_COURSE]->(c:Course) "
        "RETURN c.id AS course, count(*) AS attempts ORDER BY attempts DESC LIMIT 1"
    )
    with neo4j.GraphDatabase.driver(servers.graph.uri, auth=login) as driver:
        records, _, _ = driver.execute_query(counted)
    return int(records[0]["attempts"]) if records else 0


def seconds_until_seen(servers: Servers, student: dict[str, Any]) -> list[float]:
    """Return how long after each of some batches an answer has the attempt of the batch."""
    insights = reading(servers)
    graph = servers.importer()
    question = QUESTIONS["mastery"]
    asked = question.parameters(**student)
    of_student = {"student_id": student["student"], "course_id": student["course"]}
    joined = {
        "type": "course_record",
        "record_id": "seen",
        "timestamp": (NOW - timedelta(days=7)).isoformat(),
        "data": {**of_student, "progress": 0.5},
    }
    found = []
    try:
        # In a small school the student may have no record in the course yet.
        graph.write_batch(batch_of("seen", 0, [parse_record(joined)]))
        for number in range(1, BATCHES_TO_SEE + 1):
            before = ask(insights, ANYBODY, question, asked).model_dump_json()
            value = {
                "type": "attempt_record",
                "record_id": f"seen-{number}",
                "timestamp": (NOW - timedelta(hours=1, minutes=-number)).isoformat(),
                "data": {
                    **of_student,
                    "item_id": f"{student['course']}-seen-{number}",
                    "knowledge_points": ["seen"],
                    "correct": True,
                },
            }
            graph.write_batch(batch_of("seen", number, [parse_record(value)]))
            begun = time.monotonic()
            is_seen = False
            while not is_seen and time.monotonic() - begun < NOT_ANSWERED_SECONDS:
                answer = ask(insights, ANYBODY, question, asked).model_dump_json()
                is_seen = answer != before
            found.append(time.monotonic() - begun)
    finally:
        graph.close()
        insights.graph.close()
    return found


def beside_an_import(servers: Servers, size: int, lasting: float) -> dict[str, float]:
    """Return the speed of an import alone and beside readers, and how long the readers waited."""
    school = School(students_of(size), 1, size)
    few = list(QUESTIONS)
    asked = []
    for number in range(READERS):
        random = Random(number)
        questions = []
        for _ in range(int(lasting / PAUSE_SECONDS) + 1):
            name = random.choice(few)
            questions.append((name, parameters(school, random, name, "group or student")))
        asked.append(questions)
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as importer,
        ProcessPoolExecutor(1, get_context("spawn")) as process,
    ):
        before = importer.submit(import_for, servers, "before", lasting).result()
        importing = importer.submit(import_for, servers, "beside", lasting)
        times = process.submit(ask_beside, servers, asked).result()
        beside = importing.result()
        after = importer.submit(import_for, servers, "after", lasting).result()
    waited = [each for each, _ in times]
    return {
        "alone, records/s": (before + after) / 2,
        "beside, records/s": beside,
        "share": 2 * beside / (before + after),
        "questions": len(times),
        "p50": median(waited),
        "p95": p95(waited),
        "refused": sum(refused for _, refused in times) / len(times),
    }


def ask_beside(servers: Servers, asked: list[list[Asked]]) -> list[tuple[float, bool]]:
    insights = reading(servers)
    try:
        with ThreadPoolExecutor(READERS) as readers:
            asking = [
                readers.submit(ask_in_turn, insights, each, PAUSE_SECONDS, number)
                for number, each in enumerate(asked)
            ]
            return [each for reader in asking for each in reader.result()]
    finally:
        insights.graph.close()


def import_for(servers: Servers, prefix: str, lasting: float) -> float:
    """Write records of new people at the existing items for `lasting` seconds. Return the records a second."""
    graph = servers.importer()
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
    asked: Iterable[Asked],
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
    for name in ("goal", "point"):
        if name in fields and fields[name].is_required():
            asked[name] = canonical_name(random.choice(list(course.needs)))
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
    """Return how long an answer took, and whether it was refused."""
    question, begun, is_refused = QUESTIONS[name], time.perf_counter(), False
    try:
        ask(insights, ANYBODY, question, question.parameters(**asked)).model_dump_json()
    except (TooLarge, Busy):
        is_refused = True
    except Retryable as problem:
        print(
            f"{name} of {asked} was not answered: {problem!r} ({problem.__cause__!r})", flush=True
        )
        return NOT_ANSWERED_SECONDS, False
    return time.perf_counter() - begun, is_refused


def cpu_seconds(insights: Insights, name: str, asked: dict[str, Any]) -> float:
    """Return the CPU time of this process for one question, while nobody else asks."""
    begun = time.process_time()
    seconds(insights, name, asked)
    return time.process_time() - begun


def reading(servers: Servers) -> Insights:
    """Return insights without a cache of answers."""
    settings = InsightsSettings.model_validate(
        {
            "redis_url": servers.redis_url,
            "neo4j_uri": servers.graph.uri,
            "neo4j_user": servers.graph.user,
            "neo4j_password": servers.graph.password,
        }
    )
    graph = GraphToRead(settings)
    nobody: Any = None
    audit: Any = NoAudit()
    return Insights(
        settings=settings,
        graph=graph,
        key_ring=nobody,
        issuer=None,
        audit=audit,
        views=nobody,
        action_permits=nobody,
        model_permits=nobody,
        ping_redis=lambda: None,
        now=lambda: NOW,
        columns=ColumnStore(graph, servers.changes().since, UTC),
    )


def p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1]


def report(found: dict[int, dict[str, Any]]) -> bool:
    """Print a table for each size. Return whether a figure is missed."""
    missed = 0
    for size, figures in found.items():
        attempts = figures["attempts"]
        most_cpu_seconds = MOST_CPU_SECONDS * max(1.0, attempts / ATTEMPTS_OF_GOAL)
        print(f"\n{size:,} records, {attempts:,} attempts in a course, {READERS} readers; seconds")
        columns = ("first p95", "warm p50", "warm p95", "CPU p50")
        titles = "".join(f"{name:>11}" for name in columns)
        print(f"{'question':<24}{'of':<18}{titles}{'refused':>9}")
        for row in figures["questions"]:
            is_slow = row["warm p95"] > GOALS[row["scope"]]
            is_costly = row["CPU p50"] > most_cpu_seconds
            row["missed"] = is_slow or is_costly or row["refused"] > 0
            values = "".join(f"{row[name]:>11.3f}" for name in columns)
            line = f"{row['question']:<24}{row['scope']:<18}{values}{row['refused']:>9.0%}"
            missed += print_figure(line, row["missed"])
        for moment, waited in figures["first"].items():
            goal = GOALS_OF_FIRST[moment]
            line = f"first answer about a course {moment}: {waited:.1f} s (goal {goal:.0f})"
            missed += print_figure(line, waited > goal)
        memory_mb = figures["memory_mb"]
        line = f"memory of insights: {memory_mb:,} MB (goal {MOST_MEMORY_MB:,})"
        missed += print_figure(line, memory_mb > MOST_MEMORY_MB)
        seen = max(figures["seen"])
        line = (
            f"a written batch is in an answer after {seen:.2f} s (goal {MOST_SECONDS_UNTIL_SEEN})"
        )
        missed += print_figure(line, seen > MOST_SECONDS_UNTIL_SEEN)
        if beside := figures.get("beside"):
            is_missed = beside["share"] < SLOWEST_IMPORT or beside["refused"] > 0
            line = (
                f"an import beside the readers: {beside['beside, records/s']:.0f} records/s, "
                f"{beside['share']:.0%} of {beside['alone, records/s']:.0f} alone (goal {SLOWEST_IMPORT:.0%}); "
                f"{beside['questions']} questions, p50 {beside['p50']:.3f} s, p95 {beside['p95']:.3f} s, "
                f"refused {beside['refused']:.0%}"
            )
            missed += print_figure(line, is_missed)
    goals = ", ".join(f"{scope} {seconds} s" for scope, seconds in GOALS.items())
    print(f"goals of the table: warm p95 of a {goals}; CPU {MOST_CPU_SECONDS} s; refused 0")
    return missed > 0


def print_figure(line: str, is_missed: bool) -> int:
    """Print a line. Return 1 if its figure is missed, and else 0."""
    print(line + ("  MISSED" if is_missed else ""), flush=True)
    return int(is_missed)


if __name__ == "__main__":
    sys.exit(main())
