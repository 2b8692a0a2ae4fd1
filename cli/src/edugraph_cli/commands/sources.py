"""`edugraph sources create|change|list|show|live|test`: the sources that data comes from."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from edugraph_cli.commands.importing import check_file
from edugraph_cli.display import (
    FAILED,
    INVALID,
    plain_errors,
    print_rows,
    print_table,
    say,
    show_json,
    stop,
)
from edugraph_cli.options import Json
from edugraph_cli.source_trials import MOST_BYTES, known_nodes, print_trial
from edugraph_client import Client
from edugraph_common.contracts.data_sources import (
    DataSource,
    LiveMode,
    LiveSource,
    SourceKind,
    SourceSettings,
)
from edugraph_common.contracts.messages import ChangeTime, Format
from edugraph_common.sources.source_trial import SourceTrial

app = typer.Typer(
    no_args_is_help=True,
    help="Sources: the places that data comes from, such as a learning platform, a gradebook or a roster.",
)

KindName = StrEnum("KindName", {name.upper(): name for name in get_args(SourceKind)})  # type: ignore[misc]
Name = Annotated[
    str, typer.Argument(help="1 to 40 small letters a to z, digits and hyphens; it never changes")
]
Platform = Annotated[
    str | None, typer.Option(help="the address of the platform that writes the logs")
]
MappingFile = Annotated[
    Path | None, typer.Option(help="the file that maps the columns of its tables to fields")
]
TimeZone = Annotated[
    str | None, typer.Option(help="the zone of times that state none, such as Asia/Shanghai")
]
DefaultCourse = Annotated[
    str | None, typer.Option(help="the id of the course of its tables that name no course")
]
Analyse = Annotated[
    bool | None, typer.Option("--analyse/--no-analyse", help="whether the model may read its texts")
]
NewestState = Annotated[
    ChangeTime | None,
    typer.Option(
        "--changed-at",
        help="`import` makes each of its imports its newest state, also where timestamps are earlier than before",
    ),
]
Strict = Annotated[
    bool | None,
    typer.Option(
        "--strict/--lax",
        help="whether live statements that break a rule of the xAPI specification are refused",
    ),
]
Live = Annotated[
    LiveMode | None,
    typer.Option(
        help="what is done with what it sends live: `observe` counts what would become of it and writes nothing, "
        "`paused` refuses it for now",
    ),
]
LiveFrom = Annotated[
    datetime | None,
    typer.Option(
        "--live-from",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"],
        help="what it sends live with an earlier time is left out; a date is the beginning of the day in UTC",
    ),
]
LiveTexts = Annotated[
    int | None,
    typer.Option(
        "--live-texts",
        min=0,
        max=100_000,
        metavar="NUMBER",
        help="how many texts that it sends live are analysed a day; more are written and counted; 0: none",
    ),
]
LiveShare = Annotated[
    int | None,
    typer.Option(
        "--live-share",
        min=1,
        max=100,
        metavar="PERCENT",
        help="the part of the model provider's limit that these texts may take",
    ),
]
SilentAfter = Annotated[
    int | None,
    typer.Option(
        "--silent-after",
        min=0,
        max=1_440,
        metavar="MINUTES",
        help="an alert tells if it sends nothing live for so long in school hours, Monday to Friday; 0: never",
    ),
]
SchoolHours = Annotated[
    str | None,
    typer.Option(metavar="08:00-16:00", help="in its time zone, or else in UTC"),
]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="ID",
        help="a key that writes it (`edugraph keys list`), or oidc:SUBJECT; may be given several times",
    ),
]


@app.command()
def create(  # noqa: PLR0917 - they are options of a command
    name: Name,
    kind: Annotated[KindName, typer.Option(help="what it sends")],
    platform: Platform = None,
    mapping: MappingFile = None,
    time_zone: TimeZone = None,
    default_course: DefaultCourse = None,
    analyse: Analyse = None,
    changed_at: NewestState = None,
    strict: Strict = None,
    live: Live = None,
    live_from: LiveFrom = None,
    live_texts: LiveTexts = None,
    live_share: LiveShare = None,
    silent_after: SilentAfter = None,
    school_hours: SchoolHours = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Create a source. An import names it, or belongs to it if it is the only source of its key."""
    given = _given(kind, platform, mapping, time_zone, default_course, analyse, changed_at, key)
    given |= _given_live(strict, live, live_from)
    given |= _given_texts(live_texts, live_share)
    given |= _given_alert(silent_after, school_hours)
    with plain_errors(), Client.from_environment() as client:
        _show(client.create_source({"name": name, **given}), as_json=as_json)


@app.command()
def change(  # noqa: PLR0917 - they are options of a command
    name: Name,
    kind: Annotated[
        KindName | None, typer.Option(help="what it sends; it stays once it has records")
    ] = None,
    platform: Platform = None,
    mapping: MappingFile = None,
    time_zone: TimeZone = None,
    default_course: DefaultCourse = None,
    analyse: Analyse = None,
    changed_at: NewestState = None,
    strict: Strict = None,
    live: Live = None,
    live_from: LiveFrom = None,
    live_texts: LiveTexts = None,
    live_share: LiveShare = None,
    silent_after: SilentAfter = None,
    school_hours: SchoolHours = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Change the given settings of a source; the keys replace all keys that it had."""
    given = _given(kind, platform, mapping, time_zone, default_course, analyse, changed_at, key)
    given |= _given_live(strict, live, live_from)
    given |= _given_texts(live_texts, live_share)
    given |= _given_alert(silent_after, school_hours)
    with plain_errors(), Client.from_environment() as client:
        before = client.source(name).model_dump(
            mode="json", include=set(SourceSettings.model_fields)
        )
        _show(client.change_source(name, before | given), as_json=as_json)


@app.command("list")
def list_sources(as_json: Json = False) -> None:
    """List the sources. Without the scope operate, list the sources that this key writes."""
    with plain_errors(), Client.from_environment() as client:
        found = client.sources()
    if as_json:
        show_json([source.model_dump(mode="json") for source in found])
        return
    rows = []
    for source in found:
        analysed = "yes" if source.analyse else "no"
        in_use = "yes" if source.in_use else "no"
        course = source.default_course or "–"
        keys = ",".join(source.keys) or "–"
        rows.append((source.name, source.kind, keys, analysed, in_use, course))
    print_rows(("name", "kind", "keys", "analysed", "in use", "default course"), rows)


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show a source with all its settings."""
    with plain_errors(), Client.from_environment() as client:
        _show(client.source(name), as_json=as_json)


@app.command("live")
def show_live(
    name: Annotated[str | None, typer.Argument(help="a source; all sources without it")] = None,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="a day in UTC; today without it")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how much a source sent live on a day, how much waits, and how much was set aside or left out.

    Without a name, list the sources, each with the numbers of the latest day on which it sent something live.
    """
    if name is None:
        if day is not None:
            stop("--day is about one source: name it.", INVALID)
        _list_live(as_json=as_json)
        return
    with plain_errors(), Client.from_environment() as client:
        found = client.live_day(name, day.date() if day else None)
    if as_json:
        show_json(found.model_dump(mode="json"))
        return
    numbers = found.model_dump(mode="json", exclude={"source", "outcomes", "broken_rules"})
    shown = {title.replace("_", " "): value for title, value in numbers.items() if value}
    print_table(f"Source {name}", shown)
    if found.outcomes:
        print_table("Outcomes, if they were written", found.outcomes)
    if found.broken_rules:
        print_table("Broken rules of xAPI", found.broken_rules)


def _list_live(*, as_json: bool) -> None:
    with plain_errors(), Client.from_environment() as client:
        found = client.live_sources()
    if as_json:
        show_json([each.model_dump(mode="json") for each in found])
        return
    rows = [_live_row(each) for each in found]
    heads = ("name", "silent", "latest day", "accepted", "waiting", "set aside", "refused")
    print_rows(heads, rows)


def _live_row(listed: LiveSource) -> tuple[str, ...]:
    silent = "yes" if listed.silent else "no"
    day = listed.latest
    if day is None:
        return (listed.source.name, silent, "–", "–", "–", "–", "–")
    counts = (day.accepted, day.waiting, day.rejected, day.refused)
    return (listed.source.name, silent, day.day.isoformat(), *map(str, counts))


@app.command("test")
def try_file(
    name: Name,
    file: Annotated[Path, typer.Argument(help="a file that the source sends")],
    file_format: Annotated[
        Format | None, typer.Option("--format", help="detected if it is not given")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what would become of a file of a source, and write nothing.

    The gateway reads the file with the settings of the source, of a large file the first part. The scopes read and
    personal are needed to learn which persons, courses and points the graph knows. Exits with 1 if a row would be
    set aside, and with 2 for a file that the source does not take.
    """
    check_file(file)
    with file.open("rb") as opened:
        part = opened.read(MOST_BYTES)
        is_whole = not opened.read(1)
    with plain_errors(), Client.from_environment() as client:
        answer = client.try_source(
            name, part, file_name=file.name, file_format=file_format, is_whole=is_whole
        )
        trial = SourceTrial.model_validate(answer, extra="ignore")
        caller = client.caller()
        known = None
        if {"read", "personal"} <= set(caller.scopes):
            known = known_nodes(client, trial.named)
    if as_json:
        found = known.model_dump(mode="json") if known else None
        show_json({**trial.model_dump(mode="json", by_alias=True), "known": found})
    else:
        print_trial(file.name, trial, known)
    if trial.report.rejected:
        raise typer.Exit(FAILED)


def _given(  # noqa: PLR0917 - they are the options of two commands
    kind: StrEnum | None,
    platform: str | None,
    mapping: Path | None,
    time_zone: str | None,
    default_course: str | None,
    analyse: bool | None,
    changed_at: str | None,
    keys: list[str] | None,
) -> dict[str, Any]:
    """Return the settings that the options give. End the command if the mapping file cannot be read."""
    text = None
    if mapping is not None:
        try:
            text = mapping.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            stop(f"{mapping} cannot be read as a text in UTF-8.", INVALID)
    given = {
        "kind": kind.value if kind else None,
        "platform": platform,
        "mapping": text,
        "time_zone": time_zone,
        "default_course": default_course,
        "analyse": analyse,
        "changed_at": changed_at,
        "keys": keys,
    }
    return {setting: value for setting, value in given.items() if value is not None}


def _given_live(
    strict: bool | None, live: str | None, live_from: datetime | None
) -> dict[str, Any]:
    """Return the settings that the options give for what a source sends live."""
    moment = None
    if live_from is not None:
        moment = live_from if live_from.tzinfo else live_from.replace(tzinfo=UTC)
    given = {"strict": strict, "live": live, "live_from": moment and moment.isoformat()}
    return {setting: value for setting, value in given.items() if value is not None}


def _given_texts(live_texts: int | None, live_share: int | None) -> dict[str, Any]:
    """Return the settings that the options give for the analysis of live texts."""
    given: dict[str, Any] = {}
    if live_texts is not None:
        given["live_texts_a_day"] = live_texts or None
    if live_share is not None:
        given["live_share_percent"] = live_share
    return given


def _given_alert(silent_after: int | None, school_hours: str | None) -> dict[str, Any]:
    """Return the settings that the options give for the alert about a silent source."""
    given: dict[str, Any] = {}
    if silent_after is not None:
        given["silent_after_minutes"] = silent_after or None
    if school_hours is not None:
        given["school_hours"] = school_hours
    return given


def _show(source: DataSource, *, as_json: bool) -> None:
    if as_json:
        show_json(source.model_dump(mode="json"))
        return
    say(f"Source {source.name}")
    settings = source.model_dump(mode="json", exclude={"name", "mapping"})
    settings["keys"] = ", ".join(source.keys)
    shown = {setting.replace("_", " "): value for setting, value in settings.items() if value}
    print_table("Settings", shown)
    if source.mapping:
        say("Mapping")
        say(source.mapping)
