"""`edugraph sessions list|end`. It connects to Redis directly, like `edugraph keys`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from edugraph_cli.commands.keys import PasswordStdin, operator_name, redis_of_operator
from edugraph_cli.display import INVALID, plain_errors, print_rows, say, show_json, stop
from edugraph_cli.options import Json

app = typer.Typer(no_args_is_help=True, help="Sessions of people who signed in on the page.")


@app.command("list")
def list_sessions(password_stdin: PasswordStdin = False, as_json: Json = False) -> None:
    """List the open sessions, the newest first. Rights and tokens are not shown."""
    from edugraph_common.runtime.shared_state.sessions import Sessions

    now = datetime.now(UTC)
    with plain_errors(), redis_of_operator(password_stdin=password_stdin) as (client, _):
        found = sorted(Sessions(client).all().values(), key=lambda each: each.began, reverse=True)
    is_open = [each for each in found if now < each.ends]
    if as_json:
        show_json(
            [
                each.model_dump(mode="json", include={"client_id", "began", "ends"})
                for each in is_open
            ]
        )
        return
    rows = [(each.client_id, f"{each.began:%F %T}", f"{each.ends:%F %T}") for each in is_open]
    print_rows(("who", "began", "ends"), rows)


@app.command()
def end(
    who: Annotated[
        str,
        typer.Argument(metavar="WHO", help="oidc:SUBJECT, as `sessions list` shows it; or `all`"),
    ],
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """End all sessions of one person, or of everybody, at once.

    The person may sign in again, so first remove the role or the account at the identity provider.
    """
    from edugraph_common.runtime.service.settings import secret_of
    from edugraph_common.runtime.shared_state.audit import Audit
    from edugraph_common.runtime.shared_state.sessions import Sessions

    if who != "all" and not who.startswith("oidc:"):
        stop("Give WHO as oidc:SUBJECT, as `edugraph sessions list` shows it, or `all`.", INVALID)
    with plain_errors(), redis_of_operator(password_stdin=password_stdin) as (client, settings):
        client_id = "" if who == "all" else who
        ended = Sessions(client).end_of(client_id)
        audit = Audit(client, secret_of(settings.privacy_secret), settings.audit_retention_days)
        audit.record(operator_name(), "session.end", f"{ended} of {who}", datetime.now(UTC))
    if as_json:
        show_json({"ended": ended})
    else:
        say(f"{ended} sessions have ended.")
