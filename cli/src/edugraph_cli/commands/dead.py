"""`edugraph dead list|show|replay|drop` use the gateway; `dead export|restore` read and write the store directly."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edugraph_cli.commands.topology import broker_settings
from edugraph_cli.display import INVALID, plain_errors, print_rows, say, show_json, stop
from edugraph_cli.options import Json
from edugraph_client import Client
from edugraph_common.contracts.routes import QUEUES

app = typer.Typer(
    no_args_is_help=True, help="Dead letters: messages whose task failed permanently."
)
QueueName = StrEnum("QueueName", {name.upper(): name for name in QUEUES})  # type: ignore[misc]
Queue = Annotated[QueueName, typer.Argument(help="the queue that the message was in")]
TaskId = Annotated[str | None, typer.Argument(help="the id of the task; without it, give --all")]
All = Annotated[bool, typer.Option("--all", help="all dead letters of the queue")]


@app.command("list")
def list_letters(
    queue: Annotated[
        QueueName | None, typer.Argument(help="only dead letters of this queue")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: Json = False,
) -> None:
    """List the oldest dead letters, and count all of them by queue."""
    with plain_errors(), Client.from_environment() as client:
        found = client.dead_letters(queue, limit)
    if as_json:
        show_json(found)
        return
    fields = ("queue", "task", "task_id", "job_id", "tries", "died", "reason")
    columns = ("queue", "task", "task id", "job", "tries", "died", "reason")
    rows = []
    for letter in found["letters"]:
        rows.append([letter[name] or "" for name in fields])
    print_rows(columns, rows)
    say(", ".join(f"{queue} {number}" for queue, number in found["counts"].items()))


@app.command()
def show(
    queue: Queue,
    task_id: Annotated[str, typer.Argument(help="the id of the task")],
    as_json: Json = False,
) -> None:
    """Show one dead letter with the arguments of its task, which may hold records."""
    with plain_errors(), Client.from_environment() as client:
        found = client.dead_letter(queue, task_id)
    if as_json:
        show_json(found)
        return
    for name, value in found["letter"].items():
        say(f"{name}: {value}")
    show_json(found["arguments"])


@app.command()
def replay(
    queue: Queue,
    task_id: TaskId = None,
    everything: All = False,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000, help="the largest number of letters, with --all")
    ] = 100,
    as_json: Json = False,
) -> None:
    """Send dead letters again, each with all its tries. Sending one twice changes nothing."""
    _check_one_or_all(task_id, everything=everything)
    with plain_errors(), Client.from_environment() as client:
        done = client.replay(queue, task_id, limit)
    if as_json:
        show_json(done)
    else:
        say(f"{done['replayed']} were sent again, {done['skipped']} had succeeded meanwhile.")
        if done["left"]:
            say(
                f"{done['left']} cannot be sent again: look at them with `dead list`, then use `dead drop`."
            )


@app.command()
def drop(
    queue: Queue, task_id: TaskId = None, everything: All = False, as_json: Json = False
) -> None:
    """Delete dead letters permanently."""
    _check_one_or_all(task_id, everything=everything)
    with plain_errors(), Client.from_environment() as client:
        dropped = client.drop(queue, task_id)
    if as_json:
        show_json({"dropped": dropped})
    else:
        say(f"{dropped} were deleted.")


@app.command()
def export(queue: Queue) -> None:
    """Print all dead letters of a queue, one on each line, with their records. The letters stay."""
    from edugraph_common.runtime.messaging.dead_letter_store import open_dead_letters
    from edugraph_common.runtime.messaging.dead_letters import take_in

    settings = broker_settings()
    with plain_errors():
        store = open_dead_letters(settings)
        take_in(settings, store)
        for line in store.export(queue):
            sys.stdout.write(f"{line}\n")


@app.command()
def restore(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="the file that `dead export` wrote")
    ],
    as_json: Json = False,
) -> None:
    """Store exported dead letters again, to show and replay them. A letter that exists is replaced."""
    from edugraph_common.runtime.messaging.dead_letter_store import open_dead_letters

    settings = broker_settings()
    with plain_errors(), file.open(encoding="utf-8") as lines:
        restored = open_dead_letters(settings).restore(lines)
    if as_json:
        show_json(restored)
    else:
        say(
            ", ".join(f"{queue} {number}" for queue, number in restored.items())
            or "The file is empty."
        )


def _check_one_or_all(task_id: str | None, *, everything: bool) -> None:
    if (task_id is None) != everything:
        stop("Give the id of one task, or --all.", INVALID)
