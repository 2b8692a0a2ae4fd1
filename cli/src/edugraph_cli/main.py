"""`edugraph`: the client of the gateway, and the operator's tool."""

import importlib
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import structlog
import typer

from edugraph_cli.client import Client
from edugraph_cli.commands import audit, dead, doctor, graph, importing, jobs, keys, model, sources, tasks, topology
from edugraph_cli.display import INVALID, out, plain_errors, say, show_json, stop
from edugraph_cli.options import Json, Yes

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Imports learning records into a knowledge graph. EDUGRAPH_URL and EDUGRAPH_API_KEY name the gateway.",
    epilog="Exit codes: 0 done, 1 the job failed, 2 wrong usage or input, 3 no answer or not now, 4 not allowed.",
)
app.command("import")(importing.import_file)
app.command("analyze")(importing.analyze_file)
app.command("sources")(sources.list_sources)
app.command("doctor")(doctor.doctor)
app.add_typer(jobs.app, name="jobs")
app.add_typer(tasks.app, name="tasks")
app.add_typer(graph.app, name="graph")
app.add_typer(dead.app, name="dead")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(model.cache_app, name="cache")
app.add_typer(model.provider_app, name="provider")
app.add_typer(topology.app, name="topology")


@app.command()
def forget(
    student_id: Annotated[str, typer.Argument(help="the id of the student")],
    yes: Yes = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="wait until it is done, and say what was deleted and what was left")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take a student, with everything that was recorded about them, out of the graph for good."""
    if not yes:
        typer.confirm("This cannot be undone. Continue?", abort=True, err=True)
    with plain_errors(), Client.from_environment() as client:
        accepted = client.forget(student_id)
        if follow:
            task = client.follow_task(accepted.task_id)
            result = task["result"]
            if not as_json and isinstance(result, dict) and "left" in result:
                for left in result["left"]:
                    say(f"Left in {left['key']} (job {left['job_id']}): {left['reason']}.")
                if more := result["left_in_all"] - len(result["left"]):
                    say(f"Left in {more} more files.")
                deleted = {name: value for name, value in result.items() if name not in {"left", "left_in_all"}}
                task = {**task, "result": deleted or "nothing was there"}
            tasks.print_task(task, as_json)
    if as_json:
        show_json(accepted.model_dump(mode="json"))
        return
    say(f"Accepted. This command shows SUCCESS when it is done: edugraph tasks show {accepted.task_id}")


@app.command()
def demo(
    examples: Annotated[Path, typer.Option(help="the folder with the example files")] = Path("examples"),
    picture: Annotated[Path, typer.Option(help="where to write a picture of it")] = Path(".run/demo-graph.html"),
) -> None:
    """Import the examples on two small embedded servers and show the graph: no server, no key, no network."""
    try:
        run = importlib.import_module("edugraph_cli.embedded.demo").demo
    except ModuleNotFoundError as missing:
        stop(f"The demo needs more packages ({missing.name}): install edugraph-cli[embedded].", INVALID)
    raise typer.Exit(run(examples, picture, out))


def _show_version(wanted: bool) -> None:
    """Print the version and end, before a command is asked for."""
    if wanted:
        out.print(version("edugraph-cli"), highlight=False)
        raise typer.Exit


@app.callback()
def common_options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Take the options of the command as a whole; what they do is in their callbacks."""


def main() -> None:
    # Standard output is for what the command prints; log lines of the services' code go to standard error.
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    app()
