"""`edugraph forget`, and `edugraph erasures list|replay|admit`: erase persons, and keep them erased."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from edugraph_cli.commands import tasks
from edugraph_cli.display import plain_errors, record_name, say, show_json
from edugraph_cli.options import Json, Yes
from edugraph_client import Client
from edugraph_common.contracts.api import Accepted

app = typer.Typer(
    no_args_is_help=True, help="Erased persons: list them, erase them again, or admit one again."
)

Follow = Annotated[
    bool,
    typer.Option(
        "--follow",
        "-f",
        help="wait until the erasure has ended, and say what was removed and what was left",
    ),
]


def forget(  # noqa: PLR0917 - Typer reads the options of a command from these
    student_id: Annotated[
        list[str], typer.Argument(help="the id of the student, or all ids if there are several")
    ],
    name: Annotated[
        list[str] | None,
        typer.Option(help="a name that others use for them in texts; may be given several times"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be removed, and change nothing")
    ] = False,
    block: Annotated[
        bool, typer.Option(help="refuse the ids from now on, even if nothing is known about them")
    ] = False,
    yes: Yes = False,
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Erase a person, with everything that was recorded about them, from every store permanently."""
    if not (yes or dry_run):
        typer.confirm("This cannot be undone. Continue?", abort=True, err=True)
    first, *also = student_id
    with plain_errors(), Client.from_environment() as client:
        accepted = client.forget(first, also, name or (), dry_run=dry_run, block=block)
        _end(client, accepted, follow or dry_run, as_json)


@app.command("list")
def list_erasures(as_json: Json = False) -> None:
    """List the erased persons as hashes of their ids, which do not reveal who it was."""
    with plain_errors(), Client.from_environment() as client:
        tombstones = client.erasures()
    if as_json:
        show_json(list(tombstones))
        return
    for tombstone in tombstones:
        say(tombstone)


@app.command()
def replay(follow: Follow = False, as_json: Json = False) -> None:
    """Repeat all earlier erasures and undos of imports, after a backup was restored that may be older."""
    with plain_errors(), Client.from_environment() as client:
        _end(client, client.replay_erasures(), follow, as_json)


@app.command()
def admit(
    student_id: Annotated[str, typer.Argument(help="the id of the student")],
    yes: Yes = False,
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Let an erased student be imported again. Erased records do not come back by themselves."""
    if not yes:
        typer.confirm(
            "Records of this student will be imported again. Continue?", abort=True, err=True
        )
    with plain_errors(), Client.from_environment() as client:
        _end(client, client.admit(student_id), follow, as_json)


def _end(client: Client, accepted: Accepted, follow: bool, as_json: bool) -> None:
    """Print the accepted task, or with `follow` its result."""
    if follow:
        task = client.follow_task(accepted.task_id)
        result = task["result"]
        if not as_json and isinstance(result, dict) and "left" in result:
            _say_who_claims(result)
            _say_what_is_left(result)
            removed = {
                store: counts for store, counts in result["removed"].items() if any(counts.values())
            }
            if any(result.get("undone", {}).values()):
                removed["undone"] = result["undone"]
            task = {**task, "result": removed or "nothing was there"}
        tasks.print_task(task, as_json)
    if as_json:
        show_json(accepted.model_dump(mode="json"))
        return
    say(
        f"Accepted. This command shows SUCCESS when it is done: edugraph tasks show {accepted.task_id}"
    )


def _say_who_claims(result: Mapping[str, Any]) -> None:
    """Print the ids that a dry run names, and the persons who claim them and other ids of this person."""
    ids = [each["student_id"] for each in result.get("ids", ())]
    if ids:
        say(f"Ids of this person: {', '.join(ids)}.")
    for claim in result.get("claims", ()):
        say(f"{claim['person_id']} claims {', '.join(claim['also'])}.")
        is_erased = claim["person_id"] in ids
        contested = sorted(set(claim["also"]) - set(ids))
        if contested and is_erased:
            say(f"Not erased, since others claim it too: {', '.join(contested)}.")
        of_this_person = sorted(set(claim["also"]) & set(ids))
        if of_this_person and not is_erased:
            say(
                f"{claim['person_id']} stays, but each row of a list by which they claim "
                f"{', '.join(of_this_person)} is removed with all ids in it. "
                "Send the list again without these ids."
            )
    more_claims = result.get("claims_in_all", 0) - len(result.get("claims", ()))
    if more_claims:
        say(f"{more_claims} more persons claim ids of this person, or ids that this person claims.")


def _say_what_is_left(result: Mapping[str, Any]) -> None:
    for left in result["left"]:
        say(f"Left in {left['key']} ({left['store']}): {left['reason']}.")
    more_places = result["left_in_all"] - len(result["left"])
    if more_places:
        say(f"Left in {more_places} more places.")
    for mention in result["mentions"]:
        record = record_name(mention["record_id"])
        say(f"The text of {mention['label']} {record} names the person; it is for you to decide.")
    more_texts = result["mentions_in_all"] - len(result["mentions"])
    if more_texts:
        say(f"So do {more_texts} more texts.")
