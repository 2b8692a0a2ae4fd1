"""`edugraph pull folder`: one round of a connector, for cron or a CronJob."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from edugraph_cli.display import (
    FAILED,
    INVALID,
    err,
    plain_errors,
    print_rows,
    say,
    show_json,
    stop,
)
from edugraph_cli.options import Json
from edugraph_cli.pulling.folders import Folder
from edugraph_cli.pulling.rounds import CannotRead, Round, pull
from edugraph_client import Client

app = typer.Typer(
    no_args_is_help=True,
    help="Fetch what is new at a source, and import it. Let cron or a CronJob call these commands.",
)
SourceArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="the source (`edugraph sources list`)")
]
Analyze = Annotated[bool, typer.Option("--analyze", help="also let the model read the texts")]


@app.command("folder")
def pull_folder(
    name: SourceArgument,
    folder: Annotated[str, typer.Argument(help="a folder, or a prefix such as s3://exports/lms")],
    analyze: Analyze = False,
    as_json: Json = False,
) -> None:
    """Import each file that is new or has changed since the last round, once.

    Exits with 1 if a file could not be read or was refused. Such a file is tried again in the next round.
    """
    try:
        parts = Folder(folder, datetime.now(UTC)).parts()
    except CannotRead as problem:
        stop(str(problem), INVALID)
    with plain_errors(), Client.from_environment() as client:
        source = client.source(name)
        cursor = client.source_cursor(name)
        there = {part.place for part in parts}
        # An empty listing may be a folder that is not mounted. Nothing is forgotten then.
        done = pull(
            client,
            source,
            cursor,
            parts,
            kept=lambda place: not there or place in there,
            analyze=analyze,
        )
    _finish(done, as_json=as_json)


def _finish(done: Round, *, as_json: bool) -> None:
    """Print a round, and end the command with its exit code."""
    if as_json:
        show_json({"jobs": done.jobs, "problems": done.problems})
    else:
        if done.jobs:
            print_rows(("imported", "job"), list(done.jobs.items()))
        else:
            say("There was nothing new.")
        for problem in done.problems:
            err.print(problem, style="bold red", markup=False, highlight=False, soft_wrap=True)
    if done.problems:
        raise typer.Exit(FAILED)
