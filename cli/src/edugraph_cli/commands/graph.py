"""`edugraph graph digest|summary|export|verify|rebuild|remove|rename`."""

from pathlib import Path
from typing import Annotated

import typer

from edugraph_cli.commands.tasks import result_of
from edugraph_cli.display import FAILED, plain_errors, print_rows, print_table, say, show_json
from edugraph_cli.graph_export import Format, write_export
from edugraph_cli.options import Json, Yes
from edugraph_client import Client
from edugraph_common.contracts.messages import Removable, Renamable

app = typer.Typer(
    no_args_is_help=True, help="The graph: counts, a hash, exports, checks, and changes."
)


@app.command()
def digest(as_json: Json = False) -> None:
    """Print one hash of all nodes, relationships and properties. The same records always have the same hash."""
    with plain_errors(), Client.from_environment() as client:
        found = client.graph_digest()
    if as_json:
        show_json({"digest": found})
    else:
        say(found)


@app.command()
def summary(as_json: Json = False) -> None:
    """Count nodes by label and relationships by type, and list the knowledge points with the most mistakes."""
    with plain_errors(), Client.from_environment() as client:
        answer = client.graph_summary()
    if as_json:
        show_json(answer.model_dump(mode="json"))
        return
    print_table("Nodes", answer.nodes)
    print_table("Relationships", answer.relationships)
    if answer.frequent_mistakes:
        say("The most frequent mistakes, by knowledge point")
        rows = [
            (m.name or m.knowledge_point, m.mistakes, m.students) for m in answer.frequent_mistakes
        ]
        print_rows(("knowledge point", "mistakes", "students"), rows)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="a new file, or a new folder for csv and parquet")],
    form: Annotated[
        Format, typer.Option("--format", help="graphml for drawing, csv and parquet for tables")
    ],
    as_json: Json = False,
) -> None:
    """Write all nodes and relationships, with names and texts of persons. Restricted students are left out."""
    with plain_errors(), Client.from_environment() as client, client.export_graph() as lines:
        wrote = write_export(lines, path, form)
    if as_json:
        show_json(dict(wrote))
    else:
        say(f"{wrote['nodes']:,} nodes and {wrote['relationships']:,} relationships are in {path}.")


@app.command()
def verify(as_json: Json = False) -> None:
    """Compare each sum, name and prerequisite with the records, and change nothing. Exits with 1 if one is wrong."""
    if _derive(repair=False, as_json=as_json):
        raise typer.Exit(FAILED)


@app.command()
def rebuild(as_json: Json = False) -> None:
    """Derive each sum, name and prerequisite from the records, and say what was wrong. Imports may go on."""
    _derive(repair=True, as_json=as_json)


@app.command()
def remove(
    of: Annotated[Removable, typer.Argument(help="the kind of thing")],
    node_id: Annotated[str, typer.Argument(metavar="ID")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove a course or a group with its records from the graph. A second import of its file brings it back."""
    if not yes:
        typer.confirm(
            f"Take the {of} {node_id} out of the graph with all its records?", abort=True, err=True
        )
    with plain_errors(), Client.from_environment() as client:
        result = result_of(client, client.remove_from_graph(of, node_id).task_id, as_json)
    if as_json:
        show_json(result)
        return
    say(f"{result['removed']} records and days of activity were removed.")
    if not result["finished"]:
        say("There is more of it than ten minutes are enough for: give the same command again.")
    elif result["left"]:
        say(
            f"{result['left']} links to it are left: of records that are of other courses, too, or of groups of the "
            "course, which are removed by themselves."
        )


_REFUSALS = {
    "missing": "Nothing names the {of} {old}.",
    "taken": "There is already a {of} {new}. If both are the same, say so with --merge: they cannot be parted again.",
    "own": "This could make you the leader of a group. Somebody else has to rename the {of}.",
}


@app.command()
def rename(  # noqa: PLR0917 - these are a command's arguments and options
    of: Annotated[Renamable, typer.Argument(help="the kind of thing")],
    old: Annotated[str, typer.Argument(metavar="OLD", help="the id that records have")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="the id that they get")],
    merge: Annotated[
        bool, typer.Option("--merge", help="NEW may be in use already, and means the same")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Rename OLD to NEW in all records. Importing a file again does not undo this. New records may still say OLD.

    The ids of a person are joined by a list of them, which is imported (`person_record`).
    """
    if not yes:
        end = ", and make the two one? They cannot be parted again" if merge else "?"
        typer.confirm(f"Rename the {of} {old} to {new}{end}", abort=True, err=True)
    with plain_errors(), Client.from_environment() as client:
        result = result_of(
            client, client.rename_in_graph(of, old, new, merge=merge).task_id, as_json
        )
    refusal = _REFUSALS.get(result["refused"])
    if as_json:
        show_json(result)
    elif refusal:
        say(refusal.format(of=of, old=old, new=new))
    else:
        say(f"{result['moved']} records and days of activity name {new} now.")
        if not result["finished"]:
            say("There are more than ten minutes are enough for: give the same command again.")
    if refusal:
        raise typer.Exit(FAILED)


def _derive(*, repair: bool, as_json: bool) -> bool:
    """Verify or rebuild the graph, and print the result. Return whether anything was wrong."""
    with plain_errors(), Client.from_environment() as client:
        result = result_of(client, client.derive_graph(repair=repair).task_id, as_json)
    if as_json:
        show_json(result)
    else:
        say(f"{result['checked']} nodes and what begins at them were compared with the records.")
        if result["wrong"]:
            print_table("Were wrong, and are right now" if repair else "Wrong", result["wrong"])
            for each in result["shown"]:
                say(f"  {each}")
        else:
            say("All of it is what the records say.")
    return bool(result["wrong"])
