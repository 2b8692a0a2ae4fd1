"""`edugraph dead list|show|replay|drop`, by the gateway; `export|restore`, by the broker itself."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edugraph_cli.client import Client
from edugraph_cli.commands.topology import broker_settings
from edugraph_cli.display import INVALID, plain_errors, print_rows, say, show_json, stop

app = typer.Typer(no_args_is_help=True, help="Dead letters: what was given up, and what to do with it.")
Queue = Annotated[str, typer.Argument(help="the queue that the message was in: data_import, …")]
TaskId = Annotated[str | None, typer.Argument(help="the id of the task; left out, all of the queue")]
All = Annotated[bool, typer.Option("--all", help="all of the queue, where no task is named")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


@app.command("list")
def list_letters(
    queue: Annotated[str | None, typer.Argument(help="one queue only")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: Json = False,
) -> None:
    """The oldest, and how many there are."""
    with plain_errors(), Client.from_environment() as client:
        found = client.dead_letters(queue, limit)
    if as_json:
        show_json(found)
        return
    columns = ("queue", "task", "task id", "job", "tries", "died", "reason")
    letters = found["letters"]
    print_rows(
        columns,
        [
            tuple(letter[name] or "" for name in ("queue", "task", "task_id", "job_id", "tries", "died", "reason"))
            for letter in letters
        ],
    )
    say(", ".join(f"{queue} {number}" for queue, number in found["counts"].items()))


@app.command()
def show(
    queue: Queue, task_id: Annotated[str, typer.Argument(help="the id of the task")], as_json: Json = False
) -> None:
    """One dead letter with the arguments of its task, which may hold records."""
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
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="of all, how many at most")] = 100,
    as_json: Json = False,
) -> None:
    """Send it again, with no tries used up. Doing it twice changes nothing."""
    _one_or_all(task_id, everything=everything)
    with plain_errors(), Client.from_environment() as client:
        done = client.replay(queue, task_id, limit)
    if as_json:
        show_json(done)
    else:
        say(f"{done['replayed']} sent again, {done['skipped']} had succeeded meanwhile.")
        if done["left"]:
            say(f"{done['left']} cannot be sent again; look at them with `dead list`, then `dead drop` them.")


@app.command()
def drop(queue: Queue, task_id: TaskId = None, everything: All = False, as_json: Json = False) -> None:
    """Throw it away for good."""
    _one_or_all(task_id, everything=everything)
    with plain_errors(), Client.from_environment() as client:
        dropped = client.drop(queue, task_id)
    if as_json:
        show_json({"dropped": dropped})
    else:
        say(f"{dropped} dropped.")


@app.command()
def export(queue: Queue) -> None:
    """All dead letters of a queue on standard output, a line each, with their records; they stay where they are."""
    from edugraph_common.messaging.dead_letter_archive import export as exported

    settings = broker_settings()
    with plain_errors():
        for line in exported(settings, queue):
            sys.stdout.write(f"{line}\n")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="what `dead export` wrote")],
    as_json: Json = False,
) -> None:
    """Put exported dead letters back to where they were; then look at them, and replay them."""
    from edugraph_common.messaging.dead_letter_archive import restore as put_back

    settings = broker_settings()
    with plain_errors(), file.open(encoding="utf-8") as lines:
        restored = put_back(settings, lines)
    if as_json:
        show_json(restored)
    else:
        say(", ".join(f"{queue} {number}" for queue, number in restored.items()) or "The file is empty.")


def _one_or_all(task_id: str | None, *, everything: bool) -> None:
    if (task_id is None) != everything:
        stop("Name one task, or say --all.", INVALID)
