"""`edugraph redis-users create|print|update`. They make the users of one school's services in a Redis.

The address is EDUGRAPH_REDIS_URL, and the school is EDUGRAPH_REDIS_KEY_PREFIX. No other setting is needed.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from edugraph_cli.commands.keys import PasswordStdin, as_default_user
from edugraph_cli.display import FAILED, INVALID, plain_errors, say, show_json, stop
from edugraph_cli.options import Json

if TYPE_CHECKING:
    import redis

    from edugraph_common.runtime.service.settings import RedisSettings
    from edugraph_common.runtime.shared_state.redis_users import RedisService

app = typer.Typer(
    no_args_is_help=True,
    help="Redis' users: one for each service of a school, limited to the school's keys.",
)
Logins = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="a new file for the addresses with passwords, for `kubectl create secret --from-env-file`",
    ),
]


@app.command()
def create(logins: Logins, password_stdin: PasswordStdin = False, as_json: Json = False) -> None:
    """Make the users with new passwords, and write their addresses into FILE.

    A school whose services are logged in is left alone: its passwords would end. Give it new rules with `update`.
    """
    from edugraph_common.runtime.shared_state.redis_users import (
        UsersTaken,
        apply_redis_users,
        keep_redis_users,
    )

    settings = _settings()
    passwords = _new_passwords()
    with plain_errors(), _connected(settings, password_stdin=password_stdin) as client:
        _write_logins(logins, settings, passwords)
        try:
            apply_redis_users(client, passwords, settings.redis_key_prefix)
        except UsersTaken as taken:
            logins.unlink()
            stop(str(taken), FAILED)
        except BaseException:
            logins.unlink()
            raise
        is_kept = keep_redis_users(client)
    _report(settings, is_kept=is_kept, as_json=as_json)


@app.command("print")
def print_users(logins: Logins) -> None:
    """Print the commands that make the users, and write their addresses into FILE. Nothing is sent to Redis.

    The commands have hashes in place of passwords, so `redis-cli` may read them from a file.
    """
    from edugraph_common.runtime.shared_state.redis_users import command_of

    settings = _settings()
    passwords = _new_passwords()
    _write_logins(logins, settings, passwords)
    for service, password in passwords.items():
        say(" ".join(command_of(service, password, settings.redis_key_prefix)))


@app.command()
def update(password_stdin: PasswordStdin = False, as_json: Json = False) -> None:
    """Give the users the rules of this release. Passwords stay, and the school may run meanwhile."""
    from edugraph_common.runtime.shared_state.redis_users import keep_redis_users, renew_redis_users

    settings = _settings()
    with plain_errors(), _connected(settings, password_stdin=password_stdin) as client:
        missing = renew_redis_users(client, settings.redis_key_prefix)
        if missing:
            names = ", ".join(missing)
            stop(f"Redis has no user {names}. Run: edugraph redis-users create FILE", FAILED)
        is_kept = keep_redis_users(client)
    _report(settings, is_kept=is_kept, as_json=as_json)


def _settings() -> "RedisSettings":
    """Return the two settings, or end the command with one sentence that names a wrong one."""
    from pydantic import ValidationError

    from edugraph_common.runtime.service.settings import RedisSettings

    try:
        return RedisSettings()
    except ValidationError as error:
        wrong = error.errors()[0]
        name = f"EDUGRAPH_{str(wrong['loc'][0]).upper()}"
        stop(f"Set {name}: {wrong['msg']}", INVALID)


@contextmanager
def _connected(settings: "RedisSettings", *, password_stdin: bool) -> "Iterator[redis.Redis]":
    """Yield a connection of an operator. It knows no prefix, since it uses no key."""
    from redis.exceptions import NoPermissionError

    from edugraph_common.runtime.service.redis_errors import LoginRefused
    from edugraph_common.runtime.shared_state.job_store import connect

    url = settings.redis_url.get_secret_value()
    if password_stdin:
        url = as_default_user(url)
    try:
        with connect(url, timeout=4, retries=1) as client:
            yield client
    except (LoginRefused, NoPermissionError):
        stop(
            "Redis refuses this to the login: give an operator's, by --password-stdin (docs/operations.md).",
            FAILED,
        )


def _new_passwords() -> dict["RedisService", str]:
    from edugraph_common.runtime.shared_state.redis_users import SERVICES

    return {service: secrets.token_urlsafe(32) for service in SERVICES}


def _write_logins(
    file: Path, settings: "RedisSettings", passwords: Mapping["RedisService", str]
) -> None:
    """Write the address of each service, as the chart's values redis.external.urlKeys name them.

    `redis-url` has no login. It is for what has the setting and does not use Redis.
    """
    from edugraph_common.runtime.shared_state.redis_users import redis_user

    address = urlsplit(settings.redis_url.get_secret_value())
    host = address.netloc.rpartition("@")[2]
    lines = [f"redis-url={address._replace(netloc=host).geturl()}"]
    for service, password in passwords.items():
        login = f"{redis_user(service, settings.redis_key_prefix)}:{password}"
        own = address._replace(netloc=f"{login}@{host}").geturl()
        lines.append(f"redis-{service}-url={own}")
    try:
        # Only the owner may read it, from its first byte on.
        number = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        stop(f"{file} exists, and may hold passwords that are in use: name a new file.", INVALID)
    except OSError as error:
        stop(f"{file} cannot be written: {error.strerror}", INVALID)
    with os.fdopen(number, "w", encoding="utf-8") as opened:
        opened.writelines(f"{line}\n" for line in lines)


def _report(settings: "RedisSettings", *, is_kept: bool, as_json: bool) -> None:
    from edugraph_common.runtime.shared_state.redis_users import SERVICES, redis_user

    names = [redis_user(service, settings.redis_key_prefix) for service in SERVICES]
    if as_json:
        show_json({"users": names, "kept": is_kept})
        return
    say(f"Redis has the users {', '.join(names)}.")
    if not is_kept:
        say("This Redis has no file of users (aclfile), so they last until it restarts.")
