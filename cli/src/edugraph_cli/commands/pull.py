"""`edugraph pull folder|canvas|oneroster|lti`: one round of a connector, for cron or a CronJob."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer

from edugraph_cli.commands.importing import platforms_of, zone_called
from edugraph_cli.display import (
    FAILED,
    INVALID,
    err,
    plain_errors,
    print_rows,
    print_table,
    say,
    show_json,
    stop,
)
from edugraph_cli.options import Json, Prefixes
from edugraph_cli.pulling.canvas import Canvas, StudentKey
from edugraph_cli.pulling.folders import Folder
from edugraph_cli.pulling.lti import MEDIA_TYPE, LtiMembers, token_of_tool
from edugraph_cli.pulling.oneroster import OneRoster, token_of_client
from edugraph_cli.pulling.rest import (
    RestApi,
    secret_from_environment,
    text_from_environment,
)
from edugraph_cli.pulling.rounds import CannotRead, Part, Round, pull
from edugraph_client import Client
from edugraph_common.runtime.service.lti_key import LtiKey
from edugraph_common.runtime.service.settings import PersonClaim
from edugraph_common.sources import Platforms
from edugraph_common.sources.oneroster import PersonKey, RosterSettings

app = typer.Typer(
    no_args_is_help=True,
    help="Fetch what is new at a source, and import it. Let cron or a CronJob call these commands.",
)
ROSTER_SCOPE = "https://purl.imsglobal.org/spec/or/v1p2/scope/roster.readonly"
SourceArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="the source (`edugraph sources list`)")
]
Analyze = Annotated[bool, typer.Option("--analyze", help="also let the model read the texts")]


@app.command("folder")
def pull_folder(
    name: SourceArgument,
    folder: Annotated[str, typer.Argument(help="a folder, or a prefix such as s3://exports/lms")],
    analyze: Analyze = False,
    as_json: Json = False,
) -> None:
    """Import each file that is new or has changed since the last round, once.

    Exits with 1 if a file could not be read or was refused. Such a file is tried again in the next round.
    """
    try:
        parts = Folder(folder, datetime.now(UTC)).parts()
    except CannotRead as problem:
        stop(str(problem), INVALID)
    with plain_errors(), Client.from_environment() as client:
        source = client.source(name)
        cursor = client.source_cursor(name)
        there = {part.place for part in parts}
        # An empty listing may be a folder that is not mounted. Nothing is forgotten then.
        done = pull(
            client,
            source,
            cursor,
            parts,
            kept=lambda place: not there or place in there,
            analyze=analyze,
        )
    _finish(done, as_json=as_json)


@app.command("canvas")
def pull_canvas(
    name: SourceArgument,
    url: Annotated[
        str, typer.Option(help="the address of Canvas, such as https://canvas.school.example")
    ],
    course: Annotated[
        list[str] | None,
        typer.Option(help="the id of a course in Canvas; without it, all courses of the user"),
    ] = None,
    student_key: Annotated[
        StudentKey,
        typer.Option(help="the field of a user that is the student's id in your other sources"),
    ] = "sis_user_id",
    as_json: Json = False,
) -> None:
    """Import assignments that have changed, and submissions that were handed in or graded since the last round.

    EDUGRAPH_PULL_TOKEN is the token of Canvas, or EDUGRAPH_PULL_TOKEN_FILE the file with it. The source is of the
    kind records. Exits with 1 if a course could not be read.
    """
    try:
        api = RestApi(url, secret_from_environment("EDUGRAPH_PULL_TOKEN"))
        canvas = Canvas(api, url, student_key, tuple(course or ()))
        done = _pull_from(name, canvas.parts)
    except CannotRead as problem:
        stop(str(problem), INVALID)
    _finish(done, as_json=as_json, left_out=canvas.left_out)


@app.command("oneroster")
def pull_oneroster(  # noqa: PLR0917 - they are options of a command
    name: SourceArgument,
    url: Annotated[
        str,
        typer.Option(
            help="the address of its API, such as https://sis.school.example/ims/oneroster/rostering/v1p2"
        ),
    ],
    person_key: Annotated[
        PersonKey, typer.Option(help="the field of users with the ids that your other sources use")
    ] = "sourcedId",
    time_zone: Annotated[
        str, typer.Option(help="the time zone of the dates, such as Asia/Shanghai")
    ] = "UTC",
    token_url: Annotated[
        str | None, typer.Option(help="where the credentials of a client become a token (OAuth 2)")
    ] = None,
    as_json: Json = False,
) -> None:
    """Import classes, their members and terms if something has changed since the last round.

    EDUGRAPH_PULL_TOKEN is the token. With --token-url, EDUGRAPH_PULL_CLIENT_ID and EDUGRAPH_PULL_CLIENT_SECRET are
    the credentials. Each may be in a file: a variable of this name with _FILE at its end names it. The source is of
    the kind roster. Exits with 2 if the roster cannot be read.
    """
    settings = RosterSettings(
        Platforms(), datetime.now(UTC), zone_called(time_zone), person_key=person_key
    )
    try:
        if token_url is None:
            token = secret_from_environment("EDUGRAPH_PULL_TOKEN")
        else:
            token = token_of_client(
                token_url,
                secret_from_environment("EDUGRAPH_PULL_CLIENT_ID"),
                secret_from_environment("EDUGRAPH_PULL_CLIENT_SECRET"),
                ROSTER_SCOPE,
            )
        done = _pull_from(name, OneRoster(RestApi(url, token), url, settings).parts)
    except CannotRead as problem:
        stop(str(problem), INVALID)
    _finish(done, as_json=as_json)


@app.command("lti")
def pull_lti(  # noqa: PLR0917 - they are options of a command
    name: SourceArgument,
    members: Annotated[
        list[str],
        typer.Option(
            help="the address of a course's list of members (context_memberships_url); it may be given again"
        ),
    ],
    platform: Annotated[
        str, typer.Option(help="the address of the platform, as EDUGRAPH_LTI_PLATFORMS has it")
    ],
    client_id: Annotated[str, typer.Option(help="the client of the tool at the platform")],
    token_url: Annotated[str, typer.Option(help="where the platform gives tokens to tools")],
    person_claim: Annotated[
        PersonClaim, typer.Option(help="what is the id of a person, as EDUGRAPH_LTI_PLATFORMS says")
    ] = "sub",
    prefixes: Prefixes = "{}",
    as_json: Json = False,
) -> None:
    """Import who came into a course or left it since the last round, by the service for names and roles of LTI 1.3.

    EDUGRAPH_LTI_KEY is the tool's private key as PEM, or EDUGRAPH_LTI_KEY_FILE the file with it; the platform knows
    its public half from /ui/lti/keys. The source is of the kind roster. Exits with 1 if a course could not be read.
    """
    now = datetime.now(UTC)
    platforms = platforms_of(prefixes, None)
    try:
        key = LtiKey(text_from_environment("EDUGRAPH_LTI_KEY"))
    except ValueError as problem:
        stop(f"EDUGRAPH_LTI_KEY {problem}, or EDUGRAPH_LTI_KEY_FILE name a file with it.", INVALID)
    except CannotRead as problem:
        stop(str(problem), INVALID)
    try:
        token = token_of_tool(token_url, client_id, key, now)
    except CannotRead as problem:
        stop(str(problem), INVALID)

    def api(address: str) -> RestApi:
        return RestApi(address, token, accept=MEDIA_TYPE)

    lists = LtiMembers(api, members, key, platforms, platform, person_claim, now=now)
    done = _pull_from(name, lists.parts)
    _finish(done, as_json=as_json, left_out=lists.left_out)


def _pull_from(name: str, parts: Callable[[Mapping[str, str]], Iterable[Part]]) -> Round:
    """Make a round of a connector that asks for what the cursor does not have. Raises CannotRead."""
    with plain_errors(), Client.from_environment() as client:
        source = client.source(name)
        cursor = client.source_cursor(name)
        return pull(client, source, cursor, parts(cursor.places))


def _finish(done: Round, *, as_json: bool, left_out: Mapping[str, int] | None = None) -> None:
    """Print a round, and end the command with its exit code."""
    if as_json:
        show_json({"jobs": done.jobs, "problems": done.problems, "left_out": left_out or {}})
    else:
        if done.jobs:
            print_rows(("imported", "job"), list(done.jobs.items()))
        else:
            say("There was nothing new.")
        if left_out:
            print_table("Left out", left_out)
        for problem in done.problems:
            err.print(problem, style="bold red", markup=False, highlight=False, soft_wrap=True)
    if done.problems:
        raise typer.Exit(FAILED)
