"""`edugraph tasks show`: the state and the result of a task."""

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
    """Show the state and the result of one task. Exits with 1 if the task failed."""
    with plain_errors(), Client.from_environment() as client:
        print_task(client.task(task_id), as_json)


def result_of(client: Client, task_id: str, as_json: bool) -> Any:
    """Wait until a task has ended, and return its result. If it failed, print the task and end the command."""
    task = client.follow_task(task_id)
    if task["state"] != "SUCCESS":
        print_task(task, as_json)
    return task["result"]


def print_task(task: Mapping[str, Any], as_json: bool) -> NoReturn:
    """Print a task and end the command, with 1 if the task failed and 0 otherwise."""
    if as_json:
        show_json(task)
    else:
        say(f"Task {task['task_id']}: {task['state']}")
        for line in (task["error"], task["result"]):
            if line:
                say(f"  {line}")
    raise typer.Exit(FAILED if task["state"] == "FAILURE" else 0)


@app.callback()
def group() -> None:
    """Keep `show` a subcommand. Without this callback, typer makes the only command of an app the app itself."""
