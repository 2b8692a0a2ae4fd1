"""Show the progress of a job: bars on a terminal, a line for each change in a pipe. It never goes backwards."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from edugraph_client import Client
from edugraph_common.contracts.outcomes import ENDED, JobReport


@dataclass
class Steps:
    """The progress of a job, in numbers that only grow. A total is None as long as it is not known."""

    batches: int = 0
    batches_total: int | None = None
    analysed: int = 0
    analysed_total: int | None = None

    def update(self, report: JobReport) -> None:
        """Take over the numbers of a report, unless they are lower than those so far."""
        analysis = report.analysis
        all_batches_written = report.batches > 0 and report.batches_done >= report.batches
        is_imported = report.state in ENDED or all_batches_written
        self.batches = max(self.batches, report.batches_done)
        if report.batches:
            self.batches_total = report.batches
        self.analysed = max(self.analysed, analysis.done + analysis.failed)
        # Each batch asks for more analyses, so their total is known only when all batches are written.
        is_total_known = is_imported or report.kind == "analysis"
        if analysis.expected and is_total_known:
            self.analysed_total = max(self.analysed, analysis.expected)


def follow_job(client: Client, job_id: str, console: Console) -> JobReport:
    """Show the progress of a job until its end, and return its last report. Raises Refused and Unreachable."""
    steps = Steps()
    last: JobReport | None = None
    shown = ""
    bars: dict[str, TaskID] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def draw(name: str, done: int, total: int | None, note: str) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, total=total, note=note)
            progress.update(bars[name], completed=done, total=total, note=note)

        for report in client.follow(job_id):
            steps.update(report)
            last = report
            if not console.is_terminal:
                line = one_line(report, steps)
                if line != shown:
                    console.print(line, markup=False, highlight=False, soft_wrap=True)
                    shown = line
                continue
            if report.kind == "import":
                note = f"{report.read:,} records" if report.read else _state(report)
                draw("Importing", steps.batches, steps.batches_total, note)
            if report.analysis.expected:
                draw("Analysing", steps.analysed, steps.analysed_total, _state(report))
    if last is None:
        raise RuntimeError("the client ended without a report, although every job has at least one")
    return last


def upload_bar(console: Console, name: str, size: int) -> tuple[Progress, Callable[[int], None]]:
    """Return a bar for the bytes sent, and the function that moves it. A pipe shows no bar."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = progress.add_task(f"Sending {name}", total=size or None)
    return progress, lambda length: progress.advance(task, length)


def one_line(report: JobReport, steps: Steps) -> str:
    """Return the progress of a job as one line of plain text."""
    parts = [_state(report)]
    if report.kind == "import" and steps.batches_total:
        parts.append(f"batch {steps.batches} of {steps.batches_total}")
        written = f"{report.read} read, {report.written} written, {report.unchanged} unchanged"
        for name, number in report.outcomes.items():
            if number and name in ("replaced", "older", "taken back"):
                written += f", {number} {name}"
        parts.append(written)
        not_written = f"{report.rejected} rejected, {report.failed} failed"
        not_relevant = sum(report.not_relevant.values())
        if not_relevant:
            not_written += f", {not_relevant} not relevant"
        parts.append(not_written)
    if report.analysis.expected:
        analysed = str(steps.analysed)
        if steps.analysed_total:
            analysed += f" of {steps.analysed_total}"
        parts.append(f"{analysed} analysed")
    return " · ".join(parts)


def _state(report: JobReport) -> str:
    if report.waiting_for:
        return f"waiting: {report.waiting_for}"
    return report.state
