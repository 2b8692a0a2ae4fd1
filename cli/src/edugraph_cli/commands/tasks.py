"""`edugraph tasks show`."""

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import typer

from edugraph_cli.display import FAILED, plain_errors, say, show_json
from edugraph_cli.options import Json
from edugraph_client import Client

app = typer.Typer(no_args_is_help=True, help="Single tasks, by their ids.")


@app.command()
def show(
    task_id: Annotated[str, typer.Argument(help="the id of the task")],
    as_json: Json = False,
) -> None:
    """Show the state and the result of one task. Exits with 1 for a task that failed."""
    with plain_errors(), Client.from_environment() as client:
        print_task(client.task(task_id), as_json)


def result_of(client: Client, task_id: str, as_json: bool) -> Any:
    """Wait until a task is done, and return its result; print any other end of it, and end the command."""
    task = client.follow_task(task_id)
    if task["state"] != "SUCCESS":
        print_task(task, as_json)
    return task["result"]


def print_task(task: Mapping[str, Any], as_json: bool) -> NoReturn:
    """Print the task and end the command, with 1 for a task that failed and 0 for any other."""
    if as_json:
        show_json(task)
    else:
        say(f"Task {task['task_id']}: {task['state']}")
        for line in filter(None, (task["error"], task["result"])):
            say(f"  {line}")
    raise typer.Exit(FAILED if task["state"] == "FAILURE" else 0)


@app.callback()
def group() -> None:
    """Keep `show` a subcommand: typer would make the only command of an app the app itself."""
