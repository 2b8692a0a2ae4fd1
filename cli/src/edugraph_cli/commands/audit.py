"""`edugraph audit list`: speaks to Redis itself, as `edugraph keys` does."""

from itertools import islice
from typing import Annotated

import typer

from edugraph_cli.commands.keys import keys_and_audit
from edugraph_cli.display import INVALID, plain_errors, print_rows, show_json, stop
from edugraph_cli.options import Json

app = typer.Typer(no_args_is_help=True, help="The audit log: who did what, who read personal data, who was refused.")
Looked = Annotated[
    str | None,
    typer.Option("--object", help="only what concerns this: student:ID, job:ID, rejects:ID, task:ID"),
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
    columns = ("time", "who", "action", "what", "outcome", "object", "purpose")
    print_rows(
        columns,
        [(f"{e.time:%F %T}", e.who, e.action, e.what, e.outcome, e.object[:8], e.purpose) for e in shown],
    )
