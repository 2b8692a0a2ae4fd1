"""`edugraph audit list|verify|end`: speaks to Redis itself, as `edugraph keys` does."""

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import typer

from edugraph_cli.commands.keys import PasswordStdin, keys_and_audit
from edugraph_cli.display import FAILED, INVALID, plain_errors, print_rows, say, show_json, stop
from edugraph_cli.options import Json

app = typer.Typer(no_args_is_help=True, help="The audit log: who did what, who read personal data, who was refused.")
Looked = Annotated[
    str | None,
    typer.Option("--object", help="only what concerns this: student:ID, teacher:ID, job:ID, rejects:ID, task:ID"),
]


@app.command("list")
def list_entries(
    looked_for: Looked = None,
    actor: Annotated[str | None, typer.Option(help="only what this key's id or oidc:SUBJECT did")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    as_json: Json = False,
) -> None:
    """List entries, the newest first. Objects stand in the log as HMAC: name one to find what concerns it."""
    kind, colon, identifier = (looked_for or "").partition(":")
    if looked_for and not colon:
        stop("Give --object as KIND:ID, for example student:S0104.", INVALID)
    with plain_errors(), keys_and_audit() as (_, audit):
        keyed = audit.object_of(kind, identifier) if looked_for else None
        chosen = (e for e in audit.newest() if actor in (None, e.who) and keyed in (None, e.object))
        shown = list(islice(chosen, limit))
    if as_json:
        show_json([entry.model_dump(mode="json") for entry in shown])
        return
    columns = ("number", "time", "who", "action", "what", "outcome", "object", "purpose")
    print_rows(
        columns,
        [
            (str(e.number), f"{e.time:%F %T}", e.who, e.action, e.what, e.outcome, e.object[:8], e.purpose)
            for e in shown
        ],
    )


@app.command()
def verify(
    expect: Annotated[
        str,
        typer.Option(metavar="NUMBER:HASH", help="an entry that an earlier `verify` named; it must still be there"),
    ] = "",
    as_json: Json = False,
) -> None:
    """Look whether an entry was changed or taken out. Exits with 1 if one was.

    Keep the place of the last entry that it names, away from Redis, and give it as --expect the next time: nothing
    else shows that the newest entries are missing.
    """
    number, colon, _ = expect.partition(":")
    if expect and not (colon and number.isdigit()):
        stop("Give --expect as NUMBER:HASH, as `edugraph audit verify` names it.", INVALID)
    with plain_errors(), keys_and_audit() as (_, audit):
        found = audit.verify(expect)
    if as_json:
        show_json(found._asdict())
    elif found.fault is None:
        say(f"The audit log is whole: {found.entries:,} entries. The last one is {found.last or 'not there yet'}.")
    if found.fault is not None:
        stop(f"The audit log is not whole: {found.fault}.", FAILED)


@app.command()
def end(password_stdin: PasswordStdin = False, as_json: Json = False) -> None:
    """Take out entries whose retention is over.

    No service may do that, so this needs an operator's login at Redis. The bundled Redis does it each hour.
    """
    with plain_errors(), keys_and_audit(password_stdin=password_stdin) as (_, audit):
        ended = audit.end_old(datetime.now(UTC))
    if as_json:
        show_json({"ended": ended})
    else:
        say(f"{ended:,} entries have ended.")
