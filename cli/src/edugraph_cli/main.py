"""`edugraph`: the client of the gateway, and the operator's tool."""

import importlib
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from edugraph_cli.client import Client
from edugraph_cli.commands import dead, doctor, graph, importing, jobs, keys, model, tasks, topology
from edugraph_cli.display import INVALID, out, plain_errors, say, show_json, stop

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Learning records into a knowledge graph. The gateway is found by EDUGRAPH_URL and EDUGRAPH_API_KEY.",
    epilog="Exit codes: 0 done, 1 the job failed, 2 wrong usage or input, 3 not reachable now, 4 not allowed.",
)
app.command("import")(importing.import_file)
app.command("analyze")(importing.analyze_file)
app.command("sources")(importing.list_sources)
app.command("doctor")(doctor.doctor)
app.add_typer(jobs.app, name="jobs")
app.add_typer(tasks.app, name="tasks")
app.add_typer(graph.app, name="graph")
app.add_typer(dead.app, name="dead")
app.add_typer(keys.app, name="keys")
app.add_typer(model.cache_app, name="cache")
app.add_typer(model.provider_app, name="provider")
app.add_typer(topology.app, name="topology")


@app.command()
def forget(
    student_id: Annotated[str, typer.Argument(help="the id of the student")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="stay until it is done, and say what went and what was left")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on standard output")] = False,
) -> None:
    """Take a student, and all that was said of them, out of the graph for good."""
    if not yes:
        typer.confirm("This cannot be undone. Go on?", abort=True, err=True)
    with plain_errors(), Client.from_environment() as client:
        accepted = client.forget(student_id)
        if follow:
            tasks.print_task(_without_left(client.follow_task(accepted.task_id), as_json), as_json)
    if as_json:
        show_json(accepted.model_dump(mode="json"))
        return
    say(f"Accepted. When it is done, this shows SUCCESS: edugraph tasks show {accepted.task_id}")


def _without_left(task: dict[str, Any], as_json: bool) -> dict[str, Any]:
    """What an erasure left, and why, is said in lines of its own; JSON has it in the result."""
    result = task["result"]
    if as_json or not isinstance(result, dict) or "left" not in result:
        return task
    for left in result["left"]:
        say(f"Left in {left['key']} (job {left['job_id']}): {left['reason']}.")
    more = result["left_in_all"] - len(result["left"])
    if more:
        say(f"Left in {more} more files.")
    shown = {name: value for name, value in result.items() if name not in {"left", "left_in_all"}}
    return {**task, "result": shown or "nothing was there"}


@app.command()
def demo(
    examples: Annotated[Path, typer.Option(help="the folder of the example files")] = Path("examples"),
    picture: Annotated[Path, typer.Option(help="where the picture of the graph goes")] = Path(".run/demo-graph.html"),
) -> None:
    """Import the examples on two small embedded servers and show the graph: no server, no key, no network."""
    try:
        run = importlib.import_module("edugraph_cli.embedded.demo").demo
    except ModuleNotFoundError as missing:
        stop(f"The demo needs more packages ({missing.name}): install edugraph-cli[embedded].", INVALID)
    raise typer.Exit(run(examples, picture, out))


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(version("edugraph-cli"), highlight=False)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="say which version this is")
    ] = False,
) -> None:
    """Nothing of its own: the options of the command as a whole."""


def main() -> None:
    # Standard output belongs to what was asked for; the services' log lines are not.
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    app()
