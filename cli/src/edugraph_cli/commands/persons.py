"""`edugraph persons contested|show|join|part|withdraw`."""

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
    help="Which ids mean one person, by imported lists and by decisions that are made here.",
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
    """Decide that other ids mean this person, whatever lists claim. It needs the scopes roster and operate.

    The records with these ids move to the person before the job ends. The decision replaces an earlier one about the
    same id in the same source.
    """
    [person] = _normal_ids([person_id])
    other_ids = _normal_ids(ids)
    if person in other_ids:
        raise typer.BadParameter(f"{person_id} is the person's own id.")
    now = datetime.now(UTC)
    decisions = [_decision(person, other_id, now) for other_id in other_ids]
    _send(decisions, source, follow=follow, as_json=as_json)


@app.command()
def part(
    ids: OtherIds, source: SourceOption = None, follow: Follow = False, as_json: Json = False
) -> None:
    """Decide that each of these ids means nobody else, whatever lists claim. It needs the scopes roster and operate.

    The records with these ids return to them before the job ends. Other ids that belong to such an id stay with it.
    The decision replaces an earlier one about the same id in the same source.
    """
    now = datetime.now(UTC)
    decisions = [_decision(each, each, now) for each in _normal_ids(ids)]
    _send(decisions, source, follow=follow, as_json=as_json)


@app.command()
def withdraw(
    ids: OtherIds, source: SourceOption = None, follow: Follow = False, as_json: Json = False
) -> None:
    """Take back what `join` or `part` decided about these ids, so that the claims of lists count again.

    It needs the scopes roster and operate. Give the source of the decision. The job counts an id as unknown if
    nothing was decided about it in this source.
    """
    now = datetime.now(UTC)
    withdrawals: list[dict[str, Any]] = []
    for each in _normal_ids(ids):
        # An erasure of the person finds the withdrawal by the id in its data.
        withdrawals.append(_about(each, now) | {"data": {"person_id": each}, "withdrawn": True})
    _send(withdrawals, source, follow=follow, as_json=as_json)


def _normal_ids(ids: Sequence[str]) -> list[str]:
    """Return each id once, in the form in which records have it."""
    return list(dict.fromkeys(normal_id(each.strip()) for each in ids))


def _decision(person_id: str, decided_id: str, now: datetime) -> dict[str, Any]:
    data = {"person_id": person_id, "also": [decided_id], "decides": True}
    return _about(decided_id, now) | {"data": data}


def _about(decided_id: str, now: datetime) -> dict[str, Any]:
    """Return the beginning of the record of the decision about an id. There is one such record for each id."""
    record_id = f"decided-{hashlib.sha256(decided_id.encode()).hexdigest()}"
    return {"type": "person_record", "record_id": record_id, "timestamp": now.isoformat()}


def _send(
    records: Sequence[dict[str, Any]], source: str | None, *, follow: bool, as_json: bool
) -> None:
    options: dict[str, Any] = {}
    if source is not None:
        options["source"] = source
    with plain_errors(), Client.from_environment() as client:
        accepted = client.import_records(records, **options)
        finish(client, accepted, follow=follow, as_json=as_json)
