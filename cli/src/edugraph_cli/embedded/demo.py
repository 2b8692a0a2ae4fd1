"""`edugraph demo`: the examples, imported and analysed by the real processes on the embedded servers.

It succeeds only if the graph holds what was printed.
"""

import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edugraph_cli.display import print_answer, say
from edugraph_cli.embedded.picture import write_picture
from edugraph_cli.embedded.servers import embedded_servers
from edugraph_cli.processes import NotReady
from edugraph_cli.progress import follow_job
from edugraph_cli.serving import Pools, serving
from edugraph_client import Client
from edugraph_common.contracts.api import GraphSummary
from edugraph_common.contracts.outcomes import JobReport

# The course texts come first: mistakes are linked to the knowledge points that were found in them.
FILES = (
    "courses.ndjson",
    "school_zh.ndjson",
    "school_en.ndjson",
    "answers.ndjson",
    "groups.ndjson",
    "activity.ndjson",
    "broken.ndjson",
)

# Three of the questions of insights, which this course can answer.
QUESTIONS, COURSE, SHOWN_ROWS = ("weak-points", "untaught-points", "trust"), "MATH8", 5


def demo(examples: Path, picture: Path, console: Console) -> int:
    """Run the demo and return its exit code."""
    begun = time.monotonic()
    console.print("Starting the embedded servers, gateway, insights and the workers …")
    try:
        with tempfile.TemporaryDirectory(prefix="edugraph-demo-") as folder:
            return _run(Path(folder), examples, picture, console, begun)
    except (NotReady, OSError, RuntimeError) as problem:
        console.print(f"[red]The demo could not start: {problem}[/red]", highlight=False)
        return 1


def _run(folder: Path, examples: Path, picture: Path, console: Console, begun: float) -> int:
    pools, logs = Pools(importer=1, analyzer=1), {"EDUGRAPH_LOG_FORMAT": "console"}
    with (
        embedded_servers(folder) as environment,
        serving({**environment, **logs}, folder / "logs", pools) as served,
        Client(served.url, insights_url=served.insights) as client,
    ):
        console.print(f"Ready after {time.monotonic() - begun:.1f} s. No server, no key, no network.\n")
        reports = []
        for name in FILES:
            job = client.import_file(examples / name, analyze=True)
            console.print(name, highlight=False)
            reports.append(follow_job(client, job.job_id, console))
        summary = client.graph_summary()
        _print_result(reports, summary, console)
        shown = write_picture(client.graph_picture(), picture)
        wrong = _differences(reports, summary)
        for question in QUESTIONS:
            answer = client.ask(question, course=COURSE)
            say(f"\nedugraph ask {question} course={COURSE}")
            print_answer(answer.model_copy(update={"rows": answer.rows[:SHOWN_ROWS]}))
            if not answer.rows:
                wrong.append(f"the question {question} has no answer for {COURSE}")
    console.print(f"\nTook {time.monotonic() - begun:.1f} s. A picture of the graph: {shown}", highlight=False)
    for line in wrong:
        console.print(f"[red]The graph does not hold what was reported: {line}[/red]")
    return 1 if wrong else 0


def _print_result(reports: list[JobReport], summary: GraphSummary, console: Console) -> None:
    total = Counter(
        {name: sum(getattr(report, name) for report in reports) for name in ("read", "written", "rejected")}
    )
    console.print(
        f"\nRecords: {total['read']} read, {total['written']} written, {total['rejected']} rejected", highlight=False
    )
    rejects = Table("line", "field", "found", "reason", title="Rejected", title_justify="left")
    for reject in (reject for report in reports for reject in report.errors):
        rejects.add_row(str(reject.line), reject.field, reject.found, reject.reason)
    console.print(rejects)
    graph = Table("nodes", "", "relationships", "", title="The graph", title_justify="left")
    nodes, relationships = list(summary.nodes.items()), list(summary.relationships.items())
    for row in range(max(len(nodes), len(relationships))):
        left = nodes[row] if row < len(nodes) else ("", "")
        right = relationships[row] if row < len(relationships) else ("", "")
        graph.add_row(left[0], str(left[1]), right[0], str(right[1]))
    console.print(graph)
    mistakes = Table("knowledge point", "mistakes", "students", title="Most frequent mistakes", title_justify="left")
    for entry in summary.frequent_mistakes[:10]:
        mistakes.add_row(entry.name or entry.knowledge_point, str(entry.mistakes), str(entry.students))
    console.print(mistakes)


def _differences(reports: list[JobReport], summary: GraphSummary) -> list[str]:
    """Say what a reader who counts would find wrong, in a sentence each."""
    by_type = sum((Counter(report.by_type) for report in reports), Counter())
    wanted = {
        "Interaction": by_type["student_interaction"] + by_type["teacher_interaction"],
        "ErrorRecord": by_type["error_record"],
        "CourseContent": by_type["course_content"],
        "Attempt": by_type["attempt_record"],
        "Membership": by_type["membership_record"],
    }
    wrong = [
        f"{summary.nodes.get(label, 0)} {label} nodes instead of {number}"
        for label, number in wanted.items()
        if summary.nodes.get(label, 0) != number
    ]
    unfinished = [r.source for r in reports[:-1] if r.state != "succeeded"]
    wrong += [f"the import of {source} did not succeed" for source in unfinished]
    if not summary.frequent_mistakes:
        wrong.append("no mistake is linked to a knowledge point")
    return wrong
