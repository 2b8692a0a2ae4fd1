"""`edugraph`: the client of gateway and insights, and the tool of operators."""

import importlib
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import structlog
import typer

from edugraph_cli.commands import (
    ask,
    audit,
    curricula,
    dead,
    doctor,
    drafts,
    erasures,
    fits,
    formats,
    graph,
    importing,
    imports,
    jobs,
    keys,
    model,
    persons,
    pseudonyms,
    pull,
    redis_users,
    reviews,
    rosters,
    sessions,
    sources,
    synthesizing,
    tasks,
    topology,
    warehouse,
)
from edugraph_cli.display import INVALID, out, plain_errors, print_table, say, show_json, stop
from edugraph_cli.options import Json
from edugraph_cli.pseudonyms import private_file
from edugraph_client import Client

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Imports learning records into a knowledge graph. EDUGRAPH_URL and EDUGRAPH_API_KEY name the gateway.",
    epilog="Exit codes: 0 done, 1 the job failed, 2 wrong usage or input, 3 no answer or not now, 4 not allowed.",
)
app.command("import")(importing.import_files)
app.command("analyze")(importing.analyze_file)
app.command("formats")(formats.list_formats)
app.command("pseudonymize")(pseudonyms.pseudonymize_file)
app.command("pseudonym")(pseudonyms.show_pseudonym)
app.command("roster")(rosters.read_roster_file)
app.command("synthesize")(synthesizing.synthesize)
app.command("ask")(ask.ask)
app.command("doctor")(doctor.doctor)
app.command("forget")(erasures.forget)
app.add_typer(jobs.app, name="jobs")
app.add_typer(tasks.app, name="tasks")
app.add_typer(curricula.app, name="curriculum")
app.add_typer(graph.app, name="graph")
app.add_typer(imports.app, name="imports")
app.add_typer(persons.app, name="persons")
app.add_typer(reviews.app, name="reviews")
app.add_typer(drafts.app, name="draft")
app.add_typer(dead.app, name="dead")
app.add_typer(keys.app, name="keys")
app.add_typer(sources.app, name="sources")
app.add_typer(pull.app, name="pull")
app.add_typer(warehouse.app, name="warehouse")
app.add_typer(audit.app, name="audit")
app.add_typer(sessions.app, name="sessions")
app.add_typer(fits.app, name="analyzer")
app.add_typer(model.cache_app, name="cache")
app.add_typer(model.provider_app, name="provider")
app.add_typer(topology.app, name="topology")
app.add_typer(redis_users.app, name="redis-users")
app.add_typer(erasures.app, name="erasures")


@app.command("export-person")
def export_person(
    student_id: Annotated[str, typer.Argument(help="the id of the student")],
    output: Annotated[Path, typer.Option("--output", "-o", help="a ZIP of JSON with an index")],
) -> None:
    """Write everything that is kept about a student, to hand it to them. index.txt names what was not read."""
    with plain_errors(), Client.from_environment() as client:
        result = tasks.result_of(client, client.export_person(student_id).task_id, as_json=False)
        part = output.with_name(f"{output.name}.part")
        with client.export(result["export"]) as chunks, private_file(part) as file:
            for chunk in chunks:
                file.write(chunk)
        part.replace(output)
    print_table(str(output), result["entries"])


@app.command()
def restrict(
    student_id: Annotated[str, typer.Argument(help="the id of the student")],
    lift: Annotated[bool, typer.Option("--lift", help="end the restriction")] = False,
    as_json: Json = False,
) -> None:
    """Keep what is known of a student, but neither analyse nor show it. Exits with 2 if there is no such student."""
    with plain_errors(), Client.from_environment() as client:
        result = tasks.result_of(client, client.restrict(student_id, lifted=lift).task_id, as_json)
    if as_json:
        show_json(result)
    if not result["found"]:
        stop(f"The graph has no student {student_id}: nothing was changed.", INVALID)
    if not as_json:
        say(
            f"{student_id} is analysed and shown again."
            if lift
            else f"{student_id} is neither analysed nor shown now."
        )


@app.command()
def restricted(as_json: Json = False) -> None:
    """List the students who are neither analysed nor shown."""
    with plain_errors(), Client.from_environment() as client:
        students = client.restricted()
    if as_json:
        show_json(students)
    else:
        say("\n".join(students) or "Nobody is restricted.")


@app.command()
def demo(
    examples: Annotated[Path, typer.Option(help="the folder with the example files")] = Path(
        "examples"
    ),
    report: Annotated[Path, typer.Option(help="where to write a report of it")] = Path(
        ".run/demo.html"
    ),
    stay: Annotated[bool, typer.Option("--stay", help="serve the page until Ctrl-C")] = False,
) -> None:
    """Import the examples on two small embedded servers and ask about them: no server, no key, no network."""
    try:
        run = importlib.import_module("edugraph_cli.embedded.demo").demo
    except ModuleNotFoundError as missing:
        stop(
            f"The demo needs more packages ({missing.name}): install edugraph-cli[embedded].",
            INVALID,
        )
    raise typer.Exit(run(examples, report, out, stay=stay))


def _show_version(wanted: bool) -> None:
    """Print the version and end, also without a command."""
    if wanted:
        out.print(version("edugraph-cli"), highlight=False)
        raise typer.Exit


@app.callback()
def common_options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    """Accept the options that all commands share. Their callbacks act on them."""


def main() -> None:
    # Standard output is for the output of the command. Log lines of the services' code go to standard error.
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    app()
