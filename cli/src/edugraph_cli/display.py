"""What commands print: tables for people, JSON for programs, one sentence and an exit code when it did not work.

Exit codes: 0 done; 1 the job failed or partly failed; 2 wrong usage or input; 3 the gateway or a server does not
answer, or says: not now; 4 not allowed.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edugraph_cli.client import Refused, Unreachable
from edugraph_common.contracts.errors import Failure, Retryable
from edugraph_common.contracts.outcomes import JobReport

FAILED, INVALID, UNAVAILABLE, FORBIDDEN = 1, 2, 3, 4
SHOWN_REJECTS = 10

out = Console()
err = Console(stderr=True)


def stop(sentence: str, code: int) -> NoReturn:
    err.print(sentence, style="bold red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


@contextmanager
def plain_errors() -> Iterator[None]:
    """What can go wrong with a server becomes one sentence and an exit code."""
    try:
        yield
    except Unreachable as error:
        stop(str(error), UNAVAILABLE)
    except Refused as error:
        stop(error.detail, _code(error.status))
    except Retryable as error:
        stop(error.reason, UNAVAILABLE)
    except Failure as error:
        stop(error.reason, INVALID)


def show_json(value: Any) -> None:
    """One JSON document on standard output, for programs."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def print_table(title: str, rows: Mapping[str, Any], console: Console | None = None) -> None:
    """The title is a line of its own: as the table's, it would be broken at the width of a narrow table."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows.items():
        table.add_row(Text(name), f"{value:,}" if isinstance(value, int) else str(value))
    console = console or out
    console.print(Text(title, style="italic"))
    console.print(table)


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on a terminal, tab-separated lines in a pipe."""
    if not out.is_terminal:
        for row in rows:
            sys.stdout.write("\t".join(str(cell) for cell in row) + "\n")
        return
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(_escaped(cell) for cell in row))
    out.print(table)


def print_report(report: JobReport) -> None:
    """A job's whole report."""
    say(f"Job {report.job_id} ({report.source}): {report.state}")
    for sentence in filter(None, (report.waiting_for, report.error)):
        say(f"  {sentence}")
    if report.kind == "import":
        counts = ("read", "written", "unchanged", "rejected", "failed")
        not_relevant = {"not relevant": sum(report.not_relevant.values())}
        print_table("Records", {name: getattr(report, name) for name in counts} | not_relevant)
    if report.by_type:
        print_table("Written, by type", report.by_type)
    if report.not_relevant:
        most_frequent_first = sorted(report.not_relevant.items(), key=lambda entry: -entry[1])
        print_table("Not relevant, by name", dict(most_frequent_first))
    if report.reasons:
        print_table("Set aside, by reason", report.reasons)
    for reject in report.errors[:SHOWN_REJECTS]:
        say(f"  line {reject.line}: {reject.field} {reject.reason} (expected {reject.expected})")
    if report.rejected:
        say(f"  all of them: edugraph jobs rejects {report.job_id}")
    if report.analysis.expected:
        print_table("Analysis", report.analysis.model_dump())
    say(f"Took {seconds(report.created, report.finished or report.updated):.1f} s")


def say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()


def exit_code(report: JobReport) -> int:
    return 0 if report.state == "succeeded" else FAILED


def _code(status: int) -> int:
    if status in (401, 403):
        return FORBIDDEN
    return UNAVAILABLE if status in (429, 500, 502, 503, 504) else INVALID


def _escaped(cell: Any) -> str:
    from rich.markup import escape

    return escape(f"{cell:,}" if isinstance(cell, int) else str(cell))
