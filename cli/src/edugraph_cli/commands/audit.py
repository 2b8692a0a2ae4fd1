"""`edugraph audit list|verify|end`. It connects to Redis directly, like `edugraph keys`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from edugraph_cli.commands.keys import PasswordStdin, keys_and_audit
from edugraph_cli.display import FAILED, INVALID, plain_errors, print_rows, say, show_json, stop
from edugraph_cli.options import Json

app = typer.Typer(
    no_args_is_help=True,
    help="The audit log: who did what, who read personal data, who was refused.",
)
Looked = Annotated[
    str | None,
    typer.Option(
        "--object",
        help="only entries about this: student:ID, teacher:ID, job:ID, rejects:ID, task:ID",
    ),
]


@app.command("list")
def list_entries(
    looked_for: Looked = None,
    actor: Annotated[
        str | None, typer.Option(help="only entries of this key (its id) or person (oidc:SUBJECT)")
    ] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    as_json: Json = False,
) -> None:
    """List entries, the newest first. The log has objects as HMAC, so name an object to find its entries."""
    kind, colon, identifier = (looked_for or "").partition(":")
    if looked_for and not colon:
        stop("Give --object as KIND:ID, for example student:S0104.", INVALID)
    with plain_errors(), keys_and_audit() as (_, audit):
        wanted_object = None
        if looked_for:
            wanted_object = audit.object_of(kind, identifier)
        shown = []
        for entry in audit.newest():
            is_of_actor = actor in (None, entry.who)
            is_about_object = wanted_object in (None, entry.object)
            if is_of_actor and is_about_object:
                shown.append(entry)
            if len(shown) == limit:
                break
    if as_json:
        show_json([entry.model_dump(mode="json") for entry in shown])
        return
    columns = ("number", "time", "who", "action", "what", "outcome", "object", "purpose")
    rows = []
    for entry in shown:
        done = (entry.who, entry.action, entry.what, entry.outcome)
        rows.append(
            (str(entry.number), f"{entry.time:%F %T}", *done, entry.object[:8], entry.purpose)
        )
    print_rows(columns, rows)


@app.command()
def verify(
    expect: Annotated[
        str,
        typer.Option(
            metavar="NUMBER:HASH", help="the last entry of an earlier `verify`; it must still exist"
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Check whether an entry was changed or removed. Exits with 1 if one was.

    Keep the last entry that this command names at a place outside Redis, and give it as --expect the next time. Only
    this shows whether the newest entries are missing.
    """
    number, colon, _ = expect.partition(":")
    if expect and not (colon and number.isdigit()):
        stop("Give --expect as NUMBER:HASH, as `edugraph audit verify` names it.", INVALID)
    with plain_errors(), keys_and_audit() as (_, audit):
        found = audit.verify(expect)
    if as_json:
        show_json(found._asdict())
    elif found.fault is None:
        say(
            f"The audit log is whole: {found.entries:,} entries. The last one is {found.last or 'not there yet'}."
        )
    if found.fault is not None:
        stop(f"The audit log is not whole: {found.fault}.", FAILED)


@app.command()
def end(password_stdin: PasswordStdin = False, as_json: Json = False) -> None:
    """Delete entries whose retention is over.

    No service may do this, so the command needs a login of an operator at Redis. The bundled Redis does it each hour.
    """
    with plain_errors(), keys_and_audit(password_stdin=password_stdin) as (_, audit):
        ended = audit.end_old(datetime.now(UTC))
    if as_json:
        show_json({"ended": ended})
    else:
        say(f"{ended:,} entries have ended.")
