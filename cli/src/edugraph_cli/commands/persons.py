"""`edugraph persons contested|show`."""

from typing import Annotated

import typer

from edugraph_cli.display import plain_errors, print_rows, say, show_json
from edugraph_cli.options import Json
from edugraph_client import Client

app = typer.Typer(
    no_args_is_help=True, help="Which ids mean one person, by the lists that were imported."
)


@app.command()
def contested(as_json: Json = False) -> None:
    """List the ids that several persons claim. They belong to none of them."""
    with plain_errors(), Client.from_environment() as client:
        found = client.person_ids()
    if as_json:
        show_json(found.model_dump(mode="json"))
        return
    say(
        f"{found.claims:,} claims, by which {found.joined:,} ids belong to a person with another id."
    )
    if not found.contested_in_all:
        say("No id is contested.")
        return
    say(f"{found.contested_in_all:,} ids are contested.")
    rows = [(each.id, each.persons, ", ".join(each.claimed_by)) for each in found.contested]
    print_rows(("id", "persons", "claimed by"), rows)


@app.command()
def show(
    person_id: Annotated[str, typer.Argument(metavar="ID", help="any id of the person")],
    as_json: Json = False,
) -> None:
    """Show all ids of one person by the current claims."""
    with plain_errors(), Client.from_environment() as client:
        found = client.person_ids(person_id)
    if as_json:
        show_json(found.model_dump(mode="json"))
        return
    if found.person is None:
        say(f"No claim names the id {person_id}, or its person is restricted.")
        return
    say(f"{found.person.owner} stands for this person.")
    say(f"Ids: {', '.join(found.person.ids)}")
    if found.person.contested:
        say(f"Claimed by others as well: {', '.join(found.person.contested)}")
