"""`edugraph persons contested|show|join|part`."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from edugraph_cli.commands.importing import finish
from edugraph_cli.display import plain_errors, print_rows, say, show_json
from edugraph_cli.options import Follow, Json, SourceOption
from edugraph_client import Client
from edugraph_common.contracts.record_fields import normal_id

app = typer.Typer(
    no_args_is_help=True,
    help="Which ids mean one person, by imported lists and by what people state here.",
)
OtherIds = Annotated[list[str], typer.Argument(metavar="ID...", help="other ids of the person")]


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


@app.command()
def join(
    person_id: Annotated[
        str, typer.Argument(metavar="PERSON", help="the id that stands for the person")
    ],
    ids: OtherIds,
    source: SourceOption = None,
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """State that other ids mean this person too. Their records move to the person before the job ends.

    The statement replaces an earlier one of this command about the same id. Lists keep their claims, so an id that a
    list gives to somebody else becomes contested.
    """
    [person] = _normal_ids([person_id])
    other_ids = _normal_ids(ids)
    if person in other_ids:
        raise typer.BadParameter(f"{person_id} is the person's own id.")
    statements = joining(person, other_ids, datetime.now(UTC))
    _send(statements, source, follow=follow, as_json=as_json)


@app.command()
def part(
    ids: OtherIds, source: SourceOption = None, follow: Follow = False, as_json: Json = False
) -> None:
    """Take back what `join` stated about these ids. Their records return to the ids of their sources.

    Give the source with which `join` stated it. Lists keep their claims. The job counts an id as unknown if `join`
    stated nothing about it in this source.
    """
    statements = parting(_normal_ids(ids), datetime.now(UTC))
    _send(statements, source, follow=follow, as_json=as_json)


def joining(person: str, other_ids: Sequence[str], now: datetime) -> list[dict[str, Any]]:
    """Return the records which state at `now` that other ids mean this person."""
    statements: list[dict[str, Any]] = []
    for other_id in other_ids:
        data = {"person_id": person, "also": [other_id]}
        statements.append({**_statement(other_id, now), "type": "person_record", "data": data})
    return statements


def parting(ids: Sequence[str], now: datetime) -> list[dict[str, Any]]:
    """Return the records which take back at `now` what was stated about these ids."""
    statements: list[dict[str, Any]] = []
    for other_id in ids:
        # An erasure of the person finds the withdrawal by the id in its data.
        data = {"person_id": other_id}
        withdrawal = {"type": "person_record", "data": data, "withdrawn": True}
        statements.append({**_statement(other_id, now), **withdrawal})
    return statements


def _normal_ids(ids: Sequence[str]) -> list[str]:
    """Return each id once, in the form in which records have it."""
    return list(dict.fromkeys(normal_id(each.strip()) for each in ids))


def _statement(other_id: str, now: datetime) -> dict[str, Any]:
    """Return the id and the time of the record that joins an id. There is one record for each id."""
    record_id = f"joined-{hashlib.sha256(other_id.encode()).hexdigest()}"
    return {"record_id": record_id, "timestamp": now.isoformat()}


def _send(
    statements: Sequence[dict[str, Any]], source: str | None, *, follow: bool, as_json: bool
) -> None:
    options: dict[str, Any] = {}
    if source is not None:
        options["source"] = source
    with plain_errors(), Client.from_environment() as client:
        accepted = client.import_records(statements, **options)
        finish(client, accepted, follow=follow, as_json=as_json)
