"""Following a job: bars on a terminal, a line for each change in a pipe. What is shown never goes backwards."""

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
    """How far a job is, in steps that only grow. A total is None as long as nobody can know it."""

    batches: int = 0
    batches_total: int | None = None
    analysed: int = 0
    analysed_total: int | None = None

    def update(self, report: JobReport) -> None:
        """Move forward to what the report says, and never back."""
        analysis, ended = report.analysis, report.state in ENDED
        imported = ended or (report.batches > 0 and report.batches_done >= report.batches)
        self.batches = max(self.batches, report.batches_done)
        if report.batches:
            self.batches_total = report.batches
        self.analysed = max(self.analysed, analysis.done + analysis.failed)
        # Each batch asks for more analyses, so their total is known only when all batches are written.
        if analysis.expected and (imported or report.kind == "analysis"):
            self.analysed_total = max(self.analysed, analysis.expected)


def follow_job(client: Client, job_id: str, console: Console) -> JobReport:
    """Show the job's progress and return its last report. Raises what the client raises."""
    steps, last, shown = Steps(), None, ""
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
            last, line = report, one_line(report, steps)
            if console.is_terminal:
                if report.kind == "import":
                    note = f"{report.read:,} records" if report.read else _state(report)
                    draw("Importing", steps.batches, steps.batches_total, note)
                if report.analysis.expected:
                    draw("Analysing", steps.analysed, steps.analysed_total, _state(report))
            elif line != shown:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
                shown = line
    if last is None:
        raise RuntimeError("the client ended without a report, although every job has at least one")
    return last


def upload_bar(console: Console, name: str, size: int) -> tuple[Progress, Callable[[int], None]]:
    """Return a bar for the bytes sent, and the function that moves it. In a pipe nothing is shown."""
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
    """Return a job's progress as one line of plain text."""
    parts = [_state(report)]
    if report.kind == "import" and steps.batches_total:
        parts.append(f"batch {steps.batches} of {steps.batches_total}")
        parts.append(f"{report.read} read, {report.written} written, {report.unchanged} unchanged")
        for name, number in report.outcomes.items():
            if number and name in ("replaced", "older", "taken back"):
                parts[-1] += f", {number} {name}"
        not_relevant = sum(report.not_relevant.values())
        parts.append(
            f"{report.rejected} rejected, {report.failed} failed"
            + (f", {not_relevant} not relevant" if not_relevant else "")
        )
    if report.analysis.expected:
        of_total = f" of {steps.analysed_total}" if steps.analysed_total else ""
        parts.append(f"{steps.analysed}{of_total} analysed")
    return " · ".join(parts)


def _state(report: JobReport) -> str:
    return f"waiting: {report.waiting_for}" if report.waiting_for else report.state
