"""`edugraph jobs list|show|rejects|cancel|resume`."""

import sys
from enum import StrEnum
from typing import Annotated, get_args

import typer

from edugraph_cli.client import Client
from edugraph_cli.display import (
    FAILED,
    err,
    out,
    plain_errors,
    print_report,
    print_rows,
    say,
    show_json,
)
from edugraph_cli.progress import follow_job
from edugraph_common.contracts.outcomes import JobReport, JobState

app = typer.Typer(no_args_is_help=True, help="Jobs: what is done, what is stuck, what failed.")
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
StateName = StrEnum("StateName", {name.replace(" ", "_").upper(): name for name in get_args(JobState)})  # type: ignore[misc]
JobId = Annotated[str, typer.Argument(help="the id of the job")]


@app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    offset: Annotated[int, typer.Option(min=0)] = 0,
    state: Annotated[StateName | None, typer.Option(help="only jobs in this state")] = None,
    as_json: Json = False,
) -> None:
    """The newest jobs."""
    with plain_errors(), Client.from_environment() as client:
        reports = client.jobs(limit, offset, next((each for each in get_args(JobState) if each == state), None))
    if as_json:
        show_json([report.model_dump(mode="json") for report in reports])
        return
    columns = ("job", "state", "kind", "read", "written", "rejected", "failed", "created", "source")
    print_rows(
        columns,
        [
            (r.job_id, r.state, r.kind, r.read, r.written, r.rejected, r.failed, f"{r.created:%F %T}", r.source)
            for r in reports
        ],
    )


@app.command()
def show(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="stay until the job has ended")] = False,
    as_json: Json = False,
) -> None:
    """One job. Exits with 1 for a job that failed or partly failed."""
    with plain_errors(), Client.from_environment() as client:
        report = follow_job(client, job_id, err if as_json else out) if follow else client.job(job_id)
    if as_json:
        show_json(report.model_dump(mode="json"))
    else:
        print_report(report)
    raise typer.Exit(FAILED if report.state in ("failed", "partly failed") else 0)


@app.command()
def rejects(job_id: JobId) -> None:
    """All records that were set aside, as NDJSON on standard output: correct `raw` and send it again."""
    with plain_errors(), Client.from_environment() as client, client.rejects(job_id) as pieces:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@app.command()
def cancel(job_id: JobId, as_json: Json = False) -> None:
    """Stop what has not begun; what is done is kept."""
    with plain_errors(), Client.from_environment() as client:
        report = client.cancel(job_id)
    _show_state(report, as_json=as_json)


@app.command()
def resume(job_id: JobId, as_json: Json = False) -> None:
    """Do the rest of a job that was cancelled, or of one with failures."""
    with plain_errors(), Client.from_environment() as client:
        report = client.resume(job_id)
    _show_state(report, as_json=as_json)


def _show_state(report: JobReport, *, as_json: bool) -> None:
    if as_json:
        show_json(report.model_dump(mode="json"))
    else:
        say(f"Job {report.job_id}: {report.state}")
