"""`edugraph graph digest|summary`."""

from typing import Annotated

import typer

from edugraph_cli.client import Client
from edugraph_cli.display import plain_errors, print_rows, print_table, say, show_json

app = typer.Typer(no_args_is_help=True, help="The graph: one hash of all of it, and what is in it.")
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


@app.command()
def digest(as_json: Json = False) -> None:
    """One hash over all nodes, relationships and properties; the same records always give the same."""
    with plain_errors(), Client.from_environment() as client:
        found = client.graph_digest()
    if as_json:
        show_json({"digest": found})
    else:
        say(found)


@app.command()
def summary(as_json: Json = False) -> None:
    """Nodes by label, relationships by type, and the knowledge points with the most mistakes."""
    with plain_errors(), Client.from_environment() as client:
        answer = client.graph_summary()
    if as_json:
        show_json(answer.model_dump(mode="json"))
        return
    print_table("Nodes", answer.nodes)
    print_table("Relationships", answer.relationships)
    if answer.frequent_mistakes:
        say("Most frequent mistakes, by knowledge point")
        rows = [(m.name or m.knowledge_point, m.mistakes, m.students) for m in answer.frequent_mistakes]
        print_rows(("knowledge point", "mistakes", "students"), rows)
