"""`edugraph keys create|grant|list|revoke`. It connects to Redis directly, since the first key needs no other key."""

import getpass
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, cast
from urllib.parse import quote, urlsplit

import typer

from edugraph_cli.display import FAILED, INVALID, plain_errors, print_rows, say, show_json, stop
from edugraph_cli.options import Json
from edugraph_common.contracts.permissions import ROLES, SCOPES, Role, Scope

if TYPE_CHECKING:
    import redis

    from edugraph_common.runtime.service.settings import Settings
    from edugraph_common.runtime.shared_state.api_keys import ApiKey, ApiKeys
    from edugraph_common.runtime.shared_state.audit import Audit

app = typer.Typer(
    no_args_is_help=True,
    help="API keys: who may read, read personal data, submit, import rosters, operate, restrict and export, erase.",
)


# Typer takes an Enum for an option that may be given several times, and not a Literal.
ScopeName = StrEnum("ScopeName", {name.upper(): name for name in SCOPES})  # type: ignore[misc]
RoleName = StrEnum("RoleName", {name.upper(): name for name in ROLES})  # type: ignore[misc]
PasswordStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin",
        help="read the password of the default user of Redis from standard input",
    ),
]
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@app.command()
def create(  # noqa: PLR0917 - they are options of a command
    name: Annotated[str, typer.Argument(help="the person or program that uses the key")],
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option(help="a right at the gateway; may be given several times"),
    ] = None,
    role: Annotated[
        list[RoleName] | None, typer.Option(help="a role at insights; may be given several times")
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(metavar="ID", help="the id of the teacher or student whose key it is"),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="the mail address of that person, for digests"),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="the lifetime: 12h, 90d or 4w; without it, the key never ends"
        ),
    ] = None,
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Create a key. It is shown only once, since only its hash is kept.

    No service may write keys, so this command needs a login of an operator at Redis, and so do `grant` and `revoke`.
    """
    length = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", expires or "")
    if expires and not length:
        stop(
            f"--expires {expires} is not a time: give hours, days or weeks, for example 90d.",
            INVALID,
        )
    if not scope and not role:
        stop("A key needs a --scope, for the gateway, or a --role, for insights.", INVALID)
    now = datetime.now(UTC)
    ends = None
    if length:
        ends = now + int(length[1]) * UNITS[length[2]]
    scopes = [cast("Scope", chosen.value) for chosen in scope or ()]
    roles = [cast("Role", chosen.value) for chosen in role or ()]
    with plain_errors(), keys_and_audit(password_stdin=password_stdin) as (keys, audit):
        made = keys.create(
            name, scopes, now, expires=ends, roles=roles, person=person, address=address
        )
        audit.record(operator_name(), "key.create", made.key.key_id, now)
    if as_json:
        show_json({**_without_secret(made.key), "key": made.token})
        return
    say(made.token)
    until = f", until {ends:%F %R} UTC" if ends else ""
    say(f"  {name}: {', '.join((*scopes, *roles))}{until}. Keep it now: it is not shown again.")


@app.command()
def grant(
    key_id: Annotated[str, typer.Argument(help="the id of the key, as `keys list` shows it")],
    scope: Annotated[list[ScopeName], typer.Option(help="may be given several times")],
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Give a key more scopes. Its secret does not change. Gateways accept the scopes within 5 seconds."""
    with plain_errors(), keys_and_audit(password_stdin=password_stdin) as (keys, audit):
        granted = keys.grant(key_id, [cast("Scope", chosen.value) for chosen in scope])
        if granted is None:
            stop(f"There is no key {key_id}; see: edugraph keys list", INVALID)
        audit.record(
            operator_name(), "key.grant", f"{key_id}: {', '.join(scope)}", datetime.now(UTC)
        )
    if as_json:
        show_json(_without_secret(granted))
    else:
        say(f"{key_id} has now: {', '.join(granted.scopes)}.")


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List all keys, without their secrets."""
    with plain_errors(), keys_and_audit() as (keys, _):
        found = keys.all()
    if as_json:
        show_json([_without_secret(key) for key in found])
        return
    rows = []
    for key in found:
        rights = ",".join((*key.scopes, *key.roles))
        expires = f"{key.expires:%F}" if key.expires else "never"
        rows.append((key.key_id, key.name, rights, f"{key.created:%F}", expires))
    print_rows(("id", "name", "scopes and roles", "created", "expires"), rows)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="the id of the key, as `keys list` shows it")],
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Revoke a key. Gateways refuse it within 5 seconds."""
    with plain_errors(), keys_and_audit(password_stdin=password_stdin) as (keys, audit):
        if not keys.revoke(key_id):
            stop(f"There is no key {key_id}; see: edugraph keys list", INVALID)
        audit.record(operator_name(), "key.revoke", key_id, datetime.now(UTC))
    if as_json:
        show_json({"revoked": key_id})
    else:
        say(f"{key_id} is revoked.")


@contextmanager
def redis_of_operator(*, password_stdin: bool = False) -> "Iterator[tuple[redis.Redis, Settings]]":
    """Yield a connection to Redis, and the settings.

    With `password_stdin`, log in as the default user, with the first line of standard input as the password, and not
    as the user of the environment.
    """
    from edugraph_cli.commands.topology import broker_settings
    from edugraph_common.runtime.service.redis_errors import LoginRefused
    from edugraph_common.runtime.shared_state.job_store import connect

    settings = broker_settings()
    url = settings.redis_url.get_secret_value()
    if password_stdin:
        url = as_default_user(url)
    try:
        with connect(url, prefix=settings.redis_key_prefix, timeout=4, retries=1) as client:
            yield client, settings
    except LoginRefused:
        stop(
            "Redis refuses this to the login: give an operator's, by --password-stdin (docs/operations.md).",
            FAILED,
        )


def as_default_user(url: str) -> str:
    """Return an address of Redis with the login of the default user. Its password is read from standard input."""
    password = quote(sys.stdin.readline().rstrip("\n"), safe="")
    address = urlsplit(url)
    host = address.netloc.rpartition("@")[2]
    return address._replace(netloc=f":{password}@{host}").geturl()


@contextmanager
def keys_and_audit(*, password_stdin: bool = False) -> Iterator["tuple[ApiKeys, Audit]"]:
    """Yield the keys and the audit log, on one connection to Redis."""
    from edugraph_common.runtime.service.settings import secret_of
    from edugraph_common.runtime.shared_state.api_keys import ApiKeys
    from edugraph_common.runtime.shared_state.audit import Audit

    with redis_of_operator(password_stdin=password_stdin) as (client, settings):
        audit = Audit(client, secret_of(settings.privacy_secret), settings.audit_retention_days)
        yield ApiKeys(client), audit


def operator_name() -> str:
    """Return the name that the audit log has for the person who runs this command."""
    return f"cli:{getpass.getuser()}"


def _without_secret(key: "ApiKey") -> dict[str, object]:
    return key.model_dump(mode="json", exclude={"secret_hash"})
