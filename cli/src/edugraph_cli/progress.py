"""Following a job: bars on a terminal, a line for each change in a pipe. What is shown never goes backwards."""

from collections.abc import Callable, Iterator
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

from edugraph_cli.client import Client
from edugraph_common.contracts.outcomes import ENDED, JobReport


@dataclass
class Steps:
    """How far a job is, in steps that only grow. `total` is None as long as nobody can know it."""

    batches: int = 0
    batches_total: int | None = None
    analysed: int = 0
    analysed_total: int | None = None

    def take(self, report: JobReport) -> None:
        analysis, ended = report.analysis, report.state in ENDED
        imported = ended or (report.batches > 0 and report.batches_done >= report.batches)
        self.batches = max(self.batches, report.batches_done)
        if report.batches:
            self.batches_total = report.batches
        self.analysed = max(self.analysed, analysis.done + analysis.failed)
        # More is asked for with each batch, so the total is known only when all batches are in.
        if analysis.expected and (imported or report.kind == "analysis"):
            self.analysed_total = max(self.analysed, analysis.expected)


def follow_job(client: Client, job_id: str, console: Console) -> JobReport:
    """Returns the report of the end. Raises what the client raises."""
    if console.is_terminal:
        return _follow_with_bars(client, job_id, console)
    return _follow_with_lines(client.follow(job_id), console)


def upload_bar(console: Console, name: str, size: int) -> tuple[Progress, Callable[[int], None]]:
    """A bar for bytes sent; silent in a pipe."""
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


def _follow_with_bars(client: Client, job_id: str, console: Console) -> JobReport:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    steps, last = Steps(), None
    with Progress(*columns, console=console) as progress:
        bars: dict[str, TaskID] = {}
        for report in client.follow(job_id):
            steps.take(report)
            _draw(progress, bars, steps, report)
            last = report
    return _ended(last)


def _draw(progress: Progress, bars: dict[str, TaskID], steps: Steps, report: JobReport) -> None:
    if report.kind == "import":
        note = f"{report.read:,} records" if report.read else _state(report)
        _bar(progress, bars, "Importing", done=steps.batches, total=steps.batches_total, note=note)
    if report.analysis.expected:
        _bar(progress, bars, "Analysing", done=steps.analysed, total=steps.analysed_total, note=_state(report))


def _bar(progress: Progress, bars: dict[str, TaskID], name: str, *, done: int, total: int | None, note: str) -> None:
    if name not in bars:
        bars[name] = progress.add_task(name, total=total, note=note)
    progress.update(bars[name], completed=done, total=total, note=note)


def _follow_with_lines(reports: Iterator[JobReport], console: Console) -> JobReport:
    steps, last, shown = Steps(), None, ""
    for report in reports:
        steps.take(report)
        last, line = report, one_line(report, steps)
        if line != shown:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            shown = line
    return _ended(last)


def one_line(report: JobReport, steps: Steps) -> str:
    """A job's progress in one line of plain text."""
    parts = [_state(report)]
    if report.kind == "import" and steps.batches_total:
        parts.append(f"batch {steps.batches} of {steps.batches_total}")
        parts.append(f"{report.read} read, {report.written} written, {report.unchanged} unchanged")
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


def _ended(report: JobReport | None) -> JobReport:
    if report is None:
        raise RuntimeError("a followed job has at least one report")
    return report
