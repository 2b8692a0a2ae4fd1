"""`edugraph graph digest|summary`."""

import typer

from edugraph_cli.client import Client
from edugraph_cli.display import plain_errors, print_rows, print_table, say, show_json
from edugraph_cli.options import Json

app = typer.Typer(no_args_is_help=True, help="The graph: what is in it, and one hash of all of it.")


@app.command()
def digest(as_json: Json = False) -> None:
    """Print one hash over all nodes, relationships and properties. The same records always give the same hash."""
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
        rows = [(m.name or m.knowledge_point, m.mistakes, m.students) for m in answer.frequent_mistakes]
        print_rows(("knowledge point", "mistakes", "students"), rows)
