"""`edugraph jobs list|show|rejects|cancel|resume|delete`."""

import sys
from typing import Annotated

import typer

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
from edugraph_cli.options import Follow, Json, Yes
from edugraph_cli.progress import follow_job
from edugraph_client import Client
from edugraph_common.contracts.outcomes import JobReport, JobState

app = typer.Typer(
    no_args_is_help=True, help="Jobs: imports and analyses, with their state and results."
)
JobId = Annotated[str, typer.Argument(help="the id of the job")]


@app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="show the page after the one that printed this cursor")
    ] = None,
    state: Annotated[JobState | None, typer.Option(help="only jobs in this state")] = None,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first."""
    with plain_errors(), Client.from_environment() as client:
        reports, following = client.job_page(limit, cursor, state)
    if following:
        err.print(f"more: --cursor {following}", markup=False, highlight=False)
    if as_json:
        show_json([report.model_dump(mode="json") for report in reports])
        return
    numbers = ("read", "written", "rejected", "failed")
    columns = ("job", "state", "kind", *numbers, "created", "file", "source")
    rows = []
    for report in reports:
        counts = (report.read, report.written, report.rejected, report.failed)
        rows.append(
            (
                report.job_id,
                report.state,
                report.kind,
                *counts,
                f"{report.created:%F %T}",
                report.source,
                report.source_name,
            )
        )
    print_rows(columns, rows)


@app.command()
def show(job_id: JobId, follow: Follow = False, as_json: Json = False) -> None:
    """Show one job. Exits with 1 if the job failed or partly failed."""
    with plain_errors(), Client.from_environment() as client:
        if follow:
            report = follow_job(client, job_id, err if as_json else out)
        else:
            report = client.job(job_id)
    if as_json:
        show_json(report.model_dump(mode="json"))
    else:
        print_report(report)
    raise typer.Exit(FAILED if report.state in ("failed", "partly failed") else 0)


@app.command()
def rejects(job_id: JobId) -> None:
    """Print all rejected records as NDJSON. To import them, correct the records in `raw`."""
    with plain_errors(), Client.from_environment() as client, client.rejects(job_id) as chunks:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


@app.command()
def cancel(job_id: JobId, as_json: Json = False) -> None:
    """Stop a job. Batches that have not begun are not imported; records that are written stay."""
    with plain_errors(), Client.from_environment() as client:
        report = client.cancel(job_id)
    _show_state(report, as_json=as_json)


@app.command()
def resume(job_id: JobId, as_json: Json = False) -> None:
    """Continue a job that was cancelled or that has failures."""
    with plain_errors(), Client.from_environment() as client:
        report = client.resume(job_id)
    _show_state(report, as_json=as_json)


@app.command()
def delete(job_id: JobId, yes: Yes = False, as_json: Json = False) -> None:
    """Delete the file, rejects and report of a job that has ended. The records that it wrote stay in the graph."""
    if not yes:
        typer.confirm(f"Delete the file, the rejects and the report of job {job_id}?", abort=True)
    with plain_errors(), Client.from_environment() as client:
        client.delete_job(job_id)
    if as_json:
        show_json({"deleted": job_id})
    else:
        say(f"Job {job_id} is deleted; what it wrote is still in the graph.")


def _show_state(report: JobReport, *, as_json: bool) -> None:
    if as_json:
        show_json(report.model_dump(mode="json"))
    else:
        say(f"Job {report.job_id}: {report.state}")
