"""The time until each page shows its picture in a large school: `make bench-page` (BENCH_ARGS="--size 1000000").

The importer's own code fills a Neo4j that only this bench uses, and insights serves the page from it without a cache
of answers. Debian's chromium opens each page for a different group each time, so that no answer was computed before.
The time runs from the opening of the address until the page waits for nothing more. The first visits only warm up the
browser and Neo4j. Another course has 5,000 points. There the time from a typed letter to the new picture is measured,
for searches that find one, some and all points.

The imports page is left out, because it asks the gateway and not the graph. The bench prints one table and writes it
as JSON. It exits with 1 if a figure is missed.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench_growth import ORIGIN, fill, students_of
from bench_insights import found_in_texts
from chromium import chromium_program
from engines import PRIVACY_SECRET, bench
from own_neo4j import own_neo4j
from own_redis import own_redis
from page.school import served
from page.visitor import Visitor
from playwright.sync_api import Error, Page, sync_playwright

from edugraph_cli.synthetic_school import School
from edugraph_common.contracts.findings import (
    ContentFinding,
    FoundPoint,
    Prerequisite,
    RecordFinding,
)
from edugraph_common.contracts.messages import Findings
from edugraph_common.runtime.service.logs import configure_logs
from edugraph_importer.graph import Graph

RESULTS = Path(__file__).parent / "results"
PAGES = ("today", "overview", "map", "students", "student", "people", "records", "review")
WARM, VISITS = 2, 7
LARGE, POINTS, TEXTS_OF_A_PACK = "large", 5_000, 100  # as many as a message may have
SEARCHES = ("4999", "49", "point")  # they find one point, some points and all points
FIRST_PICTURE_SECONDS, SEARCH_SECONDS = 2.0, 0.2
# The script measures from the letter to the first frame after the page has drawn the result.
SEARCH = """
async text => {
  const main = document.getElementById('main');
  const input = document.querySelector('input[type=search]');
  const before = main.dataset.ready;
  const begun = performance.now();
  input.value = text;
  input.dispatchEvent(new Event('input', { bubbles: true }));
  while (!main.dataset.ready || main.dataset.ready === before) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return (performance.now() - begun) / 1000;
}
"""
ANSWERED = """performance.getEntriesByType('resource').filter(each => each.name.includes('/v1/'))
  .map(each => `${new URL(each.name).pathname} ${Math.round(each.duration)} ms`)"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000)
    given = parser.parse_args()
    configure_logs("json", "WARNING")  # a line for each request would hide the table
    program = chromium_program()
    with (
        bench(),
        tempfile.TemporaryDirectory() as folder,
        own_neo4j(Path(folder) / "neo4j", PRIVACY_SECRET) as store,
        own_redis(Path(folder) / "redis", "384mb") as redis_url,
    ):
        school = School(students_of(given.size), 1, given.size)
        graph = Graph(store.settings)
        graph.prepare()
        fill(graph, given.size)
        graph.write_findings(
            Findings(job_id="bench", pack="texts", findings=tuple(found_in_texts(school)))
        )
        for number, pack in enumerate(large_course()):
            graph.write_findings(Findings(job_id="bench", pack=f"large-{number}", findings=pack))
        graph.settle_prerequisites()
        graph.close()
        environment = {
            "EDUGRAPH_NEO4J_URI": store.settings.uri,
            "EDUGRAPH_NEO4J_USER": store.settings.user,
            "EDUGRAPH_NEO4J_PASSWORD": store.password,
            "EDUGRAPH_REDIS_URL": redis_url,
        }
        with (
            served(environment) as url,
            sync_playwright() as driver,
            driver.chromium.launch(executable_path=program, args=["--no-sandbox"]) as browser,
            Visitor(browser, url) as visitor,
        ):
            pictures = {page: first_pictures(visitor, page, school) for page in PAGES}
            searches = typed(visitor)
    return report(given.size, pictures, searches)


def large_course() -> Iterator[tuple[RecordFinding, ...]]:
    """Yield packs of texts of one course. Point number n needs the point number n / 3."""
    made: list[RecordFinding] = []
    for number in range(1, POINTS):
        data = {"course_id": LARGE, "content": f"Text {number}"}
        name, needed = f"Point {number}", f"Point {number // 3}"
        needs = (Prerequisite(point=name, requires=needed, confidence=0.8, quote="x"),)
        finding = ContentFinding(
            knowledge_points=(FoundPoint(name=name),), prerequisites=needs, confidence=0.8
        )
        record = {
            "type": "course_content",
            "timestamp": "2026-01-01T00:00:00Z",
            "record_id": f"t{number}",
        }
        made.append(RecordFinding(record=record | {"data": data}, finding=finding, origin=ORIGIN))
        if len(made) == TEXTS_OF_A_PACK:
            yield tuple(made)
            made = []
    yield tuple(made)


def first_pictures(visitor: Visitor, page: str, school: School) -> list[float]:
    """Return the seconds of each visit. Each visit is for another group or student."""
    course = next(each for each in school.courses if each.term == 2 and each.language == "en")
    students = [each.id for each in school.students if each.language == "en" and not each.joined]
    times = []
    for number in range(WARM + VISITS):
        state = {
            "course": course.id,
            "lang": "en",
            "group": f"{school.prefix}-g-{course.id}-{number + 1}",
        }
        if page == "student":
            state = {"course": course.id, "lang": "en", "student": students[number]}
        visitor.page.goto("about:blank")
        query = "&".join(f"{name}={value}" for name, value in state.items())
        begun = time.perf_counter()
        visitor.page.goto(f"{visitor.address}/ui/#{page}?{query}")
        try:
            visitor.page.wait_for_function(
                "() => document.querySelector('main[data-ready]') && !document.querySelector('.waits')",
                polling="raf",
            )
        except Error:
            sys.exit(
                f"the page {page} still waits; what was answered: {visitor.page.evaluate(ANSWERED)}"
            )
        times.append(time.perf_counter() - begun)
        refuse_an_empty_page(visitor.page, page)
    return times[WARM:]


def refuse_an_empty_page(shown: Page, page: str) -> None:
    """Raise an error for a page that shows an error or nothing, since it would be the fastest of all."""
    if shown.query_selector(".refusal") or not shown.query_selector(
        f"[data-page={page}] data, [data-page={page}] table"
    ):
        sys.exit(f"the page {page} shows no figures: {shown.inner_text('main')[:300]}")


def typed(visitor: Visitor) -> dict[str, list[float]]:
    shown = visitor.open("map", course=LARGE, lang="en")
    times: dict[str, list[float]] = {text: [] for text in SEARCHES}
    for number in range(WARM + VISITS):
        for text in SEARCHES:
            seconds = float(shown.evaluate(SEARCH, text))
            if number >= WARM:
                times[text].append(seconds)
    return times


def report(size: int, pictures: dict[str, list[float]], searches: dict[str, list[float]]) -> int:
    missed = []
    print(f"\n{size:,} records; seconds, median and longest of {VISITS}")
    goals = [
        (pictures, FIRST_PICTURE_SECONDS, "first picture of"),
        (searches, SEARCH_SECONDS, f"{POINTS:,} points,"),
    ]
    for measured, goal, what in goals:
        for name, times in measured.items():
            if median(times) > goal:
                missed.append(name)
            verdict = "  MISSED" if name in missed else ""
            print(
                f"{what + ' ' + name:<30}{median(times):>8.3f}{max(times):>8.3f}  goal {goal}{verdict}"
            )
    load: Any = [round(each, 1) for each in os.getloadavg()]
    print(f"load of the machine at the end: {load}, on {os.cpu_count()} cores")
    RESULTS.mkdir(exist_ok=True)
    whole = {
        "size": size,
        "first picture": pictures,
        "search": searches,
        "missed": missed,
        "load": load,
    }
    (RESULTS / "page.json").write_text(json.dumps(whole, indent=1))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
