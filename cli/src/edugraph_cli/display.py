"""The output of commands: tables for people, JSON for programs, and one sentence with an exit code for a failure.

The exit codes: 0 the command did its work; 1 the job failed or partly failed; 2 the usage or the input is wrong;
3 the gateway or a server does not answer, or refuses for now; 4 the caller is not allowed to.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edugraph_client import Answer, Refused, Unreachable
from edugraph_common.contracts.errors import Failure, Retryable
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE, source_and_id

FAILED = 1
INVALID = 2
UNAVAILABLE = 3
FORBIDDEN = 4
SHOWN_REJECTS = 10
# Columns with an estimate. The columns `low` and `high` of their rows are the ends of its 95 % interval.
ESTIMATES = ("probability", "mastery")
# Columns with the key of a record or of a thread of posts.
KEYS = ("record", "quote_record", "reply_to", "thread")
# Columns that are left out: the address of other rows, and the parts of the name of a record.
NOT_SHOWN = ("evidence", "source_name", "sent_id")
# A column with the keys of several records, or in other answers their number.
RECORDS = "records"
# An estimate is shown if half the width of its interval is at most this.
WIDEST_SHOWN = 0.25

out = Console()
err = Console(stderr=True)


def stop(sentence: str, code: int) -> NoReturn:
    """End the command with one sentence on standard error."""
    err.print(sentence, style="bold red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the command with one sentence and an exit code if a server refuses or does not answer."""
    try:
        yield
    except Unreachable as error:
        stop(str(error), UNAVAILABLE)
    except Refused as error:
        if error.status in (401, 403):
            stop(error.detail, FORBIDDEN)
        if error.status in (429, 500, 502, 503, 504):
            stop(error.detail, UNAVAILABLE)
        stop(error.detail, INVALID)
    except Retryable as error:
        stop(error.reason, UNAVAILABLE)
    except Failure as error:
        stop(error.reason, INVALID)


def show_json(value: Any) -> None:
    """Print one JSON document on standard output, for programs."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def print_table(title: str, rows: Mapping[str, Any]) -> None:
    """Print names with their values below a title.

    The title is a line of its own, since rich would break the title of a table at the width of a narrow table.
    """
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows.items():
        table.add_row(Text(name), _number_or_text(value))
    out.print(Text(title, style="italic"))
    out.print(table)


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table on a terminal, tab-separated lines in a pipe."""
    if not out.is_terminal:
        for row in rows:
            sys.stdout.write("\t".join(str(cell) for cell in row) + "\n")
        return
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(_number_or_text(cell)) for cell in row))
    out.print(table)


def _number_or_text(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def print_report(report: JobReport) -> None:
    """Print the whole report of a job."""
    say(f"Job {report.job_id} ({report.source}, source {report.source_name}): {report.state}")
    for sentence in (report.waiting_for, report.error):
        if sentence:
            say(f"  {sentence}")
    if report.kind == "import":
        print_counts(report)
    if report.by_type:
        print_table("Written, by type", report.by_type)
    if report.not_relevant:
        most_frequent_first = sorted(report.not_relevant.items(), key=lambda entry: -entry[1])
        print_table("Not relevant, by name", dict(most_frequent_first))
    if report.reasons:
        print_table("Rejected, by reason", report.reasons)
    for reject in report.errors[:SHOWN_REJECTS]:
        say(f"  {reject.place}: {reject.field} {reject.reason} (expected {reject.expected})")
    if report.rejected:
        say(f"  To list all of them: edugraph jobs rejects {report.job_id}")
    if report.analysis.expected:
        print_table("Analysis", report.analysis.model_dump())
    _print_read_before(report)
    ended = report.finished or report.updated
    say(f"Took {(ended - report.created).total_seconds():.1f} s")


def _print_read_before(report: JobReport) -> None:
    """Print how texts are read again that were read before this import stated points of their course."""
    for course, texts in report.read_before.items():
        say(f"{texts:,} texts of course {course} were read before these points were known. To read")
        say(f"them again, at a price that is shown first: edugraph curriculum read-again {course}")


def print_set(files: Sequence[tuple[str, str | None, JobReport | None]]) -> None:
    """Print one table of several files: (name, why it was not sent, report of its job if it was followed)."""
    outcomes = (
        "written",
        "replaced",
        "unchanged",
        "older",
        "taken back",
        "rejected",
        "failed",
        "not relevant",
    )
    columns = ("file", "state", "read", *outcomes)
    rows = list[list[Any]]()
    for name, error, report in files:
        if report is None:
            rows.append([name, "not sent" if error else "accepted", "–", *["–" for _ in outcomes]])
        else:
            counts = [report.outcomes[outcome] for outcome in outcomes]
            rows.append([name, report.state, report.read, *counts])
    print_rows(columns, rows)
    for name, error, report in files:
        if error:
            say(f"{name}: {error}")
        elif report and (report.error or report.rejected):
            say(
                f"{name}: {report.error or 'some rows were rejected'}; edugraph jobs show {report.job_id}"
            )


def print_counts(report: JobReport) -> None:
    """Print the outcomes of the rows of an import, and how many rows were not read."""
    print_table("Records", {"read": report.read, **report.outcomes})
    if report.taken_back:
        say(
            f"  A withdrawal keeps {report.taken_back:,} rows out; a later change brings such a record back"
        )
    if report.expected > report.read:
        say(f"  {report.expected - report.read:,} of {report.expected:,} rows were not read")
    total = sum(report.outcomes.values())
    if total != report.read:
        say(
            f"  These counts add up to {total:,} and not to {report.read:,}; please report this as a bug"
        )


def print_answer(answer: Answer) -> None:
    """Print the rows of an answer, how they are computed, and the totals."""
    say(answer.question)
    rows = answer.rows
    columns: list[str] = []
    if rows:
        columns = [name for name in rows[0] if name not in NOT_SHOWN]
        if answer.exact:
            columns = [name for name in columns if name != "noise"]
    cells = []
    for row in rows:
        cells.append([_cell_of(row, name) for name in columns])
    print_rows(columns, cells)
    if not rows:
        say("  (no rows)")
    say(f"Computed: {answer.computed_by}")
    for title, numbers in (("Of how many", answer.of_how_many), ("Left out", answer.left_out)):
        if numbers:
            counts = [f"{name} {number:,}" for name, number in numbers.items()]
            say(f"{title}: {', '.join(counts)}")
    if answer.protection:
        say(answer.protection)
    about = "" if answer.exact else "; not exact"
    say(f"As of {answer.as_of:%FT%H:%M}{about}")


def _cell_of(row: Mapping[str, Any], name: str) -> Any:
    """Return a value of a row in a form that is easy to read. An estimate that is not sure enough is not shown."""
    if name in KEYS and row[name] is not None:
        return record_name(row[name])
    if name == RECORDS and isinstance(row[name], list):
        return _cell([record_name(key) for key in row[name]])
    if name in ESTIMATES and row[name] is not None:
        half_width = (row["high"] - row["low"]) / 2
        if half_width > WIDEST_SHOWN:
            return "too few for an estimate"
    return _cell(row[name])


def _cell(value: Any) -> Any:
    """Return a value in a form that is easy to read."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return value


def record_name(key: str) -> str:
    """Return what people call a record or a thread: the id that its source gave it, and the name of the source."""
    source, sent_id = source_and_id(key)
    if source == DEFAULT_SOURCE:
        return sent_id
    return f"{sent_id} (source {source})"


def say(text: str) -> None:
    """Print a line as it is, without the markup and line breaks of rich."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def exit_code(report: JobReport) -> int:
    """Return the exit code of a command that waited for the end of this job."""
    if report.state == "succeeded":
        return 0
    return FAILED
