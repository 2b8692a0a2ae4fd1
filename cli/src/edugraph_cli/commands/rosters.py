"""`edugraph roster FILE`: make records from a roster. It uses no server."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from edugraph_cli.commands.importing import check_file, platforms_of, zone_called
from edugraph_cli.display import INVALID, print_table, say, stop
from edugraph_cli.options import Prefixes
from edugraph_common.sources.compression import compressing, content_encoding_of
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.oneroster import OtherIds, PersonKey, RosterSettings, read_roster
from edugraph_common.sources.roster_snapshots import end_absent, records_of

OTHER_IDS: tuple[str, ...] = get_args(OtherIds)
SOURCE_NAME = re.compile(r"[\w-]{1,60}")


def read_roster_file(  # noqa: PLR0917 - typer makes options of the parameters
    file: Annotated[Path, typer.Argument(help="a ZIP with the CSV files of OneRoster 1.1 or 1.2")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="NDJSON; compressed if it ends in .gz or .zst")
    ],
    person_key: Annotated[
        PersonKey,
        typer.Option(
            "--person-key", help="the column of users with the ids that your other sources use"
        ),
    ] = "sourcedId",
    time_zone: Annotated[
        str, typer.Option("--time-zone", help="the time zone of the dates, such as Asia/Shanghai")
    ] = "UTC",
    platform: Annotated[
        str | None,
        typer.Option(help="the address of the platform whose ids these are, if it is not your own"),
    ] = None,
    prefixes: Prefixes = "{}",
    other_ids: Annotated[
        list[str] | None,
        typer.Option(
            "--other-ids",
            help=f"a column of users with other ids of a person: {', '.join(OTHER_IDS)}; it may be given again",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="the name of the source, such as main-campus, if there are several; none changes the others",
        ),
    ] = None,
    snapshot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="the output of the source's last roster: its members who are not in the new roster have left",
        ),
    ] = None,
) -> None:
    """Read classes, their members, and terms from a roster, and write records that can be imported."""
    check_file(file)
    if snapshot is not None:
        check_file(snapshot)
    if source is not None and not SOURCE_NAME.fullmatch(source):
        stop(
            f"{source} is not a name for a source; use up to 60 letters, digits, - and _.", INVALID
        )
    chosen: list[OtherIds] = []
    for column in other_ids or ():
        if column not in OTHER_IDS:
            stop(f"--other-ids takes one of {', '.join(OTHER_IDS)}, and not {column}.", INVALID)
        chosen.append(cast("OtherIds", column))
    platforms = platforms_of(prefixes, platform)
    settings = RosterSettings(
        platforms,
        datetime.now(UTC),
        zone_called(time_zone),
        platform,
        person_key,
        source,
        tuple(chosen),
    )
    try:
        with file.open("rb") as archive:
            roster = read_roster(archive, settings)
        left = (
            end_absent(roster, records_of(snapshot), settings.read_at, source) if snapshot else {}
        )
    except MalformedFile as problem:
        stop(f"{file}: {problem}", INVALID)
    with output.open("wb") as raw, compressing(raw, content_encoding_of(output.name)) as packed:
        for record in roster.records:
            packed.write(f"{json.dumps(record, ensure_ascii=False)}\n".encode())
    print_table(f"{output}: records written", {"records": len(roster.records)})
    if left:
        print_table(f"Memberships of {snapshot}", left)
    if roster.unused:
        print_table("Not relevant, by name", dict(roster.unused.most_common()))
    say(f"To import them: edugraph import {output}")
