"""`edugraph demo`: import and analyse the examples with the real processes on the embedded servers.

The demo succeeds only if the graph holds the numbers that it prints.
"""

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edugraph_cli.display import print_answer, say
from edugraph_cli.embedded.report import Report, language_of, write_report
from edugraph_cli.embedded.servers import embedded_servers
from edugraph_cli.front_proxy import start_front_proxy, usual_port
from edugraph_cli.processes import NotReady
from edugraph_cli.progress import follow_job
from edugraph_cli.serving import Pools, Served, serving
from edugraph_client import Answer, Client
from edugraph_common.contracts.api import GraphSummary
from edugraph_common.contracts.outcomes import JobReport

# The curriculum and the course texts come first, because mistakes are linked to the knowledge points of the course.
FILES = (
    "curriculum.ndjson",
    "courses.ndjson",
    "school_zh.ndjson",
    "school_en.ndjson",
    "answers.ndjson",
    "groups.ndjson",
    "activity.ndjson",
    "broken.ndjson",
)

QUESTIONS = ("weak-points", "untaught-points", "trust")
# The course of the examples, by language, that the questions are asked about.
COURSES = {"en": "ALG", "zh": "MATH8"}
SHOWN_ROWS = 5


def demo(examples: Path, report: Path, console: Console, *, stay: bool = False) -> int:
    """Run the demo and return its exit code. With `stay`, serve the page until Ctrl-C."""
    begun = time.monotonic()
    console.print("Starting the embedded servers, gateway, insights and the workers …")
    try:
        with tempfile.TemporaryDirectory(prefix="edugraph-demo-") as folder:
            return _run(Path(folder), examples, report, console, begun, stay=stay)
    except (NotReady, OSError, RuntimeError) as problem:
        console.print(f"[red]The demo could not start: {problem}[/red]", highlight=False)
        return 1


def _run(
    folder: Path, examples: Path, report: Path, console: Console, begun: float, *, stay: bool
) -> int:
    pools = Pools(importer=1, analyzer=1)
    logs = {"EDUGRAPH_LOG_FORMAT": "console"}
    with (
        embedded_servers(folder) as environment,
        serving({**environment, **logs}, folder / "logs", pools) as served,
        Client(served.url, insights_url=served.insights) as client,
    ):
        console.print(
            f"Ready after {time.monotonic() - begun:.1f} s. No server, no key, no network.\n"
        )
        reports = []
        for name in FILES:
            job = client.import_file(examples / name, analyze=True)
            console.print(name, highlight=False)
            reports.append(follow_job(client, job.job_id, console))
        summary = client.graph_summary()
        _print_result(reports, summary, console)
        language = language_of(os.environ)
        course = COURSES[language]
        answers = {name: client.ask(name, course=course) for name in QUESTIONS}
        _print_answers(answers, course)
        hard = client.ask("difficulty", course=course)
        written = write_report(
            Report(course, hard, answers), report, language, shown_rows=SHOWN_ROWS
        )
        console.print(
            f"\nTook {time.monotonic() - begun:.1f} s. A report of it: {written}", highlight=False
        )
        wrong = _differences(reports, summary)
        wrong += [
            f"the question {name} has no answer for {course}"
            for name in QUESTIONS
            if not answers[name].rows
        ]
        for line in wrong:
            console.print(f"[red]The graph does not hold what was reported: {line}[/red]")
        if stay and not wrong:
            _stay(served, folder, console)
    if wrong:
        return 1
    return 0


def _stay(served: Served, folder: Path, console: Console) -> None:
    """Serve the page at one address until Ctrl-C or SIGTERM."""
    url = start_front_proxy(served, usual_port(), folder / "proxy")
    console.print(
        f"page: {url}/ui/  (it ends, and all of it is deleted, with Ctrl-C)",
        highlight=False,
        soft_wrap=True,
    )
    # A process that a shell started in the background ignores SIGINT unless it sets a handler.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: sys.exit(0))
    signal.pause()


def _print_answers(answers: Mapping[str, Answer], course: str) -> None:
    for question, answer in answers.items():
        say(f"\nedugraph ask {question} course={course}")
        print_answer(answer.model_copy(update={"rows": answer.rows[:SHOWN_ROWS]}))


def _print_result(reports: list[JobReport], summary: GraphSummary, console: Console) -> None:
    read = sum(report.read for report in reports)
    written = sum(report.written for report in reports)
    rejected = sum(report.rejected for report in reports)
    console.print(
        f"\nRecords: {read} read, {written} written, {rejected} rejected", highlight=False
    )
    rejects = Table("line", "field", "found", "reason", title="Rejected", title_justify="left")
    for report in reports:
        for reject in report.errors:
            rejects.add_row(str(reject.line), reject.field, reject.found, reject.reason)
    console.print(rejects)
    graph = Table("nodes", "", "relationships", "", title="The graph", title_justify="left")
    sides = zip_longest(summary.nodes.items(), summary.relationships.items(), fillvalue=("", ""))
    for (label, nodes), (name, relationships) in sides:
        graph.add_row(label, str(nodes), name, str(relationships))
    console.print(graph)
    mistakes = Table(
        "knowledge point",
        "mistakes",
        "students",
        title="Most frequent mistakes",
        title_justify="left",
    )
    for entry in summary.frequent_mistakes[:10]:
        mistakes.add_row(
            entry.name or entry.knowledge_point, str(entry.mistakes), str(entry.students)
        )
    console.print(mistakes)


def _differences(reports: list[JobReport], summary: GraphSummary) -> list[str]:
    """Return the differences between the reports of the jobs and the graph, each as a sentence."""
    by_type: Counter[str] = Counter()
    for report in reports:
        by_type.update(report.by_type)
    messages = by_type["student_interaction"] + by_type["teacher_interaction"]
    wanted = {
        "Interaction": messages + by_type["post_record"],
        "ErrorRecord": by_type["error_record"],
        "CourseContent": by_type["course_content"],
        "Attempt": by_type["attempt_record"],
        "Membership": by_type["membership_record"],
    }
    wrong = []
    for label, number in wanted.items():
        found = summary.nodes.get(label, 0)
        if found != number:
            wrong.append(f"{found} {label} nodes instead of {number}")
    for report in reports[:-1]:  # the last file is broken on purpose
        if report.state != "succeeded":
            wrong.append(f"the import of {report.source} did not succeed")
    if not summary.frequent_mistakes:
        wrong.append("no mistake is linked to a knowledge point")
    return wrong
