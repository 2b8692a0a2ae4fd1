"""`edugraph imports undo`: take back a whole import."""

import typer

from edugraph_cli.commands import tasks
from edugraph_cli.commands.jobs import JobId
from edugraph_cli.display import plain_errors, say, show_json
from edugraph_cli.options import Json, Yes
from edugraph_client import Client

app = typer.Typer(no_args_is_help=True, help="Whole imports.")


@app.command()
def undo(job_id: JobId, yes: Yes = False, as_json: Json = False) -> None:
    """Take back what an import wrote. The graph is then that of the other imports. The source must still be kept."""
    if not yes:
        typer.confirm(f"Take back all that job {job_id} wrote?", abort=True, err=True)
    with plain_errors(), Client.from_environment() as client:
        result = tasks.result_of(client, client.undo(job_id).task_id, as_json)
    if as_json:
        show_json(result)
        return
    say(
        f"{result['taken_back']} records were taken back, and of {result['came_back']} another version is there now."
    )
    if result["not_restored"]:
        say(
            f"{result['not_restored']} records are gone although another import brought an earlier version: its "
            "rows are not kept any more. Import its file again."
        )
        say(f"  Some of them: {', '.join(result['not_restored_ids'])}")
    if result["activities_left"]:
        say(
            f"The minutes of {result['activities_left']} activities stay: nothing tells them from those of others."
        )


@app.callback()
def group() -> None:
    """Keep `undo` a subcommand. Without this callback, typer makes the only command of an app the app itself."""
